# SPDX-License-Identifier: Apache-2.0
"""The firmware's Mbed TLS for the host, built by whichever test process asks first."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"


def build_host_library() -> None:
    """Two makes at once would take each other's half-made archive. Raises CalledProcessError."""
    build = FIRMWARE / "build"
    build.mkdir(exist_ok=True)
    with (build / "host.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-j2", "-C", FIRMWARE, "host-mbedtls"], check=True, timeout=600)
