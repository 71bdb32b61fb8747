# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what the evidence and the observations of a test add up to."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.report.record import Unearned, Verdict
from OffchipLibrary.lab import Lab


class VerdictKeywords:
    """Judging only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def verdict_should_be(self, expected: Verdict, reason: str) -> None:
        """Close the test with a verdict on the attack it is tagged with.

        It counts only on evidence of that attack, on what oracles observed after it fired, and on a device that ran.
        A second verdict is an error.

        | =Argument= | =Description= |
        | expected | ``held``, ``broken`` or ``degraded``: what the oracles before this line showed |
        | reason | one line for the report |
        """
        self.lab.measure()
        try:
            self.lab.record.judge(expected, reason)
        except Unearned as error:
            raise AssertionError(str(error)) from None
