# SPDX-License-Identifier: Apache-2.0
"""What a run holds ready of an engine goes to each of its processes, and comes back clean or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offchip.engines.select import standby
from offchip.runner.inventory import read_inventory
from offchip.runner.run import Run
from offchip.runner.suite_process import Order

SUITE = """
*** Test Cases ***
It Has What Was Lent
    [Documentation]    The variable and the open file came along.
    Should Be Equal    ${{ os.environ["LENT"] }}    ${{ os.read(int(os.environ["LENT_FD"]), 4).decode() }}
Second
    [Documentation]    %(words)s
    %(step)s
"""


class Noted:
    """Lends a pipe with a word in it."""

    def __init__(self) -> None:
        self.back: list[bool] = []
        self._ours, self._theirs = os.pipe()

    def lend(self) -> tuple[dict[str, str], tuple[int, ...]]:
        os.write(self._theirs, b"word")
        return {"LENT": "word", "LENT_FD": str(self._ours)}, (self._ours,)

    def take_back(self, clean: bool) -> None:
        self.back.append(clean)

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@pytest.mark.parametrize(("step", "status", "clean"), [
    ("No Operation", "PASS", True), ("Fail    as it should", "FAIL", True),
    ("Evaluate    os._exit(1)", "LOST", False), ("Evaluate    os.kill(os.getpid(), 9)", "LOST", False)])
def test_each_process_borrows_and_gives_back(step: str, status: str, clean: bool, tmp_path: Path) -> None:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "a.robot").write_text(SUITE % {"step": step, "words": "w"})
    order = Order(folder, {}, (Path(__file__).resolve().parent.parent,), tmp_path / "work", tmp_path, 60)
    lent = Noted()
    outcomes = Run(order, read_inventory(folder, [], []), [lent], lambda line: None).finish()
    lent.close()
    assert sorted(each.status for each in outcomes.claims.values()) == sorted(["PASS", status])
    assert lent.back == [clean]


def test_the_embedded_engine_needs_none() -> None:
    nothing = standby("embedded")
    assert nothing.lend() == ({}, ())
    nothing.take_back(clean=False)
    nothing.close()
