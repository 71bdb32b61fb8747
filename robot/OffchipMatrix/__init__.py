# SPDX-License-Identifier: Apache-2.0
"""Robot Framework library of the matrix: one keyword, one test per cell (``offchip.matrix.parser`` makes the tests)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot.api import logger
from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

from offchip import __version__
from offchip.broker.profile import DEFAULT_PROFILE, named_profile
from offchip.captures.keep import Keeper, Wanted
from offchip.matrix.bench import Bench
from offchip.matrix.cells import Cell
from offchip.matrix.cells import cell as find_cell
from offchip.matrix.predictions import predict
from offchip.paths import FIRMWARE
from offchip.report.record import save_record
from offchip.scene import DEFAULT_SEED
from OffchipLibrary.goals.base import Start


@library(scope="SUITE", version=__version__, doc_format="TEXT")
class OffchipMatrix:
    """Runs cells of the matrix.

    Arguments of the import as of OffchipLibrary: ``engine``, ``elf``, ``records``, ``seed``. The variable
    ``${CAPTURES}`` (``failed``, ``all``, ``none``) says of which cells buses, network and media are kept, beside the
    records.
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, engine: str = "embedded", elf: str = "", records: str = "", seed: int = DEFAULT_SEED) -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        profile = named_profile(BuiltIn().get_variable_value("${PROFILE}", DEFAULT_PROFILE))
        self._bench = Bench(engine, Path(elf) if elf else FIRMWARE, seed, profile)
        self._records = Path(records) if records else None
        wanted = BuiltIn().get_variable_value("${CAPTURES}", Wanted.FAILED) if self._records else Wanted.NONE
        self._keeper = Keeper(self._records.parent, Wanted(wanted)) if self._records else None
        self._costs: set[str] = set()
        self._scenario = ""
        self._record: dict[str, Any] = {}

    @keyword(tags=("oracle",))
    def the_cell_should_come_out_as_predicted(self, cell: str) -> None:
        """Fire the cell's attack, measure whether it reached its goal, and compare with who was said to win.

        ``cell``: an id as ``offchip list cells`` shows them, such as ``A07/whole/fresh/sd``.
        """
        chosen = find_cell(cell)
        prediction = predict(chosen)
        self._record = self._bench.run(chosen, self._scenario, self._keeper_for(cell, failed=False))
        failed = self._record["verdict"] != prediction.verdict
        if failed and not self._record["captures"] and (keeper := self._keeper_for(cell, failed)):
            # one seed, one story: the same again, kept this time
            self._record["captures"] = self._bench.run(chosen, self._scenario, keeper)["captures"]
        self._record |= {"predicted": prediction.verdict, "why": prediction.why, "cost": self._cost(chosen)}
        for each in self._record["fired"]:
            logger.info(f"{each['time_ns'] / 1e9:9.3f} s  {each['attack']} {each['action']} at {each['place']}: "
                        f"{each['detail']}")
        for line in self._record["observations"]:
            logger.info(line)
        if self._record["verdict"] != prediction.verdict:
            raise AssertionError(f"{self._record['verdict']}: {self._record['reason']}; predicted: "
                                 f"{prediction.verdict}, {prediction.why}")

    def _keeper_for(self, cell: str, failed: bool) -> Keeper | None:
        return self._keeper if self._keeper and self._keeper.wants(cell, failed) else None

    def _cost(self, cell: Cell) -> dict[str, Any] | None:
        """What the column costs, measured once, with its first cell whose device runs already."""
        if cell.column not in self._costs and cell.goal.start is Start.PUBLISHING:
            cost = self._bench.cost(cell)
            self._costs.add(cell.column)
            return cost
        return None

    # listener: one record per cell -----------------------------------------------------------------------------------
    def start_test(self, data: Any, result: Any) -> None:
        self._scenario, self._record = f"{result.parent.name}.{result.name}", {}

    def end_test(self, data: Any, result: Any) -> None:
        if self._records is None or not self._record:
            return
        try:
            save_record(self._records, self._record | {"proven": result.passed})
        except OSError as error:
            result.status = "FAIL"
            result.message = f"the record of this cell cannot be saved: {error}. {result.message}".strip()

    def end_suite(self, data: Any, result: Any) -> None:
        self._bench.close()
