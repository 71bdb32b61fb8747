# SPDX-License-Identifier: Apache-2.0
"""The map of the chip and its board: the one place where addresses and sizes are written down.

Sources: RM0090 2.3 (memory map), 3.4 table 5 (flash sectors), 39.1 (unique device id); STM32F405 data sheet 6.3.12
(endurance); 24LC256 data sheet DS20001203. What each flash sector is for is the project's choice (SPEC.md section 2).

``python -m offchip.chip_map`` writes the C header and the memory part of the link script from it;
tests/test_chip_map.py holds those two, the ``.repl`` files and the models of both engines against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offchip.files import replace_file
from offchip.paths import ROOT


@dataclass(frozen=True, slots=True)
class Region:
    """A range of addresses; sizes in bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size


FLASH = Region(0x08000000, 1 << 20)
SRAM = Region(0x20000000, 128 << 10)
CCM = Region(0x10000000, 64 << 10)
BACKUP_SRAM = Region(0x40024000, 4 << 10)
#: of the RTC (RM0090 26.6.20), words only
BACKUP_REGISTERS = Region(0x40002850, 80)
OTP = Region(0x1FFF7800, 512)
UID = Region(0x1FFF7A10, 12)

#: bytes of sectors 0..11
SECTOR_SIZES = (0x4000,) * 4 + (0x10000,) + (0x20000,) * 7
#: erase cycles a sector stands (data sheet, minimum)
FLASH_ENDURANCE = 10_000


def sector(number: int) -> Region:
    """Flash sector 0..11. Raises IndexError for another number."""
    return Region(FLASH.start + sum(SECTOR_SIZES[:number]), SECTOR_SIZES[number])


#: vectors and start-up
BOOT = sector(0)
#: the sectors that hold data: policed, and never executed, on every engine
DATA_SECTORS = (1, 2, 3)
DATA = Region(sector(1).start, sum(SECTOR_SIZES[n] for n in DATA_SECTORS))
#: configuration page (SPEC.md section 2)
CONFIGURATION_SECTOR = 1
CONFIGURATION = sector(CONFIGURATION_SECTOR)
#: device secret and counters, two sectors in turn
VAULT_SECTORS = (2, 3)
CODE = Region(sector(4).start, FLASH.end - sector(4).start)

#: bytes of the 24xx256, of one of its pages, and the write cycles a page stands (data sheet)
EEPROM_SIZE, EEPROM_PAGE, EEPROM_ENDURANCE = 32768, 64, 1_000_000
SD_BLOCK = 512

HEADER = ROOT / "firmware/src/board/chip_map.h"
MEMORY = ROOT / "firmware/memory.ld"
_MADE = "Made by `python -m offchip.chip_map`; change offchip/chip_map.py instead."


def header() -> str:
    """The text of ``firmware/src/board/chip_map.h``."""
    regions = {"FLASH": FLASH, "SRAM": SRAM, "CCM": CCM, "UID": UID, "CONFIGURATION": CONFIGURATION, "DATA": DATA,
               **{f"VAULT_{name}": sector(number) for name, number in zip("AB", VAULT_SECTORS, strict=True)}}
    numbers = {"DATA_SECTOR_FIRST": DATA_SECTORS[0], "DATA_SECTOR_LAST": DATA_SECTORS[-1],
               "CONFIGURATION_SECTOR": CONFIGURATION_SECTOR, "VAULT_A_SECTOR": VAULT_SECTORS[0],
               "VAULT_B_SECTOR": VAULT_SECTORS[1], "EEPROM_SIZE": EEPROM_SIZE, "EEPROM_PAGE_SIZE": EEPROM_PAGE,
               "SD_BLOCK_SIZE": SD_BLOCK}
    defines = [(f"{name}_{what}", f"0x{value:08X}u") for name, region in regions.items()
               for what, value in (("START", region.start), ("SIZE", region.size))]
    defines += [(name, f"{value}u") for name, value in numbers.items()]
    width = max(len(name) for name, _ in defines)
    lines = [f"#define {name.ljust(width)} {value}" for name, value in defines]
    return "\n".join(["/* SPDX-License-Identifier: Apache-2.0 */", f"/* The chip's and the board's map. {_MADE} */",
                      "#ifndef CHIP_MAP_H", "#define CHIP_MAP_H", "", *lines, "", "#endif", ""])


def memory() -> str:
    """The text of ``firmware/memory.ld``."""
    regions = (("BOOT", "rx", BOOT), ("CODE", "rx", CODE), ("CCM", "rw", CCM), ("SRAM", "rwx", SRAM))
    lines = [f"    {name} ({access}) : ORIGIN = 0x{region.start:08X}, LENGTH = {region.size >> 10}K"
             for name, access, region in regions]
    return "\n".join(["/* SPDX-License-Identifier: Apache-2.0 */", f"/* {_MADE} */", "MEMORY", "{", *lines, "}", ""])


def derived() -> dict[Path, str]:
    """Every file that is made from this map, with its text."""
    return {HEADER: header(), MEMORY: memory()}


if __name__ == "__main__":
    for path, text in derived().items():
        replace_file(path, text.encode())
