# SPDX-License-Identifier: Apache-2.0
"""What the keywords of one test share: the board, the internet, the broker and the record being written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

from offchip.attacks.evidence import Evidence as Fired
from offchip.attacks.evidence import Loot
from offchip.board.board import Board
from offchip.board.media import Eeprom, SdCard
from offchip.errors import OffchipError
from offchip.report.record import Evidence, Record
from OffchipLibrary.stage import Stage


class Medium(Enum):
    """A storage medium of the board."""

    SD = "sd"
    EEPROM = "eeprom"


@dataclass
class Lab:
    """State of one test; :meth:`close` lets go of everything, so tests cannot lean on each other."""

    engine: str
    elf: Path | None
    record: Record = field(default_factory=lambda: Record("", ""))
    loot: Loot = field(default_factory=Loot)
    _board: Board | None = None
    _stage: Stage | None = None

    @cached_property
    def _elf_sha256(self) -> str:
        return hashlib.sha256(self.elf.read_bytes()).hexdigest() if self.elf and self.elf.is_file() else ""

    def start(self, suite: str, test: str) -> None:
        self.record = Record(f"{suite}.{test}", test)
        self.loot = Loot()

    @property
    def board(self) -> Board:
        if self._board is None:
            raise OffchipError("there is no board yet; call a keyword such as `Given A Device` first.")
        return self._board

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            raise OffchipError("there is no lab yet; call a keyword such as `Given A Device` first.")
        return self._stage

    def medium(self, which: Medium) -> SdCard | Eeprom:
        """The medium a keyword names."""
        return self.board.sd if which is Medium.SD else self.board.eeprom

    def install(self, stage: Stage, board: Board) -> None:
        if self._board is not None:
            raise OffchipError("a test has one device; write another test for another configuration.")
        self._stage, self._board = stage, board

    def fired(self, *evidence: Fired) -> None:
        """Note that an attack really did something."""
        for each in evidence:
            changed = each.after or each.before
            self.record.fired.append(Evidence(each.action, each.where, each.time_ns, len(changed), each.detail))

    def saw(self, text: str) -> None:
        """Note what an oracle observed."""
        self.record.observations.append(text)

    def transcript(self) -> list[str]:
        """Console and broker side by side, for the log."""
        if self._board is None:
            return []
        lines = [f"{line.time_ns / 1e9:9.3f} s  {line.text}" for line in self._board.console.lines]
        lines += [f"broker: {event}" for event in self.stage.broker.events]
        return lines + [f"diagnostic: {each}" for each in self._board.diagnostics()]

    def finish(self, passed: bool) -> Record:
        record = self.record
        record.proven = passed
        if self._board is not None:
            engine = self._board.engine
            record.engine = f"{engine.capabilities.name} ({engine.capabilities.version})"
            record.virtual_time_ns, record.instructions = engine.now_ns, engine.instructions
        record.elf_sha256 = self._elf_sha256
        return record

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
        if self._stage is not None:
            self._stage.close()
        self._board = self._stage = None
