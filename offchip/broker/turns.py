# SPDX-License-Identifier: Apache-2.0
"""One step at a time, whoever's thread it is; afterwards those who have output are woken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Sleeper(Protocol):
    """Somebody whose owner wants to know of output no request of his asked for."""

    on_output: Callable[[], None] | None


class Turns:
    """A lock of indivisible steps that may be nested."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._to_wake: dict[Sleeper, None] = {}

    def step(self, source: Sleeper | None = None) -> Step:
        """One indivisible step; when the outermost ends, everybody but ``source`` who has output is woken."""
        return Step(self, source)

    def wake(self, sleeper: Sleeper) -> None:
        """There is something to take, or no more will come."""
        self._to_wake[sleeper] = None

    # for a step ----------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Wait for one's turn."""
        self._lock.acquire()
        self._depth += 1

    def end(self, source: Sleeper | None) -> None:
        """Wake who has output, in their own steps."""
        try:
            self._depth -= 1
            if not self._depth:
                self._wake_all(source)
        finally:
            self._lock.release()

    def _wake_all(self, source: Sleeper | None) -> None:
        if source:
            self._to_wake.pop(source, None)
        while self._to_wake:
            sleeper = next(iter(self._to_wake))
            del self._to_wake[sleeper]
            if sleeper.on_output:
                sleeper.on_output()


class Step:
    """A context manager; there are so many that a generator would be felt."""

    __slots__ = ("_source", "_turns")

    def __init__(self, turns: Turns, source: Sleeper | None) -> None:
        self._turns, self._source = turns, source

    def __enter__(self) -> None:
        self._turns.begin()

    def __exit__(self, *exception: object) -> None:
        self._turns.end(self._source)
