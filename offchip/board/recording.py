# SPDX-License-Identifier: Apache-2.0
"""One boot as everybody around the chip saw it, to be compared between engines and with earlier days.

Compared are the transactions on both buses (bytes, acknowledgements, order), the console and what the media hold at the
end. Virtual times are left out: engines differ in them, see FIDELITY.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

from offchip.board.board import Board
from offchip.board.factory import CONFIGURATION_ADDRESS, CONFIGURATION_SIZE
from offchip.errors import BoardError

SCHEMA = "offchip-boot-1"
_CONTEXT = 12  # bytes shown around the first difference


@dataclass(frozen=True, slots=True)
class BootRecording:
    """What one boot did.

    Attributes:
        scenario: which device was booted.
        engine, version: who emulated it.
        date: day of the recording, ISO 8601, UTC.
        elf_sha256: the firmware.
        seed: seed of the modelled random generator.
        console: lines up to the one that ended the recording.
        spi: per period of chip select low, MOSI and MISO in hexadecimal with a blank between them.
        i2c: per transaction the short form of the tap, ``S A0+ 00+ 00+ Sr A1+ 5A- P``.
        media: SHA-256 of what each memory holds at the end.
    """

    scenario: str
    engine: str
    version: str
    date: str
    elf_sha256: str
    seed: int
    console: tuple[str, ...]
    spi: tuple[str, ...]
    i2c: tuple[str, ...]
    media: dict[str, str]

    def save(self, path: Path) -> None:
        """Write as JSON, one transaction a line, so that a version control system shows what changed."""
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> BootRecording:
        """Raises BoardError when the file is not such a recording."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("schema") != SCHEMA:
                raise BoardError(f"{path}: its schema is not {SCHEMA}; record it again")
            fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value
                                      for key, value in content.items()}
            return cls(**fields)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise BoardError(f"{path}: no recording of a boot ({error}); record it again") from error


def record_boot(board: Board, scenario: str, elf: Path, seed: int, last_line: str, timeout_s: float) -> BootRecording:
    """Power on a provisioned board and record it until a console line matches ``last_line``.

    Args:
        elf, seed: what the board was made of.
        timeout_s: virtual seconds.

    Raises:
        BoardError: the line did not come in time.
    """
    board.spi_tap.record()
    board.i2c_tap.record()
    board.power_on()
    end = board.console.wait_for(last_line, timeout_s).line
    lines = board.console.lines
    configuration = board.engine.read_memory(CONFIGURATION_ADDRESS, CONFIGURATION_SIZE)
    capabilities = board.engine.capabilities
    return BootRecording(
        scenario=scenario, engine=capabilities.name, version=capabilities.version,
        date=datetime.now(UTC).date().isoformat(), elf_sha256=sha256(elf.read_bytes()).hexdigest(), seed=seed,
        console=tuple(line.text for line in lines[:lines.index(end) + 1]),
        spi=tuple(f"{transfer.mosi.hex()} {transfer.miso.hex()}" for transfer in board.spi_tap.drain()),
        i2c=tuple(transfer.text for transfer in board.i2c_tap.drain()),
        media={"sdcard": sha256(board.sd.image).hexdigest(), "eeprom": sha256(board.eeprom.image).hexdigest(),
               "configuration": sha256(configuration).hexdigest()})


def first_difference(one: BootRecording, other: BootRecording) -> str | None:
    """The first thing that is not equal, in one sentence; None when the boots are the same."""
    found = _difference(one, other)
    if found is None:
        return None
    firmware = "" if one.elf_sha256 == other.elf_sha256 else (
        f"; the firmware differs, too ({one.elf_sha256[:12]} and {other.elf_sha256[:12]})")
    return f"{one.scenario}: {_who(one)} and {_who(other)} differ in {found}{firmware}"


def _difference(one: BootRecording, other: BootRecording) -> str | None:
    if one.scenario != other.scenario:
        return f"the scenario: {one.scenario} and {other.scenario}"
    for subject, item in (("spi", "SPI transaction"), ("i2c", "I2C transaction"), ("console", "console line")):
        found = _in_sequence(item, getattr(one, subject), getattr(other, subject))
        if found:
            return found
    for name in sorted(one.media | other.media):
        if one.media.get(name) != other.media.get(name):
            return f"the final content of {name}"
    return None


def _in_sequence(item: str, one: Sequence[str], other: Sequence[str]) -> str | None:
    for number, (left, right) in enumerate(zip_longest(one, other), 1):
        if left is None or right is None:
            return f"the number of {item}s: {len(one)} and {len(other)}"
        if left != right:
            at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
                      min(len(left), len(right)))
            return f'{item} {number}: "{_around(left, at)}" and "{_around(right, at)}" (character {at + 1})'
    return None


def _around(text: str, at: int) -> str:
    begin, end = max(0, at - 2 * _CONTEXT), at + 2 * _CONTEXT
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")


def _who(recording: BootRecording) -> str:
    return f"{recording.engine} ({recording.version}, {recording.date})"
