# SPDX-License-Identifier: Apache-2.0
"""Accesses that must be aligned whatever CCR.UNALIGN_TRP says (ARMv7-M ARM A3.2.1), found at no cost where they are.

Unicorn checks the alignment of every access of words and halfwords in code it translates for a core without the Main
Extension, and of none otherwise. So a block that holds an access of several words (LDM, STRD, VLDR ...) is translated
once more with that feature hidden; blocks without one are left alone. What may be unaligned and shares its block with
such an access is carried out by itself.
"""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from unicorn.unicorn_const import UC_HOOK_EDGE_GENERATED
from unicorn.unicorn_py3.unicorn import Uc, uc_tb, uclib

from offchip.engines.embedded.hooks import add_hook
from offchip.engines.embedded.register_file import MAIN_EXTENSION, main_extension_of
from offchip.engines.embedded.virtual_tlb import PAGE_SIZE
from offchip.errors import EngineError

#: how often an access that may be unaligned is carried out by itself at one place, before its blocks are left unchecked
PATIENCE = 32

_EDGE_CFUNC = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(uc_tb), ctypes.POINTER(uc_tb), ctypes.c_void_p)
#: low byte of a halfword whose base register is neither SP nor PC: those are aligned
_BASE = b"[" + b"".join(b"\\x%02x" % low for low in range(256) if low & 15 not in (13, 15)) + b"]"
#: LDM, STM (A7.7.41, A7.7.159); LDRD, STRD, exclusives, LDM, STM (A5.3.5, A5.3.6); VLDR, VSTR, VLDM, VSTM (A6.6)
_SINGLE = b"[" + b"".join(b"\\x%02x" % (high << 4 | 10) for high in range(16)) + b"]"
_SEVERAL = re.compile(b"(?=.[\\xc0-\\xcf]|" + _BASE + b"[\\xe8\\xe9]|" + _BASE + b"[\\xec\\xed]." + _SINGLE + b")",
                      re.DOTALL)
_NOWHERE: list[int] = []
_TABLE_BRANCH = re.compile(rb"[\xd0-\xdf]\xe8[\x00-\x1f]\xf0", re.DOTALL)


def may_be_unaligned(code: bytes) -> bool:
    """Whether this instruction faults by UNALIGN_TRP only: LDR, STR, their halfwords, TBH."""
    return bool(_TABLE_BRANCH.match(code)) or code[1] & 0xF0 != 0xC0 and code[1] not in (0xE8, 0xE9, 0xEC, 0xED)


