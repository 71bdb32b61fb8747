# SPDX-License-Identifier: Apache-2.0
"""One boot of the lab's own firmware is the same on every engine, and the same as on the day it was recorded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from offchip.board.recording import BootRecording, first_difference, record_boot
from offchip.errors import BoardError
from tests.conformance.boot import record
from tests.engines import ENGINES, needs_renode

RECORDINGS = sorted(record.HERE.glob("*.json"))


@pytest.fixture(scope="module", params=ENGINES)
def booted(request: pytest.FixtureRequest) -> dict[str, BootRecording]:
    """A boot of each scenario on one engine."""
    return {scenario: record.record(scenario, request.param) for scenario in record.SCENARIOS}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_boot_is_the_recorded_one(path: Path, booted: dict[str, BootRecording]) -> None:
    recorded = BootRecording.load(path)
    difference = first_difference(booted[recorded.scenario], recorded)
    assert difference is None, (f"{difference}; if this change of firmware or platform is meant, record anew: "
                                f"python -m tests.conformance.boot.record {recorded.engine}")


@pytest.mark.parametrize("scenario", record.SCENARIOS)
def test_two_boots_are_the_same(scenario: str, booted: dict[str, BootRecording]) -> None:
    again = record.record(scenario, booted[scenario].engine)
    assert first_difference(booted[scenario], again) is None


@pytest.mark.renode
@needs_renode
@pytest.mark.parametrize("scenario", record.SCENARIOS)
def test_both_engines_boot_alike(scenario: str) -> None:
    difference = first_difference(record.record(scenario, "embedded"), record.record(scenario, "renode"))
    assert difference is None, difference


@pytest.mark.parametrize("scenario", record.SCENARIOS)
def test_one_firmware_was_recorded_alike_on_both_engines(scenario: str) -> None:
    """Console text, bytes on both buses, content of the media; recorded on a real Renode."""
    ours, renodes = (BootRecording.load(record.BOTH / f"{scenario}.{name}.json") for name in ("embedded", "renode"))
    assert ours.elf_sha256 == renodes.elf_sha256 and ours.seed == renodes.seed
    assert renodes.version.startswith("Renode, version ") and renodes.version[16].isdigit()
    assert first_difference(ours, renodes) is None


def test_every_scenario_is_recorded_with_its_provenance() -> None:
    everywhere = [*RECORDINGS, *sorted(record.BOTH.glob("*.json"))]
    recorded = [BootRecording.load(path) for path in everywhere]
    assert {each.scenario for each in recorded} == set(record.SCENARIOS)
    for path, each in zip(everywhere, recorded, strict=True):
        assert path.name == f"{each.scenario}.{each.engine}.json"
        assert each.version and each.date and len(each.elf_sha256) == 64
        assert (each.spi if each.scenario == "plain-sd" else each.i2c) and "credentials: ok" in each.console[-1]


def test_a_changed_byte_on_the_wires_is_found_and_named() -> None:
    """The attacker's change must not pass as an equal boot."""
    honest = record.record("plain-eeprom", "embedded")
    with record.provisioned_board("plain-eeprom", "embedded") as board:
        board.i2c_tap.replace(5, 0x02, on_read=True)  # high byte of the record's version
        tampered = record_boot(board, "plain-eeprom", record.ELF, 1, "^storage: error", record.TIMEOUT_S)
    difference = first_difference(honest, tampered)
    assert difference and "I2C transaction 2:" in difference and "31+ 01+ 02+" in difference


@pytest.mark.parametrize(("change", "words"), [
    ({"console": ("boot: ok",)}, "the number of console lines: 2 and 1"),
    ({"console": ("boot: ok", "state: Fault")}, 'console line 2: "state: fault" and "state: Fault" (character 8)'),
    ({"spi": ("40 ff", "41 01")}, 'SPI transaction 2: "41 00" and "41 01" (character 5)'),
    ({"i2c": ("S A0- P",)}, 'I2C transaction 1: "S A0+ P" and "S A0- P" (character 5)'),
    ({"media": {"sdcard": "aa", "eeprom": "cc"}}, "the final content of eeprom"),
    ({"scenario": "other"}, "the scenario: boot and other"),
])
def test_first_difference_is_one_sentence(change: dict[str, object], words: str) -> None:
    one = BootRecording("boot", "embedded", "1", "2026-01-01", "ab" * 32, 1, ("boot: ok", "state: fault"),
                        ("40 ff", "41 00"), ("S A0+ P",), {"sdcard": "aa", "eeprom": "bb"})
    assert first_difference(one, dataclasses.replace(one, engine="renode", date="2026-02-02")) is None
    other = dataclasses.replace(one, engine="renode", elf_sha256="cd" * 32, **change)
    difference = first_difference(one, other)
    assert difference == (f"boot: embedded (1, 2026-01-01) and renode (1, 2026-01-01) differ in {words}; "
                          "the firmware differs, too (abababababab and cdcdcdcdcdcd)")


def test_recordings_survive_the_disk_and_damage_is_named(tmp_path: Path) -> None:
    original = BootRecording.load(RECORDINGS[0])
    copy = tmp_path / "copy.json"
    original.save(copy)
    assert BootRecording.load(copy) == original and copy.read_bytes() == RECORDINGS[0].read_bytes()
    for damage in ("", "[]", '{"schema": "other"}', '{"schema": "offchip-boot-1", "console": []}'):
        copy.write_text(damage)
        with pytest.raises(BoardError, match=r"copy\.json.*record it again"):
            BootRecording.load(copy)
    with pytest.raises(BoardError, match="nowhere"):
        BootRecording.load(tmp_path / "nowhere.json")
