# SPDX-License-Identifier: Apache-2.0
"""The vault's two sectors of internal flash, written from SPEC.md section 8: secret, number of seals, versions."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from offchip import chip_map
from offchip.errors import VaultError
from offchip.vault.chunk import Chunk
from offchip.vault.records import Entries, encode_record

PENDING_MAGIC = b"OCP1"
SIZE = sum(chip_map.SECTOR_SIZES[number] for number in chip_map.VAULT_SECTORS)
_SECTOR = chip_map.SECTOR_SIZES[chip_map.VAULT_SECTORS[0]]
_HEAD = struct.Struct("<4sI32sI8I")
_ENTRY = struct.Struct("<III")
_CHECK = struct.Struct("<I")
_CHUNKS = {chunk.number: chunk for chunk in Chunk}


@dataclass(slots=True)
class Counters:
    """What the two sectors say. ``versions``: of the chunks that have one."""

    secret: bytes = field(repr=False)
    seals: int = 0
    versions: dict[Chunk, int] = field(default_factory=dict)

    def image(self) -> bytes:
        """Both sectors, fresh from the factory."""
        versions = [self.versions.get(_CHUNKS[n], 0) if n in _CHUNKS else 0 for n in range(1, 9)]
        head = _HEAD.pack(b"OCS1", 1, self.secret, self.seals, *versions)
        return (head + _CHECK.pack(zlib.crc32(head))).ljust(SIZE, b"\xFF")

    @classmethod
    def parse(cls, sectors: bytes) -> Counters:
        """The newest good state in the bytes of both sectors. Raises VaultError when there is none."""
        good = []
        for at in range(0, SIZE, _SECTOR):
            magic, generation, *_ = _HEAD.unpack_from(sectors, at)
            check, = _CHECK.unpack_from(sectors, at + _HEAD.size)
            if magic == b"OCS1" and check == zlib.crc32(sectors[at:at + _HEAD.size]):
                good.append((generation, sectors[at:at + _SECTOR]))
        if not good:
            raise VaultError("neither vault sector holds a device secret")
        return cls._replay(max(good)[1])

    @classmethod
    def _replay(cls, sector: bytes) -> Counters:
        _, _, secret, seals, *versions = _HEAD.unpack_from(sector)
        state = cls(secret, seals, {chunk: versions[n - 1] for n, chunk in _CHUNKS.items() if versions[n - 1]})
        size = _ENTRY.size + _CHECK.size
        for at in range(_HEAD.size + _CHECK.size, len(sector) - size + 1, size):
            number, version, seals = _ENTRY.unpack_from(sector, at)
            if _CHECK.unpack_from(sector, at + _ENTRY.size)[0] != zlib.crc32(sector[at:at + _ENTRY.size]):
                continue
            state.seals = seals
            if number in _CHUNKS:
                state.versions[_CHUNKS[number]] = version
        return state


def pending(entries: Entries) -> bytes:
    """Both sectors of a device that makes its own secret at the first boot and then seals ``entries`` itself."""
    return (b"\xFF" * _SECTOR + encode_record(PENDING_MAGIC, entries)).ljust(SIZE, b"\xFF")
