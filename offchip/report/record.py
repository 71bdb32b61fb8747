# SPDX-License-Identifier: Apache-2.0
"""One record per claim: what was tried, what was seen, and the verdict that follows."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from offchip.files import replace_file

SCHEMA = 1


class Verdict(StrEnum):
    """What a scenario says about a defence; HELD and BROKEN need evidence that the attack fired."""

    HELD = "held"
    BROKEN = "broken"
    DEGRADED = "degraded"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The attack really did something: ``what`` happened ``where`` at which virtual time, on how many bytes."""

    what: str
    where: str
    time_ns: int
    size: int = 0
    detail: str = ""


@dataclass(slots=True)
class Record:
    """Everything the report shows of one claim.

    Attributes:
        scenario: suite and test name; enough to run it again (``scripts/run --test``).
        attacks: ids joined from the catalogue in ``offchip.report.threats`` (empty for a plain functional claim).
        defence: configuration under test, e.g. ``{"scheme": "plain", "medium": "sd"}``.
        verdict: None for a functional claim, which is only proven or refuted.
        proven: the claim in the test's name holds.
        virtual_time_ns: virtual time at the end of the scenario.
    """

    scenario: str
    claim: str
    attacks: list[str] = field(default_factory=list)
    defence: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    elf_sha256: str = ""
    seed: int = 0
    virtual_time_ns: int = 0
    instructions: int = 0
    fired: list[Evidence] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    captures: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    reason: str = ""
    proven: bool = False

    def judge(self, verdict: Verdict, reason: str) -> None:
        """Set the verdict; without evidence it becomes NOT_RUN, whatever the oracle saw."""
        if verdict in (Verdict.HELD, Verdict.BROKEN, Verdict.DEGRADED) and not self.fired:
            self.verdict, self.reason = Verdict.NOT_RUN, f"no evidence that the attack fired (oracle saw: {reason})"
        else:
            self.verdict, self.reason = verdict, reason

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2)

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", self.scenario).strip("-").lower() + ".json")
        replace_file(path, self.to_json())
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
