# SPDX-License-Identifier: Apache-2.0
"""Many states of flash and media in one board: they part where the device first looks at what differs between them.

A device cannot act on what it has not looked at. So boards that begin with different contents are one run until a cell
is accessed in which they differ; there the process parts into one copy for each content of this cell. What the device
then does to a cell nobody looked at, it does to all of them alike. Those that come together again go on as one
(:mod:`offchip.campaign.joining`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from offchip import chip_map
from offchip.board.board import Board
from offchip.campaign.gate import Gate
from offchip.campaign.joining import Diary, Mark, Story
from offchip.campaign.nonvolatile import BACKUP, CELL, Base, Cell, State, backup_content, cells_of, place, write
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.fingerprint import Fingerprint
from offchip.engines.fork import Branches
from offchip.engines.protocol import Operation as Step
from offchip.engines.protocol import StorageEvent, Tear
from offchip.errors import EngineError

#: after they have parted, so often it is looked whether runs have come together, and so many marks are remembered
_MARKS, _KEPT_MARKS = 3, 6
_CCM = range(chip_map.CCM.start, chip_map.CCM.start + chip_map.CCM.size)
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
    """What became of a device. ``units``: its state at the decision; ``steps``: what it wrote on the way, if that was
    wanted; ``joined``: it was not run to its end, as another one went the same way."""

    verdict: str
    units: dict[tuple[str, int], bytes]
    steps: list[Step]
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Ends:
    """How many runs went to their end, by ``State.key`` what they came to, how they went, what is known by now of who
    passes the gate, and how decisions were judged."""

    runs: int
    recoveries: dict[bytes, Recovery]
    stories: list[Story]
    known: dict[bytes, str]
    verdicts: dict[tuple[bytes, str], str]


@dataclass(frozen=True, slots=True)
class _End:
    steps: list[Step]
    decision: str
    backup: bytes
    joined: bool


class Crowd:
    """These states, in a board that holds ``base`` and was just powered.

    Args:
        branches: every copy ends in its :meth:`Branches.answer` with what :meth:`end` returned there, or would have.
        gate: what devices came to that went through it before.
        examine: judges a decision by what flash and media then hold.
        join: whether that is all it looks at; then runs may be joined.
        keep_steps: whether the recoveries are to tell what was written.
    """

    def __init__(self, board: Board, base: Base, states: Sequence[State], branches: Branches, gate: Gate,
                 examine: Callable[[str], str], join: bool = True, keep_steps: bool = True) -> None:
        self._board, self._base, self._branches = board, base, branches
        self._gate, self._examine, self._join, self._keep_steps = gate, examine, join, keep_steps
        self._engine = engine_of(board)
        self._states = {state.key: state for state in states}
        #: of each state that is still in this copy: the cells nobody has looked at yet; and the other way round
        self._unseen = {state.key: state.cells({}) for state in states}
        self._holders = _holders(self._unseen)
        self._watched = frozenset(self._holders)
        self._held = State(base, {})
        self._steps: list[Step] = []
        self._runs, self._parted = 1, 0
        self._ends: dict[bytes, _End] = {}
        self._done: dict[bytes, Recovery] = {}
        self._fingerprint = Fingerprint(self._engine.machine)
        self._start = len(board.said_to_modem), len(board.said_by_modem), len(board.console.lines)
        self._diary, self._marks_left = Diary(), 0
        self._verdicts: dict[tuple[bytes, str], str] = {}  # by what was kept at the end and how the device decided
        self._stories: list[Story] = []
        self._known: dict[bytes, list[tuple[Story, Mark]]] = {}
        self._watch()
        self._engine.fault_injector().watch_storage(self._write)

    def end(self, decide: Callable[[], str]) -> Ends:
        """Have the device come to its decision, and judge it for each state that is still here."""
        decision = self._gate.decide(self._engine, decide, lambda: (len(self._steps), self._parted))
        backup = backup_content(self._board)
        self._ends |= {key: _End(self._steps, decision, backup, False) for key in self._unseen}
        if self._diary.marks:
            self._take_in([self._diary.story(self._steps, decision, backup)])
        return self._judged()

    def _judged(self) -> Ends:
        self._engine.before_touch({}, lambda memory, cells: None)
        self._engine.fault_injector().watch_storage(None)
        self._held.take_back(self._board)
        verdicts = self._verdicts
        for key, end in self._ends.items():
            trace = retraced(self._states[key], end.steps)
            final = trace.before[-1].after(trace.steps[-1]) if trace.steps else self._states[key]
            if (final.key, end.decision) not in verdicts:
                final.apply(self._board)
                verdicts[final.key, end.decision] = self._examine(end.decision)
                final.take_back(self._board)
            self._done[key] = Recovery(verdicts[final.key, end.decision], dict(final.put(BACKUP, 0, end.backup).units),
                                       trace.steps if self._keep_steps else [], end.joined)
        return Ends(self._runs, self._done, self._stories, self._gate.known, verdicts)

    # they part -------------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        ranges: dict[str, list[range]] = {}
        for cell in sorted(self._watched):
            ranges.setdefault(cell[0], []).append(place(cell))
        self._engine.before_touch(ranges, lambda memory, cells: self._look((memory, cells.start // CELL[memory])))

    def _look(self, cell: Cell) -> None:
        """The device is about to look at this cell."""
        if cell in self._holders:
            self._part(cell)
        self._diary.looked(cell, self._held.read(cell[0], place(cell).start, CELL[cell[0]]))

    def _part(self, cell: Cell) -> None:
        self._parted += 1
        groups: dict[bytes | None, list[bytes]] = {}
        for key, held in self._holders[cell].items():
            groups.setdefault(held, []).append(key)
        rest = self._unseen.keys() - self._holders[cell].keys()
        if rest:
            groups[None] = list(rest)
        staying: bytes | None = None if rest else next(iter(groups))
        if len(groups) > 1:
            self._marks_left = _MARKS
        for content in [each for each in groups if each != staying]:
            child, answer = self._branches.split()
            if child:
                self._runs, self._done, self._ends, self._stories = 1, {}, {}, []
                self._go_on(groups[content], cell, content)
                return
            assert isinstance(answer, Ends)
            self._runs += answer.runs
            self._done |= answer.recoveries
            self._gate.known |= answer.known
            self._verdicts |= answer.verdicts
            self._take_in(answer.stories)
        self._go_on(groups[staying], cell, staying)

    def _go_on(self, keys: Collection[bytes], cell: Cell, content: bytes | None) -> None:
        """In this copy, with these: all of them hold ``content`` there (None: what the board holds)."""
        if len(keys) < len(self._unseen):
            self._unseen = {key: self._unseen[key] for key in keys}
            self._holders = _holders(self._unseen)
        self._forget(cell)
        if content is not None:
            write(self._board, cell[0], place(cell).start, content)
            self._held = self._held.put(cell[0], place(cell).start, content)

    def _forget(self, cell: Cell) -> None:
        """Nobody differs there any longer."""
        for key in self._holders.pop(cell, {}):
            del self._unseen[key][cell]

    def _write(self, step: Step) -> None:
        if step.event is not StorageEvent.EEPROM_BYTE and self._marks_left and self._unseen:
            self._mark()
        cells = [(step.memory, number) for number in cells_of(step.memory, step.offset, len(step.intended))]
        if step.event is StorageEvent.FLASH_ERASE:  # whatever was there
            for cell in cells:
                self._forget(cell)
            self._diary.overwritten(step.memory, step.offset, len(step.intended))
        else:
            for cell in cells:
                self._look(cell)
        self._steps.append(step)
        self._held = self._held.after(self._held.meeting(step))

    # they come together ----------------------------------------------------------------------------------------------
    def _mark(self) -> None:
        """Before something is written: has anybody been in this state of the machine before?"""
        board = self._board
        if not self._join or len(board.said_to_modem) != self._start[0]:
            return
        self._marks_left -= 1
        (stack,) = self._engine.machine.core.get("sp")
        # the stack lies at the bottom of CCM and grows down: what is below its pointer is written before it is read
        dead = range(chip_map.CCM.start, stack if stack in _CCM else chip_map.CCM.start)
        outside = board.said_by_modem[self._start[1]:], board.console.lines[self._start[2]:], backup_content(board)
        fingerprint = hashlib.blake2b(self._fingerprint.of(dead) + repr(outside).encode(), digest_size=20).digest()
        self._follow(self._known.get(fingerprint, []))
        if not self._unseen and self._branches.in_child:
            self._runs -= 1
            self._branches.answer(self._judged())
        self._diary.mark(fingerprint, len(self._steps), self._held.units, _KEPT_MARKS)
        self._engine.before_touch_again()
        self._engine.machine.core.stop_soon()  # the watch begins with the next slice

    def _follow(self, known: list[tuple[Story, Mark]]) -> None:
        for key in list(self._unseen) if known else ():
            state = self._held.overlaid(self._unseen[key])
            found = next(((story, mark) for story, mark in known if story.fits(mark, state, self._watched)), None)
            if found is None:
                continue
            story, mark = found
            self._ends[key] = _End(self._steps + story.steps[mark.steps:], story.decision, story.backup, True)
            for cell in self._unseen.pop(key):
                del self._holders[cell][key]
                if not self._holders[cell]:
                    del self._holders[cell]

    def _take_in(self, stories: list[Story]) -> None:
        self._stories += stories
        for story in stories:
            story.settle(self._base)
            for mark in story.marks:
                self._known.setdefault(mark.fingerprint, []).append((story, mark))


def _holders(unseen: dict[bytes, dict[Cell, bytes]]) -> dict[Cell, dict[bytes, bytes]]:
    """Cell -> state -> what it holds there."""
    found: dict[Cell, dict[bytes, bytes]] = {}
    for key, cells in unseen.items():
        for cell, content in cells.items():
            found.setdefault(cell, {})[key] = content
    return found


def engine_of(board: Board) -> EmbeddedEngine:
    """The engine, if its board can be forked. Raises EngineError."""
    if not isinstance(board.engine, EmbeddedEngine):
        raise EngineError(f"campaigns need an engine that can be forked (--engine embedded), not "
                          f"{board.engine.capabilities.name}")
    return board.engine
