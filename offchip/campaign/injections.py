# SPDX-License-Identifier: Apache-2.0
"""One fault at every place of a stretch of code: an instruction skipped, a bit of a register or of memory flipped.

The board runs once to the first instruction of the stretch. From there the machine alone is replayed
(:mod:`offchip.engines.embedded.replay`): one step forward, the fault, on to the end of the stretch, back. What lies
outside the chip (modem, broker) stands still meanwhile, so a stretch must not wait for an answer; one that does ends in
``hang``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from offchip.engines.embedded.engine import Arrived, EmbeddedEngine
from offchip.engines.embedded.machine import EmbeddedMachine
from offchip.engines.embedded.replay import Replay
from offchip.engines.protocol import Diagnostic
from offchip.errors import EngineError

Seen = TypeVar("Seen")


class Kind(StrEnum):
    """What is done to the core."""

    SKIP = "skip"
    FLIP = "flip"


class Outcome(StrEnum):
    """What the stretch made of the fault."""

    SAME = "same"  # it ended with the result of the run without a fault
    OTHER = "other"  # it ended with another result
    FAULT = "fault"  # the core took a fault exception
    RESET = "reset"
    LOCKUP = "lockup"
    HANG = "hang"  # the end was not reached within the limit of instructions


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``index``: instructions of the stretch executed before it (those of interrupts count).

    ``register`` and ``mask``: what a flip inverts.
    """

    index: int
    kind: Kind
    register: str = ""
    mask: int = 0

    def __str__(self) -> str:
        what = f" {self.register}^0x{self.mask:X}" if self.register else ""
        return f"{self.kind} at {self.index}{what}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one fault: where it was (``pc``), how it ended, r0 then, and how many instructions it took."""

    fault: Fault
    pc: int
    outcome: Outcome
    value: int
    instructions: int


def arrive(engine: EmbeddedEngine, start: int, perform: Callable[[], None], occurrence: int = 1) -> None:
    """Have the device do something until it is about to execute the instruction at ``start``.

    Raises:
        EngineError: it never comes there.
    """
    engine.machine.injector.stop_before(start, occurrence)
    try:
        perform()
    except Arrived:
        return
    raise EngineError(f"the device never came to 0x{start:08X}; name a place it executes in what it is made to do.")


