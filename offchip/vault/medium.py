# SPDX-License-Identifier: Apache-2.0
"""The kinds of storage a device may have outside its chip, by name. A new kind is one class here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from offchip.errors import VaultError
from offchip.vault import fat

#: a volume need not fill a large card
_LARGEST_VOLUME = 64 << 20


class MediumKind(ABC):
    """What the factory and the attacker know of a kind of storage.

    Attributes:
        name: the firmware's word for it.
        code: its number in the configuration page (SPEC.md section 1).
        device: its name at the engine; empty: there is none.
        has_files: a PC reads it as a volume of files; otherwise it is one area of bytes.
        blank_byte: what an erased cell reads as.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    device: ClassVar[str] = ""
    has_files: ClassVar[bool] = False
    blank_byte: ClassVar[int] = 0xFF

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def image(self, size: int, files: dict[str, bytes], area: bytes) -> bytes:
        """A fresh medium of ``size`` bytes that holds ``files`` (if it has files) or ``area`` (if not).

        Raises:
            VaultError: they do not fit.
        """


class NoMedium(MediumKind):
    """Everything stays in the chip."""

    name, code = "none", 0

    def image(self, size: int, files: dict[str, bytes], area: bytes) -> bytes:
        raise VaultError("medium 'none' holds nothing")


class SdKind(MediumKind):
    """An SD card with a FAT volume."""

    name, code, device, has_files, blank_byte = "sd", 1, "sdcard", True, 0x00

    def image(self, size: int, files: dict[str, bytes], area: bytes) -> bytes:
        return fat.make_volume(min(size, _LARGEST_VOLUME), files)


class EepromKind(MediumKind):
    """A 24xx256 EEPROM."""

    name, code, device = "eeprom", 2, "eeprom"

    def image(self, size: int, files: dict[str, bytes], area: bytes) -> bytes:
        if len(area) > size:
            raise VaultError(f"EEPROM record: {len(area)} bytes do not fit the EEPROM of {size} bytes")
        return area.ljust(size, bytes([self.blank_byte]))


NONE, SD, EEPROM = NoMedium(), SdKind(), EepromKind()
#: by name, in the order of their codes
MEDIA: dict[str, MediumKind] = {each.name: each for each in (NONE, SD, EEPROM)}


def medium(name: str) -> MediumKind:
    """The kind called ``name``. Raises VaultError naming those there are."""
    if name not in MEDIA:
        raise VaultError(f"there is no medium '{name}'; media are {', '.join(MEDIA)}")
    return MEDIA[name]
