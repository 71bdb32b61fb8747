# SPDX-License-Identifier: Apache-2.0
"""The attacker's own server: takes any client, asks for no certificate, acknowledges and records everything."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from offchip.broker.entropy import Entropy
from offchip.broker.tls import TlsStream, anonymous_server_context
from offchip.mqtt import (
    Connack,
    Connect,
    Malformed,
    Packet,
    PacketReader,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    UnsupportedVersion,
    encode,
)
from offchip.pki.identity import Identity


@dataclass(slots=True)
class RogueBroker:
    """A service for the virtual internet.

    Attributes:
        identity: certificate and key the rogue shows.
        handshakes: TLS versions of completed handshakes.
        failures: why handshakes failed, in OpenSSL's words.
        clients: MQTT client ids that connected.
        messages: (topic, payload) of everything published to the rogue.
        seed: where its TLS takes random numbers from.
    """

    identity: Identity
    handshakes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    seed: int | str = 1
    _connections: int = 0

    def connect(self, peer_name: str) -> RogueConnection:
        self._connections += 1
        return RogueConnection(self, Entropy(self.seed, "rogue", self.identity.certificate_id, self._connections))


class RogueConnection:
    """One TCP stream to the rogue (endpoint of :mod:`offchip.network.internet`)."""

    def __init__(self, rogue: RogueBroker, entropy: Entropy) -> None:
        self._rogue = rogue
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self._tls = TlsStream(anonymous_server_context(rogue.identity), lambda *alert: None, entropy=entropy)
        self._packets = PacketReader(256 * 1024)

    def take(self) -> bytes:
        return self._tls.take()

    def peer_closed(self) -> None:
        self.closed = True

    def receive(self, data: bytes) -> None:
        if self.closed:
            return
        self._tls.feed(data)
        try:
            if not self._tls.established:
                if not self._tls.handshake():
                    return
                self._rogue.handshakes.append(self._tls.version)
            while plain := self._tls.read():
                self._packets.feed(plain)
                while (packet := self._packets.next()) is not None:
                    self._answer(packet)
            self.closed = plain is not None
        except (ssl.SSLError, Malformed, UnsupportedVersion) as error:
            self._rogue.failures.append(getattr(error, "reason", None) or str(error))
            self.closed = True

    def _answer(self, packet: Packet) -> None:
        if isinstance(packet, Connect):
            self._rogue.clients.append(packet.client_id)
            self._send(Connack())
        elif isinstance(packet, Publish):
            self._rogue.messages.append((packet.topic, packet.payload))
            if packet.qos:
                self._send(Puback(packet.packet_id))
        elif isinstance(packet, Subscribe):
            self._send(Suback(packet.packet_id, tuple(each.qos for each in packet.subscriptions)))
        elif isinstance(packet, Pingreq):
            self._send(Pingresp())

    def _send(self, packet: Packet) -> None:
        self._tls.write(encode(packet, self._packets.version))
