# SPDX-License-Identifier: Apache-2.0
"""Faults by rule: power cut at every kind of storage event, skipped instructions, flipped bits; forks of a board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.fork import forked, forked_all
from offchip.engines.protocol import StorageEvent
from offchip.errors import EngineError, MediumError
from tests.engines import BOARD, PROBES, ROOT, Bench, build, build_probe

OLD, HALF = b"\x11" * 512, 256


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_probe("steps", tmp_path_factory.mktemp("steps"))


def symbols(elf: Path) -> dict[str, int]:
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] & ~1 for symbol in table.iter_symbols()}


def facts(text: str) -> list[int]:
    return [int(line.split("=")[1], 16) for line in text.splitlines() if "=" in line and not line.startswith("end")]


# instructions ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("where", "occurrence", "count", "sums", "evidence"), [
    ("first_step", 1, 1, [0x110, 0x111, 0x111], ["0130"]),
    ("first_step", 2, 0, [0x111, 0x110, 0x110], ["0130", "0130"]),
    ("it_step", 2, 1, [0x111, 0x101, 0x111], ["1030"]),  # the rest of the IT block stays switched off
    ("wide_step", 3, 1, [0x111, 0x111, 0x011], ["00f58070"]),
])
def test_an_instruction_is_skipped(steps: Path, where: str, occurrence: int, count: int, sums: list[int],
                                   evidence: list[str]) -> None:
    with Bench("embedded", steps) as straight:
        assert facts(straight.hear("end=probe\n", 1)) == [0x111, 0x111, 0x111, 0x55]
        whole = straight.engine.instructions
    with Bench("embedded", steps) as bench:
        injector = bench.engine.fault_injector()
        address = symbols(steps)[where]
        injector.skip_instruction(address, occurrence, count)
        assert facts(bench.hear("end=probe\n", 1)) == [*sums, 0x55]
        fired = injector.fired()
        assert [each.before.hex() for each in fired] == evidence
        assert fired[0].place == f"0x{address:08X} occurrence {occurrence}"
        assert bench.engine.instructions == whole  # a skipped instruction takes its time


def test_bits_are_flipped_where_they_are_told_to(steps: Path) -> None:
    with Bench("embedded", steps) as bench:
        injector = bench.engine.fault_injector()
        bench.engine.run(1_000)
        injector.flip_memory(0x2000F000, 0x01, bench.engine.instructions)  # before the next instruction
        injector.flip_memory(symbols(steps)["cell"], 0x80, 1000)
        assert facts(bench.hear("end=probe\n", 1))[-1] == 0xD5
        now, fired = injector.fired()
        assert now.place == "0x2000F000" and now.time_ns < fired.time_ns
        assert (fired.before, fired.after, fired.rule) == (b"\x55", b"\xd5", "flip_memory")
        with pytest.raises(EngineError, match="in the past"):
            injector.flip_register("r0", 1, 1000)


def test_a_register_flip_is_exact(steps: Path) -> None:
    """The first instruction in the sum's function: found by skipping it, then hit by a flip at the same count."""
    with Bench("embedded", steps) as bench:
        injector, core = bench.engine.fault_injector(), bench.engine.machine.core
        seen: list[int] = []
        core.before_watched = lambda address: seen.append(core.position() + bench.engine.instructions)
        core.watch(symbols(steps)["first_step"])
        while not seen:
            bench.engine.run(1_000)
    with Bench("embedded", steps) as bench:
        injector = bench.engine.fault_injector()
        injector.flip_register("r0", 0x80000000, seen[0])
        assert facts(bench.hear("end=probe\n", 1))[:2] == [0x80000111, 0x111]
        assert injector.fired()[0].before == bytes(4)


# power ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROBES / "attack", "attack_probe.elf", tmp_path_factory.mktemp("attack"))


@pytest.mark.parametrize(("done", "rest", "expected"), [
    (-1, "old", lambda new: new[:HALF] + OLD[HALF:]), (100, "zero", lambda new: new[:100] + bytes(412)),
    (0, "erased", lambda new: b"\xff" * 512), (512, "old", lambda new: new)])
