# SPDX-License-Identifier: Apache-2.0
"""What the broker remembers about one client id (MQTT 3.1.1, 3.1.2.4 and 4.4)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offchip.broker.connection import Connection


@dataclass(frozen=True, slots=True)
class Message:
    """An application message. ``retain``: as the receiver is to see it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(slots=True)
class Session:
    """``inflight``: QoS 1 messages without their PUBACK, by packet id; ``queue``: those that still wait.

    ``connection`` is None while a persistent session sleeps, until ``expires``.
    """

    client_id: str
    certificate_id: str
    clean: bool
    identifier: str
    number: int
    thing: str = ""
    subscriptions: dict[str, int] = field(default_factory=dict)
    queue: deque[Message] = field(default_factory=deque)
    inflight: dict[int, Message] = field(default_factory=dict)
    connection: Connection | None = None
    expires: datetime | None = None
    _last_packet_id: int = 0

    def next_packet_id(self) -> int:
        """1..65535, none that is in flight."""
        while True:
            self._last_packet_id = self._last_packet_id % 65535 + 1
            if self._last_packet_id not in self.inflight:
                return self._last_packet_id
