# SPDX-License-Identifier: Apache-2.0
"""Every power cut of an operation, and every second cut while the device recovers from the first.

The supply takes RAM and registers with it: two cuts that leave the same flash, media and backup domain are one case. So
the operation runs once; at each step of writing the state each cut would leave is computed, and each state that was not
met before is put into a copy of the board, which is powered and judged. Nothing is believed for being computed: a
sample of the points, pruned ones among them, is really cut in a copy of the running board, and must agree byte for byte
in what the cut left, in the end of the recovery and in its verdict; otherwise the tool has failed, not the firmware.

A recovery begins in a copy of a board that boots from the state before the operation, at its first access to anything
in which the two states differ: until there both behave alike.

Torn shapes are models: half-programmed block, page partly erased, erased and not yet written, flash erase that stopped
half-way or after its preprogramming. None was measured on these parts.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from offchip.board.board import Board
from offchip.campaign.nonvolatile import BACKUP, UNIT, Base, State, backup_content, capture, differing
from offchip.campaign.operations import NEW, OLD, Operation, connects
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.fork import Branches, forked, forked_all
from offchip.engines.protocol import Operation as Step
from offchip.engines.protocol import StorageEvent, Tear
from offchip.errors import EngineError, OffchipError
from offchip.scene.scene import Device

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
COMPLETE = "complete"
#: the random generator's stream from the moment the supply is back, the same in every copy
_RECOVERY_SEED = 0x0FF
_CHILD_LIMIT_S = 3600.0


class ToolFailed(OffchipError):
    """What was computed is not what really happens: nothing this tool says may be believed."""


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

    def cuts(self, shapes: Collection[str] = ()) -> Iterator[tuple[Point, State]]:
        """Every cut, with the state it leaves; ``shapes``: of these torn shapes only."""
        for number, (step, state) in enumerate(zip(self.steps, self.before, strict=True)):
            for shape, tear in SHAPES[step.event].items():
                if not shapes or shape in shapes:
                    yield _point(number, step, shape), state.after(step, tear)

    @property
    def path(self) -> tuple[tuple[StorageEvent, str, int], ...]:
        """Where was written, in order: recoveries of one path do the same."""
        return tuple((step.event, step.memory, step.offset) for step in self.steps)


@dataclass(slots=True)
class Recovery:
    """What became of a device. ``units``: its state at the decision; ``trace``: what it wrote on the way."""

    verdict: str
    units: dict[tuple[str, int], bytes]
    steps: list[Step]


@dataclass(slots=True)
class Case:
    """One distinct state a cut may leave."""

    state: State
    points: list[Point]
    recovery: Recovery | None = None
    first: Case | None = None  # for a second cut: the one it recovered from

    @property
    def verdict(self) -> str:
        return self.recovery.verdict if self.recovery else "not run"

    def story(self) -> str:
        before = f"{self.first.points[0]}; then " if self.first else ""
        return f"{before}{self.points[0]}"


@dataclass(slots=True)
class Report:
    """What came out."""

    operation: str
    good_ends: tuple[str, ...] = ()
    steps: Counter[str] = field(default_factory=Counter)
    first: list[Case] = field(default_factory=list)
    second: list[Case] = field(default_factory=list)
    paths: int = 0
    second_from: int = 0  # first cuts whose recoveries were cut again
    checked: int = 0
    connected: int = 0
    failures: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def points(self) -> int:
        return sum(len(case.points) for case in (*self.first, *self.second))

    @property
    def rate(self) -> float:
        """Cuts per second of one core."""
        return self.points / self.cpu_s if self.cpu_s else 0.0

    @property
    def good(self) -> bool:
        return not self.failures and not self.lost

    @property
    def lost(self) -> list[Case]:
        """The cases that do not end as they may."""
        return [case for case in (*self.first, *self.second) if case.verdict not in self.good_ends]


class Cuts:
    """The campaign over one operation.

    Args:
        operation: what is cut.
        workers: processes at a time.
        check_every: each so-manieth point is really cut (1: all).
        second: ``paths``: second cuts in one recovery of each path; ``all``: in every one; ``none``.
        connect: ``classes``: one device of each verdict and shape of step goes on to its next publish; ``all``: one of
            each distinct final state; ``none``.
        say: told what is being done.
        shapes: only these torn shapes (:data:`SHAPES`); none: all.
    """

    def __init__(self, operation: Operation, workers: int = 1, check_every: int = 10, second: str = "paths",
                 connect: str = "classes", say: Callable[[str], None] = lambda text: None,
                 shapes: Collection[str] = ()) -> None:
        self._operation = operation
        self._workers = workers
        self._check_every = max(1, check_every)
        self._second, self._connect = second, connect
        self._say = say
        self._shapes = shapes

    def run(self) -> Report:
        """Raises ToolFailed when a computed state is not what really happens; OffchipError."""
        begin = _cpu_s()
        device = self._operation.build()
        try:
            base = Base(device.board)
            trace = self._golden(device, base)
            steps = Counter(str(step.event) for step in trace.steps)
            report = Report(self._operation.name, self._operation.good, steps)
            report.first = _distinct(trace.cuts(self._shapes))
            self._say(f"{report.points} cuts, {len(report.first)} distinct states")
            self._recover(device, base, report.first)
            self._second_cuts(device, base, report)
            self._check(device, base, report, trace)
            _judge_order(report, trace)
        finally:
            device.board.close()
        report.cpu_s = _cpu_s() - begin
        return report

    # the operation, uncut ------------------------------------------------------------------------------------------
    def _golden(self, device: Device, base: Base) -> Trace:
        def run() -> list[tuple[Step, dict[tuple[str, int], bytes]]]:
            tracker = _Tracker(device.board, base)
            self._operation.perform(device)
            if tracker.state.key != capture(device.board, base).key:
                raise ToolFailed("the steps of writing do not add up to what flash and media hold after them.")
            return [(step, dict(state.units)) for step, state in tracker.seen]

        self._say("the operation, uncut")
        seen = forked(run, _CHILD_LIMIT_S)
        return Trace([step for step, _ in seen], [State(base, units) for _, units in seen])

    # recoveries ------------------------------------------------------------------------------------------------------
    def _recover(self, device: Device, base: Base, cases: Sequence[Case]) -> None:
        """Run the recovery of each case, from a warm board."""
        if any(memory == BACKUP for case in cases for memory, _ in case.state.units):
            raise EngineError("the operation writes to the backup domain; cuts of such a one are not implemented.")
        parts = [cases[start::self._workers] for start in range(min(self._workers, len(cases)))]
        tasks = [partial(self._serve, device, base, [case.state for case in part]) for part in parts]
        for part, recoveries in zip(parts, forked_all(tasks, self._workers, _CHILD_LIMIT_S), strict=True):
            for case, recovery in zip(part, recoveries, strict=True):
                case.recovery = recovery

    def _serve(self, device: Device, base: Base, states: Sequence[State]) -> list[Recovery]:
        """In a process of its own: boot to where the states begin to matter, and let a copy go on from each."""
        engine = engine_of(device.board)
        branches = Branches()
        done: dict[bytes, Recovery] = {}
        waiting = {state.key: state for state in states}
        mine: list[_Tracker] = []

        def begins_to_matter(memory: str, cells: range) -> None:
            """Whatever differs there went the way of the base until now."""
            for state in [each for each in waiting.values() if (memory, cells.start // UNIT) in each.units]:
                child, answer = branches.split()
                if child:
                    engine.before_touch({}, begins_to_matter)
                    state.apply(device.board)
                    mine.append(_Tracker(device.board, base, state))
                    return
                assert isinstance(answer, Recovery)
                done[state.key] = answer
                del waiting[state.key]

        with branches.kept_apart():
            self._warm_up(device, base)
            self._power_cycle(device)
            engine.before_touch(differing(states), begins_to_matter)
            tracker = _Tracker(device.board, base)
            verdict = self._operation.recover(device)
            tracker = mine[0] if mine else tracker
            recovery = Recovery(verdict, dict(tracker.state.units), [step for step, _ in tracker.seen])
            if mine:
                branches.answer(recovery)
        # whatever nobody looked at changed nothing on the way; it is there at the end
        for state in waiting.values():
            done[state.key] = Recovery(verdict, {**state.units, **recovery.units}, recovery.steps)
        return [done[state.key] for state in states]

    def _power_cycle(self, device: Device) -> None:
        """Supply off, if it is on, and on again; the random generator begins as in every recovery."""
        if device.board.powered:
            device.board.power_off()
        engine_of(device.board).restart_random(_RECOVERY_SEED)
        self._operation.power_up(device)

    def _warm_up(self, device: Device, base: Base) -> None:
        """Recover once and take it back: the copies find the code translated."""
        self._power_cycle(device)
        tracker = _Tracker(device.board, base)
        self._operation.recover(device)
        tracker.state.take_back(device.board)

    # second cuts -----------------------------------------------------------------------------------------------------
    def _second_cuts(self, device: Device, base: Base, report: Report) -> None:
        known = {case.state.key for case in report.first}
        paths: dict[object, Case] = {}
        for case in report.first:
            assert case.recovery is not None
            path = tuple((step.event, step.memory, step.offset) for step in case.recovery.steps)
            paths.setdefault(path if self._second == "paths" else case.state.key, case)
        report.paths = len({tuple((s.event, s.memory, s.offset) for s in case.recovery.steps)
                            for case in report.first if case.recovery})
        if self._second == "none":
            return
        for case in paths.values():
            assert case.recovery is not None
            if not case.recovery.steps:
                continue
            report.second_from += 1
            trace = _replay(case.state, case.recovery.steps)
            for found in _distinct(trace.cuts(self._shapes)):
                if found.state.key not in known:
                    known.add(found.state.key)
                    found.first = case
                    report.second.append(found)
        self._say(f"{len(report.second)} states of second cuts")
        self._recover(device, base, report.second)

    # the tool's own proof ------------------------------------------------------------------------------------------
    def _check(self, device: Device, base: Base, report: Report, trace: Trace) -> None:
        """Really cut a sample of the points, and compare; some of the devices go on to their next publish."""
        by_point = {(point.number, point.shape): case for case in report.first for point in case.points}
        chosen = [key for count, key in enumerate(by_point) if count % self._check_every == 0]
        to_connect = self._to_connect(report)
        keys = sorted({*chosen, *to_connect})
        self._say(f"{len(keys)} real cuts, {len(to_connect)} of them on to the next publish")
        parts = [keys[start::self._workers] for start in range(min(self._workers, len(keys)))]
        tasks = [partial(self._cut_really, device, base, part, to_connect) for part in parts]
        for part, outcomes in zip(parts, forked_all(tasks, self._workers, _CHILD_LIMIT_S), strict=True):
            for key, outcome in zip(part, outcomes, strict=True):
                case = by_point[key]
                assert case.recovery is not None
                _compare(case, outcome)
                report.checked += 1
                if outcome.connected is not None:
                    report.connected += 1
                    if not outcome.connected:
                        report.failures.append(f"{case.story()}: ends in {case.verdict}, but does not connect again")

    def _to_connect(self, report: Report) -> set[tuple[int, str]]:
        if self._connect == "none" or not self._operation.connects_again:
            return set()
        seen: dict[object, tuple[int, str]] = {}
        for case in report.first:
            assert case.recovery is not None
            point = case.points[0]
            final = State(case.state.base, case.recovery.units).key
            kind = final if self._connect == "all" else (case.verdict, point.event)
            seen.setdefault(kind, (point.number, point.shape))
        return set(seen.values())

    def _cut_really(self, device: Device, base: Base, keys: Sequence[tuple[int, str]],
                    to_connect: set[tuple[int, str]]) -> list[_Outcome]:
        branches = Branches()
        outcomes: list[_Outcome] = []
        waiting = list(keys)
        count = [-1]
        mine: list[tuple[int, str]] = []

        def step_begins(step: Step) -> Tear | None:
            count[0] += 1
            while waiting and waiting[0][0] == count[0] and not mine:
                key = waiting.pop(0)
                child, answer = branches.split()
                if child:
                    mine.append(key)
                    return SHAPES[step.event][key[1]]
                assert isinstance(answer, _Outcome)
                outcomes.append(answer)
            return None

        with branches.kept_apart():
            injector = engine_of(device.board).fault_injector()
            injector.watch_storage(step_begins)
            self._operation.perform(device)
            if mine:
                injector.watch_storage(None)
                left = capture(device.board, base)
                self._power_cycle(device)
                verdict = self._operation.recover(device)
                final = capture(device.board, base)
                connected = connects(device) if mine[0] in to_connect else None
                branches.answer(_Outcome(left.key, verdict, final.key, connected))
        return outcomes


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A real cut: what it left, what became of the device, what it held then, whether it published (None: untried)."""

    left: bytes
    verdict: str
    final: bytes
    connected: bool | None


