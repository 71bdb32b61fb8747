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
    def register_should_be_equal(self, register: int | str, value: int, machine: str | None = None,
                                 cpuName: str | None = None, message: str | None = None) -> None:
        """Compare a core register, given by its number (13 is SP, 14 LR, 15 PC) or its name (``SP``)."""
        actual = self.bench.session.register(_path(cpuName), _number_or_name(register), machine)
        if actual != value:
            prefix = f"{message}: " if message else ""
            raise AssertionError(f"{prefix}Register {register} value assertion failed, actual: 0x{actual:x}, "
                                 f"expected: 0x{value:x}")


def _path(name: str | None) -> str:
    return f"sysbus.{(name or DEFAULT_CPU).removeprefix('sysbus.')}"


def _number_or_name(register: int | str) -> int | str:
    """Robot leaves a text a text where one is allowed."""
    try:
        return int(register, 0) if isinstance(register, str) else register
    except ValueError:
        return register
