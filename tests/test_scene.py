# SPDX-License-Identifier: Apache-2.0
"""Several boards of one scene share its time, whichever of them is run."""

from __future__ import annotations

from offchip.paths import FIRMWARE
from offchip.scene import Scene


def test_a_board_that_is_off_is_as_old_as_the_others() -> None:
    scene = Scene(things=("thing-1", "thing-2"))
    try:
        first, second = (scene.build(thing, elf=FIRMWARE) for thing in ("thing-1", "thing-2"))
        first.board.run(0.25)
        assert second.board.now_ns == first.board.now_ns == scene.now_ns == 250_000_000
        second.board.power_on()
        second.board.console.wait_for("^boot: ", 1.0)
        assert second.board.console.lines[0].time_ns > 250_000_000
        assert first.board.now_ns == second.board.now_ns == scene.now_ns
    finally:
        scene.close()
