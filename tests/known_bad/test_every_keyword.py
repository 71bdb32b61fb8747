# SPDX-License-Identifier: Apache-2.0
"""A keyword that cannot fail proves nothing: each oracle and each attacker has a world here in which it does."""

from __future__ import annotations

from OffchipLibrary import OffchipLibrary
from tests.known_bad import test_attackers, test_cells, test_oracles
from tests.known_bad.worlds import COVERED


def test_every_oracle_and_every_attacker_has_a_known_bad_world() -> None:
    library = OffchipLibrary()
    judged = {name.replace("_", " ").lower() for name in library.get_keyword_names()
              if {"oracle", "attacker"} & set(library.get_keyword_tags(name))}
    assert len(judged) > 45
    assert judged - set(COVERED) == set(), "these keywords have no world in which they fail"
    assert set(COVERED) - judged == set(), "these are no keywords"
    there = {*vars(test_oracles), *vars(test_attackers), *vars(test_cells)}
    assert {name for tests in COVERED.values() for name in tests} <= there
