# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the device: its console, and what the models say of its behaviour on the buses."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.board.console import ConsoleLine
from OffchipLibrary.lab import Lab


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
        """No line since the first power-on matches."""
        lines = self.lab.board.console.find(pattern)
        if lines:
            raise AssertionError(f"the console showed '{lines[0].text}' at {lines[0].time_ns / 1e9:.3f} s")
        self.lab.saw(f"console never showed /{pattern}/")

    @keyword(tags=("oracle",))
    def device_should_publish(self, topic: str, rounds: int = 1, timeout: float = 30.0) -> None:
        """The device says it published on ``topic`` so many times, and the broker has accepted as many from it."""
        broker = self.lab.stage.broker
        for _ in range(rounds):
            self.console_should_show(rf"^mqtt: published topic={topic} ", timeout)
        accepted = self.lab.stage.accepted_publishes(topic)
        if len(accepted) < rounds:
            raise AssertionError(f"the broker accepted {len(accepted)} messages on {topic}, not {rounds}: "
                                 f"{[str(e) for e in broker.events][-5:]}")
        self.lab.saw(f"broker accepted {len(accepted)} messages on {topic}")

    @keyword(tags=("oracle",))
    def device_should_wait_with_reason(self, reason: str, timeout: float = 30.0) -> None:
        """The device reports the reason, backs off and says when it will try again."""
        self.console_should_show(rf"^state: waiting reason={reason} retry_ms=\d+", timeout)

    @keyword(tags=("oracle",))
    def device_should_stay_alive(self, seconds: float = 20.0) -> None:
        """For ``seconds`` of virtual time the device neither resets, hangs nor touches unknown registers.

        *Not hanging* means it says something at least once: it retries with bounded back-off.
        """
        board = self.lab.board
        boots, said = len(board.console.find("^boot: ")), len(board.console.lines)
        board.run(seconds)
        if len(board.console.find("^boot: ")) != boots:
            raise AssertionError(f"the device restarted: {board.console.tail(8)}")
        if len(board.console.lines) == said:
            raise AssertionError(f"the device said nothing for {seconds:g} s; last: {board.console.tail(3)}")
        self.models_should_have_no_complaints()
        self.lab.saw(f"alive for {seconds:g} s: {len(board.console.lines) - said} console lines, no restart")

    @keyword(tags=("oracle",))
    def models_should_have_no_complaints(self) -> None:
        """No access to a register nobody modelled, no rule of a data sheet broken, no fault."""
        found = [d for d in self.lab.board.diagnostics() if d.kind in ("unmodelled", "violation", "fault", "lockup")]
        if found:
            raise AssertionError("; ".join(f"{d.kind} {d.where}: {d.message} (PC 0x{d.pc:08X})" for d in found[:5]))

    def _note(self, line: ConsoleLine) -> None:
        self.lab.saw(f"console {line.time_ns / 1e9:.3f} s: {line.text}")
