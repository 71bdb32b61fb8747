# SPDX-License-Identifier: Apache-2.0
"""R0 to R15 where Unicorn itself keeps them: between two slices they are read without a call into the library."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import MutableSequence
from functools import cache
from typing import Protocol

from unicorn import UC_ARCH_ARM, UC_HOOK_INTR, UC_MODE_MCLASS, UC_MODE_THUMB
from unicorn import arm_const as arm
from unicorn.unicorn_py3.unicorn import Uc

_WORD = ctypes.sizeof(ctypes.c_size_t)
_STRUCTURE, _CORE = 4096, 1 << 16  # bytes of Unicorn's structure, and of the core's, that are looked at
_WORDS = 8192  # of the core from R0 on, in which more of it is looked for
#: ID_ISAR0 to 4 of the core Unicorn takes for every M profile (Cortex-M33 TRM, table of the identification registers)
_ISAR = (0x01101110, 0x02212000, 0x20232232, 0x01111131, 0x01310132)
DIVIDE_INSTRS = 0xF << 24  # of ID_ISAR0 (ARMv7-M ARM B4.1.14)
#: in the upper half of the features Unicorn's core says it has: the Main Extension of ARMv8-M
MAIN_EXTENSION = 1 << 6
_V7, _M_PROFILE = 1 << 5, 1 << 9  # in the lower half
_IDS = (*(getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR,
        arm.UC_ARM_REG_PC)

#: and a value each can have
_MASKS = ((arm.UC_ARM_REG_PRIMASK, 1), (arm.UC_ARM_REG_BASEPRI, 0xA0), (arm.UC_ARM_REG_FAULTMASK, 1))


def bare_core() -> Uc:
    """A core of our kind with nothing around it, to be looked into."""
    uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
    return uc


def registers_of(uc: Uc) -> MutableSequence[int] | ctypes.Array[ctypes.c_uint32]:
    """The sixteen core registers. PC is without the thumb bit; it is only to be written before another start."""
    at = core_address(uc)
    return _Called(uc) if at is None else (ctypes.c_uint32 * 16).from_address(at)


def _word(uc: Uc, number: int | None) -> ctypes.c_uint32 | None:
    """The word ``number`` of the core, counted from R0 on; None: not to be found."""
    at = core_address(uc)
    return None if at is None or number is None else ctypes.c_uint32.from_address(at + 4 * number)


def core_words(uc: Uc) -> tuple[int, ...]:
    """What the core holds from R0 on; nothing: not to be found."""
    at = core_address(uc)
    return () if at is None else struct.unpack(f"<{_WORDS}I", ctypes.string_at(at, 4 * _WORDS))


def core_address(uc: Uc) -> int | None:
    """Where in this process R0 of the core is, and behind it the rest of the core; None: not to be found."""
    places = _places()
    return None if places is None else ctypes.c_size_t.from_address(_address(uc) + places[0]).value + places[1]


class ItState(Protocol):
    """The bits of the IT block the core is in; 0: in none."""

    value: int


def it_state_of(uc: Uc) -> ItState:
    """The core's IT state, to be looked at and cleared inside an access."""
    word = _word(uc, _it_place())
    return _CalledIt(uc) if word is None else word


MaskWords = tuple[ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32]


def mask_words_of(uc: Uc) -> MaskWords | None:
    """PRIMASK, BASEPRI and FAULTMASK of the core, to be looked at; None: not to be found."""
    primask, basepri, faultmask = (_word(uc, place_of(register, value)) for register, value in _MASKS)
    return None if primask is None or basepri is None or faultmask is None else (primask, basepri, faultmask)


@cache
def place_of(register: int, value: int) -> int | None:
    """Which word of the core becomes ``value`` with this register, and it alone; None: not to be found."""
    uc = bare_core()
    uc.reg_write(arm.UC_ARM_REG_PC, 1)
    before = core_words(uc)
    uc.reg_write(register, value)
    found = [number for number, word in enumerate(core_words(uc)) if word != before[number] and word == value]
    return found[0] if len(found) == 1 else None


class _CalledIt:
    """The same by Unicorn's functions."""

    def __init__(self, uc: Uc) -> None:
        self._uc = uc

    @property
    def value(self) -> int:
        flags = int(self._uc.reg_read(arm.UC_ARM_REG_CPSR))
        return flags >> 8 & 0xFC | flags >> 25 & 3

    @value.setter
    def value(self, bits: int) -> None:
        self._uc.reg_write(arm.UC_ARM_REG_CPSR, _with_it(int(self._uc.reg_read(arm.UC_ARM_REG_CPSR)), bits))


def divide_feature_of(uc: Uc) -> ctypes.c_uint32 | None:
    """The core's ID_ISAR0, whose field Divide_instrs decides whether SDIV and UDIV are decoded; None: not to be found.

    What was translated before it changed must be flushed.
    """
    return _word(uc, _isar_place())


def control_of(uc: Uc) -> ctypes.c_uint32 | None:
    """CONTROL; None: not to be found."""
    return _word(uc, place_of(arm.UC_ARM_REG_CONTROL, 1))


