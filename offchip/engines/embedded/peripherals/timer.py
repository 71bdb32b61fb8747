# SPDX-License-Identifier: Apache-2.0
"""Timers TIM1..TIM14 as time bases with compare flags (RM0090 17.3, 18.3, 19.3, 20.3).

The counter is not stepped: its value follows from virtual time when somebody looks. An event exists only for an enabled
interrupt.
"""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Line, Machine, checked_frequency, model
from offchip.engines.embedded.peripherals.registers import WordRegisters
from offchip.engines.embedded.peripherals.timer_inputs import Slave, TimerInputs, is_modelled

CR1, CR2, SMCR, DIER, SR, EGR, CCMR1, CCMR2, CCER = range(0x00, 0x24, 4)
CNT, PSC, ARR, RCR, CCR1, CCR2, CCR3, CCR4, BDTR = range(0x24, 0x48, 4)
OR = 0x50

CR1_CEN, CR1_UDIS, CR1_URS, CR1_OPM, CR1_DIR, CR1_CMS, CR1_ARPE = 0x01, 0x02, 0x04, 0x08, 0x10, 0x60, 0x80
DIER_UIE, DIER_CCIE, DIER_TIE, DIER_BIE, DIER_UDE, DIER_CC1DE = 0x01, 0x1E, 0x40, 0x80, 0x100, 0x200
DIER_TRIGGER_DMA = 0x6000  # COMDE, TDE
SR_UIF, SR_CCIF, SR_TIF, SR_BIF = 0x01, 0x1E, 0x40, 0x80
SR_FLAGS = 0x1EFF
EGR_UG, EGR_CCG, EGR_TG, EGR_BG = 0x01, 0x1E, 0x40, 0x80
CCMR_OCPE = 0x8
CR2_MMS, MMS_UPDATE = 0x70, 0x20
CHANNELS = range(4)

#: registers that only store: offset -> writable bits
STORAGE = {CR1: 0x3FF, CR2: 0x7FFF, SMCR: 0xFFFF, DIER: 0x7FFF, CCMR1: 0xFFFF, CCMR2: 0xFFFF, CCER: 0xFFFF,
           RCR: 0xFF, BDTR: 0xFFFF, OR: 0xCC0}


