# SPDX-License-Identifier: Apache-2.0
"""A switch outside the chip: a push button, or a hall sensor that sees a magnet."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import Machine, Peripheral, model


@model("Miscellaneous.Button")
class Button(Peripheral):
    """A two-position switch that drives its output at all times.

    Args:
        invert: False: high while pressed; True: low while pressed.

    It starts released. A reset or loss of power of the chip moves it only with ``release_on_reset``, which Renode's own
    model starts with.
    """

    def __init__(self, machine: Machine, invert: bool = False) -> None:
        super().__init__(machine)
        self.invert = invert
        self.pressed = False
        self.release_on_reset = False
        self._drive()

    def reset(self) -> None:
        if self.release_on_reset:
            self.release()

    def press(self) -> None:
        self.pressed = True
        self._drive()

    def release(self) -> None:
        self.pressed = False
        self._drive()

    def toggle(self) -> None:
        self.pressed = not self.pressed
        self._drive()

    def press_and_release(self) -> None:
        self.press()
        self.release()

    def _drive(self) -> None:
        self.irq.set(self.pressed != self.invert)
