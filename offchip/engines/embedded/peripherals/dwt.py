# SPDX-License-Identifier: Apache-2.0
"""Data watchpoint and trace unit: the cycle counter (ARMv7-M Architecture Reference Manual C1.8)."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import FOREVER, Machine, checked_frequency, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

CTRL, CYCCNT = 0x00, 0x04
COUNTERS = range(0x08, 0x1C, 4)  # CPICNT EXCCNT SLEEPCNT LSUCNT FOLDCNT
PCSR = 0x1C
COMPARATORS = range(0x20, 0x60, 0x10)  # COMP, MASK, FUNCTION each
LAR, LSR = 0xFB0, 0xFB4
CTRL_CYCCNTENA = 1
CTRL_WRITABLE = 0x007F1FFF
CTRL_NUMCOMP = 4 << 28
MASK32 = 0xFFFFFFFF
#: peripheral and component identification, 0xFD0..0xFFC (Cortex-M4 Technical Reference Manual, table 9-1)
IDENTIFICATION = dict(zip(range(0xFD0, 0x1000, 4),
                          (0x04, 0, 0, 0, 0x02, 0xB0, 0x3B, 0x00, 0x0D, 0xE0, 0x05, 0xB1), strict=True))


@model("Miscellaneous.DWT")
class Dwt(WordRegisters):
    """CYCCNT follows virtual time while CYCCNTENA is set.

    Args:
        frequency: counts per second of virtual time, Hz.

    Not modelled: watchpoints (a comparator that is switched on is reported), profiling counters, PC samples.
    """

    size = 0x1000

    def __init__(self, machine: Machine, frequency: int) -> None:
        super().__init__(machine)
        self.frequency = checked_frequency(frequency)
        self.reset()

    def reset(self) -> None:
        self._ctrl = 0
        self._stopped_at = 0
        self._count = 0  # while stopped: the count; while running: what to add to the clock
        self._comparators = {base + n: 0 for base in COMPARATORS for n in (0, 4, 8)}

    def steady(self, offset: int) -> int | None:
        return FOREVER if offset != CYCCNT or not self._ctrl & CTRL_CYCCNTENA else None

    def read(self, offset: int, width: int) -> int:
        if offset == CYCCNT and width == 4:  # what delay loops look at
            return self._now()
        return super().read(offset, width)

    def read_word(self, offset: int) -> int:
        if offset == CYCCNT:
            return self._now()
        if offset == CTRL:
            return self._ctrl | CTRL_NUMCOMP
        if offset in self._comparators:
            return self._comparators[offset]
        if offset in COUNTERS or offset in (PCSR, LSR):
            return 0
        if offset in IDENTIFICATION:
            return IDENTIFICATION[offset]
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == CYCCNT:
            self._set(value)
        elif offset == CTRL:
            now = self._now()
            self._ctrl = value & CTRL_WRITABLE
            self._set(now)
        elif offset in self._comparators:
            if offset & 0xC == 8 and value & 0xF:
                self.unmodelled(offset, 4, value)
            self._comparators[offset] = value
        elif offset not in COUNTERS and offset not in (PCSR, LAR, LSR) and offset not in IDENTIFICATION:
            self.unmodelled(offset, 4, value)

    def set_frequency(self, hertz: int) -> None:
        """HCLK changed: CYCCNT goes on from where it stands."""
        now = self._now()
        self.frequency = hertz
        self._set(now)

    def stop_clock(self) -> None:
        self._stopped_at = self._now()

    def start_clock(self) -> None:
        if self._ctrl & CTRL_CYCCNTENA:
            self._set(self._stopped_at)

    def _clock(self) -> int:
        clock = self.machine.clock
        if self.frequency == clock.frequency:
            return clock.cycles
        return clock.cycles * self.frequency // clock.frequency

    def _now(self) -> int:
        return self._count + self._clock() & MASK32 if self._ctrl & CTRL_CYCCNTENA else self._count

    def _set(self, value: int) -> None:
        self._count = value - self._clock() & MASK32 if self._ctrl & CTRL_CYCCNTENA else value
