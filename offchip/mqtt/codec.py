# SPDX-License-Identifier: Apache-2.0
"""A byte stream cut into packets, and packets made into bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from offchip.mqtt.fields import CODES, Cursor, binary, read_properties, text, varint, write_properties
from offchip.mqtt.packets import (
    V3_1,
    V3_1_1,
    V5,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Qos2Ack,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    UnsupportedVersion,
    Will,
)

_NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP",
          8: "SUBSCRIBE", 9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP",
          14: "DISCONNECT", 15: "AUTH"}
_NUMBERS = {name: number for number, name in _NAMES.items()}
#: flags every packet but PUBLISH must carry (MQTT 3.1.1, table 2.2)
_FLAGS = {6: 2, 8: 2, 10: 2}
_PROTOCOLS = {("MQIsdp", V3_1): V3_1, ("MQTT", V3_1_1): V3_1_1, ("MQTT", V5): V5}


class PacketReader:
    """Cuts a byte stream into packets.

    ``maximum``: bytes of the longest packet body that may be announced; ``version``: protocol level of what comes,
    set by a CONNECT that is read.
    """

    def __init__(self, maximum: int, version: int = V3_1_1) -> None:
        self.version = version
        self._maximum = maximum
        self._buffer = bytearray()
        #: bytes of the buffer that have been read
        self._at = 0

    def feed(self, data: bytes) -> None:
        """More of the stream, in pieces of any size."""
        if self._at:
            del self._buffer[:self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Packet | None:
        """The next complete packet, or None. Raises Malformed or UnsupportedVersion; the stream is unusable then."""
        header = self._fixed_header()
        if header is None or len(self._buffer) < sum(header):
            return None
        start, length = header
        first, self._at = self._buffer[self._at], start + length
        body = bytes(self._buffer[start:self._at])
        packet = _usual_publish(first, body) if first >> 4 == 3 and self.version < V5 else None
        if packet is None:
            if first >> 4 == 1:  # it is answered in the words of its version, even if the rest of it makes no sense
                self.version = _announced(body) or self.version
            packet = decode(first, body, self.version)
        return packet

    def _fixed_header(self) -> tuple[int, int] | None:
        """Where the body begins, and the remaining length (2.2.3)."""
        start = self._at + 1
        if start < len(self._buffer) and (length := self._buffer[start]) < 0x80 and length <= self._maximum:
            return start + 1, length
        length = 0
        for index, byte in enumerate(self._buffer[start:start + 4]):
            length |= (byte & 0x7F) << 7 * index
            if not byte & 0x80:
                if index and not byte and self.version >= V5:  # MQTT 5.0, 1.5.5
                    raise Malformed("a remaining length that is longer than it needs to be")
                if length > self._maximum:
                    raise Malformed(f"a packet of {length} bytes; {self._maximum} are allowed",
                                    Reason.PACKET_TOO_LARGE)
                return start + index + 1, length
        if len(self._buffer) >= start + 4:
            raise Malformed("a remaining length of more than four bytes")
        return None


# reading -----------------------------------------------------------------------------------------------------------
def decode(first: int, body: bytes, version: int) -> Packet:
    """One packet from its first byte and body. Raises Malformed or UnsupportedVersion."""
    kind, flags = first >> 4, first & 0x0F
    name = _NAMES.get(kind)
    if name is None or kind == 15 and version < V5:
        raise Malformed(f"packet type {kind}")
    if kind != 3 and flags != _FLAGS.get(kind, 0):
        raise Malformed(f"{name} with flags {flags}")
    cursor = Cursor(body)
    packet = _publish(cursor, flags, version) if kind == 3 else _READERS[kind](cursor, version, name)
    try:
        cursor.end()
    except Malformed as error:
        raise Malformed(f"{name} with {error}") from None
    return packet


def _properties(cursor: Cursor, version: int, name: str) -> Properties:
    return read_properties(cursor, name) if version == V5 else {}


def _announced(body: bytes) -> int | None:
    """The version a CONNECT says it is of."""
    cursor = Cursor(body)
    try:
        return _PROTOCOLS.get((cursor.binary().decode("utf-8", "replace"), cursor.u8()))
    except Malformed:
        return None


def _connect(cursor: Cursor, version: int, name: str) -> Connect:
    protocol, level = cursor.binary(), cursor.u8()
    found = _PROTOCOLS.get((protocol.decode("utf-8", "replace"), level))
    if found is None:
        raise UnsupportedVersion(f"protocol {protocol!r} level {level}")
    flags, keep_alive = cursor.u8(), cursor.u16()
    _check_connect_flags(flags, found)
    properties = _properties(cursor, found, name)
    client_id = cursor.text()
    will = None
    if flags & 0x04:
        will_properties = _properties(cursor, found, "WILL")
        will = Will(cursor.text(), cursor.binary(), flags >> 3 & 3, bool(flags & 0x20), will_properties)
    user_name = cursor.text() if flags & 0x80 else None
    password = cursor.binary() if flags & 0x40 else None
    return Connect(client_id, found, bool(flags & 0x02), keep_alive, will, user_name, password, properties)


def _check_connect_flags(flags: int, version: int) -> None:
    """3.1.2.3 to 3.1.2.9."""
    will_ghost = not flags & 0x04 and flags & 0x38
    password_alone = version < V5 and flags & 0x40 and not flags & 0x80
    if flags & 0x01 or will_ghost or flags & 0x18 == 0x18 or password_alone:
        raise Malformed("CONNECT with contradictory flags")


def _connack(cursor: Cursor, version: int, name: str) -> Connack:
    flags, code = cursor.u8(), cursor.u8()
    if flags > 1:
        raise Malformed("CONNACK with reserved flags")
    # a server that knows no MQTT 5 refuses it in the form of its own version (MQTT 5.0, 3.1.2.2)
    return Connack(code, bool(flags), _properties(cursor, version, name) if cursor.left else {})


def _publish(cursor: Cursor, flags: int, version: int) -> Publish:
    qos, duplicate = flags >> 1 & 3, bool(flags & 8)
    if qos == 3 or duplicate and not qos:
        raise Malformed("PUBLISH with QoS 3" if qos == 3 else "PUBLISH with DUP and QoS 0")
    topic = cursor.text()
    packet_id = cursor.packet_id() if qos else 0
    properties = _properties(cursor, version, "PUBLISH")
    return Publish(topic, cursor.rest(), qos, bool(flags & 1), duplicate, packet_id, properties)


def _usual_publish(first: int, body: bytes) -> Packet | None:
    """The commonest packet, read without a cursor; None: the general reader shall say what is wrong with it."""
    qos = first >> 1 & 3
    end = 2 + int.from_bytes(body[:2], "big")
    at = end + 2 if qos else end
    if len(body) < at or qos == 3 or first & 8 and not qos:
        return None
    topic = _topic_text(body[2:end])
    packet_id = int.from_bytes(body[end:at], "big")
    if topic is None or qos and not packet_id:
        return None
    return Publish(topic, body[at:], qos, bool(first & 1), bool(first & 8), packet_id, {})


@lru_cache(maxsize=256)
def _topic_text(data: bytes) -> str | None:
    """The text, or None where it is none: most clients have but one topic."""
    try:
        topic = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in topic else topic


@lru_cache(maxsize=256)
def _topic_bytes(topic: str) -> bytes:
    return text(topic)


def _code_and_properties(cursor: Cursor, version: int, name: str) -> tuple[int, Properties]:
    """MQTT 5.0: both may be left out (3.4.2.1)."""
    code = cursor.u8() if version == V5 and cursor.left else 0
    if code not in CODES[name]:
        raise Malformed(f"{name} with reason code {code:#04x}", Reason.PROTOCOL_ERROR)
    return code, _properties(cursor, version, name) if cursor.left else {}


def _puback(cursor: Cursor, version: int, name: str) -> Puback:
    return Puback(cursor.packet_id(), *_code_and_properties(cursor, version, name))


def _qos2(cursor: Cursor, version: int, name: str) -> Qos2Ack:
    return Qos2Ack(name, cursor.packet_id(), *_code_and_properties(cursor, version, name))


def _subscribe(cursor: Cursor, version: int, name: str) -> Subscribe:
    packet_id, properties = cursor.packet_id(), _properties(cursor, version, name)
    subscriptions = []
    while cursor.left:
        subscriptions.append(_subscription(cursor.text(), cursor.u8(), version))
    if not subscriptions:
        raise Malformed("SUBSCRIBE without filters", Reason.PROTOCOL_ERROR)
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _subscription(text: str, options: int, version: int) -> Subscription:
    reserved, handling = (0xC0, options >> 4 & 3) if version == V5 else (0xFC, 0)
    if options & reserved:
        raise Malformed(f"SUBSCRIBE with options {options:#04x}")
    if options & 3 == 3 or handling == 3:  # MQTT 5.0, 3.8.3.1
        raise Malformed(f"SUBSCRIBE with options {options:#04x}", Reason.PROTOCOL_ERROR)
    return Subscription(text, options & 3, bool(options & 4), bool(options & 8), handling)


def _suback(cursor: Cursor, version: int, name: str) -> Suback:
    packet_id, properties = cursor.packet_id(), _properties(cursor, version, name)
    return Suback(packet_id, tuple(cursor.rest()), properties)


def _unsubscribe(cursor: Cursor, version: int, name: str) -> Unsubscribe:
    packet_id, properties = cursor.packet_id(), _properties(cursor, version, name)
    filters = []
    while cursor.left:
        filters.append(cursor.text())
    if not filters:
        raise Malformed("UNSUBSCRIBE without filters", Reason.PROTOCOL_ERROR)
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(cursor: Cursor, version: int, name: str) -> Unsuback:
    packet_id, properties = cursor.packet_id(), _properties(cursor, version, name)
    return Unsuback(packet_id, tuple(cursor.rest()) if version == V5 else (), properties)


def _disconnect(cursor: Cursor, version: int, name: str) -> Disconnect:
    return Disconnect(*_code_and_properties(cursor, version, name))


def _auth(cursor: Cursor, version: int, name: str) -> Auth:
    return Auth(*_code_and_properties(cursor, version, name))


def _pingreq(cursor: Cursor, version: int, name: str) -> Pingreq:
    return Pingreq()


def _pingresp(cursor: Cursor, version: int, name: str) -> Pingresp:
    return Pingresp()


_READERS: dict[int, Callable[[Cursor, int, str], Packet]] = {
    1: _connect, 2: _connack, 4: _puback, 5: _qos2, 6: _qos2, 7: _qos2, 8: _subscribe, 9: _suback, 10: _unsubscribe,
    11: _unsuback, 12: _pingreq, 13: _pingresp, 14: _disconnect, 15: _auth,
}


# writing -----------------------------------------------------------------------------------------------------------
def encode(packet: Packet, version: int = V3_1_1) -> bytes:
    """The packet's bytes at a protocol level; what a level has no field for is left out."""
    if isinstance(packet, Publish):
        return _encode_publish(packet, version)
    number, flags, body = _WRITERS[type(packet)](packet, version)
    return bytes([number << 4 | flags]) + varint(len(body)) + body


