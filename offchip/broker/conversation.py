# SPDX-License-Identifier: Apache-2.0
"""One client's MQTT, from CONNECT to DISCONNECT: AWS IoT Core's rules for each packet, in the words of its version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from offchip.broker import events
from offchip.broker.events import DisconnectReason, Event
from offchip.broker.hub import Hub
from offchip.broker.policy import Value
from offchip.broker.reserved import Family, is_reserved, may_publish, may_subscribe, publish_family
from offchip.broker.services import Request
from offchip.broker.session import Message, Session
from offchip.broker.topics import filter_fault, split_shared, topic_fault
from offchip.mqtt import (
    V5,
    Connack,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    PacketReader,
    Pingreq,
    Pingresp,
    Properties,
    Property,
    Puback,
    Publish,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    UnsupportedVersion,
    encode,
)

#: room for topic, packet id, properties and CONNECT's other fields besides the payload
HEADROOM = 16384
#: CONNACK return codes of MQTT 3.1.1, 3.2.2.3
_UNACCEPTABLE_VERSION, _IDENTIFIER_REJECTED, _UNAVAILABLE = 1, 2, 3
_LEVELS = {3: "3.1", 4: "3.1.1", 5: "5.0"}
#: what an MQTT 5 client is told when nothing more exact is known
_CODES = {
    DisconnectReason.AUTH_ERROR: Reason.NOT_AUTHORIZED, DisconnectReason.CLIENT_ERROR: Reason.PROTOCOL_ERROR,
    DisconnectReason.DUPLICATE_CLIENTID: Reason.SESSION_TAKEN_OVER,
    DisconnectReason.FORBIDDEN_ACCESS: Reason.NOT_AUTHORIZED,
    DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT: Reason.KEEP_ALIVE_TIMEOUT,
    DisconnectReason.SERVER_INITIATED_DISCONNECT: Reason.ADMINISTRATIVE_ACTION,
    DisconnectReason.THROTTLED: Reason.QUOTA_EXCEEDED,
}
#: how a request of HTTP begins, which many a client of AWS's speaks on the same port
_HTTP = (b"GET /", b"POST /", b"PUT /", b"HEAD /", b"DELETE /", b"OPTIONS ", b"PRI * HTTP")
#: properties of a PUBLISH that go on to the receivers
_FORWARDED = (Property.PAYLOAD_FORMAT_INDICATOR, Property.CONTENT_TYPE, Property.RESPONSE_TOPIC,
              Property.CORRELATION_DATA, Property.USER_PROPERTY)


class Channel(Protocol):
    """Where a conversation's bytes go: one TLS connection."""

    number: int
    peer_name: str
    certificate_id: str

    @property
    def backlog(self) -> int:
        """Bytes sent that the peer has not taken."""

    def send(self, data: bytes) -> None:
        """Encrypt and queue."""

    def hang_up(self) -> None:
        """Nothing more is sent."""


