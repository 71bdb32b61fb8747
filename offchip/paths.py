# SPDX-License-Identifier: Apache-2.0
"""Where things are in a checkout of the project."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
BOARD = ROOT / "platforms/offchip-board.repl"
FIRMWARE = ROOT / "firmware/build/offchip.elf"
SUITES = ROOT / "robot/suites"
KEYWORDS = ROOT / "robot"
