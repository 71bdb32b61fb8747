# SPDX-License-Identifier: Apache-2.0
"""The server of one test: good TLS and MQTT, but for what the test withholds; it notes everything, judges nothing."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cryptography import x509

from offchip.broker.profile import Profile
from offchip.broker.stream import PacketStream
from offchip.broker.tls import server_context
from offchip.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from offchip.pki import Identity

_JOB = "advisor-job"


@dataclass(frozen=True, slots=True)
class Script:
    """What the server does otherwise than a good one.

    Attributes:
        silent_connects: so many CONNECTs get no answer, then one is answered.
        puback, suback, pingresp: whether those are sent at all.
        drops: so many connections are ended right after CONNACK; ``rudely``: without a word of TLS.
        payload: bytes of the message that follows a subscription, 0 for none.
        forget: a persistent session is gone when the client comes back.
        end_after_subscribe: the connection ends once after the first subscription, to see what a session keeps.
        ends_after_publish: so many connections end without a word behind their first PUBLISH.
        away: nobody is let in.
    """

    silent_connects: int = 0
    puback: bool = True
    suback: bool = True
    pingresp: bool = True
    drops: int = 0
    rudely: bool = False
    payload: int = 0
    forget: bool = False
    end_after_subscribe: bool = False
    ends_after_publish: int = 0
    away: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """``kind``: tcp, hello, tls, failed, alert, closed (by the client), ended (by the server), or a
    packet's name from the client; ``packet`` if it is one."""

    time_s: float
    connection: int
    kind: str
    detail: str = ""
    packet: Packet | None = None


@dataclass(slots=True)
class Record:
    """Everything that happened, in order. ``suites``: of the last ClientHello, by their numbers."""

    moments: list[Moment] = field(default_factory=list)
    suites: tuple[int, ...] = ()

    def of(self, *kinds: str) -> list[Moment]:
        return [each for each in self.moments if each.kind in kinds]

    def has(self, *kinds: str) -> bool:
        return bool(self.of(*kinds))


class AdvisorServer:
    """A service of the internet, and something a TCP listener can serve."""

    def __init__(self, identity: Identity, authorities: Iterable[x509.Certificate], profile: Profile, script: Script,
                 now_s: Callable[[], float]) -> None:
        """Raises BrokerError for unusable certificates."""
        self.profile = profile
        self._context = server_context(identity, authorities, profile)
        self._now_s = now_s
        self._opened = 0
        self.sessions: set[str] = set()
        self._links: list[AdvisorLink] = []
        #: one at a time: a listener's thread serves, another one begins the next phase
        self.turn = threading.RLock()
        self.begin(script)

    def begin(self, script: Script) -> None:
        """From now on it behaves so; what was is forgotten but for the clients' sessions, and whoever is connected is
        hung up on."""
        with self.turn:
            links, self._links = self._links, []
            for each in links:
                each.end(rudely=False)
            self.script, self.record = script, Record()
            self.connects = 0
            self.dropped = 0
            self.parted = False

    def connect(self, peer_name: str, real: bool = False) -> AdvisorLink:
        """Accept a connection."""
        with self.turn:
            self._opened += 1
            self.note(self._opened, "tcp", peer_name)
            link = AdvisorLink(self, self._opened, self._context)
            if self.script.away:
                link.end(rudely=True)
            else:
                self._links = [each for each in self._links if not each.closed] + [link]
            return link

    def note(self, connection: int, kind: str, detail: str = "", packet: Packet | None = None) -> None:
        """Write it down."""
        self.record.moments.append(Moment(self._now_s(), connection, kind, detail, packet))

    # what a listener asks of a broker ------------------------------------------------------------------------------
    def evict(self, peer_name: str, most: int) -> bool:
        """There is always room."""
        return True

    def tick(self) -> None:
        """Nothing happens by itself."""

    def log(self, event: object, connection: int = 0) -> None:
        """What the host's network says is not the client's."""


