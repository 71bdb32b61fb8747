# SPDX-License-Identifier: Apache-2.0
"""CRC calculation unit (RM0090 4.3, 4.4): CRC-32/MPEG-2 over 32-bit words."""

from __future__ import annotations

from enum import Enum

from offchip.engines.embedded.peripheral import Machine, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

DR, IDR, CR = 0x00, 0x04, 0x08
CR_RESET = 1
POLYNOMIAL, START = 0x04C11DB7, 0xFFFFFFFF


def _step(value: int) -> int:
    for _ in range(8):
        value = value << 1 ^ (POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = tuple(_step(byte << 24) for byte in range(256))


class STM32Series(Enum):
    """Families whose unit this is; the name is the one Renode uses."""

    F4 = "F4"


@model("CRC.STM32_CRC")
class CrcUnit(WordRegisters):
    """Fixed polynomial and start value; one word costs no time.

    Args:
        series: must be ``STM32Series.F4``.
    """

    def __init__(self, machine: Machine, series: STM32Series) -> None:
        super().__init__(machine)
        self.series = series
        self.reset()

    def reset(self) -> None:
        self._crc = START
        self._independent = 0

    def read_word(self, offset: int) -> int:
        if offset == DR:
            return self._crc
        if offset == IDR:
            return self._independent
        return 0 if offset == CR else self.unmodelled(offset, 4)

    def peek_word(self, offset: int) -> int:
        return 0 if offset == DR else self.read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        if offset == DR:
            crc = self._crc
            for byte in value.to_bytes(4, "big"):
                crc = crc << 8 & 0xFFFFFFFF ^ _TABLE[crc >> 24 ^ byte]
            self._crc = crc
        elif offset == IDR:
            self._independent = value & 0xFF
        elif offset == CR:
            if value & CR_RESET:
                self._crc = START  # IDR is not touched, 4.4.3
        else:
            self.unmodelled(offset, 4, value)
