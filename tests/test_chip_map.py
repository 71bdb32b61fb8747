# SPDX-License-Identifier: Apache-2.0
"""Addresses and sizes are written down once: everybody else's copies are made from, or held against, the chip map."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offchip import chip_map
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.peripherals import flash

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = ROOT / "platforms"


@pytest.mark.parametrize("path", chip_map.derived(), ids=lambda path: path.name)
def test_made_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == chip_map.derived()[path], "run 'python -m offchip.chip_map'"


def test_regions_fill_the_flash_without_gap_or_overlap() -> None:
    parts = (chip_map.BOOT, chip_map.DATA, chip_map.CODE)
    assert [part.start for part in parts] == [chip_map.FLASH.start, *(part.end for part in parts[:-1])]
    assert parts[-1].end == chip_map.FLASH.end and sum(chip_map.SECTOR_SIZES) == chip_map.FLASH.size
    assert sorted((chip_map.CONFIGURATION_SECTOR, *chip_map.VAULT_SECTORS)) == list(chip_map.DATA_SECTORS)
    with pytest.raises(IndexError):
        chip_map.sector(12)


def repl_memory(name: str) -> tuple[int, int]:
    """Start (on the bus, not of an alias) and size of a memory in the platform file."""
    text = (PLATFORMS / "stm32f405.repl").read_text()
    entry = re.search(rf"^{name}: .*?sysbus (0x[0-9A-Fa-f]+).*\n((?:    .*\n)*)", text, re.MULTILINE)
    assert entry is not None, name
    size = re.search(r"size: (0x[0-9A-Fa-f]+)", entry[2])
    return int(entry[1], 16), int(size[1], 16) if size else 0


@pytest.mark.parametrize(("name", "region"), [
    ("code0", chip_map.BOOT), ("code1", chip_map.CODE), ("ccm", chip_map.CCM), ("sram", chip_map.SRAM),
    ("otp", chip_map.OTP), ("bkpsram", chip_map.BACKUP_SRAM)])
def test_platform_memories(name: str, region: chip_map.Region) -> None:
    assert repl_memory(name) == (region.start, region.size)


def test_platform_data_sectors_and_identity() -> None:
    assert repl_memory("nvm")[0] == chip_map.DATA.start
    text = (PLATFORMS / "stm32f405.repl").read_text()
    words = [int(word, 16) for word in re.findall(r"WriteDoubleWord (0x1FFF7A1[0-9A-F]) ", text)]
    assert words == list(range(chip_map.UID.start, chip_map.UID.end, 4))
    size = re.search(r"WriteWord 0x1FFF7A22 (0x[0-9A-Fa-f]+)", text)
    assert size is not None and int(size[1], 16) << 10 == chip_map.FLASH.size


def test_models_of_renode() -> None:
    source = (PLATFORMS / "peripherals/Stm32F4Flash.cs").read_text()
    assert f"private const int Length = 0x{chip_map.DATA.size:X};" in source
    sizes = re.search(r"return sector < 4 \? (\w+) : sector == 4 \? (\w+) : (\w+);", source)
    assert sizes is not None
    assert [int(size, 16) for size in sizes.groups()] == [chip_map.SECTOR_SIZES[n] for n in (0, 4, 5)]
    eeprom = (PLATFORMS / "peripherals/Eeprom24xx256.cs").read_text()
    assert re.search(rf"size = {chip_map.EEPROM_SIZE}\b", eeprom) and re.search(
        rf"pageSize = {chip_map.EEPROM_PAGE}\b", eeprom)


def test_models_of_the_embedded_engine() -> None:
    assert (flash.FLASH_BASE, flash.FLASH_SIZE) == (chip_map.FLASH.start, chip_map.FLASH.size)
    engine = EmbeddedEngine(PLATFORMS / "offchip-board.repl")
    assert engine.medium("eeprom").size == chip_map.EEPROM_SIZE
