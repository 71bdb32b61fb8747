# SPDX-License-Identifier: Apache-2.0
"""Firmware in whatever form it comes: ELF, Intel HEX, or plain bytes with the address they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from offchip import chip_map
from offchip.engines.elf import Firmware, read_elf
from offchip.errors import FirmwareError

_HEX = (".hex", ".ihex", ".ihx")
_ELF_MAGIC = b"\x7fELF"
#: where applications begin: at the first sectors, in which bootloaders leave off
_HOMES = tuple(chip_map.sector(number).start for number in range(7))


def split_name(path: Path) -> tuple[Path, int | None]:
    """File and address of ``firmware.bin@0x08008000``; the address is None when there is none, or a file is so called.

    Raises FirmwareError: what follows the last ``@`` is no address.
    """
    name, at, address = path.name.rpartition("@")
    if not at or path.exists():
        return path, None
    try:
        return path.with_name(name), int(address, 0)
    except ValueError:
        raise FirmwareError(f"{path}: '{address}' is not an address; write it like {name}@0x08000000.") from None


def read_image(path: Path) -> Firmware:
    """Read firmware: an ELF, an Intel HEX file, or ``file.bin@0x08000000``.

    Raises:
        FirmwareError: missing, damaged, for another core, or bytes without an address.
    """
    file, address = split_name(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise FirmwareError(f"{file}: cannot read the firmware ({error.strerror}); build it or name another.") from None
    if address is not None:
        return _plain(file, raw, address)
    if raw.startswith(_ELF_MAGIC):
        return read_elf(file)
    if file.suffix.lower() in _HEX or raw.lstrip()[:1] == b":":
        return _hex(file, raw)
    if file.suffix.lower() == ".bin":
        raise FirmwareError(f"{file}: plain bytes do not say where they go; write {file.name}@0x{_home(raw):08X}"
                            f"{'' if _fits(raw, _home(raw)) else ' (or wherever it is linked to)'}.")
    return read_elf(file)


def check_apart(images: Iterable[Firmware]) -> None:
    """Raises FirmwareError when two images claim one address."""
    pieces = sorted((start, start + len(data), image.path) for image in images for start, data in image.segments)
    for (_, end, first), (start, _, second) in zip(pieces, pieces[1:], strict=False):
        if start < end and first != second:
            raise FirmwareError(f"{second}: it overlaps {first} at 0x{start:08X}; give images that lie side by side.")


def application_table(images: Iterable[Firmware]) -> int:
    """Where the vectors of an application lie that is made for a bootloader: nothing is at the start of flash, and what
    lies lowest begins with a stack in RAM and a reset vector into itself; 0: the chip finds its vectors by itself.
    """
    pieces = sorted((start, data) for image in images for start, data in image.segments
                    if chip_map.FLASH.start <= start < chip_map.FLASH.end and len(data) >= 8)
    if not pieces or pieces[0][0] == chip_map.FLASH.start or pieces[0][0] % 0x200:
        return 0
    start, data = pieces[0]
    stack, entry = (int.from_bytes(data[at:at + 4], "little") for at in (0, 4))
    in_ram = any(memory.start < stack <= memory.end for memory in (chip_map.SRAM, chip_map.CCM))
    leads_in = entry & 1 and any(at <= entry < at + len(piece) for at, piece in pieces)
    return start if in_ram and leads_in else 0


def _plain(path: Path, raw: bytes, address: int) -> Firmware:
    if not raw:
        raise FirmwareError(f"{path}: it is empty; give the built firmware.")
    if raw.startswith(_ELF_MAGIC):
        raise FirmwareError(f"{path}: it is an ELF, which says itself where it goes; leave @0x{address:08X} out.")
    if not 0 <= address < 1 << 32:
        raise FirmwareError(f"{path}: 0x{address:X} is no address of 32 bits; write it like 0x08000000.")
    return Firmware(path, ((address, raw),), hashlib.sha256(raw).hexdigest())


def _hex(path: Path, raw: bytes) -> Firmware:
    from io import StringIO

    from intelhex import IntelHex, IntelHexError

    image = IntelHex()
    try:
        image.loadhex(StringIO(raw.decode("ascii")))
    except (IntelHexError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FirmwareError(f"{path}: not a usable Intel HEX file ({reason}); build it again.") from None
    segments = tuple((start, bytes(image.tobinarray(start, end - 1))) for start, end in image.segments())
    if not segments:
        raise FirmwareError(f"{path}: holds nothing to load; give the built firmware.")
    return Firmware(path, segments, hashlib.sha256(raw).hexdigest())


def _fits(raw: bytes, home: int) -> bool:
    """Whether the reset vector leads into the image when it lies there."""
    reset = int.from_bytes(raw[4:8], "little") & ~1
    return home <= reset < home + len(raw)


def _home(raw: bytes) -> int:
    """Where these bytes most likely go: the last place from which every vector of the core leads into them."""
    vectors = [int.from_bytes(raw[at:at + 4], "little") & ~1 for at in range(4, 64, 4)]
    for home in reversed(_HOMES):
        if all(not each or home <= each < home + len(raw) for each in vectors):
            return home
    return chip_map.FLASH.start
