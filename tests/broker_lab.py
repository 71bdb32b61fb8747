# SPDX-License-Identifier: Apache-2.0
"""A world with clients for tests of the broker: a clock by hand, an in-laboratory client, raw bytes inside good TLS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.broker.events import DisconnectReason
from offchip.broker.tls import TlsStream, client_context
from offchip.broker.world import HOST, World, build_world, commands_topic
from offchip.pki import Identity

START = datetime(2026, 6, 1, tzinfo=UTC)
THING, OWN, COMMANDS = "thing-1", "offchip/things/thing-1", commands_topic("thing-1")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Lab:
    """A world with one thing, and clients for it."""

    def __init__(self, **options: object) -> None:
        self.clock = Clock()
        self.world: World = build_world(self.clock, things=(THING, "thing-2"), **options)  # type: ignore[arg-type]
        self.broker = self.world.broker
        self.mark = len(self.broker.events)

    def client(self, client_id: str = THING, thing: str = THING, identity: Identity | None = None,
               **options: object) -> MqttClient:
        """Connected, whatever came of it."""
        client = MqttClient(client_id, identity or self.world.devices[thing], self.world.authority.certificates, HOST,
                            **options)  # type: ignore[arg-type]
        client.connect(self.broker)
        return client

    def new(self, kind: type[events.Event]) -> list:  # type: ignore[type-arg]
        """Events of one type since the world was built."""
        return [each for each in self.broker.events.since(self.mark) if isinstance(each, kind)]

    def reasons(self) -> list[DisconnectReason]:
        return [each.reason for each in self.new(events.Disconnected)]


class Raw:
    """Arbitrary bytes inside a good TLS session."""

    def __init__(self, lab: Lab, thing: str = THING, alpn: Sequence[str] = ()) -> None:
        world = lab.world
        context = client_context(world.devices[thing], world.authority.certificates)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.endpoint = lab.broker.connect("10.0.0.3")
        self.tls = TlsStream(context, lambda *alert: None, HOST)
        while not self.tls.handshake():
            self._exchange()
        self._exchange()

    def write(self, data: bytes) -> None:
        """Encrypt, and send nothing yet."""
        self.tls.write(data)

    def send(self, data: bytes) -> bytes:
        """What the broker answered."""
        self.write(data)
        self.endpoint.receive(self.tls.take())
        return self.read()

    def read(self) -> bytes:
        """What came without being asked for."""
        answer = b""
        while encrypted := self.endpoint.take():
            self.tls.feed(encrypted)
            while data := self.tls.read() or b"":
                answer += data
        return answer

    def _exchange(self) -> None:
        self.endpoint.receive(self.tls.take())
        self.tls.feed(self.endpoint.take())


def connect_bytes(client_id: bytes = THING.encode(), flags: int = 2, tail: bytes = b"", keep_alive: int = 60) -> bytes:
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + keep_alive.to_bytes(2, "big") + text(client_id) + tail
    return packet(0x10, body)


def packet(first: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while True:
        length, digit = length >> 7, length & 0x7F
        encoded += bytes([digit | 0x80 * bool(length)])
        if not length:
            return bytes([first]) + encoded + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


SESSION = connect_bytes()


def telemetry(seq: int, time: datetime, thing: str = THING, temperature: float = 21.5) -> bytes:
    return json.dumps({"thing": thing, "seq": seq, "time": int(time.timestamp()), "temperature": temperature}).encode()
