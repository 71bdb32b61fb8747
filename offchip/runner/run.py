# SPDX-License-Identifier: Apache-2.0
"""All suites of an order, some at a time, until every claim of the inventory has an outcome."""

from __future__ import annotations

import selectors
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offchip.engines.select import Standby
from offchip.runner.inventory import Claim, Suite
from offchip.runner.processes import Stopped
from offchip.runner.suite_process import Order, Outcome, SuiteProcess

#: host seconds between two signs of life
HEARTBEAT_S = 15.0
#: claims after which it may be guessed how long the others take
_TELLING = 10
_WORDS = {"PASS": "proven", "FAIL": "refuted", "SKIP": "not run", "LOST": "not run"}


@dataclass(slots=True)
class Outcomes:
    """What a run leaves.

    Attributes:
        claims: one outcome per claim of the inventory.
        outputs: Robot's own output of each process that lived to write one.
        refused: nothing was tried, on purpose.
        stopped: the signal that ended the run before its time.
    """

    claims: dict[str, Outcome] = field(default_factory=dict)
    outputs: list[Path] = field(default_factory=list)
    refused: bool = False
    stopped: Stopped | None = None


class Run:
    """Runs suites in processes of their own.

    Args:
        standbys: of the engine, one for each process at a time.
        say: takes one line of progress.
        each: also say a line for each claim, with the time that is left; otherwise with the signs of life only.
    """

    def __init__(self, order: Order, inventory: tuple[Suite, ...], standbys: Sequence[Standby],
                 say: Callable[[str], None], each: bool = False) -> None:
        self._order, self._free, self._say, self._each = order, [*standbys], say, each
        self._told: set[str] = set()
        self._inventory = inventory
        # the long ones first, so that none is left to run alone at the end
        longest = sorted(inventory, key=lambda suite: -len(suite.claims))
        self._waiting: deque[tuple[Suite, tuple[Claim, ...], int]] = deque((s, s.claims, 1) for s in longest)
        self._total = sum(len(suite.claims) for suite in inventory)
        self._running: list[SuiteProcess] = []
        self._outcomes = Outcomes()
        self._began = self._said = time.monotonic()

    def finish(self) -> Outcomes:
        """Run everything; returns when every claim has its outcome, or a signal has ended the run."""
        try:
            self._run()
        except Stopped as stopped:
            self._outcomes.stopped = stopped
            self._give_up()
        return self._outcomes

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            while self._waiting or self._running:
                self._start(selector)
                for key, _ in selector.select(timeout=0.5):
                    key.data.read()
                    if self._each:
                        self._tell(key.data)
                for each in list(self._running):
                    if each.kill_if_hung() or each.ended:
                        selector.unregister(each.pipe)
                        self._settle(each)
                self._heartbeat()

    def _give_up(self) -> None:
        """What was decided counts; what was not is lost."""
        for process in self._running:
            process.abandon()
            self._outcomes.claims.update(process.outcomes)
        for suite in self._inventory:
            for claim in suite.claims:
                self._outcomes.claims.setdefault(claim.key, Outcome("LOST", "the run was interrupted"))

    def _start(self, selector: selectors.BaseSelector) -> None:
        while self._waiting and self._free:
            suite, claims, number = self._waiting.popleft()
            process = SuiteProcess(self._order, suite, claims, number, self._free.pop())
            self._running.append(process)
            selector.register(process.pipe, selectors.EVENT_READ, process)
            self._say(f"{suite.stem}: {_count(len(claims), 'claim')}, started")

    def _settle(self, process: SuiteProcess) -> None:
        self._running.remove(process)
        again = process.close()
        self._free.append(process.standby)
        outcomes = {key: each for key, each in process.outcomes.items() if key not in {c.key for c in again}}
        self._outcomes.claims.update(outcomes)
        if process.output.is_file():
            self._outcomes.outputs.append(process.output)
        words = Counter(_WORDS[each.status] for each in outcomes.values())
        told = ", ".join(f"{words[word]} {word}" for word in ("proven", "refuted", "not run") if words[word])
        self._say(f"{process.suite.stem}: {told or 'nothing'} in {time.monotonic() - process.started:.0f} s "
                  f"({len(self._outcomes.claims)}/{self._total})")
        for message in dict.fromkeys(each.message for each in outcomes.values() if each.status == "LOST"):
            self._say(f"{process.suite.stem}: not run: {message}")
        if again:
            number = int(process.folder.name.rpartition("-")[2]) + 1
            self._waiting.appendleft((process.suite, again, number))

    def _tell(self, process: SuiteProcess) -> None:
        """What has just been decided."""
        for key, outcome in process.outcomes.items():
            if key not in self._told:
                self._told.add(key)
                self._say(f"{key.partition('.')[2]}: {_WORDS[outcome.status]}, {outcome.seconds:.1f} s "
                          f"({self._progress()})")

    def _progress(self) -> str:
        done = len(self._outcomes.claims) + sum(len(each.outcomes) for each in self._running)
        return f"{done} of {self._total}{time_left(time.monotonic() - self._began, done, self._total)}"

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._said < HEARTBEAT_S or not self._running:
            return
        self._said = now
        for each in self._running:
            done = f"{len(each.outcomes)}/{len(each.claims)}"
            claim = each.running.partition(".")[2] if each.running else "between two claims"
            self._say(f"{each.suite.stem}: still running, {done} after {now - each.started:.0f} s "
                      f"({claim}, {each.claim_seconds:.0f} s)")
        self._say(f"all together: {self._progress()}")


def time_left(seconds: float, done: int, total: int) -> str:
    """``, about 7 min left`` after so many seconds, if what is left takes as long as what is done; '' too early to say.
    """
    if done < min(_TELLING, total) or not done:
        return ""
    left = seconds / done * (total - done)
    return f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
