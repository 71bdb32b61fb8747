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
#: not a chunk: what `plain` counts the versions of its record on an EEPROM as
_RECORD = 8
_SEALS, _COMMIT, _CONTENT, _RESET, _RESET_BEGIN, _OPERAND = 0, 0x1000, 0x2000, 0x3000, 0x3000, 0x0FFF
_NO_SECRET = bytes(32)


@dataclass(slots=True)
class Counters:
    """What the two sectors say.

    Attributes:
        secret: 32 bytes; zeros: there is none.
        seals: so many were made under it.
        versions: of the chunks that have one.
        contents: of the chunks kept on the chip that were ever updated: what counts.
        record_version: of the record `plain` keeps on an EEPROM.
        resetting: a reset has begun and not ended.
    """

    secret: bytes = field(repr=False)
    seals: int = 0
    versions: dict[Chunk, int] = field(default_factory=dict)
    contents: dict[Chunk, bytes] = field(default_factory=dict, repr=False)
    record_version: int = 0
    resetting: bool = False

    def image(self) -> bytes:
        """Both sectors, fresh from the factory (``contents`` are not in it)."""
        versions = [self.versions.get(_CHUNKS[n], 0) if n in _CHUNKS else 0 for n in range(1, 8)]
        head = _HEAD.pack(b"OCS1", 1, self.secret, self.seals, *versions, self.record_version)
        return (head + _CHECK.pack(zlib.crc32(head))).ljust(SIZE, b"\xFF")

    @classmethod
    def parse(cls, sectors: bytes) -> Counters:
        """The newest good state in the bytes of both sectors. Raises VaultError when there is none."""
        start = _newest(sectors)
        return cls._replay(sectors[start:start + _SECTOR])

    @classmethod
    def _replay(cls, sector: bytes) -> Counters:
        _, _, secret, seals, *versions = _HEAD.unpack_from(sector)
        counts = dict(enumerate(versions, 1))
        state, staged, size = cls(secret, seals), dict[int, bytes](), _ENTRY.size + _CHECK.size
        at = _HEAD.size + _CHECK.size
        end = len(sector.rstrip(b"\xFF")) + size  # behind it nothing was ever written
        while at + size <= len(sector) and at < end:
            what, value, third = _ENTRY.unpack_from(sector, at)
            good = _CHECK.unpack_from(sector, at + _ENTRY.size)[0] == zlib.crc32(sector[at:at + _ENTRY.size])
            at += size
            kind, operand = what & ~_OPERAND, what & _OPERAND
            if not good:
                continue
            if kind == _CONTENT:
                content = sector[at:at + value]
                if zlib.crc32(content) == third and len(content) == value:
                    staged[operand] = content
                at += -(-value // size) * size
                continue
            state.seals = third
            if kind == _COMMIT:
                state._take(operand, counts, staged)
            elif kind == _RESET:
                state.resetting = what == _RESET_BEGIN
        state.versions = {chunk: counts[n] for n, chunk in _CHUNKS.items() if counts[n]}
        state.record_version = counts[_RECORD]
        return state

    def _take(self, chunks: int, counts: dict[int, int], staged: dict[int, bytes]) -> None:
        for n in counts:
            if chunks & 1 << n:
                counts[n] += 1
                if n in staged:
                    self.contents[_CHUNKS[n]] = staged.pop(n)


def _newest(sectors: bytes) -> int:
    """Where the sector begins whose state counts. Raises VaultError when neither is good."""
    good = []
    for at in range(0, SIZE, _SECTOR):
        magic, generation, *_ = _HEAD.unpack_from(sectors, at)
        check, = _CHECK.unpack_from(sectors, at + _HEAD.size)
        if magic == b"OCS1" and check == zlib.crc32(sectors[at:at + _HEAD.size]):
            good.append((generation, at))
    if not good:
        raise VaultError("neither vault sector holds a device secret")
    return max(good)[1]


def filled(sectors: bytes, left: int) -> bytes:
    """Both sectors after so many seals were numbered that only ``left`` entries fit into the log that counts.

    Raises VaultError when neither is good.
    """
    state, start = Counters.parse(sectors), _newest(sectors)
    size = _ENTRY.size + _CHECK.size
    used = -(-len(sectors[start:start + _SECTOR].rstrip(b"\xFF")) // size) * size
    entry = _ENTRY.pack(_SEALS, 0, state.seals)
    log = (entry + _CHECK.pack(zlib.crc32(entry))) * ((_SECTOR - used) // size - left)
    return sectors[:start + used] + log + sectors[start + used + len(log):]


def pending(entries: Entries) -> bytes:
    """Both sectors of a device that makes its own secret at the first boot and then seals ``entries`` itself."""
    return (b"\xFF" * _SECTOR + encode_record(PENDING_MAGIC, entries)).ljust(SIZE, b"\xFF")
