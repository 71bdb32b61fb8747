# SPDX-License-Identifier: Apache-2.0
"""Programs written as a vendor's or a kernel's are, which know nothing of the lab, run on the board without change."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.image import check_apart, read_image
from offchip.errors import FirmwareError
from tests.engines import build_probe

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "third_party"
GCC = "arm-none-eabi-gcc"
FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffreestanding", "-nostdlib",
         "-ffunction-sections", "-fno-inline", "-std=gnu11", "-Wall", "-Werror"]

pytestmark = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not installed")


def build(folder: Path, source: str, *options: str) -> Path:
    elf = folder / f"{Path(source).stem}.elf"
    subprocess.run([GCC, *FLAGS, *(options or ["-O2"]), "-T", SOURCES / "vendor.ld", SOURCES / "startup.c",
                    SOURCES / source, "-lgcc", "-o", elf], check=True)
    return elf


def board(elf: Path) -> EmbeddedEngine:
    engine = EmbeddedEngine(ROOT / "platforms" / "offchip-board.repl")
    engine.load_elf(elf)
    return engine


def run_until(engine: EmbeddedEngine, text: str, milliseconds: int) -> str:
    """Console output up to ``text``; fails when it has not come in that much virtual time."""
    console = ""
    for _ in range(milliseconds):
        console += "".join(chr(byte.value) for byte in engine.run(1_000_000).uart)
        if text in console:
            return console
    raise AssertionError(f"{text!r} did not come in {milliseconds} ms; {console=}, {engine.diagnostics()}")


@pytest.mark.parametrize(("options", "megahertz"), [
    (["-O0"], 168), (["-Os"], 168), (["-O2"], 168), (["-O2", "-DSTAY_ON_HSI"], 16),
])
def test_polling_program_of_a_vendor(tmp_path: Path, options: list[str], megahertz: int) -> None:
    elf = build(tmp_path, "vendor_style.c", *options)
    with elf.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        places = {s.name: s["st_value"] >> 14 & 0x3F for s in symbols.iter_symbols()}
    used = [places[name] for name in ("Reset_Handler", "usart_put", "spi_transfer", "i2c_address", "main")]
    assert used == [0, 1, 2, 3, 4], "the image must have code in each of the flash sectors 0 to 4"

    engine = board(elf)
    card, eeprom = engine.medium("sdcard"), engine.medium("eeprom")
    source = random.Random(7).randbytes(512)
    card.write(7 * 512, source)
    engine.power_on()
    console = run_until(engine, "echo\r\n", 400)
    checksum = 0
    for byte in source:
        checksum = (checksum * 31 + byte) & 0xFFFFFFFF
    assert dict(line.split("=") for line in console.split() if "=" in line) == {
        "clock": "00000000", "cycles": f"{megahertz:08x}", "tables": "112f334f", "ccm": "c0ffee01", "sd": "00000000",
        "read": "00000000", "sum": f"{checksum:08x}", "write": "00000000", "eeprom": "00000000", "ready": "00000000",
        "polled": "00000001", "back": "00000000", "same": "00000001", "absent": "00000001"}

    written = bytes(byte ^ 0xA5 for byte in source)
    assert card.read(9 * 512, 512) == written
    assert card.read(7 * 512, 512) == source
    assert eeprom.read(0x0120, 16) == bytes((written[i] + i) & 0xFF for i in range(16))
    engine.feed_uart("usart1", b"Hello, board")
    assert run_until(engine, "end", 200).split() == ["HELLO,", "BOARD", "end"]
    assert engine.diagnostics() == []


def test_absent_card_runs_into_the_programs_own_time_out(tmp_path: Path) -> None:
    engine = board(build(tmp_path, "vendor_style.c"))
    engine.medium("sdcard").present = False
    engine.power_on()
    console = run_until(engine, "write=", 400)
    assert "sd=00000001" in console and "read=00000001" in console


def test_kernel_with_fpu_contexts_and_nested_interrupts(tmp_path: Path) -> None:
    engine = board(build(tmp_path, "kernel.c"))
    engine.power_on()
    console = run_until(engine, ">\r\n", 50)
    assert console.split() == ["wrong=00000000", "alive=00000001", "timer=00000001", "float=000007d0",
                               "[ab2c1]<ab2c1>"]
    assert engine.diagnostics() == []


def test_blocks_without_a_model_are_named(tmp_path: Path) -> None:
    source = tmp_path / "camera.c"
    source.write_text("int main(void) { return *(volatile int *)0x50050000 + *(volatile int *)0x40028000; }\n")
    engine = board(build(tmp_path, str(source)))
    engine.power_on()
    engine.run(1_000_000)
    found = engine.diagnostics()
    assert [(d.kind, d.address) for d in found] == [("unmodelled", 0x50050000), ("unmodelled", 0x40028000)]
    assert "DCMI" in found[0].message and "ETH" in found[1].message and all(0x08000000 < d.pc for d in found)


def test_other_forms_of_an_image(tmp_path: Path) -> None:
    """Intel HEX, bytes with an address, and one program put beside another while that runs."""
    (tmp_path / "behind").mkdir()
    first, second = build_probe("steps", tmp_path), build_probe("steps", tmp_path / "behind", 0x08008000)
    hexfile, plain = tmp_path / "first.hex", tmp_path / "second.bin"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "ihex", first, hexfile], check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", second, plain], check=True)
    assert read_image(hexfile).segments[0][1][:16] == read_image(first).segments[0][1][:16]
    with pytest.raises(FirmwareError, match="write second.bin@0x08008000"):
        read_image(plain)
    with pytest.raises(FirmwareError, match="is not an address"):
        read_image(plain.with_name("second.bin@x"))
    with pytest.raises(FirmwareError, match="overlaps"):
        check_apart([read_image(hexfile), read_image(plain.with_name("second.bin@0x08000000"))])
    engine = board(hexfile)
    engine.power_on()
    assert "end=probe" in run_until(engine, "end=probe", 100)
    engine.load_elf(plain.with_name("second.bin@0x08008000"))
    engine.start_at(0x08008000)
    engine.reset()
    assert "end=probe" in run_until(engine, "end=probe", 100)
    damaged = tmp_path / "damaged.hex"
    damaged.write_text(hexfile.read_text().replace(":10", ":11", 1))
    with pytest.raises(FirmwareError, match="Intel HEX"):
        read_image(damaged)
