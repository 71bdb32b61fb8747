# SPDX-License-Identifier: Apache-2.0
"""The two engines against each other, in one run, where a Renode is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from offchip import vault
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING

ENGINES = ("embedded", "renode")
#: what is measured, in host seconds; worker processes count, so it is wall-clock time: leave the machine alone
STAGES = ("a board with a provisioned card", "boot + TLS + first publish", "{} s of a device that sleeps")
_PUBLISH_S = 60


def measure(engine: str, elf: Path, sleep_s: float) -> tuple[float, ...]:
    """Host seconds of each stage, of one board."""
    times = [time.perf_counter()]
    defence = Defence(vault.PLAIN, vault.SD)
    device = Scene(things=(THING,)).build(THING, defence, engine=engine, elf=elf, publish_interval_ms=5000)
    with device.board as board:
        times.append(time.perf_counter())
        board.power_on()
        board.run_until(lambda: bool(board.console.find("mqtt: published")), _PUBLISH_S)
        times.append(time.perf_counter())
        board.run(sleep_s)
        times.append(time.perf_counter())
    return tuple(after - before for before, after in zip(times, times[1:], strict=False))


def compare(elf: Path, engines: Sequence[str] = ENGINES, rounds: int = 3, sleep_s: float = 20) -> list[str]:
    """The report. The engines take turns, so that what else the host does meets both alike."""
    first = [measure(engine, elf, sleep_s) for engine in engines]
    taken = [[measure(engine, elf, sleep_s) for engine in engines] for _ in range(rounds)]
    lines = [f"{' and '.join(engines)} in turn, host seconds, median of {rounds} rounds after the first board",
             f"  {'':36}" + "".join(f"{engine:>10}" for engine in engines) + "     ratio"]
    lines.append(_row("the first board of the process", [each[0] for each in first]))
    for number, stage in enumerate(STAGES):
        columns = zip(*([each[number] for each in turn] for turn in taken), strict=True)
        lines.append(_row(stage.format(f"{sleep_s:g}"), [statistics.median(column) for column in columns]))
    sums = [statistics.median(sum(each) for each in column) for column in zip(*taken, strict=True)]
    lines.append(_row("together", sums) + "   (wanted: 0.70 or less)")
    return lines


def _row(name: str, seconds: Sequence[float]) -> str:
    return f"  {name:36}" + "".join(f"{each:10.2f}" for each in seconds) + f"{seconds[-1] / seconds[0]:10.2f}"
