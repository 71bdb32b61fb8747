# SPDX-License-Identifier: Apache-2.0
"""The monitor at a terminal: a prompt with completion and history, while time may flow behind it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from offchip.errors import OffchipError
from offchip.monitor.embedded_backend import SLICE_NS, EmbeddedBackend
from offchip.platform.resc import Monitor, MonitorExit

HISTORY = Path.home() / ".offchip_history"
HISTORY_LENGTH = 1000


class _Steppable(Protocol):
    def is_paused(self) -> bool: ...
    def pause(self) -> None: ...
    def step(self, duration_ns: int = SLICE_NS) -> None: ...


class Flow:
    """After ``start``, lets virtual time follow the wall clock in a thread, one slice at a time under ``lock``.

    Only an interactive session needs this: what happens then depends on when the user types. Scripts use
    ``emulation RunFor``, which is exact.
    """

    def __init__(self, backend: _Steppable, on_error: Callable[[str], None]) -> None:
        self.lock = threading.Lock()
        self._backend = backend
        self._on_error = on_error
        self._leave = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="time", daemon=True)
        self._thread.start()

    def notice(self) -> None:
        """A command was carried out: look whether time is to flow."""
        self._wake.set()

    def close(self) -> None:
        self._leave.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._leave.is_set():
            with self.lock:
                paused = self._backend.is_paused()
                if not paused:
                    try:
                        self._backend.step()
                    except OffchipError as error:
                        self._on_error(str(error))
                        self._backend.pause()
            if paused:
                self._wake.wait()
                self._wake.clear()
                due = time.monotonic()
            else:
                due = max(due + SLICE_NS / 1e9, time.monotonic() - 0.1)  # far behind: do not try to catch up
                self._leave.wait(max(0.0, due - time.monotonic()))


class Console:
    """Reads commands until ``quit`` or the end of input.

    Args:
        monitor: what carries them out.
        flow: holds the lock that keeps commands and time apart.
        read: asks for one line; raises EOFError at the end of input (``input`` of Python).
        write: takes a line of output.
    """

    def __init__(self, monitor: Monitor, flow: Flow, read: Callable[[str], str], write: Callable[[str], None]) -> None:
        self._monitor = monitor
        self._flow = flow
        self._read = read
        self._write = write
        self._line = 0
        self.failed = 0  # commands that ended in an error

    def run(self) -> None:
        while True:
            try:
                text = self._read_command()
                with self._flow.lock:
                    self._monitor.execute(text, line=self._line)
            except (EOFError, MonitorExit):
                return
            except KeyboardInterrupt:
                self._write("")
            except OffchipError as error:
                self.failed += 1
                self._write(str(error))
            self._flow.notice()

    def _prompt(self) -> str:
        machines = self._monitor.backend.machines()
        return f"({machines[0] if machines else 'monitor'}) "

    def _read_command(self) -> str:
        text = self._read(self._prompt())
        self._line += 1
        while text.count('"""') % 2:
            text += "\n" + self._read("> ")
        return text


def _use_readline(monitor: Monitor) -> None:
    try:
        import readline
    except ImportError:  # not on every platform; the prompt works without it
        return
    matches: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[:readline.get_endidx()]
            matches[:] = [m + " " for m in monitor.completions(line.lstrip())]
        return matches[state] if state < len(matches) else None

    readline.set_completer_delims(" \t")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(HISTORY_LENGTH)
    try:
        readline.read_history_file(HISTORY)
    except OSError:
        return  # the first session has no history, and a broken one is no reason to stop


def _save_history() -> None:
    readline = sys.modules.get("readline")
    if readline is not None:
        try:
            readline.write_history_file(HISTORY)
        except OSError as error:
            print(f"the history is not kept: {HISTORY} cannot be written ({error.strerror})", file=sys.stderr)


def _read_silently(prompt: str) -> str:
    return input()


def run_console(commands: Sequence[str] = (), script: Path | None = None, seed: int = 1) -> int:
    """Run ``commands``, then ``script``, then the prompt. Returns the exit status: 1 when a script or piped command
    was wrong.

    Without a terminal on standard input the commands come from it, one a line, and nothing is completed.
    """

    def write(line: str) -> None:
        print(line, flush=True)

    backend = EmbeddedBackend(write, seed)
    monitor = Monitor(backend, write)
    flow = Flow(backend, write)
    interactive = sys.stdin.isatty()
    try:
        with flow.lock:
            for number, command in enumerate(commands, 1):
                monitor.execute(command, "command line", number)
            if script is not None:
                monitor.run_script(script)
        flow.notice()
        if interactive:
            _use_readline(monitor)
        console = Console(monitor, flow, input if interactive else _read_silently, write)
        console.run()
        if not interactive and console.failed:
            return 1
    except MonitorExit:
        return 0
    except OffchipError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if interactive:
            _save_history()
        flow.close()
        backend.close()
    return 0
