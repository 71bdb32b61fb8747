# SPDX-License-Identifier: Apache-2.0
"""What a run says of its own speed."""

from __future__ import annotations

from offchip.runner.pace import pace
from offchip.runner.suite_process import Outcome


def test_cells_and_claims_are_told_apart_and_the_dearest_rows_come_first() -> None:
    took = {"Matrix plain sd.A01/read/plain/sd": 1.0, "Matrix fresh sd.A01/read/fresh/sd": 1.0,
            "Matrix fresh sd.A16/cut/fresh/sd": 6.0, "06 Plain.Who Reads The SD Card Is The Device": 3.0}
    outcomes = {key: Outcome("PASS", cpu_s=cpu) for key, cpu in took.items()}
    cells = {key.partition(".")[2] for key in took if key.startswith("Matrix")}
    assert list(pace(outcomes, cells, host_s=6.0, cpu_s=12.0)) == [
        "3 cells of 2 rows: 0.50 a second of the host, 2.67 s of CPU each",
        "most of it: A16/cut 75 % (6.0 s each), A01/read 25 % (1.0 s each)",
        "1 claims beside the matrix: 3.00 s of CPU each",
        "12 s of CPU in 6 s; 1 s of it outside claims"]
    assert list(pace({}, cells, 0.0, 0.0)) == ["0 s of CPU in 0 s; 0 s of it outside claims"]
