# SPDX-License-Identifier: Apache-2.0
"""Window watchdog (RM0090 22.3, 22.6): it resets the chip when it is refreshed too late, or too early."""

from __future__ import annotations

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import Machine, checked_frequency, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

CR, CFR, SR = 0x00, 0x04, 0x08
CR_WDGA, CR_T, T6 = 1 << 7, 0x7F, 0x40
CFR_EWI, CFR_W = 1 << 9, 0x7F
PCLK_PER_TICK = 4096


@model("Offchip.Stm32F4Wwdg")
class WindowWatchdog(WordRegisters):
    """A 7-bit down counter on PCLK1 / 4096 / 2^WDGTB that resets the chip when bit 6 falls.

    Args:
        frequency: PCLK1 before the clock tree says otherwise, Hz.
    """

    def __init__(self, machine: Machine, frequency: int = 42_000_000) -> None:
        super().__init__(machine)
        self.frequency = checked_frequency(frequency)
        self._event: Event | None = None
        self.reset()

    def reset(self) -> None:
        self._running = self._flag = self._stopped = False
        self._count, self._cfr = CR_T, CFR_W
        self._origin = self.machine.clock.cycles * self.frequency
        self._settle()

    def power_off(self) -> None:
        self.reset()

    def set_frequency(self, hertz: int) -> None:
        """PCLK1 changed."""
        self._bring_up()
        self.frequency = hertz
        self._origin = self.machine.clock.cycles * hertz
        self._settle()

    def stop_clock(self) -> None:
        self._bring_up()
        self._stopped = True
        self._settle()

    def start_clock(self) -> None:
        self._stopped = False
        self._origin = self.machine.clock.cycles * self.frequency
        self._settle()

    # time ------------------------------------------------------------------------------------------------------
    @property
    def _tick(self) -> int:
        """In units of 1 / (CPU clock * PCLK1)."""
        return (PCLK_PER_TICK << (self._cfr >> 7 & 3)) * self.machine.clock.frequency

    def _bring_up(self) -> None:
        """Count what has passed; the prescaler runs freely, whatever is written to the counter (22.4)."""
        if self._stopped:
            return
        passed = (self.machine.clock.cycles * self.frequency - self._origin) // self._tick
        self._origin += passed * self._tick
        self._count = self._count - passed & CR_T

    def _settle(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self.irq.set(self._flag and bool(self._cfr & CFR_EWI))
        if not self._running or self._stopped:
            return
        left = self._count - T6 if self._count > T6 else 1  # to 0x40, where the warning comes, or to the reset
        due = self._origin + left * self._tick - self.machine.clock.cycles * self.frequency
        self._event = self.machine.clock.after_cycles(max(1, -(-due // self.frequency)), self._due)

    def _due(self) -> None:
        self._event = None
        self._bring_up()
        if self._count & T6:
            self._flag |= self._count == T6
            self._settle()
        else:
            self._bite()

    def _bite(self) -> None:
        self._running = False
        self.machine.request_reset("window-watchdog")

    # registers -------------------------------------------------------------------------------------------------
    def read_word(self, offset: int) -> int:
        if offset == CR:
            self._bring_up()
            return self._running << 7 | self._count
        if offset == CFR:
            return self._cfr
        return int(self._flag) if offset == SR else self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        self._bring_up()
        if offset == CR:
            early = self._running and self._count > self._cfr & CFR_W
            self._running |= bool(value & CR_WDGA)  # until the next reset
            self._count = value & CR_T
            if self._running and (early or not value & T6):
                self._bite()
        elif offset == CFR:
            self._cfr = value & 0x3FF | self._cfr & CFR_EWI  # EWI is cleared by a reset only
        elif offset == SR:
            self._flag &= bool(value & 1)
        else:
            self.unmodelled(offset, 4, value)
        self._settle()
