# SPDX-License-Identifier: Apache-2.0
"""Draws a run's claims, outcomes and verdict records as results.json, a page, Markdown and JUnit.

``results.json`` says what was tried and found, nothing else: two runs with one seed give the same bytes. What differs
from one time and machine to the next is in ``host.json``.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from offchip.attacks.catalogue import ATTACKS
from offchip.files import replace_file
from offchip.report.record import SCHEMA, load_records


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
    """

    engine: str
    elf_sha256: str
    seed: int
    scope: tuple[str, ...] = ()


def build_report(results: Path, facts: RunFacts, claims: Sequence[Judged], host: Mapping[str, Any],
                 log_ids: Mapping[str, str]) -> dict[str, Any]:
    """Read ``records/`` in ``results``; write the report beside it.

    Args:
        claims: the inventory in its order; the report has exactly these.
        host: date, command, host seconds per claim ...: for ``host.json`` and the page.
        log_ids: claim -> its id in Robot's ``log.html``.

    Returns:
        The summary that is also in ``results.json``.

    Raises:
        OSError: a file cannot be written.
    """
    records = load_records(results / "records")
    rows = [_row(claim, records.get(claim.key)) for claim in claims]
    engines = sorted({row["record"]["engine"] for row in rows if row["record"].get("engine")})
    summary = {
        "schema": SCHEMA, "engine": ", ".join(engines) or facts.engine, "elf_sha256": facts.elf_sha256,
        "seed": facts.seed, "scope": list(facts.scope), "total": len(rows),
        **{key: sum(row["status"] == status for row in rows)
           for key, status in (("proven", "proven"), ("refuted", "refuted"), ("not_run", "not run"))},
        "claims": rows,
    }
    replace_file(results / "results.json", json.dumps(summary, indent=1) + "\n")
    replace_file(results / "host.json", json.dumps(host, indent=1) + "\n")
    replace_file(results / "xunit.xml", _xunit(rows, host))
    _draw(results, summary, host, log_ids)
    return summary


def _row(claim: Judged, record: dict[str, Any] | None) -> dict[str, Any]:
    status, message = _status(claim, record)
    record = record if record and claim.status != "LOST" else {}
    verdict = record.get("verdict")
    if status != "proven" and verdict != "not run":  # what an oracle saw before the test failed is no verdict
        verdict = "not run" if record.get("attack") else None
    return {"suite": claim.suite, "claim": claim.name, "doc": claim.doc, "status": status,
            "message": message.split("\n")[0][:300], "verdict": verdict, "record": record}


def _status(claim: Judged, record: dict[str, Any] | None) -> tuple[str, str]:
    if claim.status in ("SKIP", "LOST"):
        return "not run", claim.message
    if claim.status != "PASS":
        return "refuted", claim.message
    if record is None and claim.recorded:  # nothing shows what was seen
        return "not run", "its verdict record was not saved"
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


def _draw(results: Path, summary: dict[str, Any], host: Mapping[str, Any], log_ids: Mapping[str, str]) -> None:
    rows = summary["claims"]
    columns = sorted({_column(row) for row in rows if row["record"].get("attack")})
    numbered = [{**row, "id": f"claim-{number}", "log": log_ids.get(f"{row['suite']}.{row['claim']}", ""),
                 "seconds": host.get("seconds", {}).get(f"{row['suite']}.{row['claim']}")}
                for number, row in enumerate(rows, 1)]
    matrix: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in numbered:
        if attack := row["record"].get("attack"):
            matrix.setdefault(attack, {}).setdefault(_column(row), []).append(row)
    environment = Environment(loader=PackageLoader("offchip.report"), autoescape=select_autoescape(["html", "j2"]))
    facts = {"summary": summary, "host": host, "suites": _by_suite(numbered), "has_log": bool(log_ids)}
    threats = {key: attack.threat() for key, attack in ATTACKS.items()}
    page = environment.get_template("index.html.j2").render(
        **facts, columns=columns, matrix=dict(sorted(matrix.items())), threats=threats)
    replace_file(results / "index.html", page)
    replace_file(results / "summary.md", environment.get_template("summary.md.j2").render(**facts))


def _column(row: Mapping[str, Any]) -> str:
    defence = row["record"].get("defence", {})
    parts = (defence.get("scheme"), defence.get("medium"), defence.get("other"))
    return " / ".join(part for part in parts if part and part != "none")


def _by_suite(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    suites: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        suites.setdefault(row["suite"], []).append(row)
    return suites
