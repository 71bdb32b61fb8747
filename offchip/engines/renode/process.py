# SPDX-License-Identifier: Apache-2.0
"""A worker's process, this end of its pipe and its folder: started here, or lent by whoever started it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from offchip.engines.renode.scratch import Scratch

OUTPUT = "output.txt"


class WorkerProcess:
    """One that was started here.

    Args:
        command: what to start; ``{fd}`` and ``{log}`` in it become the worker's end of the pipe and its first log.
        environment: of the worker.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._scratch = Scratch()
        self.folder = self._scratch.path
        self.log = self.folder / "renode.log"
        self.pipe, theirs = Pipe()
        with (self.folder / OUTPUT).open("wb") as output, theirs:
            words = [word.format(fd=theirs.fileno(), log=self.log) for word in command]
            # a session of its own: Ctrl-C in the terminal is for the parent, which then ends the worker
            # and a temporary folder of its own: Renode leaves files behind when it is ended
            self._process = subprocess.Popen(
                words, env={**environment, "TMPDIR": str(self.folder)}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, pass_fds=[theirs.fileno(), self._scratch.descriptor], start_new_session=True)
        self.pid = self._process.pid

    def wait(self, limit_s: float) -> bool:
        """Whether it ends within so many host seconds."""
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def status(self) -> str:
        """How it ended; empty while it has not."""
        code = self._process.poll()
        if code is None:
            return ""
        try:
            return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        except ValueError:
            return f"killed by signal {-code}"

    def kill(self) -> None:
        """End it; harmless when it has ended."""
        if self._process.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)  # its own session: nobody else is in it
            except ProcessLookupError:
                pass
            self._process.wait()

    def let_go(self) -> None:
        """Nobody here needs it any more: it ends, and its folder goes."""
        self.kill()
        self._scratch.remove()

    def describe(self, kind: str) -> str:
        """What :class:`LentProcess` needs to know, as text."""
        return json.dumps({"fd": self.pipe.fileno(), "pid": self.pid, "folder": str(self.folder), "kind": kind})


class LentProcess:
    """One whose pipe came with this process; whoever lent it goes on with it when this process has ended.

    Args:
        description: see :meth:`WorkerProcess.describe`.
    """

    def __init__(self, description: str) -> None:
        told = json.loads(description)
        self.pid: int = told["pid"]
        self.kind: str = told["kind"]
        self.folder = Path(told["folder"])
        self.log = self.folder / f"renode-{os.getpid()}.log"
        self.pipe: Connection = Connection(told["fd"])
        os.set_inheritable(told["fd"], False)
        try:
            self._watch: int | None = os.pidfd_open(self.pid)
        except OSError:  # it has ended
            self._watch = None

    def wait(self, limit_s: float) -> bool:
        """Whether it ends within so many host seconds."""
        if self._watch is None:
            return True
        watch = select.poll()
        watch.register(self._watch, select.POLLIN)
        return bool(watch.poll(limit_s * 1000))

    def status(self) -> str:
        """That it has ended; how, only its parent knows. Empty while it has not."""
        return "it has ended" if self.wait(0) else ""

    def kill(self) -> None:
        """End it; its lender starts another."""
        if not self.wait(0):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.wait(2)

    def let_go(self) -> None:
        """It stays as it is; the next board is built anew."""
