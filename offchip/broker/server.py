# SPDX-License-Identifier: Apache-2.0
"""The broker: sessions, routing and the registry's say in both. Sans-IO: bytes in, bytes out, time from a clock.

When :meth:`Connection.receive` returns, everything that follows is done, deliveries to other connections included.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from amqtt.mqtt.publish import PublishPacket
from cryptography import x509

from offchip.broker import events
from offchip.broker.connection import Connection
from offchip.broker.entropy import Entropy, seeding_fault
from offchip.broker.events import DisconnectReason, EventLog
from offchip.broker.policy import Decision, Policy, Request, decide
from offchip.broker.profile import Profile, load_profile
from offchip.broker.registry import Registry, Status
from offchip.broker.session import Message, Session
from offchip.broker.tls import server_context
from offchip.broker.topics import has_wildcard, matches
from offchip.pki import Identity

#: a broker that waits for nothing wants to be told the time this often
_LOOK_AFTER = timedelta(hours=1)
#: tells UTC, with a time zone
UtcClock = Callable[[], datetime]


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
        self.retained: dict[str, Message] = {}
        self.sessions: dict[str, Session] = {}
        self._clock = clock
        self._context = server_context(server_identity, device_authorities, self.profile, keylog_file)
        self._connections: dict[int, Connection] = {}
        self._opened = 0
        self._seed = f"{seed}\0{server_identity.certificate_id}"
        self._in_laboratory: Counter[str] = Counter()
        self._session_numbers: Counter[str] = Counter()
        self._policies: dict[str, tuple[datetime, list[Policy]]] = {}
        self._lock = threading.RLock()
        self._depth = 0
        self._to_wake: dict[Connection, None] = {}
        self.registry.on_status.append(self._on_status)
        if fault := seeding_fault():
            self.log(events.Unseeded(fault))

    def connect(self, peer_name: str, real: bool = False) -> Connection:
        """Accept a TCP connection. ``peer_name``: the peer's IP address if it has one (policies may ask for it).

        ``real``: the peer is not of the laboratory, TLS then has real random numbers.
        """
        with self._lock:
            self._opened += 1
            entropy = None
            if not real:
                # counted by peer, so that one peer's bytes do not depend on how often another one connects
                self._in_laboratory[peer_name] += 1
                entropy = Entropy(self._seed, "server", peer_name, self._in_laboratory[peer_name])
            connection = Connection(self, self._opened, peer_name, self._context, entropy)
            self._connections[connection.number] = connection
            self.log(events.ConnectionOpened(peer_name), connection.number)
            return connection

    def tick(self) -> datetime:
        """Let time take effect: keep-alives and the end of sleeping sessions. Cheap; call it as often as you like.

        Returns until when it may be left alone if nobody talks to the broker.
        """
        with self.operation():
            now = self.now()
            due = now + _LOOK_AFTER
            for connection in tuple(self._connections.values()):
                connection.check_keep_alive(now)
                due = min(due, connection.silent_until or due)
            for session in tuple(self.sessions.values()):
                if session.expires and now >= session.expires:
                    del self.sessions[session.client_id]
                else:
                    due = min(due, session.expires or due)
            return due

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> int:
        """Publish from the cloud's side (a command to a thing); returns the number of receivers."""
        with self.operation():
            return self.route(Message(topic, payload, qos, retain))

    def now(self) -> datetime:
        """The broker's time."""
        return self._clock()

    # for connections -----------------------------------------------------------------------------------------------
    @contextmanager
    def operation(self, source: Connection | None = None) -> Iterator[None]:
        """One indivisible step; when the outermost ends, everybody but ``source`` who has output is woken."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._wake_all(source)

    def wake(self, connection: Connection) -> None:
        """There is something to take, or the connection closed."""
        self._to_wake[connection] = None
        if connection.closed:
            self._connections.pop(connection.number, None)

    def log(self, event: events.Event, connection: int = 0) -> None:
        """Append an event with the broker's time."""
        self.events.append(event, self.now(), connection)

    def certificate_fault(self, certificate_id: str) -> str | None:
        """Why this certificate may not be used now, or None."""
        record = self.registry.certificates.get(certificate_id)
        if record is None:
            return "not registered"
        if record.status is not Status.ACTIVE:
            return f"status {record.status}"
        now = self.now()
        if now < record.certificate.not_valid_before_utc:
            return "not yet valid"
        return "expired" if now > record.certificate.not_valid_after_utc else None

    def authorise(self, connection: Connection, client_id: str, action: str, kind: str, name: str,
                  extra: dict[str, str | list[str]] | None = None) -> Decision:
        """Ask the policies of the connection's certificate."""
        context = {"aws:SourceIp": connection.peer_name, **(extra or {})}
        return self._decide(connection.certificate_id, client_id, action, kind, name, context)

    def begin_session(self, connection: Connection, client_id: str, clean: bool) -> tuple[Session, bool]:
        """Take over or make the session of a client id; the bool is CONNACK's session present."""
        old = self.sessions.get(client_id)
        if old and old.connection:
            old.connection.close(DisconnectReason.DUPLICATE_CLIENTID)
            old = self.sessions.get(client_id)
        if old and (clean or old.expires and self.now() >= old.expires):
            old = None
        number = self._session_numbers[client_id]
        self._session_numbers[client_id] += 1
        thing = self.registry.thing_of(connection.certificate_id, client_id)
        session = old or Session(client_id, connection.certificate_id, clean, _session_identifier(client_id, number),
                                 number)
        session.certificate_id, session.clean, session.number = connection.certificate_id, clean, number
        session.thing = thing.name if thing else ""
        session.connection, session.expires = connection, None
        self.sessions[client_id] = session
        return session, old is not None

    def end_session(self, connection: Connection, session: Session, reason: DisconnectReason) -> None:
        """The connection of a session is gone: keep or forget it, send its will, tell the world."""
        session.connection = None
        if session.clean:
            del self.sessions[session.client_id]
        else:
            session.expires = self.now() + timedelta(seconds=self.profile.session_expiry_seconds)
        by_client = reason is DisconnectReason.CLIENT_INITIATED_DISCONNECT
        will, connection.will = connection.will, None
        if will and not by_client:
            self._send_will(connection, session, will)
        self._announce(session, "presence", "disconnected", clientInitiatedDisconnect=by_client,
                       disconnectReason=reason, versionNumber=session.number)

    def resume(self, session: Session) -> None:
        """4.4: what was sent and not acknowledged comes again, then what waited."""
        for packet_id, message in session.inflight.items():
            self._write(session, message, packet_id, duplicate=True)
        self.pump(session)

    def pump(self, session: Session) -> None:
        """Send queued QoS 1 messages as far as unacknowledged ones may pile up."""
        while session.queue and session.connection and len(session.inflight) < self.profile.unacknowledged_messages:
            message = session.queue.popleft()
            packet_id = session.next_packet_id()
            session.inflight[packet_id] = message
            self._write(session, message, packet_id)

    def route(self, message: Message) -> int:
        """Keep a retained message and hand a message to every session that subscribes and may receive it."""
        if message.retain:
            if message.payload:
                self.retained[message.topic] = message
            else:
                self.retained.pop(message.topic, None)
        with_parent = self.profile.multilevel_wildcard_matches_parent
        receivers = 0
        for session in tuple(self.sessions.values()):
            granted = [qos for text, qos in session.subscriptions.items() if matches(text, message.topic, with_parent)]
            if granted:
                receivers += self._deliver(session, replace(message, qos=min(message.qos, max(granted)), retain=False))
        return receivers

    def send_retained(self, session: Session, text: str, qos: int) -> None:
        """What a new subscription finds."""
        for topic, message in tuple(self.retained.items()):
            if topic == text or has_wildcard(text) and matches(text, topic,
                                                               self.profile.multilevel_wildcard_matches_parent):
                self._deliver(session, replace(message, qos=min(message.qos, qos)))

    def announce_connected(self, session: Session) -> None:
        """Lifecycle event of AWS IoT Core."""
        address = session.connection.peer_name if session.connection else ""
        self._announce(session, "presence", "connected", ipAddress=address, versionNumber=session.number)

    def announce_subscription(self, session: Session, what: str, filters: list[str]) -> None:
        """``what``: subscribed or unsubscribed."""
        self._announce(session, "subscriptions", what, topics=filters)

    # inside --------------------------------------------------------------------------------------------------------
    def _deliver(self, session: Session, message: Message) -> bool:
        connection = session.connection
        decision = self._decide(session.certificate_id, session.client_id, "iot:Receive", "topic", message.topic,
                                {"aws:SourceIp": connection.peer_name} if connection else {})
        if not decision.allowed:
            self.log(events.ReceiveForbidden(session.client_id, message.topic), connection.number if connection else 0)
            return False
        if message.qos:
            session.queue.append(message)
            self.pump(session)
        elif connection:
            self._write(session, message, None)
        return bool(message.qos or connection)

    def _write(self, session: Session, message: Message, packet_id: int | None, duplicate: bool = False) -> None:
        connection = session.connection
        if connection:
            connection.send(PublishPacket.build(message.topic, message.payload, packet_id, duplicate, message.qos,
                                                message.retain))
            self.log(events.Delivered(session.client_id, message.topic, message.qos), connection.number)

    def _decide(self, certificate_id: str, client_id: str, action: str, kind: str, name: str,
                extra: dict[str, str | list[str]]) -> Decision:
        context = {**self.registry.context(certificate_id, client_id), **extra}
        return decide(self._policies_of(certificate_id), Request(action, self.registry.arn(kind, name), context))

    def _policies_of(self, certificate_id: str) -> list[Policy]:
        now = self.now()
        read, policies = self._policies.get(certificate_id, (None, []))
        if read is None or (now - read).total_seconds() >= self.profile.policy_cache_seconds:
            policies = self.registry.policies_of(certificate_id)
            self._policies[certificate_id] = (now, policies)
        return policies

    def _send_will(self, connection: Connection, session: Session, will: Message) -> None:
        for action in ("iot:Publish", "iot:RetainPublish")[:1 + will.retain]:
            if not self.authorise(connection, session.client_id, action, "topic", will.topic).allowed:
                self.log(events.PublishForbidden(session.client_id, will.topic, action), connection.number)
                return
        self.log(events.WillSent(session.client_id, will.topic), connection.number)
        self.route(will if self.profile.retained_messages else replace(will, retain=False))

    def _announce(self, session: Session, family: str, event_type: str, **fields: object) -> None:
        """Client ids with wildcards get no lifecycle events (AWS IoT Core, "Lifecycle events")."""
        if has_wildcard(session.client_id):
            return
        content = {"clientId": session.client_id, "timestamp": int(self.now().timestamp() * 1000),
                   "eventType": event_type, "sessionIdentifier": session.identifier,
                   "principalIdentifier": session.certificate_id, **fields}
        topic = f"$aws/events/{family}/{event_type}/{session.client_id}"
        self.route(Message(topic, json.dumps(content).encode(), 1))

    def _on_status(self, certificate_id: str) -> None:
        if self.profile.inactive_drops_sessions:
            with self.operation():
                for connection in tuple(self._connections.values()):
                    if connection.certificate_id == certificate_id:
                        connection.check_certificate()

    def _wake_all(self, source: Connection | None) -> None:
        if source:
            self._to_wake.pop(source, None)
        while self._to_wake:
            connection = next(iter(self._to_wake))
            del self._to_wake[connection]
            if connection.on_output:
                connection.on_output()


def _session_identifier(client_id: str, number: int) -> str:
    """Unique and the same in every run."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"{client_id}\0{number}".encode()).digest()[:16], version=4))
