# SPDX-License-Identifier: Apache-2.0
"""Core registers."""

from __future__ import annotations

from robot.api.deco import keyword

from RenodeKeywords.bench import Bench

DEFAULT_CPU = "cpu"


class CpuKeywords:
    """What the core holds now."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @keyword
    def pc_should_be_equal(self, value: int, machine: str | None = None, cpuName: str | None = None) -> None:
        """Compare the program counter."""
        actual = self.bench.session.register(_path(cpuName), None, machine)
        if actual != value:
            raise AssertionError(f"PC value assertion failed, actual: 0x{actual:x}, expected: 0x{value:x}")

    @keyword
    def register_should_be_equal(self, register: int, value: int, machine: str | None = None,
                                 cpuName: str | None = None) -> None:
        """Compare a core register by its number: 13 is SP, 14 LR, 15 PC."""
        actual = self.bench.session.register(_path(cpuName), register, machine)
        if actual != value:
            raise AssertionError(
                f"Register {register} value assertion failed, actual: 0x{actual:x}, expected: 0x{value:x}")


def _path(name: str | None) -> str:
    return f"sysbus.{(name or DEFAULT_CPU).removeprefix('sysbus.')}"
