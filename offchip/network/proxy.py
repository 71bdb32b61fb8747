# SPDX-License-Identifier: Apache-2.0
"""An imposter between device and server: records the bytes, forwards them, and may change or withhold them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from offchip.network.internet import Endpoint, Service, sockets_of


class Direction(Enum):
    """Which way a chunk travels."""

    TO_SERVER = "to-server"
    TO_DEVICE = "to-device"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as the proxy saw them (``data``) and as it passed them on (``passed``; None: withheld)."""

    connection: int
    direction: Direction
    data: bytes
    passed: bytes | None


#: decides what becomes of a chunk: the bytes to pass on, or None to withhold it
Rule = Callable[[Direction, bytes], bytes | None]


class Proxy:
    """A service that sits in front of ``upstream``.

    ``upstream`` is the genuine service (``internet.service(host, port)``), not a name: a proxy that looked its victim's
    name up again would find itself.
    """

    def __init__(self, upstream: Service, rule: Rule | None = None) -> None:
        self.upstream = upstream
        self.rule = rule
        self.chunks: list[Chunk] = []
        self.connections = 0

    def connect(self, peer_name: str) -> ProxyEndpoint:
        """Opens the forward leg at once, so a refusal upstream is a refusal here (NetworkError)."""
        endpoint = self.upstream.connect(peer_name)
        self.connections += 1
        return ProxyEndpoint(self, self.connections, endpoint)

    def recorded(self, direction: Direction) -> bytes:
        """All bytes seen travelling that way, over all connections."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.direction is direction)

    def changed(self) -> list[Chunk]:
        """The evidence: chunks that did not pass as they came."""
        return [chunk for chunk in self.chunks if chunk.passed != chunk.data]

    def pass_on(self, connection: int, direction: Direction, data: bytes) -> bytes:
        """Record a chunk and return what goes further."""
        passed = self.rule(direction, data) if self.rule else data
        self.chunks.append(Chunk(connection, direction, data, passed))
        return passed or b""


class ProxyEndpoint:
    """One proxied connection."""

    def __init__(self, proxy: Proxy, number: int, upstream: Endpoint) -> None:
        self._proxy = proxy
        self._number = number
        self._upstream = upstream
        self._output = bytearray()
        self.on_output: Callable[[], None] | None = None
        upstream.on_output = self._upstream_output
        self._collect()

    @property
    def closed(self) -> bool:
        return self._upstream.closed

    def receive(self, data: bytes) -> None:
        passed = self._proxy.pass_on(self._number, Direction.TO_SERVER, data)
        if passed:
            self._upstream.receive(passed)
            self._collect()

    def take(self) -> bytes:
        self._collect()
        data = bytes(self._output)
        self._output.clear()
        return data

    def peer_closed(self) -> None:
        self._upstream.peer_closed()

    def sockets(self) -> list[socket.socket]:
        return sockets_of(self._upstream)

    def _collect(self) -> None:
        data = self._upstream.take()
        if data:
            self._output += self._proxy.pass_on(self._number, Direction.TO_DEVICE, data)

    def _upstream_output(self) -> None:
        self._collect()
        if self.on_output and self._output:
            self.on_output()
