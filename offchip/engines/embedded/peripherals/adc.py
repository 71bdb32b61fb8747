# SPDX-License-Identifier: Apache-2.0
"""Analogue to digital converters ADC1..ADC3 (RM0090 13.3 - 13.13) in front of levels that somebody sets.

A conversion takes its sampling and conversion cycles of ADCCLK. Of a sequence that nobody listens to (no DMA, no
interrupt, no overrun detection) only what can be seen is played through.
"""

from __future__ import annotations

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Machine
from offchip.engines.embedded.peripherals.stand_in import StandIn

SR, CR1, CR2, SMPR1, SMPR2, JOFR1, HTR, LTR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x24, 0x28
SQR1, SQR2, SQR3, JSQR, JDR1, DR = 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x4C
CSR, CCR, CDR = 0x300, 0x304, 0x308
UNIT_SIZE = 0x100
SR_AWD, SR_EOC, SR_JEOC, SR_JSTRT, SR_STRT, SR_OVR = (1 << n for n in range(6))
CR1_EOCIE, CR1_AWDIE, CR1_JEOCIE, CR1_SCAN, CR1_AWDSGL, CR1_JAUTO = 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10
CR1_DISCEN, CR1_JDISCEN, CR1_JAWDEN, CR1_AWDEN, CR1_OVRIE = 1 << 11, 1 << 12, 1 << 22, 1 << 23, 1 << 26
CR2_ADON, CR2_CONT, CR2_DMA, CR2_DDS, CR2_EOCS, CR2_ALIGN = 1, 1 << 1, 1 << 8, 1 << 9, 1 << 10, 1 << 11
CR2_JEXTEN, CR2_JSWSTART, CR2_EXTEN, CR2_SWSTART = 3 << 20, 1 << 22, 3 << 28, 1 << 30
CCR_VBATE, CCR_TSVREFE = 1 << 22, 1 << 23
#: writable bits of registers that only store
STORED = {CR1: 0x07C0FFFF, SMPR1: 0x07FFFFFF, SMPR2: 0x3FFFFFFF, **{JOFR1 + 4 * n: 0xFFF for n in range(4)},
          HTR: 0xFFF, LTR: 0xFFF, SQR1: 0x00FFFFFF, SQR2: 0x3FFFFFFF, SQR3: 0x3FFFFFFF, JSQR: 0x003FFFFF}
SAMPLING = (3, 15, 28, 56, 84, 112, 144, 480)  # cycles of ADCCLK by SMPx
#: TRGO of these timers by EXTSEL (table 69)
TRIGGERS = {6: "timer2", 8: "timer3", 14: "timer8"}
TEMPERATURE, REFERENCE, BATTERY = 16, 17, 18
#: what these channels of ADC1 carry: 25 degrees, VREFINT, half of 3 V (data sheet 5.3.21 to 5.3.23)
INTERNAL_MV = {TEMPERATURE: 760, REFERENCE: 1210, BATTERY: 1500}
SUPPLY_MV = 3300


