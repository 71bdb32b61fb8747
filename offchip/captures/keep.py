# SPDX-License-Identifier: Apache-2.0
"""Which cells' captures are kept, and how much of the disk they may take together."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path

from offchip.captures.recorder import Recorder

#: of the folder of captures; a run of everything with ``--captures all`` has more than a page can offer
BUDGET_BYTES = 96 << 20
FOLDER = "captures"


class Wanted(StrEnum):
    """``failed``: cells that did not come out as predicted, and those the answer shows."""

    ALL = "all"
    FAILED = "failed"
    NONE = "none"


@cache
def shown() -> frozenset[str]:
    """Cells whose captures the answer offers (``captures`` in ``offchip/report/answer.toml``)."""
    with (files("offchip.report") / "answer.toml").open("rb") as stream:
        return frozenset(tomllib.load(stream)["captures"])


@dataclass(frozen=True, slots=True)
class Keeper:
    """``results``: the report's folder; ``budget``: bytes its captures may take."""

    results: Path
    wanted: Wanted = Wanted.FAILED
    budget: int = BUDGET_BYTES

    def wants(self, cell: str, failed: bool) -> bool:
        """Whether a cell's captures are to be kept, if there is room."""
        return self.wanted is Wanted.ALL or (self.wanted is Wanted.FAILED and (failed or cell in shown()))

    def save(self, cell: str, recorder: Recorder) -> list[str]:
        """Save a cell's captures.

        Returns:
            Their names from ``results`` on; empty when there is no room for them.

        Raises:
            OSError: a file cannot be written.
        """
        folder = self.results / FOLDER
        stem = re.sub(r"[^A-Za-z0-9]+", "-", cell).strip("-").lower()
        if _size(folder) >= self.budget:
            return []
        names = recorder.save(folder, stem)
        if _size(folder) > self.budget:
            for name in names:
                (folder / name).unlink()
            return []
        return [f"{FOLDER}/{name}" for name in names]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
