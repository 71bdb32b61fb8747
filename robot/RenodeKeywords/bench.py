# SPDX-License-Identifier: Apache-2.0
"""What the keywords of one test share: the session, its testers, and waiting in virtual time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from offchip.errors import OffchipError
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
        self._default_tester: TerminalTester | None = None
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
        """No machine, no tester. An engine that was lost (a crash, a time limit) is replaced when it is needed next."""
        if self._session is not None:
            try:
                self._session.reset()
            except OffchipError:
                session, self._session = self._session, None
                session.close()
        self._held.clear()
        for tester in self.testers.values():
            tester.gone = True
        self.testers.clear()
        self.log_tester = None

    def close(self) -> None:
        """As :meth:`reset`, and end the engine."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
        self.reset()
        self._default_tester = None
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
        """Attach a tester; returns its id, the old one where that UART has a tester."""
        wire = self.session.attach(uart, machine)
        for number, tester in self.testers.items():
            if tester.wire == wire:
                return number
        number = len(self.testers)
        self.testers[number] = make(wire)
        return number

    def set_default_tester(self, number: int | None) -> None:
        """Whom keywords without an id mean; None: the only one. Raises AssertionError."""
        if number is not None and number not in self.testers:
            raise AssertionError(f"Tester #{number} was not found. Create a tester before setting it as default")
        self._default_tester = None if number is None else self.testers[number]

    def tester(self, number: int | None) -> TerminalTester:
        """The tester of that id, the default one, or the only one. Raises AssertionError."""
        if number is not None:
            if number not in self.testers:
                raise AssertionError(f"Tester for given ID={number} was not found. "
                                     "Did you forget to create the tester?")
            return self.testers[number]
        if self._default_tester is not None:
            if self._default_tester.gone:
                raise AssertionError("The default tester belongs to a machine that was removed; end the test that set "
                                     "it with: Set Default Tester    ${None}")
            return self._default_tester
        if len(self.testers) != 1:
            raise AssertionError("There is more than one tester available - please specify ID of the desired tester."
                                 if self.testers else "There are no testers available.")
        return next(iter(self.testers.values()))

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
