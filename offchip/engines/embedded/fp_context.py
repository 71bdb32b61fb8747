# SPDX-License-Identifier: Apache-2.0
"""What Unicorn's core knows of the FPU and of exclusive accesses and its interface does not show.

Unicorn saves the FP registers by itself, to FPCAR, before the first FP instruction while FPCCR.LSPACT is set, and
starts a new context with FPDSCR while ASPEN is set (ARMv7-M ARM B1.5.7, B1.5.20); it never denies access. The words are
found once by what changes with them; where they cannot be found, frames are stacked at once.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

from unicorn import arm_const as arm
from unicorn.unicorn_py3.unicorn import Uc

from offchip.engines.embedded.register_file import bare_core, core_address, core_words, place_of

ASPEN, LSPEN, LSPACT = 1 << 31, 1 << 30, 1
_SECURE_BANK = 4  # FPCCR.S: Unicorn's core is one of ARMv8-M in its secure state
_DENIED = 1 << 22  # FPEXC_EL of the flags a translated block is looked up by
_NOBODY = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Places:
    """Word numbers from R0 on."""

    flags: int
    fpcar: int
    fpccr: int
    fpdscr: int
    cpacr: int
    exclusive: int


class FpContext:
    """The FPU's share of the exception model, and the local monitor.

    Attributes:
        found: whether the words below are there.
    """

    def __init__(self, uc: Uc) -> None:
        places, at = _places(), core_address(uc)
        self.found = places is not None and at is not None
        self.denied = False
        if places is None or at is None:
            return

        def word(number: int) -> ctypes.c_uint32:
            return ctypes.c_uint32.from_address(at + 4 * number)

        self._flags, self._fpcar, self._fpccr = word(places.flags), word(places.fpcar), word(places.fpccr)
        self._fpdscr = word(places.fpdscr)
        self._exclusive = ctypes.c_uint64.from_address(at + 4 * places.exclusive)
        word(places.cpacr).value = 0xF << 20  # of the context that is saved: the rights at that time are not kept

    @property
    def control(self) -> int:
        """FPCCR."""
        return self._fpccr.value & (ASPEN | LSPEN | LSPACT) if self.found else ASPEN

    @control.setter
    def control(self, value: int) -> None:
        if self.found:
            self._fpccr.value = value & (ASPEN | LSPEN | LSPACT) | _SECURE_BANK

    @property
    def address(self) -> int:
        """FPCAR."""
        return self._fpcar.value if self.found else 0

    @address.setter
    def address(self, value: int) -> None:
        if self.found:
            self._fpcar.value = value & ~7

    def set_default(self, fpdscr: int) -> None:
        """FPDSCR: what FPSCR begins a context with."""
        if self.found:
            self._fpdscr.value = fpdscr

    def reserve(self, frame: int) -> bool:
        """On entry with FP state: remember where it is to be saved. False: it is to be saved now."""
        if not self.found or not self._fpccr.value & LSPEN:
            return False
        self._fpcar.value = frame + 0x20
        self._fpccr.value |= LSPACT
        return True

    def still_there(self) -> bool:
        """On return to FP state: nobody touched the registers, so nothing is to be loaded."""
        if not self.found or not self._fpccr.value & LSPACT:
            return False
        self._fpccr.value &= ~LSPACT
        return True

    def deny(self) -> None:
        """Before each start of the core while it is :attr:`denied`: FP instructions end in NOCP."""
        if self.found:
            self._flags.value |= _DENIED

    def give(self, access: bool) -> None:
        """CPACR lets it be used, or does not."""
        self.denied = not access
        if access and self.found:
            self._flags.value &= ~_DENIED

    def clear_exclusive(self) -> None:
        """Exception entry and return (B1.5.6, B1.5.8)."""
        if self.found:
            self._exclusive.value = _NOBODY


@cache
def _places() -> _Places | None:
    """None: not to be found, in this version of Unicorn."""
    flags = _changed("80f31488", arm.UC_ARM_REG_R0, 1)  # MSR CONTROL, R0: the memory's rights are among the flags
    control = place_of(arm.UC_ARM_REG_CONTROL, 1)
    basepri = place_of(arm.UC_ARM_REG_BASEPRI, 0xA0)
    exclusive = _exclusive_place()
    if flags is None or exclusive is None or control is None or basepri is None or control - basepri != 2:
        return None
    # of each pair the second: struct CPUARMState.v7m, as BASEPRI and CONTROL are in this order
    places = _Places(flags, basepri + 32, basepri + 34, basepri + 36, basepri + 38, exclusive)
    words = core_words(_probe(b""))
    return places if words[places.fpccr - 1:places.fpccr + 1] == (ASPEN, ASPEN | LSPEN | _SECURE_BANK) else None


def _probe(code: bytes) -> Uc:
    uc = bare_core()
    uc.mem_map(0, 0x1000)
    uc.mem_map(0x20000000, 0x1000)
    uc.mem_write(0, code + b"\x00\xbf" * 16)
    uc.reg_write(arm.UC_ARM_REG_PC, 1)
    return uc


def _run(code: str, register: int, value: int) -> tuple[int, ...]:
    uc = _probe(bytes.fromhex(code))
    uc.reg_write(register, value)
    uc.emu_start(1, 0xFFFFFFFF, count=2)
    return core_words(uc)


def _changed(code: str, register: int, value: int) -> int | None:
    """The one word behind the registers in which only bit 24 depends on what the instruction was given."""
    pairs = zip(_run(code, register, 0), _run(code, register, value), strict=True)
    found = [number for number, (before, after) in enumerate(pairs) if before ^ after == 1 << 24 and number >= 16]
    return found[0] if len(found) == 1 else None


def _exclusive_place() -> int | None:
    found: set[int] | None = None
    for address in (0x20000124, 0x20000A58):
        words = _run("50e8001f", arm.UC_ARM_REG_R0, address)  # LDREX R1, [R0]
        here = {n for n in range(16, len(words) - 1) if not n % 2 and words[n:n + 2] == (address, 0)}
        found = here if found is None else found & here
    return found.pop() if found is not None and len(found) == 1 else None
