# SPDX-License-Identifier: Apache-2.0
"""One TLS stream of MQTT packets at a server that is no broker: the attacker's, or that of a test."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from offchip.broker.entropy import Entropy
from offchip.broker.tls import TlsStream
from offchip.mqtt import Malformed, Packet, PacketReader, UnsupportedVersion, encode

_LARGEST_PACKET = 256 * 1024


class PacketStream:
    """An endpoint of :mod:`offchip.network.internet`; what happens on it is told to the methods below ``hooks``."""

    def __init__(self, context: ssl.SSLContext, entropy: Entropy | None = None) -> None:
        """``entropy``: None for real random numbers."""
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self.tls = TlsStream(context, self.alerted, entropy=entropy)
        self.tls.on_handshake = self.greeted
        self.packets = PacketReader(_LARGEST_PACKET)

    def receive(self, data: bytes) -> None:
        """Bytes from the client; what follows from them is done on return."""
        if self.closed:
            return
        self.tls.feed(data)
        try:
            self._advance()
        except (ssl.SSLError, Malformed, UnsupportedVersion) as error:
            self.closed = True
            self.failed(getattr(error, "reason", None) or str(error) or type(error).__name__)

    def take(self) -> bytes:
        """Everything to send."""
        return self.tls.take()

    @property
    def backlog(self) -> int:
        """Bytes that wait to be taken."""
        return self.tls.pending

    def peer_closed(self) -> None:
        """The client is gone."""
        if not self.closed:
            self.closed = True
            self.left()

    def send(self, packet: Packet) -> None:
        """In the words of the client's version."""
        self.tls.write(encode(packet, self.packets.version))

    def _advance(self) -> None:
        if not self.tls.established:
            if not self.tls.handshake():
                return
            self.established()
        while not self.closed and (data := self.tls.read()) is not None:
            if not data:
                self.peer_closed()
                return
            self.packets.feed(data)
            while not self.closed and (packet := self.packets.next()):
                self.answer(packet)

    # hooks ---------------------------------------------------------------------------------------------------------
    def greeted(self, direction: str, message: bytes) -> None:
        """A handshake message, in clear; ``direction``: sent or received."""

    def alerted(self, direction: str, number: int, name: str) -> None:
        """A TLS alert."""

    def established(self) -> None:
        """TLS stands."""

    def answer(self, packet: Packet) -> None:
        """A packet came."""

    def failed(self, reason: str) -> None:
        """TLS or MQTT broke; the stream is closed."""

    def left(self) -> None:
        """The client hung up."""
