# SPDX-License-Identifier: Apache-2.0
"""Renode's monitor without a board of ours: whatever machines its commands make, and the far ends of their UARTs.

Runs in a worker process, on its main thread, by the rules of :mod:`offchip.engines.renode.host`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from offchip.engines.renode import models, phrases
from offchip.engines.renode.dotnet import Answer, Callbacks, DotNet, Refused, message_of, namespace
from offchip.engines.renode.host import BITS_PER_BYTE, FEED_SLICE_NS, IDLE_SLICE_NS, QUANTUM_US, baud_rate
from offchip.paths import BOARD

#: (number of the wire, byte, virtual time in ns)
Received = tuple[int, int, int]
_STARTS = ("start", "s")
_RUN_FOR = re.compile(r"""^\s*emulation\s+RunFor\s+(["']?)(?:(?P<h>\d+):(?P<m>\d+):)?(?P<s>\d+(?:\.\d*)?)\1\s*$""")


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
        self._net = DotNet(log)
        self._callbacks = Callbacks()
        self._seed = seed
        self._wires: list[_Wire] = []
        self._received: list[Received] = []
        self.version = self._net.version
        # with the models of this lab's boards, which a script will most likely include
        self._stepper_class = models.load(self._net, BOARD)
        self._stepper: Any = None
        self._stepped: tuple[Any, ...] | None = None
        self._emulation.SetSeed(seed & 0x7FFFFFFF)
        self._hold_start()

    @property
    def _emulation(self) -> Any:
        return self._net.emulation  # another object after every clear

    # monitor ---------------------------------------------------------------------------------------------------
    def command(self, line: str) -> Answer:
        """One monitor command. Raises HostError when a callback failed meanwhile."""
        if line.strip() in _STARTS:  # time flows only in run()
            return Answer(True, "", "")
        span_ns = _span_of_run_for(line)
        if span_ns is not None:  # Renode's own would never come back once a hook or an aborted core pauses the machine
            return self._run_for(span_ns)
        self._rest()
        return self._answer(self._net.parse(line))

    def script(self, path: str) -> Answer:
        """A .resc by its absolute path; as :meth:`command`."""
        self._rest()
        return self._answer(self._net.run_script(path))

    def _answer(self, answer: Answer) -> Answer:
        if self._emulation.IsStarted:  # by a hook, or where "start" could not be held
            self._emulation.PauseAll()
        if not self.machines():  # perhaps the emulation was cleared, and aliases with it
            self._hold_start()
        self._callbacks.check()
        return answer

    def _hold_start(self) -> None:
        """``start`` inside a script or a macro lets no time pass: how much would depend on the host."""
        monitor = self._net.monitor
        own = next((each for each in monitor.RegisteredCommands if each.Name == "start"), None)
        if own is not None:
            monitor.UnregisterCommand(own)
        held = [self._net.parse(f'alias {name} "$offchip_started=1"') for name in _STARTS] + [self._net.parse("start")]
        if own is not None and not all(answer.done and not answer.complaint for answer in held):
            monitor.RegisterCommand(own)

    def _run_for(self, span_ns: int) -> Answer:
        try:
            self._pass(span_ns)
        except Refused as refused:
            return Answer(False, "", str(refused))
        return Answer(True, "", "")

    def clear(self) -> None:
        """Remove every machine and wire."""
        self._rest()
        self._wires.clear()
        self._received.clear()
        self._net.emulations.clear()
        self._emulation.SetSeed(self._seed & 0x7FFFFFFF)
        self._hold_start()

    def close(self) -> None:
        """Let Renode go; the process ends with ``os._exit`` after this."""
        self.clear()

    # machines --------------------------------------------------------------------------------------------------
    def machines(self) -> list[str]:
        """Their names."""
        return [str(name) for name in self._emulation.Names]

    def _machine(self, name: str | None) -> Any:
        """The .NET machine of that name, or the only one. Raises Refused."""
        if name is not None:
            wrapper = self._net.emulations.get_mach(name) if name in self.machines() else None
            if wrapper is None:
                raise Refused(phrases.no_machine_of_that_name(name, self.machines()))
            return wrapper.internal
        machines = [wrapper.internal for wrapper in self._net.emulations]
        if len(machines) != 1:
            raise Refused(phrases.which_machine(self.machines()))
        return machines[0]

    def register(self, cpu: str, register: int | str | None, machine: str | None) -> int:
        """A core register by number or name; None: the PC. Raises Refused."""
        core = self._net.peripheral(self._machine(machine), cpu)
        try:
            if isinstance(register, str):
                by_name = namespace("Antmicro.Renode.Peripherals.CPU").ICPUWithRegistersExtensions.GetRegisterUlong
                return int(by_name(core, register))
            return int((core.PC if register is None else core.GetRegister(register)).RawValue)
        except Exception as error:
            raise Refused(message_of(error)) from None

    # wires -----------------------------------------------------------------------------------------------------
    def attach(self, uart: str, machine: str | None) -> int:
        """Listen to a UART; returns the number of the wire, the same one for the same UART. Raises Refused."""
        owner = self._machine(machine)
        try:
            part = self._net.peripheral(owner, uart)
        except Refused:
            part = None
        if not hasattr(part, "CharReceived"):
            raise Refused(phrases.no_uart(machine or "", uart, [str(name) for name in owner.GetAllNames()]))
        for number, known in enumerate(self._wires):
            if known.uart == part:
                return number
        wire, number = _Wire(owner, part), len(self._wires)

        def received(value: Any) -> None:
            # as fresh as the last synchronisation of core and clock, never backwards
            wire.last_ns = max(wire.last_ns, int(owner.ElapsedVirtualTime.TimeElapsed.Ticks))
            self._received.append((number, int(value), wire.last_ns))

        wire.uart.CharReceived += self._callbacks.guard(received)
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
        """Let virtual time pass in every machine; returns what the UARTs sent.

        Raises:
            Refused: there is no machine, or one was paused from inside, by a hook for instance; nothing else is lost.
        """
        self._pass(duration_ns)
        return self.take()

    def _pass(self, duration_ns: int) -> None:
        machines = [wrapper.internal for wrapper in self._net.emulations]
        if not machines:
            raise Refused("there is no machine to run; make one with mach create")
        advance = self._advance_by_steps(machines) or self._advance_by_run_for
        left = duration_ns
        while left > 0:
            duration = min(left, FEED_SLICE_NS if any(w.line for w in self._wires) else IDLE_SLICE_NS)
            self._feed(duration)
            advance(duration)
            self._callbacks.check()
            left -= duration

    def _advance_by_steps(self, machines: list[Any]) -> Callable[[int], None] | None:
        """The way for one machine with one core, as nearly all have; None for the others."""
        cores = [*machines[0].SystemBus.GetCPUs()] if len(machines) == 1 else []
        if len(cores) != 1:
            self._rest()
            return None
        wanted = (self._emulation, machines[0], cores[0])
        if wanted != self._stepped:
            self._rest()
            try:
                self._stepper = self._stepper_class(*wanted[:2], self._net.to_class(cores[0]), QUANTUM_US * 1000)
            except TypeError:  # a core that is none of Renode's own
                return None
            self._stepped = wanted
        return self._step

    def _step(self, duration_ns: int) -> None:
        self._stepper.Run(duration_ns, duration_ns)
        if self._stepper.Paused:
            raise Refused(f"a hook or a model paused the emulation at {self.now_ns / 1e9:.9f} s of virtual time")

    def _advance_by_run_for(self, duration_ns: int) -> None:
        source = self._emulation.MasterTimeSource
        source.AdvanceImmediately = True
        source.Quantum = self._net.interval.FromMicroseconds(QUANTUM_US)
        self._emulation.RunFor(self._net.interval.FromTicks(duration_ns))

    def _rest(self) -> None:
        """Whatever may change a machine finds it as after ``RunFor``."""
        if self._stepper is not None:
            self._stepper.Stop()

    def take(self) -> list[Received]:
        """What the UARTs sent in monitor commands, e.g. ``emulation RunFor``."""
        taken, self._received = self._received, []
        return taken

    def log_lines(self) -> list[str]:
        """Whole new lines of Renode's log."""
        return self._net.log.fresh()


def _span_of_run_for(line: str) -> int | None:
    """Virtual time in ns of a plain ``emulation RunFor``; None for every other command."""
    found = _RUN_FOR.match(line)
    if found is None:
        return None
    whole_s = Decimal(found["s"]) + 60 * int(found["m"] or 0) + 3600 * int(found["h"] or 0)
    return int(whole_s * 1_000_000_000)
