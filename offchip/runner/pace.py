# SPDX-License-Identifier: Apache-2.0
"""How fast a run went and where its time went, in a few lines: told at its end, never part of a verdict."""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from offchip.runner.suite_process import Outcome

_DEAREST = 5


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pace(outcomes: Mapping[str, Outcome], cells: Collection[str], host_s: float, cpu_s: float) -> Iterator[str]:
    """Lines for whoever wants it faster. What a column's devices take to start counts to the first cell that uses each.

    Args:
        outcomes: what was run now, by ``suite.name``.
        cells: the ids of the matrix; a test of such a name is a cell.
        host_s: how long all of it took.
        cpu_s: what all processes took together.
    """
    rows: dict[str, list[float]] = defaultdict(list)
    claims: list[float] = []
    for key, outcome in outcomes.items():
        name = key.partition(".")[2]
        if name in cells:
            rows["/".join(name.split("/")[:2])].append(outcome.cpu_s)
        else:
            claims.append(outcome.cpu_s)
    number, spent = sum(map(len, rows.values())), sum(map(sum, rows.values()))
    if number:
        yield (f"{number} cells of {len(rows)} rows: {number / max(host_s, 1e-9):.2f} a second of the host, "
               f"{spent / number:.2f} s of CPU each")
        dearest = sorted(rows, key=lambda row: -sum(rows[row]))[:_DEAREST]
        yield "most of it: " + ", ".join(f"{row} {100 * sum(rows[row]) / max(spent, 1e-9):.0f} % "
                                         f"({sum(rows[row]) / len(rows[row]):.1f} s each)" for row in dearest)
    if claims:
        yield f"{len(claims)} claims beside the matrix: {sum(claims) / len(claims):.2f} s of CPU each"
    yield f"{cpu_s:.0f} s of CPU in {host_s:.0f} s; {max(0.0, cpu_s - spent - sum(claims)):.0f} s of it outside claims"
