# SPDX-License-Identifier: Apache-2.0
"""Broken cells as SARIF 2.1.0 (OASIS), for code scanning: where the firmware lacks the check."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from offchip import __version__

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CWE = "CWE"


def sarif(document: Mapping[str, Any]) -> dict[str, Any]:
    """One result per attack and column that is broken; one that was not predicted is an error, else a note."""
    broken = [cell for cell in document["cells"] if cell["verdict"] == "broken" and cell.get("missing_check")]
    attacks = {attack["id"]: attack for attack in document["attacks"]}
    rules = [attacks[key] for key in sorted({cell["attack"] for cell in broken})]
    numbers = sorted({number for rule in rules for number in rule["cwe"]})
    return {
        "$schema": _SCHEMA, "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "offchip", "version": __version__, "semanticVersion": __version__,
                                "rules": [_rule(rule) for rule in rules],
                                "supportedTaxonomies": [{"name": _CWE}]}},
            "taxonomies": [{"name": _CWE, "organization": "MITRE", "shortDescription": {
                "text": "Common Weakness Enumeration"}, "taxa": [{"id": str(number)} for number in numbers]}],
            "columnKind": "utf16CodeUnits",
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the project's folder"}}},
            "results": _results(broken, rules),
        }],
    }


def _rule(attack: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": attack["id"], "name": "".join(word.capitalize() for word in attack["title"].split() if word.isalnum()),
        "shortDescription": {"text": attack["title"]},
        "fullDescription": {"text": attack["effect"] or attack["title"]},
        "help": {"text": attack["remedy"] or "See the report's page of the cell."},
        "relationships": [{"target": {"id": str(number), "toolComponent": {"name": _CWE}}, "kinds": ["superset"]}
                          for number in attack["cwe"]],
        "properties": {"tags": ["security", *(f"external/cwe/cwe-{number}" for number in attack["cwe"])]},
    }


def _results(broken: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    columns: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for cell in broken:
        columns.setdefault((cell["attack"], cell["scheme"], cell["medium"]), []).append(cell)
    found = []
    for (attack, scheme, medium), cells in columns.items():
        unexpected = [cell for cell in cells if cell["predicted"] and cell["predicted"] != "broken"]
        check = cells[0]["missing_check"]
        reason = (unexpected or cells)[0]["reason"]
        where = f"{scheme} on {medium}" if medium != "none" else scheme
        fingerprint = hashlib.sha256(f"{attack}/{scheme}/{medium}".encode()).hexdigest()
        found.append({
            "ruleId": attack, "ruleIndex": index[attack], "level": "error" if unexpected else "note",
            "message": {"text": f"{where} lacks {check['check']}: {reason}"},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": check["file"], "uriBaseId": "SRCROOT"},
                "region": {"startLine": check["line"]}}}],
            "partialFingerprints": {"offchipCell/v1": fingerprint},
            "properties": {"cells": [cell["id"] for cell in cells]},
        })
    return found