class Adc(StandIn):
    """The block of three converters.

    ``set_channel(channel, millivolts)`` sets the level of a pin (ADC123_IN0 .. IN15); none is 0 V. Temperature, VREFINT
    and VBAT have typical values. Not modelled, and reported when asked for: discontinuous mode, double and triple
    mode, triggers by capture and compare and by EXTI, injected triggers.
    """

    model_name = "Offchip.Stm32F4Adc"

    def __init__(self, machine: Machine, frequency: int = 84_000_000) -> None:
        super().__init__(machine)
        self.frequency = frequency  # PCLK2
        self.levels: dict[int, int] = {}
        self.units = [_Unit(self, number) for number in range(3)]
        self.common = 0

    def set_channel(self, channel: int, millivolts: int) -> None:
        """Raises ValueError: there is no such pin, or the level is not 0 to 3300 mV."""
        if not 0 <= channel < TEMPERATURE or not 0 <= millivolts <= SUPPLY_MV:
            raise ValueError(f"channels are 0 to 15 and carry 0 to {SUPPLY_MV} mV, not {channel} and {millivolts}")
        self.levels[channel] = millivolts

    def millivolts(self, channel: int, unit: int) -> int:
        if channel < TEMPERATURE:
            self.say("analogue inputs carry 0 V unless a level was set (SetChannel)")
            return self.levels.get(channel, 0)
        on = CCR_VBATE if channel == BATTERY else CCR_TSVREFE
        return INTERNAL_MV.get(channel, 0) if unit == 0 and self.common & on else 0

    def set_frequency(self, hertz: int) -> None:
        """PCLK2 changed; a conversion in progress ends as it began."""
        self.frequency = hertz

    def cycles(self, adc_clocks: int) -> int:
        """Core cycles of so many periods of ADCCLK."""
        divider = 2 * ((self.common >> 16 & 3) + 1)
        return max(1, adc_clocks * divider * self.machine.clock.frequency // self.frequency)

    def reset(self) -> None:
        self.common = 0
        for unit in self.units:
            unit.reset()
        self.update()

    def update(self) -> None:
        self.irq.set(any(unit.asks for unit in self.units))

    def triggered(self, timer: str) -> None:
        """TRGO of a timer."""
        for unit in self.units:
            if unit.trigger == timer:
                unit.start()
        self.update()

    def steady(self, offset: int) -> int | None:
        return None if offset < 3 * UNIT_SIZE and offset % UNIT_SIZE == DR or offset == CDR else FOREVER

    def read_word(self, offset: int) -> int:
        if offset < 3 * UNIT_SIZE:
            return self.units[offset // UNIT_SIZE].read(offset % UNIT_SIZE)
        if offset == CSR:
            return sum(unit.status << 8 * n for n, unit in enumerate(self.units))
        return self.common if offset == CCR else 0 if offset == CDR else self.unmodelled(offset, 4)

    def peek_word(self, offset: int) -> int:
        return 0x3F if offset < 3 * UNIT_SIZE and offset % UNIT_SIZE == SR else (
            0 if offset % UNIT_SIZE == DR else self.read_word(offset))

    def write_word(self, offset: int, value: int) -> None:
        if offset < 3 * UNIT_SIZE:
            self.units[offset // UNIT_SIZE].write(offset % UNIT_SIZE, value)
        elif offset == CCR:
            if value & 0x1F:
                self.unmodelled(offset, 4, value)
            self.common = value & 0x00C3EF1F
        elif offset not in (CSR, CDR):
            self.unmodelled(offset, 4, value)
        self.update()


class _Unit:
    """One converter: its registers and the sequence it is in."""

    def __init__(self, block: Adc, number: int) -> None:
        self._block = block
        self._clock = block.machine.clock
        self._number = number
        self._request = (f"adc{number + 1}", "dr")
        block.machine.dma.on_last(self._request, self._last_item, 0)
        self._event: Event | None = None
        self._injected: Event | None = None
        self._quiet = False  # a sequence goes on that nobody would notice
        self.reset()

    def reset(self) -> None:
        self._stop()
        self._stored = dict.fromkeys(STORED, 0)
        self._stored[HTR] = 0xFFF
        self.status = self._cr2 = self._data = 0
        self._results = [0, 0, 0, 0]
        self._rank = 0
        self._items_done = False  # the DMA transfer was the last (DDS = 0)
        self._block.machine.dma.set(self._request, False)

    def _stop(self) -> None:
        for event in (self._event, self._injected):
            if event is not None:
                event.cancel()
        self._event = self._injected = None
        self._quiet = False

    def _unmodelled(self, offset: int, value: int | None = None) -> int:
        return self._block.unmodelled(self._number * UNIT_SIZE + offset, 4, value)

    @property
    def asks(self) -> bool:
        cr1 = self._stored[CR1]
        return bool(self.status & SR_EOC and cr1 & CR1_EOCIE or self.status & SR_AWD and cr1 & CR1_AWDIE
                    or self.status & SR_JEOC and cr1 & CR1_JEOCIE or self.status & SR_OVR and cr1 & CR1_OVRIE)

    @property
    def trigger(self) -> str | None:
        if not self._cr2 & CR2_EXTEN or not self._cr2 & CR2_ADON:
            return None
        return TRIGGERS.get(self._cr2 >> 24 & 0xF)

    # registers -------------------------------------------------------------------------------------------------
    def read(self, offset: int) -> int:
        if offset == SR:
            return self.status
        if offset == CR2:
            return self._cr2
        if offset == DR:
            return self._read_data()
        if JDR1 <= offset < DR:
            return self._results[(offset - JDR1) // 4]
        if offset in self._stored:
            return self._stored[offset]
        return self._unmodelled(offset)

    def _read_data(self) -> int:
        self.status &= ~SR_EOC
        self._block.machine.dma.set(self._request, False)
        self._wake()
        self._block.update()
        return self._data

    def _wake(self) -> None:
        """Somebody has looked: the next conversion can be noticed."""
        if self._quiet:
            self._quiet = False
            self._schedule()

    def write(self, offset: int, value: int) -> None:
        if offset == SR:
            self.status &= value | ~0x3F
            if not self.status & SR_EOC:
                self._wake()
        elif offset == CR2:
            self._control(value)
        elif offset in STORED:
            self._stored[offset] = value & STORED[offset]
            if offset == CR1 and value & (CR1_DISCEN | CR1_JDISCEN):
                self._unmodelled(offset, value)
        elif offset != DR:
            self._unmodelled(offset, value)

    def _control(self, value: int) -> None:
        self._cr2 = value & 0x3F7F0F03 & ~(CR2_SWSTART | CR2_JSWSTART)
        if value & CR2_DMA == 0:
            self._items_done = False
        if not value & CR2_ADON:  # conversions stop (13.3.1)
            self._stop()
            return
        if value & CR2_EXTEN and value >> 24 & 0xF not in TRIGGERS or value & CR2_JEXTEN:
            self._unmodelled(CR2, value)
        if value & CR2_SWSTART:
            self.start()
        if value & CR2_JSWSTART and self._injected is None:
            self._inject()

    def _last_item(self) -> None:
        """The transfer is complete: without DDS no further request is issued, and no overrun either (13.8.1)."""
        if not self._cr2 & CR2_DDS:
            self._items_done = True

    # conversions -----------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin the regular sequence; one that is running goes on."""
        if self._event is not None or self._quiet or self.status & SR_OVR:
            return
        self.status |= SR_STRT
        self._rank = 0
        self._schedule()

    @property
    def _length(self) -> int:
        return (self._stored[SQR1] >> 20 & 0xF) + 1 if self._stored[CR1] & CR1_SCAN else 1

    def _channel(self, rank: int) -> int:
        register = (SQR3, SQR2, SQR1)[rank // 6]
        return self._stored[register] >> 5 * (rank % 6) & 0x1F

    def _duration(self, channel: int) -> int:
        word = self._stored[SMPR2] >> 3 * channel if channel < 10 else self._stored[SMPR1] >> 3 * (channel - 10)
        return SAMPLING[word & 7] + self._bits

    @property
    def _bits(self) -> int:
        return 12 - 2 * (self._stored[CR1] >> 24 & 3)

    def _convert(self, channel: int) -> int:
        level = self._block.millivolts(channel, self._number)
        return min((1 << self._bits) - 1, level * (1 << self._bits) // SUPPLY_MV)

    def _aligned(self, value: int) -> int:
        left = 2 if self._bits == 6 else 16 - self._bits  # 13.4
        return (value << left if self._cr2 & CR2_ALIGN else value) & 0xFFFF

    def _schedule(self) -> None:
        cycles = self._block.cycles(self._duration(self._channel(self._rank)))
        self._event = self._clock.after_cycles(cycles, self._converted)

    def _converted(self) -> None:
        self._event = None
        channel, last = self._channel(self._rank), self._rank + 1 == self._length
        value = self._convert(channel)
        each = bool(self._cr2 & CR2_EOCS)
        if (each or self._cr2 & CR2_DMA) and self.status & SR_EOC and not self._items_done:
            self.status |= SR_OVR  # nobody fetched the one before: the sequence ends (13.8.1)
            self._block.machine.dma.set(self._request, False)
            self._block.update()
            return
        self._data = self._aligned(value)
        self._watch(channel, value, CR1_AWDEN)
        if each or last or self._cr2 & CR2_DMA:
            self.status |= SR_EOC
        if self._cr2 & CR2_DMA and not self._items_done:
            self._block.machine.dma.set(self._request, True)
        self._rank = 0 if last else self._rank + 1
        if last and self._stored[CR1] & CR1_JAUTO and self._injected is None:
            self._inject()
        if not last or self._cr2 & CR2_CONT:
            self._go_on(each)
        self._block.update()

    def _go_on(self, each: bool) -> None:
        """The next conversion; none is played while nothing but DR could change by it."""
        if self.status & SR_EOC and not each and not self._cr2 & CR2_DMA and self._length == 1:
            self._quiet = True
        else:
            self._schedule()

    def _watch(self, channel: int, value: int, enable: int) -> None:
        cr1 = self._stored[CR1]
        if cr1 & enable and (not cr1 & CR1_AWDSGL or cr1 & 0x1F == channel):
            full = value << 12 - self._bits
            if not self._stored[LTR] <= full <= self._stored[HTR]:
                self.status |= SR_AWD

    def _inject(self) -> None:
        self.status |= SR_JSTRT
        count = self._stored[JSQR] >> 20 & 3 if self._stored[CR1] & CR1_SCAN else 0
        channels = [self._stored[JSQR] >> 5 * (3 - count + n) & 0x1F for n in range(count + 1)]
        cycles = self._block.cycles(sum(map(self._duration, channels)))
        self._injected = self._clock.after_cycles(cycles, lambda: self._injection_done(channels))

    def _injection_done(self, channels: list[int]) -> None:
        self._injected = None
        for n, channel in enumerate(channels):
            value = self._convert(channel)
            self._watch(channel, value, CR1_JAWDEN)
            self._results[n] = self._aligned(value - self._stored[JOFR1 + 4 * n])
        self.status |= SR_JEOC
        self._block.update()
