# SPDX-License-Identifier: Apache-2.0
"""What a board keeps without supply, as a value: equal states are equal byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from offchip import chip_map
from offchip.board.board import Board
from offchip.engines.protocol import Operation, Tear
from offchip.errors import EngineError

#: bytes that are kept together; the size of a card's block
UNIT = 512
FLASH, BACKUP = "flash", "backup"
MEDIA = ("sdcard", "eeprom")
#: bytes the device looks at together: a word of flash, a page of the EEPROM, a block of the card
CELL = {FLASH: 4, "eeprom": chip_map.EEPROM_PAGE, "sdcard": UNIT, BACKUP: UNIT}
_COMPLETE = Tear(1 << 30)

Units = Mapping[tuple[str, int], bytes]
Cell = tuple[str, int]  # memory, number


class Base:
    """What flash and media held when the experiment began; states are differences from it."""

    def __init__(self, board: Board) -> None:
        engine = board.engine
        self._content = {name: engine.medium(name).read(0, engine.medium(name).size) for name in MEDIA}
        self._content[FLASH] = engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)
        self._content[BACKUP] = backup_content(board)

    def unit(self, memory: str, number: int) -> bytes:
        return self._content[memory][number * UNIT:(number + 1) * UNIT]

    def memories(self) -> Iterator[tuple[str, bytes]]:
        yield from self._content.items()


class State:
    """Content of flash, media and backup domain at one moment; immutable."""

    __slots__ = ("_key", "base", "units")

    def __init__(self, base: Base, units: Units) -> None:
        self.base = base
        self.units = units
        self._key = b""

    @property
    def key(self) -> bytes:
        """Equal for equal content (SHA-256)."""
        if not self._key:
            digest = hashlib.sha256()
            for (memory, number), content in sorted(self.units.items()):
                digest.update(f"{memory} {number}:".encode() + content)
            self._key = digest.digest()
        return self._key

    def read(self, memory: str, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` of a memory."""
        first, last = offset // UNIT, (offset + length - 1) // UNIT
        content = b"".join(self.units[unit] if unit in self.units else self.base.unit(*unit)
                           for unit in ((memory, number) for number in range(first, last + 1)))
        return content[offset - first * UNIT:][:length]

    def meeting(self, operation: Operation) -> Operation:
        """The same step of writing as it finds this state."""
        before = self.read(operation.memory, operation.offset, len(operation.before))
        return operation if before == operation.before else replace(operation, before=before)

    def put(self, memory: str, offset: int, data: bytes) -> State:
        """This state with ``data`` at ``offset`` (bytes) of a memory."""
        units = dict(self.units)
        position = 0
        while position < len(data):
            number, start = divmod(offset + position, UNIT)
            take = min(UNIT - start, len(data) - position)
            plain = self.base.unit(memory, number)
            now = units.get((memory, number), plain)
            now = now[:start] + data[position:position + take] + now[start + take:]
            if now == plain:
                units.pop((memory, number), None)
            else:
                units[memory, number] = now
            position += take
        return State(self.base, units)

    def overlaid(self, cells: Mapping[Cell, bytes]) -> State:
        """This state with other content of some cells."""
        changed: dict[tuple[str, int], bytearray] = {}
        for cell, content in cells.items():
            number, at = divmod(place(cell).start, UNIT)
            unit = cell[0], number
            if unit not in changed:
                changed[unit] = bytearray(self.units.get(unit) or self.base.unit(*unit))
            changed[unit][at:at + len(content)] = content
        units = {**self.units, **{unit: bytes(content) for unit, content in changed.items()}}
        return State(self.base, {unit: content for unit, content in units.items() if content != self.base.unit(*unit)})

    def after(self, operation: Operation, tear: Tear = _COMPLETE) -> State:
        """This state when an operation was done, or a cut left it at ``tear``."""
        return self.put(operation.memory, operation.offset, operation.torn(tear))

    def cells(self, other: Units) -> dict[Cell, bytes]:
        """What this state holds where it differs from ``other`` of the same base."""
        found: dict[Cell, bytes] = {}
        for memory, number in {*self.units, *other}:
            here, there = (self.units.get((memory, number)), other.get((memory, number)))
            here, there = here or self.base.unit(memory, number), there or self.base.unit(memory, number)
            if here == there:
                continue
            size = CELL[memory]
            for at in range(0, len(here), size):
                if here[at:at + size] != there[at:at + size]:
                    found[memory, (number * UNIT + at) // size] = here[at:at + size]
        return found

    def apply(self, board: Board) -> None:
        """Put it into a board that holds the base."""
        _write(board, self.units)

    def take_back(self, board: Board) -> None:
        """Put the base into a board that holds this state."""
        _write(board, {unit: self.base.unit(*unit) for unit in self.units})


def _write(board: Board, units: Units) -> None:
    for (memory, number), content in units.items():
        write(board, memory, number * UNIT, content)


def write(board: Board, memory: str, offset: int, content: bytes) -> None:
    """By the back door. Raises EngineError: the backup domain has none."""
    if memory == FLASH:
        board.engine.program(chip_map.FLASH.start + offset, content)
    elif memory == BACKUP:
        raise EngineError("the backup domain cannot be restored; it stays with the board it belongs to.")
    else:
        board.engine.medium(memory).write(offset, content)


def place(cell: Cell) -> range:
    """Its bytes from the start of its memory."""
    memory, number = cell
    return range(number * CELL[memory], (number + 1) * CELL[memory])


def cells_of(memory: str, offset: int, length: int) -> range:
    """The numbers of the cells in which so many bytes from ``offset`` lie."""
    return range(offset // CELL[memory], (offset + length - 1) // CELL[memory] + 1)


def differing(states: Iterable[State]) -> list[Cell]:
    """The cells in which any of the states differs from the base."""
    return sorted({cell for state in states for cell in state.cells({})})


def capture(board: Board, base: Base) -> State:
    """What the board holds now, compared with the base byte for byte."""
    now = dict(Base(board).memories())
    units = {}
    for memory, before in base.memories():
        after = now[memory]
        if after == before:
            continue
        for number in range(-(-len(after) // UNIT)):
            content = after[number * UNIT:(number + 1) * UNIT]
            if content != base.unit(memory, number):
                units[memory, number] = content
    return State(base, units)


def backup_content(board: Board) -> bytes:
    """Backup registers and backup SRAM: what the battery keeps."""
    return board.backup_registers() + board.engine.read_memory(chip_map.BACKUP_SRAM.start, chip_map.BACKUP_SRAM.size)
