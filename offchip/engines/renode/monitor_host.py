# SPDX-License-Identifier: Apache-2.0
"""Renode's monitor without a board of ours: whatever machines its commands make, and the far ends of their UARTs.

Runs in a worker process, on its main thread, by the rules of :mod:`offchip.engines.renode.host`.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offchip.engines.renode.host import (
    BITS_PER_BYTE,
    FEED_SLICE_NS,
    IDLE_SLICE_NS,
    QUANTUM_US,
    HostError,
    Refused,
    baud_rate,
    import_pyrenode3,
    message_of,
    one_line,
    renode_version,
)

#: (number of the wire, byte, virtual time in ns)
Received = tuple[int, int, int]
_STARTS = ("start", "s")


@dataclass(slots=True)
class _Wire:
    """The far end of one UART; ``line`` holds (byte, earliest virtual time in ns)."""

    machine: Any
    uart: Any
    line: deque[tuple[int, int]] = field(default_factory=deque)
    free_ns: int = 0
    last_ns: int = 0


class MonitorHost:
    """The monitor.

    Args:
        seed: of everything random in Renode.
        log: file for Renode's log.

    Raises:
        HostError: Renode does not load.
    """

    instructions = 0  # nobody asks; part of every answer of a worker

    def __init__(self, seed: int, log: Path) -> None:
        pyrenode3 = import_pyrenode3()
        from Antmicro.Renode.Logging import Logger
        from Antmicro.Renode.Time import TimeInterval
        from pyrenode3.wrappers import Emulation, Monitor

        self._logger, self._interval = Logger, TimeInterval
        self._to_class = pyrenode3.interface_to_class
        self._emulations, self._monitor = Emulation(), Monitor()  # the monitor must exist before any machine
        self._seed, self._log, self._log_read = seed, log, 0
        self._errors: list[str] = []
        self._wires: list[_Wire] = []
        self._received: list[Received] = []
        from Antmicro.Renode.Logging import FileBackend
        from Antmicro.Renode.Utilities import SequencedFilePath
        self._backend = FileBackend(SequencedFilePath(str(log)), True)
        Logger.AddBackend(self._backend, "offchip", True)
        self.version = renode_version()
        self._emulation.SetSeed(seed & 0x7FFFFFFF)

    @property
    def _emulation(self) -> Any:
        return self._emulations.internal  # another object after every clear

    # monitor ---------------------------------------------------------------------------------------------------
    def command(self, line: str) -> str:
        """One monitor command. Raises Refused with the monitor's text."""
        if line.strip() in _STARTS:  # time flows only in run()
            return ""
        return self._answer(*self._monitor.execute(line))

    def script(self, path: str) -> str:
        """A .resc by its absolute path. Raises Refused."""
        return self._answer(*self._monitor.execute_script(path))

    def _answer(self, out: str | None, err: str | None) -> str:
        if self._emulation.IsStarted:  # a start inside a script or a macro
            self._emulation.PauseAll()
        self._check()
        if err and err.strip():
            raise Refused(one_line(err))
        return (out or "").replace("\r", "").strip()

    def clear(self) -> None:
        """Remove every machine and wire."""
        self._wires.clear()
        self._received.clear()
        self._emulations.clear()
        self._emulation.SetSeed(self._seed & 0x7FFFFFFF)

    def close(self) -> None:
        """Let Renode go; the process ends with ``os._exit`` after this."""
        self.clear()
        self._logger.Flush()

    # machines --------------------------------------------------------------------------------------------------
    def _machine(self, name: str | None) -> Any:
        """The .NET machine of that name, or the only one. Raises Refused."""
        if name is not None:
            wrapper = self._emulations.get_mach(name)
            if wrapper is None:
                raise Refused(f'there is no machine "{name}"')
            return wrapper.internal
        machines = [wrapper.internal for wrapper in self._emulations]
        if len(machines) != 1:
            raise Refused(f"there are {len(machines)} machines; say which with machine=NAME")
        return machines[0]

    def _peripheral(self, machine: Any, path: str) -> Any:
        try:
            return self._to_class(machine[path])
        except Exception as error:
            raise Refused(f'the machine has no peripheral "{path}" ({message_of(error)})') from None

    def register(self, cpu: str, number: int | None, machine: str | None) -> int:
        """A core register by number, or the PC."""
        core = self._peripheral(self._machine(machine), cpu)
        try:
            return int((core.PC if number is None else core.GetRegister(number)).RawValue)
        except Exception as error:
            raise Refused(message_of(error)) from None

    # wires -----------------------------------------------------------------------------------------------------
    def attach(self, uart: str, machine: str | None) -> int:
        """Listen to a UART; returns the number of the wire."""
        owner = self._machine(machine)
        wire, number = _Wire(owner, self._peripheral(owner, uart)), len(self._wires)
        if not hasattr(wire.uart, "CharReceived"):
            raise Refused(f"{uart} is no UART")

        def received(value: Any) -> None:
            # as fresh as the last synchronisation of core and clock, never backwards
            wire.last_ns = max(wire.last_ns, int(owner.ElapsedVirtualTime.TimeElapsed.Ticks))
            self._received.append((number, int(value), wire.last_ns))

        wire.uart.CharReceived += self._guard(received)
        self._wires.append(wire)
        return number

    def write(self, number: int, data: bytes, spacing_ns: int) -> None:
        """Queue bytes, each ``spacing_ns`` after the one before; 0: at line rate."""
        wire = self._wires[number]
        due = max(self.now_ns, wire.line[-1][1] if wire.line else 0)
        for value in data:
            due += spacing_ns
            wire.line.append((value, due))

    def _feed(self, duration_ns: int) -> None:
        """Hand over the bytes whose start bit falls into the coming slice."""
        now_ns = self.now_ns
        for wire in self._wires:
            if not wire.line:
                continue
            byte_ns = BITS_PER_BYTE * 1_000_000_000 // baud_rate(wire.uart)
            wire.free_ns = max(wire.free_ns, now_ns)
            while wire.line and max(wire.free_ns, wire.line[0][1]) < now_ns + duration_ns:
                value, due = wire.line.popleft()
                wire.uart.WriteChar(value)
                wire.free_ns = max(wire.free_ns, due) + byte_ns

    # time ------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        return int(self._emulation.MasterTimeSource.ElapsedVirtualTime.Ticks)

    def run(self, duration_ns: int) -> list[Received]:
        """Let virtual time pass in every machine; returns what the UARTs sent."""
        if not any(True for _ in self._emulations):
            raise Refused("there is no machine to run; make one with mach create")
        source = self._emulation.MasterTimeSource
        source.AdvanceImmediately = True
        source.Quantum = self._interval.FromMicroseconds(QUANTUM_US)
        left = duration_ns
        while left > 0:
            duration = min(left, FEED_SLICE_NS if any(w.line for w in self._wires) else IDLE_SLICE_NS)
            self._feed(duration)
            self._emulation.RunFor(self._interval.FromTicks(duration))
            self._check()
            left -= duration
        return self.take()

    def take(self) -> list[Received]:
        """What the UARTs sent in monitor commands, e.g. ``emulation RunFor``."""
        taken, self._received = self._received, []
        return taken

    def log_lines(self) -> list[str]:
        """Whole new lines of Renode's log."""
        self._logger.Flush()
        if not self._log.exists():
            return []
        with self._log.open("rb") as stream:
            stream.seek(self._log_read)
            fresh = stream.read()
        whole = fresh[:fresh.rfind(b"\n") + 1]
        self._log_read += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    # callbacks -------------------------------------------------------------------------------------------------
    def _guard(self, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """An exception in a callback on the CPU's thread would end the process."""
        def guarded(value: Any) -> None:
            try:
                function(value)
            except BaseException:
                self._errors.append(traceback.format_exc(limit=3))
        return guarded

    def _check(self) -> None:
        if self._errors:
            raise HostError("a callback failed: " + one_line(self._errors[0]))
