# SPDX-License-Identifier: Apache-2.0
"""Going back: the state of a machine at one instruction, restored inside the process as often as wanted.

What the core changes by itself (registers, RAM) is saved as it is. Everything else is Python: the objects reachable
from the peripherals are found, and the content of each (attributes, items) is put back where it was. It is needed only
when something other than plain instructions happened since: the core and the clock count it.
"""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from unicorn.unicorn_py3.unicorn import uclib

from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.busy_wait import BusyWait
from offchip.engines.embedded.machine import EmbeddedMachine
from offchip.engines.embedded.peripheral import Line
from offchip.engines.embedded.unicorn_core import UnicornCore
from offchip.engines.embedded.virtual_tlb import VirtualTlb

_PLAIN = (int, float, str, bytes, bool, type(None), range, Enum, Path, type, ModuleType, BuiltinFunctionType, frozenset)
#: Unicorn's side is saved by Unicorn; mapped memory as bytes; the others change how fast it goes and nothing else
ELSEWHERE = (UnicornCore, VirtualTlb, mmap.mmap, Ahead, BusyWait)
#: parts of the machine that never change after it was built, and would be large
FIXED = frozenset({"_io", "_memories", "_flash_alias", "_at_zero", "platform", "core", "_system"})
_CPU = ("is_halted", "locked_up", "sleeping", "_attention", "_event", "_waits_for_event", "_deep", "_traps",
        "_traps_changed", "executed_instructions")
Restorer = Callable[[], None]
_COMPARE = ctypes.CDLL(None).memcmp
_COMPARE.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Graph:
    """The mutable Python objects of a machine, and what they held. By kind, so that going back is a few short loops."""

    def __init__(self, machine: EmbeddedMachine) -> None:
        self._machine = machine

    def save(self) -> None:
        self._lists: list[tuple[list[Any], list[Any]]] = []
        self._refilled: list[tuple[Any, Callable[[Any], None], list[Any]]] = []  # sets and deques
        self._bytes: list[tuple[bytearray, bytes]] = []
        self._mappings: list[tuple[dict[Any, Any], list[tuple[Any, Any]]]] = []
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._slots: list[tuple[Any, str, Any]] = []
        self._lines: list[tuple[Line, bool]] = []
        self._special: list[Restorer] = []
        self._keep: dict[int, object] = {}
        pending: list[Any] = [self._machine, *self._machine.platform.peripherals.values()]
        while pending:
            each = pending.pop()
            if id(each) in self._keep or isinstance(each, (*_PLAIN, *ELSEWHERE)):
                continue
            self._keep[id(each)] = each
            pending.extend(self._remember(each))

    def restore(self) -> None:
        for line, level in self._lines:
            line.level = level
        for names, held in self._attributes:
            names.update(held)
        for items, content in self._lists:
            items[:] = content
        for mapping, pairs in self._mappings:
            mapping.clear()
            mapping.update(pairs)
        for owner, name, value in self._slots:
            setattr(owner, name, value)
        for some, refill, content in self._refilled:
            some.clear()
            refill(content)
        self._restore_rest()

    def _restore_rest(self) -> None:
        for cells, before in self._bytes:
            if cells != before:
                cells[:] = before
        for special in self._special:
            special()

    def _remember(self, each: Any) -> list[Any]:
        """Keep how to put an object back; returns what it leads to."""
        if isinstance(each, tuple):
            return list(each)
        if isinstance(each, list):
            self._lists.append((each, list(each)))
            return each
        if isinstance(each, (deque, set)):
            self._refilled.append((each, each.update if isinstance(each, set) else each.extend, list(each)))
            return list(each)
        if isinstance(each, bytearray):
            self._bytes.append((each, bytes(each)))
            return []
        if isinstance(each, dict):
            self._mappings.append((each, list(each.items())))
            return list(each.values())
        if isinstance(each, Line):  # what it leads to is wired once
            self._lines.append((each, each.level))
            return [sink for sink, _ in each.sinks]
        return self._remember_object(each)

    def _remember_object(self, each: Any) -> list[Any]:
        if isinstance(each, FunctionType):
            return list(each.__closure__ or ())
        if isinstance(each, MethodType):
            return [each.__self__]
        if isinstance(each, partial):
            return [each.func, *each.args, *each.keywords.values()]
        if isinstance(each, CellType):
            return self._remember_cell(each)
        if isinstance(each, Random):
            state = each.getstate()
            self._special.append(lambda: each.setstate(state))
            return []
        return self._remember_attributes(each)

    def _remember_cell(self, cell: CellType) -> list[Any]:
        try:
            content = cell.cell_contents
        except ValueError:
            return []
        if isinstance(content, (int, str, bytes, bool, type(None))):  # closures rebind nothing else
            self._slots.append((cell, "cell_contents", content))
        return [content]

    def _remember_attributes(self, each: Any) -> list[Any]:
        slots = {name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())}
        values = {name: getattr(each, name) for name in slots if hasattr(each, name)}
        names = getattr(each, "__dict__", {})
        fixed = FIXED if each is self._machine else frozenset[str]()
        held = {name: value for name, value in names.items() if name not in fixed}
        for name, value in [*values.items(), *held.items()]:
            if isinstance(value, count):
                start: tuple[Any, ...] = value.__reduce__()[1]  # type: ignore[assignment]  # (next number,)
                values.pop(name, None)
                held.pop(name, None)
                self._special.append(partial(_count_again, each, name, start))
        if values and not _frozen(each):
            self._slots.extend((each, name, value) for name, value in values.items())
        if held:
            self._attributes.append((names, held))
        return [*values.values(), *held.values()]


