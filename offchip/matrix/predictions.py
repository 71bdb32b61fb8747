# SPDX-License-Identifier: Apache-2.0
"""Who should win in each cell, argued by hand in the dossiers of the attacks before anything is run.

Nothing that attacks or measures may read this; a cell's verdict is computed first and compared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offchip.errors import OffchipError
from offchip.matrix.cells import Cell
from offchip.report.dossiers import dossiers
from offchip.report.record import Verdict

_CONDITIONS: dict[str, Callable[[Cell], object]] = {
    "schemes": lambda cell: cell.defence.scheme.name, "media": lambda cell: cell.defence.medium.name,
    "rdp": lambda cell: cell.defence.rdp_level, "policies": lambda cell: cell.defence.policy,
    "guards": lambda cell: str(cell.defence.guard)}


@dataclass(frozen=True, slots=True)
class Prediction:
    """``why``: who wins and by what, one line."""

    verdict: Verdict
    why: str


def predict(cell: Cell) -> Prediction:
    """The first rule of the cell's row that fits it.

    Raises:
        OffchipError: there is none, or the table is malformed.
    """
    attack, _, variant = cell.row.partition("/")
    for rule in dossiers().get(attack, {}).get("rows", {}).get(variant, []):
        if unknown := rule.keys() - {*_CONDITIONS, "verdict", "why"}:
            raise OffchipError(f"dossiers/{attack}.toml: {cell.row}: unknown field '{min(unknown)}'.")
        if all(fits(cell) in rule[name] for name, fits in _CONDITIONS.items() if name in rule):
            return Prediction(Verdict(rule["verdict"]), str(rule["why"]))
    raise OffchipError(f"dossiers/{attack}.toml: nothing is predicted for {cell.id}; add a rule to [[rows.{variant}]].")
