# SPDX-License-Identifier: Apache-2.0
"""Probe firmwares on each engine that is present: they print what was recorded on a real Renode 1.16.1
(tests/conformance/*/expected*.txt), and the attack probe is attacked through the taps and by loss of supply."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from offchip.engines.protocol import Diagnostic
from offchip.errors import DebugAccessRefused, MediumError
from tests.engines import BOARD, ENGINES, PROBES, ROOT, Bench, build

FRESH = b"\x11" * 512  # what the blocks hold before the attack probe writes
WRITTEN = bytes((i ^ 0xA5) & 0xFF for i in range(512))  # what it writes to blocks 100..103


def unmodelled(bench: Bench) -> list[Diagnostic]:
    """Gaps of the embedded engine; Renode warns of its own ones, which these transcripts do not depend on."""
    strict = bench.engine.capabilities.name == "embedded"
    return [found for found in bench.engine.diagnostics() if strict and found.kind == "unmodelled"]


# transcripts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize(("probe", "platform", "expected"), [
    ("sd", BOARD, "expected.txt"),
    ("sd", PROBES / "sd/sdhc.repl", "expected-sdhc.txt"),
    ("flash", BOARD, "expected.txt"),
    ("rng", BOARD, "expected.txt"),
], ids=["sdsc", "sdhc", "flash", "rng"])
def test_probe_prints_what_was_recorded(probe: str, platform: Path, expected: str, engine_name: str,
                                        tmp_path: Path) -> None:
    with Bench(engine_name, build(PROBES / probe, f"{probe}_probe.elf", tmp_path), platform) as bench:
        assert bench.hear("end=probe\n", 60) == (PROBES / probe / expected).read_text()
        assert unmodelled(bench) == []


@pytest.mark.parametrize("engine_name", ENGINES)
def test_i2c_probe_prints_what_was_recorded(engine_name: str, tmp_path: Path) -> None:
    folder = _i2c_probe(tmp_path)
    with Bench(engine_name, None, folder / "probe-i2c.repl") as bench:
        assert bench.hear("\nend=", 4) == (PROBES / "i2c/expected.txt").read_text()
        assert unmodelled(bench) == []


def test_exception_model_is_the_architecture_s(tmp_path: Path) -> None:
    """Embedded only: Renode takes no bus faults (FIDELITY.md)."""
    elf = build(ROOT / "tests/core", "core_probe.elf", tmp_path)
    with Bench("embedded", elf) as bench:
        assert bench.hear("end=probe\n", 4) == (ROOT / "tests/core/expected.txt").read_text()
        faults = [found.message.split(":")[0] for found in bench.engine.diagnostics() if found.kind == "fault"]
        assert faults == ["BusFault", "BusFault", "UsageFault", "UsageFault"]


# a man in the middle -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine_name", ENGINES)
def test_man_in_the_middle_on_i2c_changes_what_the_firmware_reads(engine_name: str, tmp_path: Path) -> None:
    folder = _i2c_probe(tmp_path)
    with Bench(engine_name, None, folder / "probe-i2c.repl") as bench:
        tap = bench.engine.i2c_tap()
        tap.replace(0, 0x66, on_read=True)
        told = bench.hear("\nrollover=", 4).split()
        assert "current=131415161718" in (PROBES / "i2c/expected.txt").read_text().split()
        assert "current=666615661718" in told  # three reads: of one, of two and of three bytes
        assert {(b"\x13", b"\x66"), (b"\x14", b"\x66"), (b"\x16", b"\x66")} <= {
            (fired.before, fired.after) for fired in tap.fired()}


@pytest.fixture(params=ENGINES)
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The attack probe, started; it obeys letters on its console (tests/conformance/attack)."""
    with Bench(request.param, build(PROBES / "attack", "attack_probe.elf", tmp_path)) as bench:
        assert bench.hear("\n", 0.5) == "start=00000000\n"
        yield bench


def test_tap_records_the_bytes_of_a_block_read(victim: Bench) -> None:
    victim.engine.medium("sdcard").write(7 * 512, bytes.fromhex("C0FFEE0102030405"))
    tap = victim.engine.spi_tap()
    tap.record()
    assert victim.ask("r") == ["read=000 c0ffee0102030405"]
    (transfer,) = tap.drain()
    assert transfer.mosi[1:6] == bytes.fromhex("5100000E00") and len(transfer.mosi) == len(transfer.miso)
    assert bytes.fromhex("FEC0FFEE0102030405") in transfer.miso
    assert tap.drain() == []


