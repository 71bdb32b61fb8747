# SPDX-License-Identifier: Apache-2.0
"""Real-time clock and backup registers (RM0090 26.3, 26.6).

Everything here lives in the backup domain: resets and loss of the main supply do not reach it, only BDRST does. The
calendar is not ticked; it is computed from the virtual time that passed since it was last set.
"""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Line, Machine, model
from offchip.engines.embedded.peripherals.pwr import backup_writable
from offchip.engines.embedded.peripherals.registers import WordRegisters

TR, DR, CR, ISR, PRER, WUTR, CALIBR, ALRMAR, ALRMBR, WPR, SSR, SHIFTR = range(0x00, 0x30, 4)
TSTR, TSDR, TSSSR, CALR, TAFCR, ALRMASSR, ALRMBSSR = range(0x30, 0x4C, 4)
BKP0R, BKP19R = 0x50, 0x9C

CR_BYPSHAD, CR_FMT = 1 << 5, 1 << 6
CR_ALRAE, CR_ALRBE, CR_WUTE = 1 << 8, 1 << 9, 1 << 10
CR_ALRAIE, CR_ALRBIE, CR_WUTIE = 1 << 12, 1 << 13, 1 << 14
CR_ADD1H, CR_SUB1H, CR_WUCKSEL = 1 << 16, 1 << 17, 0x7
CR_WRITABLE = 0x00FCFFFF

ISR_ALRAWF, ISR_ALRBWF, ISR_WUTWF, ISR_SHPF, ISR_INITS, ISR_RSF, ISR_INITF, ISR_INIT = (1 << n for n in range(8))
ISR_ALRAF, ISR_ALRBF, ISR_WUTF = 1 << 8, 1 << 9, 1 << 10
ISR_EVENTS = ISR_ALRAF | ISR_ALRBF | ISR_WUTF

ALRM_MSK1, ALRM_MSK2, ALRM_MSK3, ALRM_WDSEL, ALRM_MSK4 = 1 << 7, 1 << 15, 1 << 23, 1 << 30, 1 << 31
SHIFTR_ADD1S, SHIFTR_SUBFS = 1 << 31, 0x7FFF
CALR_CALP, CALR_CALM = 1 << 15, 0x1FF
TR_PM = 1 << 22
TR_WRITABLE, DR_WRITABLE, PRER_WRITABLE = 0x007F7F7F, 0x00FFFF3F, 0x007F7FFF

#: registers that only store: offset -> (writable bits, value after reset of the backup domain)
STORAGE = {
    WUTR: (0xFFFF, 0xFFFF),
    CALIBR: (0x009F, 0),
    ALRMAR: (0xFFFFFFFF, 0),
    ALRMBR: (0xFFFFFFFF, 0),
    CALR: (0xE1FF, 0),
    TAFCR: (0x0007FFFF, 0),
    ALRMASSR: (0x0F007FFF, 0),
    ALRMBSSR: (0x0F007FFF, 0),
    **{offset: (0xFFFFFFFF, 0) for offset in range(BKP0R, BKP19R + 4, 4)},
}
#: not guarded by WPR (26.3.5)
UNGUARDED = {TAFCR, *range(BKP0R, BKP19R + 4, 4)}
#: alarm: (register, subsecond register, enable, flag)
ALARMS = ((ALRMAR, ALRMASSR, CR_ALRAE, ISR_ALRAF), (ALRMBR, ALRMBSSR, CR_ALRBE, ISR_ALRBF))

DAY = 86_400
DAYS_IN_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
SYNC_RTCCLK, INIT_RTCCLK = 2, 2  # RTCCLK cycles until RSF and INITF (26.3.5, 26.3.6)


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _binary(bcd: int) -> int:
    return (bcd >> 4) * 10 + (bcd & 0xF)


