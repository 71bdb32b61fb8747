# SPDX-License-Identifier: Apache-2.0
"""The core's registers read where Unicorn keeps them, and by its functions where its memory cannot be looked at."""

from __future__ import annotations

import hashlib

import pytest

from offchip import chip_map
from offchip.engines.embedded import register_file
from offchip.paths import FIRMWARE
from offchip.scene import Defence, Scene
from offchip.vault import EEPROM, scheme


def life() -> tuple[int, int, bytes, str]:
    """The first boot up to the credentials: exceptions and divisions that are trapped among it."""
    scene = Scene(1)
    try:
        board = scene.build(defence=Defence(scheme("fresh"), EEPROM), elf=FIRMWARE).board
        board.power_on()
        board.console.wait_for("^credentials: ok", 20.0)
        memory = board.engine.read_memory(chip_map.SRAM.start, chip_map.SRAM.size)
        return board.engine.instructions, board.now_ns, bytes(board.console.raw), hashlib.sha256(memory).hexdigest()
    finally:
        scene.close()


def test_a_core_lives_alike_by_functions_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert register_file._places() is not None and register_file._it_place() is not None
    by_memory = life()
    monkeypatch.setattr(register_file, "_places", lambda: None)
    assert life() == by_memory
