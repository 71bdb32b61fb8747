# SPDX-License-Identifier: Apache-2.0
"""What an attack is called elsewhere: pinned extracts of EMB3D, CWE and PSA, and the real cases it stands for."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "data"
_THREAT_ID = re.compile(r"(?:TID|MID)-\d+|T\.[A-Z_]+")


@dataclass(frozen=True, slots=True)
class Case:
    """Something that happened.

    Attributes:
        id: short and stable; the CVE's number where there is one.
        what: one sentence.
        year: of publication.
        medium: where the secret lay, or what was attacked.
        obtained: what the attacker had in the end.
        source: where it is told.
        attacks: ids of the catalogue.
    """

    id: str
    what: str
    year: int
    medium: str
    obtained: str
    source: str
    attacks: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The form in a threat table."""
        return {**asdict(self), "attacks": list(self.attacks)}


@cache
def _data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return data


def titles(catalogue: str) -> dict[str, str]:
    """Id -> title of everything in ``emb3d``, ``cwe`` (ids are numbers, as text) or ``psa``."""
    found: dict[str, str] = _data(catalogue)["titles"]
    return found


def provenance(catalogue: str) -> dict[str, str]:
    """Title, version, date, source and notice of an extract."""
    return {name: str(value) for name, value in _data(catalogue).items() if name != "titles"}


def threat_ids(text: str) -> list[str]:
    """The EMB3D or PSA ids in an attack's field, without the marks for *none* and *nearest*."""
    return _THREAT_ID.findall(text)


@cache
def cases() -> tuple[Case, ...]:
    """All real cases."""
    return tuple(Case(**{**each, "attacks": tuple(each["attacks"])}) for each in _data("cases")["cases"])


def cases_of(attack: str) -> list[Case]:
    """Those one attack stands for, the newest first."""
    return sorted((case for case in cases() if attack in case.attacks), key=lambda case: (-case.year, case.id))