def test_time_of_check_is_not_time_of_use(victim: Bench) -> None:
    victim.engine.medium("sdcard").write(7 * 512, bytes.fromhex("C0FFEE0102030405"))
    tap = victim.engine.spi_tap()
    tap.replace_on_read(7, 3, b"\xBA\xD1", nth=2, count=1)
    assert [victim.ask("r") for _ in range(3)] == [
        ["read=000 c0ffee0102030405"], ["read=000 c0ffeebad1030405"], ["read=000 c0ffee0102030405"]]
    (fired,) = tap.fired()
    assert (fired.before, fired.after) == (b"\1\2", b"\xBA\xD1")


def test_changed_byte_without_its_crc_is_noticed(victim: Bench) -> None:
    victim.engine.spi_tap().replace_on_read(7, 0, b"\x99", fix_crc=False)
    assert victim.ask("r") == ["read=300 9900000000000000"]


def test_block_replayed_from_another_place(victim: Bench) -> None:
    victim.engine.medium("sdcard").write(9 * 512, bytes.fromhex("0123456789ABCDEF"))
    tap = victim.engine.spi_tap()
    tap.redirect_read(7, 9)
    assert victim.ask("r") == ["read=000 0123456789abcdef"]
    tap.clear()
    assert victim.ask("r") == ["read=000 0000000000000000"]


def test_write_changed_on_its_way(victim: Bench) -> None:
    card, tap = victim.engine.medium("sdcard"), victim.engine.spi_tap()
    tap.replace_on_write(101, 0, b"\0\0")
    assert victim.ask("w", "writes=done\n") == ["write=00000000"] * 4 + ["writes=done"]
    assert card.read(101 * 512, 4) == bytes.fromhex("0000A7A6")
    tap.clear()
    tap.replace_on_write(101, 0, b"\x11\x11", fix_crc=False)
    refused = ["write=00000000", "write=0000040b", "write=00000000", "write=00000000", "writes=done"]
    assert victim.ask("w", "writes=done\n") == refused
    assert card.read(101 * 512, 4) == bytes.fromhex("0000A7A6")


def test_held_miso_and_a_card_that_is_gone(victim: Bench) -> None:
    tap = victim.engine.spi_tap()
    tap.stuck_miso(0)
    assert victim.ask("r")[0].startswith("read=2")
    tap.stuck_miso(None)
    assert victim.ask("r") == ["read=000 0000000000000000"]
    victim.engine.medium("sdcard").present = False
    assert victim.ask("r")[0].startswith("read=0ff")


def test_rules_that_make_no_sense_are_refused(victim: Bench) -> None:
    tap = victim.engine.spi_tap()
    for rule in (lambda: tap.replace_on_read(7, 511, b"ab"), lambda: tap.redirect_read(7, 1 << 30),
                 lambda: tap.stuck_miso(256), lambda: tap.cut_power_at_block_write(1, 515)):
        with pytest.raises(MediumError):
            rule()


# loss of supply ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("torn", "fill", "rest"), [(37, "old", FRESH), (5, "ff", b"\xFF" * 512),
                                                    (5, "zero", bytes(512))], ids=["old", "ff", "zero"])
def test_supply_lost_while_the_card_programs_a_block(victim: Bench, torn: int, fill: str, rest: bytes) -> None:
    engine, card = victim.engine, victim.engine.medium("sdcard")
    card.write(100 * 512, FRESH * 4)
    card.set("TornBytes", torn)
    card.set("TornFill", fill)
    engine.spi_tap().cut_power_at_block_write(2)
    victim.ask("w", "writes=done\n")
    assert card.read(100 * 512, 4 * 512) == WRITTEN + WRITTEN[:torn] + rest[torn:] + FRESH * 2
    (fired,) = engine.spi_tap().fired()
    assert fired.before == FRESH and fired.after == WRITTEN[:torn] + rest[torn:]
    engine.power_off()
    engine.run(10_000_000)
    engine.power_on()
    assert victim.hear("\n", 0.5) == "start=00000000\n"


@pytest.mark.parametrize(("after_bytes", "torn"), [(1, False), (300, False), (513, False), (514, True)])
def test_supply_lost_inside_a_block_on_its_way(victim: Bench, after_bytes: int, torn: bool) -> None:
    card = victim.engine.medium("sdcard")
    card.write(100 * 512, FRESH)
    victim.engine.spi_tap().cut_power_at_block_write(1, after_bytes)
    victim.ask("w", "writes=done\n")
    assert card.read(100 * 512, 512) == (WRITTEN[:256] + FRESH[256:] if torn else FRESH)


