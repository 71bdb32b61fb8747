# SPDX-License-Identifier: Apache-2.0
"""What a claim is about, as tags that can be chosen by: its attack's weaknesses beside its attack's id."""

from __future__ import annotations

from robot.api import SuiteVisitor
from robot.running import TestCase

from offchip.attacks.catalogue import ATTACKS


class AttackTags(SuiteVisitor):  # type: ignore[misc]
    """Adds to each test the tags of the attack it is tagged with, before anything is chosen.

    ``offchip run --include CWE-312`` does so by itself; with Robot's own command it is
    ``robot --prerunmodifier offchip.runner.tags.AttackTags --include CWE-312 robot/suites``.
    """

    def visit_test(self, test: TestCase) -> None:
        for attack in sorted(ATTACKS.keys() & set(test.tags)):
            test.tags.add(ATTACKS[attack].tags())
