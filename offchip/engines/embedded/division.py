# SPDX-License-Identifier: Apache-2.0
"""Divisions while a divisor of 0 is trapped: the core does not decode them, and ``native/divide.c`` carries them out.

A divisor of 0 ends the slice, as every division does where there is no C compiler.
"""

from __future__ import annotations

import ctypes

from unicorn.unicorn_const import UC_HOOK_INSN_INVALID
from unicorn.unicorn_py3.unicorn import Uc, uclib

from offchip.engines.embedded.hooks import add_hook
from offchip.engines.embedded.native import library
from offchip.engines.embedded.register_file import it_state_of, registers_of


class _Divider(ctypes.Structure):
    """``struct divider`` of native/divide.c."""

    _fields_ = (("registers", ctypes.c_void_p), ("it", ctypes.c_void_p),
                ("counter", ctypes.c_void_p), ("limit", ctypes.c_void_p), ("read", ctypes.c_void_p),
                ("on", ctypes.c_uint32))


class QuickDivision:
    """Of one core.

    Args:
        counter, limit: Unicorn's count of instructions in a slice, and how many there may be.
    """

    def __init__(self, uc: Uc, counter: ctypes.c_size_t, limit: ctypes.c_size_t) -> None:
        self._state = _Divider()
        native, registers, it = library(), registers_of(uc), it_state_of(uc)
        if native is None or not isinstance(registers, ctypes.Array) or not isinstance(it, ctypes.c_uint32):
            return
        state = self._state
        state.registers, state.it = ctypes.addressof(registers), ctypes.addressof(it)
        state.counter, state.limit = ctypes.addressof(counter), ctypes.addressof(limit)
        state.read = ctypes.cast(uclib.uc_mem_read, ctypes.c_void_p)
        add_hook(uc, UC_HOOK_INSN_INVALID, native.divide, argument=ctypes.addressof(state))

    def turn(self, on: bool) -> None:
        """Whether to carry them out."""
        self._state.on = on
