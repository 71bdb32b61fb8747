# SPDX-License-Identifier: Apache-2.0
"""Records of the vault area and their keys, written from SPEC.md section 9 (not from the firmware)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from offchip.errors import VaultError
from offchip.vault.chunk import Chunk

SECRET_SIZE, IDENTITY_SIZE = 32, 12
SECTOR = 512
_HEAD = struct.Struct("<4sBBBxII12sI")
HEAD_SIZE = _HEAD.size
_NONCE = struct.Struct("<IB7x")
_TAG = 16
_LABEL = b"offchip vault 1\0"


@dataclass(frozen=True, slots=True)
class Format:
    """What a scheme does to its records.

    Attributes:
        authenticated: AES-256-GCM; otherwise AES-256-XTS, which notices nothing.
        labelled: a key for each chunk; head and device identity are authenticated.
        fresh: only the version kept on the chip counts.
        shared: no device identity: one secret serves all devices.
    """

    authenticated: bool = False
    labelled: bool = False
    fresh: bool = False
    shared: bool = False

    @property
    def magic(self) -> bytes:
        return b"OCV1" if self.authenticated else b"OCX1"


def chunk_number(head: bytes) -> int:
    """Of which chunk an authenticated record says it is; its head is not encrypted. 0: there is no whole head."""
    return int(_HEAD.unpack_from(head)[3]) if len(head) >= _HEAD.size else 0


@dataclass(frozen=True, slots=True)
class Sealer:
    """Makes and opens the records of one device under one scheme.

    Args:
        scheme, code: name and number of the scheme.
        secret: 32 bytes.
        identity: the chip's unique id, 12 bytes.
    """

    format: Format
    scheme: str
    code: int
    secret: bytes
    identity: bytes

    def key(self, chunk: Chunk | None, length: int) -> bytes:
        """Key of a chunk, or (None) the one for all chunks; ``length`` in bytes."""
        info = _LABEL + self.scheme.encode() + b"\0" + bytes([chunk.number if chunk else 0])
        return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(self.secret)

    def seal(self, chunk: Chunk, version: int, seal: int, slot: int, content: bytes) -> bytes:
        """The record for slot 0 or 1. ``seal``: number never used before under this secret.

        Raises VaultError when it does not fit the slot.
        """
        authenticated = self.format.authenticated
        nonce = _NONCE.pack(seal, chunk.number) if authenticated else bytes(12)
        head = _HEAD.pack(self.format.magic, 1, self.code, chunk.number, len(content), version, nonce,
                          self._device_word())
        if authenticated:
            record = head + AESGCM(self._record_key(chunk)).encrypt(nonce, content, self._bound(head))
        else:
            clear = head + content
            record = self._xts(clear + bytes(-len(clear) % SECTOR), self._place(chunk, slot), encrypt=True)
        if len(record) > chunk.slot_size:
            raise VaultError(f"chunk {chunk.value}: a record of {len(record)} bytes does not fit its slot of "
                             f"{chunk.slot_size} bytes")
        return record

    def open(self, chunk: Chunk, slot: int, stored: bytes) -> tuple[int, bytes]:
        """Version and content of the record at the start of a slot's bytes.

        Raises VaultError naming what is wrong.
        """
        if not stored.strip(b"\xFF"):
            raise VaultError(f"chunk {chunk.value}: missing")
        head = stored[:_HEAD.size]
        if not self.format.authenticated:
            head = self._xts(head, self._place(chunk, slot), encrypt=False)
        magic, record_version, _, number, length, version, nonce, device = _HEAD.unpack(head)
        if magic != self.format.magic or record_version != 1 or length > chunk.slot_size - _HEAD.size - _TAG:
            raise VaultError(f"chunk {chunk.value}: malformed")
        if self.format.labelled and (number, device) != (chunk.number, self._device_word()):
            raise VaultError(f"chunk {chunk.value}: {'swapped' if number != chunk.number else 'foreign'}")
        if not self.format.authenticated:
            size = _HEAD.size + length + -(_HEAD.size + length) % 16
            return version, self._xts(stored[:size], self._place(chunk, slot), encrypt=False)[_HEAD.size:][:length]
        sealed = stored[_HEAD.size:_HEAD.size + length + _TAG]
        try:
            return version, AESGCM(self._record_key(chunk)).decrypt(nonce, sealed, self._bound(head))
        except InvalidTag:
            raise VaultError(f"chunk {chunk.value}: forged") from None

    def _record_key(self, chunk: Chunk) -> bytes:
        return self.key(chunk if self.format.labelled else None, 32)

    def _device_word(self) -> int:
        return zlib.crc32(self.identity) if self.format.labelled and not self.format.shared else 0

    def _bound(self, head: bytes) -> bytes | None:
        if not self.format.labelled:
            return None
        return head + (bytes(IDENTITY_SIZE) if self.format.shared else self.identity)

    @staticmethod
    def _place(chunk: Chunk, slot: int) -> int:
        return (chunk.offset + slot * chunk.slot_size) // SECTOR

    def _xts(self, data: bytes, first_sector: int, *, encrypt: bool) -> bytes:
        result = bytearray()
        key = algorithms.AES(self.key(None, 64))
        for at in range(0, len(data), SECTOR):
            tweak = (first_sector + at // SECTOR).to_bytes(16, "little")
            cipher = Cipher(key, modes.XTS(tweak))
            one = cipher.encryptor() if encrypt else cipher.decryptor()
            result += one.update(data[at:at + SECTOR]) + one.finalize()
        return bytes(result)
