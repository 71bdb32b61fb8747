# SPDX-License-Identifier: Apache-2.0
"""Two reports: what differs is named, what may differ is not."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.forked_cli import offchip

RECORD = {
    "scenario": "06 Plain.Key Is Found", "engine": "embedded", "virtual_time_ns": 5, "instructions": 7,
    "attack": "A03", "defence": {"scheme": "plain"},
    "fired": [{"attack": "A03", "action": "flip", "place": "sd:1", "before": {"size": 1, "head": "00"}, "time_ns": 3},
              {"attack": "A03", "action": "flip", "place": "sd:2", "before": {"size": 1, "head": "01"}, "time_ns": 4}],
    "observations": ["console 2.120 s: key=1", "found"], "verdict": "broken"}
SUMMARY = {"engine": "embedded", "elf_sha256": "ab" * 32, "seed": 1, "claims": [
    {"suite": "06 Plain", "claim": "Key Is Found", "status": "proven", "verdict": "broken", "record": RECORD},
    {"suite": "06 Plain", "claim": "Other", "status": "not run", "verdict": None, "record": {}}]}


def compare(tmp_path: Path, change: str) -> subprocess.CompletedProcess[str]:
    other: dict[str, Any] = copy.deepcopy(SUMMARY)
    exec(change, {"claims": other["claims"], "record": other["claims"][0]["record"], "summary": other})
    for name, content in (("a", SUMMARY), ("b", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(content))
    return offchip("compare", tmp_path / "a", tmp_path / "b", "--markdown", tmp_path / "table.md")


@pytest.mark.parametrize("change", [
    "", "record['engine'] = 'renode'", "record['instructions'] = 9", "record['virtual_time_ns'] = 9",
    "record['fired'][0]['time_ns'] = 9", "record['observations'][0] = 'console 17 ms: key=1'",
    "summary['elf_sha256'] = 'cd'", "summary['seed'] = 2"])
def test_time_pace_and_place_are_no_difference(tmp_path: Path, change: str) -> None:
    done = compare(tmp_path, change)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("no difference in 2 claims\n")


@pytest.mark.parametrize(("change", "what"), [
    ("claims.pop(0)", "missing"),
    ("claims.append({'suite': 'S', 'claim': 'New', 'status': 'proven', 'record': {}})", "S.New"),
    ("claims[0]['status'] = 'refuted'", "refuted"),
    ("claims[0]['verdict'] = 'held'", "held"),
    ("record['fired'][0]['before']['head'] = '02'", "head=02"),
    ("record['fired'].reverse()", "evidence 1"),
    ("record['fired'].pop()", "1 in all"),
    ("record['observations'][0] = 'console 2.120 s: key=2'", "key=2"),
    ("record['observations'].reverse()", "observation 1"),
    ("record['attack'] = 'A02'", "A02"),
    ("record['defence']['scheme'] = 'sealed'", "sealed"),
    ("claims[0]['record'] = {}", "record"),
    ("claims[1]['message'] = 'hung | twice'", "hung"),
])
def test_each_difference_is_named_and_ends_with_1(tmp_path: Path, change: str, what: str) -> None:
    done = compare(tmp_path, change)
    assert done.returncode == 1 and what in done.stdout, done.stdout
    table = (tmp_path / "table.md").read_text()
    assert what in table and "| claim | what | A | B |" in table
    assert all(line.replace("\\|", "").count("|") == 5 for line in table.splitlines() if line.startswith("|"))


@pytest.mark.parametrize(("change", "words"), [
    ("claims.pop(0)", "1 claim missing in B"),
    ("claims.append({'suite': 'S', 'claim': 'New', 'status': 'proven', 'record': {}})", "1 claim missing in A"),
    ("claims[0]['claim'] = 'Renamed'", "1 claim missing in A; 1 claim missing in B"),
    ("claims.pop(1); claims[0]['status'] = 'refuted'",
     "1 difference in 1 claim, 1 of them in the verdict; 1 claim missing in B"),
    ("claims.pop(1); record['attack'] = 'A02'",
     "1 difference in 1 claim, none of them in the verdict; 1 claim missing in B"),
    ("claims[0]['verdict'] = 'held'", "1 difference in 1 claim, 1 of them in the verdict"),
])
def test_a_claim_one_side_does_not_have_is_no_changed_verdict(tmp_path: Path, change: str, words: str) -> None:
    done = compare(tmp_path, change)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == words, done.stdout
    assert words in (tmp_path / "table.md").read_text().splitlines()[0]


def test_what_is_no_report_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[]")
    for place in (tmp_path, tmp_path / "nothing"):
        done = offchip("compare", place, place)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and str(place) in done.stderr
