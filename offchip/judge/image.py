# SPDX-License-Identifier: Apache-2.0
"""The bytes of a dump, whatever file they come in, and the pieces they are searched in."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offchip.errors import MediumError
from offchip.judge.spelled import spelled_out
from offchip.vault import fat

#: the largest dump that is read whole
LARGEST = 4 << 30
_GZIP = b"\x1f\x8b"
_PIECE = 4096
_MOST_PARTITIONS = 128


@dataclass(frozen=True, slots=True)
class Part:
    """Something to search.

    Attributes:
        where: a file of the volume, or '' for the dump itself.
        base: where ``data`` begins in it.
        spelling: how it is spelled there, in text; '': as it is.
    """

    where: str
    data: bytes
    base: int = 0
    spelling: str = ""

    def at(self, offset: int) -> int:
        """Where in the file or dump a byte of ``data`` lies; what is spelled out counts where it begins."""
        return self.base + (0 if self.spelling else offset)

    def form(self, form: str) -> str:
        """What something is that was found in it."""
        return f"{form} in {self.spelling}" if self.spelling else form

    def spelled(self) -> Iterator[Part]:
        """What its text spells out, as bytes."""
        for offset, spelling, data in spelled_out(self.data):
            yield Part(self.where, data, self.base + offset, spelling)

    def pieces(self) -> Iterator[Part]:
        """Without the stretches where nothing but one byte is, of which a dump is full."""
        begin: int | None = None
        for at in range(0, len(self.data) + _PIECE, _PIECE):
            piece = self.data[at:at + _PIECE]
            if piece and piece.count(piece[0]) < len(piece):
                begin = at if begin is None else begin
            elif begin is not None:
                first = max(0, begin - _PIECE)
                yield Part(self.where, self.data[first:at + _PIECE], self.base + first)
                begin = None


def read_image(path: Path) -> bytes:
    """The dump; one that is compressed with gzip is unpacked.

    Raises:
        MediumError: it cannot be read, is empty or too large.
    """
    try:
        if path.is_dir():
            raise MediumError(f"{path}: this is a folder; give the image of a card or EEPROM.")
        if path.exists() and not path.is_file() and not path.is_block_device():
            raise MediumError(f"{path}: neither a file nor a card reader's device; give an image.")
        if path.is_file() and path.stat().st_size > LARGEST:
            raise MediumError(f"{path}: larger than {LARGEST >> 30} GiB; cut it and judge the pieces.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise MediumError(f"{path}: cannot be read ({error.strerror}); give the image of a card or EEPROM.") from None
    if data.startswith(_GZIP):
        data = _unpacked(path, data)
    if not data:
        raise MediumError(f"{path}: the image is empty; read the medium again.")
    return data


def _unpacked(path: Path, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(data, LARGEST + 1)
    except (zlib.error, gzip.BadGzipFile):
        return data  # no archive: it only begins like one
    if len(found) > LARGEST:
        raise MediumError(f"{path}: larger than {LARGEST >> 30} GiB unpacked; cut it and judge the pieces.")
    return found or data


def files_of(data: bytes) -> list[Part]:
    """The files of the FAT volumes on it, which may lie in pieces there; none where there is no volume."""
    if len(data) < fat.SECTOR * 2 or data[510:512] != b"\x55\xaa":
        return []
    return [part for volume in _volumes(data) for part in _files_in(volume)]


def _volumes(data: bytes) -> Iterator[fat.Image]:
    """The dump as one volume or with a table of partitions of old; with a GPT (UEFI 5.3) each of its partitions."""
    if data[fat.SECTOR:fat.SECTOR + 8] != b"EFI PART":
        yield fat.Image(data)
        return
    table, count, size = struct.unpack_from("<QII", data, fat.SECTOR + 72)
    for number in range(min(count, _MOST_PARTITIONS)):
        at = table * fat.SECTOR + number * size
        if at + 48 > len(data):
            return
        first, last = struct.unpack_from("<QQ", data, at + 32)
        volume = data[first * fat.SECTOR:(last + 1) * fat.SECTOR] if 0 < first <= last else b""
        if len(volume) >= fat.SECTOR * 2 and volume[510:512] == b"\x55\xaa":
            yield fat.Image(volume)


def _files_in(volume: fat.Image) -> list[Part]:
    try:
        names = fat.list_files(volume)
    except Exception:  # noqa: BLE001 - a damaged file system is no reason to give up on the dump
        return []
    return list(_read(volume, names))


def _read(volume: fat.Image, names: list[str]) -> Iterator[Part]:
    for name in names:
        try:
            yield Part(name, fat.read_file(volume, name))
        except Exception:  # noqa: BLE001 - a chain that leads nowhere; its sectors are searched with the dump
            continue
