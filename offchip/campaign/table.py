# SPDX-License-Identifier: Apache-2.0
"""The findings of a campaign by line of the source: JSON, a page, SARIF 2.1.0 for code scanning."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from offchip import __version__
from offchip.campaign.campaign import Findings
from offchip.campaign.injections import Outcome, Result
from offchip.campaign.sources import Line, Sources
from offchip.files import replace_file

SCHEMA = "offchip-campaign-1"
_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULE = "fault-changes-result"


@dataclass(slots=True)
class Row:
    """One line of the source. ``values``: results (r0) other than that without a fault, with their number."""

    line: Line
    outcomes: Counter[str] = field(default_factory=Counter)
    values: Counter[int] = field(default_factory=Counter)
    examples: list[Result] = field(default_factory=list)  # of another result

    @property
    def total(self) -> int:
        return self.outcomes.total()


def rows(findings: Findings, sources: Sources) -> list[Row]:
    """In the order of files and lines."""
    found: dict[Line, Row] = {}
    for result in findings.ordered:
        line = sources.line(result.pc)
        row = found.setdefault(line, Row(line))
        row.outcomes[result.outcome.value] += 1
        if result.outcome is Outcome.OTHER:
            row.values[result.value] += 1
            row.examples.append(result)
    return [found[line] for line in sorted(found)]


def write(findings: Findings, sources: Sources, folder: Path) -> Path:
    """``campaign.json``, ``campaign.sarif`` and ``index.html``. Returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows(findings, sources)
    replace_file(folder / "campaign.json", _text(document(findings, table)))
    replace_file(folder / "campaign.sarif", _text(sarif(findings, table)))
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    plan = findings.plan
    page = environment.get_template("page.html.j2").render(
        plan=plan, rows=table, outcomes=list(Outcome), findings=findings, start=sources.line(plan.start),
        totals=totals(table))
    replace_file(folder / "index.html", page.encode())
    return folder / "index.html"


def totals(table: list[Row]) -> Counter[str]:
    """Faults by outcome."""
    return sum((row.outcomes for row in table), Counter())


def document(findings: Findings, table: list[Row]) -> dict[str, Any]:
    """The content of ``campaign.json``: nothing in it depends on when or where the campaign ran."""
    plan = {key: value for key, value in findings.plan.record().items() if key != "elf"}
    return {
        "schema": SCHEMA, "plan": plan, "instructions": findings.length, "value": findings.value,
        "missing": findings.missing, "totals": dict(sorted(totals(table).items())),
        "lines": [{"file": row.line.file, "line": row.line.number, "function": row.line.function,
                   "outcomes": dict(sorted(row.outcomes.items())),
                   "values": {f"0x{value:08X}": count for value, count in sorted(row.values.items())}}
                  for row in table],
        "results": [{"fault": str(each.fault), "pc": f"0x{each.pc:08X}", "outcome": each.outcome.value,
                     "value": f"0x{each.value:08X}", "instructions": each.instructions} for each in findings.ordered],
    }


def sarif(findings: Findings, table: list[Row]) -> dict[str, Any]:
    """A warning for each line at which one fault changes the result."""
    results = [{
        "ruleId": _RULE, "level": "warning", "message": {"text": _message(findings, row)},
        "partialFingerprints": {"line/v1": hashlib.sha256(str(row.line).encode()).hexdigest()[:32]},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": row.line.file, "uriBaseId": "SRCROOT"},
                                 "region": {"startLine": row.line.number}},
            "logicalLocations": [{"name": row.line.function, "kind": "function"}]}],
    } for row in table if row.values and row.line.file and row.line.number]
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "offchip", "version": __version__, "rules": [{
            "id": _RULE, "name": "FaultChangesResult",
            "shortDescription": {"text": "One fault changes the result of the code."},
            "fullDescription": {"text": "A skipped instruction or a flipped bit makes the code end with another result "
                                        "than without it. Where that means success, the check needs a second one."},
            "properties": {"tags": ["external/cwe/cwe-1247"]}}]}},
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the project's folder"}}},
        "columnKind": "utf16CodeUnits", "results": results}]}


def _message(findings: Findings, row: Row) -> str:
    values = ", ".join(f"0x{value:X} ({count})" for value, count in row.values.most_common(3))
    return (f"{row.values.total()} of {row.total} faults here ({findings.plan.kind}) end with another result than "
            f"0x{findings.value:X}: {values}; for instance {row.examples[0].fault}, PC 0x{row.examples[0].pc:08X}.")


def _text(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
