# SPDX-License-Identifier: Apache-2.0
"""Power controller (RM0090 5.4 for STM32F405/407)."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import FOREVER, Machine, model
from offchip.engines.embedded.peripherals.registers import WordRegisters
from offchip.errors import EngineError

CR, CSR = 0x00, 0x04
CR_DBP = 1 << 8
CR_WRITABLE = 0x43F3  # LPDS PDDS PVDE PLS DBP FPDS VOS; CWUF and CSBF only clear flags and read 0
CR_PDDS, CR_CWUF, CR_CSBF = 1 << 1, 1 << 2, 1 << 3
CR_RESET = 0x4000
CSR_WUF, CSR_SBF = 1 << 0, 1 << 1
CSR_BRR, CSR_EWUP, CSR_BRE, CSR_VOSRDY = 1 << 3, 1 << 8, 1 << 9, 1 << 14


@model("Miscellaneous.STM32_PWR")
class Pwr(WordRegisters):
    """Supply control: the regulators are ready at once, VDD is always above the PVD threshold.

    ``standby`` says what the next deep sleep is; the machine notes how one ended.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._wakeup_flags = 0  # no system reset reaches them
        self._backup_regulator = 0  # in the backup domain: no reset reaches it
        self.reset()

    def reset(self) -> None:
        self._cr = CR_RESET
        self._ewup = 0

    def power_on(self) -> None:
        self._wakeup_flags = 0

    @property
    def standby(self) -> bool:
        """PDDS: deep sleep is Standby, not Stop."""
        return bool(self._cr & CR_PDDS)

    @property
    def wakes_by_pin(self) -> bool:
        """EWUP: a rising edge on PA0 ends Standby."""
        return bool(self._ewup)

    def note_standby(self) -> None:
        """The chip was in Standby and woke up."""
        self._wakeup_flags = CSR_WUF | CSR_SBF

    @property
    def backup_writable(self) -> bool:
        """DBP: the backup domain (RTC, backup registers, RCC_BDCR) may be written."""
        return bool(self._cr & CR_DBP)

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset == CR:
            return self._cr
        if offset == CSR:
            ready = CSR_BRR if self._backup_regulator else 0
            return self._wakeup_flags | self._ewup | self._backup_regulator | ready | CSR_VOSRDY
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == CR:
            self._cr = value & CR_WRITABLE
            self._wakeup_flags &= ~(value >> 2 & (CSR_WUF | CSR_SBF))
        elif offset == CSR:
            self._ewup = value & CSR_EWUP
            if self.backup_writable:
                self._backup_regulator = value & CSR_BRE
        else:
            self.unmodelled(offset, 4, value)


def backup_writable(machine: Machine) -> bool:
    """Whether the backup domain may be written; always on a platform without ``pwr``."""
    try:
        pwr = machine.find("pwr")
    except (EngineError, KeyError):
        return True
    return not isinstance(pwr, Pwr) or pwr.backup_writable