class AdvisorLink(PacketStream):
    """The server's end of one connection."""

    def __init__(self, server: AdvisorServer, number: int, context: ssl.SSLContext) -> None:
        self._server, self._number = server, number
        self._packet_id = 0
        super().__init__(context)

    def receive(self, data: bytes) -> None:
        with self._server.turn:
            super().receive(data)

    def take(self) -> bytes:
        with self._server.turn:
            return super().take()

    def peer_closed(self) -> None:
        with self._server.turn:
            super().peer_closed()

    # what happens --------------------------------------------------------------------------------------------------
    def greeted(self, direction: str, message: bytes) -> None:
        if direction == "received" and message[:1] == b"\x01":
            self._server.record.suites = suites_of(message)
            self._note("hello")

    def alerted(self, direction: str, number: int, name: str) -> None:
        if direction == "received":
            self._note("alert", name)

    def established(self) -> None:
        self._note("tls", f"{self.tls.version} {self.tls.cipher}")

    def failed(self, reason: str) -> None:
        self._note("failed", reason)

    def left(self) -> None:
        self._note("closed")

    def answer(self, packet: Packet) -> None:
        self._note(type(packet).__name__.lower(), "", packet)
        script = self._server.script
        match packet:
            case Connect():
                self._on_connect(packet)
            case Publish():
                if packet.qos and script.puback:
                    self.send(Puback(packet.packet_id))
                self._answer(packet)
                self._drop_if(script.ends_after_publish, rudely=True)
            case Subscribe():
                self._on_subscribe(packet)
            case Unsubscribe():
                self.send(Unsuback(packet.packet_id, tuple(0 for _ in packet.filters)))
            case Pingreq() if script.pingresp:
                self.send(Pingresp())
            case Disconnect():
                self.closed = True

    # inside --------------------------------------------------------------------------------------------------------
    def _note(self, kind: str, detail: str = "", packet: Packet | None = None) -> None:
        self._server.note(self._number, kind, detail, packet)

    def _on_connect(self, packet: Connect) -> None:
        server, script = self._server, self._server.script
        server.connects += 1
        if server.connects % (script.silent_connects + 1) and script.silent_connects:
            return
        known = packet.client_id in server.sessions and not packet.clean and not script.forget
        if not packet.clean:
            server.sessions.add(packet.client_id)
        self.send(Connack(0, known))
        self._drop_if(script.drops, script.rudely)
        if known and not self.closed:
            self._publish("advisor/stored", b"stored while you were away")

    def _on_subscribe(self, packet: Subscribe) -> None:
        server, script = self._server, self._server.script
        if not script.suback:
            return
        self.send(Suback(packet.packet_id, tuple(min(each.qos, 1) for each in packet.subscriptions)))
        for each in packet.subscriptions:
            self._greet(each.filter)
        if script.end_after_subscribe and not server.parted:
            server.parted = True
            self.end(rudely=False)

    def _greet(self, topic_filter: str) -> None:
        """What follows a subscription: a large message, a shadow's delta, a job."""
        topic = topic_filter.replace("+", "advisor").replace("#", "advisor")
        if topic.endswith("/shadow/update/delta"):
            self._publish(topic, json.dumps({"version": 2, "state": {"advisor": "on"}}).encode())
        elif topic.endswith(("/jobs/notify", "/jobs/notify-next")):
            self._publish(topic, json.dumps({"execution": _execution()}).encode())
        elif self._server.script.payload and not topic.startswith("$"):
            self._publish(topic, b"x" * self._server.script.payload)

    def _answer(self, packet: Publish) -> None:
        """Jobs and shadows, as far as a test asks for them."""
        topic = packet.topic
        if topic.endswith(("/jobs/start-next", "/jobs/$next/get")) or topic.endswith(f"/jobs/{_JOB}/get"):
            self._publish(f"{topic}/accepted", json.dumps({"execution": _execution()}).encode())
        elif topic.endswith("/shadow/update") or "/jobs/" in topic and topic.endswith("/update"):
            self._publish(f"{topic}/accepted", b"{}")

    def _publish(self, topic: str, payload: bytes) -> None:
        self._packet_id += 1
        self.send(Publish(topic, payload, 1, False, False, self._packet_id))

    def _drop_if(self, most: int, rudely: bool) -> None:
        if self._server.dropped < most:
            self._server.dropped += 1
            self.end(rudely)

    def end(self, rudely: bool) -> None:
        """Hang up; harmless when over."""
        if self.closed:
            return
        if not rudely:
            self.tls.close()
        self._note("ended")
        self.closed = True
        if self.on_output:
            self.on_output()


def _execution() -> dict[str, object]:
    return {"jobId": _JOB, "status": "QUEUED", "versionNumber": 1, "executionNumber": 1,
            "jobDocument": {"operation": "advisor"}}


def suites_of(hello: bytes) -> tuple[int, ...]:
    """The cipher suites a ClientHello offers (RFC 8446, 4.1.2); ``hello``: the handshake message with its header."""
    at = 4 + 2 + 32
    if len(hello) <= at:
        return ()
    at += 1 + hello[at]
    size = int.from_bytes(hello[at:at + 2], "big")
    offered = hello[at + 2:at + 2 + size]
    return tuple(int.from_bytes(offered[place:place + 2], "big") for place in range(0, len(offered) - 1, 2))
