# SPDX-License-Identifier: Apache-2.0
"""``offchip boot``: any firmware on the bare board."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.engines.protocol import Diagnostic, UartByte
from offchip.errors import OffchipError

if TYPE_CHECKING:
    from offchip.engines.elf import Firmware
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


def table_address(text: str) -> int:
    """``--vectors``. Raises OffchipError."""
    try:
        return int(text, 0)
    except ValueError:
        raise OffchipError(f"--vectors {text} is not an address; write it like 0x08008000.") from None


def _table(text: str, firmware: list[Firmware], engine: str) -> int:
    """What ``--vectors`` means for these images. Raises OffchipError."""
    from offchip.engines.image import application_table

    if text != "auto":
        return table_address(text)
    table = application_table(firmware) if engine == "embedded" else 0
    if table:
        console.print(f"nothing lies at 0x08000000: started at the vector table at 0x{table:08X}, as a bootloader does "
                      "(--vectors 0: as the chip does)")
    return table


def _later(wanted: list[str]) -> list[tuple[int, Path]]:
    """(virtual time in nanoseconds, firmware) in the order of time."""
    from offchip.engines.image import read_image

    found = []
    for each in wanted:
        seconds, _, name = each.partition(":")
        try:
            found.append((round(float(seconds) * 1e9), Path(name)))
        except (ValueError, OverflowError):
            raise OffchipError(f"--load {each} is not SECONDS:FIRMWARE; write it like 0.5:app.hex.") from None
        read_image(found[-1][1])
    return sorted(found)


def _by_kind(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """One line for each thing that was not expected, with the number of times and the first place in the program."""
    groups: dict[tuple[str, str, str], list[Diagnostic]] = {}
    for each in diagnostics:
        groups.setdefault(each.sort, []).append(each)
    lines = []
    for (kind, where, message), group in groups.items():
        times = sum(each.count for each in group)
        often = "" if times == 1 else f"{times} times, first "
        lines.append(f"{kind}: {where}: {message} ({often}PC 0x{group[0].pc:08X}, {group[0].time_ns / 1e9:.6f} s)")
    return lines


def boot(
    images: Annotated[list[Path], typer.Argument(help="firmware for the STM32F405/407: ELF, Intel HEX or "
                                                     "file.bin@0x08000000; several lie side by side")],
    seconds: Annotated[float, typer.Option(help="virtual time to run")] = 1.0,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    platform: Annotated[Path, typer.Option(help="the board")] = BOARD,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card, which becomes as large; the file is not "
                                                 "written to")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM, exactly its size")] = None,
    vectors: Annotated[str, typer.Option(help="start at the vector table at this address (0x08008000), as behind a "
                                              "bootloader; auto: there, if the chip finds none itself")] = "auto",
    uart: Annotated[str | None, typer.Option(help="only this UART, byte for byte (usart1)")] = None,
    load: Annotated[list[str] | None, typer.Option(
        help="program more while it runs, as a debugger does, and reset: SECONDS:FIRMWARE", metavar="S:FILE")] = None,
    debugger: Annotated[bool, typer.Option("--debugger", help="as with a debugger attached: semihosting is answered, "
                                           "its exit code is this command's, and ITM text is heard")] = False,
) -> None:
    """Run firmware on the bare board: lines of its UARTs on standard output, each after the UART's name; on standard
    error what the models did not expect."""
    from offchip.board.create import create_board
    from offchip.board.images import load_images
    from offchip.engines.image import check_apart, read_image

    if not 0 < seconds <= 3600:
        raise OffchipError(f"--seconds {seconds:g} is not between 0 and 3600.")
    later = _later(load or [])
    firmware = [read_image(each) for each in images]
    check_apart(firmware)
    table = _table(vectors, firmware, engine)
    with Interrupt() as stop, create_board(engine, platform, images[0], with_modem=False) as board:
        load_images(board, sd, eeprom)
        device = board.engine
        for each in images[1:]:
            device.load_elf(each)
        device.start_at(table)
        if debugger:
            device.attach_debugger()
        if uart is not None and uart not in ("swo", "semihosting"):
            device.feed_uart(uart, b"")  # says so when there is none of that name
        output = _Output(uart)
        device.power_on()
        ended: int | None = None
        while device.now_ns < seconds * 1e9 and not stop and ended is None:
            result = device.run(min(10_000_000, round(seconds * 1e9) - device.now_ns + 1))
            output.take(result.uart)
            ended = result.exit_code
            while later and later[0][0] <= device.now_ns:
                device.load_elf(later.pop(0)[1])
                device.reset()
        output.close()
        found = device.diagnostics()
        unexpected = _by_kind(each for each in found if each.kind != "stand-in")
        for line in [*_by_kind(each for each in found if each.kind == "stand-in"), *unexpected]:
            console.print(escape(line))
        console.print(f"{device.instructions} instructions in {device.now_ns / 1e9:.3f} s of virtual time, "
                      f"{len(unexpected)} kind{'s' * (len(unexpected) != 1)} of unexpected accesses or faults")
    if stop:
        raise typer.Exit(stop.exit_code)
    if ended is not None:
        console.print(f"the program ended itself with {ended}")
        raise typer.Exit(ended)
    raise typer.Exit(1 if unexpected else 0)
