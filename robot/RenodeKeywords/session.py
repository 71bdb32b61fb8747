# SPDX-License-Identifier: Apache-2.0
"""One emulation under the keywords, on whichever engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from offchip.engines.protocol import UartByte
from offchip.engines.select import resolve_engine
from offchip.errors import EngineError

SEED = 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
    """One byte a UART sent: the wire it came on, its value, and the virtual time in ns."""

    wire: int
    value: int
    time_ns: int


class Session(Protocol):
    """Monitor, time, and the far ends of UARTs. Every method may raise an OffchipError."""

    def execute(self, command: str) -> str:
        """Run a monitor command; returns what it printed, lines ended by a line feed."""

    def run_script(self, path: Path) -> str:
        """Run a .resc; returns what it printed."""

    def attach(self, uart: str, machine: str | None) -> int:
        """Listen to a UART of that machine (None: the only one); returns the number of the wire."""

    def write(self, wire: int, data: bytes, spacing_ns: int) -> None:
        """Put bytes on the line, each ``spacing_ns`` after the one before; 0: at line rate."""

    def run(self, duration_ns: int) -> None:
        """Let virtual time pass in every machine."""

    def take(self) -> list[Received]:
        """What the UARTs sent since the last call."""

    def log_lines(self) -> list[str]:
        """What was logged since the last call."""

    def register(self, cpu: str, number: int | None, machine: str | None) -> int:
        """A core register by number (None: the PC)."""

    def reset(self) -> None:
        """Remove every machine."""

    def close(self) -> None: ...


class EmbeddedSession:
    """The monitor's language on the embedded engine."""

    def __init__(self) -> None:
        self._received: list[Received] = []
        self._logged: list[str] = []
        self._printed: list[str] = []
        self._start()

    def _start(self) -> None:
        from offchip.monitor.embedded_backend import EmbeddedBackend, UartPort
        from offchip.platform.resc import Monitor

        self._backend = EmbeddedBackend(self._logged.append, SEED)
        self._monitor = Monitor(self._backend, self._printed.append)
        self._ports: list[UartPort] = []

    def execute(self, command: str) -> str:
        return self._answer(lambda: self._monitor.execute(command, "Execute Command"))

    def run_script(self, path: Path) -> str:
        return self._answer(lambda: self._monitor.run_script(path))

    def _answer(self, action: Callable[[], None]) -> str:
        from offchip.platform.resc import MonitorExit

        self._printed.clear()
        try:
            action()
        except MonitorExit:
            raise EngineError("quit would end the engine in the middle of a test; use Reset Emulation") from None
        return "".join(f"{line}\n" for line in self._printed)

    def attach(self, uart: str, machine: str | None) -> int:
        wire = len(self._ports)
        port = self._on(machine, lambda: self._backend.uart_port(uart))

        def listen(byte: UartByte) -> None:
            self._received.append(Received(wire, byte.value, byte.time_ns))

        port.listen(listen)
        self._ports.append(port)
        return wire

    def write(self, wire: int, data: bytes, spacing_ns: int) -> None:
        self._ports[wire].send(data, spacing_ns)

    def run(self, duration_ns: int) -> None:
        self._backend.run_for(duration_ns)

    def take(self) -> list[Received]:
        taken = self._received[:]
        self._received.clear()
        return taken

    def log_lines(self) -> list[str]:
        taken = self._logged[:]
        self._logged.clear()
        return taken

    def register(self, cpu: str, number: int | None, machine: str | None) -> int:
        if cpu not in self._on(machine, self._backend.peripherals):
            raise EngineError(f'there is no CPU "{cpu}"')
        if number is None:
            return self._on(machine, lambda: self._backend.perform(cpu, "PC", []))
        return self._on(machine, lambda: self._backend.perform(cpu, "GetRegister", [number]))

    def _on(self, machine: str | None, action: Callable[[], T]) -> T:
        """Do something with that machine, or the only one, selected."""
        names = self._backend.machines()
        if machine is None and len(names) != 1:
            raise EngineError(f"there are {len(names)} machines; say which with machine=NAME" if names
                              else 'there is no machine; make one with mach create "name"')
        self._backend.select_machine(machine or names[0])
        try:
            return action()
        finally:
            self._backend.select_machine(names[0])  # the selected one comes first

    def reset(self) -> None:
        self.close()
        self._received.clear()
        self._logged.clear()
        self._start()

    def close(self) -> None:
        self._backend.close()


class RenodeSession:
    """Renode in a process of its own."""

    def __init__(self) -> None:
        from offchip.engines.renode.monitor import RenodeMonitor

        self._renode = RenodeMonitor(SEED)
        self._received: list[Received] = []

    def execute(self, command: str) -> str:
        return _lines(self._renode.command(command))

    def run_script(self, path: Path) -> str:
        return _lines(self._renode.script(path))

    def attach(self, uart: str, machine: str | None) -> int:
        return self._renode.attach(uart, machine)

    def write(self, wire: int, data: bytes, spacing_ns: int) -> None:
        self._renode.write(wire, data, spacing_ns)

    def run(self, duration_ns: int) -> None:
        self._received += [Received(*each) for each in self._renode.run(duration_ns)]

    def take(self) -> list[Received]:
        taken = [*self._received, *(Received(*each) for each in self._renode.take())]
        self._received.clear()
        return taken

    def log_lines(self) -> list[str]:
        return self._renode.log_lines()

    def register(self, cpu: str, number: int | None, machine: str | None) -> int:
        return self._renode.register(cpu, number, machine)

    def reset(self) -> None:
        self._received.clear()
        self._renode.clear()

    def close(self) -> None:
        self._renode.close()


def open_session(engine: str) -> Session:
    """A session on ``embedded``, ``renode`` or ``auto``. Raises EngineError."""
    return RenodeSession() if resolve_engine(engine) == "renode" else EmbeddedSession()


def _lines(text: str) -> str:
    return f"{text}\n" if text else ""
