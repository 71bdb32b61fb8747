# SPDX-License-Identifier: Apache-2.0
"""One Robot process that runs one suite, and what became of each of its claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offchip.engines.select import Standby
from offchip.runner.inventory import PARSER, ROOT_NAME, Claim, Suite, robot_pattern
from offchip.runner.processes import end_tree

#: exit codes of Robot from here on are not of tests
_ROBOT_FAILED = 251


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a claim's test.

    Attributes:
        status: ``PASS``, ``FAIL`` or ``SKIP`` as Robot says, ``LOST`` when its process did not live to say.
        message: Robot's message, or why it was lost.
        seconds: host time.
        cpu_s: of its suite's process and of those it started.
    """

    status: str
    message: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """What all suites of a run have in common.

    Attributes:
        suites: folder of the ``.robot`` files.
        variables: Robot variables, by name.
        paths: folders of keyword libraries.
        work: each process gets a folder below it.
        temporary: their TMPDIR; what a killed process leaves there goes with the run.
        limit_s: host seconds a claim may take before its process counts as hung.
    """

    suites: Path
    variables: dict[str, str]
    paths: tuple[Path, ...]
    work: Path
    temporary: Path
    limit_s: float


class SuiteProcess:
    """Runs ``claims`` of a suite (all, unless an earlier process of this suite hung), on an engine held ready."""

    def __init__(self, order: Order, suite: Suite, claims: tuple[Claim, ...], number: int, standby: Standby) -> None:
        self.suite, self.claims = suite, claims
        self.outcomes: dict[str, Outcome] = {}
        self.running: str | None = None
        self.started = self._claim_started = time.monotonic()
        self.folder = order.work / f"{suite.stem}-{number}"
        self.folder.mkdir(parents=True)
        self._order, self._rest, self._closed, self._hung = order, b"", False, False
        self.standby = standby
        variables, lent = standby.lend()
        self.pipe, write = os.pipe()
        os.set_blocking(self.pipe, False)
        self._said = self.folder / "console.txt"
        try:
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    self._command(write), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said,
                    stderr=subprocess.STDOUT, pass_fds=(write, *lent), start_new_session=True,
                    env={**os.environ, **variables, "TMPDIR": str(order.temporary), "PYTHONUTF8": "1"})
        finally:
            os.close(write)

    @property
    def output(self) -> Path:
        return self.folder / "output.xml"

    def _command(self, descriptor: int) -> list[str]:
        order = self._order
        command = [sys.executable, "-m", "robot", "--name", ROOT_NAME, "--outputdir", str(self.folder), "--log", "NONE",
                   "--report", "NONE", "--console", "quiet", "--parser", PARSER,
                   "--listener", f"offchip.runner.watch.Watch:{descriptor}"]
        for path in order.paths:
            command += ["--pythonpath", str(path)]
        for name, value in order.variables.items():
            command += ["--variable", f"{name}:{value}"]
        command += ["--suite", robot_pattern(self.suite.full_name)]
        for claim in self.claims:
            command += ["--test", robot_pattern(claim.full_name)]
        return [*command, str(order.suites)]

    # what it says ----------------------------------------------------------------------------------------------------
    def read(self) -> None:
        """Take what the listener has said so far."""
        while True:
            try:
                chunk = os.read(self.pipe, 65536)
            except BlockingIOError:
                return
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self.running, self._claim_started = event["claim"], time.monotonic()
        elif event["event"] == "end":
            self.running, self._claim_started = None, time.monotonic()
            self.outcomes[event["claim"]] = Outcome(event["status"], event["message"], event["seconds"], event["cpu"])
        else:
            self._closed = self._closed or event["top"]
            for key, status, message in event["claims"]:
                before = self.outcomes.get(key, Outcome("LOST"))
                self.outcomes[key] = Outcome(status, message, before.seconds, before.cpu_s)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def claim_seconds(self) -> float:
        """Host seconds since the claim that runs began."""
        return time.monotonic() - self._claim_started

    # its end ---------------------------------------------------------------------------------------------------------
    def kill_if_hung(self) -> bool:
        """Kill it when its claim is over the limit."""
        if self.ended or self.claim_seconds <= self._order.limit_s:
            return False
        self._hung = True
        end_tree(self._process.pid)
        return True

    def abandon(self) -> None:
        """Kill it and keep what it had decided; a suite that ends by a check of its own had decided nothing."""
        end_tree(self._process.pid)
        self.read()
        os.close(self.pipe)
        self.standby.take_back(clean=False)
        if self.suite.closes and not self._closed:
            self.outcomes.clear()

    def close(self) -> tuple[Claim, ...]:
        """Settle the claims of the ended process.

        Returns:
            Claims to run in a process of their own: those behind a hung one; with a suite that ends by a check of its
            own, also those before it, as that check never came.
        """
        self.read()
        os.close(self.pipe)
        code = self._process.wait()
        lost = self.running
        if self.suite.closes and not self._closed:
            self.outcomes.clear()
        missing = [claim for claim in self.claims if claim.key not in self.outcomes]
        self.standby.take_back(clean=not missing and 0 <= code < _ROBOT_FAILED)
        if self._hung and lost is not None:
            self.outcomes[lost] = Outcome("LOST", f"it hung: no end after {self._order.limit_s:.0f} s of host time",
                                          self.claim_seconds)
            return tuple(claim for claim in missing if claim.key != lost)
        for claim in missing:
            self.outcomes[claim.key] = Outcome("LOST", self._last_words(code))
        return ()

    def _last_words(self, code: int) -> str:
        if self._hung:
            return f"its suite hung before or behind its claims for {self._order.limit_s:.0f} s of host time"
        how = f"was killed by signal {-code}" if code < 0 else f"ended early (exit code {code})"
        lines = [line.strip() for line in self._said.read_text(encoding="utf-8", errors="replace").splitlines()]
        said = [line.replace("[ ERROR ]", "").strip() for line in lines if line]
        return f"the process of its suite {how}" + (f": {said[-1][:200]}" if said else "")
