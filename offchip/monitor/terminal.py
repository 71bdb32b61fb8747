# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a UART go: a TCP port, a file, or lines on the screen."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from offchip.errors import EngineError

#: bytes kept for a client that has not connected yet, or does not read
BACKLOG = 65536


class Terminal(Protocol):
    def send(self, data: bytes) -> None:
        """Take bytes the chip sent."""

    def take(self) -> bytes:
        """Hand over bytes for the chip."""

    def close(self) -> None: ...


class SocketTerminal:
    """A TCP server on the loopback interface; every client sees the same bytes and may send.

    Raises:
        EngineError: the port cannot be opened.
    """

    def __init__(self, port: int) -> None:
        try:
            self._server = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise EngineError(f"TCP port {port} cannot be opened ({error.strerror}); choose another") from None
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._clients: dict[socket.socket, bytearray] = {}
        self._unseen: deque[int] = deque(maxlen=BACKLOG)

    def send(self, data: bytes) -> None:
        if not self._clients:
            self._unseen += data
        for waiting in self._clients.values():
            waiting += data
            del waiting[:-BACKLOG]
        self._flush()

    def take(self) -> bytes:
        self._accept()
        received = bytearray()
        for client in list(self._clients):
            try:
                chunk = client.recv(BACKLOG)
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            if chunk:
                received += chunk
            else:
                self._drop(client)
        self._flush()
        return bytes(received)

    def close(self) -> None:
        self._flush()
        for client in list(self._clients):
            self._drop(client)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients[client] = bytearray(self._unseen)
            self._unseen.clear()

    def _flush(self) -> None:
        for client, waiting in list(self._clients.items()):
            try:
                while waiting:
                    del waiting[:client.send(waiting)]
            except BlockingIOError:
                continue
            except OSError:
                self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        client.close()


class FileTerminal:
    """Writes everything to a file, byte by byte as it comes. Raises EngineError."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise EngineError(f"{path} cannot be written ({error.strerror})") from None

    def send(self, data: bytes) -> None:
        self._file.write(data)

    def take(self) -> bytes:
        return b""

    def close(self) -> None:
        self._file.close()


class LinePrinter:
    """Prints whole lines; bytes outside ASCII are shown escaped."""

    def __init__(self, name: str, write: Callable[[str], None]) -> None:
        self._name, self._write = name, write
        self._line = bytearray()

    def send(self, data: bytes) -> None:
        self._line += data
        *lines, self._line = self._line.split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode("ascii", "backslashreplace")
            self._write(f"[{self._name}] {text}")

    def take(self) -> bytes:
        return b""

    def close(self) -> None:
        if self._line:
            self.send(b"\n")
