# SPDX-License-Identifier: Apache-2.0
"""What the engine logged, and what was expected of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from RenodeKeywords.terminal_tester import compile_pattern

LEVELS = ("NOISY", "DEBUG", "INFO", "WARNING", "ERROR")
_LINE = re.compile(rf"^[\d.:]+ \[(?P<level>{'|'.join(LEVELS)})\] (?:\(\d+\) )?(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log without its time."""

    level: str
    text: str


def parse_entry(line: str) -> Entry:
    """A line of either engine's log; what has no level (an analyzer's output) counts as INFO."""
    found = _LINE.match(line)
    return Entry(found["level"], found["text"]) if found else Entry("INFO", line)


class LogTester:
    """Entries of the log since it was created; ``timeout_s`` in virtual seconds."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.failing: list[tuple[str, bool]] = []
        self.entries: list[Entry] = []

    def find(self, pattern: str, regex: bool, level: str | None, keep: bool) -> str | None:
        """The first entry that contains ``pattern``; unless ``keep``, it and those before it are used up."""
        wanted = compile_pattern(pattern, regex)
        for index, entry in enumerate(self.entries):
            if level in (None, entry.level) and wanted.search(entry.text):
                if not keep:
                    del self.entries[:index + 1]
                return entry.text
        return None

    def find_failing(self) -> str | None:
        """An entry that must not come, if there is one."""
        found = (self.find(pattern, regex, None, keep=True) for pattern, regex in self.failing)
        return next((text for text in found if text is not None), None)
