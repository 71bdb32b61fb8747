# SPDX-License-Identifier: Apache-2.0
"""``offchip boot``: any ELF on the bare board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.paths import BOARD


def boot(
    elf: Annotated[Path, typer.Argument(help="any ELF for the STM32F405/407")],
    seconds: Annotated[float, typer.Option(help="virtual time to run")] = 1.0,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    platform: Annotated[Path, typer.Option(help="the board")] = BOARD,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card, exactly its size")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM, exactly its size")] = None,
) -> None:
    """Run an ELF on the bare board: its UARTs on standard output, what the models did not expect on standard error."""
    from offchip.board.create import create_board
    from offchip.board.images import load_images

    if not 0 < seconds <= 3600:
        raise OffchipError(f"--seconds {seconds:g} is not between 0 and 3600.")
    with Interrupt() as stop, create_board(engine, platform, elf, with_modem=False) as board:
        load_images(board, sd, eeprom)
        device = board.engine
        device.power_on()
        while device.now_ns < seconds * 1e9 and not stop:
            for byte in device.run(min(10_000_000, round(seconds * 1e9) - device.now_ns + 1)).uart:
                sys.stdout.buffer.write(bytes([byte.value]))
            sys.stdout.buffer.flush()
        unexpected = device.diagnostics()
        for each in unexpected:
            console.print(f"{each.kind}: {escape(each.where)}: {escape(each.message)} "
                          f"(PC 0x{each.pc:08X}, {each.time_ns / 1e9:.6f} s)")
        console.print(f"{device.instructions} instructions in {device.now_ns / 1e9:.3f} s of virtual time, "
                      f"{len(unexpected)} unexpected accesses or faults")
    raise typer.Exit(1 if unexpected else 0)
