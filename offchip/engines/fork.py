# SPDX-License-Identifier: Apache-2.0
"""Trying things out on a copy of a warm board: ``os.fork`` copies the whole process, memory is shared until written.

For engines whose ``capabilities.fork`` is true: the board lives in this process. What a task does to the board stays in
its child. Files (card images, logs) are not copied: keep media in memory.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

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
        gc.freeze()  # what is warm is never garbage: the child must not touch, and so copy, all of it to find that out
        self._pid = os.fork()
        if self._pid:
            gc.unfreeze()
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

    @property
    def died(self) -> bool:
        """Nothing came before the end of its pipe."""
        return not self._answer

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


def forked_each(tasks: Sequence[Callable[[], Result]], workers: int = 1, limit_s: float = 3600.0,
                attempts: int = 2) -> Iterator[tuple[int, Result]]:
    """Number and result of each task as it ends, each from a copy of this process, ``workers`` of them at a time.

    A task whose process dies is given to another one; what a task raises is raised here.

    Raises:
        OffchipError: see :func:`forked_all`; EngineError when a task's processes died ``attempts`` times.
    """
    waiting = [(number, 1) for number in reversed(range(len(tasks)))]
    running: dict[int, tuple[_Child, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, workers):
                number, attempt = waiting.pop()
                child = _Child(number, tasks[number], limit_s)
                running[child.pipe] = child, attempt
            ready, _, _ = select.select(list(running), [], [], 1.0)
            for pipe in ready:
                child, attempt = running[pipe]
                if not child.read():
                    continue
                del running[pipe]
                if child.died and attempt < attempts:
                    child.end()
                    waiting.append((child.number, attempt + 1))
                else:
                    yield child.number, child.result()  # type: ignore[misc]  # what the task of this number returned
    finally:
        for child, _ in running.values():
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


class Branches:
    """Children that go on from the middle of a run, for instance from inside a callback of the core.

    :meth:`split` returns in both processes; the child runs on until somebody calls :meth:`answer`, which ends it. What
    a child runs through must lie inside :meth:`kept_apart`, so that no failure of it reaches the parent's code.
    """

    def __init__(self) -> None:
        self._out: int | None = None

    @property
    def in_child(self) -> bool:
        """Whether this process is a child."""
        return self._out is not None

    def split(self) -> tuple[bool, object]:
        """(True, None) in a new child; (False, its answer) in the parent, when the child has ended.

        Raises:
            OffchipError: what the child raised; EngineError when it died.
        """
        entrance, out = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(entrance)
            if self._out is not None:  # a child's child
                os.close(self._out)
            self._out = out
            return True, None
        os.close(out)
        with os.fdopen(entrance, "rb") as pipe:
            raw = pipe.read()
        _, status = os.waitpid(pid, 0)
        if not raw:
            raise EngineError(f"a forked board ended without an answer (status {status}).")
        failed, value = pickle.loads(raw)
        if failed:
            raise value
        return False, value

    def answer(self, value: object) -> NoReturn:
        """End this child with its answer."""
        self._end((False, value))

    @contextmanager
    def kept_apart(self) -> Iterator[None]:
        """In a child, turn what leaves this block into the child's answer, whatever it is."""
        try:
            yield
        except BaseException as error:
            if self._out is None:
                raise
            plain = error if isinstance(error, OffchipError) else EngineError(
                f"the forked task failed: {type(error).__name__}: {error}")
            self._end((True, type(plain)(str(plain))))
        if self._out is not None:
            self._end((True, EngineError("the forked task ended without an answer.")))

    def _end(self, outcome: tuple[bool, object]) -> NoReturn:
        assert self._out is not None
        try:
            data = memoryview(pickle.dumps(outcome))
            while data:
                data = data[os.write(self._out, data):]
        finally:
            os._exit(0)
