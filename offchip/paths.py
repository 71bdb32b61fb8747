# SPDX-License-Identifier: Apache-2.0
"""Where things are: in a checkout of the project, or in the installed package, which carries the same tree as data."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
#: False when this is an installed package
IN_CHECKOUT = (_PACKAGE.parent / "platforms/offchip-board.repl").is_file()
#: top of the tree with platforms, firmware and suites
ROOT = _PACKAGE.parent if IN_CHECKOUT else _PACKAGE / "data"
#: what can be made again
CACHE = ROOT / ".cache" if IN_CHECKOUT else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offchip"
#: where commands put their results when nobody says where
OUTPUT = ROOT if IN_CHECKOUT else Path.cwd()
BOARD = ROOT / "platforms/offchip-board.repl"
FIRMWARE = ROOT / "firmware/build/offchip.elf"
SUITES = ROOT / "robot/suites"
#: folders of the packages ``offchip``, ``OffchipLibrary`` and ``RenodeKeywords``
PACKAGES = (ROOT / "robot", ROOT) if IN_CHECKOUT else (_PACKAGE.parent,)
