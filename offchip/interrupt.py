# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as a flag that loops look at between slices.

A KeyboardInterrupt raised while Unicorn calls back into Python would be lost in ctypes, and the run would go on.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupt:
    """Context manager; true once the user has pressed Ctrl-C."""

    def __init__(self) -> None:
        self._pressed = False

    def __bool__(self) -> bool:
        return self._pressed

    def __enter__(self) -> Interrupt:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt  # the second time by force
        self._pressed = True
