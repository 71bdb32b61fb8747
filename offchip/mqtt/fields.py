# SPDX-License-Identifier: Apache-2.0
"""The data types packets are made of (MQTT 5.0, 1.5), and properties (2.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchip.mqtt.packets import Malformed, Properties, Property, Reason


class Cursor:
    """Reads fields off a packet's body. Every method raises Malformed where the body ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._body) - self._at

    def raw(self, count: int) -> bytes:
        """``count`` bytes."""
        end = self._at + count
        if end > len(self._body):
            raise Malformed("a packet that ends too early")
        data = self._body[self._at:end]
        self._at = end
        return data

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.raw(self.left)

    def u8(self) -> int:
        """One byte."""
        return self.raw(1)[0]

    def u16(self) -> int:
        """Two byte integer."""
        return int.from_bytes(self.raw(2), "big")

    def u32(self) -> int:
        """Four byte integer."""
        return int.from_bytes(self.raw(4), "big")

    def packet_id(self) -> int:
        """2.3.1: not zero."""
        value = self.u16()
        if not value:
            raise Malformed("packet id 0", Reason.PROTOCOL_ERROR)
        return value

    def binary(self) -> bytes:
        """Two bytes of length and the data."""
        return self.raw(self.u16())

    def text(self) -> str:
        """UTF-8 without the null character (1.5.3; 1.5.4 in MQTT 5.0)."""
        try:
            text = self.binary().decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("text that is not UTF-8") from None
        if "\0" in text:
            raise Malformed("text with a null character")
        return text

    def varint(self) -> int:
        """Variable byte integer of at most four bytes, in its shortest form."""
        value = 0
        for shift in range(0, 28, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if shift and not byte:
                    raise Malformed("a variable byte integer that is longer than it needs to be")
                return value
        raise Malformed("a variable byte integer of more than four bytes")

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise Malformed(f"{self.left} bytes too many")


def varint(value: int) -> bytes:
    """The shortest form."""
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        encoded.append(digit | 0x80 * bool(value))
        if not value:
            return bytes(encoded)


def binary(data: bytes) -> bytes:
    """Length and data."""
    return len(data).to_bytes(2, "big") + data


def text(value: str) -> bytes:
    """Length and UTF-8."""
    return binary(value.encode())


# properties --------------------------------------------------------------------------------------------------------
def _bit(cursor: Cursor) -> int:
    value = cursor.u8()
    if value > 1:
        raise Malformed("a property that may be 0 or 1 and is not", Reason.PROTOCOL_ERROR)
    return value


def _positive16(cursor: Cursor) -> int:
    value = cursor.u16()
    if not value:
        raise Malformed("a property that may not be 0 and is", Reason.PROTOCOL_ERROR)
    return value


def _positive32(cursor: Cursor) -> int:
    value = cursor.u32()
    if not value:
        raise Malformed("a property that may not be 0 and is", Reason.PROTOCOL_ERROR)
    return value


def _positive_varint(cursor: Cursor) -> int:
    value = cursor.varint()
    if not value:
        raise Malformed("subscription identifier 0", Reason.PROTOCOL_ERROR)
    return value


def _encode_u8(value: int) -> bytes:
    return bytes([value])


def _encode_u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _encode_u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


_P = Property
_Kind = tuple[Callable[[Cursor], Any], Callable[[Any], bytes]]
_BIT: _Kind = (_bit, _encode_u8)
_U16: _Kind = (Cursor.u16, _encode_u16)
_COUNT16: _Kind = (_positive16, _encode_u16)
_U32: _Kind = (Cursor.u32, _encode_u32)
_TEXT: _Kind = (Cursor.text, text)
_BINARY: _Kind = (Cursor.binary, binary)

_KINDS: dict[Property, _Kind] = {
    _P.PAYLOAD_FORMAT_INDICATOR: _BIT, _P.MESSAGE_EXPIRY_INTERVAL: _U32, _P.CONTENT_TYPE: _TEXT,
    _P.RESPONSE_TOPIC: _TEXT, _P.CORRELATION_DATA: _BINARY, _P.SUBSCRIPTION_IDENTIFIER: (_positive_varint, varint),
    _P.SESSION_EXPIRY_INTERVAL: _U32, _P.ASSIGNED_CLIENT_IDENTIFIER: _TEXT, _P.SERVER_KEEP_ALIVE: _U16,
    _P.AUTHENTICATION_METHOD: _TEXT, _P.AUTHENTICATION_DATA: _BINARY, _P.REQUEST_PROBLEM_INFORMATION: _BIT,
    _P.WILL_DELAY_INTERVAL: _U32, _P.REQUEST_RESPONSE_INFORMATION: _BIT, _P.RESPONSE_INFORMATION: _TEXT,
    _P.SERVER_REFERENCE: _TEXT, _P.REASON_STRING: _TEXT, _P.RECEIVE_MAXIMUM: _COUNT16, _P.TOPIC_ALIAS_MAXIMUM: _U16,
    _P.TOPIC_ALIAS: _U16, _P.MAXIMUM_QOS: _BIT, _P.RETAIN_AVAILABLE: _BIT,
    _P.USER_PROPERTY: (lambda cursor: (cursor.text(), cursor.text()), lambda pair: text(pair[0]) + text(pair[1])),
    _P.MAXIMUM_PACKET_SIZE: (_positive32, _encode_u32), _P.WILDCARD_SUBSCRIPTION_AVAILABLE: _BIT,
    _P.SUBSCRIPTION_IDENTIFIER_AVAILABLE: _BIT, _P.SHARED_SUBSCRIPTION_AVAILABLE: _BIT,
}
#: may come more than once
_MANY = {_P.USER_PROPERTY, _P.SUBSCRIPTION_IDENTIFIER}

_ANSWER = {_P.REASON_STRING, _P.USER_PROPERTY}
_MESSAGE = {_P.PAYLOAD_FORMAT_INDICATOR, _P.MESSAGE_EXPIRY_INTERVAL, _P.CONTENT_TYPE, _P.RESPONSE_TOPIC,
            _P.CORRELATION_DATA, _P.USER_PROPERTY}
_AUTHENTICATION = {_P.AUTHENTICATION_METHOD, _P.AUTHENTICATION_DATA}
#: packet -> what it may carry (MQTT 5.0, table 2-4)
ALLOWED: dict[str, set[Property]] = {
    "CONNECT": {_P.SESSION_EXPIRY_INTERVAL, _P.RECEIVE_MAXIMUM, _P.MAXIMUM_PACKET_SIZE, _P.TOPIC_ALIAS_MAXIMUM,
                _P.REQUEST_RESPONSE_INFORMATION, _P.REQUEST_PROBLEM_INFORMATION, _P.USER_PROPERTY} | _AUTHENTICATION,
    "WILL": _MESSAGE | {_P.WILL_DELAY_INTERVAL},
    "CONNACK": {_P.SESSION_EXPIRY_INTERVAL, _P.RECEIVE_MAXIMUM, _P.MAXIMUM_QOS, _P.RETAIN_AVAILABLE,
                _P.MAXIMUM_PACKET_SIZE, _P.ASSIGNED_CLIENT_IDENTIFIER, _P.TOPIC_ALIAS_MAXIMUM,
                _P.WILDCARD_SUBSCRIPTION_AVAILABLE, _P.SUBSCRIPTION_IDENTIFIER_AVAILABLE,
                _P.SHARED_SUBSCRIPTION_AVAILABLE, _P.SERVER_KEEP_ALIVE, _P.RESPONSE_INFORMATION,
                _P.SERVER_REFERENCE} | _AUTHENTICATION | _ANSWER,
    "PUBLISH": _MESSAGE | {_P.TOPIC_ALIAS, _P.SUBSCRIPTION_IDENTIFIER},
    "SUBSCRIBE": {_P.SUBSCRIPTION_IDENTIFIER, _P.USER_PROPERTY}, "UNSUBSCRIBE": {_P.USER_PROPERTY},
    "DISCONNECT": {_P.SESSION_EXPIRY_INTERVAL, _P.SERVER_REFERENCE} | _ANSWER, "AUTH": _AUTHENTICATION | _ANSWER,
    "PUBACK": _ANSWER, "PUBREC": _ANSWER, "PUBREL": _ANSWER, "PUBCOMP": _ANSWER, "SUBACK": _ANSWER,
    "UNSUBACK": _ANSWER,
}


_RECEIVED = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
#: packet -> reason codes it may carry, whoever sends it (MQTT 5.0, 3.4.2.1 to 3.7.2.1, 3.14.2.1, 3.15.2.1)
CODES: dict[str, set[int]] = {
    "PUBACK": _RECEIVED, "PUBREC": _RECEIVED, "PUBREL": {0x00, 0x92}, "PUBCOMP": {0x00, 0x92},
    "DISCONNECT": {0x00, 0x04, *range(0x80, 0x84), 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0xA3)},
    "AUTH": {0x00, 0x18, 0x19},
}


def read_properties(cursor: Cursor, packet: str) -> Properties:
    """The properties of one packet (or ``WILL``). Raises Malformed for unknown, misplaced or repeated ones."""
    inside = Cursor(cursor.raw(cursor.varint()))
    properties: Properties = {}
    while inside.left:
        number = inside.varint()
        try:
            name = Property(number)
        except ValueError:
            raise Malformed(f"{packet} with unknown property {number}") from None
        if name not in ALLOWED[packet]:
            raise Malformed(f"{packet} with property {name.name}", Reason.PROTOCOL_ERROR)
        value = _KINDS[name][0](inside)
        if name in _MANY:
            properties.setdefault(name, []).append(value)
        elif name in properties:
            raise Malformed(f"{packet} with property {name.name} twice", Reason.PROTOCOL_ERROR)
        else:
            properties[name] = value
    return properties


def write_properties(properties: Properties) -> bytes:
    """Length and properties."""
    if not properties:
        return b"\0"
    parts = []
    for name, value in properties.items():
        write = _KINDS[name][1]
        for each in value if name in _MANY else (value,):
            parts.append(varint(name) + write(each))
    body = b"".join(parts)
    return varint(len(body)) + body
