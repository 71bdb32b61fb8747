# SPDX-License-Identifier: Apache-2.0
"""Renode's own monitor in a worker process: the parent's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offchip.engines.renode.dotnet import Answer
from offchip.engines.renode.engine import REQUEST_S, RUN_FACTOR, RUN_S, START_S
from offchip.engines.renode.locate import need_renode, worker_environment
from offchip.engines.renode.process import WorkerProcess
from offchip.engines.renode.worker import RefusedByEngine, Worker, monitor_command
from offchip.errors import EngineError

#: a command may run the emulation for as long as it likes; this much wall-clock time it gets
COMMAND_S = 600.0


class RenodeMonitor:
    """Monitor commands, time and the far ends of UARTs. Every method may raise EngineError.

    Args:
        seed: of everything random.
    """

    def __init__(self, seed: int = 1) -> None:
        renode = need_renode()
        self._worker = Worker(WorkerProcess(monitor_command(seed), worker_environment(renode)), START_S)

    def _ask(self, method: str, *arguments: Any, limit_s: float = REQUEST_S) -> Any:
        try:
            return self._worker.call(method, *arguments, limit_s=limit_s)[0]
        except RefusedByEngine as error:
            raise EngineError(f"Renode: {error}") from None

    def command(self, line: str) -> Answer:
        """Run a monitor command."""
        return Answer(*self._ask("command", line, limit_s=COMMAND_S))

    def script(self, path: Path) -> Answer:
        """Run a .resc."""
        return Answer(*self._ask("script", str(path.resolve()), limit_s=COMMAND_S))

    def machines(self) -> list[str]:
        """Names of the machines."""
        return list(self._ask("machines"))

    def clear(self) -> None:
        """Remove every machine."""
        self._ask("clear")

    def attach(self, uart: str, machine: str | None) -> int:
        """Listen to a UART; returns the number of the wire."""
        return int(self._ask("attach", uart, machine))

    def write(self, wire: int, data: bytes, spacing_ns: int) -> None:
        """Put bytes on the line, each ``spacing_ns`` after the one before; 0: at line rate."""
        self._ask("write", wire, data, spacing_ns)

    def run(self, duration_ns: int) -> list[tuple[int, int, int]]:
        """Let virtual time pass; returns (wire, byte, virtual time in ns) of what the UARTs sent."""
        return list(self._ask("run", duration_ns, limit_s=RUN_S + RUN_FACTOR * duration_ns / 1e9))

    def take(self) -> list[tuple[int, int, int]]:
        """As :meth:`run`, of what was sent during commands."""
        return list(self._ask("take"))

    def register(self, cpu: str, register: int | str | None, machine: str | None) -> int:
        """A core register by number or name; None: the PC."""
        return int(self._ask("register", cpu, register, machine))

    def log_lines(self) -> list[str]:
        """Whole new lines of Renode's log."""
        return list(self._ask("log_lines"))

    def close(self) -> None:
        """End the process."""
        self._worker.close()
