# SPDX-License-Identifier: Apache-2.0
"""A sans-IO MQTT 3.1.1 client over mutual TLS, for whoever lives inside the laboratory: the data processor, attackers.

It connects to anything with ``connect(peer_name)``, such as the broker; when a call returns, everything the peer
answered has been taken in.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload, ConnectVariableHeader
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from cryptography import x509

from offchip.broker.codec import Malformed, Packet, PacketReader
from offchip.broker.entropy import Entropy
from offchip.broker.session import Message
from offchip.broker.tls import TlsStream, client_context
from offchip.errors import BrokerError
from offchip.pki import Identity

if TYPE_CHECKING:
    from offchip.network.internet import Endpoint, Service

_LARGEST_PACKET = 256 * 1024


class MqttClient:
    """``alerts``: TLS alerts as (direction, number, name), seen from here; ``connack``: return code, None if none came;
    ``session_present``: of that CONNACK; ``granted``: filter -> SUBACK code; ``messages``: everything received;
    ``failure``: why TLS or MQTT ended, '' if neither did.
    """

    def __init__(self, client_id: str, identity: Identity | None, authorities: Iterable[x509.Certificate], host: str,
                 on_message: Callable[[Message], None] | None = None, keep_alive: int = 1200, clean: bool = True,
                 will: Message | None = None, seed: int | str = 1) -> None:
        """``host``: the name to ask for (SNI) and to check; ``seed``: where TLS takes its random numbers from.

        Raises BrokerError for an unusable identity.
        """
        self.client_id = client_id
        self.host = host
        self.on_message = on_message
        self.keep_alive = keep_alive
        self.clean = clean
        self.will = will
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
        self._acknowledged: set[int] = set()
        self._subscribing: dict[int, list[str]] = {}
        self._packet_id = 0

    @property
    def connected(self) -> bool:
        """CONNACK 0 came and the connection still stands."""
        return self._endpoint is not None and not self._endpoint.closed and self.connack == 0

    def connect(self, service: Service, peer_name: str = "10.0.0.2") -> bool:
        """TCP, TLS, CONNECT; True when the broker accepted. ``peer_name``: the address the broker sees."""
        self.connack, self.failure = None, ""
        self.alerts, self.granted = [], {}
        self._attempts += 1
        entropy = Entropy(self._seed, "client", self.client_id, self._attempts)
        self._tls = TlsStream(self._context, lambda *alert: self.alerts.append(alert), self.host, entropy)
        self._reader = PacketReader(_LARGEST_PACKET)
        self._endpoint = service.connect(peer_name)
        self._endpoint.on_output = self._exchange
        self._take_in()  # nothing came in yet: this is the ClientHello
        self._exchange()
        return self.connected

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> bool:
        """True when the PUBACK came (QoS 0: when the connection survived)."""
        packet_id = self._next_packet_id() if qos else None
        self._send(PublishPacket.build(topic, payload, packet_id, False, qos, retain))
        return packet_id in self._acknowledged if qos else self.connected

    def subscribe(self, *filters: str, qos: int = 1) -> bool:
        """True when the SUBACK came."""
        packet_id = self._next_packet_id()
        self._subscribing[packet_id] = list(filters)
        self._send(SubscribePacket.build([(text, qos) for text in filters], packet_id))
        return packet_id not in self._subscribing

    def ping(self) -> None:
        """PINGREQ, for the keep-alive."""
        self._send(PingReqPacket())

    def disconnect(self) -> None:
        """DISCONNECT, then hang up; harmless when not connected."""
        if self.connected:
            self._send(DisconnectPacket())
        self.drop()

    def drop(self) -> None:
        """Hang up without a DISCONNECT; harmless when not connected."""
        if self._endpoint:
            self._endpoint.peer_closed()
            self._endpoint = None

    # inside --------------------------------------------------------------------------------------------------------
    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % 65535 + 1
        self._acknowledged.discard(self._packet_id)
        return self._packet_id

    def _send(self, packet: Packet) -> None:
        if not self.connected:
            raise BrokerError(f"MQTT client '{self.client_id}' is not connected{self.failure and ': ' + self.failure}")
        self._tls.write(bytes(packet.to_bytes()))
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
        header = ConnectVariableHeader(keep_alive=self.keep_alive)
        header.clean_session_flag = self.clean
        payload = ConnectPayload(self.client_id)
        if self.will:
            header.will_flag, header.will_qos, header.will_retain_flag = True, self.will.qos, self.will.retain
            payload.will_topic, payload.will_message = self.will.topic, self.will.payload
        return bytes(ConnectPacket(variable_header=header, payload=payload).to_bytes())

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnackPacket():
                self.connack = packet.return_code
                self.session_present = bool(packet.session_parent)
            case PublishPacket():
                if packet.qos:
                    self._tls.write(bytes(PubackPacket.build(packet.packet_id).to_bytes()))
                message = Message(packet.topic_name, packet.data, packet.qos, packet.retain_flag)
                self.messages.append(message)
                if self.on_message:
                    self.on_message(message)
            case PubackPacket():
                self._acknowledged.add(packet.packet_id)
            case SubackPacket():
                filters = self._subscribing.pop(packet.variable_header.packet_id, [])
                self.granted.update(zip(filters, packet.payload.return_codes, strict=False))