class Date:
    """Year 0..99, month, day and a day of week that runs independently; every fourth year is a leap year."""

    __slots__ = ("day", "month", "weekday", "year")

    def __init__(self, register: int) -> None:
        self.year = _binary(register >> 16 & 0xFF)
        self.weekday = register >> 13 & 7
        self.month = _binary(register >> 8 & 0x1F)
        self.day = _binary(register & 0x3F)

    def advance(self, days: int) -> None:
        if self.weekday:
            self.weekday = (self.weekday - 1 + days) % 7 + 1
        while days:
            step = min(days, max(1, self._month_length() - self.day + 1))
            self.day += step
            days -= step
            if self.day > self._month_length():
                self.day = 1
                self.month += 1
                if self.month > 12:
                    self.month = 1
                    self.year = (self.year + 1) % 100

    def _month_length(self) -> int:
        if self.month == 2 and self.year % 4 == 0:
            return 29
        return DAYS_IN_MONTH[self.month - 1] if 1 <= self.month <= 12 else 31

    def register(self) -> int:
        return _bcd(self.year) << 16 | self.weekday << 13 | _bcd(self.month) << 8 | _bcd(self.day)


@model("Timers.STM32F4_RTC")
class Rtc(WordRegisters):
    """Calendar, alarms A and B, wake-up timer, backup registers.

    The RCC calls :meth:`set_clock`; without a clock INITF and RSF never come, as on silicon. ``alarm_irq`` and
    ``wakeup_irq`` are levels that follow the flags.

    Not modelled: tamper and timestamp inputs (no pin leads there), outputs, coarse calibration (CALIBR is stored).
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.alarm_irq = Line()
        self.wakeup_irq = Line()
        self._hz = 0
        self._tick: Event | None = None
        self._matches: list[Event] = []
        self._wakeup: Event | None = None
        self._locked: dict[int, int] = {}  # shadow registers that wait for DR to be read
        self.backup_domain_reset()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A system reset leaves initialisation mode and asks for a new synchronisation; nothing else."""
        self._guard_step = 0
        self._locked.clear()
        if self._init_at is not None:
            self._leave_init()
        self._restart_sync()

    def backup_domain_reset(self) -> None:
        """BDRST in RCC_BDCR: the only thing that clears calendar and backup registers."""
        self._stored = {offset: value for offset, (_, value) in STORAGE.items()}
        self._cr = 0
        self._flags = 0
        self._prer = 0x007F00FF
        self._seconds = 0  # of the day, when the count began
        self._date = 0x2101
        self._ticks = 0  # of ck_apre within the second, when the count began
        self._since = self.machine.clock.cycles
        self._remainder = 0  # of a tick, in cycles * hz * calibration, when the count began
        self._init_at: int | None = None  # cycle at which INITF came or will come
        self._guard_step = 0
        self._locked.clear()
        self._restart_sync()
        self._arm_alarms()
        self._arm_wakeup()
        self._update_irq()

    def set_clock(self, hz: int) -> None:
        """RTCCLK in Hz; 0 stops the calendar where it is."""
        if hz == self._hz:
            return
        self._anchor()
        self._hz = hz
        self._remainder = 0
        self._restart_sync()
        self._arm_alarms()
        self._arm_wakeup()

    # time ------------------------------------------------------------------------------------------------------
    @property
    def _second_ticks(self) -> int:
        return (self._prer & 0x7FFF) + 1

    @property
    def _units_per_cycle(self) -> int:
        return self._hz << 20

    @property
    def _units_per_tick(self) -> int:
        """One period of ck_apre, in units that make smooth calibration (26.3.11) and any CPU clock exact."""
        calr = self._stored[CALR]
        masked = (calr & CALR_CALM) - (512 if calr & CALR_CALP else 0)
        return ((self._prer >> 16) + 1) * self.machine.clock.frequency * ((1 << 20) + masked)

    @property
    def _counting(self) -> bool:
        return self._hz > 0 and self._init_at is None

    def _elapsed(self) -> tuple[int, int]:
        """Ticks of ck_apre since second 0 of the anchor's day, and the remainder in units."""
        ticks = self._seconds * self._second_ticks + self._ticks
        if not self._counting:
            return ticks, self._remainder
        units = (self.machine.clock.cycles - self._since) * self._units_per_cycle + self._remainder
        return ticks + units // self._units_per_tick, units % self._units_per_tick

    def _now(self) -> tuple[Date, int, int]:
        """Date, second of the day, ticks within the second."""
        ticks, _ = self._elapsed()
        seconds, within = divmod(ticks, self._second_ticks)
        days, second = divmod(seconds, DAY)
        date = Date(self._date)
        date.advance(days)
        return date, second, within

    def _anchor(self) -> None:
        """Let the count begin here and now."""
        remainder = self._elapsed()[1]
        date, self._seconds, self._ticks = self._now()
        self._date = date.register()
        self._remainder = remainder
        self._since = self.machine.clock.cycles

    def _shift_seconds(self, ticks: int) -> None:
        """Move the calendar by ``ticks`` of ck_apre, forward or back."""
        self._anchor()
        total = self._seconds * self._second_ticks + self._ticks + ticks
        if total < 0:  # neither SHIFTR nor SUB1H can be trusted across midnight on silicon, either (26.6.3)
            total += DAY * self._second_ticks
        self._seconds, self._ticks = divmod(total, self._second_ticks)
        self._arm_alarms()

    # registers ---------------------------------------------------------------------------------------------------
    def peek_word(self, offset: int) -> int:
        return 0xFFFFFFFF & ~ISR_INIT if offset == ISR else self.read_word(offset)

    def steady(self, offset: int) -> int | None:
        if offset in (TR, SSR, DR):
            return None
        now, times = self.machine.clock.cycles, (self._init_at, self._synchronised_at)
        return min((at for at in times if at is not None and at > now), default=FOREVER)

    def read_word(self, offset: int) -> int:
        if offset in self._stored:
            return self._stored[offset]
        if offset in (TR, SSR, DR):
            return self._read_calendar(offset)
        if offset == ISR:
            return self._read_status()
        if offset == CR:
            return self._cr
        if offset == PRER:
            return self._prer
        if offset in (WPR, SHIFTR, TSTR, TSDR, TSSSR):
            return 0
        return self.unmodelled(offset, 4)

    def _read_calendar(self, offset: int) -> int:
        """Reading SSR locks TR and DR, reading TR locks DR, until DR is read (26.3.6)."""
        date, second, within = self._now()
        now = {SSR: self._second_ticks - 1 - within, TR: self._time_register(second), DR: date.register()}
        value = self._locked.get(offset, now[offset])
        if offset == DR or self._cr & CR_BYPSHAD:
            self._locked.clear()
        else:
            higher = (TR, DR) if offset == SSR else (DR,)
            self._locked = {register: now[register] for register in higher} | self._locked
        return value

    def _time_register(self, second: int) -> int:
        hour, afternoon = second // 3600, 0
        if self._cr & CR_FMT:
            afternoon = TR_PM if hour >= 12 else 0
            hour = hour % 12 or 12
        return afternoon | _bcd(hour) << 16 | _bcd(second // 60 % 60) << 8 | _bcd(second % 60)

    def _read_status(self) -> int:
        now = self.machine.clock.cycles
        value = self._flags
        if not self._cr & CR_ALRAE:
            value |= ISR_ALRAWF
        if not self._cr & CR_ALRBE:
            value |= ISR_ALRBWF
        if not self._cr & CR_WUTE:
            value |= ISR_WUTWF
        if self._date >> 16 & 0xFF:
            value |= ISR_INITS
        if self._init_at is not None:
            value |= ISR_INIT | (ISR_INITF if self._hz and now >= self._init_at else 0)
        elif self._hz and now >= self._synchronised_at:
            value |= ISR_RSF
        return value

    def write_word(self, offset: int, value: int) -> None:
        if not backup_writable(self.machine):
            return
        if offset == WPR:
            key = value & 0xFF
            self._guard_step = 1 if key == 0xCA else 2 if key == 0x53 and self._guard_step == 1 else 0
        elif offset == ISR:
            self._write_status(value)
        elif offset in UNGUARDED:
            self._stored[offset] = value & STORAGE[offset][0]
        elif offset in (SSR, TSTR, TSDR, TSSSR):
            pass  # read-only
        elif offset > ALRMBSSR:
            self.unmodelled(offset, 4, value)
        elif self._guard_step == 2:
            self._write_guarded(offset, value)

    def _write_guarded(self, offset: int, value: int) -> None:
        if offset in (TR, DR, PRER):
            if self._read_status() & ISR_INITF:
                self._write_calendar(offset, value)
        elif offset == CR:
            self._write_control(value)
        elif offset == SHIFTR:
            self._shift_seconds((self._second_ticks if value & SHIFTR_ADD1S else 0) - (value & SHIFTR_SUBFS))
        elif offset == CALR:
            self._anchor()
            self._stored[CALR] = value & STORAGE[CALR][0]
            self._remainder = 0
            self._arm_alarms()
        elif offset in (ALRMAR, ALRMASSR) and self._cr & CR_ALRAE or offset in (ALRMBR, ALRMBSSR) \
                and self._cr & CR_ALRBE or offset == WUTR and self._cr & CR_WUTE:
            pass  # only while the alarm or the timer is off (26.3.4, 26.3.5)
        else:
            self._stored[offset] = value & STORAGE[offset][0]

    def _write_calendar(self, offset: int, value: int) -> None:
        self._ticks = self._remainder = 0
        if offset == PRER:
            self._prer = value & PRER_WRITABLE
        elif offset == DR:
            self._date = value & DR_WRITABLE
        else:
            value &= TR_WRITABLE
            hour = _binary(value >> 16 & 0x3F)
            if self._cr & CR_FMT:
                hour = hour % 12 + (12 if value & TR_PM else 0)
            self._seconds = hour * 3600 + _binary(value >> 8 & 0x7F) * 60 + _binary(value & 0x7F)

    def _write_status(self, value: int) -> None:
        self._flags &= value | ~ISR_EVENTS
        if self._guard_step == 2:
            if value & ISR_INIT and self._init_at is None:
                self._anchor()
                self._init_at = self.machine.clock.cycles + self._rtcclk(INIT_RTCCLK)
                self._arm_alarms()
            elif not value & ISR_INIT and self._init_at is not None:
                self._leave_init()
            if not value & ISR_RSF:
                self._restart_sync()
        self._update_irq()

    def _write_control(self, value: int) -> None:
        if value & CR_ADD1H:
            self._shift_seconds(3600 * self._second_ticks)
        if value & CR_SUB1H:
            self._shift_seconds(-3600 * self._second_ticks)
        value &= CR_WRITABLE
        if self._cr & value & CR_WUTE:
            value = value & ~CR_WUCKSEL | self._cr & CR_WUCKSEL  # only while the timer is off
        changed, self._cr = value ^ self._cr, value
        if changed & (CR_ALRAE | CR_ALRBE):
            self._arm_alarms()
        if changed & CR_WUTE:
            self._arm_wakeup()
        self._update_irq()

    def _leave_init(self) -> None:
        self._init_at = None
        self._since = self.machine.clock.cycles
        self._restart_sync()
        self._arm_alarms()

    def _restart_sync(self) -> None:
        self._synchronised_at = self.machine.clock.cycles + self._rtcclk(SYNC_RTCCLK)

    def _rtcclk(self, periods: int) -> int:
        """CPU cycles of so many periods of RTCCLK."""
        return -(-periods * self.machine.clock.frequency // self._hz) if self._hz else 0

    # alarms ------------------------------------------------------------------------------------------------------
    def _arm_alarms(self) -> None:
        """Look at the alarms once in each second, but only while one is on."""
        for event in (self._tick, *self._matches):
            if event is not None:
                event.cancel()
        self._tick = None
        self._matches = []
        if self._counting and self._cr & (CR_ALRAE | CR_ALRBE):
            within = self._now()[2]
            self._tick = self._after_ticks(self._second_ticks - within, self._second_began)
            self._look_at_alarms(began=False)

    def _after_ticks(self, ticks: int, callback: Callable[[], None]) -> Event:
        """Call back so many edges of ck_apre from now."""
        units = ticks * self._units_per_tick - self._elapsed()[1]
        return self.machine.clock.after_cycles(max(1, -(-units // self._units_per_cycle)), callback)

    def _second_began(self) -> None:
        self._tick = self._after_ticks(self._second_ticks, self._second_began)
        self._matches = []
        self._look_at_alarms(began=True)

    def _look_at_alarms(self, began: bool) -> None:
        """What this second holds; without a look at subseconds an alarm comes when its second begins (26.6.18)."""
        date, second, within = self._now()
        for register, subsecond, enable, flag in ALARMS:
            if not self._cr & enable or not self._matches_alarm(self._stored[register], date, second):
                continue
            if self._stored[subsecond] >> 24 & 0xF:
                self._match_subsecond(self._stored[subsecond], flag, within)
            elif began:
                self._alarm(flag)

    def _matches_alarm(self, alarm: int, date: Date, second: int) -> bool:
        time = self._time_register(second)
        if alarm & ALRM_WDSEL:
            same_day = (alarm >> 24 & 0xF) == date.weekday
        else:
            same_day = (alarm >> 24 & 0x3F) == _bcd(date.day)
        return (bool(alarm & ALRM_MSK1 or alarm & 0x7F == time & 0x7F)
                and bool(alarm & ALRM_MSK2 or alarm >> 8 & 0x7F == time >> 8 & 0x7F)
                and bool(alarm & ALRM_MSK3 or alarm >> 16 & 0x7F == time >> 16 & 0x7F)
                and bool(alarm & ALRM_MSK4 or same_day))

    def _match_subsecond(self, register: int, flag: int, within: int) -> None:
        """SSR counts down; whenever its MASKSS lowest bits equal those of SS the alarm comes (26.6.18)."""
        span = 1 << (register >> 24 & 0xF)
        top = self._second_ticks - 1
        wait = (top - (register & 0x7FFF) - within) % span
        if within + wait <= top:
            self._await_subsecond(flag, wait, span, top - within - wait)

    def _await_subsecond(self, flag: int, wait: int, span: int, left: int) -> None:
        """Alarm in ``wait`` ticks, and each ``span`` from there while the second has ticks ``left``."""
        def matched() -> None:
            self._alarm(flag)
            if left >= span:
                self._await_subsecond(flag, span, span, left - span)

        if wait:
            self._matches.append(self._after_ticks(wait, matched))
        else:
            matched()

    def _alarm(self, flag: int) -> None:
        self._flags |= flag
        self._update_irq()

    # wake-up timer -------------------------------------------------------------------------------------------------
    def _arm_wakeup(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if not self._hz or not self._cr & CR_WUTE:
            return
        count = self._stored[WUTR] + 1
        select = self._cr & CR_WUCKSEL
        if select & 4:
            periods = ((self._prer >> 16) + 1) * self._second_ticks * (count + (0x10000 if select & 2 else 0))
        else:
            periods = (16 >> select) * count
        self._wakeup = self.machine.clock.after_cycles(max(1, self._rtcclk(periods)), self._woke)

    def _woke(self) -> None:
        self._flags |= ISR_WUTF
        self._arm_wakeup()
        self._update_irq()

    def _update_irq(self) -> None:
        flags, cr = self._flags, self._cr
        self.alarm_irq.set(bool(flags & ISR_ALRAF and cr & CR_ALRAIE or flags & ISR_ALRBF and cr & CR_ALRBIE))
        self.wakeup_irq.set(bool(flags & ISR_WUTF and cr & CR_WUTIE))
