# SPDX-License-Identifier: Apache-2.0
"""Hooks for good, without the three calls Unicorn's own Python layer puts around each call of one."""

from __future__ import annotations

import ctypes
from typing import Any

from unicorn.unicorn_const import UC_ERR_OK
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib


def add_hook(uc: Uc, kind: int, callback: Any, first: int = 1, last: int = 0, argument: int | None = None) -> None:
    """Have ``callback``, a function of C kept by the caller, called from ``first`` to ``last`` (as given: everywhere).

    Raises:
        UcError: Unicorn refuses it.
    """
    handle = ctypes.c_size_t()
    status = uclib.uc_hook_add(uc._uch, ctypes.byref(handle), kind, callback, argument, ctypes.c_uint64(first),
                               ctypes.c_uint64(last))
    if status != UC_ERR_OK:
        raise UcError(status)
