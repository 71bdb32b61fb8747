# SPDX-License-Identifier: Apache-2.0
"""What is said of each attack, one file each in ``offchip/attacks/dossiers``: told, argued, and where it gets through.

``[words]``: for somebody who decides, not for somebody who builds; ``effect`` what the attacker does, ``lost`` what it
means when the defence is broken, ``kept`` when it held, ``degraded`` when the device lost something other than what was
sought (only where that may come out), ``remedy`` what stops it.

``[[rows.<variant>]]``: who wins each cell and by what, argued by hand before anything is run. The first rule that fits
decides; conditions: schemes, media, rdp, policies, guards (``""``: none); none of them: every cell of the row that
is left.

``[unbroken.<variant>]``: a row in which no way of storing is predicted to break, and the weaker device, server or chip
in which the same attack gets through: a ``mutant`` of tests/mutants, or in words the ``reason`` why there is none. A
defence is worth something only where a weaker one fails under the same attack.

``[[undecided]]``: what of this attack no emulation can tell, ``what`` and ``why`` in a sentence each, and the ``cases``
(ids of data/cases.json) that tell of it on silicon.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from offchip.attacks.references import cases
from offchip.errors import OffchipError

_PARTS = {"words", "rows", "unbroken", "undecided"}


@cache
def dossiers() -> dict[str, dict[str, Any]]:
    """Attack id -> its file.

    Raises:
        OffchipError: one cannot be read, or has a part nobody knows.
    """
    found = {}
    for path in sorted(files("offchip.attacks").joinpath("dossiers").iterdir(), key=lambda each: each.name):
        if not path.name.endswith(".toml"):
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OffchipError(f"dossiers/{path.name}: cannot be read: {error}.") from None
        if unknown := content.keys() - _PARTS:
            raise OffchipError(f"dossiers/{path.name}: unknown part '{min(unknown)}'; there are words, rows, unbroken, "
                               "undecided.")
        found[path.name.removesuffix(".toml")] = content
    return found


def stories() -> dict[str, dict[str, str]]:
    """Attack id -> what it is in plain words."""
    return {attack: each["words"] for attack, each in dossiers().items() if "words" in each}


def undecided(attack: str) -> list[dict[str, Any]]:
    """What of this attack no emulation can tell, with the cases that do."""
    known = {case.id: case for case in cases()}
    return [{"what": each["what"], "why": each["why"], "cases": [known[name].record() for name in each["cases"]]}
            for each in dossiers().get(attack, {}).get("undecided", [])]


def unbroken() -> dict[str, dict[str, str]]:
    """Attack and variant of a row that holds everywhere -> ``mutant`` or ``reason``."""
    return {f"{attack}/{variant}": line for attack, each in dossiers().items()
            for variant, line in each.get("unbroken", {}).items()}
