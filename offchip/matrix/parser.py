# SPDX-License-Identifier: Apache-2.0
"""Robot's parser for ``*.cells``: a file that chooses cells becomes suites, one per column, with a test per cell.

``robot --argumentfile robot/offchip.args --include A07 robot/suites`` therefore works as with any suite; so does pabot.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from robot.api import SuiteVisitor, TestSuite
from robot.errors import DataError

from offchip.matrix.cells import Cell, cells
from OffchipLibrary.goals.base import Start

KEYWORD = "The Cell Should Come Out As Predicted"
_CHOICES: dict[str, Callable[[Cell], str]] = {
    "attacks": lambda cell: cell.row, "schemes": lambda cell: cell.defence.scheme.name,
    "media": lambda cell: cell.defence.medium.name}
_IMPORT = ("engine=${ENGINE}", "elf=${ELF}", "records=${RECORDS}", "seed=${SEED}")


class CellsParser:
    """``parse`` is called by Robot; see its User Guide, *Parser interface*."""

    extension = ".cells"

    def parse(self, source: Path, defaults: Any) -> TestSuite:
        """Raises DataError: the file is malformed."""
        top = TestSuite(TestSuite.name_from_source(source), source=source)
        for cell in _chosen(source):
            suite = next((each for each in top.suites if each.name == _name(cell)), None)
            if suite is None:
                suite = top.suites.create(name=_name(cell), doc=f"{cell.defence.scheme.name}: "
                                                                f"{cell.defence.scheme.shows}")
                suite.resource.imports.library("OffchipMatrix", args=_IMPORT)
            test = suite.tests.create(name=cell.id, doc=f"{cell.attack.title}: {cell.goal.after}", tags=cell.tags)
            test.body.create_keyword(name=KEYWORD, args=(cell.id,))
        return top


class WithCells(SuiteVisitor):  # type: ignore[misc]
    """The same as a pre-run modifier, for what knows no parsers: pabot, when it looks for suites."""

    def start_suite(self, suite: TestSuite) -> None:
        """Raises DataError: a file of the folder is malformed."""
        if suite.source is None or not Path(suite.source).is_dir():
            return
        parsed = {each.source for each in suite.suites}
        for path in sorted(Path(suite.source).glob(f"*{CellsParser.extension}")):
            if path not in parsed:
                suite.suites.append(CellsParser().parse(path, None))


def _name(cell: Cell) -> str:
    return f"Matrix {cell.column}"


def _chosen(source: Path) -> list[Cell]:
    """The cells whose row, scheme and medium fit one of the patterns each; no list: all."""
    try:
        wanted = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: {error}") from None
    if unknown := wanted.keys() - _CHOICES.keys():
        raise DataError(f"{source}: unknown field '{min(unknown)}'; there are {', '.join(_CHOICES)}")
    chosen = [cell for cell in cells()
              if all(any(fnmatchcase(value(cell), pattern) for pattern in wanted.get(field, ["*"]))
                     for field, value in _CHOICES.items())]
    # those that begin later in a device's life behind: one device serves them all
    return sorted(chosen, key=lambda cell: cell.goal.start is Start.RENEWING)
