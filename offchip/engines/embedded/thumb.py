# SPDX-License-Identifier: Apache-2.0
"""Lengths and blocks of Thumb instructions (ARMv7-M ARM A5.1, A7.7.38)."""

from __future__ import annotations

from collections.abc import Callable


def instruction_length(half: bytes) -> int:
    """Bytes of the instruction that begins with this halfword."""
    return 4 if half[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2


def in_it_block(peek: Callable[[int, int], bytes], address: int) -> bool:
    """Whether a halfword before may be an IT that reaches to ``address``; ``peek`` gives b"" for no memory."""
    for start in range(address - 2, address - 18, -2):
        half = peek(start, 2)
        if not half:
            return False
        if half[1] == 0xBF and half[0] & 0xF and _reaches(peek, start, half[0] & 0xF, address):
            return True
    return False


def _reaches(peek: Callable[[int, int], bytes], start: int, mask: int, address: int) -> bool:
    position = start + 2
    for _ in range(5 - (mask & -mask).bit_length()):
        if position == address:
            return True
        half = peek(position, 2)
        if not half:
            return False
        position += instruction_length(half)
    return False
