# SPDX-License-Identifier: Apache-2.0
"""Many states of flash and media in one board: they part where the device first looks at what differs between them.

A device cannot act on what it has not looked at. So boards that begin with different contents are one run until a unit
is accessed in which they differ; there the process parts into one copy for each content of this unit. What the device
then does to a unit nobody looked at, it does to all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from offchip.board.board import Board
from offchip.campaign.gate import Gate
from offchip.campaign.nonvolatile import BACKUP, UNIT, Base, State, backup_content, differing
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.fork import Branches
from offchip.engines.protocol import Operation as Step
from offchip.engines.protocol import StorageEvent, Tear
from offchip.errors import EngineError

#: what a cut leaves of a step, by name; the first is "nothing of it"
SHAPES: dict[StorageEvent, dict[str, Tear]] = {
    StorageEvent.SD_BLOCK: {
        "not begun": Tear(0), "half programmed, old behind": Tear(-1), "half programmed, erased behind":
        Tear(-1, "erased"), "half programmed, zeros behind": Tear(-1, "zero"), "erased, not written": Tear(0, "erased"),
        "complete": Tear(512)},
    StorageEvent.EEPROM_BYTE: {"in the latch": Tear(0)},
    StorageEvent.EEPROM_PAGE: {
        "not begun": Tear(0), "partly erased": Tear(0, "erasing"), "erased, not written": Tear(0, "erased"),
        "half written": Tear(-1, "erased"), "half written, old behind": Tear(-1), "complete": Tear(1 << 20)},
    StorageEvent.FLASH_WORD: {
        "not begun": Tear(0), "one byte": Tear(1), "half": Tear(2), "three bytes": Tear(3), "complete": Tear(8)},
    StorageEvent.FLASH_ERASE: {
        "not begun": Tear(0), "preprogrammed": Tear(0, "zero"), "half erased, old behind": Tear(-1),
        "half erased, zeros behind": Tear(-1, "zero"), "complete": Tear(1 << 30)},
}


@dataclass(frozen=True, slots=True)
class Point:
    """One cut: in which step of the operation (from 0), and what it leaves."""

    number: int
    event: StorageEvent
    place: str
    shape: str

    def __str__(self) -> str:
        return f"step {self.number} ({self.event} at {self.place}), {self.shape}"


@dataclass(slots=True)
class Trace:
    """The steps of writing of a run, each with the state before it."""

    steps: list[Step] = field(default_factory=list)
    before: list[State] = field(default_factory=list)

    def add(self, step: Step, before: State) -> None:
        self.steps.append(step)
        self.before.append(before)

    def __iter__(self) -> Iterator[tuple[Step, State]]:
        return zip(self.steps, self.before, strict=True)

    def cuts(self, shapes: Collection[str] = (),
             events: Collection[StorageEvent] = ()) -> Iterator[tuple[Point, State]]:
        """Every cut, with the state it leaves; ``shapes``, ``events``: of these torn shapes and kinds of step only."""
        for number, (step, state) in enumerate(self):
            for shape, tear in SHAPES[step.event].items():
                if (not shapes or shape in shapes) and (not events or step.event in events):
                    yield Point(number, step.event, f"{step.memory}+0x{step.offset:X}", shape), state.after(step, tear)


def retraced(state: State, steps: Sequence[Step]) -> Trace:
    """The steps as they go on from a state."""
    trace = Trace()
    for step in steps:
        met = state.meeting(step)
        trace.add(met, state)
        state = state.after(met)
    return trace


@dataclass(slots=True)
class Recovery:
    """What became of a device. ``units``: its state at the decision; ``steps``: what it wrote on the way."""

    verdict: str
    units: dict[tuple[str, int], bytes]
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Ends:
    """How many runs it took, by ``State.key`` what they came to, and what is known by now of who passes the gate."""

    runs: int
    recoveries: dict[bytes, Recovery]
    known: dict[bytes, str]


class Crowd:
    """These states, in a board that holds ``base`` and was just powered.

    Args:
        branches: every copy ends in its :meth:`Branches.answer` with what :meth:`end` returned there.
        gate: what devices came to that went through it before.
    """

    def __init__(self, board: Board, base: Base, states: Sequence[State], branches: Branches, gate: Gate) -> None:
        self._board, self._base, self._branches = board, base, branches
        self._gate = gate
        self._engine = engine_of(board)
        self._states = {state.key: state for state in states}
        #: of each state that is still in this copy: the units nobody has looked at yet
        self._unseen = {state.key: dict(state.units) for state in states}
        self._held = State(base, {})
        self._steps: list[Step] = []
        self._runs, self._parted = 1, 0
        self._done: dict[bytes, Recovery] = {}
        self._engine.before_touch(differing(states), lambda memory, cells: self._part((memory, cells.start // UNIT)))
        self._engine.fault_injector().watch_storage(self._write)

    def end(self, decide: Callable[[], str], examine: Callable[[str], str]) -> Ends:
        """Have the device come to its decision; ``examine`` judges it by what the board then holds, for each state that
        is still here."""
        decision = self._gate.decide(self._engine, decide, lambda: (len(self._steps), self._parted))
        self._engine.before_touch({}, lambda memory, cells: None)
        self._engine.fault_injector().watch_storage(None)
        backup = backup_content(self._board)
        verdicts: dict[bytes, str] = {}
        self._held.take_back(self._board)
        for key in self._unseen:
            trace = retraced(self._states[key], self._steps)
            final = trace.before[-1].after(trace.steps[-1]) if trace.steps else self._states[key]
            if final.key not in verdicts:
                final.apply(self._board)
                verdicts[final.key] = examine(decision)
                final.take_back(self._board)
            self._done[key] = Recovery(verdicts[final.key], dict(final.put(BACKUP, 0, backup).units), trace.steps)
        return Ends(self._runs, self._done, self._gate.known)

    def _part(self, unit: tuple[str, int]) -> None:
        """The device is about to look at this unit for the first time."""
        self._parted += 1
        groups: dict[bytes | None, list[bytes]] = {}
        for key, units in self._unseen.items():
            groups.setdefault(units.get(unit), []).append(key)
        staying = None if None in groups else next(iter(groups))
        for content, keys in groups.items():
            if content == staying:
                continue
            child, answer = self._branches.split()
            if child:
                self._runs, self._done = 1, {}
                self._go_on(keys, unit, content)
                return
            assert isinstance(answer, Ends)
            self._runs += answer.runs
            self._done |= answer.recoveries
            self._gate.known |= answer.known
        self._go_on(groups[staying], unit, staying)

    def _go_on(self, keys: Collection[bytes], unit: tuple[str, int], content: bytes | None) -> None:
        """In this copy, with these: all of them hold ``content`` there (None: what the board holds)."""
        self._unseen = {key: self._unseen[key] for key in keys}
        for units in self._unseen.values():
            units.pop(unit, None)
        if content is not None:
            here = State(self._base, {unit: content})
            here.apply(self._board)
            self._held = self._held.put(unit[0], unit[1] * UNIT, content)

    def _write(self, step: Step) -> None:
        units = [(step.memory, number) for number in
                 range(step.offset // UNIT, (step.offset + len(step.intended) - 1) // UNIT + 1)]
        if step.event is StorageEvent.FLASH_ERASE:  # whatever was there
            for each in self._unseen.values():
                for unit in units:
                    each.pop(unit, None)
        elif any(unit in each for each in self._unseen.values() for unit in units):
            for unit in units:
                self._part(unit)
        self._steps.append(step)
        self._held = self._held.after(self._held.meeting(step))


def engine_of(board: Board) -> EmbeddedEngine:
    """The engine, if its board can be forked. Raises EngineError."""
    if not isinstance(board.engine, EmbeddedEngine):
        raise EngineError(f"campaigns need an engine that can be forked (--engine embedded), not "
                          f"{board.engine.capabilities.name}")
    return board.engine
