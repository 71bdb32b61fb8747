# SPDX-License-Identifier: Apache-2.0
"""Every attack against every way of storing: the cells, who should win, and how they become tests."""

from __future__ import annotations

import sys

from offchip.paths import PACKAGES

# a cell is judged by the oracles of OffchipLibrary, which in a checkout lies in robot/
sys.path += [str(folder) for folder in PACKAGES if str(folder) not in sys.path]
