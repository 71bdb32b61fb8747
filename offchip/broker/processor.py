# SPDX-License-Identifier: Apache-2.0
"""The data processor: subscribes to what the things publish and believes nothing it has not checked (SPEC.md, 5)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509

from offchip.broker.client import MqttClient
from offchip.broker.payload import no_constant, unique
from offchip.broker.session import Message
from offchip.errors import BrokerError
from offchip.pki import Identity

if TYPE_CHECKING:
    from offchip.network.internet import Service

THING_TOPIC = "offchip/things/"
FEED_TOPIC = "offchip/feed"
_FIELDS: dict[str, type | tuple[type, ...]] = {"thing": str, "seq": int, "time": int, "temperature": (int, float)}
_PING_AFTER = timedelta(seconds=600)
_KEEP_ALIVE = 1200


class Rogue(StrEnum):
    """Why a packet is not believed."""

    NOT_JSON = "not-json"
    FIELDS = "fields"
    TYPE = "type"
    UNKNOWN_THING = "unknown-thing"
    TOPIC = "topic"
    SEQUENCE = "sequence"
    TIME = "time"
    SPACING = "spacing"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A packet that was believed; ``time`` is UTC in seconds, ``temperature`` in degrees Celsius."""

    topic: str
    thing: str
    seq: int
    time: int
    temperature: float


@dataclass(frozen=True, slots=True)
class RoguePacket:
    """A packet that was not; ``detail`` is one sentence."""

    topic: str
    payload: bytes
    reason: Rogue
    detail: str


class _Disbelieved(Exception):
    def __init__(self, reason: Rogue, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Processor:
    """Judges every message of ``offchip/things/+`` and ``offchip/feed``.

    A sequence number of 1 with a later time is a new boot. Packets that come closer together than their sequence
    numbers allow are rogue; a longer pause is an outage, counted in ``gaps``.
    """

    def __init__(self, client_id: str, identity: Identity, authorities: Iterable[x509.Certificate], host: str,
                 things: Iterable[str], clock: Callable[[], datetime], interval_s: float | None = None,
                 time_tolerance_s: float = 10.0, spacing_tolerance_s: float = 2.0, seed: int | str = 1) -> None:
        """``interval_s``: publish interval of the things (None: spacing is not judged); tolerances in seconds."""
        self.identity = identity
        self.things = set(things)
        self.interval_s = interval_s
        self.time_tolerance_s = time_tolerance_s
        self.spacing_tolerance_s = spacing_tolerance_s
        self.accepted: list[Telemetry] = []
        self.rogue: list[RoguePacket] = []
        self.gaps = 0
        self.client = MqttClient(client_id, identity, authorities, host, self._on_message, _KEEP_ALIVE, seed=seed)
        self._clock = clock
        self._last: dict[tuple[str, str], Telemetry] = {}
        self._last_ping = clock()

    def connect(self, service: Service) -> None:
        """Connect and subscribe. Raises BrokerError when the broker does not let it."""
        if not self.client.connect(service):
            raise BrokerError(f"the data processor cannot connect: CONNACK {self.client.connack}, "
                              f"TLS {self.client.failure or 'good'}")
        if not self.client.subscribe(f"{THING_TOPIC}+", FEED_TOPIC):
            raise BrokerError("the data processor may not subscribe to the telemetry")
        self._last_ping = self._clock()

    def tick(self) -> datetime:
        """Keep the connection alive; call it as time passes. Returns until when it may be left alone."""
        now = self._clock()
        if self.client.connected and now - self._last_ping >= _PING_AFTER:
            self._last_ping = now
            self.client.ping()
        return (self._last_ping if self.client.connected else now) + _PING_AFTER

    @property
    def rogue_reasons(self) -> Counter[Rogue]:
        """How many packets were rogue for which reason."""
        return Counter(each.reason for each in self.rogue)

    def _on_message(self, message: Message) -> None:
        try:
            telemetry = _parse(message)
            self._judge(telemetry)
        except _Disbelieved as error:
            self.rogue.append(RoguePacket(message.topic, message.payload, error.reason, str(error)))
        else:
            self._last[telemetry.topic, telemetry.thing] = telemetry
            self.accepted.append(telemetry)

    def _judge(self, new: Telemetry) -> None:
        if new.thing not in self.things:
            raise _Disbelieved(Rogue.UNKNOWN_THING, f"nobody knows a thing '{new.thing}'")
        if new.topic not in (THING_TOPIC + new.thing, FEED_TOPIC):
            raise _Disbelieved(Rogue.TOPIC, f"'{new.thing}' does not publish to '{new.topic}'")
        ahead = new.time - self._clock().timestamp()
        if abs(ahead) > self.time_tolerance_s:
            raise _Disbelieved(Rogue.TIME, f"its time is {ahead:+.0f} s off; {self.time_tolerance_s:g} s are allowed")
        last = self._last.get((new.topic, new.thing))
        if last is None:
            return
        if new.time < last.time:
            raise _Disbelieved(Rogue.TIME, f"its time {new.time} lies before {last.time} of the packet before")
        if new.seq <= last.seq and (new.seq != 1 or new.time == last.time):
            raise _Disbelieved(Rogue.SEQUENCE, f"seq {new.seq} follows seq {last.seq}")
        if self.interval_s is not None and new.seq > last.seq:
            expected, passed = (new.seq - last.seq) * self.interval_s, new.time - last.time
            if passed < expected - self.spacing_tolerance_s:
                raise _Disbelieved(Rogue.SPACING, f"{passed} s passed; seq {last.seq} to {new.seq} take {expected:g} s")
            self.gaps += passed > expected + self.spacing_tolerance_s


def telemetry(thing: str, seq: int, time: datetime) -> bytes:
    """What a thing says that has nothing to hide; ``seq``: number of the packet since the start."""
    return json.dumps({"thing": thing, "seq": seq, "time": int(time.timestamp()), "temperature": 21.5}).encode()


def _parse(message: Message) -> Telemetry:
    try:
        content = json.loads(message.payload.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise _Disbelieved(Rogue.NOT_JSON, str(error)) from error
    if not isinstance(content, dict) or set(content) != set(_FIELDS):
        raise _Disbelieved(Rogue.FIELDS, f"not an object of exactly {', '.join(_FIELDS)}")
    for key, kind in _FIELDS.items():
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise _Disbelieved(Rogue.TYPE, f"{key} has the wrong type")
    # beyond 32 bits there is no genuine counter or time; it also keeps arithmetic with floats from overflowing
    if not 1 <= content["seq"] < 1 << 32 or not 0 <= content["time"] < 1 << 32:
        raise _Disbelieved(Rogue.TYPE, "seq or time is out of range")
    if not -273.15 <= content["temperature"] < 1e4:
        raise _Disbelieved(Rogue.TYPE, "no such temperature exists")
    return Telemetry(message.topic, content["thing"], content["seq"], content["time"], float(content["temperature"]))