def _encode_publish(packet: Publish, version: int) -> bytes:
    """The commonest packet, in one go."""
    first = 0x30 | (packet.duplicate and 8) | packet.qos << 1 | packet.retain
    head = _topic_bytes(packet.topic)
    if packet.qos:
        head += packet.packet_id.to_bytes(2, "big")
    if version == V5:
        head += write_properties(packet.properties)
    length = len(head) + len(packet.payload)
    if length < 0x80:
        return bytes((first, length)) + head + packet.payload
    return bytes((first,)) + varint(length) + head + packet.payload


def _props(properties: Properties, version: int) -> bytes:
    return write_properties(properties) if version == V5 else b""


def _id(packet_id: int) -> bytes:
    return packet_id.to_bytes(2, "big")


def _write_connect(packet: Connect, version: int) -> tuple[int, int, bytes]:
    will = packet.will
    flags = (packet.clean and 0x02) | (0x80 if packet.user_name is not None else 0) \
        | (0x40 if packet.password is not None else 0)
    tail = text(packet.client_id)
    if will:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        tail += _props(will.properties, packet.version) + text(will.topic) + binary(will.payload)
    if packet.user_name is not None:
        tail += text(packet.user_name)
    if packet.password is not None:
        tail += binary(packet.password)
    protocol = "MQIsdp" if packet.version == V3_1 else "MQTT"
    head = text(protocol) + bytes([packet.version, flags]) + packet.keep_alive.to_bytes(2, "big")
    return 1, 0, head + _props(packet.properties, packet.version) + tail


