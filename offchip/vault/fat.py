# SPDX-License-Identifier: Apache-2.0
"""FAT volumes as a PC makes them, on an image or directly on a medium.

pyfatfs does the file system; this module makes its results reproducible (fixed volume id and time stamps), finds the
volume behind an MBR partition table, and keeps clear of three of its habits: it overwrites a longer file with a
shorter one by leaving a freed cluster in the chain, it writes a geometry of zero heads, and its FAT32 free count goes
stale. Source of the layout: Microsoft "FAT: General Overview of On-Disk Format" (fatgen103).
"""

from __future__ import annotations

import io
import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from fs.base import FS
from fs.errors import FSError
from pyfatfs import PyFATException
from pyfatfs.PyFat import PyFat
from pyfatfs.PyFatFS import PyFatBytesIOFS

from offchip.errors import MediumError

SECTOR = 512
VOLUME_ID = 0x0FFC4A11
#: the date on everything the factory writes
FILE_TIME = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
#: the smallest volumes with the cluster counts fatgen103 demands of FAT16 and FAT32
FAT16_MINIMUM = 8 << 20
FAT32_MINIMUM = 34 << 20


class Storage(Protocol):
    """What a volume lives on; ``offchip.engines.protocol.Medium`` is one."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...


class Image:
    """A storage in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.size = len(content)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset:offset + length])

    def write(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self.size:
            raise MediumError(f"write of {len(data)} bytes at {offset} passes the end of the image ({self.size} bytes)")
        self.content[offset:offset + len(data)] = data


def make_volume(size: int, files: dict[str, bytes], label: str = "OFFCHIP", partitioned: bool = False) -> bytes:
    """An image of ``size`` bytes with ``files`` (absolute path -> content); the same arguments give the same bytes.

    FAT32 from 34 MiB, else FAT16. ``partitioned`` puts an MBR in front, with the volume aligned at 1 MiB.
    Raises MediumError.
    """
    first_sector = 2048 if partitioned else 0
    volume_size = size - first_sector * SECTOR
    if size % SECTOR or volume_size < FAT16_MINIMUM:
        raise MediumError(f"a card image of {size} bytes cannot hold a FAT16 volume; "
                          f"take a multiple of 512 and at least {FAT16_MINIMUM + first_sector * SECTOR} bytes")
    fat_type = PyFat.FAT_TYPE_FAT32 if volume_size >= FAT32_MINIMUM else PyFat.FAT_TYPE_FAT16
    image = Image(_empty_volume(volume_size, fat_type, first_sector, label))
    if partitioned:
        image.write(0, _mbr(fat_type, first_sector, volume_size // SECTOR))
    for path, content in files.items():
        write_file(image, path, content)
    return bytes(image.content)


@lru_cache(maxsize=2)
def _empty_volume(volume_size: int, fat_type: int, first_sector: int, label: str) -> bytes:
    """A formatted volume behind so many empty sectors; a run formats hundreds of equal cards."""
    with tempfile.NamedTemporaryFile(prefix="offchip-", suffix=".img") as scratch:
        scratch.truncate(volume_size)
        formatter = PyFat()
        formatter.mkfs(scratch.name, fat_type, volume_size, label=label, volume_id=VOLUME_ID)
        root_directory = formatter.root_dir_sector * SECTOR
        formatter.close()
        volume = bytearray(Path(scratch.name).read_bytes())
    _tidy(volume, fat_type, first_sector, root_directory)
    return bytes(first_sector * SECTOR) + bytes(volume)


def read_file(storage: Storage, path: str) -> bytes:
    """The content of the file at the absolute ``path`` (upper case, as 8.3 names are). Raises MediumError."""
    with _mounted(storage, path, writable=False) as volume:
        return bytes(volume.readbytes(path))


def write_file(storage: Storage, path: str, content: bytes) -> None:
    """Create or replace the file at the absolute ``path``, with the folders above it. Raises MediumError."""
    with _mounted(storage, path, writable=True) as volume:
        volume.makedirs(path.rpartition("/")[0] or "/", recreate=True)
        if volume.exists(path):
            volume.remove(path)
        volume.writebytes(path, content)


def delete_file(storage: Storage, path: str) -> None:
    """Remove a file. Its clusters keep their content, as on a PC. Raises MediumError."""
    with _mounted(storage, path, writable=True) as volume:
        volume.remove(path)


def list_files(storage: Storage) -> list[str]:
    """The absolute paths of all files. Raises MediumError."""
    with _mounted(storage, "/", writable=False) as volume:
        return sorted(volume.walk.files("/"))


def volume_offset(storage: Storage) -> int:
    """Where the first FAT volume starts, in bytes. Raises MediumError when there is none."""
    first = storage.read(0, SECTOR)
    if len(first) == SECTOR and first[510:] == b"\x55\xAA":
        if _is_boot_sector(first):
            return 0
        for entry in range(446, 510, 16):
            start = int.from_bytes(first[entry + 8:entry + 12], "little") * SECTOR
            inside = first[entry + 4] and 0 < start <= storage.size - SECTOR
            if inside and _is_boot_sector(storage.read(start, SECTOR)):
                return start
    raise MediumError("the medium holds no FAT volume: neither a boot sector nor a partition that begins with one was "
                      "found")


def _is_boot_sector(block: bytes) -> bool:
    """Of a FAT volume: boot code in an MBR begins with a jump, too (EB 63 90 of GRUB), but knows no sector size."""
    cluster = block[13]
    return (block[510:] == b"\x55\xAA" and block[0] in (0xEB, 0xE9) and block[11:13] == b"\0\2"
            and cluster > 0 and not cluster & cluster - 1 and block[16] in (1, 2))


@contextmanager
def _mounted(storage: Storage, path: str, writable: bool) -> Iterator[PyFatBytesIOFS]:
    offset = volume_offset(storage)
    try:
        with warnings.catch_warnings():
            # a card pulled out of a running device may be marked dirty; reading it is what attackers do
            warnings.simplefilter("ignore")
            volume = _Volume(storage, offset, writable)
        try:
            yield volume
        finally:
            volume.close()
    except (PyFATException, FSError, OSError, struct.error, IndexError) as error:
        reason = str(error) or type(error).__name__
        raise MediumError(f"{path}: the FAT volume cannot be used: {reason}") from error


class _Fat(PyFat):  # type: ignore[misc]  # a library without types
    """pyfatfs' volume; its way of reading a FAT16 takes longer than all else one does with a file."""

    def __init__(self, file: _StorageFile, offset: int) -> None:
        super().__init__(offset=offset, lazy_load=True)
        self._file, self._begins = file, offset

    def _parse_fat(self) -> None:
        header = self.bpb_header
        sector = header["BPB_BytsPerSec"]
        size = sector * self._fat_size
        self._file.seek(self._begins + header["BPB_RsvdSecCnt"] * sector)
        copies = {self._file.read(size) for _ in range(header["BPB_NumFATs"])}
        if self.fat_type != self.FAT_TYPE_FAT16 or len(copies) != 1 or len(first := copies.pop()) != size:
            super()._parse_fat()
            return
        self.bytes_per_cluster = sector * header["BPB_SecPerClus"]
        self.fat = list(struct.unpack(f"<{size // 2}H", first))


class _Volume(PyFatBytesIOFS):  # type: ignore[misc]
    """A file system on a storage."""

    def __init__(self, storage: Storage, offset: int, writable: bool) -> None:
        FS.__init__(self)
        self.preserve_case = False
        self.fs = _Fat(file := _StorageFile(storage, writable), offset)
        self.fs.set_fp(file)  # here: what fails in it is closed by the one behind it
        self.tz = _FixedTime()


class _FixedTime(tzinfo):
    """A time zone in which it is always FILE_TIME: pyfatfs asks the host's clock, and images must be reproducible."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return "always the same"

    def fromutc(self, moment: datetime) -> datetime:
        return FILE_TIME.replace(tzinfo=self)


class _StorageFile(io.RawIOBase):
    """A storage as the seekable file pyfatfs wants."""

    def __init__(self, storage: Storage, writable: bool) -> None:
        self._storage = storage
        self._writable = writable
        self._position = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self._writable

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._storage.size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._storage.size - self._position)
        data = self._storage.read(self._position, left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._storage.write(self._position, bytes(data))
        self._position += len(data)
        return len(data)


def _tidy(volume: bytearray, fat_type: int, hidden_sectors: int, root_directory: int) -> None:
    """Give a fresh volume a geometry, its place on the disk, a fixed label time, and an honest "free count unknown"."""
    boot_sectors = (0, 6) if fat_type == PyFat.FAT_TYPE_FAT32 else (0,)
    for sector in boot_sectors:
        struct.pack_into("<HHI", volume, sector * SECTOR + 24, 63, 255, hidden_sectors)
    if fat_type == PyFat.FAT_TYPE_FAT32:
        for sector in (1, 7):
            struct.pack_into("<II", volume, sector * SECTOR + 488, 0xFFFFFFFF, 0xFFFFFFFF)
    date = (FILE_TIME.year - 1980) << 9 | FILE_TIME.month << 5 | FILE_TIME.day
    clock = FILE_TIME.hour << 11 | FILE_TIME.minute << 5 | FILE_TIME.second // 2
    # the label is the only entry yet: creation time and date, access date, then write time and date
    struct.pack_into("<BHHH", volume, root_directory + 13, 0, clock, date, date)
    struct.pack_into("<HH", volume, root_directory + 22, clock, date)


def _mbr(fat_type: int, first_sector: int, sectors: int) -> bytes:
    kind = 0x0C if fat_type == PyFat.FAT_TYPE_FAT32 else 0x0E
    entry = struct.pack("<B3sB3sII", 0, b"\xFE\xFF\xFF", kind, b"\xFE\xFF\xFF", first_sector, sectors)
    return bytes(446) + entry + bytes(48) + b"\x55\xAA"
