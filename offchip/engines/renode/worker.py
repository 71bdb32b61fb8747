# SPDX-License-Identifier: Apache-2.0
"""A board in a process of its own: the parent's end of the pipe.

The parent limits the wall-clock time of every request; it kills a worker that does not answer. A worker of a closed
board serves the next one, and one that a run holds ready (:mod:`offchip.engines.renode.standby`) several processes in
turn: what was asked by another of them is told from an answer by its number.
"""

from __future__ import annotations

import hashlib
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offchip.engines.renode import models, serve
from offchip.engines.renode.locate import LOCK, worker_python
from offchip.engines.renode.log import LogReader, is_abort
from offchip.engines.renode.process import OUTPUT, LentProcess, WorkerProcess
from offchip.errors import EngineError, PlatformError

_CLOSE_S = 10.0
#: how often the log is looked at while there is no answer, and how long an aborted core may still bring one
_LOOK_S, _ABORTED_S = 0.2, 1.0
#: describes the worker that a run lends to this process
LENT = "OFFCHIP_LENT_RENODE"


class RefusedByEngine(Exception):
    """The worker refused one request; the board is as it was."""


class Worker:
    """The parent's end: one process, one board.

    After the first failure every call raises the same reason: the state of the board is unknown, so nothing is retried.

    Args:
        process: a new one, or one that has had a board.
        start_s: wall-clock seconds until it must have said that the board is ready; None: :meth:`renew` makes one.

    Raises:
        EngineError: it did not start.
        PlatformError: the engine does not accept the platform.
    """

    def __init__(self, process: WorkerProcess | LentProcess, start_s: float | None) -> None:
        self.kind = ""  # boards of the same kind can take over this process
        self._failure: str | None = None
        self._process, self._pipe = process, process.pipe
        self._boards = 1
        self._log = process.log
        self._watched = LogReader(self._log)
        # numbers of two processes that share a worker must differ
        self._number = os.getpid() << 32 if start_s is None else serve.START
        self.about: dict[str, Any] = {}
        # also for a board that nobody closed
        self._clean_up = weakref.finalize(self, process.let_go)
        if start_s is not None:
            try:
                self.about = self._answer("start", start_s)
            except BaseException:
                self.close()
                raise

    def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
        """Ask the worker.

        Raises:
            RefusedByEngine: it refused; the board is as it was.
            EngineError: it died, hung or lost its board, now or before.
        """
        if self._failure is not None:
            raise EngineError(self._failure)
        self._number += 1
        try:
            self._pipe.send((self._number, method, arguments))
        except OSError:
            raise self._lost(f"died before {method}") from None
        return self._answer(method, limit_s)

    def renew(self, platform: Path, seed: int, start_s: float) -> None:
        """Replace the board by another, fresh from the factory. Raises as the start of a process."""
        self._boards += 1
        self._log = self._process.folder / f"renode-{os.getpid()}-{self._boards}.log"
        self._watched = LogReader(self._log)
        self.about = self.call(serve.RENEW, str(self._log), str(platform), seed, limit_s=start_s)

    @property
    def lent(self) -> bool:
        """Somebody else needs it, too."""
        return isinstance(self._process, LentProcess)

    @property
    def lost(self) -> bool:
        """It can do nothing any more."""
        return self._failure is not None or self._process.status() != ""

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        if self._failure is None:
            self._failure = "Renode: the board was closed."
            try:
                self._pipe.send((self._number + 1, serve.CLOSE, ()))
                self._process.wait(_CLOSE_S)
            except OSError:
                pass
        self._process.kill()
        self._clean_up()
        self._pipe.close()

    def _answer(self, method: str, limit_s: float) -> Any:
        try:
            status, value = self._receive(method, limit_s)
        except (EOFError, OSError):
            raise self._lost(f"died in {method}") from None
        except EngineError:
            raise
        except BaseException:  # interrupted: the answer would come out of step
            self._lost(f"was interrupted in {method}")
            raise
        if status == "ok":
            return value
        if status == "refused":
            raise RefusedByEngine(value)
        if status == "platform":
            self._lost(value)
            raise PlatformError(value)
        raise self._lost(value)

    def _receive(self, method: str, limit_s: float) -> tuple[str, Any]:
        """The answer. Raises EngineError when there will be none."""
        end = time.monotonic() + limit_s
        while True:
            self._wait(method, end, limit_s)
            number, status, value = self._pipe.recv()
            if number == self._number:
                return status, value

    def _wait(self, method: str, end: float, limit_s: float) -> None:
        """Until there is something to receive, at the latest at ``end``. Raises EngineError when there will not be."""
        aborted = ""
        while not self._pipe.poll(max(0.0, min(_LOOK_S, end - time.monotonic()))):
            if time.monotonic() < end:
                if not aborted:
                    aborted = next(filter(is_abort, self._watched.fresh()), "")
                    end = min(end, time.monotonic() + _ABORTED_S) if aborted else end
            elif aborted:
                raise self._lost(f"was ended in {method}, since the core left the memories: {aborted}")
            else:
                raise self._lost(f"did not finish {method} within {limit_s:g} s and was ended")

    def _lost(self, reason: str) -> EngineError:
        if reason.startswith("died"):
            self._process.wait(2)  # the pipe closes a moment before the process is gone
        ended = self._process.status()
        self._process.kill()
        status = f" ({ended})" if ended else ""
        # a crash of .NET is in the output; what the core did before Renode hung is in Renode's log
        files = (self._process.folder / OUTPUT, self._log)
        last = next(filter(None, map(_last_line, files if ended else reversed(files))), "")
        words = f"; its last words: {last}" if last and last not in reason else ""
        self._failure = f"Renode {reason}{status}{words}" if _is_verb(reason) else f"Renode: {reason}{status}{words}"
        return EngineError(self._failure)