def test_supply_lost_after_the_card_was_ready_again_tears_nothing(victim: Bench) -> None:
    card = victim.engine.medium("sdcard")
    assert victim.ask("w", "writes=done\n")[-1] == "writes=done"
    victim.engine.power_off()
    assert card.read(100 * 512, 4 * 512) == WRITTEN * 4


def test_flash_torn_in_a_program_step_and_in_an_erase(victim: Bench) -> None:
    if victim.engine.capabilities.name == "renode":
        victim.set("flash", "StopHow", "none")  # the embedded engine has no other way
    victim.set("flash", "CutAtEvent", 2)
    victim.ask("f")
    assert _words(victim, 3) == [0x0F0F0F0F, 0x2020FFFF, 0xFFFFFFFF]
    victim.set("flash", "CutAtEvent", -1)
    victim.engine.reset()
    assert victim.hear("\n", 0.5) == "start=00000000\n"
    victim.set("flash", "CutAtEvent", 6)
    victim.set("flash", "TornErasedBytes", 8)
    victim.ask("f")
    assert _words(victim, 3) == [0xFFFFFFFF, 0xFFFFFFFF, 0x31310F0F]


def test_erase_takes_its_time_when_told_to(victim: Bench) -> None:
    assert victim.ask("b", "busy.blank=ffffffff\n") == ["busy.polls_nonzero=00000000", "busy.blank=ffffffff"]
    victim.set("flash", "VirtualTiming", True)
    assert victim.ask("b", "busy.blank", 0.2) == []
    assert victim.hear("busy.blank=ffffffff\n", 0.2) == "busy.polls_nonzero=00000001\nbusy.blank=ffffffff\n"


# what the other models of the board do -------------------------------------------------------------------------------
def test_unaligned_stores_are_errors_and_change_nothing(victim: Bench) -> None:
    errors, crossing, values = victim.ask("u", "unaligned.values=" + "f" * 40 + "\n")
    assert errors != "unaligned.errors=00000000" and crossing != "row_crossing.errors=00000000"
    assert values == "unaligned.values=" + "f" * 40


def test_second_frame_overruns_the_receive_buffer(victim: Bench) -> None:
    assert victim.ask("o", "cleared=00000000\n") == ["spi.ovr=00000040", "spi.ovr_cleared=00000000"]


def test_random_generator_interrupts(victim: Bench) -> None:
    assert victim.ask("n") == ["rng.irq_drdy=00000001"]


def test_debug_port_at_each_readout_protection_level(victim: Bench) -> None:
    port = victim.engine.debug_port()
    victim.engine.program(0x08004010, b"\x42")
    assert port.read(0x08004010, 1) == b"\x42" and len(port.read(0x20000000, 1)) == 1
    port.set_rdp(1)
    for address, length in ((0x08004010, 1), (0x08000000, 4), (0, 4), (0x40024000, 4), (0x07FFFFFF, 2)):
        with pytest.raises(DebugAccessRefused):
            port.read(address, length)
    assert len(port.read(0x20000000, 1)) == 1
    assert victim.engine.read_memory(0x08004010, 1) == b"\x42"
    port.set_rdp(0)
    assert port.read(0x08004010, 1) == b"\xFF" and port.read(0x08000000, 4) == b"\xFF" * 4
    port.set_rdp(2)
    with pytest.raises(DebugAccessRefused):
        port.read(0x20000000, 4)
    with pytest.raises(DebugAccessRefused):
        port.set_rdp(0)
    victim.engine.power_off()
    assert port.rdp_level == 2


def _i2c_probe(tmp_path: Path) -> Path:
    """The probe's folder, built, where its .repl finds the models that it names by relative paths."""
    folder = tmp_path / "tests/conformance/i2c"
    shutil.copytree(PROBES / "i2c", folder)
    shutil.copytree(ROOT / "platforms", tmp_path / "platforms")
    subprocess.run(["make", "-s", "-C", folder, "probe.elf"], check=True)
    return folder


def _words(bench: Bench, count: int) -> list[int]:
    data = bench.engine.read_memory(0x08004000, 4 * count)
    return [int.from_bytes(data[at:at + 4], "little") for at in range(0, 4 * count, 4)]
