# SPDX-License-Identifier: Apache-2.0
"""Leaving out what says nothing: media and memories are all but empty."""

from __future__ import annotations

from collections.abc import Iterator

_PIECE = 4096


def said(data: bytes, size: int, step: int = 0) -> Iterator[int]:
    """Offsets, at multiples of ``step`` (0: of ``size``), of ``size`` bytes in ``data``, without those in stretches of
    some thousand bytes that are one byte over and over."""
    step = step or size
    end, stretch = len(data) - size + 1, max(_PIECE // step, 1) * step
    for start in range(0, end, stretch):
        piece = data[start:start + stretch - step + size]
        if piece.count(piece[0]) < len(piece):
            yield from range(start, min(start + stretch, end), step)
