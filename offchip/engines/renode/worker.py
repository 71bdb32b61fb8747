# SPDX-License-Identifier: Apache-2.0
"""A board in a process of its own: both ends of the pipe.

Starting .NET and compiling what runs hot takes ten times as long as building a board. So the process of a board that
was closed waits for the next one; that is built anew from its .repl, in an emulation of its own.

Parent to worker: ``(method, arguments)``. Worker to parent: ``("ok", value)``, ``("refused", text)`` when the request
was refused and everything is as before, ``("platform", text)`` when the .repl is wrong, ``("failed", text)`` when the
board is lost. The parent limits the wall-clock time of every request; it kills a worker that does not answer.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Hashable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from offchip.engines.renode import models
from offchip.engines.renode.locate import worker_python
from offchip.engines.renode.log import LogReader, is_abort
from offchip.engines.renode.scratch import Scratch
from offchip.errors import EngineError, PlatformError

_MODULE = "offchip.engines.renode.worker"
_CLOSE = "close"
_RENEW = "renew"
_CLOSE_S = 10.0
#: how often the log is looked at while there is no answer, and how long an aborted core may still bring one
_LOOK_S, _ABORTED_S = 0.2, 1.0


class RefusedByEngine(Exception):
    """The worker refused one request; the board is as it was."""


class Worker:
    """The parent's end: one process, one board.

    After the first failure every call raises the same reason: the state of the board is unknown, so nothing is retried.

    Args:
        command: what to start; ``{fd}`` and ``{log}`` in it become the worker's end of the pipe and the log file.
        environment: of the worker.
        start_s: wall-clock seconds until it must have said that the board is ready.

    Raises:
        EngineError: it did not start.
        PlatformError: the engine does not accept the platform.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], start_s: float) -> None:
        self.kind: Hashable = None  # boards of the same kind can take over this process
        self._failure: str | None = None
        scratch = Scratch()
        self._folder = scratch.path
        self._boards = 1
        self._log = self._folder / "renode.log"
        self._watched = LogReader(self._log)
        self._output = self._folder / "output.txt"
        self._pipe, theirs = Pipe()
        with self._output.open("wb") as output, theirs:
            words = [word.format(fd=theirs.fileno(), log=self._log) for word in command]
            # a session of its own: Ctrl-C in the terminal is for the parent, which then ends the worker
            # and a temporary folder of its own: Renode leaves files behind when it is ended
            self._process = subprocess.Popen(
                words, env={**environment, "TMPDIR": str(self._folder)}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, pass_fds=[theirs.fileno(), scratch.descriptor], start_new_session=True)
        # also for a board that nobody closed
        self._clean_up = weakref.finalize(self, _end, self._process, scratch)
        try:
            self.about: dict[str, Any] = self._answer("start", start_s)
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
        try:
            self._pipe.send((method, arguments))
        except OSError:
            raise self._lost(f"died before {method}") from None
        return self._answer(method, limit_s)

    def renew(self, platform: Path, seed: int, start_s: float) -> None:
        """Replace the board by another, fresh from the factory. Raises as the start of a process."""
        self._boards += 1
        self._log = self._folder / f"renode-{self._boards}.log"
        self._watched = LogReader(self._log)
        self.about = self.call(_RENEW, str(self._log), str(platform), seed, limit_s=start_s)

    @property
    def lost(self) -> bool:
        """It can do nothing any more."""
        return self._failure is not None or self._process.poll() is not None

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        if self._failure is None:
            self._failure = "Renode: the board was closed."
            try:
                self._pipe.send((_CLOSE, ()))
                self._process.wait(_CLOSE_S)
            except (OSError, subprocess.TimeoutExpired):
                pass
        self._clean_up()
        self._pipe.close()

    def _answer(self, method: str, limit_s: float) -> Any:
        try:
            self._wait(method, limit_s)
            status, value = self._pipe.recv()
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

    def _wait(self, method: str, limit_s: float) -> None:
        """Until there is an answer. Raises EngineError when there will be none."""
        end = time.monotonic() + limit_s
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
        ended = self._process.poll()
        if ended is None and reason.startswith("died"):
            try:  # the pipe closes a moment before the process is gone
                ended = self._process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        _kill(self._process)
        status = "" if ended is None else f" ({_status(ended)})"
        # a crash of .NET is in the output; what the core did before Renode hung is in Renode's log
        files = (self._log, self._output) if ended is None else (self._output, self._log)
        last = next(filter(None, map(_last_line, files)), "")
        words = f"; its last words: {last}" if last and last not in reason else ""
        self._failure = f"Renode {reason}{status}{words}" if _is_verb(reason) else f"Renode: {reason}{status}{words}"
        return EngineError(self._failure)


def _end(process: subprocess.Popen[bytes], scratch: Scratch) -> None:
    _kill(process)
    scratch.remove()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else is in it
        except ProcessLookupError:
            pass
        process.wait()


def board_command(platform: Path, seed: int) -> list[str]:
    """What starts a worker for one board. Raises EngineError."""
    path = str(platform).replace("{", "{{").replace("}", "}}")
    return [worker_python(), "-m", _MODULE, "{fd}", "{log}", path, str(seed)]


