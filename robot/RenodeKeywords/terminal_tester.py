# SPDX-License-Identifier: Apache-2.0
"""What a UART sent, cut into lines, and what was expected of it.

Works as Renode's terminal tester does: a match is looked for after every byte, and everything up to it is used up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from robot.utils import DotDict

LINE_FEED, CARRIAGE_RETURN = 0x0A, 0x0D
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class EndLineOption(Enum):
    """Which byte ends a line; with a line feed, carriage returns are left out."""

    TreatLineFeedAsEndLine = LINE_FEED
    TreatCarriageReturnAsEndLine = CARRIAGE_RETURN


@dataclass(frozen=True, slots=True)
class Line:
    """``time_ns``: when its end was sent."""

    text: str
    time_ns: int


Matcher = Callable[[], DotDict | None]


def result(line: str = "", time_ns: int = 0, groups: Sequence[str] = (), failing: bool = False) -> DotDict:
    """What a waiting keyword returns; ``${r.Line}``, ``${r.Groups[0]}`` resolve. ``Timestamp``: virtual ms."""
    return DotDict(Line=line, Timestamp=time_ns / 1_000_000, Groups=list(groups), IsFailingString=failing)


def parse_hex(content: str) -> str:
    """Hexadecimal digits as one Latin-1 character per byte. Raises AssertionError."""
    try:
        return bytes.fromhex("".join(content.split())).decode("latin-1")
    except ValueError:
        raise AssertionError(f'"{content}" is not a row of hexadecimal bytes; write for example 01 FF') from None


def compile_pattern(pattern: str, regex: bool, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """A regular expression, or one that finds exactly this text. Raises AssertionError."""
    try:
        return re.compile(pattern if regex else re.escape(pattern), flags)
    except re.error as error:
        raise AssertionError(f'"{pattern}" is no regular expression: {error}') from None


class TerminalTester:
    """The bytes of one UART.

    Args:
        wire: number of the session's wire to the UART.
        timeout_s: virtual seconds a wait lasts at most, unless it says otherwise.
        end: what ends a line.
        binary: bytes are not cut into lines.

    Attributes:
        gone: its machine was removed.
    """

    def __init__(self, wire: int, timeout_s: float, end: EndLineOption = EndLineOption.TreatLineFeedAsEndLine,
                 binary: bool = False) -> None:
        self.wire, self.timeout_s, self.binary = wire, timeout_s, binary
        self.gone = False
        self.spacing_ns = 0
        self.received = 0  # bytes so far
        self.failing: list[tuple[str, bool]] = []
        self._end = end.value
        self._ignored = {0}
        if end is EndLineOption.TreatLineFeedAsEndLine:
            self._ignored.add(CARRIAGE_RETURN)
        self._lines: list[Line] = []
        self._unfinished = ""
        self._now_ns = 0
        self._report: list[str] = []
        self._frozen_report: str | None = None

    def receive(self, value: int, time_ns: int) -> None:
        """Take a byte the UART sent."""
        self.received += 1
        self._now_ns = time_ns
        if self.binary:
            self._unfinished += chr(value)
        elif value == self._end:
            self._lines.append(Line(_COLOURS.sub("", self._unfinished), time_ns))
            self._unfinished = ""
        elif value not in self._ignored:
            self._unfinished += chr(value)

    # what may be waited for -----------------------------------------------------------------------------------------
    def line(self, pattern: str, regex: bool = False, unfinished: bool = False, next_line: bool = False) -> Matcher:
        """A line that contains ``pattern``; with ``next_line`` only the first one not used up.

        As in Renode a whole line matched as the next one has no groups.
        """
        wanted = compile_pattern(pattern, regex)

        def match() -> DotDict | None:
            for index, line in enumerate(self._lines[:1] if next_line else self._lines):
                if found := wanted.search(line.text):
                    return self._use_lines(index + 1, found.groups("") if regex and not next_line else ())
            if unfinished and (found := wanted.search(_COLOURS.sub("", self._unfinished))):
                if not next_line or not found.start():
                    return self._use_all(found.groups("") if regex else ())
            return None

        return match

    def lines(self, patterns: Sequence[str], regex: bool = False, unfinished: bool = False) -> Matcher:
        """Lines that match one after the other; the result is the last one, as in Renode without groups."""
        wanted = [compile_pattern(p, regex) for p in patterns]

        def match() -> DotDict | None:
            texts = [line.text for line in self._lines]
            if unfinished:
                texts.append(_COLOURS.sub("", self._unfinished))
            for start in range(len(texts) - len(wanted) + 1):
                if unfinished and start + len(wanted) != len(texts):
                    continue
                if all(p.search(t) for p, t in zip(wanted, texts[start:], strict=False)):
                    return self._use_all(()) if unfinished else self._use_lines(start + len(wanted))
            return None

        return match

    def next_line(self) -> DotDict | None:
        """Whatever line comes next."""
        return self._use_lines(1) if self._lines else None

    def bytes(self, content: str, regex: bool = False, at_start: bool = False) -> Matcher:
        """Bytes: hexadecimal digits, or a regular expression over Latin-1 characters. Those before are dropped."""
        wanted = compile_pattern(content if regex else parse_hex(content), regex, re.DOTALL)

        def match() -> DotDict | None:
            found = (wanted.match if at_start else wanted.search)(self._unfinished)
            if found is None:
                return None
            self._report.append(_hex(self._unfinished[:found.end()]))
            self._unfinished = self._unfinished[found.end():]
            groups = [group.encode("latin-1") for group in found.groups("")] if regex else []
            # Renode 1.16.1 never fills in the time of a binary result
            return DotDict(Content=found.group().encode("latin-1"), Timestamp=0.0, Groups=groups)

        return match

    def failing_line(self) -> DotDict | None:
        """A line that must not come, if there is one."""
        for pattern, regex in self.failing:
            found = self.line(pattern, regex)()
            if found is not None:
                found.IsFailingString = True
                return found
        return None

    def _use_lines(self, count: int, groups: Sequence[str] = ()) -> DotDict:
        used, self._lines = self._lines[:count], self._lines[count:]
        self._report += map(_shown, used)
        return result(used[-1].text, used[-1].time_ns, groups)

    def _use_all(self, groups: Sequence[str]) -> DotDict:
        line = Line(_COLOURS.sub("", self._unfinished), self._now_ns)
        self._report += [*map(_shown, self._lines), f"{_shown(line)} [[no newline]]"]
        self._lines, self._unfinished = [], ""
        return result(line.text, line.time_ns, groups)

    # report ----------------------------------------------------------------------------------------------------
    def succeeded(self, event: str) -> None:
        """Write down that an expectation was met; what it used up stands there already."""
        self._note(event, "success")

    def failed(self, event: str) -> None:
        """Write down that an expectation was not met, with everything not used up."""
        self._report += map(_shown, self._lines)
        self._report.append(_hex(self._unfinished) if self.binary else f"{self._unfinished} [[no newline]]")
        self._note(event, "failure")

    def _note(self, event: str, how: str) -> None:
        self._report.append(f"([virt: {self._now_ns / 1_000_000:.3f} ms] {event} event: {how})")

    def report(self) -> str:
        """What was used up and how expectations ended, oldest first; from then on the same until it is cleared."""
        if self._frozen_report is None:
            if self._unfinished:
                shown = _hex(self._unfinished) if self.binary else self._unfinished
                self._report.append(f"--- Current line buffer contains {len(self._unfinished)} characters: >>{shown}<<")
            self._frozen_report = "\n".join(self._report)
            self._report.clear()
        return self._frozen_report

    def clear_report(self) -> None:
        """Forget the report and the lines not used up."""
        self._report.clear()
        self._lines.clear()
        self._frozen_report = None


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):02x}" for character in text)


def _shown(line: Line) -> str:
    return f"[virt: {line.time_ns / 1_000_000:.3f} ms] {line.text}"