class _Tracker:
    """Told each step of writing; keeps the state before each and the one now."""

    def __init__(self, board: Board, base: Base, state: State | None = None) -> None:
        self._board = board
        self.state = state or State(base, {})
        self.seen: list[tuple[Step, State]] = []
        engine_of(board).fault_injector().watch_storage(self)

    def __call__(self, step: Step) -> None:
        now = self.state.put(BACKUP, 0, backup_content(self._board))
        self.seen.append((step, now))
        self.state = now.after(step)


def engine_of(board: Board) -> EmbeddedEngine:
    """The engine, if its board can be forked. Raises EngineError."""
    if not isinstance(board.engine, EmbeddedEngine):
        raise EngineError(f"campaigns need an engine that can be forked (--engine embedded), not "
                          f"{board.engine.capabilities.name}")
    return board.engine


def _point(number: int, step: Step, shape: str) -> Point:
    return Point(number, step.event, f"{step.memory}+0x{step.offset:X}", shape)


def _distinct(cuts: Iterable[tuple[Point, State]]) -> list[Case]:
    cases: dict[bytes, Case] = {}
    for point, state in cuts:
        cases.setdefault(state.key, Case(state, [])).points.append(point)
    return list(cases.values())


def _replay(state: State, steps: Sequence[Step]) -> Trace:
    trace = Trace()
    for step in steps:
        trace.steps.append(step)
        trace.before.append(state)
        state = state.after(step)
    return trace


def _compare(case: Case, outcome: _Outcome) -> None:
    assert case.recovery is not None
    expected = (case.state.key, case.recovery.verdict, State(case.state.base, case.recovery.units).key)
    real = (outcome.left, outcome.verdict, outcome.final)
    for what, computed, found in zip(("what the cut leaves", "the verdict", "what is kept at the end"), expected, real,
                                     strict=True):
        if computed != found:
            shown = f": {computed!r} and {found!r}" if isinstance(computed, str) else ""
            raise ToolFailed(f"{case.story()}: {what} is not what was computed{shown}.")


def _judge_order(report: Report, trace: Trace) -> None:
    """Once a step that is complete ends in new, no later cut may end in old."""
    verdicts = {(point.number, point.shape): case.verdict for case in report.first for point in case.points}
    committed: int | None = None
    for number in range(len(trace.steps)):
        if committed is not None:
            late = [shape for (at, shape), verdict in verdicts.items() if at == number and verdict == OLD]
            if late:
                report.failures.append(f"step {number}, {late[0]}: old is back, though new counted after step "
                                       f"{committed}")
        elif verdicts.get((number, COMPLETE)) == NEW and number and verdicts.get((number, "not begun")) == OLD:
            committed = number


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
