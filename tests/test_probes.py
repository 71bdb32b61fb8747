# SPDX-License-Identifier: Apache-2.0
"""Bare-metal probes of peripherals and core: each says facts, its source states the truth with chapter and verse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offchip.errors import EngineError
from tests.engines import BOARD, ROOT, Bench, build_probe

PROBES = sorted((ROOT / "tests/probes").glob("*.c"))
_TRUTH = re.compile(r"^ \* truth: (\w+)=([0-9a-f]{8})", re.MULTILINE)
_FEED = re.compile(r"^ \* feed: (\w+) ([0-9a-f]+)", re.MULTILINE)
_PLATFORM = re.compile(r"^ \* platform: (\S+)", re.MULTILINE)
_LIMIT = re.compile(r"^ \* virtual seconds: ([0-9.]+)", re.MULTILINE)


def test_application_behind_a_bootloader(tmp_path: Path) -> None:
    """Linked at 0x08008000 with nothing in sector 0: lockup from reset, unless started at its own vectors (2.4)."""
    elf = build_probe("steps", tmp_path, 0x08008000)
    with Bench("embedded", elf) as bench:
        assert bench.hear("end=probe\n", 0.01) == ""
        assert bench.engine.diagnostics()[-1].kind == "lockup"
        bench.engine.start_at(0x08008000)
        bench.engine.reset()
        assert bench.hear("end=probe\n", 0.1).endswith("end=probe\n")
        with pytest.raises(EngineError, match="multiple of 0x200"):
            bench.engine.start_at(0x08008004)


@pytest.mark.parametrize("source", [each for each in PROBES if _TRUTH.search(each.read_text())], ids=lambda p: p.stem)
def test_probe_says_the_truth(source: Path, tmp_path: Path) -> None:
    text = source.read_text()
    limit = _LIMIT.search(text)
    platform = _PLATFORM.search(text)
    with Bench("embedded", build_probe(source.stem, tmp_path), ROOT / platform[1] if platform else BOARD) as bench:
        for uart, data in _FEED.findall(text):
            bench.engine.feed_uart(uart, bytes.fromhex(data))
        said = bench.hear("end=probe\n", float(limit[1]) if limit else 1.0)
        facts = re.findall(r"(\w+)=([0-9a-f]{8})", said)
        assert dict(facts) == dict(_TRUTH.findall(text)), said
        assert "end=probe" in said, said
        unmodelled = [each for each in bench.engine.diagnostics() if each.kind == "unmodelled"]
        assert not unmodelled, unmodelled


@pytest.mark.parametrize("name", ["waits", "low_power"])
def test_looks_left_out_change_nothing(name: str, tmp_path: Path) -> None:
    """With each look of a waiting loop executed: the same characters at the same times, instructions and registers."""
    def run(patient: bool) -> tuple[object, ...]:
        with Bench("embedded", elf) as bench:
            machine = bench.engine.machine
            if patient:
                machine.cpu.busy_wait.before = lambda: None
            bench.engine.feed_uart("usart2", b"\0U")
            heard = [bench.engine.run(7_000_000).uart for _ in range(12)]
            return heard, machine.cpu.executed_instructions, machine.core.get(*(f"r{n}" for n in range(13)), "sp", "pc")

    elf = build_probe(name, tmp_path)
    assert run(True) == run(False)


def test_debugger_hears_what_is_meant_for_it(tmp_path: Path) -> None:
    """Semihosting and ITM text; without a debugger the first BKPT is a HardFault, as on silicon."""
    elf = build_probe("debugger", tmp_path)
    with Bench("embedded", elf) as alone:
        assert "FAULT ipsr=00000003" in alone.hear("HFSR=80000000\n", 0.1)
    with Bench("embedded", elf) as bench:
        bench.engine.attach_debugger()
        bench.engine.feed_uart("semihosting", b"four")
        result = bench.engine.run(50_000_000)
        said = {name: bytes(each.value for each in result.uart if each.uart == name).decode()
                for name in ("semihosting", "swo", "usart1")}
        assert result.exit_code == 42
        assert said["semihosting"].startswith("text\nwritten\nfour") and said["swo"] == "swo\n"
        assert said["usart1"] == "no_file=ffffffff\nunread=00000001\n"
        assert bench.engine.diagnostics() == []


def test_taps_see_and_change_what_software_clocks(tmp_path: Path) -> None:
    """The probes on the wires do not care whether a block or a program moves the pins."""
    with Bench("embedded", build_probe("soft_buses", tmp_path)) as bench:
        spi, i2c = bench.engine.spi_tap(), bench.engine.i2c_tap()
        for tap in (spi, i2c):
            tap.record()
        spi.replace_on_read(1, 511, b"\xA5")
        i2c.replace(1, 0xBA, True)
        said = dict(re.findall(r"(\w+)=([0-9a-f]{8})", bench.hear("end=probe\n", 3)))
        assert said["read_back"] == "000000a5" and said["eeprom_data"] == "00c0baee"
        (read,) = spi.fired()
        assert (read.before, read.after) == (b"\x5A", b"\xA5")
        assert b"\x51\x00\x00\x02\x00\x01" in spi.drain()[0].mosi
        assert "S A0+ 00+ 10+ C0+ FF+ EE+ P" in [each.text for each in i2c.drain()]
