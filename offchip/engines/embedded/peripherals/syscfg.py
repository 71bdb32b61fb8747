# SPDX-License-Identifier: Apache-2.0
"""System configuration controller (RM0090 9.2): above all, which port feeds which external interrupt."""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.peripheral import FOREVER, Machine, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

MEMRMP, PMC, EXTICR1, EXTICR4, CMPCR = 0x00, 0x04, 0x08, 0x14, 0x20
PMC_MII_RMII_SEL = 1 << 23
CMPCR_CMP_PD, CMPCR_READY = 0x1, 0x100
PORTS, PINS = 9, 16  # ports A..I


@model("Miscellaneous.STM32_SYSCFG")
class Syscfg(WordRegisters):
    """Multiplexer from the pins of all ports (local receivers ``syscfg#port@pin``) to the lines 0..15 of EXTI.

    MEM_MODE maps main flash, system memory or SRAM to address 0 (FSMC is absent). The I/O compensation cell is
    ready at once.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._levels = [0] * PORTS
        self.reset()

    def reset(self) -> None:
        self._map(0)
        self._pmc = 0
        self._cmpcr = 0
        self._select = [0] * PINS
        self._route(range(PINS))

    def receiver(self, index: int) -> Callable[[int, bool], None]:
        """Where the pins of port ``index`` (0 = A) are to be connected. Raises ValueError."""
        if not 0 <= index < PORTS:
            raise ValueError(f"ports are numbered 0 (A) to {PORTS - 1} (I)")

        def on_pin(pin: int, level: bool) -> None:
            bit = 1 << pin
            self._levels[index] = self._levels[index] | bit if level else self._levels[index] & ~bit
            if self._select[pin] == index:
                self.line(pin).set(level)

        return on_pin

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if EXTICR1 <= offset <= EXTICR4:
            first = offset - EXTICR1
            return sum(self._select[first + i] << 4 * i for i in range(4))
        if offset == MEMRMP:
            return self._mapped
        if offset == PMC:
            return self._pmc
        if offset == CMPCR:
            return self._cmpcr | (CMPCR_READY if self._cmpcr & CMPCR_CMP_PD else 0)
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if EXTICR1 <= offset <= EXTICR4:
            first = offset - EXTICR1
            for i in range(4):
                self._select[first + i] = value >> 4 * i & 0xF
            self._route(range(first, first + 4))
        elif offset == MEMRMP:
            self._map(value & 3)
        elif offset == PMC:
            self._pmc = value & PMC_MII_RMII_SEL
        elif offset == CMPCR:
            self._cmpcr = value & CMPCR_CMP_PD
        else:
            self.unmodelled(offset, 4, value)

    def _map(self, mode: int) -> None:
        self._mapped = mode
        self.machine.remap(mode)

    def _route(self, pins: range) -> None:
        for pin in pins:
            port = self._select[pin]
            self.line(pin).set(port < PORTS and bool(self._levels[port] >> pin & 1))
