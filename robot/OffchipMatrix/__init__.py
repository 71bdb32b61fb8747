# SPDX-License-Identifier: Apache-2.0
"""Robot Framework library of the matrix: one keyword, one test per cell (``offchip.matrix.parser`` makes the tests)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot.api import logger
from robot.api.deco import keyword, library

from offchip import __version__
from offchip.matrix.bench import Bench
from offchip.matrix.cells import cell as find_cell
from offchip.matrix.predictions import predict
from offchip.paths import FIRMWARE
from offchip.report.record import save_record
from offchip.scene import DEFAULT_SEED


@library(scope="SUITE", version=__version__, doc_format="TEXT")
class OffchipMatrix:
    """Runs cells of the matrix.

    Arguments of the import as of OffchipLibrary: ``engine``, ``elf``, ``records``, ``seed``.
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, engine: str = "embedded", elf: str = "", records: str = "", seed: int = DEFAULT_SEED) -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self._bench = Bench(engine, Path(elf) if elf else FIRMWARE, seed)
        self._records = Path(records) if records else None
        self._scenario = ""
        self._record: dict[str, Any] = {}

    @keyword(tags=("oracle",))
    def the_cell_should_come_out_as_predicted(self, cell: str) -> None:
        """Fire the cell's attack, measure whether it reached its goal, and compare with who was said to win.

        ``cell``: an id as ``offchip list cells`` shows them, such as ``A07/whole/fresh/sd``.
        """
        chosen = find_cell(cell)
        prediction = predict(chosen)
        self._record = self._bench.run(chosen, self._scenario)
        self._record |= {"predicted": prediction.verdict, "why": prediction.why}
        for each in self._record["fired"]:
            logger.info(f"{each['time_ns'] / 1e9:9.3f} s  {each['attack']} {each['action']} at {each['place']}: "
                        f"{each['detail']}")
        for line in self._record["observations"]:
            logger.info(line)
        if self._record["verdict"] != prediction.verdict:
            raise AssertionError(f"{self._record['verdict']}: {self._record['reason']}; predicted: "
                                 f"{prediction.verdict}, {prediction.why}")

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
