# SPDX-License-Identifier: Apache-2.0
"""What is drawn from the cells, and what becomes of a run in which one changes its verdict."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif
from typer.testing import CliRunner

from fake_matrix import cells, report
from offchip.captures.keep import shown
from offchip.cli import app
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE
from offchip.report.answer import _written, judge_answer
from offchip.report.checks import missing_check
from offchip.report.code_size import vault_objects
from offchip.report.dossiers import stories
from offchip.report.matrix import load_matrix
from offchip.runner import judge
from offchip.vault import SCHEMES

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "docs/matrix.schema.json").read_text())
CITED = "A07/whole/fresh/sd"
CHANGED = {CITED: {"verdict": "broken", "proven": False, "message": "it is the old certificate"}}


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "matrix.json").read_text())
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def test_every_cell_is_in_the_document_as_its_record_has_it(tmp_path: Path) -> None:
    assert report(tmp_path)["answer_wrong"] == 0
    found = document(tmp_path)
    assert {each["id"]: each["verdict"] for each in found["cells"]} == dict(cells())
    assert found["run"]["counts"]["unexpected"] == 0 and found["run"]["cells"] == len(dict(cells()))
    assert found["answer"]["counts"] == {"holds": sum(len(each["sentence"]) for each in _written()["section"]),
                                         "wrong": 0, "not proven here": 0}
    (fresh,) = [each for each in found["costs"] if (each["scheme"], each["medium"]) == ("fresh", "sd")]
    assert fresh["more_than_plain_percent"] == 1.9 and fresh["code_bytes"] == 2048 + 70 + 513 + 9000
    assert 'title="nothing crosses a bus"' in (tmp_path / "index.html").read_text()
    assert "2026" not in (tmp_path / "matrix.json").read_text(), "nothing of the host"


def test_the_schema_knows_the_names_of_all_cells_there_are() -> None:
    from offchip.matrix.cells import cells as survey

    pattern = SCHEMA["$defs"]["cell"]["properties"]["id"]["pattern"]
    assert [each.id for each in survey() if not re.match(pattern, each.id)] == []


def test_a_cited_cell_that_changes_its_verdict_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # its own test says proven, as with a prediction that was changed along with it
    summary = report(tmp_path, changes={CITED: {"verdict": "broken", "predicted": "broken"}})
    assert (summary["refuted"], summary["not_run"]) == (0, 0) and summary["answer_wrong"] == 3
    told = (tmp_path / "ANSWER.md").read_text()
    assert f"`{CITED}` \N{BALLOT X} broken (needed: held)" in told and told.count("No longer true") == 3
    assert "No longer true" in (tmp_path / "index.html").read_text()
    assert "No longer true" in (tmp_path / "summary.md").read_text()
    monkeypatch.setattr(judge, "judge", lambda options, say: (tmp_path, summary, None))
    done = CliRunner().invoke(app, ["run", "--no-summary"])
    assert done.exit_code == 1 and "3 sentences of the answer no longer hold" in done.output


def test_a_cell_against_its_prediction_is_told_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = report(tmp_path, changes=CHANGED)
    assert summary["refuted"] == 1
    monkeypatch.setattr(judge, "judge", lambda options, say: (tmp_path, summary, None))
    said = CliRunner().invoke(app, ["run", "--no-summary"]).output
    assert CITED in said and CHANGED[CITED]["message"] in said and said.count(" \N{CHECK MARK} ") == 0, said
    found = document(tmp_path)
    (cell,) = [each for each in found["cells"] if each["id"] == CITED]
    assert (cell["verdict"], cell["predicted"], found["run"]["counts"]["unexpected"]) == ("broken", "held", 1)
    assert "came out otherwise than predicted" in (tmp_path / "index.html").read_text()
    assert "| **\N{BALLOT X}\N{CHECK MARK}** |" in (tmp_path / "summary.md").read_text()
    failed = [case.get("name") for case in ElementTree.parse(tmp_path / "xunit.xml").iter("testcase") if len(case)]
    assert failed == [CITED]
    levels = {result["properties"]["cells"][0]: result["level"]
              for result in json.loads((tmp_path / "offchip.sarif").read_text())["runs"][0]["results"]}
    assert levels[CITED] == "error" and set(levels.values()) == {"error", "note"}


def test_sarif_is_valid_and_points_at_the_line_that_lacks_the_check(tmp_path: Path) -> None:
    report(tmp_path)
    text = (tmp_path / "offchip.sarif").read_text()
    Sarif.model_validate_json(text)
    (run,) = json.loads(text)["runs"]
    broken = {cell.split("/", 1)[0] + "/" + "/".join(cell.split("/")[2:4]) for cell, verdict in cells()
              if verdict == "broken" and missing_check(cell[:3], cell.split("/")[2])}
    assert not {each[:3] for each in broken} & {"A13", "A30"}  # no line of the firmware keeps a laboratory out
    assert len(run["results"]) == len(broken) == len({result["partialFingerprints"]["offchipCell/v1"]
                                                      for result in run["results"]})
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        line = (ROOT / place["artifactLocation"]["uri"]).read_text().splitlines()[place["region"]["startLine"] - 1]
        scheme = result["properties"]["cells"][0].split("/")[2]
        assert scheme.upper().replace("-", "_") in line or scheme == "split", (scheme, line)


def test_a_surprise_is_shown_where_no_check_was_thought_of() -> None:
    assert missing_check("A22", "fresh") is None and missing_check("A22", "fresh", expected=False) is not None


def test_every_scheme_has_its_line_in_the_firmware() -> None:
    assert {scheme for scheme in SCHEMES if missing_check("A01", scheme) is None} == set()


def test_a_whole_run_without_a_cited_cell_fails(tmp_path: Path) -> None:
    """A row that was renamed leaves its sentences without a proof."""
    assert report(tmp_path / "part", only="/plain/sd", scope=("plain sd",))["answer_wrong"] == 0
    assert report(tmp_path / "whole", only="/plain/sd")["answer_wrong"] > 0


def test_a_partial_run_says_so_and_proves_only_what_it_ran(tmp_path: Path) -> None:
    summary = report(tmp_path, only="/plain/sd", scope=("plain sd",))
    found = document(tmp_path)
    assert summary["answer_wrong"] == 0 and found["answer"]["counts"]["wrong"] == 0
    assert found["answer"]["counts"]["not proven here"] > found["answer"]["counts"]["holds"] > 0
    assert "A partial run" in (tmp_path / "index.html").read_text()
    assert "not proven in this run" in (tmp_path / "ANSWER.md").read_text()


def test_a_cell_that_was_not_run_proves_nothing(tmp_path: Path) -> None:
    report(tmp_path, changes={CITED: {"verdict": "not run", "proven": False}})
    states = [(sentence["state"], CITED in {each["cell"] for each in sentence["cells"]})
              for section in document(tmp_path)["answer"]["sections"] for sentence in section["sentences"]]
    assert {state for state, cites in states if cites} == {"not proven here"}
    assert {state for state, cites in states if not cites} == {"holds"}
    counts = document(tmp_path)["run"]["counts"]
    assert counts["not run"] == counts["unexpected"] == 1


def test_another_run_is_compared_cell_by_cell(tmp_path: Path) -> None:
    report(tmp_path / "a", changes=CHANGED)
    report(tmp_path / "b", other=tmp_path / "a")
    compared = document(tmp_path / "b")["compared"]
    assert (compared["differ"], compared["agree"]) == ([CITED], compared["cells"] - 1)
    assert f"{compared['agree']} of {compared['cells']} cells agree" in (tmp_path / "b/summary.md").read_text()
    with pytest.raises(OffchipError, match="give the folder of a report"):
        load_matrix(tmp_path / "nowhere")


def test_one_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(tmp_path / name)
    for name in ("matrix.json", "ANSWER.md", "offchip.sarif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_attack_of_the_catalogue_is_told_in_plain_words() -> None:
    from offchip.attacks.catalogue import ATTACKS
    from offchip.matrix.cells import cells as survey
    from offchip.matrix.predictions import predict

    assert set(ATTACKS) <= set(stories())
    out_of_service = {each.attack.id for each in survey() if predict(each).verdict == "degraded"}
    for key, story in stories().items():
        words = {"effect", "lost", "kept", "remedy"} | ({"degraded"} if key in out_of_service else set())
        assert set(story) == words and all(story.values()), key


def test_the_answer_agrees_with_what_is_predicted() -> None:
    """A run would find out as well, in minutes."""
    from offchip.matrix.cells import cells as survey
    from offchip.matrix.predictions import predict

    predicted = {"cells": [{"id": each.id, "verdict": str(predict(each).verdict)} for each in survey()]}
    states = {sentence["text"]: (sentence["state"], [each for each in sentence["cells"]
                                                     if each["verdict"] != each["needed"]])
              for section in judge_answer(predicted)["sections"] for sentence in section["sentences"]}
    assert {text: told for text, told in states.items() if told[0] != "holds"} == {}
    assert shown() & {each["id"] for each in predicted["cells"]}, "the cells whose captures are shown"


def test_a_test_that_failed_for_another_reason_has_no_verdict(tmp_path: Path) -> None:
    """As predicted, and yet its test failed: nothing it measured counts."""
    report(tmp_path, changes={CITED: {"proven": False, "message": "an access nobody modelled"}})
    (cell,) = [each for each in document(tmp_path)["cells"] if each["id"] == CITED]
    assert (cell["verdict"], cell["predicted"], cell["status"]) == ("not run", "held", "refuted")


def test_sizes_of_the_vault_are_those_of_the_linker(tmp_path: Path) -> None:
    sizes = vault_objects(FIRMWARE)
    assert sum(sizes.values()) < 24 << 10 and {"plain", "vault", "record", "medium_sd"} <= set(sizes)
    listed = subprocess.run(["arm-none-eabi-size", "-A", str(FIRMWARE.parent / "vault/plain.o")], capture_output=True,
                            text=True, check=True).stdout
    there = sum(int(line.split()[1]) for line in listed.splitlines() if line.startswith((".text", ".rodata")))
    assert 0 < sizes["plain"] <= there
    assert vault_objects(tmp_path / "no.elf") == {}
