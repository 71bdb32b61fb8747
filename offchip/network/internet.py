# SPDX-License-Identifier: Apache-2.0
"""Names, ports and byte streams, synchronous and sans-IO.

When :meth:`Stream.send` returns, every peer inside the laboratory has done all it can, and what it answered is there to
:meth:`Stream.receive`. Nothing here knows about the host's clock; the one exception is :mod:`offchip.network.tcp`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from offchip.errors import NetworkError


class UnknownName(NetworkError):
    """Nobody answers to this host name (DNS failure)."""


class Refused(NetworkError):
    """The host exists; nobody listens on this port, or the listener turned the caller away."""


class Endpoint(Protocol):
    """The far end of one connection, seen from the near end."""

    @property
    def closed(self) -> bool:
        """No more bytes will come from this end, except those :meth:`take` still returns."""

    #: called when there is something to :meth:`take` that no :meth:`receive` asked for
    on_output: Callable[[], None] | None

    def receive(self, data: bytes) -> None:
        """Bytes from the near end."""

    def take(self) -> bytes:
        """Everything the far end wants to send."""

    def peer_closed(self) -> None:
        """The near end hung up."""


class Service(Protocol):
    """Something that listens; the broker is one as it stands."""

    def connect(self, peer_name: str) -> Endpoint:
        """Accept a connection from ``peer_name``. Raises NetworkError when it refuses."""


class Stream:
    """The near end of one connection."""

    def __init__(self, host: str, port: int, endpoint: Endpoint) -> None:
        self.host = host
        self.port = port
        self._endpoint = endpoint
        self._pending = bytearray()
        self._closed_here = False

    def send(self, data: bytes) -> None:
        """Hand bytes to the peer. Raises NetworkError on a closed stream."""
        if self._closed_here or self._endpoint.closed:
            raise NetworkError(f"{self.host}:{self.port}: the connection is closed")
        self._endpoint.receive(bytes(data))

    def receive(self) -> bytes:
        """Everything the peer has sent since the last call."""
        self._pull()
        data = bytes(self._pending)
        self._pending.clear()
        return data

    @property
    def closed(self) -> bool:
        """The connection is over and everything the peer sent has been received."""
        self._pull()
        return self._closed_here or (self._endpoint.closed and not self._pending)

    def close(self) -> None:
        """Hang up; harmless when closed already."""
        if not self._closed_here:
            self._closed_here = True
            self._pending.clear()
            self._endpoint.peer_closed()

    def sockets(self) -> list[socket.socket]:
        """The host's sockets behind this stream: empty while everything stays inside the laboratory."""
        return [] if self._closed_here else sockets_of(self._endpoint)

    def _pull(self) -> None:
        if not self._closed_here:
            self._pending += self._endpoint.take()


def sockets_of(endpoint: Endpoint) -> list[socket.socket]:
    """The host's sockets an endpoint rests on (only bridges to the real world have any)."""
    supplier = getattr(endpoint, "sockets", None)
    return supplier() if supplier else []


#: puts itself in front of a service (host, port, service) and passes everything on
Watch = Callable[[str, int, Service], Service]


class Internet:
    """Host names and what listens behind them.

    ``watch``: sees every connection made from now on, the attacker's own to genuine servers among them.
    """

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._services: dict[tuple[str, int], Service] = {}
        self._redirects: dict[tuple[str, int], Service] = {}
        self._streams: list[Stream] = []

    def register(self, host: str, port: int, service: Service) -> None:
        """Let ``service`` listen on ``host:port``; a later registration replaces the earlier one."""
        self._services[_address(host, port)] = service

    def unregister(self, host: str, port: int) -> None:
        """Switch the listener off. Connections that exist stay."""
        if self._services.pop(_address(host, port), None) is None:
            raise NetworkError(f"{host}:{port}: nothing is registered there")

    def service(self, host: str, port: int) -> Service:
        """The genuine listener, whatever an attacker redirected. Raises NetworkError."""
        return self._watched(host, port, self._genuine(host, port))

    def _genuine(self, host: str, port: int) -> Service:
        address = _address(host, port)
        if address in self._services:
            return self._services[address]
        if any(name == address[0] for name, _ in self._services):
            raise Refused(f"{host}:{port}: connection refused, nobody listens on this port")
        raise UnknownName(f"{host}: no such host on the laboratory's internet")

    def redirect(self, host: str, port: int, other: Service) -> None:
        """Spoof the name: from now on connections to ``host:port`` arrive at ``other``."""
        self._redirects[_address(host, port)] = other

    def restore(self, host: str, port: int) -> None:
        """Stop spoofing ``host:port``; harmless when nobody does."""
        self._redirects.pop(_address(host, port), None)

    def connect(self, host: str, port: int, peer_name: str = "device") -> Stream:
        """Open a stream. Raises :class:`UnknownName` or :class:`Refused`, both NetworkError."""
        address = _address(host, port)
        service = self._redirects.get(address) or self._genuine(host, port)
        stream = Stream(host, port, self._watched(host, port, service).connect(peer_name))
        self._streams = [old for old in self._streams if old.sockets()] + [stream]
        return stream

    def sockets(self) -> list[socket.socket]:
        """The host's sockets behind all open streams; empty means that virtual time need not wait for the host."""
        return [each for stream in self._streams for each in stream.sockets()]

    def _watched(self, host: str, port: int, service: Service) -> Service:
        return self.watch(host, port, service) if self.watch else service


def _address(host: str, port: int) -> tuple[str, int]:
    if not host or not 0 < port < 65536:
        raise NetworkError(f"'{host}:{port}' is no address; give a host name and a port from 1 to 65535")
    return host.lower().rstrip("."), port
