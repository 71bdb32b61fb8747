# SPDX-License-Identifier: Apache-2.0
"""The cells of a serial memory chip: kept in a file, and reached by a programmer on the bench."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from offchip.errors import MediumError

ERASED = 0xFF


class ImageFile:
    """The cells kept in a file of exactly the size of the memory.

    Raises:
        MediumError: the file cannot be read or written, or has another size.
    """

    def __init__(self, path: str, size: int) -> None:
        self.path = Path(path)
        self.size = size

    def load(self) -> bytes:
        """The content; a missing file is made, erased."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = bytes([ERASED]) * self.size
            self._create(content)
        except OSError as error:
            raise MediumError(f"{self.path}: cannot read the memory image: {error.strerror}.") from None
        if len(content) != self.size:
            raise MediumError(f"{self.path}: the memory image has {len(content)} bytes, but must have {self.size}; "
                              "pad it with FF or remove it to start with an erased memory.")
        return content

    def _create(self, content: bytes) -> None:
        """Write to a neighbour, then rename: nobody ever sees a half-written image."""
        scratch = ""
        try:
            handle, scratch = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(scratch, self.path)
        except OSError as error:
            if scratch:
                Path(scratch).unlink(missing_ok=True)
            raise MediumError(f"{self.path}: cannot create the memory image: {error.strerror}.") from None

    def store(self, offset: int, data: bytes) -> None:
        """Change a part in place, in one system call. No handle stays open."""
        try:
            handle = os.open(self.path, os.O_WRONLY)
            try:
                os.pwrite(handle, data, offset)
            finally:
                os.close(handle)
        except OSError as error:
            raise MediumError(f"{self.path}: cannot write the memory image: {error.strerror}.") from None


class MemoryCells:
    """Content and back door of a chip; the class it is mixed into says what the bus does with them."""

    name: str
    size: int

    def fill_cells(self, size: int, image_file: str | None) -> None:
        """Erased cells, or those of a file. Raises MediumError."""
        self.size = size
        self._image: ImageFile | None = None
        self._cells = bytearray([ERASED]) * size
        self.use_image(image_file or "")

    # a programmer on the bench: no bus, no write cycle, no counters -----------------------------------------------
    def use_image(self, image_file: str) -> None:
        """Take the content of the file and keep it up to date; an empty name does nothing. Raises MediumError."""
        if image_file:
            self._image = ImageFile(image_file, self.size)
            self._cells = bytearray(self._image.load())

    def read_raw(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self._cells[offset:offset + length])

    def write_raw(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self._cells[offset:offset + len(data)] = data
        self._persist(offset, len(data))

    def read_bytes(self, offset: int, count: int) -> str:
        """The same in hexadecimal digits, for the monitor."""
        return self.read_raw(offset, count).hex().upper()

    def write_bytes(self, offset: int, hex: str) -> None:
        """Program hexadecimal digits, for the monitor. Raises ValueError."""
        self.write_raw(offset, bytes.fromhex(hex.removeprefix("0x").replace("_", "")))

    def fill(self, value: int) -> None:
        self.write_raw(0, bytes([value]) * self.size)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MediumError(f"{self.name}: {length} bytes at 0x{offset:X} are outside the memory of "
                              f"{self.size} bytes.")

    def _persist(self, offset: int, length: int) -> None:
        if self._image is not None:
            self._image.store(offset, bytes(self._cells[offset:offset + length]))
