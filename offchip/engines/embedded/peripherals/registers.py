# SPDX-License-Identifier: Apache-2.0
"""Narrow accesses to 32-bit registers."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import Peripheral


class WordRegisters(Peripheral):
    """A block of 32-bit registers on a bus that also carries bytes and half words.

    Subclasses implement :meth:`read_word` and :meth:`write_word`; offsets there are multiples of 4.
    """

    def read_word(self, offset: int) -> int:
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        self.unmodelled(offset, 4, value)

    def peek_word(self, offset: int) -> int:
        """The word a narrow store is merged into. Overridden where reading has side effects or a bit is set by 1."""
        return self.read_word(offset)

    def read(self, offset: int, width: int) -> int:
        if width == 4:
            return self.read_word(offset)
        return self.read_word(offset & ~3) >> 8 * (offset & 3) & ((1 << 8 * width) - 1)

    def write(self, offset: int, width: int, value: int) -> None:
        if width != 4:
            shift, mask = 8 * (offset & 3), (1 << 8 * width) - 1
            offset &= ~3
            value = self.peek_word(offset) & ~(mask << shift) | (value & mask) << shift
        self.write_word(offset, value)
