# SPDX-License-Identifier: Apache-2.0
"""Going on with a run that was interrupted: what it had decided, and whether it was of the same things."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offchip.errors import OffchipError
from offchip.report.record import load_records
from offchip.runner.inventory import Suite
from offchip.runner.suite_process import Outcome

#: in the scope of a report that is of the claims decided until a signal came
INTERRUPTED = "interrupted"
_STATUS = {"proven": "PASS", "refuted": "FAIL"}


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run has decided; nothing, where there is none.

    Attributes:
        outcomes: by claim.
        folder: of its report.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    folder: Path | None = None

    def left(self, inventory: Iterable[Suite]) -> tuple[Suite, ...]:
        """What is still to be run. A suite that ends with a check of its own is run as a whole."""
        found = []
        for suite in inventory:
            claims = tuple(claim for claim in suite.claims if claim.key not in self.outcomes)
            if claims:
                found.append(suite if suite.closes else replace(suite, claims=claims))
        return tuple(found)

    def carry(self, fresh: Path) -> list[Path]:
        """Take over records and captures; returns Robot's output of the earlier run."""
        if self.folder is None:
            return []
        for name in ("records", "captures"):
            if (self.folder / name).is_dir():
                shutil.copytree(self.folder / name, fresh / name, dirs_exist_ok=True)
        output = fresh / "earlier.xml"
        if not (self.folder / "output.xml").is_file():
            return []
        shutil.copyfile(self.folder / "output.xml", output)
        return [output]


def earlier(folder: Path, engine: str, elf_sha256: str, seed: int, commit: str,
            scope: tuple[str, ...]) -> Earlier:
    """The outcomes in the report of an interrupted run.

    Args:
        folder: of the report.
        engine, elf_sha256, seed, commit, scope: of the run that is to go on.

    Raises:
        OffchipError: there is no such report, or it is of something else.
    """
    results, host = _read(folder / "results.json"), _read(folder / "host.json")
    for what, was, now in (("engine", str(results.get("engine")).partition(" ")[0], engine),
                           ("firmware", results.get("elf_sha256"), elf_sha256), ("seed", results.get("seed"), seed),
                           ("commit", host.get("commit"), commit),
                           ("choice of claims", _shown(results.get("scope")), _shown(scope))):
        if was != now:
            raise OffchipError(f"{folder}: this run cannot go on, it is of another {what} ({was}, now {now}); start "
                               "without --resume.")
    records, seconds, cpu = load_records(folder / "records"), host.get("seconds", {}), host.get("cpu", {})
    outcomes = {}
    for row in results["claims"]:
        key = f"{row['suite']}.{row['claim']}"
        if row["status"] in _STATUS and (not row["record"] or key in records):
            outcomes[key] = Outcome(_STATUS[row["status"]], row["message"], seconds.get(key, 0.0), cpu.get(key, 0.0))
    return Earlier(outcomes, folder)


def _shown(scope: Any) -> str:
    """The choice of claims in words, whether its run was interrupted or not."""
    return ", ".join(str(each) for each in scope or () if each != INTERRUPTED) or "all"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise OffchipError(f"{path.parent}: there is no interrupted run to go on with; start without --resume.")
    return content
