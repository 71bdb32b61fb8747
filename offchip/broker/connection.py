# SPDX-License-Identifier: Apache-2.0
"""One TCP connection to the broker: TLS, the packets inside, and AWS IoT Core's rules for each of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from amqtt.mqtt.connack import IDENTIFIER_REJECTED, UNACCEPTABLE_PROTOCOL_VERSION, ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from offchip.broker import events
from offchip.broker.codec import Malformed, Packet, PacketReader, UnsupportedVersion
from offchip.broker.entropy import Entropy
from offchip.broker.events import DisconnectReason, Event
from offchip.broker.session import Message, Session
from offchip.broker.tls import TlsStream
from offchip.broker.topics import filter_fault, has_wildcard, topic_fault
from offchip.pki import certificate_id

if TYPE_CHECKING:
    from offchip.broker.server import Broker

#: room for topic, packet id and CONNECT's other fields besides the payload
_HEADROOM = 1024


class Connection:
    """The broker's end of one connection; made by :meth:`Broker.connect`.

    ``closed``: nothing more comes than what :meth:`take` still returns. ``on_output``: called when there is something
    to take that no :meth:`receive` asked for.
    """

    def __init__(self, broker: Broker, number: int, peer_name: str, context: ssl.SSLContext,
                 entropy: Entropy | None) -> None:
        self.number = number
        self.peer_name = peer_name
        self.certificate_id = ""
        self.session: Session | None = None
        self.will: Message | None = None
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self._broker = broker
        self._tls = TlsStream(context, lambda *alert: self._log(events.TlsAlert(*alert)), entropy=entropy)
        self._reader = PacketReader(broker.profile.payload_bytes + _HEADROOM)
        self._keep_alive = timedelta(0)
        self._last_packet: datetime | None = None

    # the stream ----------------------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> None:
        """Bytes from the peer; whatever follows from them is done on return. Ignored on a closed connection."""
        with self._broker.operation(self):
            if not self.closed:
                self._tls.feed(data)
                self._advance()

    def take(self) -> bytes:
        """Everything to send."""
        with self._broker.operation(self):
            return self._tls.take()

    def peer_closed(self) -> None:
        """TCP is gone."""
        with self._broker.operation(self):
            if self.closed:
                return
            if self._tls.established:
                self.close(DisconnectReason.CONNECTION_LOST)
            else:
                self._fail("the peer hung up during the handshake")

    # for the broker ------------------------------------------------------------------------------------------------
    def send(self, packet: Packet) -> None:
        """Encrypt a packet; the connection's owner is woken when the operation ends."""
        try:
            self._tls.write(bytes(packet.to_bytes()))
        except ssl.SSLError:
            self.close(DisconnectReason.CONNECTION_LOST)
        else:
            self._broker.wake(self)

    def close(self, reason: DisconnectReason) -> None:
        """Hang up with a close_notify and end the session; harmless when closed already."""
        if self.closed:
            return
        self.closed = True
        session, self.session = self.session, None
        self._tls.close()
        self._log(events.Disconnected(reason, session.client_id if session else ""))
        self._broker.wake(self)
        if session:
            self._broker.end_session(self, session, reason)

    def check_keep_alive(self, now: datetime) -> None:
        """3.1.2.10: one and a half times the keep-alive without a packet is too long."""
        if self.silent_until and now > self.silent_until:
            self.close(DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT)

    @property
    def silent_until(self) -> datetime | None:
        """How long a connected client may stay silent."""
        return self._last_packet + 1.5 * self._keep_alive if self.session and self._last_packet else None

    def check_certificate(self) -> None:
        """The registry changed: an established connection needs an ACTIVE certificate."""
        if self.certificate_id and not self.closed:
            self._require_usable_certificate()

    # TLS -----------------------------------------------------------------------------------------------------------
    def _advance(self) -> None:
        try:
            if not self._tls.established:
                if not self._tls.handshake():
                    return
                self._on_established()
            while not self.closed:
                data = self._tls.read()
                if data is None:
                    return
                if not data:
                    self.close(DisconnectReason.CONNECTION_LOST)
                    return
                self._reader.feed(data)
                self._handle_packets()
        except ssl.SSLError as error:
            self._fail(error.reason or type(error).__name__)

    def _fail(self, reason: str) -> None:
        self._log(events.TlsFailed(reason))
        if self._tls.established:
            self.close(DisconnectReason.CONNECTION_LOST)
        else:
            self.closed = True
            self._broker.wake(self)

    def _on_established(self) -> None:
        tls = self._tls
        self.certificate_id = certificate_id(tls.peer_certificate)
        self._log(events.TlsEstablished(tls.version, tls.cipher, tls.sni, self.certificate_id))
        self._require_usable_certificate()

    def _require_usable_certificate(self) -> None:
        fault = self._broker.certificate_fault(self.certificate_id)
        if fault:
            self._log(events.CertificateRefused(fault, self.certificate_id))
            self.close(DisconnectReason.AUTH_ERROR)

    # packets -------------------------------------------------------------------------------------------------------
    def _handle_packets(self) -> None:
        try:
            while not self.closed and (packet := self._reader.next()):
                self._last_packet = self._broker.now()
                self._handle(packet)
        except UnsupportedVersion as error:
            if self.session:
                self._violation(f"a second CONNECT: {error}")
            else:
                self._refuse_connect(UNACCEPTABLE_PROTOCOL_VERSION, str(error), "")
        except Malformed as error:
            self._violation(str(error))

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnectPacket() if self.session is None:
                self._on_connect(packet)
            case _ if self.session is None:
                self._violation(f"{type(packet).__name__} before CONNECT")
            case PublishPacket():
                self._on_publish(self.session, packet)
            case SubscribePacket():
                self._on_subscribe(self.session, packet)
            case UnsubscribePacket():
                self._on_unsubscribe(self.session, packet)
            case PubackPacket():
                self._on_puback(self.session, packet)
            case PingReqPacket():
                self.send(PingRespPacket())
            case DisconnectPacket():
                self.close(DisconnectReason.CLIENT_INITIATED_DISCONNECT)
            case _:
                self._violation(f"{type(packet).__name__} out of order")

    def _on_connect(self, packet: ConnectPacket) -> None:
        header, content = packet.variable_header, packet.payload
        profile, client_id = self._broker.profile, content.client_id
        if header.reserved_flag or (not header.will_flag and header.flags & 0x38) or header.will_qos == 3 \
                or (header.password_flag and not header.username_flag):
            return self._violation("CONNECT with contradictory flags")
        if not 1 <= len(client_id.encode()) <= profile.client_id_bytes or client_id[0] == "$" or "\0" in client_id:
            return self._refuse_connect(IDENTIFIER_REJECTED, f"a client id has 1 to {profile.client_id_bytes} bytes, "
                                        "no zero among them, and does not begin with $", client_id)
        attributes, extra = [], {}
        if not header.clean_session_flag:
            attributes.append("PersistentConnect")
        if header.will_flag:
            fault = topic_fault(content.will_topic, profile)
            if fault:
                return self._violation(f"will: {fault}")
            attributes.append("LastWill")
            extra["iot:LastWillTopic"] = self._broker.registry.arn("topic", content.will_topic)
        decision = self._broker.authorise(self, client_id, "iot:Connect", "client", client_id,
                                          {"iot:ConnectAttributes": attributes, **extra})
        if not decision.allowed:
            return self._refuse_connect(profile.forbidden_connect_code or None, decision.reason, client_id,
                                        DisconnectReason.FORBIDDEN_ACCESS)
        if header.will_flag:
            self.will = Message(content.will_topic, bytes(content.will_message), min(header.will_qos, 1),
                                header.will_retain_flag)
        asked = header.keep_alive or profile.keep_alive_maximum
        self._keep_alive = timedelta(seconds=min(max(asked, profile.keep_alive_minimum), profile.keep_alive_maximum))
        session, present = self._broker.begin_session(self, client_id, header.clean_session_flag)
        self.session = session
        self._log(events.Connected(client_id, self.certificate_id, session.thing, present))
        self.send(ConnackPacket.build(int(present), 0))
        self._broker.announce_connected(session)
        self._broker.resume(session)
        return None

    def _on_publish(self, session: Session, packet: PublishPacket) -> None:
        broker, topic = self._broker, packet.topic_name
        fault = topic_fault(topic, broker.profile)
        if packet.qos == 3 or packet.qos and not packet.packet_id:
            return self._violation("PUBLISH with QoS 3 or packet id 0")
        if fault:
            return self._violation(f"PUBLISH: {fault}")
        if len(packet.data) > broker.profile.payload_bytes:
            return self._violation(f"PUBLISH with {len(packet.data)} bytes; {broker.profile.payload_bytes} are allowed")
        if packet.retain_flag and not broker.profile.retained_messages:
            return self._violation("PUBLISH with RETAIN where there are no retained messages")
        for action in ("iot:Publish", "iot:RetainPublish")[:1 + packet.retain_flag]:
            if not broker.authorise(self, session.client_id, action, "topic", topic).allowed:
                self._log(events.PublishForbidden(session.client_id, topic, action))
                return self.close(DisconnectReason.FORBIDDEN_ACCESS)
        if packet.qos == 2:
            return self._log(events.QosUnsupported(session.client_id, "PUBLISH", topic))
        receivers = broker.route(Message(topic, packet.data, packet.qos, packet.retain_flag))
        self._log(events.PublishAccepted(session.client_id, topic, packet.data, packet.qos, receivers))
        if packet.qos and not self.closed:
            self.send(PubackPacket.build(packet.packet_id))
        return None

    def _on_subscribe(self, session: Session, packet: SubscribePacket) -> None:
        broker, profile = self._broker, self._broker.profile
        wanted = packet.payload.topics
        if not packet.variable_header.packet_id or not wanted or any(qos > 2 for _, qos in wanted):
            return self._violation("SUBSCRIBE with packet id 0, without filters or with a QoS above 2")
        if len(wanted) > profile.filters_per_subscribe:
            return self._violation(f"SUBSCRIBE with {len(wanted)} filters; {profile.filters_per_subscribe} are allowed")
        for text, _ in wanted:
            fault = filter_fault(text, profile)
            if fault:
                return self._violation(f"SUBSCRIBE: {fault}")
        if len({*session.subscriptions, *(text for text, _ in wanted)}) > profile.subscriptions_per_connection:
            return self._violation(f"more than {profile.subscriptions_per_connection} subscriptions")
        for text, _ in wanted:
            if not broker.authorise(self, session.client_id, "iot:Subscribe", "topicfilter", text).allowed:
                self._log(events.SubscribeForbidden(session.client_id, text))
                return self.close(DisconnectReason.FORBIDDEN_ACCESS)
        for text, qos in wanted:
            if qos == 2:
                return self._log(events.QosUnsupported(session.client_id, "SUBSCRIBE", text))
        for text, qos in wanted:
            session.subscriptions[text] = qos
            self._log(events.SubscribeAccepted(session.client_id, text, qos))
        self.send(SubackPacket.build(packet.variable_header.packet_id, [qos for _, qos in wanted]))
        broker.announce_subscription(session, "subscribed", [text for text, _ in wanted])
        for text, qos in wanted:
            if profile.retained_on_wildcard or not has_wildcard(text):
                broker.send_retained(session, text, qos)
        return None

    def _on_unsubscribe(self, session: Session, packet: UnsubscribePacket) -> None:
        filters = packet.payload.topics
        if not packet.variable_header.packet_id or not filters:
            return self._violation("UNSUBSCRIBE with packet id 0 or without filters")
        for text in filters:
            if session.subscriptions.pop(text, None) is not None:
                self._log(events.Unsubscribed(session.client_id, text))
        self.send(UnsubackPacket.build(packet.variable_header.packet_id))
        self._broker.announce_subscription(session, "unsubscribed", filters)
        return None

    def _on_puback(self, session: Session, packet: PubackPacket) -> None:
        if session.inflight.pop(packet.packet_id, None) is not None:
            self._broker.pump(session)

    # outcomes ------------------------------------------------------------------------------------------------------
    def _refuse_connect(self, code: int | None, reason: str, client_id: str,
                        disconnect: DisconnectReason = DisconnectReason.CLIENT_ERROR) -> None:
        self._log(events.ConnectRefused(code, reason, client_id))
        if code:
            self.send(ConnackPacket.build(0, code))
        self.close(disconnect)

    def _violation(self, reason: str) -> None:
        self._log(events.ProtocolViolated(reason))
        self.close(DisconnectReason.CLIENT_ERROR)

    def _log(self, event: Event) -> None:
        self._broker.log(event, self.number)
