# SPDX-License-Identifier: Apache-2.0
"""The attacker's own server: takes any client, asks for no certificate, acknowledges and records everything."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket

from offchip.broker.codec import Malformed, PacketReader, UnsupportedVersion
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
    """

    identity: Identity
    handshakes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def connect(self, peer_name: str) -> RogueConnection:
        return RogueConnection(self)


class RogueConnection:
    """One TCP stream to the rogue (endpoint of :mod:`offchip.network.internet`)."""

    def __init__(self, rogue: RogueBroker) -> None:
        self._rogue = rogue
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context(rogue.identity).wrap_bio(self._in, self._out, server_side=True)
        self._shaken = False
        self._packets = PacketReader(256 * 1024)

    def take(self) -> bytes:
        return self._out.read()

    def peer_closed(self) -> None:
        self.closed = True

    def receive(self, data: bytes) -> None:
        self._in.write(data)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._rogue.handshakes.append(self._tls.version() or "")
            while plain := self._tls.read(16384):
                self._packets.feed(plain)
                while (packet := self._packets.next()) is not None:
                    self._answer(packet)
            self.closed = True
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, Malformed, UnsupportedVersion) as error:
            self._rogue.failures.append(getattr(error, "reason", None) or str(error))
            self.closed = True

    def _answer(self, packet: object) -> None:
        if isinstance(packet, ConnectPacket):
            self._rogue.clients.append(packet.payload.client_id)
            self._send(ConnackPacket.build(0, 0))
        elif isinstance(packet, PublishPacket):
            self._rogue.messages.append((packet.topic_name, bytes(packet.data)))
            if packet.qos:
                self._send(PubackPacket.build(packet.packet_id))
        elif isinstance(packet, SubscribePacket):
            self._send(SubackPacket.build(packet.packet_id, [qos for _, qos in packet.payload.topics]))
        elif isinstance(packet, PingReqPacket):
            self._send(PingRespPacket.build())

    def _send(self, packet: object) -> None:
        self._tls.write(bytes(packet.to_bytes()))


def _context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # ssl loads certificates from files only
        path = Path(folder) / "rogue.pem"
        path.write_bytes(identity.chain_pem + identity.key_pem)
        context.load_cert_chain(path)
    return context
