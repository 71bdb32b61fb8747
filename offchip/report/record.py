# SPDX-License-Identifier: Apache-2.0
"""One record per claim: what was tried, what was seen, and the verdict that follows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from offchip.evidence import Evidence
from offchip.files import replace_file

SCHEMA = 2


class Verdict(StrEnum):
    """What a scenario says about a defence; all but NOT_RUN need evidence that the attack fired."""

    HELD = "held"
    BROKEN = "broken"
    DEGRADED = "degraded"
    NOT_RUN = "not run"


class Unearned(Exception):
    """A verdict that nothing supports; one sentence."""


@dataclass(slots=True)
class Record:
    """Everything the report shows of one claim; nothing in it depends on the host or its clock.

    Attributes:
        scenario: suite and test name; enough to run it again (``scripts/run --test``).
        attack: id in the catalogue ``offchip.attacks`` ('' for a plain functional claim).
        defence: configuration under test, e.g. ``{"scheme": "plain", "medium": "sd"}``.
        seed: of the scene.
        virtual_time_ns: virtual time at the end of the scenario.
        instructions: the device executed.
        fired: what attacks did; those of other ids are steps on the way.
        verdict: None for a functional claim, which is only proven or refuted.
        cost: what connecting costs, of a claim about that.
        proven: the claim in the test's name holds.
        cell: id of the matrix's cell this is, '' for a claim of a suite.
        predicted, why: who should win in this cell, and by what.
        timeline: what happened, in the order of time, for the cell's story.
        profile: whose rules the server followed, with what was changed about them.
    """

    scenario: str
    claim: str
    attack: str = ""
    defence: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    elf_sha256: str = ""
    seed: int = 0
    virtual_time_ns: int = 0
    instructions: int = 0
    fired: list[Evidence] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    captures: list[str] = field(default_factory=list)
    cost: dict[str, Any] | None = None
    verdict: Verdict | None = None
    reason: str = ""
    proven: bool = False
    cell: str = ""
    predicted: str = ""
    why: str = ""
    timeline: list[dict[str, Any]] = field(default_factory=list)
    profile: str = ""
    _observed_before: int | None = None

    def add_evidence(self, evidence: list[Evidence]) -> None:
        """Note what an attack did; observations from now on are about its effect."""
        self.fired += evidence
        if any(each.attack == self.attack for each in evidence):
            self._observed_before = len(self.observations)

    def judge(self, verdict: Verdict, reason: str) -> None:
        """Set the verdict, once, on evidence of this record's own attack and on what was seen since.

        Raises:
            Unearned: the verdict stands already, or evidence or observations are missing; it is then NOT_RUN.
        """
        try:
            self._check()
        except Unearned as error:
            self.verdict, self.reason = Verdict.NOT_RUN, str(error)
            raise
        self.verdict, self.reason = verdict, reason

    def _check(self) -> None:
        if self.verdict is not None:
            raise Unearned(f"there is a verdict already: {self.verdict} ({self.reason}); a test has one")
        if not self.attack:
            raise Unearned("this claim names no attack; tag it with an id of the catalogue, e.g. A01")
        if not any(each.attack == self.attack for each in self.fired):
            others = ", ".join(sorted({each.attack for each in self.fired})) or "no attack"
            raise Unearned(f"no evidence that {self.attack} fired (there is evidence of {others})")
        if self._observed_before is None or len(self.observations) <= self._observed_before:
            raise Unearned(f"no oracle has observed anything since {self.attack} fired")
        if not self.instructions:
            raise Unearned("the device has executed no instruction; let it take part")

    def plain(self) -> dict[str, Any]:
        """What stands in the file of one record."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}
        return {"schema": SCHEMA, **plain, "fired": [each.record() for each in self.fired]}

    def save(self, folder: Path) -> Path:
        """Write it whole or not at all. Raises OSError."""
        return save_record(folder, self.plain())


def save_record(folder: Path, record: dict[str, Any]) -> Path:
    """Write a record (see :meth:`Record.plain`) whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", record["scenario"]).strip("-").lower() + ".json")
    replace_file(path, json.dumps(record, indent=2))
    return path


def load_records(folder: Path) -> dict[str, dict[str, Any]]:
    """All records of a run by scenario; unreadable ones are left out (the report then says *not run*)."""
    records = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if record.get("schema") == SCHEMA:
            records[record["scenario"]] = record
    return records
