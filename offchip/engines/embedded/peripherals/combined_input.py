# SPDX-License-Identifier: Apache-2.0
"""Several interrupt lines on one input of the NVIC."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import Machine, Peripheral, model


@model("Miscellaneous.CombinedInput")
class CombinedInput(Peripheral):
    """An OR gate: the output is high while any of ``number_of_inputs`` inputs is."""

    def __init__(self, machine: Machine, number_of_inputs: int) -> None:
        super().__init__(machine)
        if number_of_inputs <= 0:
            raise ValueError(f"numberOfInputs must be positive, not {number_of_inputs}")
        self.number_of_inputs = number_of_inputs
        self._levels = 0

    def on_gpio(self, number: int, level: bool) -> None:
        if not 0 <= number < self.number_of_inputs:
            raise ValueError(f"{self.name} has inputs 0..{self.number_of_inputs - 1}, not {number}")
        self._levels = self._levels | 1 << number if level else self._levels & ~(1 << number)
        self.irq.set(self._levels != 0)
