# SPDX-License-Identifier: Apache-2.0
"""The keyword library is documented and clean, its suites resolve, and records say what was seen."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from offchip.evidence import Evidence
from offchip.report.record import Record, Unearned, Verdict

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "firmware/build/offchip.elf"
ROLES = {"attacker", "oracle", "owner", "bench"}


def test_libdoc_is_clean_and_every_keyword_has_one_role_and_a_text(tmp_path: Path) -> None:
    out = tmp_path / "lib.json"
    done = subprocess.run([sys.executable, "-m", "robot.libdoc", "--pythonpath", f"{ROOT / 'robot'}", "--pythonpath",
                           f"{ROOT}", "OffchipLibrary", out], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    keywords = json.loads(out.read_text())["keywords"]
    assert len(keywords) > 40
    for keyword in keywords:
        assert keyword["shortdoc"], keyword["name"]
        assert len(ROLES & set(keyword["tags"])) == 1, f"{keyword['name']} has roles {keyword['tags']}"
        for argument in keyword["args"]:
            assert argument["type"], f"{keyword['name']}: argument {argument['name']} is not typed"


def test_every_suite_resolves_its_keywords(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "robot", "--dryrun", "--output", "NONE", "--log", "NONE", "--report",
                           "NONE", "--pythonpath", f"{ROOT / 'robot'}", "--pythonpath", f"{ROOT}", "--variable",
                           "ENGINE:embedded", "--variable", f"ELF:{ELF}", "--variable", "RECORDS:", "--variable",
                           "SEED:1",
                           f"{ROOT / 'robot/suites'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_verdict_needs_its_own_evidence_a_later_observation_a_device_that_ran_and_no_verdict_before() -> None:
    def record(**changes: object) -> Record:
        return replace(Record("suite.claim", "claim", attack="A03", instructions=1), **changes)

    def evidence(attack: str = "A03") -> list[Evidence]:
        return [Evidence(attack, "flip bit", "eeprom:100", 0, b"\0", b"\1")]

    def judged(given: Record, attack: str = "A03", seen: str = "console: refused") -> Verdict | None:
        given.add_evidence(evidence(attack) if attack else [])
        given.observations += [seen] if seen else []
        try:
            given.judge(Verdict.HELD, "nothing came through")
        except Unearned:
            assert given.verdict is Verdict.NOT_RUN
        return given.verdict

    assert judged(record()) is Verdict.HELD
    assert judged(record(), attack="") is Verdict.NOT_RUN
    assert judged(record(), attack="A09") is Verdict.NOT_RUN, "evidence of another attack"
    assert judged(record(), seen="") is Verdict.NOT_RUN, "only the attacker's word"
    assert judged(record(observations=["before the attack"]), seen="") is Verdict.NOT_RUN
    assert judged(record(instructions=0)) is Verdict.NOT_RUN
    assert judged(record(attack="")) is Verdict.NOT_RUN
    twice = record()
    judged(twice)
    with pytest.raises(Unearned, match="verdict already: held"):
        twice.judge(Verdict.BROKEN, "changed my mind")


@pytest.mark.parametrize("changes", [{"attack": ""}, {"place": ""}, {"action": ""}, {"time_ns": -1}, {"after": b""}])
def test_evidence_has_an_attack_an_action_a_place_a_time_and_bytes(changes: dict[str, object]) -> None:
    whole = {"attack": "A03", "action": "flip bit", "place": "eeprom:100", "time_ns": 0, "after": b"\1"}
    Evidence(**whole)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="evidence"):
        Evidence(**{**whole, **changes})  # type: ignore[arg-type]


def test_a_record_keeps_length_digest_and_beginning_of_the_bytes() -> None:
    content = bytes(range(100))
    record = Record("suite.claim", "claim", attack="A01", instructions=1)
    record.add_evidence([Evidence("A01", "read", "sd", 7, received=content)])
    (fired,) = record.plain()["fired"]
    assert fired["received"] == {"size": 100, "sha256": hashlib.sha256(content).hexdigest(),
                                 "head": content[:32].hex()}
    assert (fired["attack"], fired["place"], fired["time_ns"]) == ("A01", "sd", 7) and "before" not in fired