def _write_connack(packet: Connack, version: int) -> tuple[int, int, bytes]:
    return 2, 0, bytes([packet.session_present, packet.code]) + _props(packet.properties, version)


def _coded(code: int, properties: Properties, version: int) -> bytes:
    """Left out where it says nothing (3.4.2.1)."""
    if version < V5 or not code and not properties:
        return b""
    return bytes([code]) + (write_properties(properties) if properties else b"")


def _write_puback(packet: Puback, version: int) -> tuple[int, int, bytes]:
    return 4, 0, _id(packet.packet_id) + _coded(packet.code, packet.properties, version)


def _write_qos2(packet: Qos2Ack, version: int) -> tuple[int, int, bytes]:
    number = _NUMBERS[packet.name]
    return number, _FLAGS.get(number, 0), _id(packet.packet_id) + _coded(packet.code, packet.properties, version)


def _write_subscribe(packet: Subscribe, version: int) -> tuple[int, int, bytes]:
    body = _id(packet.packet_id) + _props(packet.properties, version)
    for each in packet.subscriptions:
        options = each.qos
        if version == V5:
            options |= each.no_local << 2 | each.retain_as_published << 3 | each.retain_handling << 4
        body += text(each.filter) + bytes([options])
    return 8, 2, body


def _write_suback(packet: Suback, version: int) -> tuple[int, int, bytes]:
    return 9, 0, _id(packet.packet_id) + _props(packet.properties, version) + bytes(packet.codes)


