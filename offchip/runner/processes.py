# SPDX-License-Identifier: Apache-2.0
"""Ending a run so that nothing of it goes on: signals, children, and the children of dead children."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_END_S = 10.0


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP came; not an Exception, so that nothing swallows it.

    Attributes:
        exit_code: 128 + the signal's number, as a shell has it.
        left: what has become of the work.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code, self.left = 128 + number, "nothing was changed."


class StopSignals:
    """Context manager: turns the signals that end a program into :class:`Stopped`; later ones wait until it is left."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> StopSignals:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans become our children and are found when the run ends
        self._before = {number: signal.signal(number, self._stop) for number in self._NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._came:
            self._came = True
            raise Stopped(number)


def die_with_parent() -> None:
    """This process ends when the one that started it does, even by SIGKILL, which that one cannot pass on."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


@contextmanager
def signals_held() -> Iterator[None]:
    """What must not be left half done: the signals wait until it is."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_tree(pid: int) -> None:
    """Kill a process and everything below it; returns when they are gone."""
    try:
        top = psutil.Process(pid)
        tree = [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        return
    _kill(tree)


def end_children() -> None:
    """Kill every process this one has started, directly or not; returns when they are gone."""
    while children := psutil.Process().children(recursive=True):  # a child may have forked while it was killed
        if not _kill(children):
            return


def _kill(processes: list[psutil.Process]) -> bool:
    for each in processes:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    gone, alive = psutil.wait_procs(processes, timeout=_END_S)
    return not alive
