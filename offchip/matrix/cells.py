# SPDX-License-Identifier: Apache-2.0
"""The cells: each goal of the catalogue against each defence it applies to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from offchip import vault
from offchip.attacks.base import Attack
from offchip.attacks.catalogue import ATTACKS
from offchip.broker.world import NARROW, WIDE
from offchip.errors import OffchipError
from offchip.matrix.axis import column, storages, switches, with_switches
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from OffchipLibrary.goals.base import Goal
from OffchipLibrary.goals.catalogue import GOALS


@dataclass(frozen=True)
class Cell:
    """One attack, in one variant, against one defence.

    Attributes:
        row: attack and variant, ``A07/whole``.
        defence: with the switches of the chip and the server.
    """

    row: str
    defence: Defence

    @property
    def id(self) -> str:
        """``A07/whole/fresh/sd``, with what differs from the defence as shipped behind it: ``/rdp2``, ``/tamper``."""
        return "/".join((self.row, self.defence.scheme.name, self.defence.medium.name, *switches(self.defence)))

    @property
    def attack(self) -> type[Attack]:
        return ATTACKS[self.row.partition("/")[0]]

    @property
    def variant(self) -> str:
        return self.row.partition("/")[2]

    @property
    def column(self) -> str:
        """Scheme and medium."""
        return column(self.defence)

    @cached_property
    def goal(self) -> Goal:
        return GOALS[self.row]

    @property
    def tags(self) -> tuple[str, ...]:
        """Robot tags: attack, weaknesses, scheme, medium, switches."""
        names = (self.defence.scheme.name, self.defence.medium.name)
        return ("matrix", *self.attack.tags(), *names, f"rdp{self.defence.rdp_level}", self.defence.policy,
                *((str(self.defence.guard),) if self.defence.guard else ()))


@dataclass(frozen=True, slots=True)
class NoCell:
    """Where an attack makes no sense against a storage, and why."""

    row: str
    column: str
    reason: str


def survey() -> Iterator[Cell | NoCell]:
    """Every row against every storage, in the order of columns and rows."""
    for storage in storages():
        for row, goal in GOALS.items():
            refused = ""
            found = False
            for defence in with_switches(storage, goal.rdp_levels, goal.policies, goal.guards):
                if applies := goal.applies(defence):
                    found = True
                    yield Cell(row, defence)
                else:
                    refused = applies.reason
            if not found:
                yield NoCell(row, column(storage), refused)


def cells() -> list[Cell]:
    """Those there are."""
    return [each for each in survey() if isinstance(each, Cell)]


@cache
def _by_id() -> dict[str, Cell]:
    return {each.id: each for each in cells()}


def cell(name: str) -> Cell:
    """The cell of this id.

    Raises:
        OffchipError: there is none; it says why, or what is near.
    """
    if name in _by_id():
        return _by_id()[name]
    row = "/".join(name.split("/")[:2])
    if row not in GOALS:
        raise OffchipError(f"there is no cell '{name}': no attack '{row}'; \"offchip list cells\" names all cells.")
    raise OffchipError(f"there is no cell '{name}': {_why_not(name)}; \"offchip list cells\" names all cells.")


def _why_not(name: str) -> str:
    parts = name.split("/")
    row, where, others = "/".join(parts[:2]), parts[2:4], parts[4:]
    if len(where) < 2:
        return "it has the form attack/variant/scheme/medium"
    defence = Defence(vault.scheme(where[0]), vault.medium(where[1]),
                      next((int(each[3:]) for each in others if each in ("rdp0", "rdp1", "rdp2")), 1),
                      WIDE if WIDE in others else NARROW,
                      next((guard for guard in Guard if guard and guard in others), Guard.NONE))
    if not defence.scheme.goes_with(defence.medium):
        return f"scheme '{where[0]}' does not go with medium '{where[1]}'"
    return GOALS[row].applies(defence).reason if not GOALS[row].applies(defence) else "it is not asked so"
