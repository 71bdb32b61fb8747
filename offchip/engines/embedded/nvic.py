# SPDX-License-Identifier: Apache-2.0
"""The system control space of a Cortex-M4: NVIC, SCB, SysTick (ARMv7-M ARM B3.2-B3.4, PM0214 4)."""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.fp_context import ASPEN, LSPEN, FpContext
from offchip.engines.embedded.mpu import Mpu
from offchip.engines.embedded.peripheral import FOREVER, Machine, Peripheral, model

RESET, NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 1, 2, 3, 4, 5, 6
SVCALL, DEBUG_MONITOR, PENDSV, SYSTICK = 11, 12, 14, 15
IRQ0 = 16
IRQS = 82  # STM32F405/407, RM0090 table 61

#: priority of thread mode: below every exception
IDLE = 256
_FIXED = {RESET: -3, NMI: -2, HARD_FAULT: -1}

# register offsets from 0xE000E000
ICTR, ACTLR = 0x004, 0x008
SYST_CSR, SYST_RVR, SYST_CVR, SYST_CALIB = 0x010, 0x014, 0x018, 0x01C
CSR_ENABLE, CSR_TICKINT, CSR_CLKSOURCE = 1, 2, 4
CPUID, ICSR, VTOR, AIRCR, SCR, CCR = 0xD00, 0xD04, 0xD08, 0xD0C, 0xD10, 0xD14
SHPR1, SHPR3, SHCSR, CFSR, HFSR, DFSR, MMFAR, BFAR, AFSR = 0xD18, 0xD20, 0xD24, 0xD28, 0xD2C, 0xD30, 0xD34, 0xD38, 0xD3C
CPACR, MPU_TYPE, MPU_END = 0xD88, 0xD90, 0xDB8
DHCSR, DCRSR, DCRDR, DEMCR = 0xDF0, 0xDF4, 0xDF8, 0xDFC
TRCENA = 1 << 24  # of DEMCR
SCR_SEVONPEND = 1 << 4
STIR, FPCCR, FPCAR, FPDSCR = 0xF00, 0xF34, 0xF38, 0xF3C

#: registers that read as an attribute of the NVIC
_PLAIN = {ACTLR: "actlr", VTOR: "vtor", SCR: "scr", CCR: "ccr", CFSR: "cfsr", HFSR: "hfsr", DFSR: "dfsr",
          MMFAR: "mmfar", BFAR: "bfar", CPACR: "cpacr", DEMCR: "demcr", FPDSCR: "fpdscr"}
#: of these, what a write stores: (attribute, writable bits)
_STORED = {VTOR: ("vtor", 0x3FFFFF80), SCR: ("scr", 0x16), MMFAR: ("mmfar", 0xFFFFFFFF), BFAR: ("bfar", 0xFFFFFFFF),
           DEMCR: ("demcr", 0xFFFFFFFF), ACTLR: ("actlr", 0xFFFFFFFF)}
_WRITE_ONE_TO_CLEAR = (CFSR, HFSR, DFSR)
#: implementation defined or the debugger's alone: ignored by silicon, too
_IGNORED = (AFSR, DHCSR, DCRSR, DCRDR)
_CONFIGURABLE_FAULTS = (MEM_MANAGE, BUS_FAULT, USAGE_FAULT)

_IDENTITY = {
    ICTR: 2, CPUID: 0x410FC241, AFSR: 0, **dict.fromkeys(range(0xD74, 0xD80, 4), 0),
    0xD40: 0x00000030, 0xD44: 0x00000200, 0xD48: 0x00100000, 0xD4C: 0, 0xD50: 0x00000030, 0xD54: 0, 0xD58: 0, 0xD5C: 0,
    0xD60: 0x01101110, 0xD64: 0x02111000, 0xD68: 0x21112231, 0xD6C: 0x01111110, 0xD70: 0x01310132,
    0xF40: 0x10110021, 0xF44: 0x11000011, 0xF48: 0,
}

SHCSR_MEMFAULTENA, SHCSR_BUSFAULTENA, SHCSR_USGFAULTENA = 1 << 16, 1 << 17, 1 << 18
_SHCSR_ACTIVE = {0: MEM_MANAGE, 1: BUS_FAULT, 3: USAGE_FAULT, 7: SVCALL, 8: DEBUG_MONITOR, 10: PENDSV, 11: SYSTICK}
_SHCSR_PENDED = {12: USAGE_FAULT, 13: MEM_MANAGE, 14: BUS_FAULT, 15: SVCALL}


