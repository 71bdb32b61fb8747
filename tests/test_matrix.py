# SPDX-License-Identifier: Apache-2.0
"""The matrix: every cell is predicted, every prediction used, and nobody who acts or measures can look it up."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest
from robot.api import TestSuite as Suite

from offchip.attacks.reach import AttackFailed
from offchip.errors import OffchipError
from offchip.matrix.bench import Bench, run_cell
from offchip.matrix.cells import Cell, cell, cells, survey
from offchip.matrix.predictions import predict
from offchip.paths import FIRMWARE, ROOT
from offchip.report.dossiers import unbroken
from OffchipLibrary.goals.base import Outcome, Undecided, either
from OffchipLibrary.goals.catalogue import GOALS
from OffchipLibrary.lab import Lab
from OffchipMatrix import OffchipMatrix


def test_every_cell_has_an_id_of_its_own_and_a_prediction() -> None:
    ids = [each.id for each in cells()]
    assert len(set(ids)) == len(ids) > 200
    for each in cells():
        assert predict(each).why


def test_robot_itself_runs_cells_and_claims_by_tag(tmp_path: Path) -> None:
    ran = subprocess.run([Path(sys.executable).with_name("robot"), "--argumentfile", "robot/offchip.args", "--dryrun",
                          "--include", "A07", "--outputdir", tmp_path, "--xunit", "x.xml", "robot/suites"], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    wanted = [each.id for each in cells() if "A07" in each.tags]
    assert ran.returncode == 0 and not ran.stderr.replace("[ WARN ]", ""), ran.stdout + ran.stderr
    told = (tmp_path / "x.xml").read_text(encoding="utf-8")
    assert wanted and all(f'name="{each}"' in told for each in wanted)


def test_where_there_is_no_cell_a_reason_stands() -> None:
    left = [each for each in survey() if not isinstance(each, Cell)]
    assert left and all(each.reason for each in left)


def test_no_row_holds_everywhere_without_a_weaker_defence_that_falls() -> None:
    """Who is kept out by everything may just be clumsy."""
    listed = unbroken()
    mutants = {each["id"] for path in (ROOT / "tests/mutants").glob("*.toml")
               for each in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])}
    broken = {each.row for each in cells() if predict(each).verdict == "broken"}
    assert set(listed) == set(GOALS) - broken
    for row, line in listed.items():
        assert len(line) == 1 and (line.get("reason") or line["mutant"] in mutants), row


def test_who_acts_or_measures_cannot_look_the_answer_up() -> None:
    for folder in ("offchip/attacks", "offchip/scene", "robot/OffchipLibrary"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else \
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.startswith(("offchip.matrix", "offchip.report.dossiers")) for name in names), path


@pytest.mark.parametrize(("name", "words"), [
    ("A99/x/plain/sd", "no attack 'A99/x'"), ("A01/read/plain/none", "does not go with"),
    ("A02/boot/internal/none", "nothing crosses a bus"), ("A01/read", "attack/variant/scheme/medium")])
def test_a_cell_that_is_not_there_is_refused_with_the_reason(name: str, words: str) -> None:
    with pytest.raises(OffchipError, match=words):
        cell(name)


def test_a_file_of_cells_becomes_one_robot_test_each(tmp_path: Path) -> None:
    chosen = tmp_path / "few.cells"
    chosen.write_text('attacks = ["A01/*", "A02/*"]\nschemes = ["plain", "fresh"]\nmedia = ["sd"]\n', encoding="utf-8")
    suite = Suite.from_file_system(str(chosen), custom_parsers=["offchip.matrix.parser.CellsParser"])
    assert [each.name for each in suite.suites] == ["Matrix plain sd", "Matrix fresh sd"]
    tests = list(suite.all_tests)
    assert [test.name for test in tests] == [each.id for each in cells() if each.attack.id in ("A01", "A02")
                                             and each.column in ("plain sd", "fresh sd")]
    assert {"A01", "CWE-312", "plain", "sd"} <= set(tests[0].tags)


class _Disagreeing:
    def __call__(self) -> None:
        raise AssertionError("no")


@pytest.mark.parametrize("oracles", [(_Disagreeing(), _Disagreeing()), (lambda: None, lambda: None)])
def test_oracles_that_do_not_decide_are_no_verdict(oracles: tuple[_Disagreeing, _Disagreeing]) -> None:
    with pytest.raises(Undecided):
        either(Lab("embedded", None), (oracles[0], "broken"), (oracles[1], "held"))


def _run(name: str, monkeypatch: pytest.MonkeyPatch, fire: object = None, measure: object = None) -> dict[str, object]:
    chosen = cell(name)
    goal = type(GOALS[chosen.row])
    if fire is not None:
        monkeypatch.setattr(goal, "fire", fire)
    if measure is not None:
        monkeypatch.setattr(goal, "measure", measure)
    bench = Bench("embedded", FIRMWARE, 1)
    try:
        return bench.run(chosen, f"test.{name}")
    finally:
        bench.close()


def test_an_attacker_that_does_nothing_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    record = _run("A01/read/fresh/eeprom", monkeypatch, fire=lambda self, lab: None)
    assert record["verdict"] == "not run"
    assert "nothing of the 0 things the attacker says he got" in str(record["reason"])


def test_an_attack_that_fails_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, lab: Lab) -> None:
        raise AttackFailed("the probe fell off")

    record = _run("A01/read/fresh/eeprom", monkeypatch, fire=fail)
    assert (record["verdict"], record["reason"]) == ("not run", "the probe fell off")


def test_an_oracle_that_looks_at_nothing_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    from offchip.report.record import Verdict

    record = _run("A01/read/plain/eeprom", monkeypatch, measure=lambda self, lab, see: Outcome(Verdict.HELD, "sure"))
    assert record["verdict"] == "not run"
    assert "no oracle has observed anything" in str(record["reason"])


def test_cells_do_not_see_each_other() -> None:
    """Fired on copies of one device, in either order, they come out the same to the byte."""
    bench = Bench("embedded", FIRMWARE, 1)
    first, second = cell("A01/read/plain/eeprom"), cell("A09/wipe/plain/eeprom")
    try:
        forward = [bench.run(each, "x") for each in (first, second)]
        backward = [bench.run(each, "x") for each in (second, first)]
    finally:
        bench.close()
    assert forward == backward[::-1]
    assert [each["verdict"] for each in forward] == ["broken", "degraded"]


def test_a_copy_of_a_device_comes_out_as_the_device_itself() -> None:
    chosen, bench = cell("A13/dump/fresh/eeprom"), Bench("embedded", FIRMWARE, 1)
    try:
        assert bench.run(chosen, "x") == run_cell(chosen, bench._warm_up(chosen), "x")
    finally:
        bench.close()


@pytest.mark.parametrize(("measured", "fails"), [("broken", False), ("held", True), ("not run", True)])
def test_a_cell_that_comes_out_otherwise_fails_its_robot_test(monkeypatch: pytest.MonkeyPatch, measured: str,
                                                             fails: bool) -> None:
    monkeypatch.setattr("OffchipMatrix.BuiltIn.get_variable_value", lambda self, name, default=None: default)
    library = OffchipMatrix(records="")
    monkeypatch.setattr(library._bench, "run", lambda *_: {
        "verdict": measured, "reason": "so it is", "captures": [], "fired": [], "observations": []})
    monkeypatch.setattr(library, "_cost", lambda chosen: None)
    with pytest.raises(AssertionError, match="predicted: broken") if fails else nullcontext():
        library.the_cell_should_come_out_as_predicted("A01/read/plain/sd")
