# SPDX-License-Identifier: Apache-2.0
"""One step at a time, whoever's thread it is; afterwards those who have output are woken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    @contextmanager
    def step(self, source: Sleeper | None = None) -> Iterator[None]:
        """One indivisible step; when the outermost ends, everybody but ``source`` who has output is woken."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._wake_all(source)

    def wake(self, sleeper: Sleeper) -> None:
        """There is something to take, or no more will come."""
        self._to_wake[sleeper] = None

    def _wake_all(self, source: Sleeper | None) -> None:
        if source:
            self._to_wake.pop(source, None)
        while self._to_wake:
            sleeper = next(iter(self._to_wake))
            del self._to_wake[sleeper]
            if sleeper.on_output:
                sleeper.on_output()
