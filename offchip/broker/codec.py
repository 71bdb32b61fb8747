# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 packets from and to bytes; the packet formats are amqtt's, the driving and the strictness are ours.

amqtt reads from asyncio streams; over a complete packet in a buffer its coroutines never wait, so they are run to their
end by hand.
"""

from __future__ import annotations

import struct
from collections.abc import Coroutine
from typing import Any, TypeVar

from amqtt.adapters import BufferReader
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError, ZeroLengthReadError
from amqtt.mqtt import MQTTPacket, packet_class
from amqtt.mqtt.connect import ConnectPacket, ConnectVariableHeader
from amqtt.mqtt.packet import CONNECT, PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE, MQTTFixedHeader

Packet = MQTTPacket[Any, Any, Any]
_T = TypeVar("_T")

#: flags every packet but PUBLISH must carry (MQTT 3.1.1, table 2.2)
_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

#: amqtt has no common base for what it raises on bad input, and lets the interpreter's own errors through
_AMQTT_COMPLAINTS = (AMQTTError, CodecError, MQTTError, NoDataError, ZeroLengthReadError, struct.error, ValueError,
                     TypeError, AttributeError, IndexError)


class Malformed(Exception):
    """A packet that MQTT 3.1.1 forbids; one sentence."""


class UnsupportedVersion(Exception):
    """A CONNECT of another protocol or level than MQTT 3.1.1."""


class PacketReader:
    """Cuts a byte stream into packets. ``maximum``: bytes of the longest packet body that may be announced."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """More of the stream, in pieces of any size."""
        self._buffer += data

    def next(self) -> Packet | None:
        """The next complete packet, or None. Raises Malformed or UnsupportedVersion; the stream is unusable then."""
        header = self._fixed_header()
        if header is None or len(self._buffer) < header[0] + header[1]:
            return None
        size, length = header
        first, body = self._buffer[0], bytes(self._buffer[size:size + length])
        del self._buffer[:size + length]
        return _decode(first, body)

    def _fixed_header(self) -> tuple[int, int] | None:
        """Size of the fixed header and the remaining length (2.2.3)."""
        length = 0
        for index, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 0x7F) << 7 * index
            if not byte & 0x80:
                if length > self._maximum:
                    raise Malformed(f"a packet of {length} bytes; {self._maximum} are allowed")
                return index + 2, length
        if len(self._buffer) >= 5:
            raise Malformed("a remaining length of more than four bytes")
        return None


def _decode(first: int, body: bytes) -> Packet:
    header = MQTTFixedHeader(first >> 4, first & 0x0F, len(body))
    if header.packet_type != PUBLISH and header.flags != _FLAGS.get(header.packet_type, 0):
        raise Malformed(f"packet type {header.packet_type} with flags {header.flags}")
    try:
        if header.packet_type == CONNECT:
            _check_version(body, header)
        packet = _run(packet_class(header).from_stream(BufferReader(body), fixed_header=header))
        if isinstance(packet, ConnectPacket):
            _check_connect(packet)
        encoded = _body(packet)
    except _AMQTT_COMPLAINTS as error:
        raise Malformed(f"packet type {header.packet_type}: {error}") from error
    # amqtt forgives missing and surplus fields and text that is not UTF-8; what it understood then differs
    if encoded != body:
        raise Malformed(f"packet type {header.packet_type} has fields that are missing, too many or not UTF-8")
    return packet


def _check_version(body: bytes, header: MQTTFixedHeader) -> None:
    variable = _run(ConnectVariableHeader.from_stream(BufferReader(body), header))
    if (variable.proto_name, variable.proto_level) != ("MQTT", 4):
        raise UnsupportedVersion(f"protocol '{variable.proto_name}' level {variable.proto_level}")


def _check_connect(packet: ConnectPacket) -> None:
    header, content = packet.variable_header, packet.payload
    if content.client_id_is_random:
        content.client_id = ""  # amqtt invents one; whether to accept none is the broker's decision
    announced = ((header.will_flag, content.will_topic), (header.username_flag, content.username),
                 (header.password_flag, content.password))
    if any(flag and value is None for flag, value in announced):
        raise Malformed("CONNECT without a field its flags announce")


def _body(packet: Packet) -> bytes:
    header, payload = packet.variable_header, packet.payload
    return bytes((header.to_bytes() if header else b"")
                 + (payload.to_bytes(packet.fixed_header, header) if payload else b""))


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    try:
        coroutine.send(None)
    except StopIteration as result:
        return result.value
    coroutine.close()
    raise Malformed("a packet that ends too early")
