# SPDX-License-Identifier: Apache-2.0
"""The cast of one test: the owner's broker and CA, the device's identity, the attacker's own CA and server."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from offchip.attacks.evidence import Evidence
from offchip.attacks.rogue import RogueBroker
from offchip.board.board import Board
from offchip.board.factory import Credentials
from offchip.broker.events import PublishAccepted
from offchip.broker.listener import Listener
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC, Processor
from offchip.broker.registry import Status
from offchip.broker.server import Broker
from offchip.broker.world import HOST, PORT, World, again_ns, build_world
from offchip.network.clock import LabClock
from offchip.pki import Authority, Identity
from offchip.pki.authority import EXPIRED, NOT_YET_VALID

SEED = 1
_OTHER_HOST = "mail.offchip.test"


class Stage:
    """Who takes part. Everything follows from one seed, so each test meets the same certificates.

    Args:
        thing: the device under test.
        others: further things the owner has.
        interval_s: seconds between two rounds of telemetry the data processor expects.
    """

    def __init__(self, thing: str, others: tuple[str, ...] = (), interval_s: float | None = None) -> None:
        self.thing = thing
        self.clock = LabClock()
        self._now_ns = 0
        self.world: World = build_world(self._utc, SEED, (thing, *others), interval_s=interval_s)
        self.broker: Broker = self.world.broker
        self.rogue_authority = Authority("rogue")
        self.rogue = RogueBroker(self.rogue_authority.issue_server([HOST]))
        self.device: Identity = self.world.devices[thing]
        self._listener: Listener | None = None

    def _utc(self) -> datetime:
        return self.clock.true_utc(self._now_ns)

    @property
    def authority(self) -> Authority:
        return self.world.authority

    @property
    def processor(self) -> Processor:
        return self.world.processor

    @property
    def device_public_key(self) -> ec.EllipticCurvePublicKey:
        return self.device.certificate.public_key()

    @property
    def telemetry_topics(self) -> tuple[str, str]:
        return THING_TOPIC + self.thing, FEED_TOPIC

    def use_identity(self, kind: str) -> None:
        """Give the device an identity the registry does not know.

        ``unregistered``: signed by the owner's CA; ``foreign``: by somebody else's.
        """
        issuer = {"unregistered": self.authority, "foreign": Authority("somebody else")}[kind]
        self.device = issuer.issue_device(self.thing)

    def credentials(self) -> Credentials:
        """What the factory puts into the device."""
        return Credentials((self.authority.root.certificate_der,), self.device.certificate_der, self.device.key_der)

    def follow(self, board: Board) -> None:
        """Let broker and processor live in the board's virtual time."""
        board.internet.register(HOST, PORT, self.broker)

        def tick(now_ns: int) -> int:
            self._now_ns = now_ns
            due_ns = self.world.tick(now_ns)
            if self.broker is not self.world.broker:
                due_ns = min(due_ns, again_ns(now_ns, self.broker.now(), self.broker.tick()))
            return due_ns

        board.on_slice.append(tick)

    def serve_with(self, kind: str, board: Board) -> Evidence:
        """Answer under the endpoint's name with another certificate from the next connection on.

        ``good``, ``untrusted``, ``wrong-host``, ``expired`` or ``not-yet-valid``.
        """
        identity = {
            "good": lambda: self.world.server,
            "untrusted": lambda: self.rogue_authority.issue_server([HOST]),
            "wrong-host": lambda: self.authority.issue_server([_OTHER_HOST]),
            "expired": lambda: self.authority.issue_server([HOST], *EXPIRED),
            "not-yet-valid": lambda: self.authority.issue_server([HOST], *NOT_YET_VALID),
        }[kind]()
        self.broker = Broker(identity, self.authority.certificates, self._utc, registry=self.world.registry)
        board.internet.redirect(HOST, PORT, self.broker)
        return Evidence("present server certificate", f"{HOST}:{PORT}", board.now_ns,
                        f"{kind}: SHA-256 {identity.certificate_id[:16]}")

    def deactivate(self) -> None:
        self.world.registry.update_certificate(self.device.certificate_id, Status.INACTIVE)

    def accepted_publishes(self, topic: str) -> list[PublishAccepted]:
        return [e for e in self.broker.events.of(PublishAccepted)
                if e.topic == topic and e.client_id == self.thing]

    # the host's network ----------------------------------------------------------------------------------------------
    def listen(self) -> tuple[str, int]:
        """Open the broker to real TCP clients; returns host and port."""
        self._listener = Listener(self.broker)
        return self._listener.host, self._listener.port

    def hang_up(self) -> None:
        """Close the TCP side and wait until everything that came in was dealt with."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    close = hang_up
