# SPDX-License-Identifier: Apache-2.0
"""Sentences of Renode's keywords that its suites match on, the same on both engines (Renode 1.16.1)."""

from __future__ import annotations

from collections.abc import Iterable


def no_machine_of_that_name(name: str, names: Iterable[str]) -> str:
    """A machine was named that is not there."""
    return f"Machine with name {name} not found. Available machines: [{', '.join(names)}]"


def which_machine(names: Iterable[str]) -> str:
    """No machine was named, and there is not exactly one."""
    known = list(names)
    if not known:
        return "There are no machines in the emulation. There is no machine in the emulation."
    return (f"There is more than 1 machine and no machine name was specified. No machine name provided. Don't know "
            f"which one to choose. Available machines: [{', '.join(known)}]")


def no_uart(machine: str, path: str, paths: Iterable[str]) -> str:
    """A terminal tester was asked for where there is no UART."""
    return (f"Peripheral for machine '{machine}' not found or of wrong type: '{path}'. "
            f"Available peripherals: [{', '.join(paths)}]")


def no_cpu(name: str, names: Iterable[str]) -> str:
    """A core was named that the machine does not have."""
    return f"This machine has no CPU named: {name}, available are: {', '.join(names)}"
