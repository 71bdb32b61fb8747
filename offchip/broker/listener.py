# SPDX-License-Identifier: Apache-2.0
"""A real TCP listener around the sans-IO broker, for clients of the host: paho, mosquitto, openssl, attackers' tools.

Runs an asyncio loop in a thread of its own. Time is the broker's clock; the listener asks it to look twice a second.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from types import TracebackType
from typing import Any, Protocol, cast

import uvloop

from offchip.broker import events
from offchip.broker.profile import Profile
from offchip.broker.server import Busy
from offchip.errors import BrokerError
from offchip.network.internet import Endpoint

_TICK_SECONDS = 0.5
#: file descriptors the rest of the process may need
_SPARE_FILES = 192
#: connections asyncio takes in one turn, before any of them can be turned away
_BACKLOG = 64
#: bytes read from one socket in one turn: one TLS record
_PIECE = 16 * 1024


class Link(Endpoint, Protocol):
    """One connection, as whoever serves it has it. ``backlog``: bytes that wait to be taken."""

    @property
    def backlog(self) -> int: ...


class Host(Protocol):
    """Whoever serves: the broker, or something that behaves like one."""

    profile: Profile

    def connect(self, peer_name: str, real: bool = False) -> Link:
        """Raises Busy."""

    def evict(self, peer_name: str, most: int) -> bool:
        """Make room."""

    def tick(self) -> object:
        """Time passes."""

    def log(self, event: events.Event, connection: int = 0) -> None:
        """Of the host's network."""


class Listener:
    """``host`` and ``port``: where it listens (the real port when 0 was asked for). A context manager."""

    def __init__(self, broker: Host, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens at once. Raises BrokerError when the address cannot be used."""
        self.broker = broker
        self.host = host
        #: connections at a time: as many as the process may have files, whatever the profile says
        self.most = _most_connections(broker.profile.connections_maximum)
        try:
            self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            raise BrokerError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}") from error
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[_TcpConnection] = set()
        self._troubles: set[str] = set()
        #: for all connections: what was read is copied out before anybody else reads
        self._buffer = memoryview(bytearray(_PIECE))
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._on_trouble)
        self._thread = threading.Thread(target=self._run, name=f"broker {host}:{self.port}", daemon=True)
        self._serving = threading.Event()
        self._thread.start()
        self._serving.wait()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every connection; harmless when stopped already."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(self._accept, sock=self._socket, backlog=_BACKLOG))
        self._tick()
        loop.call_soon(self._serving.set)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(self._hang_up(server))
            loop.close()

    def _accept(self) -> _TcpConnection:
        return _TcpConnection(self.broker, self._connections, self.most, self._buffer)

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio would print as a traceback; the same trouble is said once."""
        error = context.get("exception")
        reason = f"{context.get('message', '')}{f': {error}' if error else ''}"
        if reason not in self._troubles and len(self._troubles) < 100:
            self._troubles.add(reason)
            self.broker.log(events.ListenerTrouble(reason))

    async def _hang_up(self, server: asyncio.AbstractServer) -> None:
        # asyncio forgets to close a socket whose acceptance is under way when the server closes
        while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*accepting, return_exceptions=True)
        server.close()
        for connection in tuple(self._connections):
            connection.abandon()
        while self._connections:
            await asyncio.sleep(0)  # each transport closes its socket in the loop's next turn

    def _tick(self) -> None:
        self.broker.tick()
        self._loop.call_later(_TICK_SECONDS, self._tick)


class _TcpConnection(asyncio.BufferedProtocol):
    """Moves bytes between one socket and one connection of the broker, a piece at a time: who sends much must not keep
    the others' acknowledgements waiting."""

    _transport: asyncio.Transport

    def __init__(self, broker: Host, connections: set[_TcpConnection], most: int, buffer: memoryview) -> None:
        self._broker = broker
        self._connections, self._most = connections, most
        self._connection: Link | None = None
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._paused = False
        self._buffer = buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = (transport.get_extra_info("peername") or ("",))[0]  # None: gone before anybody looked
        try:
            self._make_room(peer)
            self._connection = self._broker.connect(peer, real=True)
        except Busy:
            self._transport.abort()
            return
        # the broker may call from any thread
        self._connection.on_output = self._wake
        self._connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._connection:
            self._connection.receive(bytes(self._buffer[:nbytes]))
            self._flush()

    def pause_writing(self) -> None:
        """The peer does not read: what follows stays with the broker, which counts it."""
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._connection:
            self._connection.on_output = None
            self._connection.peer_closed()

    def abandon(self) -> None:
        """The listener stops."""
        if self._connection:
            self._connection.on_output = None
            self._connection.peer_closed()
        self._paused = False
        self._flush()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # the peer does not read
        else:
            self._transport.close()

    def _make_room(self, peer: str) -> None:
        if len(self._connections) >= self._most and not self._broker.evict(peer, self._most):
            raise Busy(f"there are {self._most} connections")

    def _wake(self) -> None:
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._flush)
        else:
            self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        connection = self._connection
        if connection is None:
            return
        while not self._paused and (data := connection.take()) and not self._transport.is_closing():
            self._transport.write(data)
        if connection.closed and not connection.backlog:
            self._transport.close()
        elif connection.closed and self._paused:
            self._transport.abort()  # it does not read: nobody waits for that


def _most_connections(wanted: int) -> int:
    """Within the process's limit of open files, which is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - _SPARE_FILES), 1)
