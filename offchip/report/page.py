# SPDX-License-Identifier: Apache-2.0
"""The page: one file, no network, drawn from the summary of the claims and the document of the matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from offchip.attacks.catalogue import ATTACKS
from offchip.report.matrix import VERDICTS, cell_failed, column
from offchip.report.measures import measures_of

_MARKS = {"broken": "\N{BALLOT X}", "held": "\N{CHECK MARK}", "degraded": "~", "not run": "\N{EN DASH}"}
_LANES = ("console", "bus", "media", "network", "broker")
_SHOWN = ("id", "attack", "variant", "scheme", "medium", "switches", "verdict", "predicted", "why", "reason", "message",
          "evidence", "observations", "captures", "instructions", "virtual_time_ns", "replay", "missing_check", "other")


def draw_page(summary: Mapping[str, Any], host: Mapping[str, Any], rows: Sequence[Mapping[str, Any]],
              suites: Mapping[str, Sequence[Mapping[str, Any]]], matrix: Mapping[str, Any] | None,
              has_log: bool) -> str:
    """``index.html``.

    Args:
        rows: the claims, each with an ``id`` of its own on the page.
        suites: those that are no cells, by suite.
        matrix: the document; None when the run has no cells.
    """
    environment = _environment()
    templates = files("offchip.report") / "templates"
    facts: dict[str, Any] = {
        "summary": summary, "host": host, "suites": suites, "has_log": has_log, "marks": _MARKS,
        "profile": summary["profile"],
        "css": (templates / "page.css").read_text(encoding="utf-8"),
        "js": (templates / "page.js").read_text(encoding="utf-8"),
    }
    if matrix is not None:
        return environment.get_template("index.html.j2").render(**facts, **_of_matrix(matrix))
    return environment.get_template("index.html.j2").render(**facts, **_of_claims(rows))


def draw_summary(summary: Mapping[str, Any], host: Mapping[str, Any],
                 suites: Mapping[str, Sequence[Mapping[str, Any]]], matrix: Mapping[str, Any] | None) -> str:
    """``summary.md``, for GitHub's job summary (1 MiB at most there)."""
    facts: dict[str, Any] = {"summary": summary, "host": host, "suites": suites, "matrix": matrix, "marks": _MARKS}
    if matrix is not None:
        facts["table"] = _table(matrix)
    return _environment().get_template("summary.md.j2").render(**facts)


def _table(matrix: Mapping[str, Any]) -> str:
    """The matrix in Markdown; each field has the signs of the verdicts of its variants."""
    fields, columns = _fields(matrix), matrix["defences"]
    names = [f"{each['scheme']} {each['medium']}".removesuffix(" none") for each in columns]
    lines = [f"| attack | {' | '.join(names)} |", f"|---|{':-:|' * len(columns)}"]
    for attack in _rows(matrix):
        found = [fields.get((attack["id"], each["id"]), []) for each in columns]
        title = f"{attack['id']} {attack['title']}".replace("|", "\\|")
        lines.append(f"| {title} | {' | '.join(map(_signs, found))} |")
    return "\n".join(lines)


def _signs(cells: Sequence[Mapping[str, Any]]) -> str:
    signs = dict.fromkeys(_MARKS[cell["verdict"]] for cell in cells)
    failed = any(cell_failed(cell) for cell in cells)
    return f"**{''.join(signs)}**" if failed else "".join(signs)


def _environment() -> Environment:
    return Environment(loader=PackageLoader("offchip.report"), autoescape=select_autoescape(["html", "html.j2"]),
                       trim_blocks=False)


def _of_matrix(matrix: Mapping[str, Any]) -> dict[str, Any]:
    rows = _rows(matrix)
    answer = {**matrix["answer"], "sections": [
        {**section, "sentences": [{**sentence, "cites": _cites(sentence)} for sentence in section["sentences"]]}
        for section in matrix["answer"]["sections"]]}
    return {"matrix": {**matrix, "answer": answer}, "attacks": rows, "fields": _fields(matrix),
            "families": sorted({attack["family"] for attack in rows}), "data": _data(matrix),
            "switched": measures_of(matrix),
            "ladder": list({each["scheme"]: each for each in matrix["defences"]}.values()),
            "reasons": {(each["attack"], each["column"]): each["reason"] for each in reversed(matrix["skipped"])}}


def _rows(matrix: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Attacks with cells; the others have nothing to show."""
    used = {cell["attack"] for cell in matrix["cells"]}
    return [attack for attack in matrix["attacks"] if attack["id"] in used]


def _fields(matrix: Mapping[str, Any]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """(attack, column) -> its cells, the worst first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in matrix["cells"]:
        found.setdefault((cell["attack"], column(cell)), []).append(cell)
    for cells in found.values():
        cells.sort(key=lambda cell: ("broken", "not run", "degraded", "held").index(cell["verdict"]))
    return found


def _cites(sentence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One chip per verdict that bears the sentence; one per pattern for cells that say otherwise."""
    bearing, against = (
        [each for each in sentence["cells"] if (each["verdict"] == each["needed"]) is right] for right in (True, False))
    cites = [{"label": verdict, "verdict": verdict, "cells": [each["cell"] for each in bearing
                                                              if each["verdict"] == verdict]}
             for verdict in VERDICTS if any(each["verdict"] == verdict for each in bearing)]
    for pattern in sentence["patterns"]:
        mine = [each for each in against if fnmatchcase(each["cell"], pattern)]
        cites += [{"label": f"{_label(pattern)} {verdict}", "verdict": verdict,
                   "cells": [each["cell"] for each in mine if each["verdict"] == verdict]}
                  for verdict in dict.fromkeys(each["verdict"] for each in mine)]
    return cites


def _label(pattern: str) -> str:
    """``A01/*/plain/sd`` -> ``A01 plain SD``"""
    media = {"sd": "SD", "eeprom": "EEPROM", "none": "", "*": ""}
    parts = [media.get(part, part) for part in pattern.split("/")]
    return " ".join(part.strip("*") for part in parts if part.strip("*"))


def _data(matrix: Mapping[str, Any]) -> str:
    """What the script needs; texts of time lines once each, as boots resemble each other."""
    texts: dict[str, int] = {}
    cells = []
    for cell in matrix["cells"]:
        shown = {key: cell[key] for key in _SHOWN if key in cell and cell[key] is not None}
        shown["timeline"] = [[each["time_ns"], _LANES.index(each["lane"]),
                              texts.setdefault(each["text"], len(texts))] for each in cell["timeline"]]
        shown["surprise"] = cell_failed(cell)
        cells.append(shown)
    used = {cell["attack"] for cell in cells}
    attacks = [attack for attack in matrix["attacks"] if attack["id"] in used]
    data = json.dumps({"cells": cells, "attacks": attacks, "texts": list(texts), "lanes": _LANES,
                       "measures": matrix["measures"], "verdicts": VERDICTS}, separators=(",", ":"))
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _of_claims(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Without cells: the suites' claims by attack and configuration."""
    about = [row for row in rows if row["record"].get("attack")]
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in about:
        found.setdefault(row["record"]["attack"], {}).setdefault(_configuration(row), []).append(row)
    return {"matrix": None, "old_matrix": dict(sorted(found.items())), "columns": sorted({*map(_configuration, about)}),
            "threats": {key: attack.threat() for key, attack in ATTACKS.items()}}


def _configuration(row: Mapping[str, Any]) -> str:
    defence = row["record"].get("defence", {})
    parts = (defence.get("scheme"), defence.get("medium"), defence.get("other"))
    return " / ".join(part for part in parts if part and part != "none")
