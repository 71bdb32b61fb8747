# SPDX-License-Identifier: Apache-2.0
"""What an update wears out, counted on a rotation over MQTT."""

from __future__ import annotations

from collections import Counter

import pytest

from offchip import vault
from offchip.attacks.wire import sd_blocks
from offchip.engines.protocol import Transfer
from offchip.paths import FIRMWARE
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING
from offchip.scene.update_cost import measure_update

UPDATES = 4
PAGE = 64


def test_an_update_wears_what_the_table_says_and_leaves_decades() -> None:
    cost = measure_update(vault.scheme("fresh"), vault.EEPROM)
    # two entries of the log: numbers of the seals, commit; two records written, two blanked, none of it on a card
    assert (cost.flash_words, cost.log_bytes, cost.sd_writes) == (8, 32, 0)
    assert 10 < cost.eeprom_writes < 64 and 0 < cost.flash_erases < 0.01
    assert cost.years > 100 and cost.limit == "eeprom"


def pages_written(transfers: list[Transfer]) -> Counter[int]:
    """Writes of each EEPROM page, from the bytes on the bus: S, address with its direction, two of place, data."""
    found: Counter[int] = Counter()
    for transfer in transfers:
        for part in transfer.text.replace("Sr", "S").split("S")[1:]:
            sent = [int(token[:2], 16) for token in part.split() if token.endswith("+")]
            if len(sent) > 3 and sent[0] == 0xA0:
                found[(sent[1] << 8 | sent[2]) // PAGE] += 1
    return found


@pytest.mark.parametrize("medium", [vault.SD, vault.EEPROM], ids=lambda medium: medium.name)
def test_the_hottest_cell_sees_two_writes_an_update_at_most(medium: vault.MediumKind) -> None:
    """The years in the table rest on that; counted by somebody who listens to the bus."""
    scene = Scene(things=(THING,))
    try:
        device = scene.build(THING, Defence(vault.scheme("fresh"), medium), elf=FIRMWARE, rotation=True)
        board = device.board
        tap = board.spi_tap if medium is vault.SD else board.i2c_tap
        board.power_on()
        board.console.wait_for("^mqtt: published", 60)
        tap.record()
        heard: list[Transfer] = []
        for _ in range(UPDATES):
            scene.rotate(device)
            board.console.wait_for("^rotation: complete", 60)
            heard += tap.drain()
            board.console.wait_for("^mqtt: published", 60)
            heard += tap.drain()
        written = Counter(block.block for block in sd_blocks(heard) if block.written) if medium is vault.SD else \
            pages_written(heard)
        cost = measure_update(vault.scheme("fresh"), medium)
        assert written.total() == UPDATES * (cost.sd_writes + cost.eeprom_writes)
        assert UPDATES <= max(written.values()) <= 2 * UPDATES
    finally:
        scene.close()
