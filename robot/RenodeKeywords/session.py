# SPDX-License-Identifier: Apache-2.0
"""One emulation under the keywords, on whichever engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from offchip.engines.protocol import UartByte
from offchip.engines.renode import phrases
from offchip.engines.select import resolve_engine
from offchip.errors import EngineError, OffchipError

SEED = 1
T = TypeVar("T")


class CommandFailed(OffchipError):
    """A monitor command or a script went wrong.

    Attributes:
        finished: it was carried out all the same and only complained.
    """

    def __init__(self, complaint: str, finished: bool = False) -> None:
        super().__init__(complaint)
        self.finished = finished


@dataclass(frozen=True, slots=True)
class Received:
    """One byte a UART sent: the wire it came on, its value, and the virtual time in ns."""

    wire: int
    value: int
    time_ns: int


class Session(Protocol):
    """Monitor, time, and the far ends of UARTs. Every method may raise an OffchipError."""

    def execute(self, command: str) -> str:
        """Run a monitor command; returns what it printed, lines ended by a line feed. Raises CommandFailed."""

    def run_script(self, path: Path) -> str:
        """Run a .resc; returns what it printed. Raises CommandFailed."""

    def machines(self) -> list[str]:
        """Names of the machines."""

    def attach(self, uart: str, machine: str | None) -> int:
        """Listen to a UART of that machine (None: the only one); returns the number of the wire, the same one for the
        same UART."""

    def write(self, wire: int, data: bytes, spacing_ns: int) -> None:
        """Put bytes on the line, each ``spacing_ns`` after the one before; 0: at line rate."""

    def run(self, duration_ns: int) -> None:
        """Let virtual time pass in every machine."""

    def take(self) -> list[Received]:
        """What the UARTs sent since the last call."""

    def log_lines(self) -> list[str]:
        """What was logged since the last call."""

    def register(self, cpu: str, register: int | str | None, machine: str | None) -> int:
        """A core register by number or name (None: the PC)."""

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
            raise CommandFailed("quit would end the engine in the middle of a test; use Reset Emulation") from None
        except OffchipError as error:
            raise CommandFailed(str(error)) from None
        return "".join(f"{line}\n" for line in self._printed)

    def machines(self) -> list[str]:
        return self._backend.machines()

    def attach(self, uart: str, machine: str | None) -> int:
        owner = self._owner(machine)
        try:
            port = self._on(owner, lambda: self._backend.uart_port(uart))
        except OffchipError:
            known = self._on(owner, self._backend.peripherals)
            raise EngineError(phrases.no_uart(machine or "", uart, known)) from None
        for wire, other in enumerate(self._ports):
            if port.is_same_as(other):
                return wire
        wire = len(self._ports)

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

    def register(self, cpu: str, register: int | str | None, machine: str | None) -> int:
        owner = self._owner(machine)
        known = self._on(owner, self._backend.peripherals)
        if cpu not in known:
            cores = [path.removeprefix("sysbus.") for path, model in known.items() if model.startswith("CPU.")]
            raise EngineError(phrases.no_cpu(cpu.removeprefix("sysbus."), cores))
        if isinstance(register, str):
            register = _core_register(register)
        member, arguments = ("PC", []) if register is None else ("GetRegister", [register])
        return int(self._on(owner, lambda: self._backend.perform(cpu, member, arguments)))

    def _owner(self, machine: str | None) -> str:
        """The machine of that name, or the only one. Raises EngineError."""
        names = self._backend.machines()
        if machine is None and len(names) != 1:
            raise EngineError(phrases.which_machine(names))
        if machine is not None and machine not in names:
            raise EngineError(phrases.no_machine_of_that_name(machine, names))
        return machine or names[0]

    def _on(self, machine: str, action: Callable[[], T]) -> T:
        """Do something with that machine selected."""
        selected = self._backend.selected()
        self._backend.select_machine(machine)
        try:
            return action()
        finally:
            self._backend.select_machine(selected)

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
        answer = self._renode.command(command)
        if answer.complaint or not answer.done:
            raise CommandFailed(answer.complaint, answer.done)
        return _lines(answer.printed)

    def run_script(self, path: Path) -> str:
        answer = self._renode.script(path)
        if not answer.done:
            raise CommandFailed(answer.complaint)
        return _lines(answer.printed)

    def machines(self) -> list[str]:
        return self._renode.machines()

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

    def register(self, cpu: str, register: int | str | None, machine: str | None) -> int:
        return self._renode.register(cpu, register, machine)

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


def _core_register(name: str) -> int:
    """The number of a core register. Raises EngineError."""
    names = {**{f"R{number}": number for number in range(16)}, "SP": 13, "LR": 14, "PC": 15}
    if name.upper() not in names:
        raise EngineError(f"Wrong register name: {name}")
    return names[name.upper()]
