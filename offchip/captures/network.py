# SPDX-License-Identifier: Apache-2.0
"""The laboratory's TCP connections, watched: who called whom, what crossed, and when in virtual time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from offchip.errors import NetworkError
from offchip.network.internet import Endpoint, Service, sockets_of


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes one way; none: that side hung up."""

    time_ns: int
    to_server: bool
    data: bytes


@dataclass(slots=True)
class Wire:
    """One connection. ``caller``: the peer's name, its IP address if it has one; ``refused``: why it came to none."""

    caller: str
    host: str
    port: int
    time_ns: int
    refused: str = ""
    passed: list[Passed] = field(default_factory=list)

    def sent(self, to_server: bool) -> bytes:
        """All bytes that went that way."""
        return b"".join(each.data for each in self.passed if each.to_server is to_server)


class NetworkLog:
    """Watches an :class:`~offchip.network.internet.Internet` (its ``watch``)."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.wires: list[Wire] = []
        self._now_ns = now_ns

    def watch(self, host: str, port: int, service: Service) -> Service:
        """``service`` with an observer in front of it."""
        return _WatchedService(self, host, port, service)

    def open(self, caller: str, host: str, port: int) -> Wire:
        """A call was made."""
        wire = Wire(caller, host, port, self._now_ns())
        self.wires.append(wire)
        return wire

    def note(self, wire: Wire, to_server: bool, data: bytes) -> None:
        """Bytes crossed (none: that side hung up)."""
        wire.passed.append(Passed(self._now_ns(), to_server, data))


class _WatchedService:
    def __init__(self, log: NetworkLog, host: str, port: int, service: Service) -> None:
        self._log, self._host, self._port, self._service = log, host, port, service

    def connect(self, peer_name: str) -> Endpoint:
        wire = self._log.open(peer_name, self._host, self._port)
        try:
            return _WatchedEndpoint(self._log, wire, self._service.connect(peer_name))
        except NetworkError as error:
            wire.refused = str(error)
            raise


class _WatchedEndpoint:
    """Changes nothing: every call goes to the endpoint, at once."""

    def __init__(self, log: NetworkLog, wire: Wire, endpoint: Endpoint) -> None:
        self._log, self._wire, self._endpoint = log, wire, endpoint
        self._over = False

    @property
    def closed(self) -> bool:
        closed = self._endpoint.closed
        if closed and not self._over:
            self._over = True
            self._log.note(self._wire, False, b"")
        return closed

    @property
    def on_output(self) -> Callable[[], None] | None:
        return self._endpoint.on_output

    @on_output.setter
    def on_output(self, call: Callable[[], None] | None) -> None:
        self._endpoint.on_output = call

    def receive(self, data: bytes) -> None:
        self._log.note(self._wire, True, data)
        self._endpoint.receive(data)

    def take(self) -> bytes:
        data = self._endpoint.take()
        if data:
            self._log.note(self._wire, False, data)
        return data

    def peer_closed(self) -> None:
        if not self._over:
            self._over = True
            self._log.note(self._wire, True, b"")
        self._endpoint.peer_closed()

    def sockets(self) -> list[socket.socket]:
        return sockets_of(self._endpoint)
