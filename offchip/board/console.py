# SPDX-License-Identifier: Apache-2.0
"""What the device says on its console (USART1), line by line with virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from offchip.errors import BoardError


class ConsoleLine(NamedTuple):
    """One line without its line end. ``time_ns``: when its line feed left the chip."""

    time_ns: int
    text: str


class Found(NamedTuple):
    """A line a wait was waiting for, and how it matched."""

    line: ConsoleLine
    match: re.Match[str]


class Console:
    """Lines are kept from the first power-on; :meth:`wait_for` consumes them in order, as expect does."""

    def __init__(self, run_until: Callable[[Callable[[], bool], float, str], None],
                 send: Callable[[bytes], None]) -> None:
        self.lines: list[ConsoleLine] = []
        #: every byte that ever came out
        self.raw = bytearray()
        self._run_until = run_until
        self._send = send
        self._partial = bytearray()
        self._cursor = 0

    def wait_for(self, pattern: str, timeout_s: float = 30.0) -> Found:
        """Run the board until a line not yet consumed matches (``re.search``); consumes the lines up to it.

        ``timeout_s`` is virtual time. Raises BoardError with the last lines when it has passed.
        """
        expression = _compile(pattern)
        found: list[Found] = []
        position = self._cursor

        def seen() -> bool:
            nonlocal position
            while position < len(self.lines):
                line = self.lines[position]
                position += 1
                match = expression.search(line.text)
                if match:
                    found.append(Found(line, match))
                    return True
            return False

        self._run_until(seen, timeout_s, f"console line /{pattern}/")
        self._cursor = position
        return found[0]

    def skip(self) -> None:
        """Consume everything said so far."""
        self._cursor = len(self.lines)

    def find(self, pattern: str) -> list[ConsoleLine]:
        """All lines ever said that match; consumes nothing and runs nothing."""
        expression = _compile(pattern)
        return [line for line in self.lines if expression.search(line.text)]

    def tail(self, count: int = 5) -> list[str]:
        """The last lines, the unfinished one included."""
        texts = [line.text for line in self.lines[-count:]]
        return (texts + [_text(self._partial)] if self._partial else texts)[-count:]

    def send(self, text: str) -> None:
        """Type on the console; arrives when the board runs."""
        self._send(text.encode())

    def feed(self, value: int, time_ns: int) -> None:
        """One byte from the chip."""
        self.raw.append(value)
        if value == 0x0A:
            self.lines.append(ConsoleLine(time_ns, _text(self._partial)))
            self._partial.clear()
        else:
            self._partial.append(value)

    def cut(self) -> None:
        """The power went: what was begun will never be finished."""
        self._partial.clear()


def _text(data: bytes | bytearray) -> str:
    return bytes(data).rstrip(b"\r").decode("utf-8", "backslashreplace")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BoardError(f"'{pattern}' is no regular expression: {error}") from error
