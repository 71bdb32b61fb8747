# SPDX-License-Identifier: Apache-2.0
"""What a reader is told of a run: in results.json, on the page, in Markdown, in JUnit's format, by the exit code."""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from offchip.cli import app
from offchip.evidence import Evidence
from offchip.report.build import Judged, RunFacts, build_report
from offchip.report.record import Record, Verdict
from offchip.runner import judge

#: claim -> what Robot says, what its record says, what is to be told
CLAIMS: dict[str, tuple[str, str, Verdict | None, str, str | None]] = {
    "Held": ("PASS", "A01", Verdict.HELD, "proven", "held"),
    "Broken": ("PASS", "A01", Verdict.BROKEN, "proven", "broken"),
    "Degraded": ("PASS", "A09", Verdict.DEGRADED, "proven", "degraded"),
    "Held And Then Failed": ("FAIL", "A02", Verdict.HELD, "refuted", "not run"),
    "Lost": ("LOST", "A03", Verdict.HELD, "not run", None),
    "Skipped": ("SKIP", "A03", None, "not run", "not run"),
    "Without Record": ("PASS", "", None, "not run", None),
    "Functional": ("PASS", "", None, "proven", None),
    "Unclean": ("FAIL", "A03", Verdict.HELD, "refuted", "not run"),
}


@pytest.fixture
def told(tmp_path: Path) -> Path:
    for name, (_, attack, verdict, _, _) in CLAIMS.items():
        if name != "Without Record":
            fired = [Evidence(attack, "read", f"place of {name}", 7, received=b"abc")] if attack else []
            Record(f"S.{name}", name, attack, {"scheme": "plain", "medium": "sd"}, "embedded (1)", "ef", 5, 9, 8, fired,
                   ["seen"], verdict=verdict, reason="so it is").save(tmp_path / "records")
    claims = [Judged("S", name, "", status, "Teardown failed:\nwhy\nand more" if name == "Unclean" else "why")
              for name, (status, *_) in CLAIMS.items()]
    build_report(tmp_path, RunFacts("embedded", "ef" * 32, 5), claims, {"started": "now"}, {})
    return tmp_path


@pytest.mark.parametrize(("measured", "predicted", "status"), [
    ("held", "held", "proven"), ("broken", "held", "refuted"), (None, "held", "refuted"), ("broken", "", "proven")])
def test_a_cell_that_came_out_otherwise_is_refuted_whatever_its_test_says(
        tmp_path: Path, measured: str | None, predicted: str, status: str) -> None:
    name = "A01/read/fresh/sd"
    Record(f"Matrix fresh sd.{name}", name, "A01", verdict=Verdict(measured) if measured else None, predicted=predicted,
           cell=name, reason="so it is").save(tmp_path / "records")
    claims = [Judged("Matrix fresh sd", name, "", "PASS", "")]
    summary = build_report(tmp_path, RunFacts("embedded", "ef" * 32, 5), claims, {"started": "now"}, {})
    assert [row["status"] for row in summary["claims"]] == [status] and summary["refuted"] == (status == "refuted")
    document = json.loads((tmp_path / "matrix.json").read_text())
    assert document["run"]["counts"]["unexpected"] == (status == "refuted")


def test_results_say_what_was_found_of_each_claim(told: Path) -> None:
    summary = json.loads((told / "results.json").read_text())
    assert {row["claim"]: (row["status"], row["verdict"]) for row in summary["claims"]} == {
        name: (status, verdict) for name, (_, _, _, status, verdict) in CLAIMS.items()}
    assert [summary[key] for key in ("total", "proven", "refuted", "not_run")] == [9, 4, 2, 3]
    assert {row["message"] for row in summary["claims"] if row["status"] == "refuted"} == {"why"}
    assert (summary["seed"], summary["elf_sha256"], summary["engine"]) == (5, "ef" * 32, "embedded (1)")
    held = summary["claims"][0]["record"]
    (fired,) = held["fired"]
    assert (held["attack"], held["defence"], held["reason"], held["observations"]) == (
        "A01", {"scheme": "plain", "medium": "sd"}, "so it is", ["seen"])
    assert (fired["attack"], fired["place"], fired["time_ns"], fired["received"]["head"]) == (
        "A01", "place of Held", 7, "616263")


def test_the_page_and_the_table_say_the_same(told: Path) -> None:
    page = (told / "index.html").read_text()
    for name, (_, attack, _, status, verdict) in CLAIMS.items():
        assert f"| S | {name} | {status} | {verdict or ''} |" in (told / "summary.md").read_text()
        assert name in page
        number = list(CLAIMS).index(name) + 1
        chip = re.search(rf'<a class="chip ([a-z-]+)" href="#claim-{number}" title="{name}">([a-z ]+)</a>', page)
        if attack and status != "not run" or name == "Skipped":
            assert chip and chip[2] == verdict and chip[1] == chip[2].replace(" ", "-"), name
            row = page[:chip.start()].rpartition('<th scope="row">')[2]
            assert row.startswith(f"{attack} "), "in the row of its own attack"
    assert "4 of 9 claims proven, **2 refuted**, 3 not run" in (told / "summary.md").read_text()
    assert all(word in page for word in ("A01", "A02", "A09", "place of Held", "so it is", "616263"))


def test_no_ci_takes_a_claim_that_was_not_proven_for_green(told: Path) -> None:
    (suite,) = ElementTree.parse(told / "xunit.xml").getroot()
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["9", "2", "3", "0"]
    marks = {case.get("name"): [child.tag for child in case] for case in suite}
    words = {"proven": [], "refuted": ["failure"], "not run": ["error"]}
    assert marks == {name: words[status] for name, (_, _, _, status, _) in CLAIMS.items()}
    said = {case.get("name"): child.get("message") for case in suite for child in case}
    assert said == {name: "its verdict record was not saved" if name == "Without Record" else "why"
                    for name, (_, _, _, status, _) in CLAIMS.items() if status != "proven"}
    assert '"message": "why"' in (told / "results.json").read_text()


@pytest.mark.parametrize(("refuted", "not_run", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 3, 1)])
def test_only_a_run_without_a_doubt_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuted: int,
                                                not_run: int, code: int) -> None:
    outcome: dict[str, Any] = {"proven": 4, "refuted": refuted, "not_run": not_run, "total": 4 + refuted + not_run,
                               "claims": [], "scope": []}
    monkeypatch.setattr(judge, "judge", lambda options, say: (tmp_path, outcome, None))
    done = CliRunner().invoke(app, ["run"])
    assert done.exit_code == code, done.output
    assert f"4 of {4 + refuted + not_run} claims proven, {refuted} refuted, {not_run} not run" in done.output


def test_evidence_in_a_record_is_told_as_it_was() -> None:
    record = Record("s.c", "c", "A03")
    record.add_evidence([Evidence("A03", "flip", "sdcard:5", 77, before=b"b" * 100, after=b"a" * 99, sent=b"s",
                                  received=b"r" * 33)])
    (told,) = record.plain()["fired"]
    assert (told["attack"], told["action"], told["place"], told["time_ns"]) == ("A03", "flip", "sdcard:5", 77)
    for name, content in (("before", b"b" * 100), ("after", b"a" * 99), ("sent", b"s"), ("received", b"r" * 33)):
        assert told[name] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                              "head": content[:32].hex()}
