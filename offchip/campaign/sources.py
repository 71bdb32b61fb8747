# SPDX-License-Identifier: Apache-2.0
"""Where an instruction comes from: symbols and lines of an ELF (DWARF)."""

from __future__ import annotations

import bisect
import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from offchip.errors import FirmwareError


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """A line of the source; ``file`` is empty and ``number`` 0 where the ELF does not say."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.number}" if self.file else "?"
        return f"{where} ({self.function})" if self.function else where


class Sources:
    """Names and lines of one ELF.

    Args:
        elf: with a symbol table; without DWARF there are functions, but no lines.
        units: whether the lines of a unit (its file as it was compiled) are wanted; reading all takes seconds.

    Raises:
        FirmwareError: it cannot be read.
    """

    def __init__(self, elf: Path, units: Callable[[str], bool] = lambda file: True) -> None:
        self._elf = elf
        self._wanted = units
        try:
            with elf.open("rb") as stream:
                file = ELFFile(stream)
                self._read_symbols(file)
                self._read_lines(file)
        except OSError as error:
            raise FirmwareError(f"{elf}: cannot be read: {error.strerror}.") from None
        except ELFError as error:
            raise FirmwareError(f"{elf}: is not an ELF ({error}).") from None

    def _read_symbols(self, file: Any) -> None:
        self._symbols: dict[str, int] = {}
        functions: dict[int, tuple[int, str]] = {}
        table = file.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if table is not None else ():
            if symbol["st_info"]["type"] == "STT_FUNC":
                start = symbol["st_value"] & ~1
                self._symbols.setdefault(symbol.name, start)
                functions[start] = (symbol["st_size"], symbol.name)
        self._starts = sorted(functions)
        self._functions = [functions[start] for start in self._starts]

    def _read_lines(self, file: Any) -> None:
        found: dict[int, tuple[str, int]] = {}
        if file.has_dwarf_info():
            dwarf = file.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                if not self._wanted(_text(unit.get_top_DIE().attributes["DW_AT_name"].value)):
                    continue
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    names = _file_names(program, unit)
                    for entry in program.get_entries():
                        state = entry.state
                        if state is not None and not state.end_sequence:
                            found[state.address] = (names.get(state.file, ""), state.line)
                        elif state is not None:
                            found.setdefault(state.address, ("", 0))
        self._addresses = sorted(found)
        self._lines = [found[address] for address in self._addresses]

    def address(self, text: str) -> int:
        """Of ``symbol``, ``symbol+0x10`` or ``0x08001234``. Raises FirmwareError."""
        name, _, offset = text.partition("+")
        try:
            if name in self._symbols:
                return self._symbols[name] + int(offset or "0", 0)
            return int(text, 0) & ~1
        except ValueError:
            near = get_close_matches(name, self._symbols, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise FirmwareError(f"{self._elf}: there is no function '{text}'{hint}") from None

    def function(self, address: int) -> str:
        """The name of the function an address lies in, or an empty string."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return ""
        size, name = self._functions[at]
        return name if address < self._starts[at] + max(size, 2) else ""

    def line(self, address: int) -> Line:
        """The line an instruction was made from."""
        at = bisect.bisect_right(self._addresses, address) - 1
        file, number = self._lines[at] if at >= 0 else ("", 0)
        return Line(file, number, self.function(address))


def _file_names(program: Any, unit: Any) -> dict[int, str]:
    """Number of a file in the line program -> its path, relative to where the unit was compiled."""
    header = program.header
    first = 0 if header["version"] >= 5 else 1
    folders = [_text(each) for each in header["include_directory"]]
    if header["version"] < 5:
        folders.insert(0, "")
    top = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    compiled_in = _text(top.value) if top is not None else ""
    names = {}
    for number, entry in enumerate(header["file_entry"], first):
        folder = folders[entry["dir_index"]] if entry["dir_index"] < len(folders) else ""
        path = os.path.normpath(os.path.join(compiled_in, folder, _text(entry["name"])))
        names[number] = os.path.relpath(path, compiled_in) if compiled_in and path.startswith("/") else path
    return names


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
