# SPDX-License-Identifier: Apache-2.0
"""Runs that come to one state of the machine go on as one.

Devices that part over what a cut left mostly come together again: a torn record is passed over, a half-made sector is
erased, and nothing in registers, RAM and peripherals tells any longer which of the torn shapes it was. From there on
they can differ only in what flash and media hold where nobody looks. So a run tells what it looked at from such a mark
on, and whoever comes to a mark of the same fingerprint, and holds the same wherever that run looked, gets its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from offchip.campaign.nonvolatile import CELL, Base, Cell, State, Units, cells_of, place
from offchip.engines.protocol import Operation as Step


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a run: the machine's fingerprint, how much the run had looked at and written, what it held."""

    fingerprint: bytes
    looks: int
    steps: int
    units: Units


@dataclass(slots=True)
class Look:
    """Neighbouring cells, from ``offset`` of a memory, and what they held; ``content`` None: ``length`` bytes that were
    overwritten, whatever they held."""

    memory: str
    offset: int
    length: int
    content: bytearray | None

    def cells(self) -> Iterator[tuple[Cell, bytes | None]]:
        size = CELL[self.memory]
        for number in cells_of(self.memory, self.offset, self.length):
            at = number * size - self.offset
            yield (self.memory, number), bytes(self.content[at:at + size]) if self.content is not None else None


class Diary:
    """What a run looks at from its first mark on."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._looks: list[Look] = []
        self._told: set[Cell] = set()  # since the last mark
        self._apart = True

    def mark(self, fingerprint: bytes, steps: int, units: Units, most: int) -> None:
        """``most``: marks that are kept, the latest."""
        self.marks = [*self.marks[1 - most:], Mark(fingerprint, len(self._looks), steps, units)]
        self._told.clear()
        self._apart = True

    def looked(self, cell: Cell, content: bytes) -> None:
        if not self.marks or cell in self._told:
            return
        self._told.add(cell)
        memory, start = cell[0], place(cell).start
        last = self._looks[-1] if self._looks and not self._apart else None
        if last and last.content is not None and last.memory == memory and last.offset + last.length == start:
            last.content += content
            last.length += len(content)
        else:
            self._looks.append(Look(memory, start, len(content), bytearray(content)))
        self._apart = False

    def overwritten(self, memory: str, offset: int, length: int) -> None:
        if self.marks:
            self._looks.append(Look(memory, offset, length, None))

    def story(self, steps: list[Step], decision: str, backup: bytes) -> Story:
        """The run has ended."""
        return Story(self.marks, self._looks, steps, decision, backup)


@dataclass(slots=True)
class Story:
    """How a run went on from its marks."""

    marks: list[Mark]
    looks: list[Look]
    steps: list[Step]
    decision: str
    backup: bytes
    #: by the steps before a mark, which tell it from the others in every process
    _settled: dict[int, tuple[dict[Cell, bytes | None], dict[Cell, bytes]]] = field(default_factory=dict)

    def fits(self, mark: Mark, state: State, watched: Collection[Cell]) -> bool:
        """Whether a device that comes to this mark with ``state`` goes on as this one did.

        ``watched``: the cells a look at which the run had to tell.
        """
        settled, parted = self._from(mark, state)
        differs = state.cells(mark.units)
        for cell, content in differs.items():
            if cell not in settled and cell not in watched:
                return False
            if settled.get(cell) not in (None, content):
                return False
        return all(differs.get(cell) == content for cell, content in parted.items())

    def settle(self, base: Base) -> None:
        """Once for all copies of this process: most who come together with this run do so at its first mark."""
        self._from(self.marks[0], State(base, {}))

    def _from(self, mark: Mark, state: State) -> tuple[dict[Cell, bytes | None], dict[Cell, bytes]]:
        """Each cell the run looked at or overwrote behind a mark, with what it held at the first look.

        And those of them that held something else than the run thought at the mark: it parted from others there.
        """
        found = self._settled.get(mark.steps)
        if found is None:
            settled: dict[Cell, bytes | None] = {}
            for look in self.looks[mark.looks:]:
                for cell, content in look.cells():
                    settled.setdefault(cell, content)
            held = State(state.base, mark.units)
            parted = {cell: content for cell, content in settled.items()
                      if content is not None and held.read(cell[0], place(cell).start, CELL[cell[0]]) != content}
            found = self._settled[mark.steps] = settled, parted
        return found
