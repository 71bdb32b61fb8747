# SPDX-License-Identifier: Apache-2.0
"""Leaving out what says nothing: media and memories are all but empty."""

from __future__ import annotations

from collections.abc import Iterator

_PIECE = 4096


def said(data: bytes, size: int) -> Iterator[int]:
    """Offsets of the blocks of ``size`` bytes (a divisor of 4096) in ``data``, without those in pieces of 4096 bytes
    that are one byte over and over."""
    for start in range(0, len(data), _PIECE):
        piece = data[start:start + _PIECE]
        if piece.count(piece[0]) < len(piece):
            yield from range(start, start + len(piece), size)
