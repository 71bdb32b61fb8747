# SPDX-License-Identifier: Apache-2.0
"""Every power cut of an operation, and every second cut while the device recovers from the first.

The supply takes RAM and registers with it: two cuts that leave the same flash, media and backup domain are one case. So
the operation runs once; at each step of writing the state each cut would leave is computed, and each state that was not
met before is put into a copy of the board, which is powered and judged. Nothing is believed for being computed: a
sample of the points, pruned ones among them, is really cut in a copy of the running board, and must agree byte for byte
in what the cut left, in the end of the recovery and in its verdict; otherwise the tool has failed, not the firmware.

All recoveries begin as one, which parts where the device first looks at something in which the states differ
(:mod:`offchip.campaign.crowd`); those that come together again go on as one (:mod:`offchip.campaign.joining`), and of
those that come to its parser with the same credentials only the first goes on (:mod:`offchip.campaign.gate`).

Torn shapes are models: half-programmed block, page partly erased, erased and not yet written, flash erase that stopped
half-way or after its preprogramming. None was measured on these parts.
"""

from __future__ import annotations

import gc
import resource
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from offchip.board.board import Board
from offchip.campaign.crowd import SHAPES, Crowd, Ends, Point, Recovery, Trace, engine_of, retraced
from offchip.campaign.gate import Gate
from offchip.campaign.nonvolatile import BACKUP, Base, State, backup_content, capture
from offchip.campaign.operations import NEW, OLD, Operation, connects
from offchip.engines.fork import Branches, forked, forked_all
from offchip.engines.protocol import Operation as Step
from offchip.engines.protocol import StorageEvent, Tear
from offchip.errors import EngineError, OffchipError
from offchip.scene.scene import Device

COMPLETE = "complete"
#: the random generator's stream from the moment the supply is back, the same in every copy
_RECOVERY_SEED = 0x0FF
_CHILD_LIMIT_S = 24 * 3600.0  # of the host: a busy one must not end a campaign


class ToolFailed(OffchipError):
    """What was computed is not what really happens: nothing this tool says may be believed."""


