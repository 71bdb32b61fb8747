# SPDX-License-Identifier: Apache-2.0
"""What the broker remembers about one client id (MQTT 3.1.1, 3.1.2.4 and 4.4), and what it needs of who is there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from offchip.broker.events import DisconnectReason
from offchip.mqtt import Properties, Reason, Subscription


@dataclass(frozen=True, slots=True)
class Message:
    """An application message. ``retain``: as the receiver is to see it; ``expires``: nobody wants it after that."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)
    expires: datetime | None = None


class Link(Protocol):
    """A client that is connected, as sessions and routing see it."""

    number: int
    peer_name: str

    @property
    def certificate_id(self) -> str:
        """Of the connection."""

    @property
    def resends(self) -> bool:
        """MQTT 3: an unacknowledged message may come again on the same connection (MQTT 5.0, 4.4 forbids it)."""

    @property
    def backlog(self) -> int:
        """Bytes that wait for the client to read."""

    def deliver(self, message: Message, packet_id: int, duplicate: bool = False) -> bool:
        """Write a PUBLISH; False when the client takes none of this size."""

    def close(self, reason: DisconnectReason, code: Reason | None = None) -> None:
        """Hang up; ``code``: what MQTT 5 clients are told, when the reason alone does not say it."""


@dataclass(slots=True)
class Sent:
    """A QoS 1 message without its PUBACK: when it first and last went out."""

    message: Message
    first: datetime
    last: datetime


@dataclass(slots=True)
class Session:
    """``inflight``: QoS 1 messages without their PUBACK, by packet id; ``queue``: those that still wait.

    ``link`` is None while a persistent session sleeps, until ``expires``. ``keep_seconds``: how long it then lives, 0
    for a clean one. ``stored``: how many of the queue waited when the client came back; ``replay_at``: when more of
    them may be sent.
    """

    client_id: str
    certificate_id: str
    identifier: str
    number: int
    keep_seconds: int = 0
    thing: str = ""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: deque[Message] = field(default_factory=deque)
    queue_bytes: int = 0
    stored: int = 0
    replay_at: datetime = datetime.min
    inflight: dict[int, Sent] = field(default_factory=dict)
    receive_maximum: int = 65535
    link: Link | None = None
    expires: datetime | None = None
    _last_packet_id: int = 0

    def next_packet_id(self) -> int:
        """1..65535, none that is in flight."""
        while True:
            self._last_packet_id = self._last_packet_id % 65535 + 1
            if self._last_packet_id not in self.inflight:
                return self._last_packet_id
