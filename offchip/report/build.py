# SPDX-License-Identifier: Apache-2.0
"""Draws a run's claims, outcomes and verdict records as JSON, a page, the answer, Markdown, JUnit and SARIF.

``results.json`` says what was tried and found, nothing else: two runs with one seed give the same bytes. What differs
from one time and machine to the next is in ``host.json``.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offchip.files import replace_file
from offchip.report import answer
from offchip.report.matrix import NoCells, build_matrix, cell_of, load_matrix
from offchip.report.page import draw_page, draw_summary
from offchip.report.record import SCHEMA, load_records
from offchip.report.sarif import sarif


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim of the inventory and what its test came to.

    Attributes:
        status: ``PASS``, ``FAIL``, ``SKIP`` or ``LOST`` (its process did not live to say).
        message: of Robot, or why it was lost.
        recorded: its test owes a verdict record.
    """

    suite: str
    name: str
    doc: str
    status: str
    message: str
    recorded: bool = True

    @property
    def key(self) -> str:
        return f"{self.suite}.{self.name}"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What decides the bytes of a report.

    Attributes:
        scope: what ``--suite`` and ``--test`` chose; empty for all claims.
        skipped: where the matrix has no cell, and why.
        code: sizes of the firmware's vault, see :mod:`offchip.report.code_size`.
        profile: whose rules the server followed.
    """

    engine: str
    elf_sha256: str
    seed: int
    scope: tuple[str, ...] = ()
    skipped: tuple[NoCells, ...] = ()
    code: Mapping[str, int] = field(default_factory=dict)
    profile: str = ""


def build_report(results: Path, facts: RunFacts, claims: Sequence[Judged], host: Mapping[str, Any],
                 log_ids: Mapping[str, str], other: Path | None = None) -> dict[str, Any]:
    """Read ``records/`` in ``results``; write the report beside it.

    Args:
        claims: the inventory in its order; the report has exactly these.
        host: date, command, host seconds per claim ...: for ``host.json`` and the page.
        log_ids: claim -> its id in Robot's ``log.html``.
        other: the report of another run, of another engine for instance, to compare cell by cell.

    Returns:
        The summary that is also in ``results.json``, and ``answer_wrong``: sentences of the answer that no
        longer hold, or of a whole run that stand on cells it does not have.

    Raises:
        OSError: a file cannot be written.
        OffchipError: ``other`` is no report with a matrix.
    """
    records = load_records(results / "records")
    rows = [_row(claim, records.get(claim.key)) for claim in claims]
    engines = sorted({row["record"]["engine"] for row in rows if row["record"].get("engine")})
    summary = {
        "schema": SCHEMA, "engine": ", ".join(engines) or facts.engine, "elf_sha256": facts.elf_sha256,
        "seed": facts.seed, "profile": facts.profile, "scope": list(facts.scope), "total": len(rows),
        **{key: sum(row["status"] == status for row in rows)
           for key, status in (("proven", "proven"), ("refuted", "refuted"), ("not_run", "not run"))},
        "claims": rows,
    }
    replace_file(results / "results.json", json.dumps(summary, indent=1) + "\n")
    replace_file(results / "host.json", json.dumps(host, indent=1) + "\n")
    replace_file(results / "xunit.xml", _xunit(rows, host))
    _draw(results, summary, host, log_ids, _matrix(results, summary, facts, other))
    return summary


def _row(claim: Judged, record: dict[str, Any] | None) -> dict[str, Any]:
    status, message = _status(claim, record)
    record = record if record and claim.status != "LOST" else {}
    verdict = record.get("verdict")
    if status != "proven" and verdict != "not run":  # what an oracle saw before the test failed is no verdict
        verdict = "not run" if record.get("attack") else None
    return {"suite": claim.suite, "claim": claim.name, "doc": claim.doc, "status": status,
            "message": _first_line(message)[:300], "verdict": verdict, "record": record}


def _first_line(message: str) -> str:
    """Without the heading that Robot puts before what a teardown says: the reason is to be read, not where it arose."""
    lines = [line for line in message.splitlines() if line and line not in ("Teardown failed:", "Setup failed:")]
    return lines[0] if lines else ""


def _status(claim: Judged, record: dict[str, Any] | None) -> tuple[str, str]:
    if claim.status in ("SKIP", "LOST"):
        return "not run", claim.message
    if claim.status != "PASS":
        return "refuted", claim.message
    if record is None and claim.recorded:  # nothing shows what was seen
        return "not run", "its verdict record was not saved"
    if record and record.get("cell") and record.get("predicted") and record.get("verdict") != record["predicted"]:
        # whoever judged the test was asleep: the record knows better
        return "refuted", f"{record.get('verdict')}: {record.get('reason', '')}; predicted: {record['predicted']}"
    return "proven", claim.message


def _xunit(rows: Sequence[Mapping[str, Any]], host: Mapping[str, Any]) -> bytes:
    """JUnit's format: a refuted claim is a failure, one that was not run an error, so that no CI takes it for green."""
    seconds: Mapping[str, float] = host.get("seconds", {})
    top = ElementTree.Element("testsuites", name="offchip")
    for suite, members in _by_suite(rows).items():
        node = ElementTree.SubElement(
            top, "testsuite", name=suite, tests=str(len(members)), timestamp=str(host.get("started", "")),
            failures=str(sum(row["status"] == "refuted" for row in members)),
            errors=str(sum(row["status"] == "not run" for row in members)), skipped="0")
        for row in members:
            case = ElementTree.SubElement(node, "testcase", classname=suite, name=row["claim"],
                                          time=f"{seconds.get(suite + '.' + row['claim'], 0.0):.2f}")
            if row["status"] != "proven":
                kind = "failure" if row["status"] == "refuted" else "error"
                ElementTree.SubElement(case, kind, message=_printable(row["message"]), type=row["status"])
    return bytes(ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)) + b"\n"


