# SPDX-License-Identifier: Apache-2.0
"""``offchip boot``: any ELF on the bare board."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.engines.protocol import UartByte
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.monitor.terminal import LinePrinter
from offchip.paths import BOARD


class _Output:
    """What UARTs send, on standard output: lines that begin with the UART's name, or the bytes of only one UART."""

    def __init__(self, only: str | None) -> None:
        self._only = only
        self._printers: dict[str, LinePrinter] = {}

    def take(self, sent: Iterable[UartByte]) -> None:
        for byte in sent:
            if self._only is None:
                printer = self._printers.setdefault(byte.uart, LinePrinter(byte.uart, print))
                printer.send(bytes([byte.value]))
            elif byte.uart == self._only:
                sys.stdout.buffer.write(bytes([byte.value]))
        sys.stdout.flush()

    def close(self) -> None:
        for printer in self._printers.values():
            printer.close()


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise OffchipError(f"--vectors {text} is not an address; write it like 0x08008000.") from None


def boot(
    elf: Annotated[Path, typer.Argument(help="any ELF for the STM32F405/407")],
    seconds: Annotated[float, typer.Option(help="virtual time to run")] = 1.0,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    platform: Annotated[Path, typer.Option(help="the board")] = BOARD,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card, exactly its size")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM, exactly its size")] = None,
    vectors: Annotated[str, typer.Option(help="start at the vector table at this address (0x08008000), as behind a "
                                              "bootloader")] = "0",
    uart: Annotated[str | None, typer.Option(help="only this UART, byte for byte (usart1)")] = None,
) -> None:
    """Run an ELF on the bare board: lines of its UARTs on standard output, each after the UART's name; what the models
    did not expect on standard error."""
    from offchip.board.create import create_board
    from offchip.board.images import load_images

    if not 0 < seconds <= 3600:
        raise OffchipError(f"--seconds {seconds:g} is not between 0 and 3600.")
    with Interrupt() as stop, create_board(engine, platform, elf, with_modem=False) as board:
        load_images(board, sd, eeprom)
        device = board.engine
        device.start_at(_address(vectors))
        if uart is not None:
            device.feed_uart(uart, b"")  # says so when there is none of that name
        output = _Output(uart)
        device.power_on()
        while device.now_ns < seconds * 1e9 and not stop:
            output.take(device.run(min(10_000_000, round(seconds * 1e9) - device.now_ns + 1)).uart)
        output.close()
        unexpected = device.diagnostics()
        for each in unexpected:
            console.print(f"{each.kind}: {escape(each.where)}: {escape(each.message)} "
                          f"(PC 0x{each.pc:08X}, {each.time_ns / 1e9:.6f} s)")
        console.print(f"{device.instructions} instructions in {device.now_ns / 1e9:.3f} s of virtual time, "
                      f"{len(unexpected)} unexpected accesses or faults")
    if stop:
        raise typer.Exit(stop.exit_code)
    raise typer.Exit(1 if unexpected else 0)
