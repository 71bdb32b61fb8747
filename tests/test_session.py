# SPDX-License-Identifier: Apache-2.0
"""A monitor session boots the board to a publishing device, as a person at the prompt would see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_monitor_session_reaches_a_publishing_device() -> None:
    session = subprocess.Popen(
        [sys.executable, "-m", "offchip", "monitor", "--engine", "embedded", "--scheme", "plain", "--medium", "eeprom"],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    for line in session.stdout:
        said.append(line.rstrip())
        if "mqtt: published topic=offchip/feed seq=2" in line:
            break
    session.stdin.write("pause\nrunMacro $dump_eeprom\nsysbus.i2c1.eeprom WriteCycles\nquit\n")
    session.stdin.flush()
    rest = session.stdout.read()
    assert session.wait(30) == 0, rest
    assert any("credentials: ok source=eeprom" in line for line in said), said
    assert b"OCE1".hex().upper() in rest
