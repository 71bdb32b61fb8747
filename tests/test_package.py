# SPDX-License-Identifier: Apache-2.0
"""A stranger's suite in a stranger's folder runs after one ``pip install``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUITE = """*** Settings ***
Library    OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}
Library    RenodeKeywords    engine=${ENGINE}

*** Test Cases ***
Their Device Boots
    Given A Device
    Power On
    Console Should Show    ^boot: offchip
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what it depends on comes from this one, so no network is needed."""
    tree = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    (tree / "firmware/build").mkdir()
    shutil.copy(ROOT / "firmware/build/offchip.elf", tree / "firmware/build")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tree / "dist", tree], check=True)
    environment = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = (tree / "dist").glob("offchip-*.whl")
    subprocess.run([*pip, "--python", environment / "bin/python", "install", "--no-index", "--no-deps", wheel],
                   check=True)
    shutil.rmtree(tree)
    return environment


def test_a_suite_in_another_folder_runs_on_the_installed_package(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "their suites").mkdir()
    (tmp_path / "their suites/boots.robot").write_text(SUITE)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([installed / "bin/offchip", "run", "--suites", "their suites"], cwd=tmp_path, env=clean,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "results-partial/results.json").read_text())
    assert [row["status"] for row in summary["claims"]] == ["proven"]

    alone = subprocess.run([installed / "bin/python", "-m", "robot", "--variable", "ENGINE:embedded", "--variable",
                            "RECORDS:", "--variable", f"ELF:{ROOT / 'firmware/build/offchip.elf'}", "--output", "NONE",
                            "their suites"], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=300)
    assert alone.returncode == 0, alone.stdout


def test_the_installed_package_brings_the_claims_and_the_board(installed: Path, tmp_path: Path) -> None:
    script = "from offchip import paths; from pathlib import Path; assert not paths.IN_CHECKOUT; " \
             "print(all(p.exists() for p in (paths.BOARD, paths.FIRMWARE, paths.SUITES, paths.BOARD.parent / " \
             "'peripherals/SdCardSpi.cs')), len(list(paths.SUITES.glob('*.robot'))))"
    said = subprocess.run([installed / "bin/python", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.split() == ["True", str(len(list((ROOT / "robot/suites").glob("*.robot"))))], said.stderr