def monitor_command(seed: int) -> list[str]:
    """What starts a worker that has Renode's monitor and no board yet. Raises EngineError."""
    return [worker_python(), "-m", _MODULE, "{fd}", "{log}", "", str(seed)]


#: variables that a worker started with other values of would differ from
_MATTERS = ("DOTNET_", "OFFCHIP_", "PYRENODE_", "RENODE_")
#: the process of a board that was closed, by what it was started with; one, for each takes 400 MB
_spare: dict[Hashable, Worker] = {}


def board_worker(platform: Path, seed: int, environment: Mapping[str, str], start_s: float) -> Worker:
    """A worker with one board, in a new process or one whose board was closed. Raises as :class:`Worker`."""
    kind = _kind(platform, environment)
    worker = _spare.pop(kind, None)
    if worker is not None:
        try:
            worker.renew(platform, seed, start_s)
            return worker
        except EngineError:
            worker.close()
    worker = Worker(board_command(platform, seed), environment, start_s)
    worker.kind = kind
    return worker


def put_back(worker: Worker) -> None:
    """The board of this worker is not needed any more."""
    for other in [*_spare.values()]:
        other.close()
    _spare.clear()
    if worker.lost:
        worker.close()
    else:
        _spare[worker.kind] = worker


def _kind(platform: Path, environment: Mapping[str, str]) -> Hashable:
    what_matters = frozenset(each for each in environment.items() if each[0].startswith(_MATTERS))
    return worker_python(), what_matters, models.fingerprint(platform)


def _is_verb(reason: str) -> bool:
    return reason.startswith(("died", "did not", "failed", "was "))


def _status(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}"


def _last_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - 4096))
            lines = stream.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


# the worker's end --------------------------------------------------------------------------------------------------
#: what the parent may ask of a Host
_METHODS = {"call", "get", "put", "has", "load_elf", "program", "power_on", "power_off", "reset", "run", "feed_uart",
            "set_hall", "read_memory", "debug", "diagnostics"}
#: what the parent may ask of a MonitorHost
_MONITOR_METHODS = {"command", "script", "clear", "machines", "attach", "write", "run", "take", "register",
                    "log_lines"}


def serve(pipe: Connection, log: Path, platform: Path | None, seed: int) -> int:
    """Build the board, or without a platform only the monitor; then answer until the parent says good-bye or is gone.
    """
    requests: queue.SimpleQueue[tuple[str, tuple[Any, ...]]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, requests), daemon=True).start()
    # imported here, on the main thread: Renode belongs to the thread that loads it
    from offchip.engines.renode.dotnet import Refused

    methods = _METHODS if platform is not None else _MONITOR_METHODS
    host = _build(pipe, log, platform, seed)
    while host is not None:
        method, arguments = requests.get()
        if method == _CLOSE:
            host.close()
            return 0
        if method == _RENEW:
            host.close()
            log_, platform_, seed_ = arguments
            host = _build(pipe, Path(log_), Path(platform_), seed_)
            continue
        try:
            if method == "selftest":
                from offchip.engines.renode.selftest import run_selftest
                value: Any = run_selftest(host)
            elif method in methods:
                value = getattr(host, method)(*arguments)
            else:
                raise ValueError("there is no such request")
            answer: tuple[str, Any] = ("ok", (value, host.now_ns, host.instructions))
        except Refused as refused:
            answer = ("refused", str(refused))
        except Exception as error:
            text = getattr(error, "Message", None) or error  # .NET keeps its text there, str() adds a trace
            answer = ("failed", f"failed in {method}: {type(error).__name__}: {text}")
        pipe.send(answer)
    return 1


def _build(pipe: Connection, log: Path, platform: Path | None, seed: int) -> Any:
    """A Host or MonitorHost, or None when it cannot be; the parent is told."""
    from offchip.engines.renode.dotnet import BadPlatform
    from offchip.engines.renode.host import Host
    from offchip.engines.renode.monitor_host import MonitorHost

    try:
        host = Host(platform, seed, log) if platform is not None else MonitorHost(seed, log)
    except BadPlatform as error:
        pipe.send(("platform", str(error)))
        return None
    except Exception as error:
        pipe.send(("failed", f"did not start: {type(error).__name__}: {error}"))
        return None
    pipe.send(("ok", {"version": host.version}))
    return host


def _receive(pipe: Connection, requests: queue.SimpleQueue[tuple[str, tuple[Any, ...]]]) -> None:
    while True:
        try:
            requests.put(pipe.recv())
        except (EOFError, OSError):  # the parent is gone, perhaps while Renode hangs: nobody else would end us
            os._exit(1)


def main() -> None:
    """``python -m offchip.engines.renode.worker FD LOG PLATFORM SEED``; an empty PLATFORM: only the monitor"""
    fd, log, platform, seed = sys.argv[1:]
    code = serve(Connection(int(fd)), Path(log), Path(platform) if platform else None, int(seed))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a normal exit of the interpreter takes .NET seconds


if __name__ == "__main__":
    main()
