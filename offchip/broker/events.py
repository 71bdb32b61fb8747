# SPDX-License-Identifier: Apache-2.0
"""Everything the broker decided, as values a test can compare: ``TlsAlert("sent", 48, "unknown_ca") in broker.events``.

Time and connection are there to be read, they take no part in comparisons.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TypeVar

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: bytes of a payload that an event keeps
PAYLOAD_KEPT = 4096


class DisconnectReason(StrEnum):
    """``disconnectReason`` of AWS IoT's lifecycle events."""

    AUTH_ERROR = "AUTH_ERROR"
    CLIENT_INITIATED_DISCONNECT = "CLIENT_INITIATED_DISCONNECT"
    CLIENT_ERROR = "CLIENT_ERROR"
    CONNECTION_LOST = "CONNECTION_LOST"
    DUPLICATE_CLIENTID = "DUPLICATE_CLIENTID"
    FORBIDDEN_ACCESS = "FORBIDDEN_ACCESS"
    MQTT_KEEP_ALIVE_TIMEOUT = "MQTT_KEEP_ALIVE_TIMEOUT"
    SERVER_ERROR = "SERVER_ERROR"
    THROTTLED = "THROTTLED"
    SERVER_INITIATED_DISCONNECT = "SERVER_INITIATED_DISCONNECT"


