# SPDX-License-Identifier: Apache-2.0
"""What the vault takes of the chip's memories, from the linker's map."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from offchip.errors import FirmwareError

#: folders of ``firmware/src`` that count: the vault, and the file system and records below it
FOLDERS = ("vault", "storage")
_SECTION = re.compile(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+\S*?(\w+)/\w+\.o$", re.MULTILINE)
_FLASH = (".text", ".rodata", ".data")
_RAM = (".data", ".bss")
_BUFFERS = (".ccm",)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes: code and constants in flash; state in RAM; the buffer credentials are read into."""

    flash: int
    ram: int
    buffers: int


def footprint(map_file: Path) -> Footprint:
    """The vault's share of the firmware linked with this map. Raises FirmwareError when it is none."""
    try:
        text = map_file.read_text(encoding="utf-8").partition("Linker script and memory map")[2]
    except OSError as error:
        raise FirmwareError(f"{map_file}: cannot be read: {error.strerror}; build the firmware first") from error
    sizes = [(section, int(size, 16)) for section, size, folder in _SECTION.findall(text) if folder in FOLDERS]
    if not sizes:
        raise FirmwareError(f"{map_file}: is not the map of this firmware; build it with make -C firmware")

    def total(sections: tuple[str, ...]) -> int:
        return sum(size for section, size in sizes
                   if any(section == each or section.startswith(each + ".") for each in sections))
    return Footprint(total(_FLASH), total(_RAM), total(_BUFFERS))