def _frozen(each: Any) -> bool:
    parameters = getattr(type(each), "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def _count_again(each: Any, name: str, start: tuple[Any, ...]) -> None:
    setattr(each, name, count(*start))


class Replay:
    """A machine between two instructions, to which it can return.

    The checkpoint is taken by :meth:`save`. What lies outside the machine (modem, broker) is not part of it.
    """

    def __init__(self, machine: EmbeddedMachine) -> None:
        self._machine = machine
        self._core, self._cpu, self._clock = machine.core, machine.cpu, machine.clock
        self._context = machine.core.uc.context_save()
        unique = {id(buffer): (start, buffer) for start, buffer in machine.memories()}
        flash = {id(bank.buffer) for bank in machine.flash.banks} if machine.flash else set()
        self._ram = [_Copy(start, buffer) for key, (start, buffer) in unique.items() if key not in flash]
        self._flash = [_Copy(start, buffer) for key, (start, buffer) in unique.items() if key in flash]
        self._graph = _Graph(machine)
        self._saved_activity = -1
        self.save()

    def save(self) -> None:
        """Here it returns to from now on."""
        uclib.uc_context_save(self._core.uc._uch, self._context.context)
        for memory in self._ram:
            memory.save()
        self._base = self._clock.cycles
        self._state = tuple(getattr(self._cpu, name) for name in _CPU)
        if self._activity != self._saved_activity:
            for memory in self._flash:
                memory.save()
            self._graph.save()
            self._saved_activity = self._activity

    def restore(self) -> None:
        """Go back."""
        core = self._core
        self._cpu.busy_wait.forget()
        uclib.uc_context_restore(core.uc._uch, self._context.context)
        for memory in self._ram:
            memory.restore()
        if self._activity != self._saved_activity:
            self._graph.restore()
            self._cpu.put_in_force()
            for memory in self._flash:
                if memory.restore_if_changed():
                    self._machine.code_changed(memory.start, memory.size)
            self._saved_activity = self._activity
        self._clock.go_back(self._base)
        for name, value in zip(_CPU, self._state, strict=True):
            setattr(self._cpu, name, value)
        for memory in self._ram:
            if core.tlb.holds_code(memory.start, memory.start + memory.size):
                self._machine.code_changed(memory.start, memory.size)

    @property
    def _activity(self) -> int:
        return int(self._core.told.activity) + self._clock.fired


class _Copy:
    """The content of one mapped memory."""

    def __init__(self, start: int, buffer: mmap.mmap) -> None:
        self.start, self.size = start, len(buffer)
        self._live = (ctypes.c_char * self.size).from_buffer(buffer)
        self._kept = (ctypes.c_char * self.size)()
        self._from, self._to = ctypes.addressof(self._live), ctypes.addressof(self._kept)
        self._move = ctypes.memmove

    def save(self) -> None:
        self._move(self._to, self._from, self.size)

    def restore(self) -> None:
        self._move(self._from, self._to, self.size)

    def restore_if_changed(self) -> bool:
        changed = bool(_COMPARE(self._from, self._to, self.size))
        if changed:
            self.restore()
        return changed
