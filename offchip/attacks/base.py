# SPDX-License-Identifier: Apache-2.0
"""What an attack is. To add one: a class in a module of this folder; everything else is derived from it.

Keyword, tags and documentation of the Robot library, the threat table of the report and the rows of the matrix come
from the class (``offchip.attacks.catalogue`` finds it). Attacks act and leave evidence; they never judge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from offchip.attacks.reach import AttackFailed, Reach
from offchip.attacks.references import Case, cases_of
from offchip.evidence import Evidence
from offchip.scene.defence import Defence

__all__ = ["Applies", "Attack", "AttackFailed", "Need"]


class Need(StrEnum):
    """What the attacker has to have."""

    MEDIUM = "the medium in a reader"
    BUS = "a probe on the bus"
    DEBUG = "a debug probe"
    NETWORK = "the network between device and server"
    INTERNET = "any access to the internet"
    DEVICE = "the device, altered"
    UNIT = "another device of the same make"
    LABORATORY = "a laboratory that opens chips or disturbs them"


@dataclass(frozen=True, slots=True)
class Applies:
    """Whether an attack makes sense against a defence, and why (not)."""

    fits: bool
    reason: str

    def __bool__(self) -> bool:
        return self.fits


@dataclass(frozen=True)
class Attack(ABC):
    """One attack of the catalogue; its fields are the arguments of its Robot keyword, its docstring the text.

    Attributes:
        id: row of the matrix.
        title: a few words, lower case.
        keyword: name of the Robot keyword.
        needs: what the attacker has to have.
        psa: threat of PSA's security requirements; ``-``: none, trailing ``~``: the nearest one.
        emb3d: threat ids of MITRE EMB3D.
        cwe: numbers of the Common Weakness Enumeration.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    keyword: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]]
    psa: ClassVar[str]
    emb3d: ClassVar[str]
    cwe: ClassVar[tuple[int, ...]]

    @abstractmethod
    def applies(self, defence: Defence) -> Applies:
        """Whether this attack, with these arguments, makes sense against ``defence``."""

    @abstractmethod
    def fire(self, scene: Reach) -> list[Evidence]:
        """Do it, until it has reached its target; time may run.

        Returns:
            What was done, in the order of time; never empty.

        Raises:
            AttackFailed: it could not be done, or its target was not reached.
        """

    def note(self, scene: Reach, action: str, place: str, detail: str = "", **contents: bytes) -> Evidence:
        """Evidence of this attack, now. ``contents``: ``before``, ``after``, ``sent``, ``received``."""
        return Evidence(self.id, action, place, scene.board.now_ns, detail=detail, **contents)

    @classmethod
    def tags(cls) -> tuple[str, ...]:
        """Robot tags: the id, and the weaknesses."""
        return (cls.id, *(f"CWE-{number}" for number in cls.cwe))

    @classmethod
    def family(cls) -> str:
        """What it belongs to: the name of its module."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def incidents(cls) -> list[Case]:
        """The real cases it stands for, the newest first."""
        return cases_of(cls.id)

    @classmethod
    def threat(cls) -> dict[str, Any]:
        """One row of the threat table."""
        return {"title": cls.title, "family": cls.family(), "needs": [need.value for need in cls.needs], "psa": cls.psa,
                "emb3d": cls.emb3d, "cwe": list(cls.cwe), "incidents": [case.record() for case in cls.incidents()]}
