# SPDX-License-Identifier: Apache-2.0
"""A stranger's firmware: looked at, proposed, checked, attacked; judged by what can be seen outside."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path

import pytest

from offchip.engines.elf import Firmware
from offchip.engines.image import application_table
from offchip.scenario.bench import alive
from offchip.scenario.fire import _listed
from offchip.scenario.model import ScenarioError, Secret, read_scenario
from tests import forked_cli
from tests.engines import build_probe
from tests.test_third_party import ROOT, build

SECRET = b"correct horse battery"


def offchip(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return forked_cli.offchip(*arguments, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"})


def device(folder: Path) -> tuple[Path, str]:
    """A vendor-style program that prints a checksum of block 7; the block holds a secret."""
    elf = build(folder, "vendor_style.c")
    block = SECRET + random.Random(7).randbytes(512 - len(SECRET))
    checksum = 0
    for byte in block:
        checksum = (checksum * 31 + byte) & 0xFFFFFFFF
    (folder / "card.img").write_bytes(bytes(7 * 512) + block + bytes((1 << 20) - 8 * 512))
    return elf, f"sum={checksum:08x}"


def test_from_a_foreign_image_to_its_rows(tmp_path: Path) -> None:
    elf, success = device(tmp_path)
    made = offchip(tmp_path, "init", elf, "--seconds", "0.5")
    scenario = tmp_path / "vendor_style.toml"
    text = scenario.read_text()
    assert made.returncode == 0 and 'select = "PA4"' in text and "address = 0x50" in text and '"usart1"' in text
    assert all("#" in line or line.startswith("[") or not line or line.startswith("success")
               for line in text.splitlines() if not line.startswith(("bus", "image", "page", "address"))), text
    again = offchip(tmp_path, "init", elf)
    assert again.returncode == 2 and "exists" in again.stderr and scenario.read_text() == text

    doubts = offchip(tmp_path, "check", scenario)
    assert doubts.returncode == 1 and "nothing is named" in doubts.stdout and "without sdcard" in doubts.stdout
    text = text.replace('success = "end"', f'success = "{success}"')
    text = text.replace("texts = []", f'texts = ["{SECRET.decode()}"]')
    scenario.write_text(text.replace('image = ""', 'image = "card.img"', 1)
                        .replace("skip = []", 'skip = ["A11", "A13"]'))
    fired = offchip(tmp_path, "run", scenario)
    assert fired.returncode == 1, fired.stderr
    rows = {(row["attack"], row["target"]): row for row in
            json.loads(scenario.with_suffix(".report.json").read_text())["rows"]}
    verdicts = {key: row["verdict"] for key, row in rows.items()}
    assert verdicts["A01", "sdcard"] == verdicts["A02", "spi"] == verdicts["A06", "sdcard"] == "broken"
    assert verdicts["A03", "sdcard"] == "held" and verdicts["A22", "usart1"] == "held"
    assert verdicts["A03", "eeprom"] == verdicts["A17", "network"] == verdicts["A13", "-"] == "not judged"
    assert rows["A01", "sdcard"]["evidence"][0]["place"] == "sdcard + 0xE00"
    assert SECRET.decode() not in scenario.with_suffix(".report.html").read_text()
    assert SECRET.hex() not in scenario.with_suffix(".report.json").read_text()


GOOD = '[firmware]\nimages = ["a.elf"]\n[console]\nuart = "usart1"\nsuccess = "ready"\n'


@pytest.mark.parametrize(("text", "words"), [
    ("[firmware", "not TOML"),
    (GOOD.replace("[console]", "[consol]"), "[console]"),
    (GOOD.replace("usart1", "usart9"), "usart9"),
    (GOOD.replace("ready", ".*"), "every line"),
    (GOOD.replace("ready", "("), "no regular expression"),
    (GOOD + "within = 0", "within"),
    (GOOD + 'speed = 3', "no such field"),
    (GOOD + '[media.sd]\nselect = "PZ4"', "chip select"),
    (GOOD + '[media.sd]\nimage = "absent.img"', "cannot be read"),
    (GOOD + "[media.eeprom]\naddress = 0x20", "0x50 to 0x57"),
    (GOOD + "[media.eeprom]\nsize = 1000", "power of two"),
    (GOOD + '[credentials]\ntexts = ["abc"]', "by chance"),
    (GOOD + '[credentials]\nhex = ["zz"]', "hexadecimal"),
    (GOOD.replace('["a.elf"]', "[]"), "empty"),
])
def test_mistakes_are_one_sentence_with_their_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message


def test_a_console_of_the_debugger_and_a_card_of_high_capacity(tmp_path: Path) -> None:
    """Semihosting is answered in a scenario, too; some drivers take every card for one addressed by blocks."""
    build_probe("debugger", tmp_path)
    (tmp_path / "debugger.toml").write_text(
        '[firmware]\nimages = ["debugger.elf"]\n[console]\nuart = "semihosting"\nsuccess = "^written"\n'
        '[media.sd]\nhigh_capacity = true\n')
    with alive(read_scenario(tmp_path / "debugger.toml")) as life:
        life.start()
        assert life.works() and life.engine.machine.find("sdcard").high_capacity


@pytest.mark.parametrize("form", ["{:02X} ", "0x{:02x}, ", "0x{:02X}\r\n", "{:02x}:"])
def test_a_secret_listed_byte_by_byte_is_found(form: str) -> None:
    secret = Secret("bytes 1", bytes(range(0x1A, 0x2A)))
    assert _listed(secret).search("".join(map(form.format, range(256))).encode())
    assert not _listed(secret).search("".join(map(form.format, reversed(range(256)))).encode())


@pytest.mark.parametrize(("start", "stack", "entry", "table"), [
    (0x08010000, 0x20020000, 0x08010041, 0x08010000), (0x08010000, 0x20020004, 0x08010041, 0),
    (0x08010000, 0x20020000, 0x08010040, 0), (0x08010000, 0x20020000, 0x08000041, 0),
    (0x08000000, 0x20020000, 0x08000041, 0), (0x08010100, 0x20020000, 0x08010141, 0)])
def test_application_for_a_bootloader_is_known_by_its_vectors(start: int, stack: int, entry: int, table: int) -> None:
    data = struct.pack("<II", stack, entry).ljust(0x80, b"\0")
    assert application_table([Firmware(Path("app.bin"), ((start, data),), "")]) == table
