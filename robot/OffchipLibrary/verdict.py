# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what the evidence and the observations of a test add up to."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.report.record import Verdict
from offchip.report.threats import THREATS
from OffchipLibrary.lab import Lab


class VerdictKeywords:
    """Judging only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def the_attack_is(self, *attacks: str) -> None:
        """Name the attack ids this test is about (rows of the matrix), e.g. ``A01``."""
        for attack in attacks:
            if attack not in THREATS:
                raise AssertionError(f"there is no attack {attack}; known are {', '.join(THREATS)}")
        self.lab.record.attacks = list(attacks)

    @keyword(tags=("oracle",))
    def verdict_should_be(self, expected: Verdict, reason: str) -> None:
        """Close the test with a verdict; without evidence that the attack fired it is *not run* and the test fails.

        | =Argument= | =Description= |
        | expected | ``held``, ``broken`` or ``degraded``: what the oracles before this line showed |
        | reason | one line for the report |
        """
        self.lab.record.judge(expected, reason)
        if self.lab.record.verdict is not expected:
            raise AssertionError(f"verdict is {self.lab.record.verdict}: {self.lab.record.reason}")
        if not self.lab.record.observations:
            raise AssertionError("no oracle has observed anything; a verdict needs more than the attacker's word")
