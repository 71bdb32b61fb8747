# SPDX-License-Identifier: Apache-2.0
"""Unicorn as a Cortex-M4F that stops exactly where it is told to.

Unicorn counts instructions in C when ``emu_start`` gets a ``count``. The counter and its limit are two neighbouring
words of Unicorn's own structure; they are found once by a self-test. Reading the counter inside a bus access gives
the exact cycle of that access; lowering the limit there ends the slice right behind the running instruction, whereas
``uc_emu_stop`` inside an access would abandon the instruction half done.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import struct
from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from functools import lru_cache

from unicorn import (
    UC_HOOK_BLOCK,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_FETCH_UNMAPPED,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_READ_UNMAPPED,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_MEM_WRITE_PROT,
    UC_HOOK_MEM_WRITE_UNMAPPED,
    UC_MEM_FETCH,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
)
from unicorn import arm_const as arm
from unicorn.unicorn_const import (
    UC_ERR_EXCEPTION,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_OK,
)
from unicorn.unicorn_py3.unicorn import (
    HOOK_CODE_CFUNC,
    HOOK_INTR_CFUNC,
    Uc,
    UcError,
    uclib,
)

from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.alignment import Alignment, may_be_unaligned
from offchip.engines.embedded.division import QuickDivision
from offchip.engines.embedded.fp_context import FpContext
from offchip.engines.embedded.hooks import add_hook
from offchip.engines.embedded.register_file import (
    DIVIDE_INSTRS,
    bare_core,
    control_of,
    divide_feature_of,
    it_state_of,
    mask_words_of,
    registers_of,
)
from offchip.engines.embedded.thumb import in_it_block, instruction_length
from offchip.engines.embedded.virtual_tlb import PAGE_SIZE, VirtualTlb, invalid_address_offset
from offchip.errors import EngineError

PAGE = 0x1000
_NOTHING: Mapping[int, tuple[int, Callable[[int, int], int], Callable[[int, int, int], None]]] = {}
#: an address no thumb instruction can have. Unicorn looks for its translation at the end of every slice: in a page that
#: is mapped, and where the vector table is, it finds none without a call back
_NEVER = 0x08000001
_NEIGHBOURHOOD = 0x10000
#: bytes in front of an instruction in which its IT may stand
_BEFORE = 32
_HINTS = (b"\x20\xbf", b"\x10\xbf")  # WFE, YIELD: Unicorn reports both as invalid instructions
_WFE = _HINTS[0]
_SEV = re.compile(rb"(?=\x40\xbf)")  # to Unicorn it is a NOP
#: CPSIE i/f and MSR MSP, PSP, PRIMASK, BASEPRI, BASEPRI_MAX or FAULTMASK, Rn (ARMv7-M ARM B5.2.1, B5.2.3)
_UNMASKING = re.compile(rb"(?=([\x61-\x63]\xb6|[\x80-\x8f]\xf3[\x08\x09\x10-\x13][\x88\x98\xc8\xd8]))", re.DOTALL)
_ONE_BIT = (0x10, 0x13)  # SYSm of PRIMASK and FAULTMASK: nothing else is to be put right behind these
#: divisions carried out here after their trap was switched off, before the core does them again: changing over costs as
#: much as translating everything, and behind a reset most firmware switches the trap on again
_UNTRAPPED = 2000
#: SDIV and UDIV (A7.7.127, A7.7.195)
_DIVISION = re.compile(rb"(?=[\x90-\x9f\xb0-\xbf]\xfb[\xf0-\xff][\xf0-\xff])", re.DOTALL)


@lru_cache(maxsize=1024)
def _divisions_in(before: bytes, code: bytes) -> frozenset[int]:
    """Offsets in ``code`` of divisions in no IT block; each start of the core asks for the same code again."""
    whole = before + code
    found = (each.start() for each in _DIVISION.finditer(code) if not each.start() % 2)
    return frozenset(at for at in found
                     if not in_it_block(lambda place, count: whole[place:place + count] if place >= 0 else b"",
                                        len(before) + at))


class End(Enum):
    """Why a slice ended."""

    LIMIT = auto()
    TRAP = auto()  # at `trap_pc`: an unaligned access, with the trap on
    DIVISION = auto()  # before a division, with the trap on: :meth:`UnicornCore.divide`
    SKIP = auto()  # before an instruction that is not to be executed
    ARRIVED = auto()  # before an instruction somebody waits for
    WAIT = auto()  # WFI
    HINT = auto()  # YIELD
    WAIT_FOR_EVENT = auto()
    SEND_EVENT = auto()  # before a SEV
    SVC = auto()
    EXCEPTION_RETURN = auto()
    BREAKPOINT = auto()
    UNALIGNED = auto()  # at PC: an access that is not aligned and must be
    UNCHECKED = auto()  # before a block that is to be translated once more, with its accesses checked
    UNDEFINED = auto()
    NO_COPROCESSOR = auto()
    INVALID_STATE = auto()
    BUS_ERROR = auto()  # load or store where nothing answers: `fault_address`
    FETCH_ERROR = auto()
    FORBIDDEN = auto()  # by the MPU: `fault_address`
    FORBIDDEN_FETCH = auto()


#: Unicorn's numbers of what ends a slice
_INTERRUPTS = {2: End.SVC, 3: End.FETCH_ERROR, 4: End.UNALIGNED, 7: End.BREAKPOINT, 8: End.EXCEPTION_RETURN,
               17: End.NO_COPROCESSOR}


_HALVES = struct.Struct("<HH")


def _it_behind(state: int) -> int:
    """ITSTATE behind an instruction of the block (ARMv7-M ARM A7.3.3)."""
    return state & 0xE0 | state << 1 & 0x1F if state & 7 else 0


class _Batch:
    """Arguments of Unicorn's batch calls, prepared once: its Python layer builds them anew at every call."""

    __slots__ = ("count", "ids", "pointers", "values")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.count = len(names)
        self.ids = (ctypes.c_int * self.count)(*(REGISTERS[name] for name in names))
        self.values = (ctypes.c_uint32 * self.count)()
        start = ctypes.addressof(self.values)
        self.pointers = (ctypes.c_void_p * self.count)(*(start + 4 * i for i in range(self.count)))


