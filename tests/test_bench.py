# SPDX-License-Identifier: Apache-2.0
"""The comparison of both engines prints what it promises; its figures are nobody's verdict."""

from __future__ import annotations

import re

import pytest

from bench import bench, both
from offchip.paths import FIRMWARE


@pytest.mark.skipif(not FIRMWARE.is_file(), reason="the firmware is not built")
def test_each_stage_has_a_figure_of_each_engine_and_their_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    once = both.measure("embedded", FIRMWARE, 1)
    monkeypatch.setattr(both, "measure", lambda engine, elf, sleep_s: tuple((1 + number) * each for each in once)
                        if (number := ("embedded", "renode").index(engine)) else once)
    lines = both.compare(FIRMWARE, rounds=1, sleep_s=1)
    assert len(lines) == 3 + len(both.STAGES) + 1
    for line in lines[2:]:
        first, second, ratio = map(float, re.findall(r" (\d+\.\d\d)(?= |$)", line)[:3])
        assert second == 0 or ratio == pytest.approx(second / first, abs=0.02 + 0.01 / first) or first < 0.05


@pytest.mark.parametrize("present", [True, False])
def test_renode_is_compared_only_where_it_is(present: bool, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("measure_core", "measure_device", "measure_boards", "measure_cells"):
        monkeypatch.setattr(bench, name, lambda _: None)
    monkeypatch.setattr(bench.campaigns, "report", lambda: None)
    monkeypatch.setattr(bench, "resolve_engine", lambda name: "renode" if present else "embedded")
    monkeypatch.setattr(both, "compare", lambda elf: ["the rows"])
    monkeypatch.setattr("sys.argv", ["bench.py"])
    bench.main()
    assert ("the rows" in capsys.readouterr().out) is present
