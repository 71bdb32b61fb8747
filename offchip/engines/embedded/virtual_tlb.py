# SPDX-License-Identifier: Apache-2.0
"""Which pages Unicorn may access without asking: the virtual TLB of the embedded engine.

Unicorn takes the slow path for every store to a page that is executable, because the store might change code. Here a
page of RAM becomes executable when something is fetched from it, so the stores to data and stacks stay fast.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from unicorn.arm_const import UC_ARM_REG_R1
from unicorn.unicorn_const import (
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH,
    UC_MEM_WRITE,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    UC_TLB_VIRTUAL,
)
from unicorn.unicorn_py3.unicorn import HOOK_TLB_FILL_CFUNC, Uc, UcError

from offchip.engines.embedded.hooks import add_hook
from offchip.engines.embedded.register_file import bare_core, it_state_of
from offchip.errors import EngineError

#: Unicorn's page of an M-profile core
PAGE_SIZE = 0x400


class VirtualTlb:
    """The translation from virtual to physical addresses is the identity; only the permissions are decided here.

    Args:
        uc: the core.
        on_code: told each page of memory before the first instruction of it is translated.
    """

    def __init__(self, uc: Uc, on_code: Callable[[int], None]) -> None:
        self._it = it_state_of(uc)
        self._on_code = on_code
        self._ram: list[range] = []
        self._data: dict[int, int] = {}  # permissions of pages of RAM nothing was fetched from yet
        self._code: set[int] = set()
        #: what may be done with a page (the MPU's UC_PROT bits), asked at each fill; None: everything
        self.guard: Callable[[int], int] | None = None
        #: the access the guard refused
        self.forbidden: int | None = None
        #: the page a fetch was refused from
        self.refused: int | None = None
        self._never_execute: list[range] = []
        self._uc = uc
        uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)
        self._callback = HOOK_TLB_FILL_CFUNC(self._fill)
        # Unicorn's own layer for this hook cannot return an address and permissions from a plain function
        add_hook(uc, UC_HOOK_TLB_FILL, self._callback)

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
        if self._it.value:
            self._it.value = 0
        perms = self._data.get(page, UC_PROT_ALL)
        if page not in self._code:
            perms &= ~UC_PROT_EXEC  # its first fetch is to be seen, though it was read before
        if self.guard is not None:
            perms &= self.guard(page)
            if not perms & (UC_PROT_WRITE if access == UC_MEM_WRITE else UC_PROT_READ):
                self.forbidden = access
                return False
        entry[0].perms = perms
        return True

    def _fetch(self, page: int, entry: ctypes._Pointer[ctypes.Structure]) -> bool:
        if any(page in memory for memory in self._never_execute):
            self.refused = page
            return False
        entry[0].perms = UC_PROT_ALL if self.guard is None else self.guard(page)
        if not entry[0].perms & UC_PROT_EXEC:
            self.forbidden = UC_MEM_FETCH
            return False
        if page not in self._code:
            self._code.add(page)
            self._on_code(page)
            if self._data.pop(page, None) is not None:
                self.flush()  # entries of the other privilege would let stores pass unseen
        return True

    def executed(self, address: int) -> bool:
        """Whether the core may hold a translation of this address."""
        return address & -PAGE_SIZE in self._code

    def holds_code(self, start: int, end: int) -> bool:
        """Whether the core may hold a translation of anything from ``start`` up to ``end``, or just before."""
        if end - start > len(self._code) * PAGE_SIZE:
            return any(start - PAGE_SIZE < page < end for page in self._code)
        return any(page in self._code for page in range((start - 1) & -PAGE_SIZE, end, PAGE_SIZE))

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


@cache
def invalid_address_offset() -> int:
    """Where Unicorn keeps the address of a refused access in its structure, found by a refused access.

    Raises:
        EngineError: another Unicorn than the pinned one.
    """
    wanted = 0x20000ABC
    uc = bare_core()
    uc.mem_map(0, 0x1000)
    uc.mem_map(0x20000000, 0x1000)
    uc.mem_write(0, b"\x08\x68" * 8)  # ldr r0, [r1]
    tlb = VirtualTlb(uc, lambda page: None)
    tlb.guard = lambda page: UC_PROT_ALL if page < 0x1000 else 0
    uc.reg_write(UC_ARM_REG_R1, wanted)
    try:
        uc.emu_start(1, 0x1000, count=1)
    except UcError:
        raw = ctypes.string_at(ctypes.cast(uc._uch, ctypes.c_void_p).value or 0, 8192)
        found = [at for at in range(0, len(raw) - 7, 8) if raw[at:at + 8] == wanted.to_bytes(8, "little")]
        if len(found) == 1:
            return found[0]
    raise EngineError("Unicorn's structure is not as expected; install the unicorn of requirements.txt.")