class _Refused(Exception):
    """The packet ends the connection as a client's error."""

    def __init__(self, reason: str, code: Reason = Reason.PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A CONNECT that is turned down: return code of MQTT 3 (None: no CONNACK), reason code of MQTT 5."""

    code: int | None
    code5: Reason
    reason: str
    disconnect: DisconnectReason = DisconnectReason.CLIENT_ERROR


class Conversation:
    """The broker's end of one client's MQTT (a :class:`offchip.broker.session.Link`)."""

    def __init__(self, hub: Hub, channel: Channel) -> None:
        self._hub, self._channel = hub, channel
        self.number, self.peer_name = channel.number, channel.peer_name
        self.session: Session | None = None
        self.version = 0
        self.over = False
        self._reader = PacketReader(hub.profile.payload_bytes + HEADROOM)
        self._keep_alive = timedelta(0)
        self._last_packet: datetime | None = None
        self._will: Message | None = None
        self._will_delay = 0
        self._largest = 1 << 28
        #: the topic of the last PUBLISH; most clients have but one
        self._sound: str | None = None
        self._aliases_in: dict[int, str] = {}
        self._aliases_out: dict[str, int] = {}
        self._aliases_out_most = 0
        self._handlers: dict[type, Callable[..., None]] = {
            Publish: self._on_publish, Subscribe: self._on_subscribe, Unsubscribe: self._on_unsubscribe,
            Puback: self._on_puback, Pingreq: self._on_pingreq, Disconnect: self._on_disconnect,
        }

    # for the session -------------------------------------------------------------------------------------------------
    @property
    def certificate_id(self) -> str:
        """Of the connection."""
        return self._channel.certificate_id

    @property
    def resends(self) -> bool:
        """MQTT 5.0, 4.4: never on a connection that stands."""
        return self.version < V5

    @property
    def backlog(self) -> int:
        """Bytes the client has not read."""
        return self._channel.backlog

    def deliver(self, message: Message, packet_id: int, duplicate: bool = False) -> bool:
        """Write a PUBLISH; False when the client takes none of this size."""
        packet = Publish(message.topic, message.payload, message.qos, message.retain, duplicate, packet_id, {})
        if self.version == V5:
            packet.properties = self._outgoing_properties(message)
            self._shorten(packet)
        data = encode(packet, self.version)
        if len(data) > self._largest:
            return False
        self._channel.send(data)
        return True

    def drained(self) -> None:
        """The client read something: what waited for that may go on."""
        if self.session and self.session.queue:
            self._hub.delivery.pump(self.session)

    def close(self, reason: DisconnectReason, code: Reason | None = None) -> None:
        """Hang up and end the session; harmless when over already."""
        if self.over:
            return
        self.over = True
        session, self.session = self.session, None
        if session and self.version == V5 and self._hub.profile.mqtt5_disconnect_says_why:
            told = code or _CODES.get(reason)
            if told:
                self._channel.send(encode(Disconnect(told), self.version))
        self._channel.hang_up()
        self._log(events.Disconnected(reason, session.client_id if session else ""))
        if session:
            self._hub.end(session, reason, self._will, self._will_delay)

    @property
    def silent_until(self) -> datetime | None:
        """How long a connected client may stay silent (3.1.2.10)."""
        if not self.session or not self._last_packet:
            return None
        return self._last_packet + self._keep_alive * self._hub.profile.keep_alive_percent / 100

    # packets -------------------------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> None:
        """Plain bytes from the client."""
        if not self.version and data.startswith(_HTTP):
            self._log(events.NotModelled("", "", "HTTP; MQTT alone is spoken here"))
            self.close(DisconnectReason.CLIENT_ERROR)
            return
        self._reader.feed(data)
        now, most = self._hub.now(), 2 * self._hub.profile.write_buffer_bytes
        try:
            while not self.over and (packet := self._reader.next()):
                self._last_packet = now
                self._handle(packet)
                if self.backlog > most:
                    self._log(events.MessageDropped(self._client_id, "", f"the client does not read ({self.backlog} "
                                                    "bytes wait); its connection is closed"))
                    self.close(DisconnectReason.THROTTLED)
        except UnsupportedVersion as error:
            if self.session:
                self._violation(f"a second CONNECT: {error}")
            else:
                self._refuse(_Refusal(_UNACCEPTABLE_VERSION, Reason.UNSUPPORTED_PROTOCOL_VERSION, str(error)), "")
        except (Malformed, _Refused) as error:
            self._violation(str(error), error.code)

    def _handle(self, packet: Packet) -> None:
        if self.session is None:
            if not isinstance(packet, Connect):
                raise _Refused(f"{type(packet).__name__} before CONNECT")
            self._on_connect(packet)
            return
        handler = self._handlers.get(type(packet))
        if handler is None:
            raise _Refused(f"{type(packet).__name__} out of order")
        handler(self.session, packet)

    # CONNECT -------------------------------------------------------------------------------------------------------
    def _on_connect(self, packet: Connect) -> None:
        hub, client_id = self._hub, packet.client_id
        self.version = packet.version
        self._check_connect(packet)
        refusal = self._connect_fault(packet) or self._connect_forbidden(packet) or self._connect_busy(packet)
        if refusal:
            self._refuse(refusal, client_id)
            return
        self._accept_options(packet)
        keep = self._keep_seconds(packet)
        session, present = hub.begin(self, client_id, packet.clean, keep)
        self.session = session
        session.receive_maximum = packet.properties.get(Property.RECEIVE_MAXIMUM, 65535)
        self._log(events.Connected(client_id, self.certificate_id, session.thing, present))
        self._send(Connack(0, present, self._connack_properties(packet, keep)))
        hub.lifecycle.connected(session, self.peer_name)
        if session.link is self:  # a subscriber of the event may have thrown it out
            hub.delivery.resume(session)

    def _check_connect(self, packet: Connect) -> None:
        """What makes it a violation of MQTT or of a limit, before anybody asks who it is: raises _Refused."""
        will, profile, said = packet.will, self._hub.profile, packet.properties
        if Property.AUTHENTICATION_DATA in said and Property.AUTHENTICATION_METHOD not in said:
            raise _Refused("CONNECT with authentication data and no method")  # MQTT 5.0, 3.1.2.11.10
        if will is None:
            return
        fault = topic_fault(will.topic, profile)
        if not fault and not may_publish(will.topic):
            fault = f"topic '{will.topic}' is reserved, and nobody may publish to it"
            self._log(events.NotModelled(packet.client_id, will.topic, f"will: {fault}"))
            fault = fault if profile.unsupported_reserved_topics_close else None
        if fault:
            raise _Refused(f"will: {fault}", Reason.TOPIC_NAME_INVALID)
        if len(will.payload) > profile.payload_bytes:
            raise _Refused(f"will: {len(will.payload)} bytes; {profile.payload_bytes} are allowed",
                           Reason.PACKET_TOO_LARGE)
        self._check_properties(will.properties, "will")

    def _will_fault(self, packet: Connect) -> _Refusal | None:
        """MQTT 5.0, 3.2.2.3.4 and 3.2.2.3.5: what the server does not have is refused, if the client can be told."""
        will, profile = packet.will, self._hub.profile
        if will and will.qos == 2:
            self._log(events.QosUnsupported(packet.client_id, "CONNECT", will.topic))
            if packet.version == V5:
                return _Refusal(None, Reason.QOS_NOT_SUPPORTED, "a will of QoS 2")
        if will and will.retain and not profile.retained_messages and packet.version == V5:
            return _Refusal(None, Reason.RETAIN_NOT_SUPPORTED, "a will that is to be retained")
        return None

    def _connect_fault(self, packet: Connect) -> _Refusal | None:
        profile, client_id = self._hub.profile, packet.client_id
        if _LEVELS[packet.version] not in profile.protocol_levels:
            # as MQTT 5.0, 3.1.2.2 has it for servers of an older version
            return _Refusal(_UNACCEPTABLE_VERSION, Reason.UNSUPPORTED_PROTOCOL_VERSION,
                            f"protocol level {_LEVELS[packet.version]}")
        if not 1 <= len(client_id.encode()) <= profile.client_id_bytes or client_id[0] == "$":
            return _Refusal(_IDENTIFIER_REJECTED, Reason.CLIENT_IDENTIFIER_NOT_VALID, f"a client id has 1 to "
                            f"{profile.client_id_bytes} bytes, no zero among them, and does not begin with $")
        if Property.AUTHENTICATION_METHOD in packet.properties:
            self._log(events.NotModelled(client_id, "", "enhanced authentication"))
            return _Refusal(None, Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not supported")
        return self._will_fault(packet)

    def _connect_forbidden(self, packet: Connect) -> _Refusal | None:
        hub, client_id, will = self._hub, packet.client_id, packet.will
        attributes: list[str] = []
        extra: dict[str, Value] = {"iot:ConnectAttributes": attributes}
        if self._keep_seconds(packet):
            attributes.append("PersistentConnect")
        if will:
            attributes.append("LastWill")
            extra["iot:LastWillTopic"] = hub.registry.arn("topic", will.topic)
        decision = hub.ask(self, client_id, "iot:Connect", "client", client_id, extra)
        if decision.allowed and will and hub.profile.forbidden_will_refuses_connect:
            for action in ("iot:Publish", "iot:RetainPublish")[:1 + will.retain]:
                decision = hub.ask(self, client_id, action, "topic", will.topic)
                if not decision.allowed:
                    self._log(events.PublishForbidden(client_id, will.topic, action))
                    break
        if decision.allowed:
            return None
        hub.lifecycle.connect_failed(client_id, self.certificate_id)
        return _Refusal(hub.profile.forbidden_connect_code or None, Reason.NOT_AUTHORIZED, decision.reason,
                        DisconnectReason.FORBIDDEN_ACCESS)

    def _connect_busy(self, packet: Connect) -> _Refusal | None:
        hub, client_id = self._hub, packet.client_id
        for limit, who in (("connects_per_second_per_client", client_id), ("connects_per_second", "")):
            if hub.rates.exceeded(limit, who):
                self._log(events.Throttled(client_id, limit))
                return _Refusal(_UNAVAILABLE, Reason.CONNECTION_RATE_EXCEEDED, f"more than {limit}",
                                DisconnectReason.THROTTLED)
        present = hub.sessions.get(client_id)
        if present and present.link and not hub.profile.duplicate_client_id_takes_over:
            return _Refusal(_IDENTIFIER_REJECTED, Reason.CLIENT_IDENTIFIER_NOT_VALID, "this client id is connected")
        return None

    def _accept_options(self, packet: Connect) -> None:
        profile, will = self._hub.profile, packet.will
        asked = packet.keep_alive or profile.keep_alive_maximum
        self._keep_alive = timedelta(seconds=min(max(asked, profile.keep_alive_minimum), profile.keep_alive_maximum))
        self._largest = packet.properties.get(Property.MAXIMUM_PACKET_SIZE, self._largest)
        self._aliases_out_most = min(packet.properties.get(Property.TOPIC_ALIAS_MAXIMUM, 0),
                                     profile.topic_alias_maximum)
        if will:
            self._will = self._message(Publish(will.topic, will.payload, min(will.qos, 1), will.retain,
                                               properties=will.properties))
            self._will_delay = will.properties.get(Property.WILL_DELAY_INTERVAL, 0)

    def _keep_seconds(self, packet: Connect) -> int:
        profile = self._hub.profile
        if packet.version < V5:
            return 0 if packet.clean else profile.session_expiry_seconds
        return min(int(packet.properties.get(Property.SESSION_EXPIRY_INTERVAL, 0)),
                   profile.session_expiry_maximum_seconds)

    def _connack_properties(self, packet: Connect, keep: int) -> Properties:
        """What differs from what the client asked for or the specification has as default."""
        if packet.version < V5:
            return {}
        profile = self._hub.profile
        properties: Properties = {
            Property.RECEIVE_MAXIMUM: profile.unacknowledged_inbound, Property.MAXIMUM_QOS: 1,
            Property.RETAIN_AVAILABLE: int(profile.retained_messages),
            Property.MAXIMUM_PACKET_SIZE: profile.payload_bytes + HEADROOM,
            Property.TOPIC_ALIAS_MAXIMUM: profile.topic_alias_maximum,
            Property.WILDCARD_SUBSCRIPTION_AVAILABLE: 1,
            Property.SUBSCRIPTION_IDENTIFIER_AVAILABLE: int(profile.subscription_identifiers),
            Property.SHARED_SUBSCRIPTION_AVAILABLE: int(profile.shared_subscriptions),
        }
        keep_alive = int(self._keep_alive.total_seconds())
        if keep_alive != packet.keep_alive:
            properties[Property.SERVER_KEEP_ALIVE] = keep_alive
        if keep != packet.properties.get(Property.SESSION_EXPIRY_INTERVAL, 0):
            properties[Property.SESSION_EXPIRY_INTERVAL] = keep
        return properties

    # PUBLISH -------------------------------------------------------------------------------------------------------
    def _on_publish(self, session: Session, packet: Publish) -> None:
        self._check_publish(packet)
        for action in ("iot:Publish", "iot:RetainPublish")[:1 + packet.retain]:
            if not self._hub.ask(self, session.client_id, action, "topic", packet.topic).allowed:
                self._log(events.PublishForbidden(session.client_id, packet.topic, action))
                self._forbidden_publish(packet)
                return
        if packet.qos == 2:
            self._log(events.QosUnsupported(session.client_id, "PUBLISH", packet.topic))
            if self.version == V5 and self._hub.profile.mqtt5_qos2_disconnects:
                self.close(DisconnectReason.CLIENT_ERROR, Reason.QOS_NOT_SUPPORTED)
            return
        if self._throttled(session, packet):
            return
        reserved = is_reserved(packet.topic)
        if reserved:
            receivers = self._publish_reserved(session, packet)
        else:
            receivers = self._hub.route(self._message(packet), session.client_id)
        self._log(events.PublishAccepted(session.client_id, packet.topic, packet.payload, packet.qos, receivers,
                                         len(packet.payload)))
        if not reserved:
            self._hub.apply_rules(self, session.client_id, packet.topic, packet.payload)
        if packet.qos:
            self._send(Puback(packet.packet_id, self._found(receivers, Reason.NO_MATCHING_SUBSCRIBERS)))

    def _check_publish(self, packet: Publish) -> None:
        profile = self._hub.profile
        if self.version == V5:
            self._resolve_alias(packet)
            self._check_properties(packet.properties, "PUBLISH")
        if packet.topic != self._sound:
            if fault := topic_fault(packet.topic, profile):
                raise _Refused(f"PUBLISH: {fault}", Reason.TOPIC_NAME_INVALID)
            self._sound = packet.topic
        if len(packet.payload) > profile.payload_bytes:
            raise _Refused(f"PUBLISH with {len(packet.payload)} bytes; {profile.payload_bytes} are allowed",
                           Reason.PACKET_TOO_LARGE)
        if packet.retain and (is_reserved(packet.topic) or not profile.retained_messages):
            raise _Refused(f"PUBLISH with RETAIN to '{packet.topic}', where there are no retained messages",
                           Reason.RETAIN_NOT_SUPPORTED)
        if not may_publish(packet.topic):
            what = f"topic '{packet.topic}' is reserved, and nobody may publish to it"
            self._log(events.NotModelled(self._client_id, packet.topic, what))
            if profile.unsupported_reserved_topics_close:
                raise _Refused(what, Reason.TOPIC_NAME_INVALID)

    def _publish_reserved(self, session: Session, packet: Publish) -> int:
        hub, family = self._hub, publish_family(packet.topic)
        if family is Family.BASIC_INGEST and hub.profile.basic_ingest:
            rule, _, rest = packet.topic.removeprefix("$aws/rules/").partition("/")
            self._log(events.RuleInvoked(session.client_id, rule, rest, packet.payload))
            return 0
        if family in hub.services and getattr(hub.profile, family):
            return hub.serve(family, Request(session.client_id, self.certificate_id, packet.topic, packet.payload))
        if family:
            self._log(events.NotModelled(session.client_id, packet.topic, f"{family} does not answer here"))
        return 0

    def _forbidden_publish(self, packet: Publish) -> None:
        profile = self._hub.profile
        if profile.mqtt5_forbidden_publish_closes if self.version == V5 else profile.forbidden_publish_closes:
            self.close(DisconnectReason.FORBIDDEN_ACCESS)
        elif packet.qos == 1:
            self._send(Puback(packet.packet_id, Reason.NOT_AUTHORIZED if self.version == V5 else 0))

    def _throttled(self, session: Session, packet: Publish) -> bool:
        if not self._hub.profile.rate_limits_enforced:
            return False
        who = str(self.number)
        for limit, amount in (("publishes_per_second", 1), ("bytes_per_second", len(packet.payload))):
            if self._hub.rates.exceeded(limit, who, amount):
                self._log(events.Throttled(session.client_id, limit))
                self._log(events.MessageDropped(session.client_id, packet.topic, f"more than {limit}"))
                return True
        return False

    def _resolve_alias(self, packet: Publish) -> None:
        """MQTT 5.0, 3.3.2.3.4."""
        alias = packet.properties.pop(Property.TOPIC_ALIAS, None)
        if alias is None:
            if not packet.topic:
                raise _Refused("PUBLISH with neither a topic nor an alias")
            return
        if not 1 <= alias <= self._hub.profile.topic_alias_maximum:
            raise _Refused(f"PUBLISH with topic alias {alias}", Reason.TOPIC_ALIAS_INVALID)
        if packet.topic:
            self._aliases_in[alias] = packet.topic
        elif alias not in self._aliases_in:
            raise _Refused(f"PUBLISH with topic alias {alias}, which stands for nothing", Reason.PROTOCOL_ERROR)
        packet.topic = self._aliases_in[alias]

    def _check_properties(self, properties: Properties, where: str) -> None:
        size = len(properties.get(Property.CONTENT_TYPE, "").encode())
        size += sum(len(name.encode()) + len(value.encode())
                    for name, value in properties.get(Property.USER_PROPERTY, ()))
        if size > self._hub.profile.user_property_bytes:
            raise _Refused(f"{where} with {size} bytes of user properties and content type", Reason.QUOTA_EXCEEDED)
        answer = properties.get(Property.RESPONSE_TOPIC)
        if answer is not None and (fault := topic_fault(answer, self._hub.profile)):
            raise _Refused(f"{where} with response topic: {fault}", Reason.TOPIC_NAME_INVALID)
        if Property.SUBSCRIPTION_IDENTIFIER in properties:
            raise _Refused(f"{where} from a client with a subscription identifier")

    # SUBSCRIBE -----------------------------------------------------------------------------------------------------
    def _on_subscribe(self, session: Session, packet: Subscribe) -> None:
        self._check_subscribe(session, packet)
        codes = self._grant(session, packet)
        if codes is None:
            return
        granted = [each for each, code in zip(packet.subscriptions, codes, strict=True) if code < 0x80]
        (identifier,) = packet.properties.get(Property.SUBSCRIPTION_IDENTIFIER, [0])
        for each in granted:
            each.identifier = identifier
        fresh = [each for each in granted if self._hub.subscribe(session, each)]
        for each in granted:
            self._log(events.SubscribeAccepted(session.client_id, each.filter, each.qos))
        self._send(Suback(packet.packet_id, tuple(codes)))
        if granted:
            self._hub.lifecycle.subscribed(session, "subscribed", [each.filter for each in granted])
        for each in granted:
            if each.retain_handling == 0 or each.retain_handling == 1 and each in fresh:
                self._hub.send_retained(session, each)

    def _check_subscribe(self, session: Session, packet: Subscribe) -> None:
        profile, wanted = self._hub.profile, packet.subscriptions
        identifiers = packet.properties.get(Property.SUBSCRIPTION_IDENTIFIER, [])
        if identifiers and not profile.subscription_identifiers:
            raise _Refused("SUBSCRIBE with a subscription identifier", Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        if len(identifiers) > 1:  # MQTT 5.0, 3.8.2.1.2
            raise _Refused(f"SUBSCRIBE with {len(identifiers)} subscription identifiers")
        if len(wanted) > profile.filters_per_subscribe:
            raise _Refused(f"SUBSCRIBE with {len(wanted)} filters; {profile.filters_per_subscribe} are allowed",
                           Reason.QUOTA_EXCEEDED)
        for each in wanted:
            if each.no_local and split_shared(each.filter)[0]:  # MQTT 5.0, 3.8.3.1
                raise _Refused(f"SUBSCRIBE: filter '{each.filter}' is shared and asks for no local messages")
            if fault := filter_fault(each.filter, profile) or self._reserved_fault(each):
                raise _Refused(f"SUBSCRIBE: {fault}", Reason.TOPIC_FILTER_INVALID)
        if len({*session.subscriptions, *(each.filter for each in wanted)}) > profile.subscriptions_per_connection:
            raise _Refused(f"more than {profile.subscriptions_per_connection} subscriptions", Reason.QUOTA_EXCEEDED)

    def _reserved_fault(self, subscription: Subscription) -> str | None:
        text = split_shared(subscription.filter)[1]
        if not is_reserved(text) or may_subscribe(text):
            return None
        what = f"filter '{text}' is reserved, and nothing is published there"
        self._log(events.NotModelled(self._client_id, text, what))
        return what if self._hub.profile.unsupported_reserved_topics_close else None

    def _grant(self, session: Session, packet: Subscribe) -> list[int] | None:
        """A code for each filter; None when the packet gets no answer. May close the connection."""
        profile, codes = self._hub.profile, []
        closes = profile.mqtt5_forbidden_subscribe_closes if self.version == V5 else profile.forbidden_subscribe_closes
        for each in packet.subscriptions:
            if self._hub.ask(self, session.client_id, "iot:Subscribe", "topicfilter", each.filter).allowed:
                codes.append(min(each.qos, 1))
                continue
            self._log(events.SubscribeForbidden(session.client_id, each.filter))
            if closes:
                self.close(DisconnectReason.FORBIDDEN_ACCESS)
                return None
            codes.append(Reason.NOT_AUTHORIZED if self.version == V5 else Reason.UNSPECIFIED_ERROR)
        for each in packet.subscriptions:
            if each.qos == 2 and self.version < V5:
                self._log(events.QosUnsupported(session.client_id, "SUBSCRIBE", each.filter))
                return None
            each.qos = min(each.qos, 1)
        return codes

    def _on_unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        for each in packet.filters:
            if fault := filter_fault(each, self._hub.profile):
                raise _Refused(f"UNSUBSCRIBE: {fault}", Reason.TOPIC_FILTER_INVALID)
        codes = tuple(self._found(self._hub.unsubscribe(session, each), Reason.NO_SUBSCRIPTION_EXISTED)
                      for each in packet.filters)
        self._send(Unsuback(packet.packet_id, codes))
        self._hub.lifecycle.subscribed(session, "unsubscribed", packet.filters)

    # the rest ------------------------------------------------------------------------------------------------------
    def _on_puback(self, session: Session, packet: Puback) -> None:
        self._hub.delivery.acknowledge(session, packet.packet_id)

    def _on_pingreq(self, session: Session, packet: Pingreq) -> None:
        self._send(Pingresp())

    def _on_disconnect(self, session: Session, packet: Disconnect) -> None:
        expiry = packet.properties.get(Property.SESSION_EXPIRY_INTERVAL)
        if expiry is not None:
            if expiry and not session.keep_seconds:
                raise _Refused("DISCONNECT with a session expiry where CONNECT had none")  # MQTT 5.0, 3.14.2.2.2
            session.keep_seconds = min(expiry, self._hub.profile.session_expiry_maximum_seconds)
        if not packet.code:  # MQTT 5.0, 3.1.2.5: any other one leaves the will as it is
            self._will = None
        self.close(DisconnectReason.CLIENT_INITIATED_DISCONNECT)

    # packets out ---------------------------------------------------------------------------------------------------
    def _message(self, packet: Publish) -> Message:
        if not packet.properties:
            return Message(packet.topic, packet.payload, packet.qos, packet.retain)
        properties = {name: packet.properties[name] for name in _FORWARDED if name in packet.properties}
        lives = packet.properties.get(Property.MESSAGE_EXPIRY_INTERVAL)
        expires = None if lives is None else self._hub.now() + timedelta(seconds=lives)
        return Message(packet.topic, packet.payload, packet.qos, packet.retain, properties, expires)

    def _outgoing_properties(self, message: Message) -> Properties:
        properties = dict(message.properties)
        if message.expires:  # MQTT 5.0, 3.3.2.3.3: what is left of it
            left = (message.expires - self._hub.now()).total_seconds()
            properties[Property.MESSAGE_EXPIRY_INTERVAL] = max(int(left), 0)
        return properties

    def _shorten(self, packet: Publish) -> None:
        """Topic aliases, as many as the client takes."""
        alias = self._aliases_out.get(packet.topic)
        if alias:
            packet.topic, packet.properties[Property.TOPIC_ALIAS] = "", alias
        elif len(self._aliases_out) < self._aliases_out_most:
            self._aliases_out[packet.topic] = alias = len(self._aliases_out) + 1
            packet.properties[Property.TOPIC_ALIAS] = alias

    def _found(self, found: int, otherwise: Reason) -> Reason:
        """MQTT 5 has words for a success that reached nobody."""
        says = self.version == V5 and self._hub.profile.mqtt5_nobody_there_codes
        return otherwise if says and not found else Reason.SUCCESS

    def _send(self, packet: Packet) -> None:
        if not self.over:
            self._channel.send(encode(packet, self.version))

    # outcomes ------------------------------------------------------------------------------------------------------
    @property
    def _client_id(self) -> str:
        return self.session.client_id if self.session else ""

    def _refuse(self, refusal: _Refusal, client_id: str) -> None:
        says5 = self.version == V5 and refusal.code != _UNACCEPTABLE_VERSION
        code = int(refusal.code5) if says5 else refusal.code
        self._log(events.ConnectRefused(code, refusal.reason, client_id))
        if code:
            self._channel.send(encode(Connack(code), V5 if says5 else 4))
        self.close(refusal.disconnect)

    def _violation(self, reason: str, code: Reason = Reason.PROTOCOL_ERROR) -> None:
        self._log(events.ProtocolViolated(reason))
        if self.session is None and self._reader.version == V5:
            self._channel.send(encode(Connack(code), V5))
        self.close(DisconnectReason.CLIENT_ERROR, code)

    def _log(self, event: Event) -> None:
        self._hub.log(event, self.number)
