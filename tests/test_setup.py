# SPDX-License-Identifier: Apache-2.0
"""scripts/setup where something it had made is gone, or nothing can be written; with stubs for what it would call."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
THIS_PYTHON = shlex.quote(sys.executable)
#: no virtual environment is made here: that it would be is what is asked
PYTHON = f'#!/bin/sh\ncase "$*" in *venv*.venv*) echo made >>made; exit 1 ;; *) exec {THIS_PYTHON} "$@" ;; esac\n'
STUBS = {"python3.13": PYTHON, "make": "#!/bin/sh\n", "bzip2": "#!/bin/sh\n",
         "arm-none-eabi-gcc": "#!/bin/sh\necho /bin/sh\n"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Set up already, with one package."""
    place = tmp_path / "o'brien's näm e"
    for folder in ("scripts", "bin", ".cache", ".venv/bin", ".venv/lib/thing", ".venv/lib/thing-1.0.dist-info",
                   "firmware/build"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "scripts/setup", place / "scripts")
    (place / "firmware/build/offchip.elf").touch()
    (place / "requirements.txt").write_text("thing==1.0  # why\n")
    (place / "requirements-test.txt").write_text("")
    info = place / ".venv/lib/thing-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "RECORD").write_text("thing/__init__.py,,\nthing-1.0.dist-info/METADATA,,\n")
    (place / ".venv/lib/thing/__init__.py").touch()
    for name, text in {**{f"bin/{each}": text for each, text in STUBS.items()}, "scripts/fetch-mbedtls": "#!/bin/sh\n",
                       ".venv/bin/python": f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{place}/.venv/lib" exec {THIS_PYTHON} '
                                            '-S "$@"\n',
                       }.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    stamp = subprocess.run(["bash", "-c", 'printf "%s %s" "$(cat requirements.txt requirements-test.txt | sha256sum | '
                            f'cut -c1-64)" "$({THIS_PYTHON} -V)" >.venv/offchip-stamp'], cwd=place, timeout=20)
    assert stamp.returncode == 0
    return place


def setup(place: Path, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run([place / "scripts/setup"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
                                                         **environment})
    return done.returncode, done.stderr.splitlines()


def test_where_everything_is_there_nothing_is_made(checkout: Path) -> None:
    assert setup(checkout) == (0, ["[1/4] toolchain", "[2/4] Python environment", "[3/4] Mbed TLS", "[4/4] firmware"])
    assert not (checkout / "made").exists()


def test_packages_of_somebody_else_are_not_looked_at(checkout: Path, tmp_path: Path) -> None:
    info = tmp_path / "theirs/old.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1\n")
    (info / "SOURCES.txt").write_text("setup.py\nold/__init__.py\n")  # never installed beside it
    assert setup(checkout, PYTHONPATH=str(info.parent))[0] == 0 and not (checkout / "made").exists()


@pytest.mark.parametrize("gone", [".venv/bin/python", ".venv/lib/thing", ".venv/lib/thing-1.0.dist-info",
                                  ".venv/offchip-stamp", ".venv"])
def test_a_damaged_environment_is_made_again(checkout: Path, gone: str) -> None:
    place = checkout / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    code, said = setup(checkout)
    assert code == 1 and (checkout / "made").exists()
    assert said[2] == "      installing Python packages into .venv"
    assert said[3:] == ["error: cannot make a virtual environment (see .cache/pip.log); on Debian install "
                        "python3-venv."]


def test_another_version_of_a_package_is_none_of_ours(checkout: Path) -> None:
    (checkout / ".venv/lib/thing-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 2\n")
    assert setup(checkout)[0] == 1 and (checkout / "made").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_checkout_nobody_can_write_to(checkout: Path, whole: bool) -> None:
    (checkout / ".cache").rmdir()
    (checkout / ".cache").touch()  # root may write anywhere else
    if not whole:
        shutil.rmtree(checkout / ".venv")
    code, said = setup(checkout)
    assert (code, len(said)) == ((0, 0) if whole else (1, 1)), said
    assert whole or "cannot be written to, and is not set up yet; copy it to a folder of yours" in said[0]


def test_the_folder_it_is_called_from_is_nobody_s(tmp_path: Path) -> None:
    for name in ("offchip", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    done = subprocess.run([ROOT / "scripts/run", "--suite", "99"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith('error: there is no suite "99"')
