# SPDX-License-Identifier: Apache-2.0
"""A client of the bytes: what a broker at a real TCP port answered, as words that can be compared."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from offchip.mqtt import (
    V3_1_1,
    V5,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketReader,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Unsuback,
    encode,
)

_LIMIT_S = 20.0
_LARGEST = 1 << 20


class Wire:
    """``connected``: what CONNECT was answered. Who hung up said ``closed`` to whatever was asked last."""

    def __init__(self, port: int, authority: Path, certificate: Path, connect: Connect) -> None:
        """Over mutual TLS, at this machine. ``certificate``: a PEM file with the key behind it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate)
        self._version = connect.version
        self._reader = PacketReader(_LARGEST, V5 if connect.version == V5 else V3_1_1)
        self._closed = False
        #: topic and payload of what came, acknowledged where that was asked for
        self.delivered: list[tuple[str, bytes]] = []
        raw = socket.create_connection(("127.0.0.1", port), _LIMIT_S)
        try:
            self._socket = context.wrap_socket(raw, server_hostname="localhost")
        except (ssl.SSLError, ConnectionError):
            self._closed, self.connected = True, "closed"
            raw.close()
            return
        self.connected = self._told(connect, Connack)

    def hang_up(self) -> None:
        """Without a word; harmless when over."""
        self._closed = True
        if hasattr(self, "_socket"):
            self._socket.close()

    def ask(self, packet: Packet) -> str:
        """What a packet was answered: one word for each packet, up to the PINGRESP of a ping behind it."""
        return self._told(packet, Pingresp)

    def wait_for(self, topic: str) -> None:
        """Read until something came on ``topic``. Raises TimeoutError."""
        while not self._closed and topic not in (each for each, _ in self.delivered):
            self._next()

    def _told(self, packet: Packet, last: type[Packet]) -> str:
        words: list[str] = []
        ping = encode(Pingreq(), self._version) if last is Pingresp else b""
        self._send(encode(packet, self._version) + ping)
        while not self._closed:
            answer = self._next()
            if answer is not None and not isinstance(answer, Publish | Pingresp):
                words.append(_word(answer))
            if isinstance(answer, last):
                return " ".join(words) or "nothing"
        return " ".join([*words, "closed"])

    def _next(self) -> Packet | None:
        while True:
            if packet := self._reader.next():
                if isinstance(packet, Publish):
                    self.delivered.append((packet.topic, packet.payload))
                    if packet.qos:
                        self._send(encode(Puback(packet.packet_id), self._version))
                return packet
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                data = b""
            if not data:
                self._closed = True
                return None
            self._reader.feed(data)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self._closed = True


def _word(packet: Packet) -> str:
    if isinstance(packet, Connack | Disconnect | Puback):
        return f"{type(packet).__name__.lower()} {packet.code:#04x}"
    if isinstance(packet, Suback | Unsuback):
        return f"{type(packet).__name__.lower()} " + " ".join(f"{code:#04x}" for code in packet.codes)
    return type(packet).__name__.lower()
