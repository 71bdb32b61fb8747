# SPDX-License-Identifier: Apache-2.0
"""What the cuts of every scheme, medium and operation came to: a file each in a folder, and one table of all.

A campaign of them takes hours; what lies in the folder, and was found with the same firmware and the same settings, is
not done again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offchip.errors import OffchipError
from offchip.files import replace_file

if TYPE_CHECKING:
    from offchip.campaign.cuts import Report

_HEAD = ("scheme", "medium", "operation", "N", "D", "ends", "second cuts in", "runs", "CPU s", "cuts/s/core", "checked",
         "connected")


def record(report: Report) -> dict[str, Any]:
    """A report as JSON, with every distinct state."""
    cases = (*report.first, *report.second)
    ends: Counter[str] = Counter()
    for case in cases:
        ends[case.verdict.split(":")[0]] += len(case.points) + len(case.again)
    return {"operation": report.operation, "steps": dict(report.steps), "cuts": report.points,
            "distinct": report.distinct, "ends": dict(sorted(ends.items())), "recoveries": report.runs,
            "joined": report.joined, "checked": report.checked, "cpu_s": round(report.cpu_s, 1),
            "check_s": round(report.check_s, 1), "rate": round(report.rate, 1), "connected": report.connected,
            "paths": report.paths, "second_from": report.second_from, "failures": report.failures, "good": report.good,
            "states": [{"sha256": case.state.key.hex(), "points": [str(point) for point in case.points],
                        "after": str(case.first.points[0]) if case.first else None, "verdict": case.verdict}
                       for case in cases]}


class Ledger:
    """A folder with a file for each scheme, medium and operation.

    Args:
        folder: is made if it is not there.
        settings: whatever decides what comes out; results found with others do not count.

    Raises:
        OffchipError: the folder cannot be made.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder, dict(settings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OffchipError(f"{folder}: {error.strerror}; name a folder that can be written") from None

    def found(self, scheme: str, medium: str, operation: str) -> dict[str, Any] | None:
        """What was found before; None: nothing that counts."""
        try:
            content = json.loads(self._path(scheme, medium, operation).read_text("utf-8"))
            result = content["result"] if content["settings"] == self._settings else None
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return result if isinstance(result, dict) else None

    def keep(self, scheme: str, medium: str, operation: str, result: Mapping[str, Any]) -> None:
        """Put it beside the others. Raises OSError."""
        content = {"scheme": scheme, "medium": medium, "settings": self._settings, "result": result}
        replace_file(self._path(scheme, medium, operation), json.dumps(content, indent=1) + "\n")

    def _path(self, scheme: str, medium: str, operation: str) -> Path:
        return self._folder / f"{scheme}-{medium}-{operation}.json"


def table(rows: Mapping[tuple[str, str, str], Mapping[str, Any] | None]) -> str:
    """Scheme, medium and operation with what came out, as Markdown; None: not done yet."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for names, found in rows.items():
        cells = [*names, *(_cells(found) if found else ["not run", *[""] * (len(_HEAD) - 4)])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(found: Mapping[str, Any]) -> list[str]:
    if not found["cuts"]:
        return ["0", "0", "nothing is written", *[""] * (len(_HEAD) - 6)]
    ends = ", ".join(f"{end} {count:,}" for end, count in found["ends"].items())
    return [f"{found['cuts']:,}", f"{found['distinct']:,}", ends if found["good"] else f"**{ends}**",
            f"{found['second_from']:,}", f"{found['recoveries']:,}", f"{found['cpu_s'] - found['check_s']:.1f}",
            f"{found['rate']:.0f}", str(found["checked"]), str(found["connected"])]
