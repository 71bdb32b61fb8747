# SPDX-License-Identifier: Apache-2.0
"""Media images from files, checked before anything is written."""

from __future__ import annotations

from pathlib import Path

from offchip.board.board import Board
from offchip.board.media import RemovableMedium
from offchip.errors import MediumError


def load_images(board: Board, sd: Path | None, eeprom: Path | None) -> None:
    """Put images from files into the media of a board that is off.

    Raises:
        MediumError: a file cannot be read, or has another size than the medium.
    """
    for path, name in ((sd, "sd"), (eeprom, "eeprom")):
        if path is None:
            continue
        try:
            image = path.read_bytes()
        except OSError as error:
            raise MediumError(f"{path}: cannot be read ({error.strerror}); give another image.") from None
        medium: RemovableMedium = getattr(board, name)
        if len(image) != medium.size:
            raise MediumError(f"{path}: the image has {len(image)} bytes, the {medium.name} of this board "
                              f"{medium.size}; make it exactly that size.")
        medium.replace(image)
