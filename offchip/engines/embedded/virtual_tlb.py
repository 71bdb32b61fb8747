# SPDX-License-Identifier: Apache-2.0
"""Which pages Unicorn may access without asking: the virtual TLB of the embedded engine.

Unicorn takes the slow path for every store to a page that is executable, because the store might change code. Here a
page of RAM becomes executable when something is fetched from it, so the stores to data and stacks stay fast.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from unicorn.unicorn_const import (
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH,
    UC_PROT_ALL,
    UC_PROT_READ,
    UC_PROT_WRITE,
    UC_TLB_VIRTUAL,
)
from unicorn.unicorn_py3.unicorn import HOOK_TLB_FILL_CFUNC, Uc, UcError, uclib

#: Unicorn's page of an M-profile core
PAGE_SIZE = 0x400
#: ICI/IT bits of xPSR (ARMv7-M ARM B1.4.2)
_IT = 0x0600FC00


class VirtualTlb:
    """The translation from virtual to physical addresses is the identity; only the permissions are decided here.

    Args:
        uc: the core.
        read_flags, write_flags: its CPSR.
        on_code: told each page of memory before the first instruction of it is translated.
    """

    def __init__(self, uc: Uc, read_flags: Callable[[], int], write_flags: Callable[[int], None],
                 on_code: Callable[[int], None]) -> None:
        self._read_flags = read_flags
        self._write_flags = write_flags
        self._on_code = on_code
        self._ram: list[range] = []
        self._data: dict[int, int] = {}  # permissions of pages of RAM nothing was fetched from yet
        self._code: set[int] = set()
        #: the page a fetch was refused from
        self.refused: int | None = None
        self._never_execute: list[range] = []
        self._uc = uc
        uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)
        self._callback = HOOK_TLB_FILL_CFUNC(self._fill)
        self._hook = ctypes.c_size_t()
        # Unicorn's own layer for this hook cannot return an address and permissions from a plain function
        status = uclib.uc_hook_add(uc._uch, ctypes.byref(self._hook), UC_HOOK_TLB_FILL, self._callback, None,
                                   ctypes.c_uint64(1), ctypes.c_uint64(0))
        if status:
            raise UcError(status)

    def add_ram(self, start: int, length: int) -> None:
        """Stores to this memory may change code the core has translated."""
        self._ram.append(range(start, start + length))
        self._data.update(dict.fromkeys(range(start, start + length, PAGE_SIZE), UC_PROT_READ | UC_PROT_WRITE))

    def remove_ram(self, start: int, length: int) -> None:
        """The memory is mapped there no longer."""
        self._ram = [memory for memory in self._ram if memory.start != start]
        for page in range(start, start + length, PAGE_SIZE):
            self._data.pop(page, None)
        self.flush()

    def never_execute(self, start: int, length: int) -> None:
        """No instruction bus leads here; a fetch is refused."""
        self._never_execute.append(range(start, start + length))

    def _fill(self, handle: int, page: int, access: int, entry: ctypes._Pointer[ctypes.Structure],
              data: int) -> bool:
        entry[0].paddr = page
        if access == UC_MEM_FETCH:
            return self._fetch(page, entry)
        # an access in the middle of a block brought the IT state of its instruction back, for the case that it
        # faults; going on in the block, that state is stale
        flags = self._read_flags()
        if flags & _IT:
            self._write_flags(flags & ~_IT)
        entry[0].perms = self._data.get(page, UC_PROT_ALL)
        return True

    def _fetch(self, page: int, entry: ctypes._Pointer[ctypes.Structure]) -> bool:
        if any(page in memory for memory in self._never_execute):
            self.refused = page
            return False
        entry[0].perms = UC_PROT_ALL
        if page not in self._code:
            self._code.add(page)
            self._on_code(page)
            if self._data.pop(page, None) is not None:
                self.flush()  # entries of the other privilege would let stores pass unseen
        return True

    def executed(self, address: int) -> bool:
        """Whether the core may hold a translation of this address."""
        return address & -PAGE_SIZE in self._code

    def forget_code(self, start: int, end: int) -> None:
        """The bytes from ``start`` up to ``end`` changed; they are looked at anew when they are executed."""
        stale = {page for page in self._code if start - PAGE_SIZE < page < end}
        if not stale:
            return
        self._code -= stale
        self._data.update((page, UC_PROT_READ | UC_PROT_WRITE) for page in stale
                          if any(page in memory for memory in self._ram))
        self.flush()

    def flush(self) -> None:
        """Ask again for every page."""
        self._uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)
