# SPDX-License-Identifier: Apache-2.0
"""A program that only looks at registers until one of them changes need not be watched looking.

Each look is a call from Unicorn into Python, a hundred times dearer than an instruction. When the core comes back to
the same look with the same registers and the same RAM, having written to no register of a block, its loop repeats until
something happens: an event, or the moment from which a register reads otherwise (:meth:`Peripheral.steady`). Whole
turns up to there are counted instead of executed, so time, instruction counts and all that follows stay what they were.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from unicorn.unicorn_py3.unicorn import uclib

from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.unicorn_core import UnicornCore

#: looks in one slice before a loop is suspected, and at most when it turned out to be something else
PATIENCE, MOST_PATIENCE = 24, 4096
#: looks a turn may consist of
LOOKS = 12
#: of struct uc_context, in front of the core's own state: it points at what is mapped
_HEADER = 40
_COMPARE = ctypes.CDLL(None).memcmp
_COMPARE.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Ram:
    """What a memory held at the start of a turn."""

    def __init__(self, buffer: mmap.mmap) -> None:
        self._size = len(buffer)
        self._live = (ctypes.c_char * self._size).from_buffer(buffer)
        self._kept = (ctypes.c_char * self._size)()
        self._from, self._to = ctypes.addressof(self._live), ctypes.addressof(self._kept)

    def save(self) -> None:
        ctypes.memmove(self._to, self._from, self._size)

    @property
    def same(self) -> bool:
        return not _COMPARE(self._from, self._to, self._size)


@dataclass(slots=True)
class _Turn:
    """Where it began."""

    pc: int
    cycle: int
    executed: int
    activity: int
    fired: int
    counts: dict[tuple[str, str, str, int], int]


class BusyWait:
    """Watches the slices of a core.

    Args:
        ram: writable memory of the board, asked for when it is first needed.
        steady: address of a look -> up to which cycle it shows the same without effect; None: unknown.
        counts: how often each diagnostic came; looks left out are added.
    """

    def __init__(self, core: UnicornCore, clock: Clock, ram: Callable[[], Iterable[mmap.mmap]],
                 steady: Callable[[int], int | None], counts: dict[tuple[str, str, str, int], int]) -> None:
        self._core, self._clock = core, clock
        self._ask_ram, self._steady, self._counts = ram, steady, counts
        self._ram: list[_Ram] = []
        self._contexts = [core.uc.context_save(), core.uc.context_save()]
        self._context_size = uclib.uc_context_size(core.uc._uch) - _HEADER
        self._turn: _Turn | None = None
        self._patience = PATIENCE

    def before(self) -> None:
        """A slice begins."""
        told = self._core.told
        told.patience = told.activity + (self._patience if self._turn is None else 1)

    def after(self, executed: int, goal: int) -> int:
        """A slice ended at a look, with time moved on; returns the instructions to leave out, up to cycle ``goal``."""
        turn = self._turn
        if turn is None:
            self._begin(executed)
            return 0
        if self._core.pc != turn.pc:
            if self._core.told.activity - turn.activity >= LOOKS:
                self.give_up()
            return 0
        length = self._clock.cycles - turn.cycle
        if not self._repeats(turn, executed, length):
            self.give_up()
            return 0
        self._turn = None
        return self._leave_out(turn, length, goal)

    def forget(self) -> None:
        """The slice ended for another reason."""
        self._turn = None

    def give_up(self) -> None:
        """This is no waiting: look again, later each time."""
        self._turn = None
        self._patience = min(2 * self._patience, MOST_PATIENCE)

    def _begin(self, executed: int) -> None:
        core = self._core
        if core.observed:
            return
        if not self._ram:
            self._ram = [_Ram(buffer) for buffer in self._ask_ram()]
        uclib.uc_context_save(core.uc._uch, self._contexts[0].context)
        for memory in self._ram:
            memory.save()
        core.looks.clear()
        self._turn = _Turn(core.pc, self._clock.cycles, executed, core.told.activity, self._clock.fired,
                           dict(self._counts))

    def _repeats(self, turn: _Turn, executed: int, length: int) -> bool:
        """Whether the turn changed nothing: every access was a look, and the core is as it was."""
        core = self._core
        if core.told.activity - turn.activity != len(core.looks) or self._clock.fired != turn.fired:
            return False
        if executed - turn.executed != length or core.observed:
            return False
        uclib.uc_context_save(core.uc._uch, self._contexts[1].context)
        return self._same_context() and all(memory.same for memory in self._ram)

    def _same_context(self) -> bool:
        first, second = self._contexts
        return not _COMPARE(first.context.value + _HEADER, second.context.value + _HEADER, self._context_size)

    def _leave_out(self, turn: _Turn, length: int, goal: int) -> int:
        until = goal
        for address in self._core.looks:
            steady = self._steady(address)
            if steady is None:
                self.give_up()
                return 0
            until = min(until, steady)
        turns = (until - 1 - self._clock.cycles) // length
        if turns <= 0:
            return 0
        self._patience = PATIENCE
        for key, count in self._counts.items():
            self._counts[key] = count + turns * (count - turn.counts.get(key, 0))
        return turns * length
