# SPDX-License-Identifier: Apache-2.0
"""One call from "which engine, which firmware" to a board on the bench."""

from __future__ import annotations

from pathlib import Path

from offchip.board.board import Board
from offchip.engines.image import split_name
from offchip.engines.select import make_engine
from offchip.errors import FirmwareError, PlatformError
from offchip.network.clock import LabClock
from offchip.network.internet import Internet
from offchip.paths import BOARD

#: seed of the modelled random generator, as in platforms/offchip.resc
DEFAULT_SEED = 0x0FFC


def create_board(engine: str = "embedded", platform: Path = BOARD, elf: Path | None = None,
                 seed: int = DEFAULT_SEED, internet: Internet | None = None, clock: LabClock | None = None,
                 with_modem: bool = True) -> Board:
    """A board, powered off, with ``elf`` in its flash.

    ``engine``: ``embedded``, ``renode``, or ``auto`` (Renode where it is installed).
    Raises PlatformError, FirmwareError or EngineError.
    """
    if not platform.is_file():
        raise PlatformError(f"{platform}: there is no such platform file")
    if elf is not None and not split_name(elf)[0].is_file():
        raise FirmwareError(f"{elf}: there is no such file; build the firmware first")
    return Board(make_engine(engine, platform, seed, elf), internet, clock, with_modem)

