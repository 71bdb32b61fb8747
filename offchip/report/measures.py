# SPDX-License-Identifier: Apache-2.0
"""What one measure more does: the same attack on the same storage, without it and with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: settings of which one is the stronger: (what ends a cell's id with it, and without it; words)
_SETTINGS = (("", "wide", "a narrow policy instead of a wide one"),
             ("rdp2", "", "readout protection at level 2 instead of 1"))


def measures_of(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measure by measure and row by row: ``words``, attack, variant, and verdict -> cells ``without`` it and ``with``.
    """
    cells = {cell["id"]: cell for cell in matrix["cells"]}
    titles = {attack["id"]: attack["title"] for attack in matrix["attacks"]}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for switch, other, words in [*((key, "", words) for key, words in matrix["measures"].items()), *_SETTINGS]:
        for cell in matrix["cells"]:
            if cell["switches"] != [switch] * bool(switch):
                continue
            base = "/".join((cell["attack"], cell["variant"], cell["scheme"], cell["medium"]))
            without = cells.get(f"{base}/{other}" if other else base)
            if without is None and not switch:
                continue
            row = found.setdefault((words, cell["attack"], cell["variant"]), {
                "words": words, "attack": cell["attack"], "title": titles[cell["attack"]], "variant": cell["variant"],
                "without": {}, "with": {}})
            for side, each in (("without", without), ("with", cell)):
                if each is not None:
                    row[side].setdefault(each["verdict"], []).append(each["id"])
    return list(found.values())