def _printable(text: str) -> str:
    """Without the control characters XML 1.0 cannot hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _draw(results: Path, summary: dict[str, Any], host: Mapping[str, Any], log_ids: Mapping[str, str],
          matrix: dict[str, Any] | None) -> None:
    numbered = [{**row, "id": f"claim-{number}", "log": log_ids.get(f"{row['suite']}.{row['claim']}", ""),
                 "seconds": host.get("seconds", {}).get(f"{row['suite']}.{row['claim']}")}
                for number, row in enumerate(summary["claims"], 1)]
    # a cell is shown in the matrix; one that left no record of its own is a claim that was not run
    suites = _by_suite([row for row in numbered if not cell_of(row)])
    replace_file(results / "index.html", draw_page(summary, host, numbered, suites, matrix, bool(log_ids)))
    replace_file(results / "summary.md", draw_summary(summary, host, suites, matrix))


def _matrix(results: Path, summary: dict[str, Any], run: RunFacts, other: Path | None) -> dict[str, Any] | None:
    """Write what is drawn from the cells; None when there are none."""
    if not any(map(cell_of, summary["claims"])):
        return None
    facts = {key: summary[key] for key in ("engine", "elf_sha256", "seed", "profile", "scope")}
    document = build_matrix(summary["claims"], facts, load_matrix(other) if other else None, run.skipped,
                            run.code)
    replace_file(results / "matrix.json", json.dumps(document, indent=1) + "\n")
    replace_file(results / "ANSWER.md", answer.markdown(document))
    replace_file(results / "offchip.sarif", json.dumps(sarif(document), indent=1) + "\n")
    counts = document["answer"]["counts"]
    # a whole run has every cell: what a sentence stands on and is not there is gone
    summary["answer_wrong"] = counts[answer.WRONG] + (0 if run.scope else counts[answer.UNPROVEN])
    return document


def _by_suite(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    suites: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        suites.setdefault(row["suite"], []).append(row)
    return suites
