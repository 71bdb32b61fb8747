"""The firmware is built once, before any test asks for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # xdist's workers come here, too: only the first process builds
    if not hasattr(config, "workerinput"):
        subprocess.run(["make", "-s", "-C", ROOT / "firmware"], check=True)
