# SPDX-License-Identifier: Apache-2.0
"""Where an SD card keeps its blocks: in memory, or in an image file."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from offchip.errors import MediumError

BLOCK_SIZE = 512
EMPTY_BLOCK = bytes(BLOCK_SIZE)


class Storage(Protocol):
    """The blocks of a card; a block never written reads as zeros."""

    def load(self, lba: int, count: int = 1) -> bytes: ...
    def store(self, lba: int, data: bytes) -> None:
        """Keep ``data``, a whole number of blocks, from block ``lba`` on."""

    def wipe(self, first: int, last: int) -> None: ...


class RamStorage:
    """Blocks in memory: an image many cards may share, and the blocks that differ from it."""

    def __init__(self) -> None:
        self._image: bytes | mmap.mmap = b""  # zeros behind it
        self._changed: dict[int, bytes] = {}

    @classmethod
    def over(cls, path: Path) -> RamStorage:
        """The content of a file, which stays as it is; only what is looked at is read. Raises MediumError."""
        storage = cls()
        with _Image(path, os.O_RDONLY) as image:
            if os.fstat(image.fileno()).st_size < BLOCK_SIZE:
                raise MediumError(f"{path}: the image holds not even a block of {BLOCK_SIZE} bytes.")
            storage._image = mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ)
        return storage

    def __len__(self) -> int:
        """Bytes of the image."""
        return len(self._image)

    def load(self, lba: int, count: int = 1) -> bytes:
        if count == 1 and lba in self._changed:
            return self._changed[lba]
        changed = [each for each in self._changed if lba <= each < lba + count] if count > 1 else []
        start, length = lba * BLOCK_SIZE, count * BLOCK_SIZE
        content = self._image[start:start + length].ljust(length, b"\0")
        if not changed:
            if lba == 0 and length > len(self._image):
                self._image = content  # as below
            return content
        changed.sort()
        parts: list[bytes | memoryview] = []
        done = 0
        for each in changed:
            at = (each - lba) * BLOCK_SIZE
            parts += [memoryview(content)[done:at], self._changed[each]]
            done = at + BLOCK_SIZE
        content = b"".join([*parts, memoryview(content)[done:]])
        if lba == 0 and len(content) >= len(self._image) and len(changed) == len(self._changed):
            self._image, self._changed = content, {}  # whoever looks at a whole card looks more than once
        return content

    def store(self, lba: int, data: bytes) -> None:
        if lba == 0 and len(data) >= len(self._image):
            self._image = bytes(data)
            for each in [each for each in self._changed if each * BLOCK_SIZE < len(data)]:
                del self._changed[each]
            return
        for at in range(0, len(data), BLOCK_SIZE):
            self._changed[lba] = bytes(data[at:at + BLOCK_SIZE])
            lba += 1

    def wipe(self, first: int, last: int) -> None:
        for lba in [lba for lba in self._changed if first <= lba <= last]:
            del self._changed[lba]
        for lba in range(first, min(last + 1, len(self._image) // BLOCK_SIZE)):
            self._changed[lba] = EMPTY_BLOCK


class FileStorage:
    """Blocks in an image file; every store is in the file when it returns. No handle stays open."""

    _CHUNK = 2048  # blocks wiped by one write

    def __init__(self, path: str | Path, capacity: int) -> None:
        """Make the file or extend it (sparse) to exactly ``capacity`` bytes. Raises MediumError."""
        self.path = Path(path).absolute()
        with self._open(os.O_RDWR | os.O_CREAT) as image:
            length = os.fstat(image.fileno()).st_size
            if length > capacity:
                raise MediumError(f"{self.path}: the image has {length} bytes but the card only {capacity}; "
                                  "use a shorter image or a larger capacity.")
            if length < capacity:
                image.truncate(capacity)

    def load(self, lba: int, count: int = 1) -> bytes:
        length = count * BLOCK_SIZE
        with self._open(os.O_RDONLY) as image:
            return os.pread(image.fileno(), length, lba * BLOCK_SIZE).ljust(length, b"\0")

    def store(self, lba: int, data: bytes) -> None:
        with self._open(os.O_WRONLY) as image:
            os.pwrite(image.fileno(), data, lba * BLOCK_SIZE)

    def wipe(self, first: int, last: int) -> None:
        with self._open(os.O_WRONLY) as image:
            for lba in range(first, last + 1, self._CHUNK):
                count = min(self._CHUNK, last + 1 - lba)
                os.pwrite(image.fileno(), bytes(count * BLOCK_SIZE), lba * BLOCK_SIZE)

    def _open(self, flags: int) -> _Image:
        return _Image(self.path, flags)


class WatchedStorage:
    """Tells ``accessed`` block and number of blocks before each access to those behind it."""

    def __init__(self, behind: Storage, accessed: Callable[[int, int], None]) -> None:
        self.behind = behind
        self._accessed = accessed

    def load(self, lba: int, count: int = 1) -> bytes:
        self._accessed(lba, count)
        return self.behind.load(lba, count)

    def store(self, lba: int, data: bytes) -> None:
        self._accessed(lba, blocks_for(len(data)))
        self.behind.store(lba, data)

    def wipe(self, first: int, last: int) -> None:
        self._accessed(first, last - first + 1)
        self.behind.wipe(first, last)


def blocks_for(length: int) -> int:
    """Blocks that ``length`` bytes need."""
    return -(-length // BLOCK_SIZE)


class _Image:
    """An image file opened for one operation; its errors become MediumError."""

    def __init__(self, path: Path, flags: int) -> None:
        self._path, self._flags = path, flags

    def __enter__(self) -> _Image:
        try:
            self._descriptor = os.open(self._path, self._flags | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._failed(error) from error
        return self

    def fileno(self) -> int:
        return self._descriptor

    def truncate(self, length: int) -> None:
        os.ftruncate(self._descriptor, length)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        os.close(self._descriptor)
        if isinstance(error, OSError):
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> MediumError:
        return MediumError(f"{self._path}: cannot use this card image: {error.strerror or error}.")
