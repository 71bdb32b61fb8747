# SPDX-License-Identifier: Apache-2.0
"""What an update wears out, counted on a rotation over MQTT."""

from __future__ import annotations

from offchip import vault
from offchip.scene.update_cost import measure_update


def test_an_update_wears_what_the_table_says_and_leaves_decades() -> None:
    cost = measure_update(vault.scheme("fresh"), vault.EEPROM)
    # two entries of the log: numbers of the seals, commit; two records written, two blanked, none of it on a card
    assert (cost.flash_words, cost.log_bytes, cost.sd_writes) == (8, 32, 0)
    assert 10 < cost.eeprom_writes < 64 and 0 < cost.flash_erases < 0.01
    assert cost.years > 100 and cost.limit == "eeprom"
