# SPDX-License-Identifier: Apache-2.0
"""Robot's own pages over all suites of a run."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from robot.api import ExecutionResult
from robot.errors import DataError

from offchip.runner.inventory import ROOT_NAME
from robot import rebot  # type: ignore[attr-defined]


def merge_logs(outputs: Sequence[Path], folder: Path) -> dict[str, str]:
    """Write ``output.xml``, ``log.html`` and ``report.html`` of what the suites' processes left.

    Returns:
        Claim -> its id in the log. An output a killed process left unfinished is in none of them.
    """
    readable = sorted(str(path) for path in outputs if _is_whole(path))
    if not readable:
        return {}
    said = StringIO()
    code = rebot(*readable, merge=True, name=ROOT_NAME, outputdir=str(folder), output="output.xml", log="log.html",
                 report="report.html", tagstatlink="CWE-*:https://cwe.mitre.org/data/definitions/%1.html:CWE-%1",
                 stdout=said, stderr=said)
    if code > 250 or not (folder / "log.html").is_file():
        raise OSError(f"Robot could not write its log: {said.getvalue().strip()[-200:]}")
    result = ExecutionResult(str(folder / "output.xml"))
    return {f"{test.parent.name}.{test.name}": test.id for test in result.suite.all_tests}


def _is_whole(path: Path) -> bool:
    try:
        ExecutionResult(str(path), include_keywords=False)
    except DataError:
        return False
    return True
