# SPDX-License-Identifier: Apache-2.0
"""Reset and clock control (RM0090 7.3, the registers of STM32F405/407)."""

from __future__ import annotations

from collections.abc import Callable

from offchip.engines.embedded.peripheral import FOREVER, Machine, model
from offchip.engines.embedded.peripherals.pwr import backup_writable
from offchip.engines.embedded.peripherals.registers import WordRegisters
from offchip.engines.embedded.peripherals.rtc import Rtc

CR, PLLCFGR, CFGR, CIR, BDCR, CSR = 0x00, 0x04, 0x08, 0x0C, 0x70, 0x74

# CR, 7.3.1: enable bit -> ready bit
HSION, HSEON, PLLON, PLLI2SON = 1 << 0, 1 << 16, 1 << 24, 1 << 26
CR_WRITABLE = 0x050D00F9  # HSION HSITRIM HSEON HSEBYP CSSON PLLON PLLI2SON
CR_RESET = 0x00000081
PLLCFGR_PLLSRC_HSE = 1 << 22

# CFGR, 7.3.3
CFGR_SW = 0x3
CFGR_WRITABLE = 0xFFFFFCF3
SOURCE_OF_SW = (HSION, HSEON, PLLON)

# CIR, 7.3.4: LSIRDYF LSERDYF HSIRDYF HSERDYF PLLRDYF PLLI2SRDYF in bits 0..5, their enables 8 above, clears 16 above
CIR_FLAGS, CIR_ENABLES, CIR_CSS = 0x3F, 0x3F00, 1 << 7

# BDCR, 7.3.20
BDCR_LSEON, BDCR_LSERDY, BDCR_RTCEN, BDCR_BDRST = 1 << 0, 1 << 1, 1 << 15, 1 << 16
BDCR_RTCSEL = 0x300
BDCR_WRITABLE = 0x8305

# CSR, 7.3.21
CSR_LSION, CSR_LSIRDY, CSR_RMVF = 1 << 0, 1 << 1, 1 << 24
CSR_BORRSTF, CSR_PINRSTF, CSR_PORRSTF = 1 << 25, 1 << 26, 1 << 27
CSR_SFTRSTF, CSR_IWDGRSTF, CSR_WWDGRSTF = 1 << 28, 1 << 29, 1 << 30
#: every internal reset source also pulls NRST, so PINRSTF joins in
RESET_FLAGS = {
    "power-on": CSR_PORRSTF | CSR_PINRSTF | CSR_BORRSTF,
    "pin": CSR_PINRSTF,
    "software": CSR_SFTRSTF | CSR_PINRSTF,
    "watchdog": CSR_IWDGRSTF | CSR_PINRSTF,
    "window-watchdog": CSR_WWDGRSTF | CSR_PINRSTF,
}

#: registers that only store: offset -> (writable bits, value after reset)
STORAGE = {
    PLLCFGR: (0x0F437FFF, 0x24003010),
    0x10: (0x226011FF, 0),  # AHB1RSTR
    0x14: (0x000000F1, 0),  # AHB2RSTR
    0x18: (0x00000001, 0),  # AHB3RSTR
    0x20: (0x36FEC9FF, 0),  # APB1RSTR
    0x24: (0x00075933, 0),  # APB2RSTR
    0x30: (0x7E7411FF, 0x00100000),  # AHB1ENR
    0x34: (0x000000F1, 0),  # AHB2ENR
    0x38: (0x00000001, 0),  # AHB3ENR
    0x40: (0x36FEC9FF, 0),  # APB1ENR
    0x44: (0x00075F33, 0),  # APB2ENR
    0x50: (0x7E6791FF, 0x7E6791FF),  # AHB1LPENR
    0x54: (0x000000F1, 0x000000F1),  # AHB2LPENR
    0x58: (0x00000001, 0x00000001),  # AHB3LPENR
    0x60: (0x36FEC9FF, 0x36FEC9FF),  # APB1LPENR
    0x64: (0x00075F33, 0x00075F33),  # APB2LPENR
    0x80: (0xEFFFFFFF, 0),  # SSCGR
    0x84: (0x70007FC0, 0x20003000),  # PLLI2SCFGR
}

