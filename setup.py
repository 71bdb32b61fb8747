# SPDX-License-Identifier: Apache-2.0
"""Puts board, suites and firmware into the wheel, as the tree offchip/paths.py expects; all else is in pyproject."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_FOLDERS = ("platforms", "robot/suites")
_FIRMWARE = "firmware/build/offchip.elf"


class BuildWithData(build_py):
    """As usual, then ``offchip/data``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # a checkout finds its own folders
            return
        data = Path(self.build_lib) / "offchip/data"
        for folder in _FOLDERS:
            shutil.copytree(folder, data / folder, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__", "results*"))
        if Path(_FIRMWARE).is_file():  # a wheel from a tree without a toolchain has none
            (data / _FIRMWARE).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_FIRMWARE, data / _FIRMWARE)


setup(cmdclass={"build_py": BuildWithData})
