# SPDX-License-Identifier: Apache-2.0
"""Each instruction of a path skipped once, on a board that is about to take it: for whoever has the board already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offchip.board.board import Board
from offchip.campaign.crowd import engine_of
from offchip.campaign.injections import Fault, Kind, Outcome, Result, Stretch, arrive
from offchip.campaign.sources import Line, Sources

#: virtual seconds within which the path is reached
_REACHED_S = 5.0


@dataclass(frozen=True, slots=True)
class Skip:
    """One instruction not executed: where, what the path made of it, and whether it ended with success (r0 is 0)."""

    address: int
    line: Line
    outcome: Outcome
    success: bool


class CodePath:
    """A path through the firmware: from one function, called for the n-th time, to the return of one further out.

    Args:
        elf: the firmware, with its symbols and lines.
        outer, inner: functions; the path begins at ``inner`` and ends where ``outer``, which has called it, returns to.
        occurrence: of the calls of ``inner`` behind that of ``outer``, which one.
        units: see :class:`Sources`.
    """

    def __init__(self, elf: Path, outer: str, inner: str, occurrence: int,
                 units: Callable[[str], bool] = lambda file: True) -> None:
        self._sources = Sources(elf, units)
        self._outer, self._inner = self._sources.address(outer), self._sources.address(inner)
        self._occurrence = occurrence

    def reach(self, board: Board) -> int:
        """Run a board that was just switched on until it is about to take the path; returns where that ends.

        Raises:
            EngineError: it never comes there, or its engine cannot stop at an instruction.
        """
        engine = engine_of(board)
        injector = engine.machine.injector
        arrive(engine, self._outer, lambda: board.run(_REACHED_S))
        end = engine.machine.core.get("lr")[0] & ~1
        injector.arrived = None
        arrive(engine, self._inner, lambda: board.run(_REACHED_S), self._occurrence)
        injector.arrived = None
        injector.forget_stops()
        return end

    def skip_each(self, board: Board, of_interest: Callable[[Line], bool]) -> list[Skip]:
        """Skip each instruction once, at its first execution; the board is where the path begins, and stays there.

        ``of_interest``: which lines' instructions are tried. Raises EngineError as :meth:`reach` does.
        """
        stretch = Stretch(engine_of(board), self.reach(board))
        places = sorted(stretch.first_times(lambda address: of_interest(self._sources.line(address))).values())
        results = list(stretch.results(Fault(index, Kind.SKIP) for index in places))
        stretch.leave()
        return [self._skip(each) for each in results]

    def _skip(self, result: Result) -> Skip:
        success = result.outcome in (Outcome.OTHER, Outcome.SAME) and result.value == 0
        return Skip(result.pc, self._sources.line(result.pc), result.outcome, success)
