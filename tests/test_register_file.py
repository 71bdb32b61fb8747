# SPDX-License-Identifier: Apache-2.0
"""The core's registers read where Unicorn keeps them, and by its functions where its memory cannot be looked at."""

from __future__ import annotations

import hashlib
import struct

import pytest

from offchip import chip_map
from offchip.engines.embedded import register_file
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.fp_context import FpContext
from offchip.paths import BOARD, FIRMWARE
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


def test_every_word_that_is_looked_for_is_found() -> None:
    core = EmbeddedEngine(BOARD).machine.core.uc
    assert None not in (register_file.control_of(core), register_file.mask_words_of(core),
                        register_file.divide_feature_of(core)) and FpContext(core).found


#: CCR.DIV_0_TRP = 1, r0 = 100, r1 = 7, r3 = 0, cmp r0, r0; ``itete eq; udiveq r2, r0, r1; udivne r0, r0, r3;
#: sdiveq r4, r2, r1; movne r4, #1; udiv r7, r0, r2; b .``
DIVISIONS = bytes.fromhex("0a4d2e6846f010062e60642007210022002380420bbfb0fbf1f2b0fbf3f0"
                         "92fbf1f40124b0fbf2f7fee7000014ed00e0")


def test_a_trapped_division_inside_an_it_block_and_one_that_is_passed_over() -> None:
    engine = EmbeddedEngine(BOARD)
    entry = chip_map.FLASH.start + 0x40
    engine.program(chip_map.FLASH.start, struct.pack("<II", chip_map.SRAM.start + 0x1000, entry | 1))
    engine.program(entry, DIVISIONS)
    engine.power_on()
    engine.run(1_000_000)
    assert engine.machine.core.get("r0", "r2", "r4", "r7") == [100, 14, 2, 7]
    assert engine.machine.nvic.cfsr == 0 and engine.diagnostics() == []
