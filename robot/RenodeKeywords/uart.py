# SPDX-License-Identifier: Apache-2.0
"""Terminal testers: waiting for what a UART sends, and writing to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

from robot.api.deco import keyword
from robot.utils import DotDict

from RenodeKeywords.bench import Bench
from RenodeKeywords.terminal_tester import EndLineOption, Matcher, TerminalTester, compile_pattern, result

DEFAULT_TIMEOUT_S = 8.0
_WRONG_MODE = ("Attempt to wait for {} on a tester configured in {} mode. "
               "Please set binaryMode={} when creating the tester.")


class TesterId(int):
    """What `Create Terminal Tester` returned."""

    @classmethod
    def parse(cls, value: str | int) -> TesterId | None:
        """A number, or ``null`` as Renode writes "none"."""
        if isinstance(value, str) and value.strip().lower() in ("null", "none"):
            return None
        return cls(value)


class UartKeywords:
    """Timeouts are virtual seconds.

    Time stands still after every keyword, at the end of the millisecond in which the match came. ``pauseEmulation``
    decides what becomes of the bytes after the match: the tester has them at once, or, when it is set, in the next
    keyword, as if the emulation had stopped at the match.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._timeout_s = DEFAULT_TIMEOUT_S
        self._pause = False
        self._wait_for_echo = True
        self._match_next_line = False

    # testers -----------------------------------------------------------------------------------------------------
    @keyword
    def set_default_uart_timeout(self, timeout: float) -> None:
        """Of testers created from now on, in virtual seconds."""
        self._timeout_s = _seconds(timeout)

    @keyword
    def set_default_tester(self, id: TesterId | None) -> None:
        """The tester that keywords without ``testerId`` mean; ``${None}`` or ``null``: the only one.

        As in Renode it outlives `Reset Emulation`, which removes its machine: there a wait without ``testerId`` never
        ends then, here it fails. End a test that sets it with ``Set Default Tester    ${None}``.
        """
        self.bench.set_default_tester(id)

    @keyword
    def create_terminal_tester(self, uart: str, timeout: float | None = None, machine: str | None = None,
                               endLineOption: EndLineOption | None = None, defaultPauseEmulation: bool | None = None,
                               defaultWaitForEcho: bool | None = None, defaultMatchNextLine: bool | None = None,
                               binaryMode: bool = False) -> int:
        """Listen to a UART, given by its whole path (``sysbus.usart1``); returns the tester's id.

        A UART has one tester: asked for again, it is the same id with the options it was made with. The three
        ``default`` options hold for every tester from now on.
        """
        self._pause = bool(defaultPauseEmulation)
        self._wait_for_echo = defaultWaitForEcho is not False
        self._match_next_line = bool(defaultMatchNextLine)
        timeout_s = self._timeout_s if timeout is None else _seconds(timeout)
        end = endLineOption or EndLineOption.TreatLineFeedAsEndLine
        return self.bench.add_tester(lambda wire: TerminalTester(wire, timeout_s, end, binaryMode), uart, machine)

    # waiting -----------------------------------------------------------------------------------------------------
    @keyword
    def wait_for_line_on_uart(self, content: str, timeout: float | None = None, testerId: TesterId | None = None,
                              treatAsRegex: bool = False, includeUnfinishedLine: bool = False,
                              pauseEmulation: bool | None = None, matchNextLine: bool | None = None) -> DotDict:
        """Wait for a line that contains ``content``; lines up to it are used up.

        Returns an object with ``Line``, ``Timestamp`` (virtual milliseconds), ``Groups`` of the regular expression and
        ``IsFailingString``. As in Renode a group that took no part is an empty text, and with ``matchNextLine`` a whole
        line has no groups: take them from ``Line``.
        """
        tester = self._text_tester(testerId)
        next_line = self._match_next_line if matchNextLine is None else matchNextLine
        look = tester.line(content, treatAsRegex, includeUnfinishedLine, next_line)
        return self._expect(tester, look, timeout, f'line containing "{content}"', pauseEmulation)

    @keyword
    def wait_for_lines_on_uart(self, content: list[str], timeout: float | None = None, testerId: TesterId | None = None,
                               treatAsRegex: bool = False, includeUnfinishedLine: bool = False,
                               pauseEmulation: bool | None = None, matchFromNextLine: bool | None = None) -> DotDict:
        """Wait for lines that come one right after the other; returns the last one, as in Renode without groups.

        With ``matchFromNextLine`` the first must be the next line, and each has the whole timeout.
        """
        tester = self._text_tester(testerId)
        if not content:
            return result()
        if not (self._match_next_line if matchFromNextLine is None else matchFromNextLine):
            if len(content) == 1 and includeUnfinishedLine:  # as in Renode: with groups
                look = tester.line(content[0], treatAsRegex, unfinished=True)
                return self._expect(tester, look, timeout, f'line containing "{content[0]}"', pauseEmulation)
            look = tester.lines(content, treatAsRegex, includeUnfinishedLine)
            return self._expect(tester, look, timeout, f'lines starting with "{content[0]}"',
                                pauseEmulation)
        for index, each in enumerate(content, 1):
            unfinished = includeUnfinishedLine and index == len(content)
            found = self._expect(tester, tester.line(each, treatAsRegex, unfinished, next_line=True), timeout,
                                 f'next line containing "{each}"', pauseEmulation)
        return found

    @keyword
    def wait_for_next_line_on_uart(self, timeout: float | None = None, testerId: TesterId | None = None,
                                   pauseEmulation: bool | None = None) -> DotDict:
        """Wait for any whole line. As in Renode a failing string ends the wait, but only ``IsFailingString`` tells."""
        tester = self._text_tester(testerId)
        return self._await(tester, tester.next_line, timeout, "next line", pauseEmulation)

    @keyword
    def wait_for_prompt_on_uart(self, prompt: str, testerId: TesterId | None = None, timeout: float | None = None,
                                treatAsRegex: bool = False, pauseEmulation: bool | None = None) -> DotDict:
        """As `Wait For Line On Uart` with ``includeUnfinishedLine``."""
        return self.wait_for_line_on_uart(prompt, timeout, testerId, treatAsRegex, True, pauseEmulation)

    @keyword
    def wait_for_bytes_on_uart(self, content: str, timeout: float | None = None, testerId: TesterId | None = None,
                               treatAsRegex: bool = False, pauseEmulation: bool | None = None,
                               matchStart: bool = False) -> DotDict:
        """Wait for bytes on a tester with ``binaryMode``.

        ``content``: hexadecimal digits, or a regular expression in which a character stands for the byte of its code.
        Returns an object with ``Content`` and ``Groups`` (bytes) and ``Timestamp``, which is 0 as in Renode.
        """
        tester = self.bench.tester(testerId)
        if not tester.binary:
            raise AssertionError(_WRONG_MODE.format("bytes", "text", True))
        look = tester.bytes(content, treatAsRegex, matchStart)
        return self._expect(tester, look, timeout, f'bytes "{content}"', pauseEmulation)

    @keyword
    def should_not_be_on_uart(self, content: str, timeout: float | None = None, testerId: TesterId | None = None,
                              treatAsRegex: bool = False, includeUnfinishedLine: bool = False) -> None:
        """Let the whole timeout pass; fail as soon as a line contains ``content``."""
        tester = self._text_tester(testerId)
        look = tester.line(content, treatAsRegex, includeUnfinishedLine)
        found = self.bench.wait(_failing_first(tester, look), _timeout(timeout, tester))
        if found is not None:
            raise AssertionError(f"Terminal tester failed!\n\nUnexpected entry has been found on UART#:\n{found.Line}")

    @keyword
    def test_if_uart_is_idle(self, timeout: float, testerId: TesterId | None = None,
                             pauseEmulation: bool | None = None) -> None:
        """Let ``timeout`` virtual seconds pass; fail as soon as the UART sends a byte."""
        tester = self.bench.tester(testerId)
        before = tester.received
        if self.bench.wait(lambda: tester.received > before or None, _seconds(timeout), self._hold(pauseEmulation)):
            self._fail(tester, "Terminal is idle", "the UART sent a byte")

    # writing -----------------------------------------------------------------------------------------------------
    @keyword
    def write_to_uart(self, content: str, testerId: TesterId | None = None) -> DotDict:
        """Send characters; each must fit into one byte."""
        tester = self.bench.tester(testerId)
        try:
            data = content.encode("latin-1")
        except UnicodeEncodeError as error:
            raise AssertionError(f'"{content[error.start]}" does not fit into one byte of a UART') from None
        self.bench.session.write(tester.wire, data, tester.spacing_ns)
        return result()

    @keyword
    def write_line_to_uart(self, content: str = "", testerId: TesterId | None = None, waitForEcho: bool | None = None,
                           pauseEmulation: bool | None = None) -> DotDict:
        """Send characters and a carriage return; wait for the echo of the characters unless told not to.

        As in Renode a failing string that comes instead of the echo goes unnoticed.
        """
        tester = self.bench.tester(testerId)
        self.write_to_uart(f"{content}\r", testerId)
        if self._wait_for_echo if waitForEcho is None else waitForEcho:
            look = tester.line(content, unfinished=True)
            self._await(tester, look, None, f'echo of "{content}"', pauseEmulation)
        return result()

    @keyword
    def write_char_on_uart(self, c: str, testerId: TesterId | None = None) -> DotDict:
        """Send one character."""
        if len(c) != 1:
            raise AssertionError(f'"{c}" is not one character; Write To Uart sends more')
        return self.write_to_uart(c, testerId)

    @keyword
    def send_key_to_uart(self, c: int, testerId: TesterId | None = None) -> DotDict:
        """Send one byte, given as a number (``0x1B``)."""
        if not 0 <= c < 256:
            raise AssertionError(f"{c} is not a byte; give 0 to 255")
        return self.write_to_uart(chr(c), testerId)

    @keyword
    def write_char_delay(self, delay: float, testerId: TesterId | None = None) -> None:
        """Virtual seconds before each character written from now on; 0: at the UART's line rate."""
        self.bench.tester(testerId).spacing_ns = round(_seconds(delay) * 1_000_000_000)

    # report and lines that must not come ---------------------------------------------------------------------------
    @keyword
    def get_terminal_tester_report(self, testerId: TesterId | None = None) -> str:
        """What was used up, with its virtual time, and how expectations ended.

        As in Renode it is written once: what follows appears after `Clear Terminal Tester Report` only. A failed wait
        has written it, too.
        """
        return self.bench.tester(testerId).report()

    @keyword
    def clear_terminal_tester_report(self, testerId: TesterId | None = None) -> None:
        """Forget the report and every line not used up."""
        self.bench.tester(testerId).clear_report()

    @keyword
    def register_failing_uart_string(self, pattern: str, treatAsRegex: bool = False,
                                     testerId: TesterId | None = None) -> None:
        """From now on a waiting keyword fails when a line contains ``pattern``."""
        compile_pattern(pattern, treatAsRegex)
        self.bench.tester(testerId).failing.append((pattern, treatAsRegex))

    @keyword
    def unregister_failing_uart_string(self, pattern: str, treatAsRegex: bool = False,
                                       testerId: TesterId | None = None) -> None:
        """Take a failing string back."""
        failing = self.bench.tester(testerId).failing
        if (pattern, treatAsRegex) not in failing:
            raise AssertionError(f'Unable to unregister failing string, entry not found: "{pattern}"')
        failing.remove((pattern, treatAsRegex))

    # -----------------------------------------------------------------------------------------------------------------
    def _text_tester(self, number: TesterId | None) -> TerminalTester:
        tester = self.bench.tester(number)
        if tester.binary:
            raise AssertionError(_WRONG_MODE.format("text", "binary", False))
        return tester

    def _expect(self, tester: TerminalTester, look: Matcher, timeout: float | None, what: str,
                pause: bool | None) -> DotDict:
        found = self._await(tester, look, timeout, what, pause)
        if found.get("IsFailingString"):
            raise AssertionError(f"Terminal tester failed!\n\nTest failing entry has been found on UART:\n{found.Line}")
        return found

    def _await(self, tester: TerminalTester, look: Matcher, timeout: float | None, what: str,
               pause: bool | None) -> DotDict:
        limit_s = _timeout(timeout, tester)
        found = self.bench.wait(_failing_first(tester, look), limit_s, self._hold(pause))
        if found is None:
            self._fail(tester, what, f"no {what} came within {limit_s:g} s of virtual time")
        tester.succeeded("error" if found.get("IsFailingString") else what)
        return found

    def _hold(self, pause: bool | None) -> bool:
        return self._pause if pause is None else pause

    @staticmethod
    def _fail(tester: TerminalTester, what: str, reason: str) -> NoReturn:
        tester.failed(what)
        raise AssertionError(f"Terminal tester failed!\n\n{reason}\n\nFull report:\n{tester.report()}")


def _failing_first(tester: TerminalTester, look: Matcher) -> Callable[[], DotDict | None]:
    return lambda: tester.failing_line() or look()


def _timeout(given: float | None, tester: TerminalTester) -> float:
    return tester.timeout_s if given is None else _seconds(given)


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise AssertionError(f"{value} is no span of time; give seconds from 0 on")
    return value