def _write_unsubscribe(packet: Unsubscribe, version: int) -> tuple[int, int, bytes]:
    return 10, 2, (_id(packet.packet_id) + _props(packet.properties, version)
                   + b"".join(text(each) for each in packet.filters))


def _write_unsuback(packet: Unsuback, version: int) -> tuple[int, int, bytes]:
    codes = bytes(packet.codes) if version == V5 else b""
    return 11, 0, _id(packet.packet_id) + _props(packet.properties, version) + codes


def _write_disconnect(packet: Disconnect, version: int) -> tuple[int, int, bytes]:
    return 14, 0, _coded(packet.code, packet.properties, version)


def _write_auth(packet: Auth, version: int) -> tuple[int, int, bytes]:
    return 15, 0, _coded(packet.code, packet.properties, version)


_WRITERS: dict[type, Callable[..., tuple[int, int, bytes]]] = {
    Connect: _write_connect, Connack: _write_connack, Puback: _write_puback,
    Qos2Ack: _write_qos2, Subscribe: _write_subscribe, Suback: _write_suback, Unsubscribe: _write_unsubscribe,
    Unsuback: _write_unsuback, Pingreq: lambda packet, version: (12, 0, b""),
    Pingresp: lambda packet, version: (13, 0, b""), Disconnect: _write_disconnect, Auth: _write_auth,
}