class Alignment:
    """What Unicorn translates with its check on.

    Args:
        uc: the core.
        read: bytes of memory as the core sees them, as many as there are.
    """

    def __init__(self, uc: Uc, read: Callable[[int, int], bytes]) -> None:
        self._uc, self._read = uc, read
        self._features = main_extension_of(uc)
        self._normal = self._features.value if self._features is not None else 0
        self._places: dict[int, list[int]] = {}  # page -> where several words are accessed
        self._hooked: dict[int, int] = {}  # page -> last address of its hook
        self._hooked_all = False
        #: page -> up to where each block that was ever translated is in `_known`, by its start
        self._told: dict[int, int] = {}
        self._known: set[int] = set()
        #: where a slice may begin without :meth:`slice_begins`
        self.settled: set[int] = set()
        self._borne: Counter[int] = Counter()  # place -> accesses carried out by themselves
        self._checking = self._alone = False
        #: CCR.UNALIGN_TRP: every access must be aligned
        self.strict = False
        #: the slice ended because a block is to be translated once more
        self.stopped = False
        self._callbacks = _EDGE_CFUNC(self._generated), _EDGE_CFUNC(self._any_generated)

    @property
    def available(self) -> bool:
        """Whether this Unicorn is one that can be told to check."""
        return self._features is not None

    def look_at(self, page: int) -> None:
        """A page is about to be executed for the first time, or after a change."""
        if self._features is None:
            return
        code = self._read(page, PAGE_SIZE + 2) or self._read(page, PAGE_SIZE)
        places = [page + each.start() for each in _SEVERAL.finditer(code)
                  if not each.start() % 2 and each.start() < PAGE_SIZE]
        for each in [each for each in self._borne if page <= each < page + PAGE_SIZE]:
            del self._borne[each]
        self._places[page] = places
        self.settled = {each for each in self.settled if each & -PAGE_SIZE != page}
        self._told.setdefault(page, places[-1] if places else -1)
        if places and self._hooked.get(page, -1) < places[-1]:
            first = max(self._hooked.get(page, -1) + 1, page)
            self._hooked[page] = places[-1]
            add_hook(self._uc, UC_HOOK_EDGE_GENERATED, self._callbacks[0], first, places[-1])

    def be_strict(self, wanted: bool) -> None:
        """Follow CCR.UNALIGN_TRP, between slices; whatever is translated is forgotten."""
        self.strict = wanted
        if wanted and not self._hooked_all:
            self._hooked_all = True
            add_hook(self._uc, UC_HOOK_EDGE_GENERATED, self._callbacks[1])
        self._uc.ctl_flush_tb()

    def slice_begins(self, pc: int) -> None:
        """A block that begins where the last slice ended is new more often than not: translate it with its check at
        once, because to do it once more takes away the blocks around it, too.
        """
        if pc in self._known or pc > self._told.get(pc & -PAGE_SIZE, -1):
            self.settled.add(pc)
        elif not (self._alone or self.strict or self._gave_up(pc, PAGE_SIZE)):
            self._check_next()

    def check_block(self, pc: int, next_one: bool) -> None:
        """Between slices: the block at PC, where the next one starts if ``next_one``, is translated once more."""
        self.stopped = False
        self._uc.ctl_remove_cache(pc, pc + 2)
        if next_one:
            self._check_next()

    def begin_alone(self, pc: int) -> None:
        """The next slice is the one instruction at PC, which may be unaligned."""
        self._alone = True
        self._uc.ctl_remove_cache(pc, pc + 2)

    def end_alone(self, pc: int) -> None:
        """It was carried out, and did stand at PC; blocks that met too many such are no longer checked."""
        self._alone = False
        self._borne[pc] += 1
        self._uc.ctl_remove_cache(pc, pc + 2)

    def slice_ended(self, executed: int) -> None:
        """The core stands after so many instructions: nothing is hidden from it."""
        if self._checking:
            self._show()
            if executed > 1:
                raise EngineError("Unicorn ran code nobody was told of; install the unicorn of requirements.txt.")

    def _show(self) -> None:
        if self._features is not None:
            self._features.value, self._checking = self._normal, False

    def _check_next(self) -> None:
        if self._features is not None:
            self._features.value = self._normal & ~MAIN_EXTENSION
            self._checking = True

    def _generated(self, handle: int, block: ctypes._Pointer[uc_tb], before: object, data: object) -> None:
        if not self.strict:
            translated = block.contents
            first, length = translated.pc, translated.size
            self._known.add(first)
            places = self._places.get(first & -PAGE_SIZE, _NOWHERE)
            nearest = bisect_left(places, first)
            self._translated(nearest < len(places) and places[nearest] < first + length, first, length)

    def _any_generated(self, handle: int, block: ctypes._Pointer[uc_tb], before: object, data: object) -> None:
        if self.strict:
            self._translated(True, block[0].pc, block[0].size)

    def _translated(self, several: bool, first: int, length: int) -> None:
        """Unicorn translated a block, which comes next."""
        if self._checking:
            self._show()
        elif several and not self._alone and not self._gave_up(first, length):
            self.stopped = True
            uclib.uc_emu_stop(self._uc._uch)

    def _gave_up(self, first: int, length: int) -> bool:
        return not self.strict and any(count >= PATIENCE and first <= place < first + length
                                       for place, count in self._borne.items())
