# SPDX-License-Identifier: Apache-2.0
"""Whether two copies of a machine are in one state: all that decides what it does next, but what its memories keep.

Registers, RAM, the clock with its events and every attribute of the peripherals go in. Left out are the content of
flash, card and EEPROM, which whoever compares knows better, who watches them, and a part of RAM that is dead.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from offchip.engines.embedded.machine import EmbeddedMachine
from offchip.engines.embedded.peripheral import Line
from offchip.engines.embedded.replay import ELSEWHERE, FIXED
from offchip.engines.embedded.unicorn_core import REGISTERS

_ATOMS = (int, float, str, bytes, bool, type(None), range)
_NAMED = (type, ModuleType, BuiltinFunctionType, Path)
#: the content of the media, and who is told of accesses to them and of steps of writing
_KEPT = frozenset({"_storage", "_cells", "_watched", "_before_access", "_watcher"})
_NAMES = tuple(name for name in REGISTERS if name not in ("cpsr", "ipsr", "iepsr", "apsr", "nzcv"))  # xpsr has them


def _cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


#: type -> what an object of it holds
_LEADS_TO: dict[type, Callable[[Any], list[Any]]] = {
    dict: lambda each: [part for pair in each.items() for part in pair], list: list, tuple: list, deque: list,
    bytearray: lambda each: [bytes(each)],
    set: lambda each: sorted(map(repr, each)), frozenset: lambda each: sorted(map(repr, each)),
    CellType: _cell,
    FunctionType: lambda each: [each.__qualname__, *(each.__closure__ or ())],
    MethodType: lambda each: [each.__func__.__qualname__, each.__self__],
    partial: lambda each: [each.func, *each.args, *each.keywords.values()],
    Line: lambda each: [each.level, *each.sinks], Random: lambda each: [repr(each.getstate())],
    count: lambda each: [repr(each)]}


class Fingerprint:
    """Of one machine; copies of the process that made it may compare theirs."""

    def __init__(self, machine: EmbeddedMachine) -> None:
        self._machine = machine
        unique = {id(buffer): (start, buffer) for start, buffer in machine.memories()}
        flash = {id(bank.buffer) for bank in machine.flash.banks} if machine.flash else set()
        self._ram = [(start, memoryview(buffer)) for key, (start, buffer) in unique.items() if key not in flash]

    def of(self, dead: range) -> bytes:
        """Of the state it is in now, also inside a bus access. ``dead``: addresses of RAM that count for nothing."""
        digest = hashlib.blake2b(repr(self._machine.core.get(*_NAMES)).encode(), digest_size=20)
        for start, memory in self._ram:
            first, last = (min(max(0, address - start), len(memory)) for address in (dead.start, dead.stop))
            digest.update(memory[:first])
            digest.update(memory[max(first, last):])
        digest.update(repr(self._words()).encode())
        return digest.digest()

    def _words(self) -> list[Any]:
        """What the Python objects of the machine hold, each object where it is first met."""
        words: list[Any] = [self._machine.clock.cycles]
        met: dict[int, int] = {}
        kept = []  # no number may be met again because its object has gone
        pending: list[Any] = [self._machine, *self._machine.platform.peripherals.values()]
        while pending:
            each = pending.pop()
            if type(each) in _ATOMS:
                words.append(each)
            elif isinstance(each, _NAMED):
                words.append(str(each) if isinstance(each, Path) else each.__name__)
            elif isinstance(each, Enum):
                words.append(each.name)
            elif isinstance(each, ELSEWHERE):
                words.append("elsewhere")
            elif id(each) in met:
                words.append((met[id(each)],))
            else:
                met[id(each)] = len(met)
                kept.append(each)
                parts = self._parts(each, words)
                words.append(len(parts))
                pending.extend(parts)
        return words

    def _parts(self, each: Any, words: list[Any]) -> list[Any]:
        found = _LEADS_TO.get(type(each))
        if found is not None:
            return found(each)
        names: dict[str, Any] = {name: getattr(each, name) for kind in type(each).__mro__
                                 for name in getattr(kind, "__slots__", ()) if hasattr(each, name)}
        names |= getattr(each, "__dict__", {})
        if hasattr(each, "_type_") and not names:  # a number of ctypes
            return [each.value]
        left_out = _KEPT | FIXED if each is self._machine else _KEPT
        words.append(type(each).__qualname__)
        return [part for name, value in names.items() if name not in left_out for part in (name, value)]
