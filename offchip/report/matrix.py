# SPDX-License-Identifier: Apache-2.0
"""The matrix of a run as one document, ``matrix.json``: what page, answer, summary and SARIF are drawn from.

Its format is published in ``docs/matrix.schema.json``. Nothing in it depends on the host or its clock.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offchip.attacks.catalogue import ATTACKS
from offchip.errors import OffchipError
from offchip.report.answer import judge_answer
from offchip.report.checks import missing_check
from offchip.report.code_size import code_bytes
from offchip.report.dossiers import stories, undecided
from offchip.scene.guard import Guard
from offchip.vault import SCHEMES

SCHEMA = 1
VERDICTS = ("broken", "degraded", "held", "not run")

_CELL = re.compile(r"A\d\d/[a-z0-9-]+/[a-z-]+/(?:sd|eeprom|none)(?:/[a-z0-9-]+)*")

Row = Mapping[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NoCells:
    """Where an attack makes no sense against a way of storing: attack and variant, ``fresh sd``, and why."""

    row: str
    column: str
    reason: str


def build_matrix(rows: Sequence[Row], facts: Mapping[str, Any], other: Document | None = None,
                 skipped: Sequence[NoCells] = (), code: Mapping[str, int] | None = None) -> Document:
    """The document of the rows of ``results.json`` that are about a cell.

    Args:
        rows: claims with their records.
        facts: engine, ELF, seed and scope of the run.
        other: the document of another run, of another engine for instance, to compare cell by cell.
        skipped: where there is no cell, and why.
        code: sizes of the firmware's vault, see :mod:`offchip.report.code_size`.
    """
    cells = [_cell(row, other) for row in rows if cell_of(row)]
    cells.sort(key=lambda cell: _order(cell["id"]))
    used = {cell["attack"] for cell in cells}
    document: Document = {
        "schema": SCHEMA,
        "run": {**facts, "cells": len(cells), "counts": _counts(cells)},
        "attacks": [_attack(key) for key in sorted(used | set(ATTACKS))],
        "defences": [{"id": place, "number": number, "scheme": scheme, "medium": medium, "shows": SCHEMES[scheme].shows}
                     for number, (place, scheme, medium) in enumerate(_columns(cells), 1)],
        "measures": {str(guard): guard.words for guard in Guard if guard},
        "cells": cells,
        "skipped": [{"attack": each.row.partition("/")[0], "variant": each.row.partition("/")[2],
                     "column": "/".join((*each.column.split(), "none")[:2]), "reason": each.reason}
                    for each in skipped],
        "costs": [{**cost, "code_bytes": code_bytes(dict(code or {}), cost["scheme"], cost["medium"])}
                  for cost in costs_of(rows)],
    }
    if other is not None:
        document["compared"] = _compared(cells, other)
    document["answer"] = judge_answer(document)
    return document


def load_matrix(folder: Path) -> Document:
    """The ``matrix.json`` of another report. Raises OffchipError when there is none."""
    file = folder / "matrix.json" if folder.is_dir() else folder
    try:
        document: Document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA or not document["cells"]:
            raise ValueError
    except OSError as error:
        raise OffchipError(f"{file}: cannot be read ({error.strerror}); give the folder of a report.") from None
    except (ValueError, KeyError, TypeError):
        raise OffchipError(f"{file}: not the matrix.json of a report of this version.") from None
    return document


def cell_of(row: Row) -> str:
    """The cell a claim is, '' when it is none; also of one whose process did not live to leave a record."""
    name = str(row["record"].get("cell") or "")
    return name or (row["claim"] if _CELL.fullmatch(row["claim"]) else "")


def cell_failed(cell: Mapping[str, Any]) -> bool:
    """It came out otherwise than predicted, or did not come out."""
    return bool(cell["verdict"] == "not run" or (cell["predicted"] and cell["verdict"] != cell["predicted"]))


def _cell(row: Row, other: Document | None) -> Document:
    record = row["record"]
    identifier = cell_of(row)
    attack, variant, scheme, medium, switches = split_id(identifier)
    verdict = _verdict(row)
    cell = {
        "id": identifier, "attack": attack, "variant": variant, "scheme": scheme, "medium": medium,
        "switches": switches, "verdict": verdict, "predicted": record.get("predicted") or "",
        "why": record.get("why", ""), "reason": record.get("reason", ""), "message": row["message"],
        "status": row["status"], "evidence": record.get("fired", []), "observations": record.get("observations", []),
        "timeline": record.get("timeline", []), "captures": record.get("captures", []),
        "instructions": record.get("instructions", 0), "virtual_time_ns": record.get("virtual_time_ns", 0),
        "claim": f"{row['suite']}.{row['claim']}", "replay": f"offchip replay {identifier}",
    }
    if verdict == "broken":
        cell["missing_check"] = missing_check(attack, scheme, expected=cell["predicted"] == "broken")
    if other is not None:
        cell["other"] = next((each["verdict"] for each in other["cells"] if each["id"] == identifier), "")
    return cell


def _verdict(row: Row) -> str:
    """What was measured: also where it is not what was predicted, which is why the test failed then. A test that failed
    for another reason has no verdict."""
    record = row["record"]
    measured: str = record.get("verdict") or "not run"
    explained = row["status"] == "refuted" and record.get("predicted") not in ("", None, measured)
    return measured if row["status"] == "proven" or explained else "not run"


def split_id(identifier: str) -> tuple[str, str, str, str, list[str]]:
    """``A07/restore/fresh/sd/rdp2`` -> attack, variant, scheme, medium, switches."""
    parts = identifier.split("/")
    attack, variant, scheme, medium = (*parts, "", "", "", "")[:4]
    return attack, variant, scheme, medium or "none", parts[4:]


def column(cell: Mapping[str, Any]) -> str:
    """Id of a cell's column."""
    return f"{cell['scheme']}/{cell['medium']}"