class Stretch:
    """The code from one instruction to another, on a machine that stands at the first.

    Args:
        engine: whose board was run there by :func:`arrive`.
        end: address of the instruction that ends it; None: where the function at the first one returns to.
        limit: instructions after which a run counts as hung, as a multiple of the run without a fault.
        longest: instructions within which the run without a fault must end.

    Attributes:
        length: instructions of the run without a fault.
        value: r0 at its end.

    Raises:
        EngineError: the end is never reached without a fault.
    """

    def __init__(self, engine: EmbeddedEngine, end: int | None = None, limit: float = 2.0,
                 longest: int = 200_000_000) -> None:
        self._machine = engine.machine
        self._core, self._injector = engine.machine.core, engine.machine.injector
        self._injector.arrived = None
        self._machine.cpu.take_due()
        self.start = self._core.pc
        self.end = self._core.get("lr")[0] & ~1 if end is None else end
        self._injector.forget_stops()
        self._core.end_at(self.end)
        self._first = Replay(self._machine)
        self._replay = Replay(self._machine)
        self._here = 0  # the index of the checkpoint
        self._start_executed = self._executed
        self.length, self.value = 0, 0
        result = self._to_end(longest, longest)
        if result[0] is not Outcome.SAME:
            raise EngineError(f"without a fault 0x{self.start:08X} does not lead to 0x{self.end:08X} within "
                              f"{longest} instructions ({result[0]}); name another end.")
        self.value = result[1]
        self.length = self._executed - self._start_executed
        self._limit = max(1000, round(self.length * limit))
        self._replay.restore()

    def rewind(self) -> None:
        """Back to the first instruction."""
        self._first.restore()
        self._here = 0
        self._replay.save()

    def leave(self) -> None:
        """Back to the first instruction, from which the machine may go on as if nothing had been tried."""
        self.rewind()
        self._core.end_at(None)
        self._injector.arrived = None

    def first_times(self, wanted: Callable[[int], bool] = lambda address: True) -> dict[int, int]:
        """Each wanted address that is executed, and the index at which it is for the first time. Slow."""
        self.rewind()
        found: dict[int, int] = {}
        index = -1

        def seen(address: int) -> None:
            nonlocal index
            index += 1
            found.setdefault(address, index)

        self._core.trace(seen)
        try:
            self._to_end(self.length + 1000, 1000)
        finally:
            self._core.trace(None)
            self._replay.restore()
        return self._exact({address: index for address, index in found.items() if wanted(address)})

    def _exact(self, seen: dict[int, int]) -> dict[int, int]:
        """The tracer may see an instruction twice that an event has cut off; what counts is what the core executes."""
        exact: dict[int, int] = {}
        drift = 0
        for address, index in sorted(seen.items(), key=lambda each: each[1]):
            for more in (0, -1, 1, -2, 2, -3, 3):
                at = index + drift + more
                if 0 <= at < self.length:
                    self.go_to(at)
                    if self._core.pc == address:
                        drift, exact[address] = drift + more, at
                        break
        self.rewind()
        return exact

    # faults ----------------------------------------------------------------------------------------------------------
    def results(self, faults: Iterable[Fault]) -> Iterator[Result]:
        """What becomes of each; fastest when they come in ascending order."""
        for fault in faults:
            self.go_to(fault.index)
            yield self._try(fault)
            self._replay.restore()

    def examine(self, fault: Fault, look: Callable[[EmbeddedMachine], Seen]) -> Seen:
        """What ``look`` makes of the machine at the end of the stretch with this fault."""
        self.go_to(fault.index)
        self._try(fault)
        seen = look(self._machine)
        self._replay.restore()
        return seen

    def go_to(self, index: int) -> None:
        """Stand before the instruction of this index; that is where the machine returns to."""
        if index < self._here:
            self.rewind()
        if index > self._here:
            self._forward(index - self._here)
            self._here = self._executed - self._start_executed  # one more where the core cannot stop in an IT block
            self._replay.save()

    def strike(self, fault: Fault) -> None:
        """Put the fault in here."""
        if fault.kind is Kind.SKIP:
            self._machine.cpu.take_due()
            self._core.skip()
            self._machine.cpu.executed_instructions += 1
            self._machine.clock.advance(1)
        elif fault.register == "pc":
            self._core.pc = self._core.pc ^ fault.mask
        else:
            (before,) = self._core.get(fault.register)
            self._core.set(fault.register, before ^ fault.mask)

    def _try(self, fault: Fault) -> Result:
        if fault.kind is Kind.SKIP:
            self._machine.cpu.take_due()  # the next instruction may be a handler's
        pc, start = self._core.pc, self._executed
        self.strike(fault)
        outcome, value = self._to_end(self._limit, self.length - fault.index + 500)
        if outcome is Outcome.SAME and value != self.value:
            outcome = Outcome.OTHER
        return Result(fault, pc, outcome, value, self._executed - start)

    def _to_end(self, limit: int, usual: int) -> tuple[Outcome, int]:
        """Run on to the end of the stretch, or to what ends it earlier; that is looked for after ``usual`` cycles."""
        machine, injector = self._machine, self._injector
        known, resets = len(machine.diagnostics), machine.resets
        clock = machine.clock
        last = clock.cycles + limit
        injector.arrived = None
        while clock.cycles < last:
            machine.run_until_cycle(min(last, clock.cycles + usual))
            if injector.arrived is not None:
                injector.arrived = None
                return _trouble(machine.diagnostics[known:]) or Outcome.SAME, self._core.get("r0")[0]
            early = self._ended_early(known, resets)
            if early is not None:
                return early, 0
        return Outcome.HANG, 0

    def _ended_early(self, known: int, resets: int) -> Outcome | None:
        machine = self._machine
        if machine.cpu.locked_up:
            return Outcome.LOCKUP
        if machine.resets != resets or not machine.powered:
            return Outcome.RESET
        return _trouble(machine.diagnostics[known:])

    @property
    def _executed(self) -> int:
        return self._machine.cpu.executed_instructions

    def _forward(self, count: int) -> None:
        """Execute so many instructions."""
        machine = self._machine
        last = self._executed + count
        while self._executed < last:  # a core that sleeps lets cycles pass without instructions
            machine.run_until_cycle(machine.clock.cycles + last - self._executed)


def _trouble(new: Sequence[Diagnostic]) -> Outcome | None:
    kinds = {each.kind for each in new}
    return Outcome.LOCKUP if "lockup" in kinds else Outcome.FAULT if "fault" in kinds else None
