# SPDX-License-Identifier: Apache-2.0
"""The firmware is built once, before any test asks for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

# No verdict of a test may depend on the speed or load of the host, nor on chance.
settings.register_profile("offchip", deadline=None, derandomize=True)
settings.load_profile("offchip")

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # xdist's workers come here, too: only the first process builds
    if not hasattr(config, "workerinput"):
        subprocess.run(["make", "-s", "-C", ROOT / "firmware"], check=True)
