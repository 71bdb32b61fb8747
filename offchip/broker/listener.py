# SPDX-License-Identifier: Apache-2.0
"""A real TCP listener around the sans-IO broker, for clients of the host: paho, mosquitto, openssl, attackers' tools.

Runs an asyncio loop in a thread of its own. Time is the broker's clock; the listener asks it to look twice a second.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType

from offchip.broker.connection import Connection
from offchip.broker.server import Broker
from offchip.errors import BrokerError

_TICK_SECONDS = 0.5


class Listener:
    """``host`` and ``port``: where it listens (the real port when 0 was asked for). A context manager."""

    def __init__(self, broker: Broker, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens at once. Raises BrokerError when the address cannot be used."""
        self.broker = broker
        self.host = host
        try:
            self._socket = socket.create_server((host, port))
        except (OSError, OverflowError) as error:
            raise BrokerError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}") from error
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[_TcpConnection] = set()
        self._loop = asyncio.new_event_loop()
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
        server = loop.run_until_complete(loop.create_server(lambda: _TcpConnection(self.broker, self._connections),
                                                            sock=self._socket))
        self._tick()
        loop.call_soon(self._serving.set)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(self._hang_up(server))
            loop.close()

    async def _hang_up(self, server: asyncio.Server) -> None:
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


class _TcpConnection(asyncio.Protocol):
    """Moves bytes between one socket and one connection of the broker."""

    def __init__(self, broker: Broker, connections: set[_TcpConnection]) -> None:
        self._broker = broker
        self._connections = connections
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._connection: Connection = self._broker.connect(transport.get_extra_info("peername")[0],
                                                             real=True)
        # the broker may call from any thread
        self._connection.on_output = lambda: self._loop.call_soon_threadsafe(self._flush)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._connection.on_output = None
        self._connection.peer_closed()

    def abandon(self) -> None:
        """The listener stops."""
        self._connection.on_output = None
        self._connection.peer_closed()
        self._flush()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # the peer does not read
        else:
            self._transport.close()

    def _flush(self) -> None:
        data = self._connection.take()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._connection.closed:
            self._transport.close()