def main_extension_of(uc: Uc) -> ctypes.c_uint32 | None:
    """The word with :data:`MAIN_EXTENSION`, without which code is translated with each access checked for alignment;
    None: not to be found.
    """
    return _word(uc, _features_place())


@cache
def _features_place() -> int | None:
    """Which word of the core has that bit: the one that makes an unaligned load fault; None: not to be found."""
    uc = bare_core()
    uc.reg_write(arm.UC_ARM_REG_PC, 1)
    words = core_words(uc)
    wanted = _V7 | _M_PROFILE
    found = [number + 1 for number, (low, high) in enumerate(zip(words, words[1:], strict=False))
             if low & wanted == wanted and high & MAIN_EXTENSION and high < 2 * MAIN_EXTENSION]
    return found[0] if len(found) == 1 and _faults_without(found[0]) else None


def _faults_without(number: int) -> bool:
    uc = bare_core()
    uc.mem_map(0, 0x1000)
    uc.mem_write(0, b"\x08\x68" * 2)  # ldr r0, [r1]
    uc.reg_write(arm.UC_ARM_REG_R1, 0x101)
    faults: list[int] = []

    def interrupted(core: Uc, number: int, data: object) -> None:
        faults.append(number)
        core.emu_stop()

    uc.hook_add(UC_HOOK_INTR, interrupted)
    if (word := _word(uc, number)) is None:
        return False
    for value in (word.value, word.value & ~MAIN_EXTENSION):
        word.value = value
        uc.ctl_flush_tb()
        uc.emu_start(1, 0x1000, count=1)
    return len(faults) == 1


@cache
def _isar_place() -> int | None:
    """Which word of the core is the first of the five ID_ISAR registers, by their content; None: not to be found."""
    uc = bare_core()
    uc.reg_write(arm.UC_ARM_REG_PC, 1)
    words = core_words(uc)
    found = [number for number in range(len(words)) if words[number:number + len(_ISAR)] == _ISAR]
    return found[0] if len(found) == 1 else None


def _with_it(flags: int, bits: int) -> int:
    """xPSR with other ICI/IT bits (ARMv7-M ARM B1.4.2)."""
    return flags & ~0x0600FC00 | (bits & 0xFC) << 8 | (bits & 3) << 25


@cache
def _it_place() -> int | None:
    """Which word of the core is its IT state, found by what changes with it; None: not to be found."""
    uc = bare_core()
    uc.reg_write(arm.UC_ARM_REG_PC, 1)
    flags = int(uc.reg_read(arm.UC_ARM_REG_CPSR))
    found: set[int] | None = None
    for bits in (0xA4, 0x5C, 0xC9, 0x00):
        uc.reg_write(arm.UC_ARM_REG_CPSR, _with_it(flags, bits))
        here = {number for number, word in enumerate(core_words(uc)) if word == bits}
        found = here if found is None else found & here
    return found.pop() if found is not None and len(found) == 1 else None


class _Called(MutableSequence[int]):
    """The same by Unicorn's functions, where its memory cannot be looked at."""

    def __init__(self, uc: Uc) -> None:
        self._uc = uc

    def __len__(self) -> int:
        return len(_IDS)

    def __getitem__(self, number: int) -> int:  # type: ignore[override]  # no slices
        value = int(self._uc.reg_read(_IDS[number]))
        return value & ~1 if number == 15 else value

    def __setitem__(self, number: int, value: int) -> None:  # type: ignore[override]
        self._uc.reg_write(_IDS[number], value | 1 if number == 15 else value)

    def __delitem__(self, number: object) -> None:
        raise TypeError("a core has sixteen registers")

    def insert(self, index: int, value: int) -> None:
        raise TypeError("a core has sixteen registers")


def _address(uc: Uc) -> int:
    return ctypes.cast(uc._uch, ctypes.c_void_p).value or 0


@cache
def _places() -> tuple[int, int] | None:
    """Where Unicorn's structure points at the core, and where in there the registers are; None: not to be found.

    Found by what two cores with other contents hold at the same place; /proc lets a wrong guess fail instead of crash.
    """
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        first, second = _candidates(memory, 0x5A17_0001), _candidates(memory, 0x3C2B_0101)
    finally:
        os.close(memory)
    both = sorted(first & second)
    return both[0] if both else None


def _candidates(memory: int, seed: int) -> set[tuple[int, int]]:
    uc = bare_core()
    values = [seed + 0x01010104 * n & 0x7FFFFFFC for n in range(16)]
    for register, value in zip(_IDS, values, strict=True):
        uc.reg_write(register, value | 1 if register == arm.UC_ARM_REG_PC else value)
    pattern = struct.pack("<16I", *values)
    found = set()
    structure = ctypes.string_at(_address(uc), _STRUCTURE)
    for at in range(0, _STRUCTURE, _WORD):
        target = int.from_bytes(structure[at:at + _WORD], "little")
        try:
            content = os.pread(memory, _CORE, target)
        except (OSError, OverflowError):
            continue
        if (offset := content.find(pattern)) >= 0:
            found.add((at, offset))
    return found
