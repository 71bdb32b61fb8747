# SPDX-License-Identifier: Apache-2.0
"""Which line of the firmware leaves out the check that a broken cell is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from offchip.paths import ROOT

_SOURCES = ROOT / "firmware/src"
#: what each attack would have been stopped by, in the words of the firmware
_CHECKS = {
    "A01": "encryption of what lies outside", "A02": "encryption of what lies outside", "A03": "authentication",
    "A04": "authentication", "A05": "a label in what is authenticated", "A06": "the device in what is authenticated",
    "A07": "a version kept in the chip", "A08": "encryption of what lies outside", "A10": "authentication",
    "A16": "a version kept in the chip", "A20": "a secret of its own for each device",
    "A24": "authentication", "A26": "erasure of old copies", "A29": "authentication",
}
_DEFAULT = "what stops this attack"


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    line: int


def missing_check(attack: str, scheme: str) -> dict[str, object] | None:
    """The line that says what ``scheme`` checks, and what is not among it; None where the firmware is not at hand."""
    place = _lines().get(scheme)
    if place is None:
        return None
    return {"file": place.file, "line": place.line, "check": _CHECKS.get(attack, _DEFAULT)}


@cache
def _lines() -> dict[str, _Line]:
    """Scheme -> its record format, else its entry in the table of schemes."""
    found: dict[str, _Line] = {}
    for kind, prefix in (("scheme", "SCHEME_"), ("record_format", "")):
        pattern = re.compile(rf"struct {kind} {prefix}([A-Z_]+)\b[^;]*=")
        for path in sorted(_SOURCES.rglob("*.c")) if _SOURCES.is_dir() else ():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if match := pattern.search(line):
                    name = match[1].lower().replace("_", "-")
                    found[name] = _Line(str(path.relative_to(ROOT)), number)
    return found