@model("Timers.STM32_Timer")
class Timer(WordRegisters):
    """One timer.

    Args:
        frequency: clock of the counter before the prescaler (CK_INT), Hz.
        initial_limit: ARR after reset: 0xFFFF for a 16-bit timer, 0xFFFFFFFF for TIM2 and TIM5.

    Not modelled, and reported when asked for: centre-aligned counting, triggers by other timers and ETR, requests by
    trigger and burst DMA, break. Input filters let everything pass; outputs drive no pin.
    """

    def __init__(self, machine: Machine, frequency: int, initial_limit: int) -> None:
        super().__init__(machine)
        if initial_limit not in (0xFFFF, 0xFFFFFFFF):
            raise ValueError(f"initialLimit is 0xFFFF or 0xFFFFFFFF on this family, not 0x{initial_limit:X}")
        self.frequency = checked_frequency(frequency)
        self.initial_limit = initial_limit
        self.update_interrupt = Line()
        self.capture_compare_interrupt = Line()
        self.break_interrupt = Line()
        self.trigger_interrupt = Line()
        self.commutation_interrupt = Line()
        #: told the name of this timer at each update while MMS makes it the trigger output (TRGO)
        self.on_trigger: list[Callable[[str], None]] = []
        self._event: Event | None = None
        self._inputs = TimerInputs()
        self.reset()

    def reset(self) -> None:
        self._stored = dict.fromkeys(STORAGE, 0)
        self._stopped = False
        self._inputs.forget()
        self._compare = [0] * len(CHANNELS)  # in force
        self._compare_preload = [0] * len(CHANNELS)
        self._sr = 0
        self._count = 0
        self._prescaler = self._prescaler_preload = 0
        self._limit = self._limit_preload = self.initial_limit
        self._repeat = 0  # overflows left before one becomes an update event
        self._origin = 0  # when the counter took the value _count, in units of 1 / (CPU clock * frequency)
        self._tune()
        self._settle()

    def set_frequency(self, hertz: int) -> None:
        """CK_INT changed: the counter goes on from where it stands."""
        self._follow()
        self.frequency = hertz
        self._origin = self._now
        self._settle()

    def stop_clock(self) -> None:
        self._follow()
        self._stopped = True
        self._tune()
        self._settle()

    def start_clock(self) -> None:
        self._stopped = False
        self._origin = self._now
        self._tune()
        self._settle()

    # time ------------------------------------------------------------------------------------------------------
    @property
    def _now(self) -> int:
        return self.machine.clock.cycles * self.frequency

    def _tune(self) -> None:
        """What follows from CR1, ARR and PSC in force."""
        self._tick = (self._prescaler + 1) * self.machine.clock.frequency
        self._counting = bool(self._stored[CR1] & CR1_CEN) and self._limit != 0 and not self._stopped
        # ARR = 0 blocks the counter (18.4.12)
        if self._stored[SMCR]:
            self._counting = self._counting and self._inputs.gate(self._stored[SMCR], self._stored[CCER])

    @property
    def _down(self) -> bool:
        return bool(self._stored[CR1] & CR1_DIR)

    def _ticks_to_wrap(self) -> int:
        if self._down:
            return self._count + 1
        top = self._limit if self._count <= self._limit else self.initial_limit
        return top - self._count + 1

    def _ticks_to_match(self, channel: int) -> int | None:
        """Ticks until CNT equals CCRx in this pass, None when it does not any more, or the channel is an input."""
        if self._selection(channel):
            return None
        distance = self._compare[channel] - self._count
        if self._down:
            distance = -distance
        return distance if 0 < distance < self._ticks_to_wrap() else None

    def _follow(self) -> None:
        """Bring counter and flags to the present."""
        while self._counting:
            ticks = (self.machine.clock.cycles * self.frequency - self._origin) // self._tick
            if not ticks:  # what a program that polls CNT meets most of the time
                return
            wrap = self._ticks_to_wrap()
            if ticks < wrap:
                self._pass(ticks)
                return
            period = self._limit + 1
            settled = self._limit == self._limit_preload and self._prescaler == self._prescaler_preload
            if settled and ticks >= wrap + 2 * period and not self._stored[CR1] & CR1_OPM:
                self._skip((ticks - wrap) // period - 1)
            self._pass(wrap - 1)
            self._origin += self._tick
            self._wrap()

    def _skip(self, periods: int) -> None:
        """Leap over whole periods that all look alike; at least one more is walked through and raises the flags."""
        self._origin += periods * (self._limit + 1) * self._tick
        cycle = self._stored[RCR] + 1
        if periods > self._repeat:
            self._sr |= 0 if self._stored[CR1] & CR1_UDIS else SR_UIF
        self._repeat = (self._repeat - periods) % cycle

    def _pass(self, ticks: int) -> None:
        for channel in CHANNELS:
            match = self._ticks_to_match(channel)
            if match is not None and match <= ticks:
                self._match(channel)
        self._count += -ticks if self._down else ticks
        self._origin += ticks * self._tick

    def _wrap(self) -> None:
        genuine = self._down or self._count == self._limit  # not a counter that was set beyond ARR
        self._count = self._limit if self._down else 0
        if genuine:
            if self._repeat:
                self._repeat -= 1
            else:
                self._update()
                if self._stored[CR1] & CR1_OPM:
                    self._stored[CR1] &= ~CR1_CEN
                    self._tune()
        for channel in CHANNELS:
            if self._compare[channel] == self._count and not self._selection(channel):
                self._match(channel)

    def _selection(self, channel: int) -> int:
        """CCxS: 0 = output compare, 1 = input on its own pin, 2 = on the pin of its neighbour."""
        return self._stored[CCMR1 if channel < 2 else CCMR2] >> 8 * (channel & 1) & 3

    def _preloaded(self, channel: int) -> bool:
        """OCxPE of an output: CCRx waits for the next update event (18.3.9)."""
        return not self._selection(channel) and bool(
            self._stored[CCMR1 if channel < 2 else CCMR2] >> 8 * (channel & 1) & CCMR_OCPE)

    def edge(self, pin: int, level: bool) -> None:
        """The wire of channel ``pin`` (0 to 3) changed (18.3.5, 18.3.12, 18.3.14)."""
        self._follow()
        self._inputs.levels[pin] = level
        for channel in (pin, pin ^ 1):
            mode = self._stored[CCMR1 if channel < 2 else CCMR2] >> 8 * (channel & 1)
            if self._inputs.captures(channel, pin, level, mode & 3, self._stored[CCER] >> 4 * channel & 0xF,
                                     mode >> 2 & 3):
                self._capture(channel)
        if self._stored[SMCR]:
            self._step_or_trigger(pin)
        self._settle()

    def _capture(self, channel: int) -> None:
        self._sr |= 0x200 << channel if self._sr >> 1 + channel & 1 else 0  # CCxOF
        self._compare[channel] = self._count
        self._match(channel)

    def _step_or_trigger(self, pin: int) -> None:
        smcr, ccer = self._stored[SMCR], self._stored[CCER]
        step = self._inputs.counts(smcr, pin, ccer)
        if step:
            self._stored[CR1] = self._stored[CR1] & ~CR1_DIR | (CR1_DIR if step < 0 else 0)
            self._clock_once()
        elif self._inputs.triggers(smcr, pin, ccer):
            self._sr |= SR_TIF
            self._triggered(Slave(smcr & 7))

    def _triggered(self, mode: Slave) -> None:
        if mode is Slave.RESET:
            self._generate(EGR_UG)
        elif mode is Slave.CLOCK:
            self._clock_once()
        elif mode is Slave.TRIGGER:
            self._start_counting_if(not self._stored[CR1] & CR1_CEN)
            self._stored[CR1] |= CR1_CEN
        else:  # gated
            self._origin = self._now
        self._tune()

    def _clock_once(self) -> None:
        """A clock of the counter that an edge gives."""
        running = self._stored[CR1] & CR1_CEN and self._limit and not self._stopped
        if running and self._inputs.divided(self._prescaler):
            if self._ticks_to_wrap() == 1:
                self._wrap()
            else:
                self._pass(1)

    def _match(self, channel: int) -> None:
        self._sr |= 2 << channel
        if self._stored[DIER] & DIER_CC1DE << channel:
            self.machine.dma.pulse((self.name, f"ch{channel + 1}"))

    def _update(self) -> None:
        """An update event: preload registers take effect (18.3.2)."""
        if self._stored[CR1] & CR1_UDIS:
            return
        self._sr |= SR_UIF
        if self._stored[DIER] & DIER_UDE:
            self.machine.dma.pulse((self.name, "up"))
        self._trigger_out()
        self._load()

    @property
    def _triggers(self) -> bool:
        return bool(self.on_trigger) and self._stored[CR2] & CR2_MMS == MMS_UPDATE

    def _trigger_out(self) -> None:
        if self._triggers:
            for sink in self.on_trigger:
                sink(self.name)

    def _load(self) -> None:
        self._prescaler = self._prescaler_preload
        self._limit = self._limit_preload
        self._repeat = self._stored[RCR]
        for channel in CHANNELS:
            if not self._selection(channel):
                self._compare[channel] = self._compare_preload[channel]
        if self._down:
            self._count = self._limit
        self._tune()

    def _settle(self) -> None:
        """Interrupt lines, and an event for the next flag that would raise one."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        enabled = self._stored[DIER]
        update, compare = bool(self._sr & enabled & SR_UIF), bool(self._sr & enabled & SR_CCIF)
        self.update_interrupt.set(update)
        self.capture_compare_interrupt.set(compare)
        trigger = bool(self._sr & enabled & SR_TIF)
        self.trigger_interrupt.set(trigger)
        self.irq.set(update or compare or trigger)
        # a flag that stands raises no second interrupt, but each event is a DMA request
        wanted = enabled & ~self._sr & (DIER_UIE | DIER_CCIE) | enabled >> 8 & (DIER_UIE | DIER_CCIE) | self._triggers
        if not wanted or not self._counting:
            return
        ticks = self._ticks_to_wrap()
        for channel in CHANNELS:
            if wanted >> 1 + channel & 1:
                match = self._ticks_to_match(channel)
                ticks = ticks if match is None else min(ticks, match)
        due = self._origin + ticks * self._tick - self._now
        self._event = self.machine.clock.after_cycles(max(1, -(-due // self.frequency)), self._due)

    def _due(self) -> None:
        self._event = None
        self._follow()
        self._settle()

    # registers -------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        if offset == CNT or offset == CR1 and self._stored[CR1] & CR1_OPM:
            return None
        if offset != SR or not self._counting:
            return FOREVER
        self._follow()
        matches = (self._ticks_to_match(channel) for channel in CHANNELS)
        ticks = min((each for each in matches if each is not None), default=self._ticks_to_wrap())
        return -(-(self._origin + ticks * self._tick) // self.frequency)

    def read_word(self, offset: int) -> int:
        if offset in (CNT, SR, CR1):
            self._follow()
        if offset == CNT:
            return self._count
        if offset == SR:
            return self._sr
        if offset in self._stored:
            return self._stored[offset]
        if offset == PSC:
            return self._prescaler_preload
        if offset == ARR:
            return self._limit_preload
        if CCR1 <= offset <= CCR4:
            return self._read_compare((offset - CCR1) // 4)
        return 0 if offset == EGR else self.unmodelled(offset, 4)

    def _read_compare(self, channel: int) -> int:
        if not self._selection(channel):
            return self._compare_preload[channel]
        if self._sr >> 1 + channel & 1:  # of an input, reading clears the flag (18.4.5)
            self._sr &= ~(2 << channel)
            self._settle()
        return self._compare[channel]

    def peek_word(self, offset: int) -> int:
        return SR_FLAGS if offset == SR else self.read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        self._follow()
        if offset == SR:
            self._sr &= value
        elif offset == EGR:
            self._generate(value)
        elif offset == CNT:
            self._count = value & self.initial_limit
            self._origin = self._now
        elif offset == PSC:
            self._prescaler_preload = value & 0xFFFF
        elif offset == ARR:
            self._limit_preload = value & self.initial_limit
            if not self._stored[CR1] & CR1_ARPE:
                self._start_counting_if(self._limit == 0)
                self._limit = self._limit_preload
                self._tune()
        elif CCR1 <= offset <= CCR4:
            channel = (offset - CCR1) // 4
            self._compare_preload[channel] = value & self.initial_limit
            if not self._preloaded(channel) and not self._selection(channel):
                self._compare[channel] = self._compare_preload[channel]
        elif offset in STORAGE:
            self._configure(offset, value & STORAGE[offset])
        else:
            self.unmodelled(offset, 4, value)
        self._settle()

    def _configure(self, offset: int, value: int) -> None:
        beyond = {CR1: CR1_CMS, DIER: DIER_TRIGGER_DMA | DIER_BIE}
        if value & beyond.get(offset, 0) or offset == SMCR and not is_modelled(value):
            self.unmodelled(offset, 4, value)
        if offset == CR1:
            self._start_counting_if(not self._stored[CR1] & CR1_CEN)
        was = self._counting
        self._stored[offset] = value
        self._tune()
        if offset in (CCMR1, CCMR2):
            self._pass_preloads_on()
        elif offset in (SMCR, CCER):
            self._start_counting_if(not was)

    def _pass_preloads_on(self) -> None:
        """A compare register without its preload, or no longer with it, is in force at once."""
        for channel in CHANNELS:
            if not self._selection(channel) and not self._preloaded(channel):
                self._compare[channel] = self._compare_preload[channel]

    def _start_counting_if(self, stopped: bool) -> None:
        if stopped:
            self._origin = self._now

    def _generate(self, value: int) -> None:
        if value & EGR_UG and not self._stored[CR1] & CR1_UDIS:
            self._count = 0
            self._origin = self._now
            self._load()
            self._trigger_out()
            if not self._stored[CR1] & CR1_URS:
                self._sr |= SR_UIF
        for channel in CHANNELS:
            if value & 2 << channel:
                self._generate_on(channel)
        self._sr |= value & EGR_TG
        if value & EGR_BG:
            self.unmodelled(EGR, 4, value)

    def _generate_on(self, channel: int) -> None:
        """CCxG: an input captures, an output says that it matched (18.4.6)."""
        if self._selection(channel):
            self._capture(channel)
        else:
            self._sr |= 2 << channel
