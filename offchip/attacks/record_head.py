# SPDX-License-Identifier: Apache-2.0
"""Records of the vault area, as somebody sees them who has read SPEC.md section 9 and holds no key."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

#: what a record with a tag begins with
MAGIC = b"OCV1"
#: bytes of the head, which is not encrypted, and of the tag behind the content
HEAD, TAG = 32, 16


class At(IntEnum):
    """Where in the head a field begins; each ends where the next one does."""

    MAGIC = 0
    FORMAT = 4
    SCHEME = 5
    CHUNK = 6
    RESERVED = 7
    LENGTH = 8
    VERSION = 12
    NONCE = 16
    DEVICE = 28


def records_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, head) of everything that begins as a record with a tag does, wherever it lies."""
    at = data.find(MAGIC)
    while at >= 0:
        if at + HEAD + TAG <= len(data):
            yield at, data[at:at + HEAD]
        at = data.find(MAGIC, at + 1)


def nonce_of(head: bytes) -> bytes:
    """The nonce in a record's head."""
    return head[At.NONCE:At.DEVICE]


def length_of(head: bytes) -> int:
    """Bytes of the content, as the head claims."""
    return int.from_bytes(head[At.LENGTH:At.VERSION], "little")
