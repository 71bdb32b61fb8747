# SPDX-License-Identifier: Apache-2.0
"""Media images from files, checked before anything is written."""

from __future__ import annotations

from pathlib import Path

from offchip.board.board import Board
from offchip.errors import MediumError
from offchip.vault.fat import SECTOR


def load_images(board: Board, sd: Path | None, eeprom: Path | None) -> None:
    """Put images from files into the media of a board that is off.

    Where the engine can change the card (``card_from_image``) it becomes as large as its image, of which only what is
    looked at is read.

    Raises:
        MediumError: a file cannot be read, or has another size than a medium that cannot become another.
    """
    if sd is not None:
        if board.engine.capabilities.card_from_image:
            size = _size(sd)
            if not size or size % SECTOR:
                raise MediumError(f"{sd}: the image has {size} bytes; make it whole blocks of {SECTOR} bytes.")
            board.sd.set("InsertImage", str(sd))
        else:
            board.sd.replace(_content(sd, "sdcard", board.sd.size))
    if eeprom is not None:
        board.eeprom.replace(_content(eeprom, "eeprom", board.eeprom.size))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise MediumError(f"{path}: cannot be read ({error.strerror}); give another image.") from None


def _content(path: Path, name: str, wanted: int) -> bytes:
    size = _size(path)
    if size != wanted:
        raise MediumError(f"{path}: the image has {size} bytes, the {name} of this board {wanted}; make it exactly "
                          "that size.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediumError(f"{path}: cannot be read ({error.strerror}); give another image.") from None
