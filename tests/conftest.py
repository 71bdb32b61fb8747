# SPDX-License-Identifier: Apache-2.0
"""The firmware is built once, before any test asks for it."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.attack_play import Make, Play

# No verdict of a test may depend on the speed or load of the host, nor on chance.
settings.register_profile("offchip", deadline=None, derandomize=True)
settings.load_profile("offchip")

#: tests that share what takes long to make (host builds, warm devices, a browser): one worker makes it, once
TOGETHER = frozenset({"test_campaign", "test_captures", "test_cells", "test_firmware_app", "test_firmware_drivers",
                      "test_firmware_logic", "test_firmware_net", "test_firmware_tls", "test_firmware_vault",
                      "test_package", "test_page", "test_tamper", "test_twins"})

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


def pytest_configure(config: pytest.Config) -> None:
    # xdist's workers come here, too: only the first process builds
    if not hasattr(config, "workerinput"):
        CACHE.mkdir(exist_ok=True)
        with (CACHE / "setup.lock").open("w") as lock:  # as scripts/setup does: two builds at once would collide
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(["make", "-s", "-C", ROOT / "firmware"], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture
def play() -> Iterator[Make]:
    """Makes scenes for attacks, and lets go of them behind the test."""
    from tests.attack_play import Play  # most tests do without the lab

    made: list[Play] = []

    def make(*arguments: Any, **options: Any) -> Play:
        made.append(Play(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.scene.close()
