# SPDX-License-Identifier: Apache-2.0
"""How fast the engines are, as ratios measured in one run. Prints a report; judges nothing.

    .venv/bin/python bench/bench.py [--elf FILE] [--seconds S]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "robot")]

from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc  # noqa: E402
from unicorn import __version__ as unicorn_version  # noqa: E402
from unicorn.arm_const import UC_ARM_REG_PC, UC_ARM_REG_R0, UC_CPU_ARM_CORTEX_M4  # noqa: E402

from bench import both, campaigns  # noqa: E402
from offchip import vault  # noqa: E402
from offchip.board.board import Board  # noqa: E402
from offchip.engines.embedded.engine import EmbeddedEngine  # noqa: E402
from offchip.engines.select import resolve_engine  # noqa: E402
from offchip.errors import OffchipError  # noqa: E402
from offchip.matrix.bench import Bench  # noqa: E402
from offchip.matrix.cells import cell  # noqa: E402
from offchip.paths import BOARD, FIRMWARE  # noqa: E402
from offchip.scene import Defence, Scene  # noqa: E402
from offchip.scene.scene import THING  # noqa: E402

FLASH, SRAM = 0x08000000, 0x20000000
SLICE_NS, SLICE = 500_000, 84_000  # the board's slice at 168 instructions per microsecond
ENTRY = 8
#: add, eor, mul, str, ldr, adc, lsr, cmp, branch: nine instructions that go round for ever, counted in r0
LOOP = bytes.fromhex("064c0020013081eac00101fb00f26260636845eb0305ee098642f3e700010020")
LOOP_INSTRUCTIONS = 9
SLEEP_S = 20
#: nothing is executed; one start; a start and a refused handshake; starts by the dozen
CELLS = ("A21/publish", "A03/flip-anchor", "A17/untrusted", "A05/swap")
SCENARIOS = {"internal": (vault.INTERNAL, vault.NONE), "SD card": (vault.PLAIN, vault.SD),
             "EEPROM": (vault.PLAIN, vault.EEPROM)}


# (a) the core alone ----------------------------------------------------------------------------------------------
def engine_mips(image: bytes, seconds: float) -> float:
    engine = EmbeddedEngine(BOARD)
    engine.program(FLASH, image)
    engine.power_on()
    return _rate(lambda: engine.run(SLICE_NS), lambda: engine.instructions, seconds)


def bare_mips(image: bytes, seconds: float, counted: bool) -> float:
    """Unicorn without anything around it; ``counted``: in slices of so many instructions, as an exact engine needs."""
    uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(FLASH, 0x10000)
    uc.mem_map(SRAM, 0x20000)
    uc.mem_write(FLASH, image)
    uc.reg_write(UC_ARM_REG_PC, FLASH + ENTRY | 1)
    if counted:
        return _rate(lambda: uc.emu_start(uc.reg_read(UC_ARM_REG_PC) | 1, 0xFFFFFFFF, count=SLICE),
                     lambda: uc.reg_read(UC_ARM_REG_R0) * LOOP_INSTRUCTIONS, seconds)
    return _rate(lambda: uc.emu_start(uc.reg_read(UC_ARM_REG_PC) | 1, 0xFFFFFFFF, timeout=round(seconds * 5e5)),
                 lambda: uc.reg_read(UC_ARM_REG_R0) * LOOP_INSTRUCTIONS, seconds)


def _rate(step: Callable[[], object], position: Callable[[], int], seconds: float) -> float:
    """Millions of instructions per second of CPU time; the first step, which translates, is not counted."""
    step()
    before, start = position(), time.process_time()
    while (gone := time.process_time() - start) < seconds:
        step()
    return (position() - before) / gone / 1e6


def measure_core(seconds: float) -> None:
    image = (SRAM + 0x20000).to_bytes(4, "little") + (FLASH + ENTRY | 1).to_bytes(4, "little") + LOOP
    rounds = [(engine_mips(image, seconds), bare_mips(image, seconds, True)) for _ in range(5)]
    free = bare_mips(image, seconds, False)
    ours, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"CPU-bound loop, slices of {SLICE} instructions, median of {len(rounds)} rounds")
    print(f"  embedded engine                    {ours:7.1f} MIPS")
    print(f"  bare Unicorn, same slices          {bare:7.1f} MIPS   ratio {ratio:.0%} (wanted: 60 % or more)")
    print(f"  bare Unicorn, nothing is counted   {free:7.1f} MIPS   for information")


# (b), (c) the device -----------------------------------------------------------------------------------------------
def prepare(elf: Path, scheme: vault.Scheme, medium: vault.MediumKind) -> Board:
    """A provisioned board whose endpoint is the laboratory's broker."""
    return Scene(things=(THING,)).build(THING, Defence(scheme, medium), elf=elf, publish_interval_ms=5000).board


