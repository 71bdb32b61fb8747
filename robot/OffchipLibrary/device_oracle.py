# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the device: its console, its rhythm, and what the models say of its behaviour on the buses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from robot.api.deco import keyword

from offchip.attacks.skipping import SKIP
from offchip.board.console import ConsoleLine
from OffchipLibrary.console_lines import is_specified
from OffchipLibrary.lab import Lab

#: one character on the console: 10 bits at 115200 baud; a pause longer than a few says that nothing was left to print
_CHARACTER_NS, _PAUSE_NS = 10 * 1_000_000_000 // 115_200, 500_000
_WAITING = re.compile(r"^state: waiting reason=(\S+) retry_ms=(\d+)$")
#: SPEC.md section 6: full jitter below a ceiling that doubles from one second to a minute
_FIRST_MS, _CEILING_MS = 1000, 60_000
#: an attempt that came to its end, and what only the next one says
_FAILED = re.compile(r"^(tls: (refused|alert|error)|mqtt: (closed|refused|error)|(modem|clock|credentials): error)")
_NEXT = re.compile(r"^(rng: |credentials: |modem: ready|tls: connected|mqtt: connected)")
_COMPLAINTS = ("unmodelled", "violation", "fault", "lockup")
#: two attempts in this many virtual seconds: survival
_ALIVE_SIGNS = 2


def _wanted(lines: Sequence[ConsoleLine]) -> dict[ConsoleLine, int]:
    """The earliest time in ns at which the device can have wanted to say each line: it may have waited behind those
    that were printed without a pause before it.
    """
    found, before, since = dict[ConsoleLine, int](), 0, 0
    for line in lines:
        begun = line.time_ns - (len(line.text) + len("\r\n")) * _CHARACTER_NS
        if not found or begun - before > _PAUSE_NS:
            since = begun
        found[line], before = since, line.time_ns
    return found