@dataclass(frozen=True)
class Event:
    """``time``: the broker's clock; ``connection``: number of the connection, 0 for the broker itself."""

    time: datetime = field(default=_NEVER, compare=False, repr=False, kw_only=True)
    connection: int = field(default=0, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Unseeded(Event):
    """TLS inside the laboratory has real random numbers: bytes and instruction counts differ from run to run."""

    reason: str


@dataclass(frozen=True)
class ConnectionOpened(Event):
    """A TCP connection came in."""

    peer_name: str


@dataclass(frozen=True)
class TlsAlert(Event):
    """An alert record (RFC 8446, 6). ``direction``: ``sent`` or ``received`` by the broker; ``name`` as in the RFC."""

    direction: str
    number: int
    name: str


@dataclass(frozen=True)
class TlsEstablished(Event):
    """The handshake is complete on the broker's side; ``version`` is ``TLSv1.2`` or ``TLSv1.3``, ``sni`` may be ''."""

    version: str
    cipher: str
    sni: str
    certificate_id: str


@dataclass(frozen=True)
class TlsFailed(Event):
    """TLS ended with an error; ``reason`` is the library's name for it, the alert is an event of its own."""

    reason: str


@dataclass(frozen=True)
class CertificateRefused(Event):
    """TLS was fine, the registry was not: unknown, not ACTIVE, or outside its validity."""

    reason: str
    certificate_id: str


@dataclass(frozen=True)
class ConnectRefused(Event):
    """``code``: CONNACK return code, None when the broker hung up without a CONNACK."""

    code: int | None
    reason: str
    client_id: str


@dataclass(frozen=True)
class Connected(Event):
    """CONNACK 0 went out. ``thing``: the thing the session speaks for, '' when there is none."""

    client_id: str
    certificate_id: str
    thing: str
    session_present: bool


@dataclass(frozen=True)
class PublishAccepted(Event):
    """``receivers``: sessions the message was handed or queued to. ``payload``: its first bytes, ``size`` of all."""

    client_id: str
    topic: str
    payload: bytes
    qos: int
    receivers: int
    size: int = field(default=0, compare=False)


@dataclass(frozen=True)
class PublishForbidden(Event):
    """No policy allows it; the connection is closed. ``action``: iot:Publish or iot:RetainPublish."""

    client_id: str
    topic: str
    action: str


@dataclass(frozen=True)
class SubscribeAccepted(Event):
    """One filter of a SUBSCRIBE was granted."""

    client_id: str
    topic_filter: str
    qos: int


@dataclass(frozen=True)
class SubscribeForbidden(Event):
    """No policy allows it; the connection is closed."""

    client_id: str
    topic_filter: str


@dataclass(frozen=True)
class Unsubscribed(Event):
    """A subscription is gone."""

    client_id: str
    topic_filter: str


@dataclass(frozen=True)
class Delivered(Event):
    """A message was written to a live connection."""

    client_id: str
    topic: str
    qos: int


@dataclass(frozen=True)
class ReceiveForbidden(Event):
    """iot:Receive is missing: the message is withheld from this subscriber, the connection stays."""

    client_id: str
    topic: str


@dataclass(frozen=True)
class QosUnsupported(Event):
    """QoS 2: neither acknowledged nor acted upon. ``packet``: PUBLISH or SUBSCRIBE."""

    client_id: str
    packet: str
    topic: str


@dataclass(frozen=True)
class NotModelled(Event):
    """AWS IoT Core answers this and the laboratory does not: ``what`` in one sentence. The connection stays."""

    client_id: str
    topic: str
    what: str


@dataclass(frozen=True)
class RuleInvoked(Event):
    """Basic ingest: a message for ``rule`` alone, which nobody else sees."""

    client_id: str
    rule: str
    topic: str
    payload: bytes


@dataclass(frozen=True)
class MessageDropped(Event):
    """A message somebody will not get, and why, in one sentence."""

    client_id: str
    topic: str
    reason: str


@dataclass(frozen=True)
class Throttled(Event):
    """A rate limit of the profile was exceeded: ``limit`` is its name there."""

    client_id: str
    limit: str


@dataclass(frozen=True)
class ConnectTimedOut(Event):
    """No CONNECT within so many seconds of the TCP connection."""

    seconds: int


@dataclass(frozen=True)
class ConnectionRefused(Event):
    """A TCP connection the broker had no room for."""

    peer_name: str
    reason: str


@dataclass(frozen=True)
class ListenerTrouble(Event):
    """The host's network said something to the listener that is nobody's fault in the laboratory."""

    reason: str


@dataclass(frozen=True)
class CertificateRegistered(Event):
    """A certificate came into the registry over the network: just in time, or by fleet provisioning."""

    certificate_id: str
    how: str


@dataclass(frozen=True)
class ThingProvisioned(Event):
    """Fleet provisioning made or found a thing and tied a certificate to it."""

    thing: str
    certificate_id: str
    template: str


@dataclass(frozen=True)
class ProvisioningRefused(Event):
    """A request of fleet provisioning was rejected, with the error code the client got."""

    client_id: str
    topic: str
    code: str
    reason: str


@dataclass(frozen=True)
class RotationAsked(Event):
    """The owner asked a thing to replace this certificate."""

    thing: str
    certificate_id: str


@dataclass(frozen=True)
class RotationRefused(Event):
    """What a client said in a rotation was not taken."""

    client_id: str
    thing: str
    reason: str


@dataclass(frozen=True)
class CertificateReplaced(Event):
    """A thing uses its new certificate; those it is not to use any more became INACTIVE."""

    thing: str
    certificate_id: str
    ended: tuple[str, ...]


@dataclass(frozen=True)
class Banned(Event):
    """The owner took the keyset out of use: ``rule`` that did it, and one sentence."""

    certificate_id: str
    rule: str
    reason: str


@dataclass(frozen=True)
class SessionGivenUp(Event):
    """A sleeping session ended before its time: one sentence says why."""

    client_id: str
    reason: str


@dataclass(frozen=True)
class LogTruncated(Event):
    """The first ``dropped`` events are gone: the log is bounded."""

    dropped: int


@dataclass(frozen=True)
class ProtocolViolated(Event):
    """A malformed packet, one out of order, or one beyond a limit: one sentence."""

    reason: str


@dataclass(frozen=True)
class WillSent(Event):
    """The last will of a connection that ended otherwise than by DISCONNECT."""

    client_id: str
    topic: str


@dataclass(frozen=True)
class Disconnected(Event):
    """The broker has done with a connection; ``client_id`` is '' when no session had come about."""

    reason: DisconnectReason
    client_id: str


_Kind = TypeVar("_Kind", bound=Event)
#: characters kept of a text: what a client sends may be quoted, and has up to 65,535 bytes
_TEXT_KEPT = 600
#: events of every message, whose texts have been checked against shorter limits
_SHORT = {PublishAccepted, Delivered}


def _shortened(event: Event) -> Event:
    long = {name: f"{value[:_TEXT_KEPT]}... ({len(value)} characters)" for name, value in vars(event).items()
            if isinstance(value, str) and len(value) > _TEXT_KEPT}
    return replace(event, **long) if long else event  # type: ignore[arg-type]


class EventLog:
    """Append-only and bounded: the oldest events go first, and :class:`LogTruncated` then stands in their place.

    ``len(log)`` counts all events there ever were, so that a length taken earlier stays a good position.
    """

    def __init__(self, most: int = 200_000, most_payload: int = 16 << 20) -> None:
        """``most``: events; ``most_payload``: bytes of all payloads together."""
        self._events: deque[Event] = deque()
        self._most, self._most_payload = most, most_payload
        self._payload = 0
        self._dropped = 0

    def append(self, event: Event, time: datetime, connection: int) -> None:
        """Only the broker writes."""
        if type(event) not in _SHORT:
            event = _shortened(event)
        # an event is frozen for everybody else; a copy of each would cost more than the rest of a publish
        fields = event.__dict__
        payload: bytes = fields.get("payload", b"")
        if len(payload) > PAYLOAD_KEPT:
            fields["payload"] = payload = payload[:PAYLOAD_KEPT]
        fields["time"], fields["connection"] = time, connection
        self._events.append(event)
        self._payload += len(payload)
        while len(self._events) > self._most or self._payload > self._most_payload:
            self._payload -= len(getattr(self._events.popleft(), "payload", b""))
            self._dropped += 1

    def clear(self) -> None:
        """Forget everything; positions stay what they are."""
        self._dropped += len(self._events)
        self._events.clear()
        self._payload = 0

    @property
    def dropped(self) -> int:
        """How many of the first events are gone."""
        return self._dropped

    def of(self, kind: type[_Kind], connection: int | None = None) -> list[_Kind]:
        """All events of one type, in order; of one connection if given."""
        return [each for each in self if isinstance(each, kind) and connection in (None, each.connection)]

    def since(self, position: int) -> list[Event]:
        """Everything after the first ``position`` events (``len(log)`` taken earlier)."""
        if position < self._dropped:
            return list(self)
        # from the end, as those who ask are seldom far behind
        return list(islice(reversed(self._events), max(len(self) - position, 0)))[::-1]

    def __contains__(self, event: object) -> bool:
        return event in self._events

    def __iter__(self) -> Iterator[Event]:
        lost = (LogTruncated(self._dropped),) if self._dropped else ()
        return iter((*lost, *self._events))

    def __len__(self) -> int:
        return self._dropped + len(self._events)
