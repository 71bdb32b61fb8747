# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as a flag that loops look at between slices.

An exception raised while Unicorn calls back into Python would be lost in ctypes, and the run would go on.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Context manager; true once the user has pressed Ctrl-C or the process was asked to end."""

    def __init__(self) -> None:
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._number)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as a shell has it."""
        return 128 + self._number

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._press) for number in _NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self._number:
            raise KeyboardInterrupt  # the second time by force
        self._number = number
