# SPDX-License-Identifier: Apache-2.0
"""The request lines between peripherals and the DMA controllers."""

from __future__ import annotations

from collections.abc import Callable

#: a request: name of the peripheral in the .repl, and which of its lines (``rx``, ``tx``, ``up``, ``ch1`` ...)
Request = tuple[str, str]


class DmaRequests:
    """Levels of all request lines, and who listens.

    A block with a buffer holds its line while it wants to be served (:meth:`set`); a timer asks once for each event
    (:meth:`pulse`), and its line falls when a stream has taken it.
    """

    def __init__(self) -> None:
        self._high: set[Request] = set()
        self._pulsed: set[Request] = set()
        self._listeners: list[Callable[[Request], None]] = []
        self._last: dict[Request, tuple[int, Callable[[], None]]] = {}

    def listen(self, on_request: Callable[[Request], None]) -> None:
        """``on_request`` is told each line that rises."""
        self._listeners.append(on_request)

    def on_last(self, request: Request, tell: Callable[[], None], left: int = 1) -> None:
        """``tell`` the peripheral when only ``left`` items of a transfer are left (I2C: 1, it NACKs the last byte)."""
        self._last[request] = left, tell

    def active(self, request: Request) -> bool:
        return request in self._high

    def set(self, request: Request, level: bool) -> None:
        if level == (request in self._high):
            return
        if not level:
            self._high.discard(request)
            return
        self._high.add(request)
        for listener in self._listeners:
            listener(request)

    def pulse(self, request: Request) -> None:
        self._pulsed.add(request)
        self.set(request, True)

    def served(self, request: Request, left: int) -> None:
        """A stream has moved an item; ``left`` are to follow."""
        if request in self._pulsed:
            self._pulsed.discard(request)
            self._high.discard(request)
        if request in self._last and self._last[request][0] == left:
            self._last[request][1]()

    def forget(self) -> None:
        """A reset: nobody asks for anything."""
        self._high.clear()
        self._pulsed.clear()