def _order(identifier: str) -> tuple[Any, ...]:
    attack, variant, scheme, medium, switches = split_id(identifier)
    ladder = list(SCHEMES)
    return (attack, ladder.index(scheme) if scheme in ladder else len(ladder), medium != "sd", switches, variant)


def _columns(cells: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """All schemes on all their media, whether judged or not: a column that is missing would not be missed."""
    ladder = [(f"{scheme.name}/{medium.name}", scheme.name, medium.name)
              for scheme in SCHEMES.values() for medium in scheme.media]
    known = {each[0] for each in ladder}
    return ladder + sorted({(column(cell), cell["scheme"], cell["medium"]) for cell in cells
                            if column(cell) not in known and cell["scheme"] in SCHEMES})


def _attack(key: str) -> Document:
    threat = ATTACKS[key].threat() if key in ATTACKS else {}
    story = stories().get(key, {})
    return {"id": key, "title": threat.get("title", key), "family": threat.get("family", "other"),
            "needs": threat.get("needs", []), "psa": threat.get("psa", "-"), "emb3d": threat.get("emb3d", "~"),
            "cwe": threat.get("cwe", []), "cases": threat.get("incidents", []), "undecided": undecided(key),
            **{name: story.get(name, "") for name in ("effect", "lost", "kept", "degraded", "remedy")}}


def _counts(cells: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted = Counter(cell["verdict"] for cell in cells)
    return {**{verdict: counted[verdict] for verdict in VERDICTS},
            "unexpected": sum(cell_failed(cell) for cell in cells)}


def costs_of(rows: Iterable[Row]) -> list[Document]:
    """What a connection costs under each scheme: measured by claims whose records carry it."""
    costs = [row["record"]["cost"] for row in rows if row["record"].get("cost")]
    found = list({(each["scheme"], each["medium"]): each for each in costs}.values())
    base = {each["medium"]: each["instructions"] for each in found if each["scheme"] == "plain"}
    ladder = list(SCHEMES)
    found.sort(key=lambda each: (ladder.index(each["scheme"]), each["medium"] != "sd"))
    return [{**each, "more_than_plain_percent": round(100 * (each["instructions"] / base[each["medium"]] - 1), 1)
             if base.get(each["medium"]) else None} for each in found]


def _compared(cells: Sequence[Mapping[str, Any]], other: Document) -> Document:
    both = [cell for cell in cells if cell.get("other")]
    return {"engine": other["run"]["engine"], "elf_sha256": other["run"]["elf_sha256"],
            "seed": other["run"]["seed"], "cells": len(both),
            "agree": sum(cell["other"] == cell["verdict"] for cell in both),
            "differ": [cell["id"] for cell in both if cell["other"] != cell["verdict"]]}
