# SPDX-License-Identifier: Apache-2.0
"""Trying things out on a copy of a warm board: ``os.fork`` copies the whole process, memory is shared until written.

For engines whose ``capabilities.fork`` is true: the board lives in this process. What a task does to the board stays in
its child. Files (card images, logs) are not copied: keep media in memory.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from offchip.errors import EngineError, OffchipError

Result = TypeVar("Result")
_CHUNK = 1 << 20


class _Child:
    """A process that works on one task and writes its pickled result into a pipe."""

    def __init__(self, number: int, task: Callable[[], object], limit_s: float) -> None:
        self.number = number
        self._answer = bytearray()
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self.pipe, out = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(out)
            return
        status = 1
        try:
            os.close(self.pipe)
            _work(task, out)
            status = 0
        finally:
            os._exit(status)  # no clean-up of what belongs to the parent

    @property
    def time_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def read(self) -> bool:
        """Take what has come. Returns whether that was all."""
        part = os.read(self.pipe, _CHUNK)
        self._answer += part
        return not part

    def result(self) -> object:
        """Raises what the task raised, EngineError when the child died."""
        self.end()
        if not self._answer:
            raise EngineError(f"the process of task {self.number} ended without a result; run it without a fork to see "
                              "why.")
        failed, value = pickle.loads(bytes(self._answer))
        if failed:
            raise value
        return value

    def kill(self) -> EngineError:
        os.kill(self._pid, signal.SIGKILL)
        self.end()
        return EngineError(f"task {self.number} took longer than {self._limit_s:g} s; its process was ended.")

    def end(self) -> None:
        os.close(self.pipe)
        os.waitpid(self._pid, 0)


def _work(task: Callable[[], object], out: int) -> None:
    try:
        answer = pickle.dumps((False, task()))
    except OffchipError as error:
        answer = pickle.dumps((True, type(error)(str(error))))
    except BaseException as error:
        answer = pickle.dumps((True, EngineError(f"the forked task failed: {type(error).__name__}: {error}")))
    with os.fdopen(out, "wb") as pipe:
        pipe.write(answer)


def forked(task: Callable[[], Result], limit_s: float = 60.0) -> Result:
    """What ``task`` returns in a copy of this process.

    Raises:
        OffchipError: what the task raised; EngineError when it took more than ``limit_s`` seconds of the host.
    """
    (result,) = forked_all([task], 1, limit_s)
    return result


def forked_all(tasks: Iterable[Callable[[], Result]], workers: int = 1, limit_s: float = 60.0) -> Iterator[Result]:
    """The results of ``tasks`` in their order, each from a copy of this process, ``workers`` of them at a time.

    Raises:
        OffchipError: as :func:`forked`; the children that still run are ended.
    """
    waiting = enumerate(tasks)
    running: dict[int, _Child] = {}
    done: dict[int, Result] = {}
    following = 0
    try:
        while True:
            while len(running) < max(1, workers) and (task := next(waiting, None)) is not None:
                child = _Child(*task, limit_s)
                running[child.pipe] = child
            while following in done:
                yield done.pop(following)
                following += 1
            if not running:
                return
            _collect(running, done)
    finally:
        for child in running.values():
            child.kill()


def _collect(running: dict[int, _Child], done: dict[int, Result]) -> None:
    """Wait for one of the children to write or to be late."""
    ready, _, _ = select.select(list(running), [], [], min(child.time_left for child in running.values()))
    for pipe in ready:
        if running[pipe].read():
            child = running.pop(pipe)
            done[child.number] = child.result()  # type: ignore[assignment]  # what the task of this number returned
    for pipe, child in list(running.items()):
        if not child.time_left:
            del running[pipe]
            raise child.kill()