class DeviceOracleKeywords:
    """Judging only; time runs while they wait."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def console_should_show(self, pattern: str, timeout: float = 30.0) -> str:
        """Wait up to ``timeout`` virtual seconds for a new line that matches the regular expression; return it."""
        found = self.lab.board.console.wait_for(pattern, timeout)
        self._note(found.line)
        return found.line.text

    @keyword(tags=("oracle",))
    def console_should_never_have_shown(self, pattern: str) -> None:
        """The device has said something since the first power-on, and no line of it matches."""
        console = self.lab.board.console
        lines = console.find(pattern)
        if lines:
            raise AssertionError(f"the console showed '{lines[0].text}' at {lines[0].time_ns / 1e9:.3f} s")
        if not console.lines:
            raise AssertionError("the console has shown nothing at all")
        self.lab.saw(f"console never showed /{pattern}/ in {len(console.lines)} lines")

    @keyword(tags=("oracle",))
    def console_should_have_said_only_what_is_specified(self) -> None:
        """Every line of every device's console is one of SPEC.md section 6.

        However a secret is spelled or masked, it needs a line to stand on. A core that was made to skip an instruction
        may say anything.
        """
        if any(each.action == SKIP for each in self.lab.record.fired):
            return
        lines = [line for device in self.lab.scene.devices for line in device.board.console.lines]
        for line in lines:
            if not is_specified(line.text):
                raise AssertionError(f"SPEC.md section 6 knows no line like '{line.text}' "
                                     f"({line.time_ns / 1e9:.3f} s)")
        self.lab.saw(f"console: {len(lines)} lines, all of them specified")

    @keyword(tags=("oracle",))
    def device_should_publish(self, topic: str, rounds: int = 1, timeout: float = 30.0) -> None:
        """The device says so many times that it published on ``topic``, and the broker has accepted each."""
        before = len(self.lab.scene.accepted_publishes(topic, self._client_id))
        said = len(self.lab.board.console.find(rf"^mqtt: published topic={re.escape(topic)} "))
        unread = before - said  # accepted, but the device has not said so yet
        for _ in range(rounds):
            self.console_should_show(rf"^mqtt: published topic={re.escape(topic)} ", timeout)
        lines = len(self.lab.board.console.find(rf"^mqtt: published topic={re.escape(topic)} "))
        accepted = len(self.lab.scene.accepted_publishes(topic, self._client_id))
        if accepted < lines or accepted < rounds:
            raise AssertionError(f"the device says it published {lines} times on {topic}, the broker accepted "
                                 f"{accepted} (before: {said}, {unread:+d}): "
                                 f"{[str(e) for e in self.lab.scene.broker.events][-5:]}")
        self.lab.saw(f"broker accepted {accepted} messages on {topic}")

    @property
    def _client_id(self) -> str:
        provisioning = self.lab.device.provisioning
        return provisioning.client_id or provisioning.thing_name

    @keyword(tags=("oracle",))
    def device_should_wait_with_reason(self, reason: str, timeout: float = 30.0) -> None:
        """The device reports the reason (a regular expression), backs off and says when it will try again."""
        self.console_should_show(rf"^state: waiting reason={reason} retry_ms=\d+", timeout)

    @keyword(tags=("oracle",))
    def device_should_stay_alive(self, seconds: float = 20.0) -> None:
        """For ``seconds`` of virtual time the device neither resets, hangs nor touches unknown registers.

        *Not hanging* means at least two more attempts: rounds of telemetry, or failures with a back-off behind them.
        """
        board = self.lab.board
        boots, said = len(board.console.find("^boot: ")), len(board.console.lines)
        board.run(seconds)
        if len(board.console.find("^boot: ")) != boots:
            raise AssertionError(f"the device restarted: {board.console.tail(8)}")
        attempts = [line for line in board.console.lines[said:]
                    if line.text.startswith("mqtt: published") or _WAITING.match(line.text)]
        if len(attempts) < _ALIVE_SIGNS:
            raise AssertionError(f"the device made {len(attempts)} attempts in {seconds:g} s, not {_ALIVE_SIGNS}; "
                                 f"last: {board.console.tail(3)}")
        self.models_should_have_no_complaints()
        self.lab.saw(f"alive for {seconds:g} s: {len(attempts)} attempts, no restart")

    @keyword(tags=("oracle",))
    def device_should_fail_every_attempt(self, pattern: str, attempts: int = 5, timeout: float = 180.0) -> None:
        """From the attack on, at least so many attempts to connect fail, each with a line that matches ``pattern``.

        No attempt comes to an MQTT session. Attempts after the fifth, if there are any by then, are looked at, too.
        """
        console, begun = self.lab.board.console, self.lab.begun

        def failed() -> list[list[ConsoleLine]]:
            return _attempts(console.lines[begun.lines:])

        def session() -> ConsoleLine | None:
            return next((line for line in console.lines[begun.lines:]
                         if line.text.startswith(("mqtt: connected", "mqtt: published"))), None)

        self.lab.board.run_until(
            lambda: len(failed()) >= attempts or session() is not None or _unwaited(console.lines[begun.lines:]) != "",
            timeout, f"{attempts} failed attempts")
        console.skip()
        if hasty := _unwaited(console.lines[begun.lines:]):
            raise AssertionError(hasty)
        if good := session():
            raise AssertionError(f"an attempt came to a session: {good.text} at {good.time_ns / 1e9:.3f} s")
        for number, lines in enumerate(failed(), 1):
            texts = [line.text for line in lines]
            if not any(re.search(pattern, text) for text in texts):
                raise AssertionError(f"attempt {number} failed without /{pattern}/: {texts[-4:]}")
        self.lab.saw(f"{len(failed())} attempts, each ended with /{pattern}/")

    @keyword(tags=("oracle",))
    def device_should_have_lost_its_session(self, within_ms: int = 500) -> None:
        """The device notices the end of its session in so many virtual milliseconds from the server's disconnect."""
        self.console_should_show("^mqtt: (closed|error)")
        line = self.lab.board.console.find("^mqtt: (closed|error)")[-1]
        ended = self.lab.last_disconnect_ns()
        if ended is None:
            raise AssertionError("the server has disconnected nobody")
        if not 0 <= line.time_ns - ended <= within_ms * 1_000_000:
            raise AssertionError(f"the device noticed after {(line.time_ns - ended) / 1e6:.1f} ms, not {within_ms}")
        self.lab.saw(f"session lost, noticed after {(line.time_ns - ended) / 1e6:.1f} ms")

    @keyword(tags=("oracle",))
    def models_should_have_no_complaints(self) -> None:
        """No access to a register nobody modelled, no rule of a data sheet broken, no fault."""
        found = [d for d in self.lab.board.diagnostics() if d.kind in _COMPLAINTS]
        if found:
            raise AssertionError("; ".join(f"{d.kind} {d.where}: {d.message} (PC 0x{d.pc:08X})" for d in found[:5]))

    @keyword(tags=("oracle",))
    def device_should_have_kept_its_back_off(self) -> None:
        """After each failed attempt the device said ``state: waiting`` and was silent for as long as it had said, up to
        a restart.

        What it says is random between 1 ms and a ceiling, which doubles from one second to a minute.
        """
        said = _wanted(self.lab.board.console.lines)
        lines = [line for line in self.lab.board.console.lines if not line.text.startswith("hall: ")]
        if hasty := _unwaited(lines):
            raise AssertionError(hasty)
        failures = waits = 0
        for line, after in zip(lines, [*lines[1:], None], strict=False):
            if line.text.startswith("boot: "):
                failures = 0
            match = _WAITING.match(line.text)
            if not match:
                continue
            waits += 1
            announced_ms, ceiling = int(match[2]), min(_FIRST_MS << failures, _CEILING_MS)
            failures += 1
            if not 1 <= announced_ms <= ceiling:
                raise AssertionError(f"'{line.text}' at {line.time_ns / 1e9:.3f} s: more than {ceiling} ms, or none")
            if after is None or after.text.startswith("boot: "):
                continue
            kept_ms = (after.time_ns - said[line]) / 1e6
            if kept_ms < announced_ms:
                raise AssertionError(f"'{line.text}' at {line.time_ns / 1e9:.3f} s, but '{after.text}' came after "
                                     f"{kept_ms:.0f} ms")
        self.lab.saw(f"back-off kept in {waits} waits")

    def _note(self, line: ConsoleLine) -> None:
        self.lab.saw(f"console {line.time_ns / 1e9:.3f} s: {line.text}")


def _attempts(lines: list[ConsoleLine]) -> list[list[ConsoleLine]]:
    """What was said in each attempt that ended in a wait."""
    found: list[list[ConsoleLine]] = [[]]
    for line in lines:
        found[-1].append(line)
        if _WAITING.match(line.text):
            found.append([])
    return found[:-1]


def _unwaited(lines: list[ConsoleLine]) -> str:
    """Which failure was not waited for before the next attempt; '': none."""
    failed = ""
    for line in lines:
        if failed and _NEXT.match(line.text):
            return f"'{line.text}' at {line.time_ns / 1e9:.3f} s came behind '{failed}' without a wait"
        if line.text.startswith("boot: ") or _WAITING.match(line.text):
            failed = ""
        elif _FAILED.match(line.text):
            failed = line.text
    return ""
