# SPDX-License-Identifier: Apache-2.0
"""A bridge from the virtual internet to a real TCP address (mosquitto, a real cloud endpoint).

Runs through this bridge are not deterministic: the real peer answers in the host's time. The board lets virtual time
wait for the sockets only while the device has nothing else to do (see ``offchip.board.board``).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from offchip.network.internet import Refused, UnknownName


class TcpService:
    """Listens in the laboratory, talks to ``host:port`` of the host's network."""

    def __init__(self, host: str, port: int, timeout_s: float = 5.0) -> None:
        """``timeout_s``: wall time allowed for the TCP connection to be made."""
        self.host = host
        self.port = port
        self.timeout_s = timeout_s

    def connect(self, peer_name: str) -> TcpEndpoint:
        """Raises UnknownName or Refused with the host's reason."""
        try:
            connection = socket.create_connection((self.host, self.port), self.timeout_s)
        except socket.gaierror as error:
            raise UnknownName(f"{self.host}: the host cannot resolve this name ({error.strerror})") from error
        except OSError as error:
            raise Refused(f"{self.host}:{self.port}: {error.strerror or 'connection timed out'}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return TcpEndpoint(connection, self.timeout_s)


class TcpEndpoint:
    """One real TCP connection; a peer that dies shows as ``closed``, never as an exception."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._socket = connection
        self._timeout_s = timeout_s
        self.closed = False
        self.on_output: Callable[[], None] | None = None

    def receive(self, data: bytes) -> None:
        """Send to the real peer; one that does not read for ``timeout_s`` counts as dead."""
        view = memoryview(data)
        while view and not self.closed:
            try:
                view = view[self._socket.send(view):]
            except BlockingIOError:
                if not select.select([], [self._socket], [], self._timeout_s)[1]:
                    self._hang_up()
            except OSError:
                self._hang_up()

    def take(self) -> bytes:
        chunks = []
        while not self.closed:
            try:
                chunk = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if chunk:
                chunks.append(chunk)
            else:
                self._hang_up()
        return b"".join(chunks)

    def peer_closed(self) -> None:
        self._hang_up()

    def sockets(self) -> list[socket.socket]:
        return [] if self.closed else [self._socket]

    def _hang_up(self) -> None:
        if not self.closed:
            self.closed = True
            self._socket.close()
