# SPDX-License-Identifier: Apache-2.0
"""Memories: those the core executes from or stores to directly, and small arrays that are read register-wise."""

from __future__ import annotations

import mmap
import random

from offchip.engines.embedded.peripheral import Machine, Peripheral, model


def anonymous_memory(size: int, fill: int) -> mmap.mmap:
    """``size`` bytes of host memory with a fixed address, filled with the byte ``fill``. Raises ValueError."""
    if size <= 0:
        raise ValueError(f"the size of a memory must be positive, not {size}")
    if not 0 <= fill <= 0xFF:
        raise ValueError(f"the fill byte of a memory must be 0..0xFF, not 0x{fill:X}")
    buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # a fork gets its own copy
    if fill:
        buffer[:] = bytes([fill]) * size
    return buffer


@model("Memory.MappedMemory")
class MappedMemory(Peripheral):
    """Memory the core maps into its address space by pointer.

    Args:
        size: bytes.
        reset_byte: content before anything was written.

    Attributes:
        buffer: the content; the core reads and writes it behind our back.
        volatile: True for RAM, which forgets its content without supply.
    """

    def __init__(self, machine: Machine, size: int, reset_byte: int = 0) -> None:
        super().__init__(machine)
        self.size = size
        self.reset_byte = reset_byte
        self.volatile = False
        self.buffer = anonymous_memory(size, reset_byte)

    def power_off(self) -> None:
        """A RAM comes back with the start-up state of its cells: noise, but the same noise each time."""
        if self.volatile:
            self.buffer[:] = random.Random(f"{self.machine.seed}/{self.path}").randbytes(self.size)

    def zero_all(self) -> None:
        """Fill with zeros (monitor command ``ZeroAll``)."""
        self.buffer[:] = bytes(self.size)


@model("Memory.ArrayMemory")
class ArrayMemory(Peripheral):
    """Plain non-volatile storage on the bus, not executable: OTP area, device signature.

    Args:
        size: bytes.
        initial_value: each byte before anything was written.
    """

    def __init__(self, machine: Machine, size: int, initial_value: int = 0) -> None:
        super().__init__(machine)
        if size <= 0:
            raise ValueError(f"the size of a memory must be positive, not {size}")
        if not 0 <= initial_value <= 0xFF:
            raise ValueError(f"initialValue must be 0..0xFF, not 0x{initial_value:X}")
        self.size = size
        self.data = bytearray([initial_value]) * size

    def read(self, offset: int, width: int) -> int:
        return int.from_bytes(self.data[offset:offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        width = min(width, self.size - offset)
        self.data[offset:offset + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
