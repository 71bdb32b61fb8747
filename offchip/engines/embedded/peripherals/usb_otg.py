# SPDX-License-Identifier: Apache-2.0
"""USB OTG FS and HS (RM0090 34.16, 35.12) with nothing plugged in: registers answer, the bus is silent for ever."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import FOREVER, Machine
from offchip.engines.embedded.peripherals.stand_in import StandIn

GOTGCTL, GAHBCFG, GUSBCFG, GRSTCTL, GINTSTS, GINTMSK, GRXSTSR, GRXSTSP = (
    0x000, 0x008, 0x00C, 0x010, 0x014, 0x018, 0x01C, 0x020)
DSTS = 0x808
GOTGCTL_CIDSTS = 1 << 16
GUSBCFG_FHMOD = 1 << 29
GRSTCTL_AHBIDL = 1 << 31
CMOD, EMPTY = 1, 0x04000020
#: registers that are not 0 after a reset: (FS, HS)
_RESET = {GUSBCFG: (0x00001440, 0x00001400), GINTMSK: (0, 0), 0x024: (0x200, 0x400), 0x028: (0x02000200, 0x04000400),
          0x02C: (0x00080200, 0x00080400), 0x03C: (0x00001200, 0x00001100), 0x040: (0x4F54281A, 0x4F54281A),
          0x048: (0x229DCD20, 0x229ED590), 0x04C: (0x020001E8, 0x03F403E8), 0x050: (0x0FF08030, 0x17F00030),
          0x100: (0x02000600, 0x02000600), 0x404: (60000, 60000), 0x800: (0x02200000, 0x02200000),
          **{0x918 + 0x20 * n: (0x200, 0x200) for n in range(6)}, DSTS: (0x10, 0x10)}


class UsbOtg(StandIn):
    """Device: never reset, never enumerated. Host: no device on the port. Only mode, resets and flushes act."""

    model_name = "Offchip.UsbOtg"
    size = 0x1000  # the FIFOs behind it carry nothing while nothing is attached

    def __init__(self, machine: Machine, high_speed: bool = False) -> None:
        super().__init__(machine)
        self._which = int(high_speed)
        self.reset()

    def reset(self) -> None:
        self._words = {offset: values[self._which] for offset, values in _RESET.items()}

    def _mode(self) -> int:
        return CMOD if self._words[GUSBCFG] & GUSBCFG_FHMOD else 0

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset == GRSTCTL:
            return GRSTCTL_AHBIDL
        if offset == GINTSTS:
            return EMPTY | self._mode()
        if offset == GOTGCTL:
            return self._words.get(offset, 0) | GOTGCTL_CIDSTS
        return self._words.get(offset, 0)

    def write_word(self, offset: int, value: int) -> None:
        self.say("USB OTG: nothing is plugged in; a device is never enumerated, a host finds none")
        if offset == GRSTCTL:
            if value & 1:  # CSRST; what selects PHY and mode stays (34.16.2)
                kept = self._words[GUSBCFG]
                self.reset()
                self._words[GUSBCFG] = kept
        elif offset not in (GINTSTS, GRXSTSR, GRXSTSP, DSTS):
            self._words[offset] = value
        self.irq.set(bool(self._words.get(GAHBCFG, 0) & 1 and self.read_word(GINTSTS) & self._words[GINTMSK] & EMPTY))