LSE_HZ, LSI_HZ, HSI_HZ = 32_768, 32_000, 16_000_000
#: AHB divider by CFGR.HPRE from 8 on
HPRE = (2, 4, 8, 16, 64, 128, 256, 512)


@model("Miscellaneous.STM32F4_RCC")
class Rcc(WordRegisters):
    """Clock tree and reset flags: an oscillator is ready as soon as it is enabled.

    Args:
        rtc_peripheral: the RTC, which gets its clock from BDCR.
        hse_frequency: crystal on the board, Hz; what HSE gives.

    Clock gates and peripheral resets are stored and do not act. SysTick, CYCCNT, timers and USARTs follow the clock
    tree; the core always executes at the rate of the machine.
    """

    def __init__(self, machine: Machine, rtc_peripheral: Rtc | None = None, hse_frequency: int = 8_000_000) -> None:
        super().__init__(machine)
        self._rtc = rtc_peripheral
        self._hse_hz = hse_frequency
        self._bdcr = 0
        self._reset_flags = 0
        #: called whenever HCLK or the clock of the timers changes
        self.on_clocks: Callable[[], None] = lambda: None
        self._clocks: tuple[int, ...] = ()
        self.reset()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Backup domain and reset flags are not touched by a system reset."""
        self._cr = CR_RESET
        self._cfgr = 0
        self._sws = 0
        self._cir_flags = 0
        self._cir_enables = 0
        self._lsi_on = 0
        self._stored = {offset: value for offset, (_, value) in STORAGE.items()}
        self._was_ready = self._ready_flags()
        self._update_rtc()
        self._update_clocks()
        self.irq.set(False)

    def note_reset(self, cause: str) -> None:
        """Raise the flags of a reset, one of :data:`RESET_FLAGS`; RMVF clears them."""
        if cause == "power-on":
            self._reset_flags = 0
        self._reset_flags |= RESET_FLAGS[cause]

    def power_off(self) -> None:
        """Only what VBAT feeds goes on: the RTC, if the LSE drives it."""
        self._cr = 0
        self._lsi_on = 0
        self._update_rtc()

    def wake_from_stop(self) -> None:
        """HSI drives the chip; HSE and the PLLs are off (5.3.5)."""
        self._cr = self._cr & ~(HSEON | PLLON | PLLI2SON) | HSION
        self._cfgr &= ~CFGR_SW
        self._sws = 0
        self._settle()

    # registers -------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset == CR:
            return self._cr | self._ready_bits()
        if offset == CFGR:
            return self._cfgr | self._sws << 2
        if offset in self._stored:
            return self._stored[offset]
        if offset == CSR:
            return self._reset_flags | (CSR_LSION | CSR_LSIRDY if self._lsi_on else 0)
        if offset == BDCR:
            return self._bdcr | (BDCR_LSERDY if self._bdcr & BDCR_LSEON else 0)
        if offset == CIR:
            return self._cir_flags | self._cir_enables
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == CR:
            # the source of the system clock cannot be switched off
            self._cr = value & CR_WRITABLE | SOURCE_OF_SW[self._sws]
        elif offset == CFGR:
            self._cfgr = value & CFGR_WRITABLE
        elif offset == BDCR:
            self._write_backup_domain(value)
        elif offset == CSR:
            self._lsi_on = value & CSR_LSION
            if value & CSR_RMVF:
                self._reset_flags = 0
        elif offset == CIR:
            self._cir_enables = value & CIR_ENABLES
            self._cir_flags &= ~(value >> 16) & (CIR_FLAGS | CIR_CSS)
        elif offset in self._stored:
            writable = STORAGE[offset][0]
            self._stored[offset] = self._stored[offset] & ~writable | value & writable
        else:
            self.unmodelled(offset, 4, value)
            return
        self._settle()

    def _write_backup_domain(self, value: int) -> None:
        if not backup_writable(self.machine):
            return
        if value & BDCR_BDRST:
            self._bdcr = BDCR_BDRST
            if self._rtc is not None:
                self._rtc.backup_domain_reset()
            return
        if self._bdcr & BDCR_RTCSEL:  # chosen once; only BDRST takes it back
            value = value & ~BDCR_RTCSEL | self._bdcr & BDCR_RTCSEL
        self._bdcr = value & BDCR_WRITABLE

    # clocks ----------------------------------------------------------------------------------------------------
    def _settle(self) -> None:
        """Let clock switch, ready interrupts and RTC clock follow what was written."""
        wanted = self._cfgr & CFGR_SW
        if wanted < len(SOURCE_OF_SW) and self._ready_bits() & SOURCE_OF_SW[wanted] << 1:
            self._sws = wanted
        ready = self._ready_flags()
        self._cir_flags |= ready & ~self._was_ready & self._cir_enables >> 8
        self._was_ready = ready
        self._update_rtc()
        self._update_clocks()
        self.irq.set(bool(self._cir_flags & (self._cir_enables >> 8 | CIR_CSS)))

    def _ready_bits(self) -> int:
        """HSIRDY, HSERDY, PLLRDY and PLLI2SRDY: each one above its enable bit; a PLL needs its source."""
        on = self._cr
        source = HSEON if self._stored[PLLCFGR] & PLLCFGR_PLLSRC_HSE else HSION
        ready = on & (HSION | HSEON)
        if on & source:
            ready |= on & (PLLON | PLLI2SON)
        return ready << 1

    def _ready_flags(self) -> int:
        ready = self._ready_bits()
        order = (self._lsi_on, self._bdcr & BDCR_LSEON, *(ready & bit << 1 for bit in (HSION, HSEON, PLLON, PLLI2SON)))
        return sum(1 << n for n, bit in enumerate(order) if bit)

    @property
    def hclk_hz(self) -> int:
        """Clock of core, bus and SysTick as the clock tree is set (7.2)."""
        source = self._hse_hz if self._sws == 1 else HSI_HZ
        if self._sws == 2:
            pll = self._stored[PLLCFGR]
            if pll & PLLCFGR_PLLSRC_HSE:
                source = self._hse_hz
            source = source * (pll >> 6 & 0x1FF) // (max(pll & 0x3F, 1) * 2 * ((pll >> 16 & 3) + 1))
        divider = self._cfgr >> 4 & 0xF
        return max(1, source // (HPRE[divider - 8] if divider >= 8 else 1))

    @property
    def timer_hz(self) -> tuple[int, int]:
        """Clocks of the timers on APB1 and APB2: twice PCLK, unless the APB is not divided (7.2)."""
        first, second = self._apb_shifts()
        return self.hclk_hz >> max(0, first - 1), self.hclk_hz >> max(0, second - 1)

    @property
    def pclk_hz(self) -> tuple[int, int]:
        """PCLK1 and PCLK2, the clocks of the blocks on APB1 and APB2."""
        first, second = self._apb_shifts()
        return self.hclk_hz >> first, self.hclk_hz >> second

    def _apb_shifts(self) -> tuple[int, int]:
        """PPRE1 and PPRE2: 4 divides by 2, 7 by 16."""
        return max(0, (self._cfgr >> 10 & 7) - 3), max(0, (self._cfgr >> 13 & 7) - 3)

    def _update_clocks(self) -> None:
        clocks = self.hclk_hz, *self.timer_hz, *self.pclk_hz
        if clocks != self._clocks:
            self._clocks = clocks
            self.on_clocks()

    def _update_rtc(self) -> None:
        if self._rtc is not None:
            self._rtc.set_clock(self._rtc_hz() if self._bdcr & BDCR_RTCEN else 0)

    def _rtc_hz(self) -> int:
        selected = (self._bdcr & BDCR_RTCSEL) >> 8
        if selected == 1 and self._bdcr & BDCR_LSEON:
            return LSE_HZ
        if selected == 2 and self._lsi_on:
            return LSI_HZ
        divider = self._cfgr >> 16 & 0x1F
        if selected == 3 and self._cr & HSEON and divider >= 2:
            return self._hse_hz // divider
        return 0
