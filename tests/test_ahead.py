# SPDX-License-Identifier: Apache-2.0
"""What is answered without Python is what Python answers: byte for byte, at any moment somebody looks."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from random import Random

import pytest

from offchip import vault
from offchip.campaign.crowd import engine_of
from offchip.campaign.operations import Provision
from offchip.engines.embedded import ahead, division
from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.fingerprint import Fingerprint
from offchip.engines.embedded.native import library
from offchip.engines.embedded.peripherals.spi_tap import SpiTap
from offchip.engines.embedded.unicorn_core import End, UnicornCore
from offchip.engines.fork import forked
from offchip.engines.protocol import Transfer
from offchip.paths import FIRMWARE
from offchip.scene import Defence
from offchip.scene.scene import Device

#: virtual seconds, in no proportion to the bytes on a bus: looks come in the midst of blocks
STEP_S, STEPS = 0.000_731, 150


@dataclass
class Seen:
    """Of a first boot: what passed on the buses, what was said, and the state of the machine at each look."""

    transfers: list[Transfer]
    lines: list[str]
    states: list[bytes]
    dropped: int = 0


def watch(device: Device) -> Seen:
    """A device that is about to seal its credentials: it reads the files of its medium, and writes others."""
    board, seen = device.board, Seen([], [], [])
    look = Fingerprint(engine_of(board).machine)
    probe = engine_of(board).machine.find("tap")
    assert isinstance(probe, SpiTap)
    probe.max_bytes = 700  # of each step: in the midst of a block
    board.spi_tap.record()
    board.i2c_tap.record()
    board.power_on()
    for step in range(STEPS):
        board.run(STEP_S)
        seen.transfers += board.spi_tap.drain() + board.i2c_tap.drain()
        if not step % 3:
            seen.states.append(look.of(range(0)))
    seen.dropped = probe.dropped
    seen.lines = [f"{line.time_ns} {line.text}" for line in board.console.lines]
    return seen


@pytest.mark.parametrize("medium", [vault.SD, vault.EEPROM], ids=lambda medium: medium.name)
def test_no_difference_at_any_moment(medium: vault.MediumKind, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> Device:
        return Provision(Defence(vault.scheme("fresh"), medium), FIRMWARE, 1).build()

    def asked_each_time() -> Seen:
        engine_of(device.board).machine.ahead.native = False
        return watch(device)

    assert library() is not None, "a C compiler is among what the tests need"
    device = build()
    quick, slow = forked(lambda: watch(device)), forked(asked_each_time)
    assert quick == slow and (quick.dropped > 0) is (medium is vault.SD)
    assert len(set(quick.states)) > 40 and sum(len(each.miso) for each in quick.transfers) > 2_000
    for each in (ahead, division):
        monkeypatch.setattr(each, "library", lambda: None)
    without = watch(build())
    assert (without.transfers, without.lines) == (quick.transfers, quick.lines)


# divisions -----------------------------------------------------------------------------------------------------------
FLASH = 0x08000000
#: CMP R0, R1; IT EQ / IT NE / ITE EQ / ITTE NE: what follows is in the block
BLOCKS = {"": 0, "884208bf": 1, "884218bf": 1, "88420cbf": 2, "88421abf": 3}


def program(random: Random) -> bytes:
    """SDIV and UDIV of R0 to R7, in IT blocks and outside, between additions."""
    code = b""
    for _ in range(60):
        head = random.choice(list(BLOCKS))
        code += bytes.fromhex(head)
        for _ in range(BLOCKS[head] or 2):
            n, d, m = (random.randrange(8) for _ in range(3))
            code += random.choice((struct.pack("<HH", 0xFB90 | n, 0xF0F0 | d << 8 | m),
                                   struct.pack("<HH", 0xFBB0 | n, 0xF0F0 | d << 8 | m),
                                   struct.pack("<H", 0x1800 | m << 6 | n << 3 | d)))
    return code + b"\x00\xbf" * 64


def divided(code: bytes, values: list[int], slices: list[int]) -> list[tuple[End, int, tuple[int, ...]]]:
    """How each slice ends with divisors of 0 trapped; who meets one goes on with 1."""
    core = UnicornCore(Ahead())
    memory = mmap.mmap(-1, 0x1000)
    memory[:len(code)] = code
    core.map_buffer(FLASH, memory, False)
    core.watch_faults()
    core.trap(True, False)
    for n, value in enumerate(values):
        core.set(f"r{n}", value)
    core.set("iepsr", 1 << 24)
    core.pc = FLASH
    seen = []
    for limit in slices:
        end = core.run(limit)
        registers = tuple(core.get(*(f"r{n}" for n in range(8)), "pc", "xpsr"))
        seen.append((end, core.executed, registers))
        if end is End.DIVISION:
            core.set(f"r{code[core.pc - FLASH + 2] & 7}", 1)
    return seen


@pytest.mark.parametrize("seed", range(12))
def test_divisions_are_those_of_the_architecture(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    code = program(random)
    values = [random.choice((0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, random.getrandbits(32))) for _ in range(8)]
    slices = [random.randint(1, 9) for _ in range(60)]
    quick = divided(code, values, slices)
    assert len({end for end, _, _ in quick}) > 1 or seed, "a divisor of 0 is among them"
    monkeypatch.setattr(division, "library", lambda: None)
    assert quick == divided(code, values, slices)
