# SPDX-License-Identifier: Apache-2.0
"""A sans-IO MQTT client over mutual TLS, for whoever lives inside the laboratory: the data processor, attackers.

It connects to anything with ``connect(peer_name)``, such as the broker; when a call returns, everything the peer
answered has been taken in.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cryptography import x509

from offchip.broker.entropy import Entropy
from offchip.broker.session import Message
from offchip.broker.tls import TlsStream, client_context
from offchip.errors import BrokerError
from offchip.mqtt import (
    V3_1_1,
    Connack,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    PacketReader,
    Pingreq,
    Properties,
    Property,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
    encode,
)
from offchip.pki import Identity

if TYPE_CHECKING:
    from offchip.network.internet import Endpoint, Service

_LARGEST_PACKET = 256 * 1024


class MqttClient:
    """``alerts``: TLS alerts as (direction, number, name), seen from here; ``connack``: return code, None if none came;
    ``session_present``: of that CONNACK; ``granted``: filter -> SUBACK code; ``messages``: everything received;
    ``failure``: why TLS or MQTT ended, '' if neither did; ``packets``: every packet from the server, the newest last;
    ``disconnect_code``: of the server's DISCONNECT (MQTT 5), None if none came.
    """

    def __init__(self, client_id: str, identity: Identity | None, authorities: Iterable[x509.Certificate], host: str,
                 on_message: Callable[[Message], None] | None = None, keep_alive: int = 1200, clean: bool = True,
                 will: Message | None = None, seed: int | str = 1, version: int = V3_1_1,
                 properties: Properties | None = None) -> None:
        """``host``: the name to ask for (SNI) and to check; ``seed``: where TLS takes its random numbers from;
        ``version``: protocol level; ``properties``: of CONNECT, MQTT 5.

        Raises BrokerError for an unusable identity.
        """
        self.client_id = client_id
        self.host = host
        self.on_message = on_message
        self.keep_alive = keep_alive
        self.clean = clean
        self.will = will
        self.version = version
        self.properties = properties or {}
        self.disconnect_code: int | None = None
        self.packets: deque[Packet] = deque(maxlen=1000)
        self.alerts: list[tuple[str, int, str]] = []
        self.connack: int | None = None
        self.session_present = False
        self.granted: dict[str, int] = {}
        self.messages: list[Message] = []
        self.failure = ""
        self._context = client_context(identity, authorities)
        self._seed = seed
        self._attempts = 0
        self._endpoint: Endpoint | None = None
        self._acknowledged: dict[int, int] = {}
        self._subscribing: dict[int, list[str]] = {}
        self._packet_id = 0

    @property
    def connected(self) -> bool:
        """CONNACK 0 came and the connection still stands."""
        return self._endpoint is not None and not self._endpoint.closed and self.connack == 0

    def connect(self, service: Service, peer_name: str = "10.0.0.2") -> bool:
        """TCP, TLS, CONNECT; True when the broker accepted. ``peer_name``: the address the broker sees."""
        self.connack, self.failure, self.disconnect_code = None, "", None
        self.alerts, self.granted = [], {}
        self._attempts += 1
        entropy = Entropy(self._seed, "client", self.client_id, self._attempts)
        self._tls = TlsStream(self._context, lambda *alert: self.alerts.append(alert), self.host, entropy)
        self._reader = PacketReader(_LARGEST_PACKET, self.version)
        self._aliases: dict[int, str] = {}
        self._endpoint = service.connect(peer_name)
        self._endpoint.on_output = self._exchange
        self._take_in()  # nothing came in yet: this is the ClientHello
        self._exchange()
        return self.connected

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False,
                properties: Properties | None = None) -> bool:
        """True when the PUBACK came, without a complaint (QoS 0: when the connection survived)."""
        packet_id = self._next_packet_id() if qos else 0
        self._send(Publish(topic, payload, qos, retain, False, packet_id, properties or {}))
        return self._acknowledged.get(packet_id, 0x80) < 0x80 if qos else self.connected

    def subscribe(self, *filters: str | Subscription, qos: int = 1, properties: Properties | None = None) -> bool:
        """True when the SUBACK came; ``granted`` has its codes."""
        packet_id = self._next_packet_id()
        wanted = [Subscription(each, qos) if isinstance(each, str) else each for each in filters]
        self._subscribing[packet_id] = [each.filter for each in wanted]
        self._send(Subscribe(packet_id, tuple(wanted), properties or {}))
        return packet_id not in self._subscribing

    def unsubscribe(self, *filters: str) -> bool:
        """True when the UNSUBACK came."""
        packet_id = self._next_packet_id()
        self._send(Unsubscribe(packet_id, filters))
        return any(isinstance(each, Unsuback) and each.packet_id == packet_id for each in self.packets)

    def ping(self) -> None:
        """PINGREQ, for the keep-alive."""
        self._send(Pingreq())

    def disconnect(self) -> None:
        """DISCONNECT, then hang up; harmless when not connected."""
        if self.connected:
            self._send(Disconnect())
        self.drop()

    def drop(self) -> None:
        """Hang up without a DISCONNECT; harmless when not connected."""
        if self._endpoint:
            self._endpoint.peer_closed()
            self._endpoint = None

    # inside --------------------------------------------------------------------------------------------------------
    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % 65535 + 1
        self._acknowledged.pop(self._packet_id, None)
        return self._packet_id

    def _send(self, packet: Packet) -> None:
        if not self.connected:
            raise BrokerError(f"MQTT client '{self.client_id}' is not connected{self.failure and ': ' + self.failure}")
        self._tls.write(encode(packet, self.version))
        self._exchange()

    def _exchange(self) -> None:
        """Pass bytes to and fro until neither side has anything to say."""
        endpoint = self._endpoint
        while endpoint and not self.failure:
            outgoing = self._tls.take()
            if outgoing and not endpoint.closed:
                endpoint.receive(outgoing)
            incoming = endpoint.take()
            if not incoming and (endpoint.closed or not outgoing):
                return
            self._tls.feed(incoming)
            try:
                self._take_in()
            except (ssl.SSLError, Malformed) as error:
                self.failure = getattr(error, "reason", None) or str(error)
                if not endpoint.closed:
                    endpoint.receive(self._tls.take())  # the alert, before hanging up
                    endpoint.peer_closed()

    def _take_in(self) -> None:
        if not self._tls.established:
            if not self._tls.handshake():
                return
            self._tls.write(self._connect_packet())
        while data := self._tls.read():
            self._reader.feed(data)
            while packet := self._reader.next():
                self._handle(packet)

    def _connect_packet(self) -> bytes:
        said = self.will
        will = Will(said.topic, said.payload, said.qos, said.retain, said.properties) if said else None
        return encode(Connect(self.client_id, self.version, self.clean, self.keep_alive, will,
                              properties=self.properties))

    def _handle(self, packet: Packet) -> None:
        self.packets.append(packet)
        match packet:
            case Connack():
                self.connack, self.session_present = packet.code, packet.session_present
            case Publish():
                self._on_publish(packet)
            case Puback():
                self._acknowledged[packet.packet_id] = packet.code
            case Suback():
                filters = self._subscribing.pop(packet.packet_id, [])
                self.granted.update(zip(filters, packet.codes, strict=False))
            case Disconnect():
                self.disconnect_code = packet.code

    def _on_publish(self, packet: Publish) -> None:
        if packet.qos:
            self._tls.write(encode(Puback(packet.packet_id), self.version))
        alias = packet.properties.pop(Property.TOPIC_ALIAS, None)
        if alias is not None:
            packet.topic = self._aliases[alias] = packet.topic or self._aliases[alias]
        message = Message(packet.topic, packet.payload, packet.qos, packet.retain, packet.properties)
        self.messages.append(message)
        if self.on_message:
            self.on_message(message)