class UnicornCore:
    """Registers, memory and slices of one core. Knows nothing of exceptions, interrupts or peripherals."""

    def __init__(self, ahead: Ahead) -> None:
        self.uc = bare_core()
        self.ahead = ahead
        ahead.on_failure = self._fail
        #: what is counted of accesses, see :class:`Ahead`
        self.told = ahead.state
        self._handle = self.uc._uch
        self._batches: dict[tuple[str, ...], _Batch] = {}
        self._counter, self._limit = self._find_counter()
        self._registers = registers_of(self.uc)
        self._it = it_state_of(self.uc)
        self._masks = mask_words_of(self.uc)
        self._control = control_of(self.uc)
        self._isar0 = divide_feature_of(self.uc)
        self._isar0_value = self._isar0.value if self._isar0 is not None else 0
        self.fp = FpContext(self.uc)
        self.alignment = Alignment(self.uc, self._peek)
        self.running = False
        self.executed = 0
        self.fault_address = 0
        self._end: End | None = None
        self._keep: list[object] = []
        self._unmask_hooks: set[int] = set()
        self._events: set[int] = set()  # where a SEV stands
        self._divisions: set[int] = set()  # where the core ends a slice, if it decodes divisions that are to be trapped
        self._watched: dict[int, int] = {}  # address -> hook
        self._trap_hooks: list[int] = []
        self._read_hooks: list[int] = []
        self._read_watches: list[tuple[Mapping[int, range], Callable[[range], None]]] = []
        self._trace_hooks: list[int] = []
        self._hooks_added = self._sees_reads = False
        self._done_hooks: list[int] = []  # to be taken away when the core stands: one of them may be running
        self._trap_division = False
        self._quick_division = QuickDivision(self.uc, self._counter, self._limit)
        self._by_hand = False  # divisions are undefined instructions to the core, and end a slice
        self._untrapped = 0  # of them since their trap was switched off
        self._end_address: int | None = None
        self._base = 0  # instructions of the slice before the present call of Unicorn
        self._traced: Callable[[int], None] | None = None
        self._trapped = False
        self.trap_pc = 0
        self._stopped_by: End | None = None  # the slice ended before a watched instruction
        #: asked before each execution of a watched instruction: SKIP, ARRIVED or (None) go on?
        self.before_watched: Callable[[int], End | None] = lambda address: None
        self.told.patience = 1 << 62
        #: addresses, from that patience on
        self.looks: list[int] = []
        #: whether a store to a register would change nothing at all, which is as good as a look at it
        self.idle_write: Callable[[int, int, int], bool] = lambda address, width, value: False
        self.impatient = False
        self.on_flash_store: Callable[[int, int, int], None] | None = None
        #: told behind CPSIE, and behind an MSR that may do the same; true: an exception may come now
        self.on_enable: Callable[[], bool] = lambda: False
        self.on_unmask: Callable[[], bool] = lambda: False
        self._memories: list[tuple[int, int, bool]] = []  # start, length, writable
        self._buffers: list[tuple[int, int, mmap.mmap]] = []
        self._fault_hooks: list[int] = []
        interrupted = HOOK_INTR_CFUNC(self._interrupt)
        add_hook(self.uc, UC_HOOK_INTR, interrupted)
        enabled, unmasked = HOOK_CODE_CFUNC(self._enabled), HOOK_CODE_CFUNC(self._unmasked)
        self._behind_cps, self._behind_msr = enabled, unmasked
        self._keep.append(interrupted)
        self.tlb = VirtualTlb(self.uc, self._watch_page)

    def _find_counter(self) -> tuple[ctypes.c_size_t, ctypes.c_size_t]:
        """Locate Unicorn's instruction counter and limit by running a known number of NOPs twice."""
        uc, word = self.uc, ctypes.sizeof(ctypes.c_size_t)
        sled = 4000
        uc.mem_map(0, 2 * PAGE)
        uc.mem_write(0, b"\x00\xbf" * sled)
        base = ctypes.cast(uc._uch, ctypes.c_void_p).value or 0
        candidates: set[int] | None = None
        for count in (1237, 2741):
            uc.emu_start(1, _NEVER, count=count)
            raw = ctypes.string_at(base, 4096)
            pair = (count + 1).to_bytes(word, "little") + count.to_bytes(word, "little")
            if raw[: len(pair)] == pair:
                raise EngineError("Unicorn's structure is not as expected; install the pinned unicorn version.")
            found = {o for o in range(0, 4096 - 2 * word, word) if raw[o : o + 2 * word] == pair}
            candidates = found if candidates is None else candidates & found
        self._structure = base
        uc.mem_unmap(0, 2 * PAGE)
        if not candidates or len(candidates) != 1:
            raise EngineError("Unicorn's instruction counter was not found; install the unicorn of requirements.txt.")
        offset = base + candidates.pop()
        return ctypes.c_size_t.from_address(offset), ctypes.c_size_t.from_address(offset + word)

    # memory ----------------------------------------------------------------------------------------------------
    def map_buffer(self, start: int, buffer: mmap.mmap, writable: bool) -> None:
        """Map host memory; a read-only one reports stores to ``on_flash_store(address, width, value)``."""
        pointer = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        self._keep.append(pointer)
        prot = UC_PROT_ALL if writable else UC_PROT_READ | UC_PROT_EXEC
        self.uc.mem_map_ptr(start, len(buffer), prot, ctypes.addressof(pointer))
        self._memories.append((start, len(buffer), writable))
        self._buffers.append((start, len(buffer), buffer))
        self._buffers.sort(key=lambda each: -each[0])  # RAM first
        if writable:
            self.tlb.add_ram(start, len(buffer))

    def unmap(self, start: int, length: int) -> None:
        """Take memory or registers away; :meth:`watch_faults` follows when the new map is complete."""
        self.drop_translations(start, length)
        self.uc.mem_unmap(start, length)
        self._memories = [each for each in self._memories if each[0] != start]
        self._buffers = [each for each in self._buffers if each[0] != start]
        self.tlb.remove_ram(start, length)

    def watch_faults(self) -> None:
        """Catch accesses nothing answers, once everything is mapped.

        A hook that covers a page makes every store to it slow, so these leave the RAM out.
        """
        for hook in self._fault_hooks:
            self.uc.hook_del(hook)
        self._fault_hooks.clear()
        add = self._add_fault_hook
        start = 0
        for ram, length, writable in [*sorted(self._memories), (1 << 32, 0, True)]:
            if not writable:
                add(UC_HOOK_MEM_WRITE_PROT, self._write_protected, ram, ram + length - 1)
                continue
            if ram > start:
                add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, self._unmapped, start, ram - 1)
                add(UC_HOOK_MEM_FETCH_UNMAPPED, self._fetch_unmapped, start, ram - 1)
            start = ram + length

    def _add_fault_hook(self, kinds: int, hook: Callable[..., bool], first: int, last: int) -> None:
        self._fault_hooks.append(self.uc.hook_add(kinds, hook, None, first, last))

    def map_io(self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None],
               quick: Mapping[int, tuple[int, Callable[[int, int], int], Callable[[int, int, int], None]]] = _NOTHING,
               ) -> None:
        """Map a region served by ``read(address, width)`` and ``write(address, width, value)``.

        The binding's own ``mmio_map`` spends more time in its three wrappers than most registers need.

        Args:
            quick: number of a word -> (address of its block, read, write by offset in it): asked first.
        """
        told = self.told

        def on_read(handle: int, offset: int, width: int, data: int) -> int:
            try:
                if told.activity >= told.patience:
                    self._impatient(start + offset)
                entry = quick.get((start + offset) >> 2)
                if entry is not None:
                    return entry[1](start + offset - entry[0], width)
                return read(start + offset, width)
            except BaseException as error:
                self._fail(error)
                return 0

        def on_write(handle: int, offset: int, width: int, value: int, data: int) -> None:
            try:
                if told.activity >= told.patience and self.idle_write(start + offset, width, value):
                    self._impatient(start + offset)
                entry = quick.get((start + offset) >> 2)
                if entry is not None:
                    entry[2](start + offset - entry[0], width, value)
                else:
                    write(start + offset, width, value)
            except BaseException as error:
                self._fail(error)

        reader, writer, argument = self.ahead.callbacks(start, on_read, on_write)
        self._keep += [reader, writer]
        status = uclib.uc_mmio_map(self.uc._uch, start, size, reader, argument, writer, argument)
        if status != UC_ERR_OK:
            raise UcError(status)

    def _impatient(self, address: int) -> None:
        self.looks.append(address)
        self.impatient = True
        self.stop_soon()

    @property
    def observed(self) -> bool:
        """Somebody wants to be told of single instructions or loads."""
        return bool(self._watched or self._traced or self._read_hooks)

    def _fail(self, error: BaseException) -> None:
        """An exception cannot pass through C: `run` raises it when the slice has ended."""
        if self.uc._hook_exception is None:
            self.uc._hook_exception = error  # type: ignore[assignment]  # KeyboardInterrupt passes, too
        self.uc.emu_stop()

    def drop_translations(self, start: int, length: int) -> None:
        """Forget code translated from a range whose bytes changed."""
        end = start + max(length, 4)
        if not self.tlb.holds_code(start, end):
            return
        self.uc.ctl_remove_cache(start, end)
        self.tlb.forget_code(start, end)

    def _watch_page(self, page: int) -> None:
        """Watch what must be seen of a page that is about to be executed for the first time."""
        self._watch_unmasking(page)
        self._watch_events(page)
        self.alignment.look_at(page)
        if self._trap_division and self._isar0 is None and self._divisions_in(page, PAGE_SIZE) != {
                each for each in self._divisions if page <= each < page + PAGE_SIZE}:
            # a change costs as much as all exits there are: the neighbourhood comes along, unless it changes by itself
            start, length = next(((page & -_NEIGHBOURHOOD, _NEIGHBOURHOOD) for start, size, writable in self._memories
                                  if not writable and start <= page & -_NEIGHBOURHOOD
                                  and (page | _NEIGHBOURHOOD - 1) < start + size), (page, PAGE_SIZE))
            self._divisions = {each for each in self._divisions if not start <= each < start + length}
            self._divisions |= self._divisions_in(start, length)
            self._set_exits()

    def _divisions_in(self, start: int, length: int) -> set[int]:
        """Where a SDIV or UDIV stands that can be an exit: inside an IT block there is none."""
        code = self.load(start, length + 2) or self.load(start, length) or b""
        return {start + at for at in _divisions_in(self.load(start - _BEFORE, _BEFORE) or b"", code)}

    def _watch_unmasking(self, page: int) -> None:
        """Watch the instructions of a page that may lower PRIMASK, BASEPRI or FAULTMASK, or move a stack pointer.

        Each of them ends its translation block, so a block hook on the address behind it sees every one. (A second
        code hook would make every instruction several times slower.)
        """
        for found in _UNMASKING.finditer(self._peek(page, PAGE_SIZE + 2) or self._peek(page, PAGE_SIZE)):
            if found.start() % 2:
                continue
            code: bytes = found[1]
            behind = page + found.start() + len(code)
            if behind not in self._unmask_hooks:
                self._unmask_hooks.add(behind)
                mask_only = len(code) == 2 or code[2] in _ONE_BIT
                add_hook(self.uc, UC_HOOK_BLOCK, self._behind_cps if mask_only else self._behind_msr, behind, behind)

    def _watch_events(self, page: int) -> None:
        """End the slice before each SEV of a page: they are few, and seen in no other way that costs nothing."""
        code = self._peek(page, PAGE_SIZE)
        found = {page + each.start() for each in _SEV.finditer(code) if not each.start() % 2}
        if found - self._events:
            self._events |= found
            self.uc.ctl_exits_enabled(True)
            self._set_exits()

    def watch(self, address: int) -> None:
        """Ask ``before_watched`` each time before the instruction at ``address`` is executed."""
        if address not in self._watched:
            self._watched[address] = self.uc.hook_add(UC_HOOK_CODE, self._reached, None, address, address)
            self.uc.ctl_remove_cache(address, address + 4)

    @property
    def watched(self) -> list[int]:
        """What :meth:`watch` was asked for."""
        return list(self._watched)

    def unwatch(self, address: int) -> None:
        hook = self._watched.pop(address, None)
        if hook is not None:
            self.uc.hook_del(hook)
            self.uc.ctl_remove_cache(address, address + 4)

    def _reached(self, uc: Uc, address: int, size: int, data: object) -> None:
        # behind the limit the counter's own hook has stopped before this instruction already
        if self.running and self._counter.value <= self._limit.value:
            self.ahead.settle()
            self._stopped_by = self.before_watched(address)
            if self._stopped_by is not None:
                uc.emu_stop()

    def watch_reads(self, cells: Collection[range], seen: Callable[[range], None]) -> None:
        """Call ``seen`` with each of these cells once, before the first load from it is carried out.

        ``cells``: whole words, near to each other. Asked for inside an access, it begins with the next slice.
        """
        self._watch_reads({word: cell for cell in cells for word in range(cell.start, cell.stop, 4)}, seen)

    def watch_reads_again(self) -> None:
        """Tell of each cell that is watched, and of those that were told of, once more."""
        watched = self._read_watches
        self.watch_reads_no_longer()
        for cells, seen in watched:
            self._watch_reads(cells, seen)

    def _watch_reads(self, cells: Mapping[int, range], seen: Callable[[range], None]) -> None:
        told = set[int]()

        def read(uc: Uc, access: int, address: int, size: int, value: int, data: object) -> None:
            if hook not in self._read_hooks:
                return
            for word in range(address & ~3, address + size, 4):
                cell = cells.get(word)
                if cell is not None and word not in told:
                    told.update(range(cell.start, cell.stop, 4))
                    seen(cell)
            if len(told) == len(cells) and hook in self._read_hooks:
                self._read_hooks.remove(hook)
                self._done_hooks.append(hook)

        if not self._sees_reads:
            # code that was translated without any such hook passes later ones by: one that sees nothing stays for good
            self._sees_reads = True
            self.uc.hook_add(UC_HOOK_MEM_READ, lambda *_: None, None, 0xFFFFFFFF, 0xFFFFFFFF)
            self.uc.ctl_flush_tb()
        hook = self.uc.hook_add(UC_HOOK_MEM_READ, read, None, min(cells), max(cells) + 3)
        self._read_hooks.append(hook)
        self._read_watches.append((cells, seen))
        self._hooks_added = True
        if not self.running:
            self.tlb.flush()

    def watch_reads_no_longer(self) -> None:
        """Forget what :meth:`watch_reads` was asked for."""
        self._done_hooks += self._read_hooks
        self._read_hooks.clear()
        self._read_watches = []

    def _forget_done_hooks(self) -> None:
        for hook in self._done_hooks:
            self.uc.hook_del(hook)
        self._done_hooks.clear()
        self._hooks_added = False
        self.tlb.flush()

    def trace(self, seen: Callable[[int], None] | None) -> None:
        """Tell ``seen`` the address of each instruction as it is executed; slow. None: no longer. Between slices."""
        for hook in self._trace_hooks:
            self.uc.hook_del(hook)
        self._trace_hooks.clear()
        self._traced = seen
        if seen is not None:
            def reached(uc: Uc, address: int, size: int, data: object) -> None:
                if self.running and self._counter.value <= self._limit.value:
                    seen(address)

            self._trace_hooks.append(self.uc.hook_add(UC_HOOK_CODE, reached))
        self.uc.ctl_flush_tb()

    def trap(self, division: bool, unaligned: bool) -> None:
        """CCR.DIV_0_TRP and UNALIGN_TRP, between slices. Watching every access is slow, so only while asked for."""
        if self.alignment.available:
            if self.alignment.strict != unaligned:
                self.alignment.be_strict(unaligned)
        elif bool(self._trap_hooks) != unaligned:
            for hook in self._trap_hooks:
                self.uc.hook_del(hook)
            self._trap_hooks.clear()
            if unaligned:
                self._trap_hooks.append(self.uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._accessed))
            self.tlb.flush()
        if self._isar0 is not None:
            self._trap_by_feature(self._isar0, division)
        elif division != self._trap_division:
            self._trap_division = division
            # Unicorn looks for translations of all exits at the end of every slice, so this is slower
            self._divisions.clear()
            self._enable_exits()
            self.tlb.forget_code(0, 1 << 32)

    def _trap_by_feature(self, isar0: ctypes.c_uint32, division: bool) -> None:
        if division != self._trap_division:
            self._trap_division, self._untrapped = division, 0
        if division and not self._by_hand:
            self._divide_by_hand(isar0, True)
        else:  # a context that was put back may have brought another value along
            isar0.value = self._isar0_value & ~DIVIDE_INSTRS if self._by_hand else self._isar0_value
        self._quick_division.turn(division and self._by_hand)

    def _divide_by_hand(self, isar0: ctypes.c_uint32, wanted: bool) -> None:
        """Whether divisions come to :meth:`divide`; everything is translated anew."""
        self._by_hand = wanted
        isar0.value = self._isar0_value & ~DIVIDE_INSTRS if wanted else self._isar0_value
        self.uc.ctl_flush_tb()

    def end_at(self, address: int | None) -> None:
        """End each slice before the instruction at ``address``, to which something branches; None: no longer.

        Unlike :meth:`watch` it slows nothing. The core cannot go on from there: put it elsewhere first.
        """
        self._end_address = address
        self._enable_exits()

    def _enable_exits(self) -> None:
        wanted = self._trap_division and self._isar0 is None or self._end_address is not None or bool(self._events)
        self.uc.ctl_exits_enabled(wanted)
        if wanted:
            self._set_exits()
        self.uc.ctl_flush_tb()

    def _set_exits(self) -> None:
        ends = {self._end_address} if self._end_address is not None else set[int]()
        self.uc.ctl_set_exits(sorted(self._divisions | self._events | ends))

    def _accessed(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        if address % size and size <= 4:
            self._stop_for_trap()

    def divide(self) -> bool:
        """Carry out the SDIV or UDIV at PC; False: the divisor is 0 and that is trapped, nothing is done (A7.7.127,
        A7.7.195).
        """
        registers = self._registers
        pc = registers[15]
        first, second = _HALVES.unpack(self.load(pc, 4) or self._peek(pc, 4))
        dividend, divisor = registers[first & 0xF], registers[second & 0xF]
        if not divisor and self._trap_division:
            return False
        if not first & 0x20:
            dividend, divisor = dividend - (dividend >> 31 << 32), divisor - (divisor >> 31 << 32)
        quotient = abs(dividend) // abs(divisor) if divisor else 0
        registers[second >> 8 & 0xF] = (quotient if (dividend < 0) == (divisor < 0) else -quotient) & 0xFFFFFFFF
        registers[15] = pc + 4
        if it := self._it.value:
            self._it.value = _it_behind(it)
        return True

    def _stop_for_trap(self) -> None:
        if not self._trapped:
            self._trapped, self.trap_pc = True, self.pc
            self.uc.emu_stop()

    def skip(self) -> None:
        """Step over the instruction at PC without executing it; an IT block goes on (ARMv7-M ARM A7.3.3)."""
        if it := self._it.value:
            self._it.value = _it_behind(it)
        pc = self._registers[15] & ~1
        self.pc = pc + instruction_length(self.load(pc, 2) or self._peek(pc, 2))

    # slices ----------------------------------------------------------------------------------------------------
    def run(self, limit: int) -> End:
        """Execute at most ``limit`` instructions; ``executed`` and ``pc`` tell how far it came."""
        self._base = 0
        while True:
            end, executed = self._run(limit)
            self.executed = self._base + executed
            if end is End.UNALIGNED:
                return self._run_alone(executed)
            if end is End.UNCHECKED:
                self.alignment.check_block(self._registers[15] & ~1, executed < self._limit.value)
            elif end is not End.DIVISION or not self._division_done():
                return end
            limit = self._limit.value - (self.executed - self._base)
            self._base = self.executed
            if limit <= 0:
                return End.LIMIT

    def _division_done(self) -> bool:
        """Whether the division at PC could be carried out; it is counted then."""
        if self._isar0 is None:  # it stopped before the division, which nobody has seen
            if self._traced is not None:
                self._traced(self.pc)
            self.executed += 1
        if not self.divide():
            self.executed -= 1
            return False
        if not self._trap_division and self._isar0 is not None:
            self._untrapped += 1
            if self._untrapped == _UNTRAPPED:
                self._divide_by_hand(self._isar0, False)
        return True

    def _run_alone(self, executed: int) -> End:
        """The access at PC is not aligned: carry it out, if it may be so; it is counted already."""
        pc = self._registers[15] & ~1
        if self.alignment.strict or not may_be_unaligned(self._peek(pc, 4)):
            return End.UNALIGNED
        self._base += executed - 1
        self.alignment.begin_alone(pc)
        end, executed = self._run(1)
        self.alignment.end_alone(pc)
        self.executed = self._base + executed
        return end

    def _run(self, limit: int) -> tuple[End, int]:
        """One call of Unicorn: why it ended, and how many instructions it executed."""
        self._end = None
        self.tlb.refused = self.tlb.forbidden = None
        self.running, self.ahead.on = True, self.ahead.native
        if self._done_hooks or self._hooks_added:
            self._forget_done_hooks()
        if self.fp.denied:
            self.fp.deny()
        start = self._registers[15]
        if start not in self.alignment.settled:
            self.alignment.slice_begins(start)
        status = uclib.uc_emu_start(self._handle, start | 1, _NEVER, 0, limit)
        self.running = self.ahead.on = False
        self.alignment.slice_ended(self._counter.value)
        if self.told.port or self.told.look_address:
            self.ahead.settle()
        if self.uc._hook_exception is not None:
            failure, self.uc._hook_exception = self.uc._hook_exception, None
            raise failure
        if status != UC_ERR_OK:
            self._end = self._classify(status, start)
        counter = self._counter.value
        if self._trapped:
            self._trapped = False
            return End.TRAP, max(0, counter - 1)
        return (self._end, counter) if self._end is not None else self._ended_in_peace(counter)

    def _ended_in_peace(self, counter: int) -> tuple[End, int]:
        if self._stopped_by is not None:
            end, self._stopped_by = self._stopped_by, None
            return end, counter if end is End.SKIP else counter - 1  # to be skipped takes its time
        if self.alignment.stopped:
            return End.UNCHECKED, counter
        if counter > self._limit.value:
            return End.LIMIT, counter - 1
        if self._divisions or self._events or self._end_address is not None:
            pc = self._registers[15]
            if pc == self._end_address:
                return End.ARRIVED, counter
            if pc in self._divisions:
                return End.DIVISION if counter < self._limit.value else End.LIMIT, counter
            if pc in self._events:
                return End.SEND_EVENT if counter < self._limit.value else End.LIMIT, counter
        return End.WAIT, counter

    def position(self) -> int:
        """Instructions completed in the running slice before the one that is executing; 0 between slices."""
        return self._base + self._counter.value - 1 if self.running else 0

    def stop_soon(self) -> None:
        """End the slice right behind the instruction that is executing."""
        if self.running:
            self._limit.value = self._counter.value

    def stop_at(self, executed: int) -> None:
        """End the slice when it has executed so many instructions (never before the running one)."""
        if self.running:
            wanted = max(executed - self._base, self._counter.value)
            if wanted < self._limit.value:
                self._limit.value = wanted

    def _classify(self, status: int, start: int) -> End:
        if self._end is not None:
            return self._end
        if self.tlb.forbidden is not None:
            access, self.tlb.forbidden = self.tlb.forbidden, None
            at = self._structure + invalid_address_offset()
            self.fault_address = ctypes.c_uint64.from_address(at).value & 0xFFFFFFFF
            return End.FORBIDDEN_FETCH if access == UC_MEM_FETCH else End.FORBIDDEN
        if self.tlb.refused is not None:
            self.fault_address, self.tlb.refused = self.tlb.refused, None
            return End.FETCH_ERROR
        if status == UC_ERR_INSN_INVALID or status == UC_ERR_EXCEPTION:
            if not self.get("cpsr")[0] & 0x20:
                return End.INVALID_STATE
            pc = self.pc
            if self._by_hand and _DIVISION.match(self.load(pc, 4) or self._peek(pc, 4)):
                return End.DIVISION
            before = self._peek(pc - 2, 2)
            if before in _HINTS and not (self._counter.value == 1 and start == pc):
                return End.WAIT_FOR_EVENT if before == _WFE else End.HINT
            return End.UNDEFINED
        if status in (UC_ERR_FETCH_UNMAPPED, UC_ERR_FETCH_PROT):
            self.fault_address = self.pc
            return End.FETCH_ERROR
        raise EngineError(f"Unicorn stopped at PC 0x{self.pc:08X}: {UcError(status)}.")

    def load(self, address: int, length: int) -> bytes | None:
        """Bytes of one of the memories, as the core sees them; None: they do not lie in one."""
        for start, size, buffer in self._buffers:
            if start <= address and address + length <= start + size:
                return buffer[address - start:address - start + length]
        return None

    def store(self, address: int, data: bytes) -> bool:
        """Write to RAM as the core does; False: it does not lie in one."""
        for start, size, buffer in self._buffers:
            if start <= address and address + len(data) <= start + size:
                if (start, size, True) not in self._memories:
                    return False
                buffer[address - start:address - start + len(data)] = data
                if self.tlb.executed(address) or self.tlb.executed(address + len(data) - 1):
                    self.drop_translations(address, len(data))
                return True
        return False

    def _peek(self, address: int, length: int) -> bytes:
        try:
            return bytes(self.uc.mem_read(address, length))
        except UcError:
            return b""

    # hooks -----------------------------------------------------------------------------------------------------
    def _interrupt(self, handle: int, number: int, data: object) -> None:
        self._end = _INTERRUPTS.get(number, End.UNDEFINED)
        if number == 3:
            self.fault_address = self.pc
        uclib.uc_emu_stop(self._handle)

    def _unmapped(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> bool:
        self._end = End.BUS_ERROR
        self.fault_address = address
        return False

    def _fetch_unmapped(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> bool:
        self._end = End.EXCEPTION_RETURN if address >= 0xFFFFFFE0 else End.FETCH_ERROR
        self.fault_address = address
        return False

    def _write_protected(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> bool:
        self.told.activity += 1
        self.ahead.settle()
        if self.on_flash_store is not None:
            self.on_flash_store(address, size, value & ((1 << 8 * size) - 1))
        self.stop_soon()
        return True

    def _enabled(self, handle: int, address: int, size: int, data: object) -> None:
        try:
            self._stop_for_exception(self.on_enable)
        except BaseException as error:
            self._fail(error)

    def _unmasked(self, handle: int, address: int, size: int, data: object) -> None:
        try:
            self._stop_for_exception(self.on_unmask)
        except BaseException as error:
            self._fail(error)

    def _stop_for_exception(self, may_come: Callable[[], bool]) -> None:
        # at the start of a slice (counter 0) the core has just looked at the exceptions itself
        if self.running and self._counter.value and may_come():
            self._limit.value = self._counter.value  # everything counted so far is done: stop before this block

    # registers -------------------------------------------------------------------------------------------------
    def get(self, *names: str) -> list[int]:
        """Registers by name: ``r0``..``r12``, ``sp``, ``lr``, ``pc``, ``msp``, ``psp``, ``control``, ``primask`` ..."""
        batch = self._batches.get(names) or self._batch(names)
        uclib.uc_reg_read_batch(self._handle, batch.ids, batch.pointers, batch.count)
        return batch.values[:]

    def masks(self) -> tuple[int, int, int]:
        """PRIMASK, BASEPRI and FAULTMASK."""
        if self._masks is None:
            primask, basepri, faultmask = self.get("primask", "basepri", "faultmask")
            return primask, basepri, faultmask
        return self._masks[0].value, self._masks[1].value, self._masks[2].value

    def put(self, names: tuple[str, ...], *values: int) -> None:
        """Write registers in the order of ``names``, a key to a prepared batch; one may occur twice."""
        batch = self._batches.get(names) or self._batch(names)
        batch.values[:] = values  # type: ignore[call-overload]  # any sequence does
        uclib.uc_reg_write_batch(self._handle, batch.ids, batch.pointers, batch.count)

    def set(self, name: str, value: int) -> None:
        self.put((name,), value & 0xFFFFFFFF)

    def _batch(self, names: tuple[str, ...]) -> _Batch:
        self._batches[names] = batch = _Batch(names)
        return batch

    @property
    def control(self) -> int:
        """CONTROL, without a call into Unicorn where that can be had."""
        return self.get("control")[0] if self._control is None else self._control.value

    @property
    def pc(self) -> int:
        return self._registers[15] & ~1

    @pc.setter
    def pc(self, value: int) -> None:
        self.put(("pc",), value | 1)


REGISTERS = {f"r{n}": getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)}
REGISTERS |= {f"s{n}": getattr(arm, f"UC_ARM_REG_S{n}") for n in range(32)}
REGISTERS |= {
    "sp": arm.UC_ARM_REG_SP,
    "lr": arm.UC_ARM_REG_LR,
    "pc": arm.UC_ARM_REG_PC,
    "msp": arm.UC_ARM_REG_MSP,
    "psp": arm.UC_ARM_REG_PSP,
    "control": arm.UC_ARM_REG_CONTROL,
    "primask": arm.UC_ARM_REG_PRIMASK,
    "basepri": arm.UC_ARM_REG_BASEPRI,
    "faultmask": arm.UC_ARM_REG_FAULTMASK,
    "cpsr": arm.UC_ARM_REG_CPSR,
    "xpsr": arm.UC_ARM_REG_XPSR,
    "ipsr": arm.UC_ARM_REG_IPSR,
    "iepsr": arm.UC_ARM_REG_IEPSR,
    "apsr": arm.UC_ARM_REG_APSR_NZCVQG,
    "nzcv": arm.UC_ARM_REG_APSR_NZCV,
    "fpscr": arm.UC_ARM_REG_FPSCR,
}
