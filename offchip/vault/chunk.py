# SPDX-License-Identifier: Apache-2.0
"""What is kept, piece by piece, and where each piece lies in the vault area of a medium (SPEC.md section 9)."""

from __future__ import annotations

from enum import Enum

from offchip.vault.records import Entries, Tag

#: bytes of the whole area: the EEPROM, or the file VAULT_FILE on a card
AREA_SIZE = 32768
VAULT_FILE = "/CREDS/VAULT.BIN"
SLOTS = 2


class Chunk(Enum):
    """A piece; the value is its word on the console and in reports."""

    DEVICE_KEY = "device-key"
    DEVICE_CERTIFICATE = "device-certificate"
    BROKER_CA = "broker-ca"
    CONFIGURATION_CA = "configuration-ca"
    SETTINGS = "settings"
    OWNER_DATA = "owner-data"

    @property
    def number(self) -> int:
        """Its number in records and counters."""
        return _TABLE[self][0]

    @property
    def offset(self) -> int:
        """Where its first slot begins in the area; the second one follows at once."""
        return _TABLE[self][1]

    @property
    def slot_size(self) -> int:
        """Bytes of a slot."""
        return _TABLE[self][2]


_TABLE = {
    Chunk.DEVICE_KEY: (1, 0x0000, 2048),
    Chunk.DEVICE_CERTIFICATE: (2, 0x1000, 2048),
    Chunk.BROKER_CA: (3, 0x2000, 4096),
    Chunk.CONFIGURATION_CA: (4, 0x4000, 2048),
    Chunk.SETTINGS: (5, 0x5000, 2048),
    Chunk.OWNER_DATA: (6, 0x6000, 4096),
}
#: the chunks credentials are made of, and the tag of their values
CREDENTIAL_TAGS = {Chunk.DEVICE_KEY: Tag.DEVICE_PRIVATE_KEY, Chunk.DEVICE_CERTIFICATE: Tag.DEVICE_CERTIFICATE,
                   Chunk.BROKER_CA: Tag.TRUST_ANCHOR}
CREDENTIAL_CHUNKS = frozenset(CREDENTIAL_TAGS)


def content(chunk: Chunk, entries: Entries) -> bytes:
    """The chunk's content: the values of its tag, each behind its u16 length."""
    return b"".join(len(value).to_bytes(2, "little") + value
                    for tag, value in entries if tag == CREDENTIAL_TAGS[chunk])
