# SPDX-License-Identifier: Apache-2.0
"""What the keywords of one test share: the scene, the device, the exploiter and the record being written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from offchip.attacks.base import Attack
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.reach import Reach
from offchip.attacks.rogue import RogueBroker
from offchip.board.board import Board
from offchip.board.media import Eeprom, SdCard
from offchip.broker.events import ConnectionOpened, Disconnected, Event, PublishForbidden, SubscribeForbidden
from offchip.broker.profile import DEFAULT_PROFILE, Profile
from offchip.captures import Recorder
from offchip.engines.protocol import Transfer
from offchip.errors import OffchipError
from offchip.evidence import Evidence
from offchip.paths import FIRMWARE
from offchip.pki.own import OwnCredentials
from offchip.report.record import Record
from offchip.scene import DEFAULT_SEED, Device, Scene
from offchip.scene.guard import Guard
from offchip.scene.secrets import Secret
from offchip.vault import SD, Chip, MediumKind
from offchip.vault.chunk import CREDENTIAL_CHUNKS
from offchip.vault.vaulted import Vaulted


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the test: virtual time, and how much console and broker had said by then."""

    time_ns: int = 0
    lines: int = 0
    events: int = 0


@dataclass
class Lab:
    """State of one test; :meth:`close` lets go of everything, so tests cannot lean on each other.

    Attributes:
        begun: when the test's own attack began (the last one to fire, where it has none).
        owner_acted_ns: when the owner last did something at the server.
        noted: keys the owner has asked to be remembered.
        recorder: listens to everything, for captures and the time line; None: nobody does.
    """

    engine: str
    elf: Path | None
    seed: int = DEFAULT_SEED
    own: OwnCredentials | None = None
    profile: Profile | str = DEFAULT_PROFILE
    record: Record = field(default_factory=lambda: Record("", ""))
    begun: Mark = field(default_factory=Mark)
    owner_acted_ns: int | None = None
    problem: str = ""
    recorder: Recorder | None = None
    noted: list[Secret] = field(default_factory=list)
    copies: dict[str, bytes] = field(default_factory=dict)  # of a medium, by its name
    _heard: dict[str, list[Transfer]] = field(default_factory=dict)
    _scene: Scene | None = None
    _device: Device | None = None
    _reach: Reach | None = None
    _others: tuple[Device, ...] = ()

    @cached_property
    def _elf_sha256(self) -> str:
        return hashlib.sha256(self.elf.read_bytes()).hexdigest() if self.elf and self.elf.is_file() else ""

    def start(self, suite: str, test: str, tags: list[str]) -> None:
        """A new test; the attack it is about is the one id of the catalogue among its tags."""
        ids = [tag for tag in tags if tag in ATTACKS]
        self.problem = f"a claim is about one attack, this one is tagged {', '.join(ids)}" if len(ids) > 1 else ""
        self.record = Record(f"{suite}.{test}", test, attack=ids[0] if ids else "")
        self.begun, self.owner_acted_ns = Mark(), None
        self.noted = []
        self.copies, self._heard = {}, {}

    # who takes part ------------------------------------------------------------------------------------------------
    @property
    def scene(self) -> Scene:
        if self._scene is None:
            raise OffchipError("there is no lab yet; call a keyword such as `Given A Device` first.")
        return self._scene

    @property
    def device(self) -> Device:
        if self._device is None:
            raise OffchipError("there is no device yet; call a keyword such as `Given A Device` first.")
        return self._device

    @property
    def reach(self) -> Reach:
        """The exploiter, with this test's device in hand."""
        if self._reach is None:
            self._reach = Reach.into(self.scene, self.device, self._others)
            self._reach.firmware = self.elf or FIRMWARE
        return self._reach

    def said_since(self, *words: str) -> list[str]:
        """Lines of the device's console that begin so, since the test's own attack began."""
        return [line.text for line in self.board.console.lines[self.begun.lines:] if line.text.startswith(words)]

    @property
    def others(self) -> tuple[Device, ...]:
        """Devices of the same make the exploiter owns."""
        return self._others

    @property
    def rogue(self) -> RogueBroker | None:
        """The exploiter's server, once it stands."""
        return self._reach.rogue if self._reach else None

    @property
    def board(self) -> Board:
        return self.device.board

    @property
    def has_device(self) -> bool:
        return self._device is not None

    def keys(self) -> list[Secret]:
        """Private keys, device secrets and the keys made of them: those there are now, and those that were noted."""
        found = [each for each in self.scene.secrets() if "passphrase" not in each.name]
        for device in self.scene.devices:
            scheme = device.defence.scheme
            if not isinstance(scheme, Vaulted):
                continue
            for secret in device.secrets():
                sealer = scheme.sealer(Chip(secret, b""))
                found.append(Secret.of_bytes(f"the key for all chunks of {device.thing}", sealer.key(None, 64)))
                found += [Secret.of_bytes(f"the key of {chunk.value} of {device.thing}", sealer.key(chunk, 32))
                          for chunk in CREDENTIAL_CHUNKS]
        return [*self.noted, *(each for each in found if each not in self.noted)]

    def medium(self, which: MediumKind) -> SdCard | Eeprom:
        """The medium a keyword names."""
        return self.reach.medium(which)

    def heard(self, which: MediumKind) -> list[Transfer]:
        """All that crossed a medium's bus in this test, where it was listened to."""
        tap = self.board.spi_tap if which is SD else self.board.i2c_tap
        heard = self._heard.setdefault(which.name, [])
        heard += tap.drain()
        return heard

    def install(self, scene: Scene, device: Device, others: Sequence[Device] = ()) -> None:
        """``others``: devices of the same make the attacker owns. Raises OffchipError when there is a device already.
        """
        if self._scene is not None:
            raise OffchipError("a test has one device; write another test for another configuration.")
        self._scene, self._device, self._others = scene, device, tuple(others)
        self.record.seed, self.record.defence = scene.seed, device.defence.record()
        self.record.profile = scene.broker.profile.name

    def protect(self, rdp_level: int) -> None:
        """The factory's last step: raise the readout protection of a device that was set up without it."""
        if rdp_level > self.device.defence.rdp_level:
            self.board.debug_port.set_rdp(rdp_level)
            self._device = replace(self.device, defence=replace(self.device.defence, rdp_level=rdp_level))
            self.record.defence = self.device.defence.record()

    def grant(self, policy: str) -> None:
        """The owner gives the device's certificate another policy than the one it has."""
        before = self.device.defence.policy
        if policy != before:
            registry, certificate = self.scene.registry, self.device.identity.certificate_id
            registry.detach_policy(certificate, before)
            registry.attach_policy(certificate, policy)
            self._device = replace(self.device, defence=replace(self.device.defence, policy=policy))
            self.record.defence = self.device.defence.record()

    def deactivate(self) -> None:
        """The owner takes the device's certificate out of use, and what the server does next follows from that."""
        self.owner_acted_ns = self.scene.now_ns
        self.scene.deactivate(self.device.identity)

    def guard(self, guard: Guard) -> None:
        """The owner's server begins to react; what a device does by itself it was built with."""
        if guard is not self.device.defence.guard:
            self.scene.world.reactions.rules = guard.rules
            self._device = replace(self.device, defence=replace(self.device.defence, guard=guard))
            self.record.defence = self.device.defence.record()

    # what happens --------------------------------------------------------------------------------------------------
    def mark(self) -> Mark:
        """This moment."""
        return Mark(self.board.now_ns, len(self.board.console.lines), len(self.scene.broker.events))

    def fire(self, attack: Attack) -> list[Evidence]:
        """Let an attack happen and take its evidence.

        Raises:
            AssertionError: the attack does not apply here, or what it left behind is no evidence.
            AttackFailed: it could not be carried out.
        """
        applies = attack.applies(self.device.defence)
        if not applies:
            raise AssertionError(f"{attack.id} does not apply: {applies.reason}")
        begun = self.mark()
        if self.record.attack in (attack.id, ""):
            self.begun = begun
        evidence = attack.fire(self.reach)
        now_ns = self.board.now_ns
        if not evidence:
            raise AssertionError(f"{attack.id} left no evidence")
        for each in evidence:
            if each.attack != attack.id or not begun.time_ns <= each.time_ns <= now_ns:
                raise AssertionError(f"{attack.id} fired from {begun.time_ns} to {now_ns} ns and left {each}")
        self.record.add_evidence(evidence)
        return evidence

    def evidence(self) -> list[Evidence]:
        """That of this test's own attack."""
        return [each for each in self.record.fired if each.attack == self.record.attack]

    def event_ns(self, event: Event) -> int:
        """Virtual time of something in the broker's log."""
        return (event.time - self.scene.clock.start) // timedelta(microseconds=1) * 1000

    def cause_ns(self, ended: Disconnected) -> int | None:
        """When that happened which made the broker end a session; None when nothing is known."""
        log = list(self.scene.broker.events)
        before = log[:next(at for at, each in enumerate(log) if each is ended)]
        own = [each for each in before if isinstance(each, PublishForbidden | SubscribeForbidden)
               and each.connection == ended.connection]
        if own:
            return self.event_ns(own[-1])
        if self.owner_acted_ns is not None and self.owner_acted_ns <= self.event_ns(ended):
            return self.owner_acted_ns
        others = [each for each in before if isinstance(each, ConnectionOpened) and each.connection != ended.connection]
        return self.event_ns(others[-1]) if others else None

    def last_disconnect_ns(self) -> int | None:
        """When the broker last ended a session."""
        ended = [each for each in self.scene.broker.events.of(Disconnected) if each.client_id]
        return self.event_ns(ended[-1]) if ended else None

    def saw(self, text: str) -> None:
        """Note what an oracle observed."""
        self.record.observations.append(text)

    def measure(self) -> None:
        """Bring the record's figures up to date."""
        if self._device is not None:
            engine = self.board.engine
            self.record.engine = f"{engine.capabilities.name} ({engine.capabilities.version})"
            self.record.virtual_time_ns, self.record.instructions = engine.now_ns, engine.instructions
        self.record.elf_sha256 = self._elf_sha256

    def transcript(self) -> list[str]:
        """Console and broker side by side, for the log."""
        if self._device is None:
            return []
        lines = [f"{line.time_ns / 1e9:9.3f} s  {line.text}" for line in self.board.console.lines]
        lines += [f"broker: {event}" for event in self.scene.broker.events]
        return lines + [f"diagnostic: {each}" for each in self.board.diagnostics()]

    def close(self) -> None:
        """Let go of scene and boards."""
        if self.recorder is not None:
            self.recorder.close()
        if self._scene is not None:
            self._scene.close()
        self._scene = self._device = self._reach = None
