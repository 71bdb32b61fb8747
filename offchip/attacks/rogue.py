# SPDX-License-Identifier: Apache-2.0
"""The attacker's own server: takes any client, asks for no certificate, acknowledges and records everything."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509

from offchip.broker.entropy import Entropy
from offchip.broker.stream import PacketStream
from offchip.broker.tls import anonymous_server_context, trust
from offchip.mqtt import (
    Connack,
    Connect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
)
from offchip.pki.identity import Identity


@dataclass(slots=True)
class Visit:
    """One connection to the rogue.

    ``received``: raw bytes from the client; ``alert``: the alert it sent, as (number, name); ``client``: its MQTT
    client id, '' when it came to no CONNECT; ``messages``: (topic, payload) it published; ``filters``: subscribed to;
    ``handshake``: the messages of the handshake as (direction, message), in clear; ``version``: of TLS.
    """

    received: bytes = b""
    alert: tuple[int, str] | None = None
    client: str = ""
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    handshake: list[tuple[str, bytes]] = field(default_factory=list)
    version: str = ""


@dataclass(slots=True)
class RogueBroker:
    """A service for the virtual internet.

    Attributes:
        identity: certificate and key the rogue shows.
        handshakes: TLS versions of completed handshakes.
        failures: why handshakes failed, in OpenSSL's words.
        visits: every connection so far, in order.
        seed: where its TLS takes random numbers from.
        pushes: (topic, payload) it sends to whoever connects; an empty topic: on each filter that was subscribed to.
        asks: the authorities whose clients it asks for their certificate; none: it asks nobody.
        context: what it speaks TLS with, where that is not the usual.
        on_message: told (topic, payload) of everything published to it.
        replies: what it sends, as (topic, payload), to whoever has published (topic, payload).
    """

    identity: Identity
    handshakes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    seed: int | str = 1
    pushes: list[tuple[str, bytes]] = field(default_factory=list)
    asks: tuple[x509.Certificate, ...] = ()
    context: ssl.SSLContext | None = None
    on_message: Callable[[str, bytes], None] | None = field(default=None, repr=False)
    replies: Callable[[str, bytes], list[tuple[str, bytes]]] = field(default=lambda topic, payload: [], repr=False)

    @property
    def clients(self) -> list[str]:
        """MQTT client ids that connected."""
        return [visit.client for visit in self.visits if visit.client]

    @property
    def messages(self) -> list[tuple[str, bytes]]:
        """(topic, payload) of everything published to the rogue."""
        return [message for visit in self.visits for message in visit.messages]

    def speak_old_tls(self) -> None:
        """From now on TLS 1.0 and 1.1 only (RFC 2246, RFC 4346; both deprecated by RFC 8996)."""
        self.context = anonymous_server_context(self.identity)
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = ssl.TLSVersion.TLSv1_1

    def agree_on_a_weak_curve(self) -> None:
        """From now on keys are agreed on P-192 only (RFC 4492, 5.1.1; below what NIST SP 800-57 allows), under TLS 1.2,
        as 1.3 has no such curve.
        """
        self.context = anonymous_server_context(self.identity)
        self.context.set_ciphers("ECDHE:@SECLEVEL=0")
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ecdh_curve("prime192v1")

    def connect(self, peer_name: str) -> RogueConnection:
        """Accept anybody."""
        if self.context is None:
            self.context = anonymous_server_context(self.identity)
            if self.asks:
                self.context.verify_mode = ssl.CERT_OPTIONAL
                for each in self.asks:
                    trust(self.context, each)
        self.visits.append(Visit())
        entropy = Entropy(self.seed, "rogue", self.identity.certificate_id, len(self.visits))
        return RogueConnection(self, self.visits[-1], self.context, entropy)


class RogueConnection(PacketStream):
    """One TCP stream to the rogue."""

    def __init__(self, rogue: RogueBroker, visit: Visit, context: ssl.SSLContext, entropy: Entropy) -> None:
        self._rogue, self._visit = rogue, visit
        super().__init__(context, entropy)

    def receive(self, data: bytes) -> None:
        if not self.closed:
            self._visit.received += data
        super().receive(data)

    def greeted(self, direction: str, message: bytes) -> None:
        self._visit.handshake.append((direction, message))

    def alerted(self, direction: str, number: int, name: str) -> None:
        if direction == "received":
            self._visit.alert = number, name

    def established(self) -> None:
        self._visit.version = self.tls.version
        self._rogue.handshakes.append(self.tls.version)

    def failed(self, reason: str) -> None:
        self._rogue.failures.append(reason)

    def answer(self, packet: Packet) -> None:
        if isinstance(packet, Connect):
            self._visit.client = packet.client_id
            self.send(Connack())
            self._push()
        elif isinstance(packet, Publish):
            self._visit.messages.append((packet.topic, packet.payload))
            if self._rogue.on_message is not None:
                self._rogue.on_message(packet.topic, packet.payload)
            if packet.qos:
                self.send(Puback(packet.packet_id))
            for topic, payload in self._rogue.replies(packet.topic, packet.payload):
                self.send(Publish(topic, payload))
        elif isinstance(packet, Subscribe):
            self.send(Suback(packet.packet_id, tuple(each.qos for each in packet.subscriptions)))
            for each in packet.subscriptions:
                self._visit.filters.append(each.filter)
                self._push_to(each.filter)
        elif isinstance(packet, Pingreq):
            self.send(Pingresp())

    def _push(self) -> None:
        """Nobody has asked for it: a device may take what comes anyway."""
        for topic, payload in self._rogue.pushes:
            if topic:
                self.send(Publish(topic, payload))

    def _push_to(self, topic_filter: str) -> None:
        topic = topic_filter.replace("+", "pushed").replace("#", "pushed")
        for named, payload in self._rogue.pushes:
            if not named:
                self.send(Publish(topic, payload))
