# SPDX-License-Identifier: Apache-2.0
"""Memory protection unit of the Cortex-M4 (ARMv7-M ARM B3.5): eight regions, looked at by pages of 1 KB."""

from __future__ import annotations

from collections.abc import Callable

from unicorn.unicorn_const import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_NONE, UC_PROT_READ, UC_PROT_WRITE

TYPE, CTRL, RNR, RBAR, RASR, LAST = 0xD90, 0xD94, 0xD98, 0xD9C, 0xDA0, 0xDB8
ENABLE, HFNMIENA, PRIVDEFENA = 1, 2, 4
RBAR_VALID, RASR_ENABLE, RASR_XN = 1 << 4, 1, 1 << 28
REGIONS = 8
PAGE = 0x400
_RW, _RO = UC_PROT_READ | UC_PROT_WRITE, UC_PROT_READ
#: AP -> permissions of (privileged, unprivileged), table B3-15
_ACCESS = ((0, 0), (_RW, 0), (_RW, _RO), (_RW, _RW), (0, 0), (_RO, 0), (_RO, _RO), (_RO, _RO))


class Mpu:
    """Registers and the decision; the core says when it matters."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.reset()

    def reset(self) -> None:
        self.control = self._number = 0
        self._rbar = [0] * REGIONS
        self._rasr = [0] * REGIONS

    def read(self, offset: int) -> int:
        if offset == TYPE:
            return REGIONS << 8
        if offset == CTRL:
            return self.control
        if offset == RNR:
            return self._number
        return (self._rasr if (offset - RBAR) // 4 % 2 else self._rbar)[self._number]

    def write(self, offset: int, value: int) -> None:
        if offset == CTRL:
            self.control = value & 7
        elif offset == RNR:
            self._number = value & 7
        elif offset >= RBAR and (offset - RBAR) // 4 % 2:
            self._rasr[self._number] = value & 0x173FFF3F
        elif offset >= RBAR:
            if value & RBAR_VALID:
                self._number = value & 7
            self._rbar[self._number] = value & 0xFFFFFFE0 | self._number
        self._on_change()

    def permissions(self, page: int, privileged: bool, urgent: bool) -> int:
        """What may be done with a page (UC_PROT bits). ``urgent``: the execution priority is below 0.

        A page that lies in several regions, or in subregions of which some are off, gets what any of them allows.
        """
        if not self.control & ENABLE or urgent and not self.control & HFNMIENA or page >= 0xE0000000:
            return int(UC_PROT_ALL)
        found = UC_PROT_NONE
        for address in range(page, page + PAGE, self._grain(page)):
            found |= self._at(address, privileged)
        return found

    def _grain(self, page: int) -> int:
        """The smallest piece of this page that regions tell apart."""
        grain = PAGE
        for number in range(REGIONS):
            size, base = self._extent(number)
            if size and base < page + PAGE and page < base + size:
                grain = min(grain, max(32, size // 8 if size >= 256 else size))
        return grain

    def _extent(self, number: int) -> tuple[int, int]:
        """(size, base) of a region; size 0 when it is off."""
        rasr = self._rasr[number]
        size = 1 << (rasr >> 1 & 0x1F) + 1
        if not rasr & RASR_ENABLE or size < 32:
            return 0, 0
        return size, self._rbar[number] & ~31 & -size & 0xFFFFFFFF

    def _at(self, address: int, privileged: bool) -> int:
        for number in reversed(range(REGIONS)):
            size, base = self._extent(number)
            if not size or not base <= address < base + size:
                continue
            rasr = self._rasr[number]
            if size >= 256 and rasr >> 8 + (address - base) * 8 // size & 1:
                continue  # this subregion is off
            found = _ACCESS[rasr >> 24 & 7][0 if privileged else 1]
            return found | (UC_PROT_EXEC if found & UC_PROT_READ and not rasr & RASR_XN else 0)
        return int(UC_PROT_ALL) if privileged and self.control & PRIVDEFENA else 0
