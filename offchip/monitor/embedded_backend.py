# SPDX-License-Identifier: Apache-2.0
"""Carries the monitor's commands out on the embedded engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from offchip.engines.embedded import reflection
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.peripheral import Peripheral
from offchip.engines.embedded.peripherals.usart import Usart
from offchip.engines.protocol import Diagnostic, UartByte
from offchip.errors import EngineError
from offchip.monitor.terminal import FileTerminal, LinePrinter, SocketTerminal, Terminal
from offchip.platform.model import Location
from offchip.platform.reader import PlatformReader

#: virtual time between two looks at the terminals
SLICE_NS = 1_000_000
_SEVERITY = {"stand-in": 1, "unmodelled": 2, "violation": 2, "fault": 3, "lockup": 3}
_INFO = 1
_LEVEL_NAMES = {-1: "NOISY", 0: "DEBUG", 1: "INFO", 2: "WARNING", 3: "ERROR"}
_UART_MEMBERS = ("CreateFileBackend", "WriteChar")


@dataclass(slots=True)
class _Machine:
    """One board. ``sources`` are the descriptions it was built from; ``used`` is set once its state matters."""

    name: str
    sources: list[Callable[[PlatformReader], None]] = field(default_factory=list)
    engine: EmbeddedEngine | None = None
    used: bool = False
    wires: dict[str, list[Terminal]] = field(default_factory=dict)
    listeners: dict[str, list[Callable[[UartByte], None]]] = field(default_factory=dict)
    log_levels: dict[str, int] = field(default_factory=dict)
    reported: int = 0


class UartPort:
    """The far end of one UART, for a test that reads every byte with its time and writes back.

    It stays on its machine, whichever machine is selected later.
    """

    def __init__(self, machine: _Machine, uart: str) -> None:
        self._machine, self._uart = machine, uart
        self._free_ns = 0  # when the last spaced byte is on the line

    def is_same_as(self, other: UartPort) -> bool:
        """Whether both are the far end of one UART."""
        return self._machine is other._machine and self._uart == other._uart

    def listen(self, listener: Callable[[UartByte], None]) -> None:
        """``listener`` gets each byte the chip sends from now on."""
        self._machine.listeners.setdefault(self._uart, []).append(listener)

    def send(self, data: bytes, spacing_ns: int = 0) -> None:
        """Put bytes on the line, each ``spacing_ns`` of virtual time after the one before; 0: at line rate."""
        engine = self._machine.engine
        if engine is None:
            raise EngineError(f"{self._uart} has no board behind it; load one")
        self._machine.used = True
        if not spacing_ns:
            engine.feed_uart(self._uart, data)
            return
        self._free_ns = max(self._free_ns, engine.now_ns)
        for value in data:
            self._free_ns += spacing_ns
            engine.machine.clock.after(self._free_ns - engine.now_ns,
                                       partial(engine.feed_uart, self._uart, bytes([value])))


class EmbeddedBackend:
    """Implements :class:`offchip.platform.resc.MonitorBackend`.

    Args:
        write: receives each line of output (analyzers and the log).
        seed: of everything random, unless ``emulation SetSeed`` says otherwise.
    """

    def __init__(self, write: Callable[[str], None], seed: int = 1) -> None:
        self._write = write
        self._seed = seed
        self._machines: dict[str, _Machine] = {}
        self._selected: _Machine | None = None
        self._terminals: dict[str, SocketTerminal] = {}
        self._level = 2
        self._log: TextIO | None = None
        self._running = False

    # machines ----------------------------------------------------------------------------------------------------
    def create_machine(self, name: str) -> None:
        if name in self._machines:
            raise EngineError(f'there is already a machine "{name}"; mach set "{name}" selects it')
        self._selected = self._machines[name] = _Machine(name)

    def select_machine(self, name: str | None) -> None:
        self._selected = None if name is None else self._existing(name)

    def remove_machine(self, name: str) -> None:
        machine = self._existing(name)
        self._close(machine)
        del self._machines[name]
        if self._selected is machine:
            self._selected = None

    def clear(self) -> None:
        for name in list(self._machines):
            self.remove_machine(name)
        for terminal in self._terminals.values():
            terminal.close()
        self._terminals.clear()
        self._running = False

    def close(self) -> None:
        """Give ports and files back."""
        self.clear()
        if self._log is not None:
            self._log.close()
            self._log = None

    def machines(self) -> list[str]:
        selected = [self._selected.name] if self._selected is not None else []
        return [*selected, *(n for n in self._machines if n not in selected)]

    def machines_in_order(self) -> list[str]:
        return list(self._machines)

    def selected(self) -> str | None:
        """The name of the selected machine."""
        return self._selected.name if self._selected is not None else None

    def _existing(self, name: str) -> _Machine:
        if name not in self._machines:
            raise EngineError(f'there is no machine "{name}"; mach lists them')
        return self._machines[name]

    @property
    def _machine(self) -> _Machine:
        if self._selected is None:
            raise EngineError('there is no machine; make one with mach create "name"')
        return self._selected

    @property
    def _engine(self) -> EmbeddedEngine:
        if self._machine.engine is None:
            raise EngineError("the machine is empty; load a board with machine LoadPlatformDescription @file.repl")
        return self._machine.engine

    def _close(self, machine: _Machine) -> None:
        shared = set(self._terminals.values())
        for terminal in {t for wired in machine.wires.values() for t in wired} - shared:
            terminal.close()
        if machine.engine is not None:
            machine.engine.close()

    def load_platform(self, path: Path, folders: Sequence[Path] = ()) -> None:
        self._add_source(lambda reader: reader.add_file(path), folders)

    def load_platform_text(self, text: str, location: Location, folders: Sequence[Path] = ()) -> None:
        # empty lines in front keep the line numbers of the script in messages
        padded = "\n" * (location.line - 1) + text
        self._add_source(lambda reader: reader.add_text(padded, location.file), folders)

    def _add_source(self, source: Callable[[PlatformReader], None], folders: Sequence[Path]) -> None:
        machine = self._machine
        if machine.used:
            raise EngineError("the board is in use already; load every description before firmware, media and time, "
                              'or start again with mach create "name"')
        reader = PlatformReader(folders)
        sources = [*machine.sources, source]
        for each in sources:
            each(reader)
        machine.engine = EmbeddedEngine(reader.finish(), self._seed)
        machine.sources, machine.reported = sources, 0

    def set_seed(self, seed: int) -> None:
        if any(m.engine is not None for m in self._machines.values()):
            raise EngineError("the seed is set too late; give emulation SetSeed before the board is loaded")
        self._seed = seed

    def load_elf(self, path: Path) -> None:
        self._engine.load_elf(path)
        self._machine.used = True

    # time --------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        engine = self._engine
        self._machine.used = True
        if engine.machine.powered:
            engine.reset()
            engine.run(0)  # a reset is taken between instructions: here, now
        else:
            engine.power_on()

    def start(self) -> None:
        self._require_boards()
        self._running = True

    def pause(self) -> None:
        self._running = False

    def is_paused(self) -> bool:
        return not self._running

    def run_for(self, duration_ns: int) -> None:
        self._require_boards()
        for length in _slices(duration_ns):
            self.step(length)

    def _require_boards(self) -> None:
        if all(m.engine is None for m in self._machines.values()):
            raise EngineError("there is no board to run; load one with machine LoadPlatformDescription @file.repl")

    def step(self, duration_ns: int = SLICE_NS) -> None:
        """Let a short time pass in every machine and serve the terminals."""
        for machine in self._machines.values():
            engine = machine.engine
            if engine is None:
                continue
            machine.used = True
            engine.machine.power_on()  # nothing when it is on
            for uart, terminals in machine.wires.items():
                for terminal in terminals:
                    if typed := terminal.take():
                        engine.feed_uart(uart, typed)
            sent: dict[str, bytearray] = {}
            for byte in engine.run(duration_ns).uart:
                sent.setdefault(byte.uart, bytearray()).append(byte.value)
                for listener in machine.listeners.get(byte.uart, ()):
                    listener(byte)
            for uart, data in sent.items():
                for terminal in machine.wires.get(uart, ()):
                    terminal.send(bytes(data))
            self._report(machine, engine)

    # log ---------------------------------------------------------------------------------------------------------
    def _report(self, machine: _Machine, engine: EmbeddedEngine) -> None:
        found = engine.diagnostics()
        for diagnostic in found[machine.reported:]:
            severity = _SEVERITY[diagnostic.kind]
            if severity >= machine.log_levels.get(diagnostic.where, self._level):
                self._log_out(_log_line(machine.name, severity, diagnostic))
        machine.reported = len(found)

    def _log_out(self, line: str) -> None:
        self._write(line)
        if self._log is not None:
            print(line, file=self._log, flush=True)

    def log(self, text: str, level: int) -> None:
        if level >= min(self._level, _INFO):
            now_ns = max((m.engine.now_ns for m in self._machines.values() if m.engine is not None), default=0)
            self._log_out(f"{now_ns / 1e9:.9f} [{_LEVEL_NAMES[level]}] {text}")

    def log_level(self, level: int, path: str | None) -> None:
        if path is None:
            self._level = level
        else:
            self._machine.log_levels[path] = level

    def log_file(self, path: Path) -> None:
        if self._log is not None:
            self._log.close()
        try:
            self._log = path.open("w", encoding="utf-8")
        except OSError as error:
            raise EngineError(f"{path} cannot be written ({error.strerror})") from None

    # tree --------------------------------------------------------------------------------------------------------
    def peripherals(self) -> dict[str, str]:
        if self._selected is None or self._selected.engine is None:
            return {}
        return {path: p.model_name for path, p in self._selected.engine.machine.platform.by_path.items()}

    def _peripheral(self, path: str) -> Peripheral:
        return self._engine.machine.platform.by_path[path]

    def members(self, path: str) -> list[str]:
        peripheral = self._peripheral(path)
        extra = _UART_MEMBERS if isinstance(peripheral, Usart) else ()
        return sorted([*reflection.members(peripheral), *extra])

    def perform(self, path: str, member: str, arguments: Sequence[Any]) -> Any:
        peripheral = self._peripheral(path)
        if isinstance(peripheral, Usart) and member in _UART_MEMBERS:
            self._uart(peripheral, member, arguments)
            return None
        if arguments or callable(getattr(peripheral, reflection.snake_case(member), None)):
            self._machine.used = True
        with _as_engine_error():
            return reflection.bind(peripheral, member, arguments)()

    def _uart(self, uart: Usart, member: str, arguments: Sequence[Any]) -> None:
        match member, list(arguments):
            case "CreateFileBackend", [Path() | str() as path, *rest] if rest in ([], [True], [False]):
                self._wire(uart, FileTerminal(Path(path)))
            case "WriteChar", [int(value)] if 0 <= value < 256 and not isinstance(value, bool):
                self._machine.used = True
                self._engine.feed_uart(uart.name, bytes([value]))
            case _:
                raise EngineError(f"{member} was misused; write CreateFileBackend @FILE true, or WriteChar 0..255")

    def read_bus(self, address: int, width: int) -> int:
        self._require_target(address, width)
        return self._engine.machine.bus_read(address, width)

    def write_bus(self, address: int, width: int, value: int) -> None:
        self._require_target(address, width)
        self._machine.used = True
        self._engine.machine.bus_write(address, width, value)

    def _require_target(self, address: int, width: int) -> None:
        """Nothing that the prompt does may look to the firmware like a bus error of its own."""
        platform = self._engine.machine.platform
        places = [(r.start, r.start + r.size) for r in platform.registrations]
        places += [(t.start, t.end + 1) for t in platform.tags]
        if address % width:
            raise EngineError(f"0x{address:X} is not aligned to {width} bytes")
        if not any(start <= address and address + width <= end for start, end in places):
            raise EngineError(f"nothing of this platform answers at 0x{address:08X}")

    # terminals ---------------------------------------------------------------------------------------------------
    def create_socket_terminal(self, port: int, name: str) -> None:
        if name in self._terminals:
            if self._is_wired(self._terminals[name]):
                raise EngineError(f'there is already a terminal "{name}"; choose another name')
            self._terminals.pop(name).close()  # its machine is gone
        self._terminals[name] = SocketTerminal(port)

    def _is_wired(self, terminal: Terminal) -> bool:
        return any(terminal in wired for machine in self._machines.values() for wired in machine.wires.values())

    def connect(self, path: str, terminal: str) -> None:
        if terminal not in self._terminals:
            raise EngineError(f'there is no terminal "{terminal}"; make it with emulation CreateServerSocketTerminal')
        self._wire(self._peripheral(path), self._terminals[terminal])

    def show_analyzer(self, path: str) -> None:
        self._wire(self._peripheral(path), LinePrinter(path.rpartition(".")[2], self._write))

    def uart_port(self, path: str) -> UartPort:
        """The far end of a UART of the selected machine. Raises EngineError."""
        peripheral = self._engine.machine.platform.by_path.get(path)
        if peripheral is None:
            raise EngineError(f'there is no peripheral "{path}" in machine "{self._machine.name}"')
        _require_uart(peripheral)
        return UartPort(self._machine, peripheral.name)

    def _wire(self, peripheral: Peripheral, terminal: Terminal) -> None:
        _require_uart(peripheral)
        self._machine.wires.setdefault(peripheral.name, []).append(terminal)

    def start_gdb_server(self, port: int) -> None:
        raise EngineError("the embedded engine has no GDB server; run the same script in Renode to debug with GDB")

    def version(self) -> str:
        return f"offchip, embedded engine on Unicorn {version('unicorn')}"


def _require_uart(peripheral: Peripheral) -> None:
    if not isinstance(peripheral, Usart):
        raise EngineError(f"{peripheral.path} ({peripheral.model_name}) is no UART; only UARTs have terminals")


def _slices(duration_ns: int) -> Iterator[int]:
    while duration_ns > 0:
        yield min(duration_ns, SLICE_NS)
        duration_ns -= SLICE_NS


def _log_line(machine: str, severity: int, diagnostic: Diagnostic) -> str:
    seconds = diagnostic.time_ns / 1_000_000_000
    return (f"{seconds:.9f} [{_LEVEL_NAMES[severity]}] {machine}/{diagnostic.where}: {diagnostic.kind}: "
            f"{diagnostic.message} (PC 0x{diagnostic.pc:08X})")


@contextmanager
def _as_engine_error() -> Iterator[None]:
    try:
        yield
    except reflection.Refused as refused:
        raise EngineError(str(refused)) from None
