# SPDX-License-Identifier: Apache-2.0
"""The firmware's sources have the shape of firmware/.clang-format, and no header is out of sight of its source."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
#: another major version formats a few constructs differently
VERSION = "14"


def clang_format_version() -> str:
    if shutil.which("clang-format") is None:
        return "none"
    said = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", said)
    return found[1] if found else said


def test_format() -> None:
    if clang_format_version() != VERSION:
        pytest.skip(f"needs clang-format {VERSION}, here is {clang_format_version()}")
    done = subprocess.run(["make", "-s", "-C", FIRMWARE, "format-check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"run 'make -C firmware format': {done.stderr[:2000]}"


def test_every_source_has_its_header_beside_it() -> None:
    entry_points = {"main", "startup", "memory"}
    lonely = [str(source.relative_to(FIRMWARE)) for source in sorted((FIRMWARE / "src").glob("*/*.c"))
              if source.stem not in entry_points and not source.with_suffix(".h").is_file()]
    assert lonely == []
    assert not (FIRMWARE / "include").exists()


#: folder -> folders it may include from besides its own: dependencies point one way
MAY_USE = {
    "board": {"drivers"},  # fault reports and idling need console and watchdog
    "drivers": {"board", "storage"},
    "storage": set[str](),
    "vault": {"board", "drivers", "storage"},
    "net": {"board", "drivers", "storage", "vault"},
    "app": {"board", "drivers", "storage", "vault", "net"},
}


def test_dependencies_point_one_way() -> None:
    wrong = []
    for source in sorted((FIRMWARE / "src").glob("*/*.[ch]")):
        folder = source.parent.name
        for used in re.findall(r'#include "([a-z_]+)/', source.read_text()):
            if used in MAY_USE and used != folder and used not in MAY_USE[folder]:
                wrong.append(f"{source.relative_to(FIRMWARE)} includes from {used}")
    assert wrong == []
