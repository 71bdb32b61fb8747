# SPDX-License-Identifier: Apache-2.0
"""The SD card and the EEPROM in somebody's hands."""

from __future__ import annotations

from enum import IntEnum

from offchip import vault
from offchip.engines.protocol import Medium
from offchip.errors import MediumError
from offchip.vault import MediumKind, fat


class Lock(IntEnum):
    """What a CMD42 asks of an SD card (Physical Layer Simplified Specification, 4.3.7)."""

    UNLOCK = 0
    SET_PASSWORD = 1
    FORCE_ERASE = 8


#: of byte 14 of a card's CSD
PERM_WRITE_PROTECT, TMP_WRITE_PROTECT = 0x20, 0x10


class RemovableMedium:
    """Anything that can be taken off the board, read, changed and put back."""

    kind: MediumKind

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.name = medium.name

    @property
    def size(self) -> int:
        """Bytes."""
        return self._medium.size

    @property
    def present(self) -> bool:
        """Whether the device can reach it."""
        return self._medium.present

    def eject(self) -> None:
        """Take the card out, or desolder the chip."""
        self._medium.present = False

    def insert(self) -> None:
        """Put it back."""
        self._medium.present = True

    @property
    def image(self) -> bytes:
        """The whole content."""
        return self._medium.read(0, self.size)

    def replace(self, image: bytes) -> None:
        """Put in another one of the same type. Raises MediumError when the image has another size."""
        if len(image) != self.size:
            raise MediumError(f"{self.name}: the image has {len(image)} bytes, the medium has {self.size}; "
                              "pad or cut the image")
        self._medium.write(0, image)

    def wipe(self) -> None:
        """Erase everything."""
        self._medium.write(0, bytes([self.kind.blank_byte]) * self.size)

    def read(self, offset: int, length: int) -> bytes:
        """Raises MediumError outside the medium."""
        self._check(offset, length)
        return self._medium.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Raises MediumError outside the medium."""
        self._check(offset, len(data))
        self._medium.write(offset, data)

    def set(self, option: str, value: int | bool | str) -> None:
        """Turn a fault knob of the model (``TornBytes`` ...)."""
        self._medium.set(option, value)

    def counter(self, name: str) -> int:
        """A counter of the model (``BlocksRead`` ...)."""
        return self._medium.counter(name)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MediumError(f"{self.name}: {length} bytes at offset {offset} are outside its {self.size} bytes")


class Eeprom(RemovableMedium):
    """The 24xx256."""

    kind = vault.EEPROM


class SdCard(RemovableMedium):
    """The card, with the file system a PC would see. Paths are absolute and in upper case."""

    kind = vault.SD

    @property
    def protected(self) -> bool:
        """Whether a bit of its CSD keeps it from being written (Physical Layer Simplified Specification, 5.3.2)."""
        return bool(self.counter("CsdFlags") & (TMP_WRITE_PROTECT | PERM_WRITE_PROTECT))

    def program_csd(self, flags: int) -> bool:
        """Send a CMD27 that changes byte 14 of the CSD, as a reader does; whether the card took it."""
        self.set("CsdFlags", flags)
        return self.counter("CsdFlags") == flags

    def write(self, offset: int, data: bytes) -> None:
        """Raises MediumError outside the card, and where it is write-protected."""
        self._need_writable()
        super().write(offset, data)

    def wipe(self) -> None:
        """Erase everything. Raises MediumError where it is write-protected."""
        self._need_writable()
        super().wipe()

    def _need_writable(self) -> None:
        if self.protected:
            raise MediumError(f"{self.name}: the card is write-protected")

    @property
    def locked(self) -> bool:
        """Whether it answers no reads and writes until it is given its password."""
        return bool(self.counter("Locked"))

    def lock_unlock(self, what: Lock, password: bytes = b"") -> bool:
        """Send a CMD42, as a reader does; whether the card took it. A password that is set counts from the next start
        of the card on.
        """
        failures = self.counter("LockFailures")
        said = bytes((what,)) if what is Lock.FORCE_ERASE else bytes((what, len(password))) + password
        self.set("LockUnlock", said.hex())
        return self.counter("LockFailures") == failures

    def read_file(self, path: str) -> bytes:
        """Raises MediumError when there is no volume or no such file."""
        return fat.read_file(self, path)

    def write_file(self, path: str, content: bytes) -> None:
        """Create or replace a file. Raises MediumError."""
        fat.write_file(self, path, content)

    def delete_file(self, path: str) -> None:
        """Remove a file; its clusters keep their content. Raises MediumError."""
        fat.delete_file(self, path)

    def files(self) -> list[str]:
        """The paths of all files. Raises MediumError when there is no volume."""
        return fat.list_files(self)

    def format(self, files: dict[str, bytes] | None = None, partitioned: bool = False) -> None:
        """A fresh volume over the whole card."""
        self.replace(fat.make_volume(self.size, files or {}, partitioned=partitioned))
