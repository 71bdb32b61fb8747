# SPDX-License-Identifier: Apache-2.0
"""Turns Robot's output and the verdict records into results.json, index.html and a Markdown summary."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from robot.api import ExecutionResult, ResultVisitor

from offchip.files import replace_file
from offchip.report.record import SCHEMA, load_records
from offchip.report.threats import THREATS


class _Claims(ResultVisitor):
    def __init__(self, records: dict[str, dict[str, Any]]) -> None:
        self.records = records
        self.rows: list[dict[str, Any]] = []

    def visit_test(self, test: Any) -> None:
        record = self.records.get(f"{test.parent.name}.{test.name}", {})
        proven = test.passed
        self.rows.append({
            "id": test.id, "suite": test.parent.name, "claim": test.name, "doc": str(test.doc).split("\n")[0],
            "status": "not run" if test.skipped else "proven" if proven else "refuted",
            "message": test.message.split("\n")[0][:300], "seconds": round(test.elapsed_time.total_seconds(), 2),
            "verdict": record.get("verdict") if proven or record.get("verdict") == "not run" else
            ("not run" if record.get("attacks") else None),
            "record": record,
        })


def build_report(results: Path) -> dict[str, Any]:
    """Read ``output.xml`` and ``records/`` in ``results``; write the report beside them.

    Returns:
        The summary that is also in ``results.json``.
    """
    claims = _Claims(load_records(results / "records"))
    ExecutionResult(str(results / "output.xml")).visit(claims)
    rows = claims.rows
    first = next((r["record"] for r in rows if r["record"]), {})
    summary = {
        "schema": SCHEMA,
        "engine": first.get("engine", ""),
        "elf_sha256": first.get("elf_sha256", ""),
        "total": len(rows),
        **{key: sum(r["status"] == status for r in rows)
           for key, status in (("proven", "proven"), ("refuted", "refuted"), ("not_run", "not run"))},
        "claims": rows,
    }
    replace_file(results / "results.json", json.dumps(summary, indent=1))
    columns = sorted({_column(r) for r in rows if r["record"].get("attacks")})
    matrix: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        for attack in row["record"].get("attacks", []):
            matrix.setdefault(attack, {}).setdefault(_column(row), []).append(row)
    environment = Environment(loader=PackageLoader("offchip.report"), autoescape=select_autoescape(["html", "j2"]))
    threats = {key: asdict(t) for key, t in THREATS.items()}
    page = environment.get_template("index.html.j2").render(
        summary=summary, columns=columns, matrix=dict(sorted(matrix.items())), threats=threats, suites=_by_suite(rows))
    replace_file(results / "index.html", page)
    markdown = environment.get_template("summary.md.j2").render(summary=summary, suites=_by_suite(rows))
    replace_file(results / "summary.md", markdown)
    return summary


def _column(row: dict[str, Any]) -> str:
    defence = row["record"].get("defence", {})
    parts = (defence.get("scheme"), defence.get("medium"), defence.get("other"))
    return " / ".join(part for part in parts if part and part != "none")


def _by_suite(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    suites: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        suites.setdefault(row["suite"], []).append(row)
    return suites
