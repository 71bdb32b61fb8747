# SPDX-License-Identifier: Apache-2.0
"""The command that judges the judges: what it says when its corpus is wrong, and when nobody notices a mutant."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from offchip.runner.inventory import read_inventory
from tests.mutants.corpus import check, load
from tests.mutants.judge import is_test

ROOT = Path(__file__).resolve().parent.parent
JUDGE = "tests/test_policy.py::test_actions"
KINDS = ("firmware", "broker", "engine", "attackers", "oracles", "report")


def command(corpus: Path, *, file: str, find: str, replace: str,
            judge: str = JUDGE) -> subprocess.CompletedProcess[str]:
    corpus.mkdir()
    (corpus / "a.toml").write_text(f"[[mutant]]\nid = 'one'\nwhat = 'a change'\nred = ['{judge}']\n[[mutant.edit]]\n"
                                   f"file = '{file}'\nfind = '{find}'\nreplace = '{replace}'\n")
    return subprocess.run([sys.executable, "-m", "tests.mutants", "--corpus", corpus, "--jobs", "1"], cwd=ROOT,
                          capture_output=True, text=True)


def test_the_corpus_fits_the_tree_and_covers_every_kind() -> None:
    mutants = load()
    for each in mutants:
        check(each, ROOT)
        assert each.judges, each.id
    wrong = Counter(each.source.removesuffix(".toml") for each in mutants if each.red)
    assert wrong.total() >= 60 and all(wrong[kind] >= 10 for kind in KINDS)
    assert sum(not each.red for each in mutants) >= 5
    fast = [each for each in mutants if each.fast]
    assert len(fast) <= 12 and {each.source.removesuffix(".toml") for each in fast} == set(KINDS)


def test_what_judges_the_fast_ones_is_judged_before_by_the_test_command() -> None:
    """... which then says --green."""
    script = (ROOT / "scripts/test").read_text()
    assert "--fast --green" in script
    judged = {f"{suite.stem}: {claim.name}" for suite in
              read_inventory(ROOT / "robot/suites", exclude=re.findall(r"--exclude (\S+)", script))
              for claim in suite.claims}
    unasked = {judge for each in load() if each.fast for judge in each.judges if not is_test(judge)} - judged
    assert len(judged) > 100 and not unasked


def test_a_lost_anchor_is_named(tmp_path: Path) -> None:
    done = command(tmp_path / "c", file="offchip/broker/policy.py", find="nobody wrote this", replace="x")
    assert done.returncode == 2 and done.stdout == ""
    assert "a.toml: one: the text to replace stands 0 times in offchip/broker/policy.py, not once" in done.stderr


@pytest.mark.parametrize(("change", "code", "said"), [
    ({"file": "firmware/src/app/backoff.c", "find": "FIRST_MS = 1000", "replace": "FIRST_MS = ;"}, 2,
     "0 of 1 mutants red, 0 of 0 correct variants green; not judged: one\n"),
    ({"file": "offchip/broker/policy.py", "find": "MAXIMUM_LENGTH = 2048", "replace": "MAXIMUM_LENGTH = 2 * 1024"}, 1,
     "0 of 1 mutants red, 0 of 0 correct variants green; unnoticed: one\n"),
    ({"file": "offchip/broker/policy.py", "find": "self.actions)", "replace": "())"}, 0,
     "1 of 1 mutants red, 0 of 0 correct variants green\n"),
], ids=["does-not-build", "equivalent", "noticed"])
def test_what_is_not_judged_not_noticed_or_noticed(tmp_path: Path, change: dict[str, str], code: int,
                                                   said: str) -> None:
    done = command(tmp_path / "c", **change)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


def test_a_judge_that_is_not_green_without_a_change_judges_nothing(tmp_path: Path) -> None:
    done = command(tmp_path / "c", file="offchip/broker/policy.py", find="MAXIMUM_LENGTH = 2048", replace="x = 1",
                   judge="tests/test_policy.py::test_nobody_wrote")
    assert done.returncode == 2 and "is not green but:" in done.stderr
