# SPDX-License-Identifier: Apache-2.0
"""What replacing a device's key and certificate costs its memories: measured on a rotation over MQTT.

``python -m offchip.scene.update_cost [SCHEME ...]`` prints the table, a row per scheme and medium.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offchip import chip_map, vault
from offchip.engines.protocol import StorageEvent
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE
from offchip.scene.defence import Defence
from offchip.scene.scene import THING, Device, Scene
from offchip.vault import MediumKind, Scheme

#: program cycles of a card's cell; how its controller spreads them is its maker's secret, so it counts as if it did not
SD_ENDURANCE = 10_000
#: writes the first page or block of a slot sees per update, at most: a record, or two steps of blanking
_HOTTEST = 2
_UPDATES = 2  # so that both slots take their turn
_WAIT_S = 60.0
_EVENTS = {"flash_words": StorageEvent.FLASH_WORD, "flash_erases": StorageEvent.FLASH_ERASE,
           "eeprom_writes": StorageEvent.EEPROM_PAGE, "sd_writes": StorageEvent.SD_BLOCK}


@dataclass(frozen=True, slots=True)
class UpdateCost:
    """Wear of one update of key and certificate, as the mean of two.

    Attributes:
        flash_words, eeprom_writes, sd_writes: words programmed, pages and blocks written.
        log_bytes: what it takes of the log in the vault sectors; a full sector costs one erase of each of the two.
        flash_erases: that, as a fraction; counted erases of the two updates are none unless the log ran full.
        years: until the first cell has seen as many writes as its data sheet promises, at one update a day.
        limit: which memory that is.
    """

    scheme: str
    medium: str
    flash_words: float
    flash_erases: float
    eeprom_writes: float
    sd_writes: float
    log_bytes: float
    years: int
    limit: str

    def record(self) -> dict[str, Any]:
        """The form in a report."""
        return asdict(self)


def measure_update(scheme: Scheme, medium: MediumKind, elf: Path = FIRMWARE, engine: str = "embedded") -> UpdateCost:
    """Let a device replace its key and certificate twice, as its owner asks for over MQTT.

    Raises:
        OffchipError: the firmware is missing, or the device did not come to the end of it.
    """
    scene = Scene(things=(THING,))
    try:
        device = scene.build(THING, Defence(scheme, medium), elf=elf, engine=engine, rotation=True)
        device.board.power_on()
        device.board.console.wait_for("^mqtt: published", _WAIT_S)
        before, log = _counts(device), _log_used(device)
        for _ in range(_UPDATES):
            scene.rotate(device)
            device.board.console.wait_for("^rotation: complete", _WAIT_S)
            device.board.console.wait_for("^mqtt: published", _WAIT_S)
        counted = {name: (after - before[name]) / _UPDATES for name, after in _counts(device).items()}
        used = (_log_used(device) - log) / _UPDATES
        return _judge(scheme, medium, counted, used)
    finally:
        scene.close()


def _judge(scheme: Scheme, medium: MediumKind, counted: dict[str, float], log_bytes: float) -> UpdateCost:
    sector = chip_map.sector(chip_map.VAULT_SECTORS[0]).size
    erases = counted["flash_erases"] or log_bytes / sector
    lives = {"flash": chip_map.FLASH_ENDURANCE * len(chip_map.VAULT_SECTORS) / erases}
    if counted["eeprom_writes"]:
        lives["eeprom"] = chip_map.EEPROM_ENDURANCE / _HOTTEST
    if counted["sd_writes"]:
        lives["sd"] = SD_ENDURANCE / _HOTTEST
    limit = min(lives, key=lambda name: lives[name])
    return UpdateCost(scheme.name, medium.name, counted["flash_words"], round(erases, 4), counted["eeprom_writes"],
                      counted["sd_writes"], log_bytes, int(lives[limit] / 365.25), limit)


def _counts(device: Device) -> dict[str, int]:
    return {name: device.board.faults.events(event) for name, event in _EVENTS.items()}


def _log_used(device: Device) -> int:
    """Bytes of the sector in use that are not blank, to the last one."""
    sectors = [device.board.engine.read_memory(region.start, region.size)
               for region in map(chip_map.sector, chip_map.VAULT_SECTORS)]
    return max(len(content.rstrip(b"\xFF")) for content in sectors)


def main(names: list[str]) -> int:
    """Print the table for these schemes (none: all)."""
    print(f"{'per update of key and certificate':36} flash words   flash erases   EEPROM pages   SD blocks   "
          "years at one a day")
    try:
        for scheme in [vault.scheme(name) for name in names] or list(vault.SCHEMES.values()):
            for medium in scheme.media:
                cost = measure_update(scheme, medium)
                print(f"  {cost.scheme:12} {cost.medium:8} {cost.flash_words:24.1f} {cost.flash_erases:14.4f} "
                      f"{cost.eeprom_writes:14.1f} {cost.sd_writes:11.1f} {cost.years:12,} ({cost.limit})")
    except OffchipError as error:
        print(f"offchip.scene.update_cost: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
