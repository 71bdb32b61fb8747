# SPDX-License-Identifier: Apache-2.0
"""What the keywords of one test share: the session, its testers, and waiting in virtual time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from RenodeKeywords.log_tester import LogTester, parse_entry
from RenodeKeywords.session import Received, Session, open_session
from RenodeKeywords.terminal_tester import TerminalTester

#: virtual time between two looks at what came; time stops at the end of the slice in which a match came
SLICE_NS = 1_000_000
T = TypeVar("T")


class Bench:
    """An emulation and what listens to it.

    Args:
        engine: ``embedded``, ``renode`` or ``auto``.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._session: Session | None = None
        self._held: deque[Received] = deque()
        self.testers: dict[int, TerminalTester] = {}
        self.default_tester: int | None = None
        self.log_tester: LogTester | None = None
        self.cached_log: list[str] | None = None
        self.temporary_files: list[Path] = []

    @property
    def session(self) -> Session:
        """The session; opened when it is needed first."""
        if self._session is None:
            self._session = open_session(self._engine)
        return self._session

    def reset(self) -> None:
        """No machine, no tester."""
        if self._session is not None:
            self._session.reset()
        self._held.clear()
        self.testers.clear()
        self.default_tester = None
        self.log_tester = None

    def close(self) -> None:
        """As :meth:`reset`, and end the engine."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
        self.reset()
        for path in self.temporary_files:
            path.unlink(missing_ok=True)
        self.temporary_files.clear()

    # monitor -----------------------------------------------------------------------------------------------------
    def execute(self, command: str) -> str:
        """Run a monitor command; what the UARTs send meanwhile reaches the testers."""
        try:
            return self.session.execute(command)
        finally:
            self.collect()

    def run_script(self, path: Path) -> str:
        """Run a .resc likewise."""
        try:
            return self.session.run_script(path)
        finally:
            self.collect()

    # testers -----------------------------------------------------------------------------------------------------
    def add_tester(self, make: Callable[[int], TerminalTester], uart: str, machine: str | None) -> int:
        """Attach a tester; returns its id."""
        number = len(self.testers)
        self.testers[number] = make(self.session.attach(uart, machine))
        return number

    def tester(self, number: int | None) -> TerminalTester:
        """The tester of that id, the default one, or the only one. Raises AssertionError."""
        if number is None:
            number = self.default_tester
        if number is None and len(self.testers) == 1:
            number = next(iter(self.testers))
        if number is None:
            raise AssertionError("there are several terminal testers; give testerId or use Set Default Tester"
                                 if self.testers else "there is no terminal tester; use Create Terminal Tester first")
        if number not in self.testers:
            raise AssertionError(f"there is no terminal tester {number}; Create Terminal Tester returns the id")
        return self.testers[number]

    # time --------------------------------------------------------------------------------------------------------
    def wait(self, look: Callable[[], T | None], timeout_s: float, hold: bool = False) -> T | None:
        """Let virtual time pass until ``look``, asked after every byte and every slice, finds something.

        With ``hold``, what the UARTs send after that reaches the testers in the next call only, byte by byte.
        Returns None after ``timeout_s`` virtual seconds. Raises AssertionError, OffchipError.
        """
        if not (math.isfinite(timeout_s) and timeout_s >= 0):
            raise AssertionError(f"a timeout is a number of seconds from 0 on, not {timeout_s}")
        found = self.collect(look, hold)
        left = round(timeout_s * 1_000_000_000)
        while found is None and left > 0:
            duration = min(left, SLICE_NS)
            self.session.run(duration)
            left -= duration
            found = self.collect(look, hold)
        return found

    def collect(self, look: Callable[[], T | None] = lambda: None, hold: bool = False) -> T | None:
        """Hand what came to the testers, with ``hold`` only up to what ``look`` finds."""
        self._collect_log()
        self._held += self.session.take()
        found = look()
        while self._held and not (hold and found is not None):
            byte = self._held.popleft()
            for tester in self.testers.values():
                if tester.wire == byte.wire:
                    tester.receive(byte.value, byte.time_ns)
            if found is None:
                found = look()
        return found

    def _collect_log(self) -> None:
        lines = self.session.log_lines()
        if self.log_tester is not None:
            self.log_tester.entries += map(parse_entry, lines)
        if self.cached_log is not None:
            self.cached_log += lines