def board_command(platform: Path, seed: int) -> list[str]:
    """What starts a worker for one board. Raises EngineError."""
    path = str(platform).replace("{", "{{").replace("}", "}}")
    return [worker_python(), "-m", serve.MODULE, "{fd}", "{log}", path, str(seed)]


def monitor_command(seed: int) -> list[str]:
    """What starts a worker that has Renode's monitor and no board yet. Raises EngineError."""
    return [worker_python(), "-m", serve.MODULE, "{fd}", "{log}", "", str(seed)]


#: variables that a worker started with other values of would differ from, and those among them that only say where
_MATTERS = ("DOTNET_", "OFFCHIP_", "PYRENODE_", "RENODE_")
_PLACES = (LENT, LOCK, "DOTNET_BUNDLE_EXTRACT_BASE_DIR")
#: the process of a board that was closed, by what it was started with; one of our own, for each takes 400 MB
_spare: dict[str, Worker] = {}


def board_worker(platform: Path, seed: int, environment: Mapping[str, str], start_s: float) -> Worker:
    """A worker with one board, in a new process or one whose board was closed. Raises as :class:`Worker`."""
    kind = kind_of(platform, environment)
    _take_lent()
    worker = _spare.pop(kind, None)
    if worker is not None:
        try:
            worker.renew(platform, seed, start_s)
            return worker
        except EngineError:
            worker.close()
    worker = Worker(WorkerProcess(board_command(platform, seed), environment), start_s)
    worker.kind = kind
    return worker


def put_back(worker: Worker) -> None:
    """The board of this worker is not needed any more."""
    for kind, other in [*_spare.items()]:
        if not other.lent:
            other.close()
            del _spare[kind]
    if worker.lost:
        worker.close()
    else:
        _spare[worker.kind] = worker


def _take_lent() -> None:
    """What was lent to this process is a spare one, once."""
    description = os.environ.pop(LENT, "")
    if description:
        process = LentProcess(description)
        worker = Worker(process, None)
        worker.kind = process.kind
        _spare[worker.kind] = worker


def kind_of(platform: Path, environment: Mapping[str, str]) -> str:
    """Workers that differ in nothing that matters to a board have the same kind."""
    matters = sorted(each for each in environment.items() if each[0].startswith(_MATTERS) and each[0] not in _PLACES)
    facts = (worker_python(), matters, models.fingerprint(platform))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _is_verb(reason: str) -> bool:
    return reason.startswith(("died", "did not", "failed", "was "))


def _last_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - 4096))
            lines = stream.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
