# SPDX-License-Identifier: Apache-2.0
"""``offchip monitor`` and ``offchip attend``: a session at the board, and the world around it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.paths import CACHE, FIRMWARE, ROOT


def attend(
    modem: Annotated[str, typer.Option(help="host:port of the monitor session's modem terminal")] = "127.0.0.1:4402",
    scheme: Annotated[str, typer.Option(help="how it keeps its credentials: offchip list schemes")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom")] = "none",
    folder: Annotated[Path, typer.Option(help="where the images and certificates go")] = CACHE / "session",
    port: Annotated[int, typer.Option(help="TCP port of the broker on 127.0.0.1, 0 for any")] = 8883,
    prepare: Annotated[bool, typer.Option("--prepare", help="only write the images, then leave")] = False,
) -> None:
    """Be the world around a board in a monitor session: its factory, its modem, its internet, its broker."""
    from offchip import vault
    from offchip.attend import Session

    session = Session(folder, vault.scheme(scheme), vault.medium(medium))
    if prepare:
        return
    host, _, number = modem.rpartition(":")
    if not host or not number.isdigit():
        raise OffchipError(f'--modem "{modem}" is not host:port.')
    with Interrupt() as stop:
        session.serve(host, int(number), port, lambda line: console.print(escape(line), soft_wrap=True), stop)


def monitor(
    script: Annotated[Path, typer.Argument(help="the .resc to open")] = ROOT / "platforms/offchip.resc",
    engine: Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")] = "auto",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    scheme: Annotated[str, typer.Option(help="how it keeps its credentials: offchip list schemes")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom")] = "none",
    attended: Annotated[bool, typer.Option(help="give the board its modem, internet and broker")] = True,
) -> None:
    """Sit at the board: Renode's monitor where Renode is installed, else the embedded engine's, on the same script."""
    from offchip import vault
    from offchip.engines.elf import read_elf
    from offchip.monitor.session import run_session

    read_elf(elf)
    vault.scheme(scheme), vault.medium(medium)  # named wrongly, they are named at once
    world = ["--scheme", scheme, "--medium", medium] if attended else None
    raise typer.Exit(run_session(script.resolve(), engine, elf.resolve(), world,
                                 lambda line: console.print(escape(line), soft_wrap=True)))
