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
    "A11": "a version kept in the chip", "A16": "a version kept in the chip",
    "A20": "a secret of its own for each device", "A21": "encryption of what lies outside", "A24": "authentication",
    "A26": "erasure of old copies", "A27": "authentication", "A29": "authentication",
}
#: where the attacker takes what lies in clear; elsewhere it is the server that lets him
_IN_CLEAR = {"A21": "plain"}


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    line: int


def missing_check(attack: str, scheme: str, expected: bool = True) -> dict[str, object] | None:
    """The line that says what ``scheme`` checks, and what is not among it.

    None where the firmware is not at hand, and where what was ``expected`` to happen is no fault of its: the chip was
    opened, the server let him.
    """
    place, check = _lines().get(scheme), _CHECKS.get(attack, "")
    if _IN_CLEAR.get(attack, scheme) != scheme:
        check = ""
    if place is None or (expected and not check):
        return None
    if scheme == "fleet-key" and check:
        check = _CHECKS["A20"]
    return {"file": place.file, "line": place.line, "check": check or "what stops this attack"}


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
