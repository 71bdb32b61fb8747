# SPDX-License-Identifier: Apache-2.0
"""The one scene: an owner with authority, registry and broker, an internet with one clock, and devices on it.

Whoever needs a device and its world composes them here: the Robot keywords, ``lab``, ``attend``, the bench and the
tests. Everything random follows from the scene's seed: two scenes of one seed are equal to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from offchip import chip_map
from offchip.board.board import Board
from offchip.board.create import create_board
from offchip.board.factory import Provisioning, provision
from offchip.broker.events import PublishAccepted
from offchip.broker.listener import Listener
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC, Processor
from offchip.broker.profile import DEFAULT_PROFILE, Profile
from offchip.broker.reactions import Rules
from offchip.broker.registry import Registry, Status
from offchip.broker.server import Broker
from offchip.broker.world import HOST, NARROW, PORT, build_world, issue_claim, register
from offchip.errors import VaultError
from offchip.network.clock import DEFAULT_START, NEVER_NS, LabClock
from offchip.network.internet import Internet
from offchip.pki import AWS_VALIDITY, NOT_YET_VALID, Authority, Identity
from offchip.pki.own import OwnCredentials
from offchip.scene.defence import Defence
from offchip.scene.kept import kept
from offchip.scene.secrets import Secret
from offchip.scene.seeds import chip_identity, chip_noise, derive
from offchip.scene.witness import DebugWitness
from offchip.vault import NO_CREDENTIALS, Credentials
from offchip.vault.counters import SIZE as VAULT_SIZE
from offchip.vault.counters import Counters

DEFAULT_SEED = 1
THING, OTHER_THING = "thing-1", "thing-2"
OTHER_HOST = "mail.offchip.test"
#: an expired certificate ended so long ago
EXPIRED_SINCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Device:
    """One board, as it left the factory.

    ``identity``: what the factory gave it, registered or not. ``debug_port``: SWD, with a log of its own.
    """

    thing: str
    identity: Identity
    defence: Defence
    provisioning: Provisioning
    board: Board
    debug_port: DebugWitness

    def kept(self) -> Identity | None:
        """The identity the device has now, whoever made its key (looked at through the back door); None: none."""
        return kept(self.board, self.provisioning)

    def secrets(self) -> set[bytes]:
        """The device secret the factory injected, and the one in the chip now (looked at through the back door)."""
        injected = self.provisioning.chip(b"")
        found = set() if injected is None else {injected.secret}
        first = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
        with suppress(VaultError):  # none is there
            found.add(Counters.parse(self.board.engine.read_memory(first, VAULT_SIZE)).secret)
        return {each for each in found if any(each)}  # zeros: there is none


class Scene:
    """Who takes part, and what time it is for them.

    Args:
        seed: of keys, certificates, TLS and the devices' random generators.
        things: names of the owner's things; each is registered with a certificate of its own.
        policy: what the things may do at the server, ``narrow`` or ``wide``.
        profile: the server's behaviour, see ``offchip.broker.profile``.
        interval_s: seconds between two rounds of telemetry the data processor expects (None: it does not judge them).
        keylog: NSS key log of the broker's TLS sessions.
        server: what the broker shows instead of a certificate of its own authority.
        own: credentials a person brings; the first thing has them instead of made ones.
        start: the time of day at virtual time 0 (None: the lab's usual day).
        kept: registry and identities of a scene of the same seed that goes on.
        rules: what the owner reacts to by himself (None: he only looks), see ``offchip.broker.reactions``.

    Raises:
        BrokerError, PkiError: profile, key log or server certificate are unusable.
    """

    def __init__(self, seed: int = DEFAULT_SEED, *, things: Sequence[str] = (THING, OTHER_THING), policy: str = NARROW,
                 profile: Profile | str = DEFAULT_PROFILE, interval_s: float | None = None, keylog: Path | None = None,
                 server: Identity | None = None, own: OwnCredentials | None = None,
                 rules: Rules | None = None, start: datetime | None = None,
                 kept: tuple[Registry, dict[str, Identity]] | None = None) -> None:
        self.seed = seed
        # nobody meets a certificate from the future because it was made after the lab's usual day
        usual = max(DEFAULT_START, own.identity.certificate.not_valid_before_utc + timedelta(days=1)) \
            if own is not None else DEFAULT_START
        self.clock = LabClock(start or usual)
        self._now_ns = 0
        self.world = build_world(self.utc, derive(seed, "owner"), things, profile, policy, interval_s, keylog, server,
                                 rules, kept)
        self._own = own
        if own is not None:
            self._bring(things[0], policy, own.identity)
        self.internet = Internet()
        self.internet.register(HOST, PORT, self.world.broker)
        self.devices: list[Device] = []
        self._claims: dict[str, Identity] = {}
        self._listeners: list[Listener] = []
        self._in_step = False

    # the owner's side ----------------------------------------------------------------------------------------------
    @property
    def authority(self) -> Authority:
        """The owner's CA, with its key."""
        return self.world.authority

    @property
    def registry(self) -> Registry:
        return self.world.registry

    @property
    def broker(self) -> Broker:
        return self.world.broker

    @property
    def processor(self) -> Processor:
        """Reads what the things publish and believes nothing it has not checked."""
        return self.world.processor

    def _bring(self, thing: str, policy: str, identity: Identity) -> None:
        """RegisterCertificateWithoutCA, as for a certificate of an account whose CA this server does not have."""
        self.deactivate(self.world.devices[thing])
        identifier = self.registry.register_certificate_without_ca(identity)
        self.registry.attach_thing(identifier, thing)
        self.registry.attach_policy(identifier, policy)
        self.world.devices[thing] = identity

    def deactivate(self, identity: Identity) -> None:
        """UpdateCertificate INACTIVE, as a fleet owner does when a device is stolen."""
        self.registry.update_certificate(identity.certificate_id, Status.INACTIVE)

    def stranger(self, thing: str, kind: str) -> Identity:
        """An identity the registry does not know: ``unregistered`` (the owner's CA) or ``foreign`` (somebody else's).

        Raises:
            ValueError: there is no such kind.
        """
        if kind == "unregistered":
            return self.authority.issue_device(thing)
        if kind == "foreign":
            return Authority(derive(self.seed, "somebody else"), "somebody else").issue_device(thing)
        raise ValueError(f"there is no certificate '{kind}'; there are unregistered and foreign")

    def rsa_identity(self, thing: str, policy: str) -> Identity:
        """Another identity of a thing, registered, with the kind of key AWS IoT makes: RSA-2048."""
        return register(self.registry, self.authority.issue_device(thing, keys="rsa"), thing, policy)

    def lost_server(self, kind: str) -> Identity:
        """A server certificate of this authority whose key got lost: what an attacker may have come by.

        ``wrong-host``: another host's, ``expired``: the endpoint's of last week, ``not-yet-valid``: its next one,
        ``retired``: the endpoint's, of a CA whose key leaked, so that its owner retires it.

        Raises:
            ValueError: there is no such kind.
        """
        if kind == "wrong-host":
            return self.authority.issue_server([OTHER_HOST])
        if kind == "retired":
            return self.authority.issue_server([HOST])
        if kind == "expired":
            return self.authority.issue_server([HOST], AWS_VALIDITY.not_before, self.clock.start - EXPIRED_SINCE)
        if kind == "not-yet-valid":
            return self.authority.issue_server([HOST], *NOT_YET_VALID)
        raise ValueError(f"there is no server certificate '{kind}'")

    def secrets(self) -> list[Secret]:
        """What no console may show and no attacker may get: keys of devices and CA, device secrets, passphrases."""
        found = [Secret.of_key("the owner's CA key", self.authority.root)]
        found += [Secret.of_key(f"the private key of {thing}'s claim", each) for thing, each in self._claims.items()]
        for device in self.devices:
            if device.identity is not self._claims.get(device.thing):
                found.append(Secret.of_key(f"the private key of {device.thing}", device.identity))
            if device.provisioning.enrolment and (own := device.kept()) is not None:
                found.append(Secret.of_key(f"the private key of {device.thing}", own))
            found += [Secret.of_bytes(f"the device secret of {device.thing}", each) for each in device.secrets()]
            if passphrase := device.provisioning.wifi_passphrase:  # an open network has none
                found.append(Secret.of_text(f"the Wi-Fi passphrase of {device.thing}", passphrase))
        return found

    def claim(self, thing: str = THING) -> Identity:
        """The claim identity of a thing: good for nothing but to ask for an identity as that thing."""
        if thing not in self._claims:
            self._claims[thing] = issue_claim(self.world, thing)
        return self._claims[thing]

    def rotate(self, device: Device) -> None:
        """Ask a device for another key; it answers when it is connected and its page says that it may be asked.

        Raises:
            BrokerError: the thing has no certificate that could be replaced.
        """
        with self.broker.turns.step():
            self.world.rotation.ask(device.thing)

    def accepted_publishes(self, topic: str, client_id: str) -> list[PublishAccepted]:
        """What the broker took from this client on this topic."""
        return [each for each in self.broker.events.of(PublishAccepted)
                if each.topic == topic and each.client_id == client_id]

    # devices -------------------------------------------------------------------------------------------------------
    def credentials(self, identity: Identity) -> Credentials:
        """An identity with what a device trusts here."""
        anchors = [self.authority.root.certificate, *([self._own.anchor] if self._own else [])]
        return Credentials(tuple(each.public_bytes(Encoding.DER) for each in anchors), identity.certificate_der,
                           identity.key_der)

    def provisioning(self, thing: str = THING, defence: Defence | None = None, identity: Identity | None = None,
                     newcomer: bool = False, **changes: Any) -> Provisioning:
        """What the factory gives a thing.

        Args:
            identity: instead of its registered one.
            newcomer: none; it gets one by the claim identity, which a device with ``enrol_lost`` has, too.
            changes: other fields.
        """
        defence = defence or Defence()
        if newcomer or changes.get("enrol_lost"):
            changes.setdefault("claim", self.credentials(self.claim(thing)))
        own = NO_CREDENTIALS if newcomer else self.credentials(identity or self.world.devices[thing])
        standard = Provisioning(
            thing_name=thing, endpoint_host=HOST, endpoint_port=PORT, publish_topics=(THING_TOPIC + thing, FEED_TOPIC),
            credentials=own, scheme=defence.scheme, medium=defence.medium, rdp_level=defence.rdp_level,
            publish_interval_ms=2000)
        return replace(standard, **changes)

    def build(self, thing: str = THING, defence: Defence | None = None, identity: Identity | None = None,
              engine: str = "embedded", elf: Path | None = None, newcomer: bool = False, **changes: Any) -> Device:
        """A provisioned device on this scene's internet, not powered yet.

        Args:
            identity, newcomer, changes: see :meth:`provisioning`.
            engine: ``embedded``, ``renode`` or ``auto``.
            elf: the firmware.

        Raises:
            OffchipError: engine, firmware or configuration are unusable.
        """
        defence = defence or Defence()
        provisioning = self.provisioning(thing, defence, identity, newcomer, **changes)
        given = identity or (self.claim(thing) if newcomer else self.world.devices[thing])
        number = len(self.devices)
        board = create_board(engine, elf=elf, seed=chip_noise(self.seed, number), internet=self.internet,
                             clock=self.clock)
        device = Device(thing, given, defence, provisioning, board,
                        DebugWitness(lambda: board.debug_port, lambda: board.now_ns))
        self.devices.append(device)
        board.engine.program(chip_map.UID.start, chip_identity(self.seed, number))
        self._catch_up(board)
        board.on_slice.append(lambda now_ns: self._stepped(board, now_ns))
        provision(board.engine, provisioning)
        return device

    # time ----------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        """Virtual time of the scene: that of the board which is furthest."""
        return self._now_ns

    def utc(self) -> datetime:
        """The true time of day."""
        return self.clock.true_utc(self._now_ns)

    def advance(self, now_ns: int) -> int:
        """Let time take effect at the server; returns until when (nanoseconds) it may be left alone."""
        self._now_ns = max(self._now_ns, now_ns)
        return self.world.tick(self._now_ns)

    def _stepped(self, board: Board, now_ns: int) -> int:
        """One board ran on: server and other boards follow, so that all share one time whoever is run."""
        if self._in_step:
            return 0
        due_ns = self.advance(now_ns)
        self._in_step = True
        try:
            for other in self.devices:
                if other.board is not board:
                    self._catch_up(other.board)
                    due_ns = min(due_ns, 0 if other.board.powered else NEVER_NS)
        finally:
            self._in_step = False
        return due_ns

    def _catch_up(self, board: Board) -> None:
        behind_ns = self._now_ns - board.now_ns
        if behind_ns > 0 and board.powered:
            board.run(behind_ns / 1e9)
        elif behind_ns > 0:
            board.lie(behind_ns / 1e9)

    # the host's network --------------------------------------------------------------------------------------------
    def listen(self, port: int = 0) -> Listener:
        """Open the broker to real TCP clients. Raises BrokerError when the port is in use."""
        listener = Listener(self.broker, port=port)
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        """Let go of boards and sockets; harmless when closed already."""
        while self._listeners:
            self._listeners.pop().stop()
        while self.devices:
            self.devices.pop().board.close()
