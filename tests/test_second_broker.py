# SPDX-License-Identifier: Apache-2.0
"""An independent AWS-like broker is asked what ours is asked; where it is not installed, only the list is looked at."""

from __future__ import annotations

import pytest

from tests.interop import guide
from tests.interop.questions import QUESTIONS
from tests.interop.second import PACKAGES, compare, judgements, python, unjudged


def test_every_judgement_names_questions_that_are_asked() -> None:
    names = [each.name for each in (*QUESTIONS, *guide.questions())]
    assert len(set(names)) == len(names)
    assert {name for each in judgements() for name in each.questions} <= set(names)
    assert {each.right for each in judgements()} <= {"offchip", "ministack", "unknown"}
    assert all(each.source.startswith("https://") for each in judgements())


def test_an_independent_broker_differs_only_where_it_is_judged() -> None:
    program = python()
    if program is None:
        pytest.skip(f"{PACKAGES[0]} is not installed; run: .venv/bin/python -m tests.interop.second")
    assert unjudged(compare(program)) == {}
