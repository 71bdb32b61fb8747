# SPDX-License-Identifier: Apache-2.0
"""Known-bad worlds must turn the right claims red: a suite that cannot fail proves nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from robot.api import ExecutionResult

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "firmware/build/offchip.elf"

#: run before Robot: what somebody broke
NOBODY_RETIRES = """
from offchip.broker.provisioning import FleetProvisioning
good = FleetProvisioning.__init__
def lenient(self, *arguments, **options):
    good(self, *arguments, **options)
    self.retire = False  # what the thing had before stays in use
FleetProvisioning.__init__ = lenient
"""
NOBODY_ENDS = """
from offchip.broker.rotation import Rotation
Rotation.on_done = lambda self, request: None  # the old certificate is never taken out of use
"""
WIDE_CLAIM = """
import offchip.broker.world as world
good = world.policies
world.policies = lambda registry: {**good(registry), world.CLAIM: good(registry)[world.WIDE]}
"""
WIDE_POLICY = """
import offchip.broker.world as world
good = world.policies
world.policies = lambda registry: {**good(registry), world.NARROW: good(registry)[world.WIDE]}
"""


def claims(tmp_path: Path, suite: str, tests: list[str], elf: Path = ELF, sabotage: str = "") -> dict[str, bool]:
    """Run some claims of a suite in a process of their own; which of them held."""
    script = tmp_path / "sabotaged.py"
    script.write_text(f"import robot\n{sabotage}\nimport sys\nrobot.run_cli(sys.argv[1:])\n")
    command = [sys.executable, script, "--outputdir", tmp_path, "--variable", "ENGINE:embedded",
               "--variable", f"ELF:{elf}",
               "--variable", f"RECORDS:{tmp_path / 'records'}", "--variable", "SEED:1",
               "--report", "NONE", "--log", "NONE"]
    for test in tests:
        command += ["--test", test]
    command.append(ROOT / f"robot/suites/{suite}.robot")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True,
                          env={"PYTHONPATH": f"{ROOT}:{ROOT / 'robot'}", "PATH": "/usr/bin:/bin"}, timeout=300)
    assert done.returncode < 250, done.stdout + done.stderr
    result = ExecutionResult(str(tmp_path / "output.xml"))
    return {test.name: test.passed for test in result.suite.all_tests}


def without_check(tmp_path: Path, function: str) -> Path:
    """The firmware with one function made to return 0 at once (``movs r0, #0; bx lr``)."""
    raw = bytearray(ELF.read_bytes())
    with ELF.open("rb") as stream:
        elf = ELFFile(stream)
        (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name(function)
        address = symbol["st_value"] & ~1
        (offset,) = elf.address_offsets(address)
    raw[offset:offset + 4] = b"\x00\x20\x70\x47"
    bad = tmp_path / "bad.elf"
    bad.write_bytes(raw)
    return bad


@pytest.mark.parametrize(("suite", "red", "green"), [
    ("03_server_identity", ["Server Of Another Authority Is Refused"], []),
    ("06_plain", ["Spoofed Name Alone Does Not Reach A Device With Its Own CA"],
     ["Who Reads The EEPROM Is The Device"]),
])
def test_firmware_that_does_not_verify_the_server(tmp_path: Path, suite: str, red: list[str], green: list[str]) -> None:
    bad = without_check(tmp_path, "mbedtls_x509_crt_verify_restartable")
    held = claims(tmp_path, suite, red + green, elf=bad)
    assert held == {**dict.fromkeys(red, False), **dict.fromkeys(green, True)}


def test_policy_that_allows_everything(tmp_path: Path) -> None:
    red = "Third Topic Ends The Session At Once With Internal Credentials"
    assert claims(tmp_path, "05_policy", [red], sabotage=WIDE_POLICY) == {red: False}


@pytest.mark.parametrize(("sabotage", "red"), [
    (NOBODY_RETIRES, "Wiped EEPROM Ends In A New Identity"),
    (NOBODY_ENDS, "Owner Replaces The Key On The SD Card Over The Air"),
])
def test_owner_who_leaves_identities_in_use(tmp_path: Path, sabotage: str, red: str) -> None:
    green = "Claim Identity Is Good For Nothing But To Enrol"
    assert claims(tmp_path, "08_enrolment", [red, green], sabotage=sabotage) == {red: False, green: True}


def test_claim_that_may_do_everything(tmp_path: Path) -> None:
    red = "Claim Identity Is Good For Nothing But To Enrol"
    assert claims(tmp_path, "08_enrolment", [red], sabotage=WIDE_CLAIM) == {red: False}
