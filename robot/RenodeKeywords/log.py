# SPDX-License-Identifier: Apache-2.0
"""The log tester. The words of the log are the engine's own."""

from __future__ import annotations

from pathlib import Path

from robot.api.deco import keyword

from offchip.errors import OffchipError
from RenodeKeywords.bench import Bench
from RenodeKeywords.log_tester import LEVELS, LogTester
from RenodeKeywords.terminal_tester import compile_pattern


class LogKeywords:
    """Timeouts are virtual seconds."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @keyword
    def create_log_tester(self, timeout: float, defaultPauseEmulation: bool | None = None) -> None:
        """Listen to the log from now on."""
        self.bench.collect()
        self.bench.log_tester = LogTester(timeout)

    @keyword
    def wait_for_log_entry(self, pattern: str, timeout: float | None = None, keep: bool = False,
                           treatAsRegex: bool = False, pauseEmulation: bool | None = None,
                           level: str | None = None) -> str:
        """Wait for an entry that contains ``pattern``; it and those before it are used up unless ``keep``.

        ``level``: ``Noisy``, ``Debug``, ``Info``, ``Warning`` or ``Error``. Returns the entry without time and level.
        """
        tester = self._tester
        grade = _level(level)
        limit_s = tester.timeout_s if timeout is None else timeout

        def look() -> tuple[bool, str] | None:
            if (bad := tester.find_failing()) is not None:
                return False, bad
            text = tester.find(pattern, treatAsRegex, grade, keep)
            return None if text is None else (True, text)

        found = self.bench.wait(look, limit_s)
        if found is None:
            last = [entry.text for entry in tester.entries[-100:]]
            raise AssertionError(f'Expected pattern "{pattern}" did not appear in the log within {limit_s:g} s of '
                                 f"virtual time\nLast {len(last)} buffered log messages are: \n " + "\n ".join(last))
        good, text = found
        if not good:
            raise AssertionError(f"Log tester failed!\n\nTest failing entry has been found in log:\n{text}")
        return text

    @keyword
    def should_not_be_in_log(self, pattern: str, timeout: float | None = None, treatAsRegex: bool = False,
                             pauseEmulation: bool | None = None, level: str | None = None) -> None:
        """Let the whole timeout pass; fail as soon as an entry contains ``pattern`` or a failing string."""
        tester = self._tester
        grade = _level(level)

        def look() -> str | None:
            return tester.find_failing() or tester.find(pattern, treatAsRegex, grade, keep=True)

        text = self.bench.wait(look, tester.timeout_s if timeout is None else timeout)
        if text is not None:
            raise AssertionError(f"Unexpected line detected in the log: {text}")

    @keyword
    def clear_log_tester_history(self) -> None:
        """Forget the entries so far."""
        self.bench.collect()
        self._tester.entries.clear()

    @keyword
    def register_failing_log_string(self, pattern: str, treatAsRegex: bool = False) -> None:
        """From now on `Wait For Log Entry` fails when an entry contains ``pattern``."""
        compile_pattern(pattern, treatAsRegex)
        self._tester.failing.append((pattern, treatAsRegex))

    @keyword
    def unregister_failing_log_string(self, pattern: str, treatAsRegex: bool = False) -> None:
        """Take a failing string back."""
        if (pattern, treatAsRegex) not in self._tester.failing:
            raise AssertionError(f'Unable to unregister failing string, entry not found: "{pattern}"')
        self._tester.failing.remove((pattern, treatAsRegex))

    @keyword
    def log_to_file(self, filePath: Path, flushAfterEveryWrite: bool = False) -> None:
        """Write the log to a file as well."""
        path = str(filePath.absolute()).replace(" ", "\\ ")
        try:
            self.bench.execute(f"logFile @{path} {str(flushAfterEveryWrite).lower()}")
        except OffchipError as error:
            raise AssertionError(f"the log cannot go to {filePath}: {error}") from None

    @keyword
    def enable_logging_to_cache(self) -> None:
        """Keep the log from now on for `Save Cached Log`."""
        self.bench.collect()
        if self.bench.cached_log is None:
            self.bench.cached_log = []

    @keyword
    def save_cached_log(self, filePath: Path) -> None:
        """Write the kept log to a file."""
        lines = self._cache()
        try:
            filePath.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise AssertionError(f"{filePath} cannot be written ({error.strerror})") from None

    @keyword
    def clear_cached_log(self) -> None:
        """Forget the kept log; nothing when it is not kept."""
        self.bench.collect()
        if self.bench.cached_log is not None:
            self.bench.cached_log.clear()

    def _cache(self) -> list[str]:
        self.bench.collect()
        if self.bench.cached_log is None:
            raise AssertionError("Cannot save cached log, cached logging has not been enabled; "
                                 "use Enable Logging To Cache")
        return self.bench.cached_log

    @property
    def _tester(self) -> LogTester:
        if self.bench.log_tester is None:
            raise AssertionError("Log tester is not available. Create it with the `CreateLogTester` keyword")
        return self.bench.log_tester


def _level(name: str | None) -> str | None:
    if name is not None and name.upper() not in LEVELS:
        raise AssertionError(f'there is no log level "{name}"; choose {", ".join(each.title() for each in LEVELS)}')
    return None if name is None else name.upper()
