# SPDX-License-Identifier: Apache-2.0
"""Opening sealed records with a secret that was found, and making new ones with it: SPEC.md sections 8 and 9.

Whoever has the secret needs no tag: AES-GCM without its check is counter mode (NIST SP 800-38D, 6.5). So a record opens
even where the device's identity, which is only authenticated, is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from offchip import chip_map
from offchip.attacks.blanks import said
from offchip.attacks.reach import OpenedChip
from offchip.attacks.record_head import HEAD, At, length_of, nonce_of, records_in
from offchip.errors import VaultError
from offchip.vault import SCHEMES, Chip
from offchip.vault.chunk import SLOTS, Chunk
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Opened:
    """What a record held. ``place``: where in the bytes it lay."""

    place: int
    scheme: str
    chunk: Chunk
    content: bytes = field(repr=False)


def counters_of(chip: OpenedChip) -> Counters | None:
    """Secret, seals and versions of a chip that was opened; None when it has none."""
    start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start - chip_map.DATA.start
    try:
        return Counters.parse(chip.data[start:start + SIZE])
    except VaultError:
        return None


def vaulted_schemes() -> list[Vaulted]:
    """The schemes with records."""
    return [scheme for scheme in SCHEMES.values() if isinstance(scheme, Vaulted)]


def open_all(data: bytes, secret: bytes) -> list[Opened]:
    """Every record anywhere in ``data`` that this secret opens, under whatever scheme."""
    return [*_open_tagged(data, secret), *_open_sectors(data, secret)]


def without_its_tag(key: bytes, head: bytes, sealed: bytes) -> bytes:
    """The content of a record, or the first part of it, under its key; noise under another one."""
    counter = nonce_of(head) + (2).to_bytes(4, "big")
    return Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor().update(sealed)


def _open_tagged(data: bytes, secret: bytes) -> Iterator[Opened]:
    chip = Chip(secret)
    for at, head in records_in(data):
        sealed = data[at + HEAD:at + HEAD + length_of(head)]
        for scheme in vaulted_schemes():
            if not scheme.format.authenticated or scheme.code != head[At.SCHEME]:
                continue
            for chunk in Chunk:
                key = scheme.sealer(chip).key(chunk if scheme.format.labelled else None, 32)
                clear = without_its_tag(key, head, sealed)
                if _is_content(clear):
                    yield Opened(at, scheme.name, chunk, clear)
                    break


def _open_sectors(data: bytes, secret: bytes) -> Iterator[Opened]:
    """Sectors without a tag: tried under the tweak of each slot, at each multiple of a sector."""
    chip = Chip(secret)
    for scheme in vaulted_schemes():
        if scheme.format.authenticated:
            continue
        sealer = scheme.sealer(chip)
        for at in _first_sectors(data):
            for chunk in Chunk:
                for slot in range(SLOTS):
                    try:
                        _, clear = sealer.open(chunk, slot, data[at:at + chunk.slot_size])
                    except VaultError:
                        continue
                    if _is_content(clear):
                        yield Opened(at, scheme.name, chunk, clear)


def _first_sectors(data: bytes) -> Iterable[int]:
    """Offsets of sectors that look encrypted: few bytes repeat."""
    return (at for at in said(data, _SECTOR) if len(set(data[at:at + _SECTOR])) > 128)


def _is_content(clear: bytes) -> bool:
    """Values behind their lengths that fill the content exactly: right by chance once in 65536 at most."""
    at = 0
    while at + 2 <= len(clear):
        at += 2 + int.from_bytes(clear[at:at + 2], "little")
    return bool(clear) and at == len(clear)