@dataclass(slots=True)
class Case:
    """One distinct state a cut may leave."""

    state: State
    points: list[Point]
    recovery: Recovery | None = None
    again: list[Point] = field(default_factory=list)  # second cuts that leave it, too
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
    runs: int = 0  # recoveries that were run for all these states
    joined: int = 0  # states whose devices came to a state of the machine in which another one had been before
    checked: int = 0
    connected: int = 0
    failures: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    check_s: float = 0.0  # of these, for the tool's own proof

    @property
    def points(self) -> int:
        return sum(len(case.points) + len(case.again) for case in (*self.first, *self.second))

    @property
    def distinct(self) -> int:
        """Different contents of flash and media a cut may leave."""
        return len(self.first) + len(self.second)

    @property
    def rate(self) -> float:
        """Cuts per second of one core, the tool's own proof left out."""
        return self.points / max(self.cpu_s - self.check_s, 1e-9)

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
        second: ``all``: second cuts in every recovery; ``paths``: in one of each path; ``none``.
        connect: ``classes``: one device of each verdict and shape of step goes on to its next publish; ``all``: one of
            each distinct final state; ``none``.
        say: told what is being done.
        most_checked: but no more than so many, evenly spread, of first and of second cuts.
        shapes, events: only these torn shapes (:data:`SHAPES`) and steps of these kinds; none: all.
    """

    def __init__(self, operation: Operation, workers: int = 1, check_every: int = 10, second: str = "all",
                 connect: str = "classes", say: Callable[[str], None] = lambda text: None,
                 shapes: Collection[str] = (), most_checked: int = 20,
                 events: Collection[StorageEvent] = ()) -> None:
        self._operation, self._gate = operation, Gate(operation.elf)
        self._workers = workers
        self._check_every = max(1, check_every)
        self._most_checked = most_checked
        self._second, self._connect = second, connect
        self._say = say
        self._shapes, self._events = shapes, events

    def run(self) -> Report:
        """Raises ToolFailed when a computed state is not what really happens; OffchipError."""
        begin = _cpu_s()
        device = self._operation.build()
        try:
            base = Base(device.board)
            trace = self._golden(device, base)
            steps = Counter(str(step.event) for step in trace.steps)
            report = Report(self._operation.name, self._operation.good, steps)
            report.first = _distinct(trace.cuts(self._shapes, self._events))
            self._say(f"{report.points} cuts, {len(report.first)} distinct states")
            self._recover(device, base, report.first, report)
            self._second_cuts(device, base, report)
            judged = _cpu_s()
            self._check(device, base, report)
            report.check_s = _cpu_s() - judged
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
            return [(step, dict(state.units)) for step, state in tracker.trace]

        self._say("the operation, uncut")
        seen = forked(run, _CHILD_LIMIT_S)
        return Trace([step for step, _ in seen], [State(base, units) for _, units in seen])

    # recoveries ------------------------------------------------------------------------------------------------------
    def _recover(self, device: Device, base: Base, cases: Sequence[Case], report: Report,
                 keep_steps: bool = True) -> None:
        """What becomes of each case."""
        if any(memory == BACKUP for case in cases for memory, _ in case.state.units):
            raise EngineError("the operation writes to the backup domain; cuts of such a one are not implemented.")
        # neighbours differ little: they stay together longest
        size = -(-len(cases) // self._workers)
        parts = [cases[start:start + size] for start in range(0, len(cases), max(1, size))]
        tasks = [partial(self._serve, device, base, [case.state for case in part], keep_steps)
                 for part in parts]
        for part, ends in zip(parts, forked_all(tasks, self._workers, _CHILD_LIMIT_S), strict=True):
            report.runs += ends.runs
            self._gate.known |= ends.known
            for case in part:
                case.recovery = ends.recoveries[case.state.key]
                report.joined += case.recovery.joined

    def _serve(self, device: Device, base: Base, states: Sequence[State], keep_steps: bool) -> Ends:
        """In a process of its own: boot, and part wherever the states begin to matter."""
        branches = Branches()
        gc.disable()  # a copy that looks for garbage touches, and so copies, all there is
        with branches.kept_apart():
            self._warm_up(device, base)
            self._power_cycle(device)
            start = len(device.board.console.lines)
            crowd = Crowd(device.board, base, states, branches, self._gate,
                          lambda decision: self._operation.examine(device, decision),
                          not self._operation.looks_at_memory, keep_steps)
            found = crowd.end(lambda: self._operation.decide(device, start))
            if branches.in_child:
                branches.answer(found)
        return found

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
        self._operation.decide(device)
        tracker.state.take_back(device.board)

    # second cuts -----------------------------------------------------------------------------------------------------
    def _second_cuts(self, device: Device, base: Base, report: Report) -> None:
        known = {case.state.key: case for case in report.first}
        chosen: dict[object, Case] = {}
        paths = set()
        for case in report.first:
            assert case.recovery is not None
            path = tuple((step.event, step.memory, step.offset) for step in case.recovery.steps)
            paths.add(path)
            chosen.setdefault(path if self._second == "paths" else case.state.key, case)
        report.paths = len(paths)
        if self._second == "none":
            return
        for case in chosen.values():
            assert case.recovery is not None
            report.second_from += bool(case.recovery.steps)
            for point, state in retraced(case.state, case.recovery.steps).cuts(self._shapes, self._events):
                found = known.get(state.key)
                if found is None:
                    found = known[state.key] = Case(state, [], first=case)
                    report.second.append(found)
                (found.points if found.first is case else found.again).append(point)
        self._say(f"{report.points} cuts with the second ones, {len(report.second)} more distinct states")
        self._recover(device, base, report.second, report, keep_steps=False)

    # the tool's own proof ------------------------------------------------------------------------------------------
    def _check(self, device: Device, base: Base, report: Report) -> None:
        """Really cut a sample of the points, and compare; some of the devices go on to their next publish."""
        by_point = {(point.number, point.shape): case for case in report.first for point in case.points}
        chosen = [key for count, key in enumerate(by_point) if count % self._check_every == 0]
        to_connect = self._to_connect(report)
        keys = sorted({*chosen[:: max(1, -(-len(chosen) // self._most_checked))], *to_connect})
        seconds = self._sample(report.second)
        self._say(f"{len(keys) + len(seconds)} real cuts, {len(to_connect)} of them on to the next publish")
        parts = [keys[start::self._workers] for start in range(min(self._workers, len(keys)))]
        tasks = [partial(self._cut_really, device, base, part, to_connect) for part in parts]
        for part, outcomes in zip(parts, forked_all(tasks, self._workers, _CHILD_LIMIT_S), strict=True):
            for key, outcome in zip(part, outcomes, strict=True):
                _compare(by_point[key], outcome)
                report.checked += 1
                if outcome.connected is not None:
                    report.connected += 1
                    if not outcome.connected:
                        case = by_point[key]
                        report.failures.append(f"{case.story()}: ends in {case.verdict}, but does not connect again")
        again = [partial(self._cut_recovery_really, device, base, case) for case in seconds]
        for case, outcome in zip(seconds, forked_all(again, self._workers, _CHILD_LIMIT_S), strict=True):
            _compare(case, outcome)
            report.checked += 1

    def _sample(self, cases: Sequence[Case]) -> list[Case]:
        """Of those that were run to their end and of those that joined another one, evenly spread."""
        chosen: list[Case] = []
        for joined in (False, True):
            kind = [case for case in cases if case.recovery is not None and case.recovery.joined == joined]
            some = kind[self._check_every // 2::self._check_every]
            chosen += some[:: max(1, -(-2 * len(some) // self._most_checked))]
        return chosen

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
                branches.answer(self._outcome(device, base, left, mine[0] in to_connect))
        return outcomes

    def _cut_recovery_really(self, device: Device, base: Base, case: Case) -> _Outcome:
        """The second cut, in a recovery that begins with what the first has left."""
        assert case.first is not None
        point, count = case.points[0], [-1]

        def step_begins(step: Step) -> Tear | None:
            count[0] += 1
            return SHAPES[step.event][point.shape] if count[0] == point.number else None

        if device.board.powered:
            device.board.power_off()
        case.first.state.apply(device.board)
        injector = engine_of(device.board).fault_injector()
        injector.watch_storage(step_begins)
        self._power_cycle(device)
        self._operation.decide(device)
        injector.watch_storage(None)
        left = capture(device.board, base)
        self._power_cycle(device)
        return self._outcome(device, base, left, False)

    def _outcome(self, device: Device, base: Base, left: State, connect: bool) -> _Outcome:
        verdict = self._operation.examine(device, self._operation.decide(device))
        final = capture(device.board, base)
        return _Outcome(left.key, verdict, final.key, connects(device) if connect else None)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A real cut: what it left, what became of the device, what it held then, whether it published (None: untried)."""

    left: bytes
    verdict: str
    final: bytes
    connected: bool | None


class _Tracker:
    """Told each step of writing; keeps the state before each and the one now."""

    def __init__(self, board: Board, base: Base) -> None:
        self._board = board
        self.state = State(base, {})
        self.trace = Trace()
        engine_of(board).fault_injector().watch_storage(self)

    def __call__(self, step: Step) -> None:
        now = self.state.put(BACKUP, 0, backup_content(self._board))
        self.trace.add(step, now)
        self.state = now.after(step)


def _distinct(cuts: Iterable[tuple[Point, State]]) -> list[Case]:
    cases: dict[bytes, Case] = {}
    for point, state in cuts:
        cases.setdefault(state.key, Case(state, [])).points.append(point)
    return list(cases.values())


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
