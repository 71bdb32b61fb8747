# SPDX-License-Identifier: Apache-2.0
"""External interrupt/event controller (RM0090 12.2, 12.3)."""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.peripheral import FOREVER, Machine, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

IMR, EMR, RTSR, FTSR, SWIER, PR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14


@model("IRQControllers.STM32F4_EXTI")
class Exti(WordRegisters):
    """Edge detectors in front of the NVIC; output n is high while PR and IMR both have bit n.

    Args:
        number_of_output_lines: implemented lines (23 on the F405).
    """

    def __init__(self, machine: Machine, number_of_output_lines: int = 23) -> None:
        super().__init__(machine)
        if not 1 <= number_of_output_lines <= 32:
            raise ValueError(f"numberOfOutputLines must be 1..32, not {number_of_output_lines}")
        self.number_of_output_lines = number_of_output_lines
        self._mask = (1 << number_of_output_lines) - 1
        self._levels = 0
        self._outputs = 0
        #: wired by the machine: an edge of a line whose bit in EMR is set, for WFE
        self.on_event: Callable[[], None] = lambda: None
        self.reset()

    def reset(self) -> None:
        self._stored = {IMR: 0, EMR: 0, RTSR: 0, FTSR: 0}
        self._software = 0
        self._pending = 0
        self._update()

    def on_gpio(self, number: int, level: bool) -> None:
        bit = 1 << number
        if bool(self._levels & bit) == level:
            return
        self._levels ^= bit
        if self._stored[RTSR if level else FTSR] & bit:
            self._rise(bit)
            self._update()

    def _rise(self, bits: int) -> None:
        self._pending |= bits
        if bits & self._stored[EMR]:
            self.on_event()

    def peek_word(self, offset: int) -> int:
        return 0 if offset == PR else self.read_word(offset)

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset in self._stored:
            return self._stored[offset]
        if offset == PR:
            return self._pending
        if offset == SWIER:
            return self._software
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == PR:
            self._pending &= ~value
            self._software &= ~value
        elif offset == SWIER:
            raised = value & self._mask & ~self._software
            self._software |= raised
            self._rise(raised)
        elif offset in self._stored:
            self._stored[offset] = value & self._mask
        else:
            self.unmodelled(offset, 4, value)
            return
        self._update()

    def _update(self) -> None:
        outputs = self._pending & self._stored[IMR]
        changed, self._outputs = outputs ^ self._outputs, outputs
        while changed:
            number = (changed & -changed).bit_length() - 1
            changed &= changed - 1
            self.line(number).set(bool(outputs >> number & 1))
