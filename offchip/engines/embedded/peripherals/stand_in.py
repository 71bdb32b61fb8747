# SPDX-License-Identifier: Apache-2.0
"""Blocks of the chip that work as registers while what they lead to is absent; each says so when first used."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import Machine
from offchip.engines.embedded.peripherals.registers import WordRegisters


class StandIn(WordRegisters):
    """Base of blocks a platform gets although its ``.repl`` does not name them.

    :meth:`say` leaves a diagnostic of the kind ``stand-in``: what a program sees here is not what a board would show.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._said: set[str] = set()

    def say(self, what: str) -> None:
        """Once each, for the life of the board."""
        if what not in self._said:
            self._said.add(what)
            self.machine.report("stand-in", self.path, what, self.base)
