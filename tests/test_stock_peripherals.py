# SPDX-License-Identifier: Apache-2.0
"""The stock blocks of the STM32F405 against RM0090, each alone on a fake machine."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchip.engines.embedded.nvic import SysTick
from offchip.engines.embedded.peripherals.button import Button
from offchip.engines.embedded.peripherals.combined_input import CombinedInput
from offchip.engines.embedded.peripherals.crc_unit import CrcUnit, STM32Series
from offchip.engines.embedded.peripherals.dwt import Dwt
from offchip.engines.embedded.peripherals.exti import Exti
from offchip.engines.embedded.peripherals.gpio import GpioPort
from offchip.engines.embedded.peripherals.iwdg import IndependentWatchdog
from offchip.engines.embedded.peripherals.memory import ArrayMemory, MappedMemory
from offchip.engines.embedded.peripherals.pwr import Pwr
from offchip.engines.embedded.peripherals.rcc import Rcc
from offchip.engines.embedded.peripherals.rtc import Rtc
from offchip.engines.embedded.peripherals.syscfg import Syscfg
from offchip.engines.embedded.peripherals.timer import Timer
from offchip.engines.embedded.peripherals.usart import Usart
from tests.fakes import FakeMachine

MS, US = 1_000_000, 1_000


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


# memories ----------------------------------------------------------------------------------------------------------
def test_only_volatile_memory_forgets(machine: FakeMachine) -> None:
    ram, backup = MappedMemory(machine, 0x1000), MappedMemory(machine, 0x1000)
    ram.volatile = True
    for memory in (ram, backup):
        memory.buffer[:] = b"\x5a" * 0x1000
        memory.power_off()
    noise = ram.buffer[:]
    assert backup.buffer[:] == b"\x5a" * 0x1000
    assert noise.count(0x5A) < 0x100
    ram.power_off()
    assert ram.buffer[:] == noise


def test_array_memory(machine: FakeMachine) -> None:
    otp = ArrayMemory(machine, 0x200, 0xFF)
    otp.write(4, 2, 0x1234)
    assert otp.read(4, 4) == 0xFFFF1234 and otp.read(5, 1) == 0x12


# pins --------------------------------------------------------------------------------------------------------------
MODER, OTYPER, PUPDR, IDR, ODR, BSRR, LCKR, AFRL = 0x00, 0x04, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20


def test_pin_level_has_the_strongest_driver(machine: FakeMachine) -> None:
    port = GpioPort(machine)
    level = port.line(3)

    def idr() -> int:
        assert level.level == bool(port.read(IDR, 4) & 8)
        return port.read(IDR, 2)

    assert idr() == 0  # floating
    port.write(PUPDR, 4, 1 << 6)
    assert idr() == 8  # pull-up
    port.on_gpio(3, False)
    assert idr() == 0  # an external driver beats the resistor
    port.write(ODR, 4, 8)
    assert idr() == 0  # no effect while input
    port.write(MODER, 4, 1 << 6)
    assert idr() == 8  # push-pull output beats all
    port.write(OTYPER, 4, 8)
    assert idr() == 0  # open drain lets go, the driver pulls low
    port.on_gpio(3, True)
    assert idr() == 8
    port.write(BSRR, 4, 8 << 16)
    assert idr() == 0  # open drain pulls low
    port.reset()
    assert idr() == 8  # the driver is still there


def test_bit_set_reset_in_all_widths(machine: FakeMachine) -> None:
    port = GpioPort(machine)
    port.write(BSRR, 4, 0x8000 << 16 | 0x8001)  # set wins
    assert port.read(ODR, 4) == 0x8001
    port.write(BSRR, 2, 0x0110)
    port.write(BSRR + 2, 2, 0x8000)
    port.write(BSRR + 2, 1, 0x01)
    assert port.read(ODR, 4) == 0x0110
    port.write(ODR + 1, 1, 0xAB)
    assert port.read(ODR, 2) == 0xAB10 and port.read(ODR + 1, 1) == 0xAB


def test_port_configuration_lock(machine: FakeMachine) -> None:
    port = GpioPort(machine)
    for value in (0x10002, 0x2, 0x10002):
        port.write(LCKR, 4, value)
    assert port.read(LCKR, 4) == 0x10002
    port.write(MODER, 4, 0xFFFFFFFF)
    port.write(AFRL, 4, 0xFFFFFFFF)
    assert port.read(MODER, 4) == 0xFFFFFFF3 and port.read(AFRL, 4) == 0xFFFFFF0F
    port.write(LCKR, 4, 0)
    assert port.read(LCKR, 4) == 0x10002
    port.reset()
    assert port.read(LCKR, 4) == 0


def test_incomplete_lock_sequence_locks_nothing(machine: FakeMachine) -> None:
    port = GpioPort(machine)
    for value in (0x10002, 0x3, 0x10002):
        port.write(LCKR, 4, value)
    assert not port.read(LCKR, 4) & 0x10000
    port.write(MODER, 4, 0xFFFFFFFF)
    assert port.read(MODER, 4) == 0xFFFFFFFF


def test_switch_on_a_pin_reaches_the_interrupt(machine: FakeMachine) -> None:
    port, syscfg, exti, shared = GpioPort(machine), Syscfg(machine), Exti(machine), CombinedInput(machine, 6)
    hall = Button(machine, invert=True)
    port.attach(hall, 13)
    hall.irq.connect(port.on_gpio, 13)
    port.line(13).connect(syscfg.receiver(2), 13)
    syscfg.line(13).connect(exti.on_gpio, 13)
    exti.line(13).connect(shared.on_gpio, 3)
    assert port.read(IDR, 4) == 1 << 13  # released and inverted: high from the start

    exti.write(0x0C, 4, 1 << 13)  # FTSR
    syscfg.write(0x14, 4, 2 << 4)  # EXTICR4: port C
    hall.press()
    assert port.read(IDR, 4) == 0
    assert exti.read(0x14, 4) == 1 << 13 and not shared.irq.level  # masked
    exti.write(0x00, 4, 1 << 13)
    assert shared.irq.level
    hall.release()
    exti.write(0x14, 4, 1 << 13)
    assert exti.read(0x14, 4) == 0 and not shared.irq.level
    syscfg.write(0x14, 4, 0)  # port A: the line follows the other pin, which is low
    exti.write(0x14, 4, 1 << 13)
    exti.write(0x08, 4, 1 << 13)  # RTSR
    hall.press()
    hall.release()
    assert exti.read(0x14, 4) == 0


def test_software_interrupt(machine: FakeMachine) -> None:
    exti = Exti(machine, 23)
    exti.write(0x00, 4, 0xFFFFFFFF)
    assert exti.read(0x00, 4) == 0x7FFFFF
    exti.write(0x10, 4, 1 << 22)
    assert exti.line(22).level and exti.read(0x10, 4) == 1 << 22
    exti.write(0x14, 4, 1 << 22)
    assert not exti.line(22).level and exti.read(0x10, 4) == 0


# USART -------------------------------------------------------------------------------------------------------------
SR, DR, BRR, CR1, CR2, CR3 = range(0, 0x18, 4)
PE, ORE, IDLE, RXNE, TC, TXE = 0x01, 0x08, 0x10, 0x20, 0x40, 0x80
RE, TE, UE = 0x04, 0x08, 0x2000
CHARACTER = 729 * 10 * 168 // 84  # cycles of 10 bits at BRR 729


def usart(machine: FakeMachine, control: int = UE | TE | RE) -> Usart:
    uart = Usart(machine, 84_000_000)
    uart.name = "usart1"
    uart.write(BRR, 4, 729)
    uart.write(CR1, 4, control)
    return uart


def pass_cycles(machine: FakeMachine, cycles: int) -> None:
    machine.pass_time(cycles * 1_000_000_000 // 168_000_000)


def test_transmit_flags_follow_the_line(machine: FakeMachine) -> None:
    uart = usart(machine)
    uart.polls_per_step = 0
    assert uart.read(SR, 4) == TXE | TC
    uart.write(DR, 1, 0x41)
    assert machine.uart == [("usart1", 0x41)]
    assert uart.read(SR, 4) == TXE  # in the shift register
    uart.write(DR, 4, 0x42)
    assert uart.read(SR, 4) == 0
    pass_cycles(machine, CHARACTER - 10)
    assert uart.read(SR, 4) == 0
    pass_cycles(machine, 20)
    assert uart.read(SR, 4) == TXE
    pass_cycles(machine, CHARACTER)
    assert uart.read(SR, 4) == TXE | TC
    assert machine.reports == []


def test_polling_ends_a_character(machine: FakeMachine) -> None:
    uart = usart(machine)
    for n in range(3):
        polls = 1
        while not uart.read(SR, 4) & TXE and polls < 100:
            polls += 1
        assert polls == (8 if n == 2 else 1)
        uart.write(DR, 4, n)
    assert machine.uart == [("usart1", n) for n in range(3)] and machine.clock.cycles == 0


@pytest.mark.parametrize(("control1", "control2", "divider", "bits"), [
    (0, 0, 729, 10), (0x1000, 0, 729, 11), (0, 2 << 12, 729, 11), (0, 1 << 12, 729, 9.5), (0x1000, 3 << 12, 729, 11.5),
    (0x8000, 0, 0x5B1, 10)])  # OVER8: 91 1/8 times 8 is 729 again
def test_character_time(machine: FakeMachine, control1: int, control2: int, divider: int, bits: float) -> None:
    uart = Usart(machine, 84_000_000)
    for register, value in ((BRR, divider), (CR2, control2), (CR1, control1 | UE | RE)):
        uart.write(register, 4, value)
    uart.feed(b"a")
    pass_cycles(machine, int(bits * 729 * 2) - 5)
    assert not uart.read(SR, 4) & RXNE
    pass_cycles(machine, 10)
    assert uart.read(SR, 4) & RXNE


def test_transmit_interrupts(machine: FakeMachine) -> None:
    uart = usart(machine)
    uart.write(DR, 4, 1)
    uart.write(DR, 4, 2)
    uart.write(CR1, 4, UE | TE | 0x80)  # TXEIE
    assert not uart.irq.level
    pass_cycles(machine, CHARACTER + 2)
    assert uart.irq.level
    uart.write(CR1, 4, UE | TE | 0x40)  # TCIE
    assert not uart.irq.level
    pass_cycles(machine, CHARACTER + 2)
    assert uart.irq.level


def test_transmitting_while_off_is_a_violation(machine: FakeMachine) -> None:
    usart(machine, UE).write(DR, 4, 0x41)
    assert machine.uart == [] and [kind for kind, _, _ in machine.reports] == ["violation"]


def test_bytes_arrive_at_line_rate_then_the_line_is_idle(machine: FakeMachine) -> None:
    uart = usart(machine, UE | RE | 0x20 | 0x10)  # RXNEIE, IDLEIE
    uart.feed(b"ab")
    pass_cycles(machine, CHARACTER - 10)
    uart.write(CR1, 4, UE | RE | 0x20 | 0x10)
    assert not uart.irq.level and uart.receiving == 2
    for value in b"ab":
        pass_cycles(machine, 20)
        assert uart.irq.level and uart.read(SR, 4) & (RXNE | IDLE) == RXNE
        assert uart.read(DR, 4) == value and not uart.irq.level
        pass_cycles(machine, CHARACTER - 20)
    assert not uart.receiving
    pass_cycles(machine, 40)
    assert uart.irq.level and uart.read(SR, 4) & IDLE
    uart.read(DR, 4)
    assert not uart.irq.level and not uart.read(SR, 4) & IDLE
    machine.pass_time(10 * MS)
    assert not uart.read(SR, 4) & IDLE  # once only


def test_overrun_keeps_the_old_byte(machine: FakeMachine) -> None:
    uart = usart(machine, UE | RE | 0x20)
    uart.feed(b"abc")
    machine.pass_time(5 * MS)
    assert uart.read(DR, 4) == ord("a")  # without reading SR first ORE stays
    assert uart.read(SR, 4) & (RXNE | ORE) == ORE and uart.irq.level
    uart.read(DR, 4)
    assert not uart.read(SR, 4) & ORE and not uart.irq.level


def test_bytes_are_lost_while_the_receiver_is_off(machine: FakeMachine) -> None:
    uart = usart(machine, UE | TE)
    uart.feed(b"abc")
    pass_cycles(machine, 2 * CHARACTER + 50)
    uart.write(CR1, 4, UE | RE)
    pass_cycles(machine, CHARACTER)
    assert uart.read(DR, 4) == ord("c") and uart.lost_bytes == 2


def test_parity_error(machine: FakeMachine) -> None:
    uart = usart(machine, UE | RE | 0x400)  # even parity in bit 7
    uart.feed(bytes([0x41, 0x43]))
    pass_cycles(machine, CHARACTER + 20)
    assert not uart.read(SR, 4) & PE and uart.read(DR, 4) == 0x41
    pass_cycles(machine, CHARACTER)
    assert uart.read(SR, 4) & PE


# clocks and resets -------------------------------------------------------------------------------------------------
RCC_CR, PLLCFGR, CFGR, BDCR, CSR = 0x00, 0x04, 0x08, 0x70, 0x74
LPWR, WWDG, IWDG, SFT, POR, PIN, BOR = (1 << n for n in range(31, 24, -1))


def test_clock_switch_waits_for_its_source(machine: FakeMachine) -> None:
    rcc = Rcc(machine)
    assert rcc.read(RCC_CR, 4) & 0xFFFF00FF == 0x83
    rcc.write(PLLCFGR, 4, 0x27405408)  # source HSE
    rcc.write(RCC_CR, 4, 0x01000083)
    assert not rcc.read(RCC_CR, 4) & 1 << 25  # no HSE, no PLL
    rcc.write(CFGR, 4, 2)
    assert rcc.read(CFGR, 4) == 2
    rcc.write(RCC_CR, 4, 0x01010083)
    assert rcc.read(RCC_CR, 4) & 0x02020000 == 0x02020000
    assert rcc.read(CFGR, 4) == 0xA
    rcc.write(RCC_CR, 4, 0x00010083)
    assert rcc.read(RCC_CR, 4) & 1 << 24  # cannot be switched off while it is the system clock


@pytest.mark.parametrize(("cause", "flags"), [
    ("pin", PIN), ("software", SFT | PIN), ("watchdog", IWDG | PIN), ("power-on", POR | PIN | BOR)])
def test_reset_causes(machine: FakeMachine, cause: str, flags: int) -> None:
    rcc = Rcc(machine)
    rcc.note_reset("power-on")
    assert rcc.read(CSR, 4) == 0x0E000000
    rcc.write(CSR, 4, 1 << 24)  # RMVF
    assert rcc.read(CSR, 4) == 0
    rcc.reset()
    rcc.note_reset(cause)
    assert rcc.read(CSR, 4) == flags


def test_reset_causes_add_up_until_removed(machine: FakeMachine) -> None:
    rcc = Rcc(machine)
    rcc.note_reset("power-on")
    rcc.note_reset("watchdog")
    assert rcc.read(CSR, 4) == 0x0E000000 | IWDG
    rcc.note_reset("power-on")
    assert rcc.read(CSR, 4) == 0x0E000000


def test_reserved_bits_of_enable_registers_stay_clear(machine: FakeMachine) -> None:
    rcc = Rcc(machine)
    rcc.write(0x44, 4, 0xFFFFFFFF)
    assert rcc.read(0x44, 4) == 0x00075F33
    assert machine.reports == []
    rcc.read(0x88, 4)
    assert machine.reports[0][0] == "unmodelled"


# watchdog ----------------------------------------------------------------------------------------------------------
KR, PR, RLR, IWDG_SR = range(0, 0x10, 4)


def test_watchdog_time(machine: FakeMachine) -> None:
    iwdg = IndependentWatchdog(machine, 32_000)
    iwdg.write(PR, 4, 1)
    assert iwdg.read(PR, 4) == 0  # locked
    iwdg.write(KR, 4, 0x5555)
    iwdg.write(PR, 4, 3)
    iwdg.write(RLR, 4, 99)
    assert iwdg.read(IWDG_SR, 4) == 3
    machine.pass_time(200 * US)
    assert iwdg.read(IWDG_SR, 4) == 0
    iwdg.write(KR, 4, 0xAAAA)
    iwdg.write(KR, 4, 0xCCCC)  # 100 ticks of LSI/32: 100 ms
    for _ in range(3):
        machine.pass_time(99 * MS)
        iwdg.write(KR, 4, 0xAAAA)
    machine.pass_time(100 * MS - US)
    assert machine.resets == []
    machine.pass_time(2 * US)
    assert machine.resets == ["watchdog"]


def test_watchdog_starts_from_its_reset_value(machine: FakeMachine) -> None:
    IndependentWatchdog(machine, 32_000).write(KR, 4, 0xCCCC)
    machine.pass_time(511 * MS)
    assert machine.resets == []
    machine.pass_time(2 * MS)  # 4096 ticks of LSI/4 are 512 ms (RM0090 table 107)
    assert machine.resets == ["watchdog"]


# RTC ---------------------------------------------------------------------------------------------------------------
TR, RDR, RCR, ISR, PRER, WUTR, ALRMAR, WPR, SSR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x1C, 0x24, 0x28
BKP0R = 0x50
SECOND = 1_000_000_000


def bcd(value: int) -> int:
    return int(str(value), 16)


def unlock(rtc: Rtc) -> None:
    rtc.write(WPR, 4, 0xCA)
    rtc.write(WPR, 4, 0x53)


def set_calendar(rtc: Rtc, when: datetime) -> None:
    unlock(rtc)
    rtc.write(ISR, 4, 0x80)
    rtc.machine.pass_time(MS)
    assert rtc.read(ISR, 4) & 0x40
    rtc.write(TR, 4, bcd(when.hour) << 16 | bcd(when.minute) << 8 | bcd(when.second))
    rtc.write(RDR, 4, bcd(when.year % 100) << 16 | when.isoweekday() << 13 | bcd(when.month) << 8 | bcd(when.day))
    rtc.write(ISR, 4, 0)
    rtc.write(WPR, 4, 0xFF)


def calendar(rtc: Rtc) -> tuple[datetime, int]:
    time, date = rtc.read(TR, 4), rtc.read(RDR, 4)

    def field(register: int, shift: int, bits: int) -> int:
        return int(f"{register >> shift & (1 << bits) - 1:x}")

    when = datetime(2000 + field(date, 16, 8), field(date, 8, 5), field(date, 0, 6), field(time, 16, 6),
                    field(time, 8, 7), field(time, 0, 7))
    return when, date >> 13 & 7


def clocked_rtc(machine: FakeMachine) -> Rtc:
    rtc = Rtc(machine)
    rtc.set_clock(32_768)
    return rtc


@given(st.datetimes(datetime(2000, 1, 1), datetime(2096, 1, 1)), st.integers(0, 4 * 366 * 86_400))
def test_calendar_agrees_with_datetime(start: datetime, seconds: int) -> None:
    start = start.replace(microsecond=0)
    machine = FakeMachine()
    rtc = clocked_rtc(machine)
    set_calendar(rtc, start)
    machine.pass_time(seconds * SECOND + SECOND // 2)
    when, weekday = calendar(rtc)
    assert when == start + timedelta(seconds=seconds)
    assert weekday == when.isoweekday()
    assert abs(rtc.read(SSR, 4) - 127) <= 1


def test_date_belongs_to_the_time_read_before(machine: FakeMachine) -> None:
    rtc = clocked_rtc(machine)
    set_calendar(rtc, datetime(2026, 2, 28, 23, 59, 59))
    assert rtc.read(TR, 4) == 0x235959
    machine.pass_time(2 * SECOND)
    assert rtc.read(RDR, 4) & 0x1FFF == 0x0228
    assert rtc.read(RDR, 4) & 0x1FFF == 0x0301


def test_subseconds_lock_time_and_date(machine: FakeMachine) -> None:
    rtc = clocked_rtc(machine)
    set_calendar(rtc, datetime(2026, 2, 28, 23, 59, 59))
    assert rtc.read(SSR, 4) == 255
    machine.pass_time(2 * SECOND)
    assert rtc.read(TR, 4) == 0x235959
    assert rtc.read(RDR, 4) & 0x1FFF == 0x0228
    assert rtc.read(TR, 4) == 0x000001


def test_alarm_and_wakeup(machine: FakeMachine) -> None:
    rtc = clocked_rtc(machine)
    set_calendar(rtc, datetime(2026, 3, 31, 23, 59, 50))
    unlock(rtc)
    rtc.write(ALRMAR, 4, 0x01000005)  # day 1, 00:00:05
    rtc.write(WUTR, 4, 2047)  # 2048 periods of RTCCLK/16: 1 s
    rtc.write(RCR, 4, 1 << 8 | 1 << 12 | 1 << 10 | 1 << 14)  # ALRAE ALRAIE WUTE WUTIE
    machine.pass_time(SECOND + MS)
    assert rtc.wakeup_irq.level
    rtc.write(ISR, 4, 0xFFFFFFFF & ~(1 << 10) & ~0x80)
    assert not rtc.wakeup_irq.level
    machine.pass_time(14 * SECOND - 3 * MS)
    assert not rtc.alarm_irq.level
    machine.pass_time(3 * MS)
    assert rtc.alarm_irq.level and rtc.read(ISR, 4) & 1 << 8
    rtc.write(ISR, 4, 0xFFFFFFFF & ~(1 << 8) & ~0x80)
    assert not rtc.alarm_irq.level


def test_backup_domain_is_guarded_and_survives(machine: FakeMachine) -> None:
    rtc, pwr = Rtc(machine), Pwr(machine)
    rcc = Rcc(machine, rtc)
    machine.peripherals["pwr"] = pwr
    rtc.write(BKP0R, 4, 0x1234)
    rcc.write(BDCR, 4, 0x8101)
    assert rtc.read(BKP0R, 4) == 0 and rcc.read(BDCR, 4) == 0  # DBP is 0
    pwr.write(0, 4, 0x4100)
    rtc.write(BKP0R, 4, 0x1234)
    rcc.write(BDCR, 4, 0x8101)  # LSE, RTC from LSE
    assert rcc.read(BDCR, 4) == 0x8103
    set_calendar(rtc, datetime(2026, 12, 31, 23, 59, 58))
    rtc.write(TR, 4, 0)  # no initialisation mode: ignored

    for block in (rtc, pwr, rcc):
        block.power_off()
    machine.pass_time(3 * SECOND)
    for block in (rtc, pwr, rcc):
        block.power_on()
        block.reset()
    assert calendar(rtc)[0] == datetime(2027, 1, 1, 0, 0, 1)
    assert rtc.read(BKP0R, 4) == 0x1234

    pwr.write(0, 4, 0x4100)
    rcc.write(BDCR, 4, 1 << 16)
    rcc.write(BDCR, 4, 0)
    assert rtc.read(BKP0R, 4) == 0 and rtc.read(RDR, 4) == 0x2101 and rcc.read(BDCR, 4) == 0


def test_twelve_hour_format(machine: FakeMachine) -> None:
    rtc = clocked_rtc(machine)
    set_calendar(rtc, datetime(2026, 1, 1, 0, 30))
    unlock(rtc)
    rtc.write(RCR, 4, 1 << 6)
    assert rtc.read(TR, 4) == 0x123000
    machine.pass_time(13 * 3600 * SECOND)
    assert rtc.read(TR, 4) == 1 << 22 | 0x013000


# DWT ---------------------------------------------------------------------------------------------------------------
def test_cycle_counter(machine: FakeMachine) -> None:
    dwt = Dwt(machine, 168_000_000)
    machine.pass_time(MS)
    assert dwt.read(4, 4) == 0
    dwt.write(0, 4, 1)
    dwt.write(4, 4, 0xFFFFFFFF)
    machine.clock.advance(168_000)
    assert dwt.read(4, 4) == 167_999
    dwt.write(0, 4, 0)
    machine.clock.advance(5)
    assert dwt.read(4, 4) == 167_999


# CRC unit ------------------------------------------------------------------------------------------------------------
@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=8))
def test_crc_unit_is_crc32_mpeg2(words: list[int]) -> None:
    unit = CrcUnit(FakeMachine(), STM32Series.F4)
    unit.write(0x00, 4, 0xDEADBEEF)
    unit.write(0x08, 4, 1)
    for word in words:
        unit.write(0x00, 4, word)
    # the reflected CRC-32 of the bit-reversed bytes is the same polynomial division
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for word in words for byte in word.to_bytes(4, "big"))
    assert unit.read(0x00, 4) == int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)


# timers --------------------------------------------------------------------------------------------------------------
TIM_CR1, TIM_DIER, TIM_SR, TIM_EGR, TIM_CCMR1, TIM_CNT, TIM_PSC, TIM_ARR, TIM_RCR, TIM_CCR1 = (
    0x00, 0x0C, 0x10, 0x14, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34)


def timer(machine: FakeMachine, prescaler: int, reload: int, control: int = 1) -> Timer:
    """A 16-bit timer on 84 MHz, loaded by software (UG) and started."""
    block = Timer(machine, 84_000_000, 0xFFFF)
    block.write(TIM_PSC, 4, prescaler)
    block.write(TIM_ARR, 4, reload)
    block.write(TIM_EGR, 4, 1)
    assert block.read(TIM_SR, 4) & 1
    block.write(TIM_SR, 4, 0)
    block.write(TIM_CR1, 4, control)
    return block


def test_timer_counts_microseconds_and_wraps(machine: FakeMachine) -> None:
    block = timer(machine, 83, 999)
    machine.pass_time(400 * US)
    assert block.read(TIM_CNT, 4) == 400 and not block.read(TIM_SR, 4) & 1
    machine.pass_time(599 * US)
    assert block.read(TIM_CNT, 4) == 999 and not block.read(TIM_SR, 4) & 1
    machine.pass_time(1 * US)
    assert block.read(TIM_CNT, 4) == 0 and block.read(TIM_SR, 4) & 1
    block.write(TIM_SR, 4, ~1 & 0xFFFF)
    machine.pass_time(12_345_678 * US)
    assert block.read(TIM_CNT, 4) == 678 and block.read(TIM_SR, 4) & 1
    block.write(TIM_CR1, 4, 0)
    machine.pass_time(5 * MS)
    assert block.read(TIM_CNT, 4) == 678
    block.write(TIM_CR1, 4, 1)
    machine.pass_time(22 * US)
    assert block.read(TIM_CNT, 4) == 700


def test_timer_counts_down(machine: FakeMachine) -> None:
    block = timer(machine, 83, 99, control=0x11)
    block.write(TIM_EGR, 4, 1)
    block.write(TIM_SR, 4, 0)
    machine.pass_time(40 * US)
    assert block.read(TIM_CNT, 4) == 59 and not block.read(TIM_SR, 4) & 1
    machine.pass_time(60 * US)
    assert block.read(TIM_CNT, 4) == 99 and block.read(TIM_SR, 4) & 1


def test_timer_one_pulse_stops_by_itself(machine: FakeMachine) -> None:
    block = timer(machine, 83, 99, control=0x09)
    machine.pass_time(1 * MS)
    assert block.read(TIM_CR1, 4) == 0x08 and block.read(TIM_SR, 4) & 1 and block.read(TIM_CNT, 4) == 0


def test_timer_preload_waits_for_the_update(machine: FakeMachine) -> None:
    block = timer(machine, 83, 99, control=0x81)
    block.write(TIM_PSC, 4, 167)
    block.write(TIM_ARR, 4, 199)
    machine.pass_time(99 * US)
    assert block.read(TIM_CNT, 4) == 99
    machine.pass_time(1 * US + 100 * US)
    assert block.read(TIM_CNT, 4) == 50  # two microseconds a step now
    machine.pass_time(250 * US)
    assert block.read(TIM_CNT, 4) == 175  # beyond the old limit


def test_timer_update_interrupt_is_a_level(machine: FakeMachine) -> None:
    block = timer(machine, 83, 999)
    times: list[int] = []
    block.irq.connect(lambda number, level: times.append(machine.clock.now_ns) if level else None, 0)
    block.write(TIM_DIER, 4, 1)
    machine.pass_time(10 * MS)
    assert len(times) == 1 and times[0] == pytest.approx(1 * MS, abs=20) and block.update_interrupt.level
    for _ in range(3):
        block.write(TIM_SR, 4, 0)
        assert not block.irq.level
        machine.pass_time(1 * MS)
    assert [round(t / MS) for t in times] == [1, 11, 12, 13]


def test_timer_compare_matches(machine: FakeMachine) -> None:
    block = timer(machine, 83, 999)
    block.write(TIM_CCR1, 4, 300)
    block.write(TIM_CCR1 + 4, 4, 2000)  # never reached
    block.write(TIM_DIER, 4, 2)
    machine.pass_time(299 * US)
    assert not block.irq.level
    machine.pass_time(1 * US)
    assert block.irq.level and block.capture_compare_interrupt.level and not block.update_interrupt.level
    block.write(TIM_SR, 4, 0)
    machine.pass_time(1 * MS)
    assert block.read(TIM_SR, 4) & 0x1F == 0x1B  # CC3 and CC4 stand at zero, CC2 is out of reach


@given(st.integers(0, 5), st.integers(1, 50), st.integers(1, 5000))
def test_timer_repetition_counter_divides_updates(repetition: int, reload: int, ticks: int) -> None:
    machine = FakeMachine()
    stepped, leaped = timer(machine, 83, reload), timer(machine, 83, reload)
    updates = 0
    for block in (stepped, leaped):
        block.write(TIM_RCR, 4, repetition)
        block.write(TIM_EGR, 4, 1)
        block.write(TIM_SR, 4, 0)
    for _ in range(ticks):
        machine.pass_time(1 * US)
        updates += stepped.read(TIM_SR, 4) & 1
        stepped.write(TIM_SR, 4, 0)
    assert updates == ticks // ((reload + 1) * (repetition + 1))
    assert leaped.read(TIM_SR, 4) & 1 == bool(updates)
    assert leaped.read(TIM_CNT, 4) == stepped.read(TIM_CNT, 4)
    assert leaped._repeat == stepped._repeat


def test_timer_captures_edges_and_invents_none(machine: FakeMachine) -> None:
    block = timer(machine, 0, 0xFFFF)
    block.write(TIM_CCMR1, 4, 0x0201)  # IC1 on TI1, IC2 on TI1
    block.write(0x20, 4, 0x31)  # CC1E rising, CC2E falling
    block.write(TIM_DIER, 4, 6)
    block.write(TIM_CR1, 4, 1)
    machine.pass_time(2 * MS)
    assert not block.irq.level and not block.read(0x10, 4) & 6
    block.edge(0, True)
    assert block.irq.level and block.read(0x10, 4) & 0x206 == 2
    first = block.read(0x34, 4)
    assert not block.irq.level and not block.read(0x10, 4) & 2  # taken by the read (18.4.5)
    machine.pass_time(10 * US)
    block.edge(0, False)
    assert block.read(0x38, 4) - first & 0xFFFF in (840, 841)
    block.edge(0, True)
    block.edge(0, True)
    assert block.read(0x10, 4) & 0x200  # CC1OF: nobody took the first one


@pytest.mark.parametrize(("divider", "clock", "readable"), [(0x8B, 16_000_000, True), (0x8B, 42_000_000, False),
                                                             (365, 42_000_000, True), (372, 42_000_000, True)])
def test_a_wrong_bit_rate_garbles(machine: FakeMachine, divider: int, clock: int, readable: bool) -> None:
    block = Usart(machine, 84_000_000)
    block.name, block.peer_baud = "usart2", 115_200
    block.write(0x08, 4, divider)
    block.write(0x0C, 4, 0x200C)
    block.set_frequency(clock)
    for value in b"Offchip":
        block.write(0x04, 4, value)
        machine.pass_time(1 * MS)
    assert (bytes(value for _, value in machine.uart) == b"Offchip") == readable
    block.feed(b"\x55")
    machine.pass_time(1 * MS)
    status = block.read(0x00, 4)
    assert (block.read(0x04, 4) == 0x55 and not status & 2) == readable


def test_timer_names_what_it_cannot_do(machine: FakeMachine) -> None:
    block = timer(machine, 0, 0xFFFF)
    for offset, value in ((TIM_CR1, 0x60), (0x08, 7), (TIM_DIER, 0x4000), (0x48, 0)):
        machine.reports.clear()
        block.write(offset, 4, value)
        assert [kind for kind, *_ in machine.reports] == ["unmodelled"]


# SysTick -------------------------------------------------------------------------------------------------------------
def systick(machine: FakeMachine) -> tuple[SysTick, list[int]]:
    """The counter and the cycles at which it pended its exception."""
    fired: list[int] = []
    return SysTick(machine, lambda: fired.append(machine.clock.cycles)), fired


SYST_CSR, SYST_RVR, SYST_CVR = 0x10, 0x14, 0x18


def test_systick_period_is_reload_plus_one(machine: FakeMachine) -> None:
    timer, fired = systick(machine)
    timer.write(SYST_RVR, 99)
    timer.write(SYST_CVR, 0)
    timer.write(SYST_CSR, 7)
    pass_cycles(machine, 1)
    assert timer.read(SYST_CVR) == 99
    pass_cycles(machine, 349)
    assert fired == [100, 200, 300] and timer.read(SYST_CVR) == 50
    assert timer.read(SYST_CSR) == 0x10007 and timer.read(SYST_CSR) == 7  # COUNTFLAG is cleared by the read


def test_systick_takes_a_new_reload_at_the_next_zero(machine: FakeMachine) -> None:
    """What a tickless kernel does on wake-up: a short first period, the full one from then on."""
    timer, fired = systick(machine)
    timer.write(SYST_RVR, 29)
    timer.write(SYST_CVR, 0)
    timer.write(SYST_CSR, 7)
    pass_cycles(machine, 1)
    timer.write(SYST_RVR, 999)
    assert timer.read(SYST_CVR) == 29
    pass_cycles(machine, 1100)
    assert fired == [30, 1030]


def test_systick_keeps_its_value_while_disabled(machine: FakeMachine) -> None:
    timer, fired = systick(machine)
    timer.write(SYST_RVR, 999)
    timer.write(SYST_CVR, 0)
    timer.write(SYST_CSR, 7)
    pass_cycles(machine, 401)
    timer.write(SYST_CSR, 6)
    pass_cycles(machine, 5000)
    assert timer.read(SYST_CVR) == 599 and not fired
    timer.write(SYST_CSR, 7)
    pass_cycles(machine, 598)
    assert not fired
    pass_cycles(machine, 1)
    assert fired == [machine.clock.cycles] and timer.read(SYST_CVR) == 0


def test_systick_on_the_divided_clock_stops_at_zero_without_reload(machine: FakeMachine) -> None:
    timer, fired = systick(machine)
    timer.write(SYST_RVR, 9)
    timer.write(SYST_CVR, 0)
    timer.write(SYST_CSR, 3)
    pass_cycles(machine, 8)
    timer.write(SYST_RVR, 0)
    pass_cycles(machine, 10_000)
    assert fired == [80] and timer.read(SYST_CVR) == 0


@pytest.mark.parametrize(("control", "pll", "configuration", "hertz"), [
    (0x1, 0x24003010, 0, 16_000_000),
    (0x10001, 0x24003010, 1, 8_000_000),
    (0x1010001, 8 | 336 << 6 | 1 << 22, 2, 168_000_000),
    (0x1010001, 8 | 336 << 6 | 1 << 22, 2 | 9 << 4, 42_000_000),
    (0x1000001, 16 | 336 << 6 | 1 << 16, 2, 84_000_000),
])
def test_hclk_follows_the_clock_tree(machine: FakeMachine, control: int, pll: int, configuration: int,
                                     hertz: int) -> None:
    rcc = Rcc(machine)
    told: list[int] = []
    rcc.on_clocks = lambda: told.append(rcc.hclk_hz)
    rcc.write(0x04, 4, pll)
    rcc.write(0x00, 4, control)
    rcc.write(0x08, 4, configuration)
    assert rcc.hclk_hz == hertz and (told[-1:] or [16_000_000]) == [hertz]


@pytest.mark.parametrize(("ppre", "timers"), [
    (0, (16_000_000, 16_000_000)), (4, (16_000_000, 16_000_000)), (5 | 4 << 3, (8_000_000, 16_000_000)),
    (7 | 6 << 3, (2_000_000, 4_000_000)),
])
def test_timers_run_at_twice_a_divided_apb_clock(machine: FakeMachine, ppre: int, timers: tuple[int, int]) -> None:
    rcc = Rcc(machine)
    rcc.write(0x08, 4, ppre << 10)
    assert rcc.timer_hz == timers


def test_timer_goes_on_at_a_new_frequency(machine: FakeMachine) -> None:
    block = timer(machine, 83, 999)
    machine.pass_time(400 * US)
    block.set_frequency(42_000_000)
    machine.pass_time(100 * US)
    assert block.read(TIM_CNT, 4) == 450


def test_systick_and_cycle_counter_follow_hclk(machine: FakeMachine) -> None:
    timer, fired = systick(machine)
    timer.set_frequency(16_000_000)
    timer.write(SYST_RVR, 15_999)
    timer.write(SYST_CVR, 0)
    timer.write(SYST_CSR, 7)
    machine.pass_time(2 * MS)
    assert fired == [168_000, 336_000]
    timer.set_frequency(168_000_000)
    pass_cycles(machine, 16_000)
    assert fired[2:] == [352_000]
    counter = Dwt(machine, 168_000_000)
    counter.write(0x00, 4, 1)
    start = counter.read(0x04, 4)
    machine.pass_time(1 * MS)
    assert counter.read(0x04, 4) - start == 168_000
    counter.set_frequency(16_000_000)
    assert counter.read(0x04, 4) - start == 168_000
    machine.pass_time(1 * MS)
    assert counter.read(0x04, 4) - start == 184_000
