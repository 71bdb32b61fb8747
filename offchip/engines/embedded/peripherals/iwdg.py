# SPDX-License-Identifier: Apache-2.0
"""Independent watchdog (RM0090 21.3, 21.4)."""

from __future__ import annotations

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Machine, checked_frequency, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

KR, PR, RLR, SR = 0x00, 0x04, 0x08, 0x0C
KEY_UNLOCK, KEY_RELOAD, KEY_START = 0x5555, 0xAAAA, 0xCCCC
SR_PVU, SR_RVU = 1, 2
RLR_RESET = 0xFFF
UPDATE_PERIODS = 5  # of LSI, until a written PR or RLR is in force (21.4.4)


@model("Timers.STM32_IndependentWatchdog")
class IndependentWatchdog(WordRegisters):
    """A down counter on LSI/4 .. LSI/256 that resets the chip behind (RLR + 1) ticks.

    Args:
        frequency: of LSI, Hz.
        window_option: must be False; this family's watchdog has no window.

    The hardware start by option bit WDG_SW is not modelled.
    """

    def __init__(self, machine: Machine, frequency: int = 32_000, window_option: bool = False) -> None:
        super().__init__(machine)
        if window_option:
            raise ValueError("the watchdog of the STM32F4 has no window; leave windowOption false")
        self.frequency = checked_frequency(frequency)
        self._event: Event | None = None
        self.reset()

    def reset(self) -> None:
        self._unlocked = False
        self._prescaler = 0
        self._reload_value = RLR_RESET
        self._prescaler_settled = self._reload_settled = 0
        self.running = False
        self._counter = RLR_RESET  # while it stands still
        self._deadline = 0
        self._cancel()

    def power_off(self) -> None:
        self.reset()

    # registers -------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        now = self.machine.clock.cycles
        return min((at for at in (self._prescaler_settled, self._reload_settled) if at > now), default=FOREVER)

    def read_word(self, offset: int) -> int:
        if offset == SR:
            now = self.machine.clock.cycles
            return (SR_PVU if now < self._prescaler_settled else 0) | (SR_RVU if now < self._reload_settled else 0)
        if offset == PR:
            return self._prescaler
        if offset == RLR:
            return self._reload_value
        if offset == KR:
            return 0
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == KR:
            self._key(value & 0xFFFF)
        elif offset == PR:
            if self._unlocked and not self.read_word(SR) & SR_PVU:
                self._set_prescaler(value & 7)
        elif offset == RLR:
            if self._unlocked and not self.read_word(SR) & SR_RVU:
                self._reload_value = value & 0xFFF
                self._reload_settled = self.machine.clock.cycles + self._lsi_cycles(UPDATE_PERIODS)
        elif offset != SR:
            self.unmodelled(offset, 4, value)

    def _key(self, key: int) -> None:
        self._unlocked = key == KEY_UNLOCK
        if key == KEY_START and not self.running:
            self.running = True
            self._count_from(self._counter)
        elif key == KEY_RELOAD:
            if self.running:
                self._count_from(self._reload_value)
            else:
                self._counter = self._reload_value

    def _set_prescaler(self, value: int) -> None:
        clock = self.machine.clock
        left = max(0, self._deadline - clock.cycles) // self._tick_cycles
        self._prescaler = value
        self._prescaler_settled = clock.cycles + self._lsi_cycles(UPDATE_PERIODS)
        if self.running:
            self._count_from(left)

    # counter ---------------------------------------------------------------------------------------------------
    def _lsi_cycles(self, periods: int) -> int:
        return periods * self.machine.clock.frequency // self.frequency

    @property
    def _tick_cycles(self) -> int:
        return self._lsi_cycles(4 << min(self._prescaler, 6))

    def _count_from(self, value: int) -> None:
        """A later deadline costs nothing: the old event finds it when it fires."""
        clock = self.machine.clock
        self._deadline = clock.cycles + (value + 1) * self._tick_cycles
        if self._event is not None and self._event.cycle > self._deadline:
            self._cancel()
        if self._event is None:
            self._event = clock.after_cycles(self._deadline - clock.cycles, self._due)

    def _due(self) -> None:
        self._event = None
        left = self._deadline - self.machine.clock.cycles
        if left > 0:
            self._event = self.machine.clock.after_cycles(left, self._due)
        else:
            self.running = False
            self.machine.request_reset("watchdog")

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