def test_the_supply_goes_in_a_block_write(attack: Path, done: int, rest: str,
                                          expected: Callable[[bytes], bytes]) -> None:
    written = bytes((i ^ 0xA5) & 0xFF for i in range(512))
    with Bench("embedded", attack) as bench:
        engine = bench.engine
        bench.hear("start=00000000\n", 0.5)
        engine.medium("sdcard").write(100 * 512, OLD * 4)
        injector = engine.fault_injector()
        injector.cut_power(StorageEvent.SD_BLOCK, 2, done, rest)  # type: ignore[arg-type]
        engine.feed_uart("usart1", b"w")
        results = [engine.run(1_000_000) for _ in range(300)]
        assert [each.supply_lost for each in results].count(True) == 1 and results[-1].halted
        assert engine.medium("sdcard").read(100 * 512, 2048) == written + expected(written) + OLD * 2
        (fired,) = injector.fired()
        assert fired.place == "sd-block 2: block 101" and fired.before == OLD and fired.after == expected(written)
        engine.power_on()
        assert "start=" in bench.hear("start=00000000\n", 0.5)


def test_each_program_and_erase_of_flash_can_be_torn(tmp_path: Path) -> None:
    elf = build(PROBES / "flash", "flash_probe.elf", tmp_path)
    for event in (StorageEvent.FLASH_WORD, StorageEvent.FLASH_ERASE):
        with Bench("embedded", elf) as bench:
            injector = bench.engine.fault_injector()
            injector.cut_power(event, 1, 1, "old")
            for _ in range(400):
                if bench.engine.run(1_000_000).supply_lost:
                    break
            (fired,) = injector.fired()
            where = int(fired.place.split("0x")[1], 16)
            assert bench.engine.read_memory(where, len(fired.after)) == fired.after
            assert fired.after[1:] == fired.before[1:]
            assert injector.events(event) == 1


def test_rules_that_cannot_be_are_refused(steps: Path) -> None:
    injector = EmbeddedEngine(BOARD).fault_injector()
    for rule, words in ((lambda: injector.cut_power(StorageEvent.SD_BLOCK, 0), "nth from 1"),
                        (lambda: injector.skip_instruction(0x08000001), "even address"),
                        (lambda: injector.flip_register("r99", 1, 5), 'no register "r99"'),
                        (lambda: injector.flip_memory(0x20000000, 0x100, 5), "one byte")):
        with pytest.raises(EngineError, match=words):
            rule()


# forks ---------------------------------------------------------------------------------------------------------------
def test_what_a_fork_does_stays_in_it(steps: Path) -> None:
    with Bench("embedded", steps) as bench:
        engine, cell = bench.engine, symbols(steps)["cell"]
        engine.run(4_000)
        here = engine.instructions

        def change() -> tuple[int, list[int]]:
            engine.write_memory(cell, b"\x77")
            engine.program(0x080F0000, b"\x00")
            engine.medium("eeprom").write(0, b"\x00")
            return engine.instructions, facts(bench.hear("end=probe\n", 1))

        position, sums = forked(change)
        assert position == here and sums[-1] == 0x77
        assert engine.read_memory(cell, 1) == b"\x55" and engine.read_memory(0x080F0000, 1) == b"\xff"
        assert engine.medium("eeprom").read(0, 1) == b"\xff" and engine.instructions == here
        assert facts(bench.hear("end=probe\n", 1))[-1] == 0x55


def test_forks_answer_in_order_and_failures_have_a_name() -> None:
    assert list(forked_all([lambda i=i: i * i for i in range(7)], workers=3)) == [i * i for i in range(7)]

    def fail() -> None:
        raise MediumError("the card is gone")

    with pytest.raises(MediumError, match="the card is gone"):
        forked(fail)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        forked(lambda: 1 // 0)

    def hang() -> None:
        while True:
            pass

    with pytest.raises(EngineError, match="longer than 0.2 s"):
        forked(hang, 0.2)
    assert ROOT.is_dir()
