# SPDX-License-Identifier: Apache-2.0
"""Instrumentation trace macrocell (ARMv7-M ARM C1.7): what a program writes to its ports, as a debugger shows it."""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.peripheral import Machine
from offchip.engines.embedded.peripherals.registers import WordRegisters

TER, TPR, TCR, LAR, LSR = 0xE00, 0xE40, 0xE80, 0xFB0, 0xFB4
PORTS = 32
TCR_ITMENA = 1
KEY = 0xC5ACCE55
LSR_IMPLEMENTED, LSR_LOCKED = 1, 2
IDENTITY = {0xFD0: 0x04, 0xFE0: 0x01, 0xFE4: 0xB0, 0xFE8: 0x3B, 0xFF0: 0x0D, 0xFF4: 0xE0, 0xFF8: 0x05, 0xFFC: 0xB1}


class Itm(WordRegisters):
    """Stimulus ports. A write of 1, 2 or 4 bytes to an enabled port of an enabled unit leaves as output ``swo`` (port
    0) or ``swo1`` .. ``swo31``; the pin, its speed and the TPIU's formatter are not looked at.
    """

    model_name = "Offchip.Itm"
    size = 0x1000
    #: wired by the machine: DEMCR.TRCENA
    enabled: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.reset()

    def reset(self) -> None:
        self._ter = self._tpr = self._tcr = 0
        self._locked = True

    def open(self) -> None:
        """As a debugger sets it up for text: port 0 on."""
        self._ter, self._tcr = 1, 0x00010005

    def _ready(self, port: int) -> bool:
        return self.enabled() and bool(self._tcr & TCR_ITMENA) and bool(self._ter >> port & 1)

    def read_word(self, offset: int) -> int:
        if offset < 4 * PORTS:
            return int(self._ready(offset // 4))  # FIFOREADY
        found = {TER: self._ter, TPR: self._tpr, TCR: self._tcr, LAR: 0,
                 LSR: LSR_IMPLEMENTED | self._locked * LSR_LOCKED}.get(offset, IDENTITY.get(offset))
        return (0 if offset >= 0xF00 else self.unmodelled(offset, 4)) if found is None else found

    def write(self, offset: int, width: int, value: int) -> None:
        if offset >= 4 * PORTS:
            super().write(offset, width, value)
        elif self._ready(offset // 4):
            name = f"swo{offset // 4}" if offset >= 4 else "swo"
            for byte in value.to_bytes(4, "little")[:width]:
                self.machine.uart_output(name, byte)

    def write_word(self, offset: int, value: int) -> None:
        if offset == LAR:
            self._locked = value != KEY
        elif self._locked:
            return
        elif offset == TER:
            self._ter = value
        elif offset == TPR:
            self._tpr = value & 0xF
        elif offset == TCR:
            self._tcr = value & 0x007F0F1F
        else:
            self.unmodelled(offset, 4, value)


class TracePort(WordRegisters):
    """TPIU (C1.10) or ETM (C1.9): storage. Nothing is traced, and what the ITM says is heard without it."""

    model_name = "Offchip.TracePort"
    size = 0x1000

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.reset()

    def reset(self) -> None:
        self._words: dict[int, int] = {}

    def read_word(self, offset: int) -> int:
        return self._words.get(offset, 0)

    def write_word(self, offset: int, value: int) -> None:
        self._words[offset] = value
