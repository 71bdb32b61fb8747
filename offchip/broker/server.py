# SPDX-License-Identifier: Apache-2.0
"""The broker: who may connect, one step at a time. Sans-IO: bytes in, bytes out, time from a clock.

When :meth:`Connection.receive` returns, everything that follows is done, deliveries to other connections included.
Dependencies point one way: server -> connection -> conversation -> hub -> delivery -> session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from offchip.broker import events
from offchip.broker.connection import Connection
from offchip.broker.entrance import Entrance
from offchip.broker.entropy import Entropy, seeding_fault
from offchip.broker.events import DisconnectReason, EventLog
from offchip.broker.hub import Hub
from offchip.broker.profile import Profile, load_profile
from offchip.broker.registry import Registry
from offchip.broker.session import Message, Session
from offchip.broker.tls import server_context, trust
from offchip.broker.turns import Turns
from offchip.errors import NetworkError
from offchip.pki import Identity

#: tells UTC, with a time zone
UtcClock = Callable[[], datetime]


class Busy(NetworkError):
    """The broker has no room for another connection."""


class Broker:
    """An AWS-IoT-like message broker. May be used from several threads; each call is one indivisible step."""

    def __init__(self, server_identity: Identity, device_authorities: Iterable[x509.Certificate], clock: UtcClock,
                 profile: Profile | None = None, registry: Registry | None = None,
                 keylog_file: Path | None = None, seed: int | str = 1) -> None:
        """``device_authorities``: who may have signed a device's certificate; the registry has the last word.
        ``seed``: where TLS inside the laboratory takes its random numbers from.

        Raises BrokerError when certificates, profile or key log are unusable.
        """
        self.profile = profile or load_profile()
        self.registry = registry or Registry()
        self.events = EventLog()
        self.turns = Turns()
        self.hub = Hub(self.profile, self.registry, clock, self.events)
        self._entrance = Entrance(self.hub)
        self._context = server_context(server_identity, (*device_authorities, *self.registry.to_trust()),
                                       self.profile, keylog_file)
        self._connections: dict[int, Connection] = {}
        self._opened = 0
        self._seed = f"{seed}\0{server_identity.certificate_id}"
        self._in_laboratory: Counter[str] = Counter()
        #: certificates that left ACTIVE, and when their sessions are dropped
        self._deactivated: list[tuple[datetime, str]] = []
        self.registry.on_status.append(self._on_status)
        self.registry.on_trust.append(lambda certificate: trust(self._context, certificate))
        if fault := seeding_fault():
            self.log(events.Unseeded(fault))

    def connect(self, peer_name: str, real: bool = False) -> Connection:
        """Accept a TCP connection. ``peer_name``: the peer's IP address if it has one (policies may ask for it).

        ``real``: the peer is not of the laboratory, TLS then has real random numbers. Raises Busy when there are too
        many connections, all of them with a session.
        """
        with self.turns.step():
            most = self.profile.connections_maximum
            if len(self._connections) >= most and not self.evict(peer_name, most):
                raise Busy(f"connection refused: there are {most} connections, all of them with a session")
            self._opened += 1
            entropy = None
            if not real:
                # counted by peer, so that one peer's bytes do not depend on how often another one connects
                self._in_laboratory[peer_name] += 1
                entropy = Entropy(self._seed, "server", peer_name, self._in_laboratory[peer_name])
            connection = Connection(self.hub, self._entrance, self.turns, self._opened, peer_name, self._context,
                                    entropy, self._forget)
            self._connections[connection.number] = connection
            self.log(events.ConnectionOpened(peer_name), connection.number)
            return connection

    def tick(self) -> datetime:
        """Let time take effect: keep-alives, retries, expiries. Cheap; call it as often as you like.

        Returns until when it may be left alone if nobody talks to the broker.
        """
        with self.turns.step():
            now = self.now()
            due = self.hub.tick(now)
            for connection in tuple(self._connections.values()):
                due = min(due, connection.tick(now) or due)
            waiting, self._deactivated = self._deactivated, []
            for when, identifier in waiting:
                if now >= when:
                    self._check_certificate(identifier)
                else:
                    self._deactivated.append((when, identifier))
                    due = min(due, when)
            return due

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> int:
        """Publish from the cloud's side (a command to a thing); returns the number of receivers."""
        with self.turns.step():
            return self.hub.route(Message(topic, payload, qos, retain))

    def now(self) -> datetime:
        """The broker's time."""
        return self.hub.now()

    def log(self, event: events.Event, connection: int = 0) -> None:
        """Append an event with the broker's time."""
        self.hub.log(event, connection)

    @property
    def sessions(self) -> dict[str, Session]:
        """Client id -> session, sleeping ones included."""
        return self.hub.sessions

    @property
    def retained(self) -> dict[str, Message]:
        """Topic -> retained message."""
        return self.hub.retained

    @property
    def connections(self) -> int:
        """How many TCP connections there are."""
        return len(self._connections)

    def evict(self, peer_name: str, most: int) -> bool:
        """Make room for ``peer_name``: of ``most`` connections the oldest without a session gives way; False when all
        have one."""
        with self.turns.step():
            idle = next((each for each in self._connections.values() if not each.connected), None)
            if idle is None:
                self.log(events.ConnectionRefused(peer_name, f"there are {most} connections, all with a session"))
                return False
            self.log(events.ConnectionRefused(idle.peer_name, f"there are {most} connections; this, the oldest without "
                                              "a session, gives way"), idle.number)
            idle.drop(DisconnectReason.THROTTLED)
            return True

    # inside --------------------------------------------------------------------------------------------------------
    def _forget(self, number: int) -> None:
        self._connections.pop(number, None)

    def _on_status(self, certificate_id: str) -> None:
        if not self.profile.inactive_drops_sessions:
            return
        with self.turns.step():
            delay = self.profile.deactivation_delay_seconds
            if delay:
                self._deactivated.append((self.now() + timedelta(seconds=delay), certificate_id))
            else:
                self._check_certificate(certificate_id)

    def _check_certificate(self, certificate_id: str) -> None:
        for connection in tuple(self._connections.values()):
            if connection.certificate_id == certificate_id:
                connection.check_certificate()
