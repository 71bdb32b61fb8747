# SPDX-License-Identifier: Apache-2.0
"""Digital to analogue converter (RM0090 14.3, 14.5): holding and output registers; the outputs drive no pin."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import FOREVER, Machine
from offchip.engines.embedded.peripherals.stand_in import StandIn

CR, SWTRIGR, DOR1, DOR2, SR = 0x00, 0x04, 0x2C, 0x30, 0x34
CHANNELS = range(2)
EN, TEN, TSEL_SOFTWARE, WAVE, DMAEN = 0x01, 0x04, 0x38, 0xC0, 0x1000
#: offset -> (channels, bits of one, left shift to 12 bits); a dual register has channel 2 at the place that follows
HOLDING = {0x08: ((0,), 12, 0), 0x0C: ((0,), 12, 4), 0x10: ((0,), 8, 4), 0x14: ((1,), 12, 0), 0x18: ((1,), 12, 4),
           0x1C: ((1,), 8, 4), 0x20: ((0, 1), 12, 0), 0x24: ((0, 1), 12, 4), 0x28: ((0, 1), 8, 4)}
#: timer by TSEL (table 76)
TRIGGERS = {0: "timer6", 1: "timer8", 2: "timer7", 3: "timer5", 4: "timer2", 5: "timer4"}


class Dac(StandIn):
    """Both channels. Waveform generation and a trigger by EXTI line 9 are reported when asked for."""

    model_name = "Offchip.Stm32F4Dac"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.reset()

    def reset(self) -> None:
        self._cr = self._sr = 0
        self._held, self._output = [0, 0], [0, 0]

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset in HOLDING:
            channels, bits, shift = HOLDING[offset]
            return sum(self._place(channel, bits, shift, at) for at, channel in enumerate(channels))
        found = {CR: self._cr, SWTRIGR: 0, DOR1: self._output[0], DOR2: self._output[1], SR: self._sr}.get(offset)
        return self.unmodelled(offset, 4) if found is None else found

    def _place(self, channel: int, bits: int, shift: int, at: int) -> int:
        if bits == 8:
            return self._held[channel] >> 4 << 8 * at
        return self._held[channel] << shift + 16 * at

    def write_word(self, offset: int, value: int) -> None:
        if offset == CR:
            self._configure(value & 0x3FFF3FFF)
        elif offset == SWTRIGR:
            for channel in CHANNELS:
                if value >> channel & 1:
                    self._trigger(channel, TSEL_SOFTWARE)
        elif offset in HOLDING:
            channels, bits, shift = HOLDING[offset]
            for at, channel in enumerate(channels):
                word = (value >> 8 * at & 0xFF) << 4 if bits == 8 else value >> 16 * at + shift & 0xFFF
                self._held[channel] = word
                if not self._of(channel) & TEN:
                    self._convert(channel)
        elif offset == SR:
            self._sr &= ~value
        else:
            self.unmodelled(offset, 4, value)

    def _of(self, channel: int) -> int:
        return self._cr >> 16 * channel & 0x3FFF

    def _configure(self, value: int) -> None:
        self._cr = value
        for channel in CHANNELS:
            control = self._of(channel)
            if control & EN:
                self.say("digital to analogue converter: its outputs drive no pin")
            if control & EN and (control & WAVE or control & TEN and control & TSEL_SOFTWARE == 0x30):
                self.unmodelled(CR, 4, value)

    def _convert(self, channel: int) -> None:
        if self._of(channel) & EN:
            self._output[channel] = self._held[channel]

    def _trigger(self, channel: int, source: int) -> None:
        control = self._of(channel)
        if control & EN and control & TEN and control & TSEL_SOFTWARE == source:
            self._convert(channel)
            if control & DMAEN:
                self.machine.dma.pulse((self.name, str(channel + 1)))

    def triggered(self, timer: str) -> None:
        """TRGO of a timer."""
        for channel in CHANNELS:
            number = self._of(channel) >> 3 & 7
            if TRIGGERS.get(number) == timer:
                self._trigger(channel, number << 3)