class SysTick:
    """24-bit down counter on HCLK or HCLK/8 in virtual time; its period is RELOAD + 1 (ARMv7-M ARM B3.3)."""

    def __init__(self, machine: Machine, fire: Callable[[], None]) -> None:
        self._clock = machine.clock
        self._fire = fire
        self._event: Event | None = None
        self._frequency = self._clock.frequency
        self.reset()

    def reset(self) -> None:
        self.csr = self.reload = 0
        self._value = 0  # of the counter at _origin
        self._origin = 0  # in units of 1 / (CPU clock * HCLK)
        self._reached_zero = False  # COUNTFLAG
        self._stopped = False
        self._arm()

    def set_frequency(self, hertz: int) -> None:
        """HCLK changed: the counter goes on from where it stands."""
        self._follow()
        self._frequency = hertz
        self._origin = self._now
        self._arm()

    def stop(self) -> None:
        self._follow()
        self._stopped = True
        self._arm()

    def go_on(self) -> None:
        self._stopped = False
        self._origin = self._now
        self._arm()

    @property
    def _now(self) -> int:
        return self._clock.cycles * self._frequency

    @property
    def _tick(self) -> int:
        return self._clock.frequency * (1 if self.csr & CSR_CLKSOURCE else 8)

    def _follow(self) -> None:
        """Bring the counter to the present. RELOAD counts at the moment it is loaded, not when it is written."""
        if not self.csr & CSR_ENABLE or self._stopped:
            return
        ticks = (self._now - self._origin) // self._tick
        self._origin += ticks * self._tick
        if ticks < self._value:
            self._value -= ticks
            return
        self._reached_zero |= self._value > 0
        ticks -= self._value
        self._value = 0
        if ticks and self.reload:
            periods, rest = divmod(ticks - 1, self.reload + 1)
            self._value = self.reload - rest
            self._reached_zero |= periods > 0 or self._value == 0

    def flag_rises(self) -> int:
        """The cycle at which COUNTFLAG is set next."""
        self._follow()
        if not self.csr & CSR_ENABLE or self._stopped or not (self._value or self.reload):
            return FOREVER
        return -(-(self._origin + (self._value or self.reload + 1) * self._tick) // self._frequency)

    def _arm(self) -> None:
        if self._event:
            self._event.cancel()
            self._event = None
        if not self._stopped and self.csr & CSR_ENABLE and self.csr & CSR_TICKINT and (self._value or self.reload):
            due = self._origin + (self._value or self.reload + 1) * self._tick - self._now
            self._event = self._clock.after_cycles(-(-due // self._frequency), self._zero)

    def _zero(self) -> None:
        self._fire()
        self._follow()
        self._arm()

    def read(self, offset: int) -> int:
        if offset == SYST_RVR:
            return self.reload
        if offset == SYST_CALIB:
            return 0x40000000 | 18750  # SKEW; 1 ms at HCLK/8 of 150 MHz (RM0090 12.1.1)
        self._follow()
        if offset == SYST_CVR:
            return self._value
        flag, self._reached_zero = self._reached_zero, False
        return self.csr | flag << 16

    def write(self, offset: int, value: int) -> None:
        self._follow()
        if offset == SYST_CSR:
            if (self.csr ^ value) & (CSR_ENABLE | CSR_CLKSOURCE):
                self._origin = self._now
            self.csr = value & 7
        elif offset == SYST_RVR:
            self.reload = value & 0xFFFFFF
        else:  # any write to CVR clears it and COUNTFLAG; RELOAD is loaded with the next tick
            self._value = 0
            self._reached_zero = False
            self._origin = self._now
        self._arm()


@model("IRQControllers.NVIC")
class Nvic(Peripheral):
    """Pending, active and enabled state of every exception, and the priority rules.

    Args:
        priority_mask: implemented bits of a priority byte (STM32F4: 0xF0).
        systick_frequency: accepted for the .repl; SysTick counts core cycles.
    """

    size = 0x1000

    def __init__(self, machine: Machine, priority_mask: int = 0xF0, systick_frequency: int = 168_000_000) -> None:
        super().__init__(machine)
        self.priority_mask = priority_mask
        self.IRQ = self.irq
        self._readers: dict[int, Callable[[], int]] = {
            ICSR: self._read_icsr, SHCSR: self._read_shcsr, AIRCR: lambda: 0xFA050000 | self.prigroup << 8,
            DHCSR: lambda: 0x00010001 if self.debugger else 0,
            FPCCR: lambda: self.fp.control if self.fp else 0, FPCAR: lambda: self.fp.address if self.fp else 0}
        self._writers: dict[int, Callable[[int], None]] = {
            ICSR: self._write_icsr, AIRCR: self._write_aircr, SHCSR: self._write_shcsr, STIR: self._write_stir,
            CCR: self._write_ccr, CPACR: self._write_cpacr, FPDSCR: self._write_fpdscr,
            FPCCR: self._write_fpccr, FPCAR: self._write_fpcar}
        #: a debugger is attached: S_REGRDY and C_DEBUGEN (ARMv7-M ARM C1.6.2)
        self.debugger = False
        self.systick = SysTick(machine, lambda: self.pend(SYSTICK))
        #: wired by the core: ask it to look at the exceptions again, reset, sleep on exit
        self.on_change: Callable[[], None] = lambda: None
        self.on_traps: Callable[[int], None] = lambda ccr: None
        #: BASEPRI and FAULTMASK of the core
        self.masks: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.on_mpu: Callable[[], None] = lambda: None
        #: an exception became pending, with SCR.SEVONPEND
        self.on_pending_event: Callable[[], None] = lambda: None
        #: CPACR or FPCCR was written
        self.on_fp_access: Callable[[], None] = lambda: None
        self.fp: FpContext | None = None
        self.mpu = Mpu(lambda: self.on_mpu())
        #: where the vector table is at a reset; not 0 stands for a bootloader that is not there
        self.initial_vtor = 0
        self._levels = [False] * (IRQ0 + IRQS)
        self._clear()

    def _clear(self) -> None:
        n = IRQ0 + IRQS
        self.enabled = [False] * n
        for system in (NMI, HARD_FAULT, SVCALL, DEBUG_MONITOR, PENDSV, SYSTICK):
            self.enabled[system] = True
        self.priority = [0] * n
        for number, fixed in _FIXED.items():
            self.priority[number] = fixed
        self.pending: set[int] = set()
        self.active: list[int] = []
        self.vtor = self.initial_vtor
        self.prigroup = 0
        self.scr = 0
        self.ccr = 0x200
        self.cfsr = self.hfsr = self.dfsr = self.mmfar = self.bfar = 0
        self.cpacr = self.demcr = self.actlr = 0
        self.fpdscr = 0
        self._best: int | None = None

    def reset(self) -> None:
        self._clear()
        self._write_cpacr(0)
        self._write_fpdscr(0)
        self._write_fpcar(0)
        self._write_fpccr(ASPEN | LSPEN)
        self.mpu.reset()
        self.on_mpu()
        self.systick.reset()
        for irq in range(IRQ0, IRQ0 + IRQS):
            if self._levels[irq]:
                self.pending.add(irq)

    def stop_clock(self) -> None:
        self.systick.stop()

    def start_clock(self) -> None:
        self.systick.go_on()

    # lines in --------------------------------------------------------------------------------------------------
    def on_gpio(self, number: int, level: bool) -> None:
        exception = IRQ0 + number
        self._levels[exception] = level
        if level:  # an edge while its handler runs pends it again
            self.pend(exception)

    def pend(self, exception: int) -> None:
        if exception not in self.pending:
            self.pending.add(exception)
            self._changed()
            if self.scr & SCR_SEVONPEND:
                self.on_pending_event()

    def _changed(self) -> None:
        self._best = None
        self.on_change()

    # priorities ------------------------------------------------------------------------------------------------
    def group(self, priority: int) -> int:
        """Group (preemption) part of a priority, ARMv7-M ARM B1.5.4."""
        return priority & ~((1 << (self.prigroup + 1)) - 1) if priority >= 0 else priority

    def best_pending(self) -> int | None:
        """The pending, enabled exception of the highest priority (lowest number wins among equals)."""
        if self._best is None:
            best, key = 0, (IDLE, 0)
            for exception in self.pending:
                if self.enabled[exception]:
                    candidate = (self.priority[exception], exception)
                    if candidate < key:
                        best, key = exception, candidate
            self._best = best
        return self._best or None

    def active_priority(self) -> int:
        """Group priority of the most urgent active exception, :data:`IDLE` in thread mode."""
        most_urgent = IDLE
        for exception in self.active:
            most_urgent = min(most_urgent, self.group(self.priority[exception]))
        return most_urgent

    def enter(self, exception: int) -> None:
        self.pending.discard(exception)
        self.active.append(exception)
        self._best = None

    def leave(self, exception: int) -> None:
        if exception in self.active:
            self.active.remove(exception)
        if exception >= IRQ0 and self._levels[exception]:
            self.pending.add(exception)  # a level still high asks again
        self._best = None

    def _vector_pending(self) -> int:
        """ICSR.VECTPENDING: masked by BASEPRI and FAULTMASK, not by PRIMASK (B3.2.4)."""
        best = self.best_pending()
        basepri, faultmask = self.masks()
        if best is None or faultmask & 1 and best != NMI:
            return 0
        masked = basepri & 0xF0 and self.group(self.priority[best]) >= self.group(basepri & 0xF0)
        return 0 if masked else best

    # registers -------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        if offset == SYST_CVR:
            return None
        return self.systick.flag_rises() if offset == SYST_CSR else FOREVER

    def read(self, offset: int, width: int) -> int:
        if width == 4:
            if offset & 3:
                return self.unmodelled(offset, width)
            return self._read_word(offset)
        word = offset & ~3
        if not (0x400 <= word < 0x500 or SHPR1 <= word <= SHPR3 or word == CFSR):
            return self.unmodelled(offset, width)
        return self._read_word(word) >> 8 * (offset & 3) & ((1 << 8 * width) - 1)

    def write(self, offset: int, width: int, value: int) -> None:
        if width == 4 and not offset & 3:
            self._write_word(offset, value)
        elif 0x400 <= offset < 0x500 or SHPR1 <= offset < SHPR3 + 4:
            for i in range(width):
                self._set_priority_byte(offset + i, value >> 8 * i & 0xFF)
        elif CFSR <= offset < CFSR + 4:
            self.cfsr &= ~(value << 8 * (offset & 3))
        elif offset == STIR and width >= 2:
            self._write_word(STIR, value)
        else:
            self.unmodelled(offset, width, value)

    def _bits(self, base: int, test: Callable[[int], bool]) -> int:
        first = IRQ0 + base * 8
        return sum(1 << i for i in range(32) if first + i < IRQ0 + IRQS and test(first + i))

    def _priority_slot(self, offset: int) -> int | None:
        exception = offset - 0x400 + IRQ0 if offset < 0x500 else offset - SHPR1 + 4
        if exception < IRQ0 + IRQS and exception not in (7, 8, 9, 10, 13):
            return exception
        return None

    def _set_priority_byte(self, offset: int, value: int) -> None:
        exception = self._priority_slot(offset)
        if exception is not None:
            self.priority[exception] = value & self.priority_mask
            self._changed()

    def _read_word(self, offset: int) -> int:
        plain = _PLAIN.get(offset)
        if plain is not None:
            return int(getattr(self, plain))
        if offset in self._readers:
            return self._readers[offset]()
        if offset in _IDENTITY:
            return _IDENTITY[offset]
        if SYST_CSR <= offset <= SYST_CALIB:
            return self.systick.read(offset)
        if 0x100 <= offset < 0x380:
            return self._read_interrupts(offset)
        if 0x400 <= offset < 0x500 or SHPR1 <= offset <= SHPR3:
            return self._read_priorities(offset)
        return self.mpu.read(offset) if MPU_TYPE <= offset <= MPU_END else self.unmodelled(offset, 4)

    def _read_interrupts(self, offset: int) -> int:
        tests: dict[int, Callable[[int], bool]] = {
            0x100: lambda e: self.enabled[e], 0x180: lambda e: self.enabled[e], 0x200: lambda e: e in self.pending,
            0x280: lambda e: e in self.pending, 0x300: lambda e: e in self.active}
        return self._bits(offset & 0x7F, tests[offset & ~0x7F])

    def _read_priorities(self, offset: int) -> int:
        word = 0
        for i in range(4):
            exception = self._priority_slot(offset + i)
            word |= (self.priority[exception] if exception is not None else 0) << 8 * i
        return word

    def _read_icsr(self) -> int:
        best = self._vector_pending()
        running = self.active[-1] if self.active else 0
        irq_pending = any(e >= IRQ0 for e in self.pending)
        return (running | (len(self.active) <= 1) << 11 | best << 12 | irq_pending << 22
                | (SYSTICK in self.pending) << 26 | (PENDSV in self.pending) << 28 | (NMI in self.pending) << 31)

    def _read_shcsr(self) -> int:
        word = sum(1 << b for b, e in _SHCSR_ACTIVE.items() if e in self.active)
        word |= sum(1 << b for b, e in _SHCSR_PENDED.items() if e in self.pending)
        return word | sum(1 << 16 + i for i, e in enumerate(_CONFIGURABLE_FAULTS) if self.enabled[e])

    def _write_word(self, offset: int, value: int) -> None:
        writer = self._writers.get(offset)
        if writer is not None:
            writer(value)
        elif offset in _STORED:
            name, mask = _STORED[offset]
            setattr(self, name, value & mask)
        elif offset in _WRITE_ONE_TO_CLEAR:
            name = _PLAIN[offset]
            setattr(self, name, getattr(self, name) & ~value)
        elif SYST_CSR <= offset <= SYST_CVR:
            self.systick.write(offset, value)
        elif 0x100 <= offset < 0x300:
            self._write_bits(offset & ~0x7F, IRQ0 + (offset & 0x7F) * 8, value)
        elif 0x400 <= offset < 0x500 or SHPR1 <= offset <= SHPR3:
            for i in range(4):
                self._set_priority_byte(offset + i, value >> 8 * i & 0xFF)
        elif MPU_TYPE < offset <= MPU_END:
            self.mpu.write(offset, value)
        elif offset not in _IGNORED:
            self.unmodelled(offset, 4, value)

    def _write_icsr(self, value: int) -> None:
        for bit, exception in ((31, NMI), (28, PENDSV), (26, SYSTICK)):
            if value >> bit & 1:
                self.pend(exception)
        for bit, exception in ((27, PENDSV), (25, SYSTICK)):
            if value >> bit & 1:
                self.pending.discard(exception)
        self._changed()

    def _write_aircr(self, value: int) -> None:
        if value >> 16 == 0x05FA:
            self.prigroup = value >> 8 & 7
            if value & 4:
                self.machine.request_reset("software")
            self._changed()

    def _write_shcsr(self, value: int) -> None:
        for i, exception in enumerate(_CONFIGURABLE_FAULTS):
            self.enabled[exception] = bool(value >> 16 + i & 1)
        for bit, exception in _SHCSR_PENDED.items():
            (self.pending.add if value >> bit & 1 else self.pending.discard)(exception)
        self._changed()

    def _write_stir(self, value: int) -> None:
        if value & 0x1FF < IRQS:
            self.pend(IRQ0 + (value & 0x1FF))

    def _write_ccr(self, value: int) -> None:
        self.ccr = value & 0x31B
        self.on_traps(self.ccr)

    def _write_cpacr(self, value: int) -> None:
        self.cpacr = value & 0x00F00000
        self.on_fp_access()

    def _write_fpdscr(self, value: int) -> None:
        self.fpdscr = value & 0x07C00000
        if self.fp is not None:
            self.fp.set_default(self.fpdscr)

    def _write_fpccr(self, value: int) -> None:
        if self.fp is not None:
            self.fp.control = value
            self.on_fp_access()

    def _write_fpcar(self, value: int) -> None:
        if self.fp is not None:
            self.fp.address = value

    def _write_bits(self, block: int, first: int, value: int) -> None:
        for i in range(32):
            exception = first + i
            if value >> i & 1 and exception < IRQ0 + IRQS:
                if block == 0x100:
                    self.enabled[exception] = True
                elif block == 0x180:
                    self.enabled[exception] = False
                elif block == 0x200:
                    self.pend(exception)
                elif not self._levels[exception]:
                    self.pending.discard(exception)
        self._changed()