def publish_once(board: Board) -> float:
    """Seconds of CPU time from power-on to the first acknowledged publish."""
    start = time.process_time()
    board.power_on()
    board.run_until(lambda: bool(board.console.find("mqtt: published")), 60)
    return time.process_time() - start


def measure_device(elf: Path) -> None:
    print("\nboot + TLS + first publish of the firmware, second run in this process, CPU time (wanted: 0.6 s or less)")
    print("  scenario     CPU s   virtual s   instructions    MIPS")
    for name, (scheme, medium) in SCENARIOS.items():
        with prepare(elf, scheme, medium) as board:
            publish_once(board)
        with prepare(elf, scheme, medium) as board:
            host = publish_once(board)
            instructions, virtual = board.engine.instructions, board.now_ns / 1e9
        print(f"  {name:10}  {host:6.2f}   {virtual:9.3f}   {instructions:12,}   {instructions / host / 1e6:5.1f}")


# (d) what a campaign pays for each of its boards -------------------------------------------------------------------
def measure_boards(elf: Path) -> None:
    """CPU time, so that other work of the host does not count."""
    scheme, medium = SCENARIOS["SD card"]
    prepare(elf, scheme, medium).close()
    start = time.process_time()
    board = prepare(elf, scheme, medium)
    made = time.process_time() - start
    with board:
        publish_once(board)
        start = time.process_time()
        board.run(SLEEP_S)
        slept = time.process_time() - start
    print("\nboards of one process, CPU time")
    print(f"  a board with a provisioned card, after the first   {made:6.3f} s   (wanted: 0.2 s or less)")
    print(f"  {SLEEP_S} s of a device that sleeps                    {slept:6.2f} s")


# (e) the matrix ----------------------------------------------------------------------------------------------------
def measure_cells(elf: Path) -> None:
    """A cell is a fork of a warm device, so its time is its child's."""
    def spent() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    print("\ncells of the matrix, fresh sd, CPU time of one core")
    bench = Bench("embedded", elf, 1)
    try:
        start = spent()
        bench.run(cell(f"{CELLS[0]}/fresh/sd"), "bench")
        print(f"  the warm device, and a first cell            {spent() - start:6.2f} s")
        for row in CELLS:
            start = spent()
            done = bench.run(cell(f"{row}/fresh/sd"), "bench")
            print(f"  {row:24} {done['verdict']:10}          {spent() - start:6.2f} s   "
                  f"{1 / (spent() - start):5.1f} cells/s")
    finally:
        bench.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--elf", type=Path, default=FIRMWARE, help="the firmware")
    parser.add_argument("--seconds", type=float, default=0.5, help="host seconds of each measurement of the core")
    options = parser.parse_args()
    if not 0.05 <= options.seconds <= 60:
        parser.error("--seconds must be between 0.05 and 60")
    print(f"Python {platform.python_version()}, Unicorn {unicorn_version}, {platform.machine()}")
    try:
        measure_core(options.seconds)
        measure_device(options.elf)
        measure_boards(options.elf)
        measure_cells(options.elf)
        campaigns.report()
        if resolve_engine("auto") == "renode":
            print("", *both.compare(options.elf), sep="\n")
    except OffchipError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
