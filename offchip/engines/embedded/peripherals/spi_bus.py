# SPDX-License-Identifier: Apache-2.0
"""Several devices on the wires of one SPI, each with a chip select of its own; twin of ``SpiBus.cs``."""

from __future__ import annotations

from typing import Any

from offchip.engines.embedded.peripheral import Machine, Peripheral, model
from offchip.engines.embedded.peripherals.spi import SpiSlave, peek


@model("Offchip.SpiBus")
class SpiBus(Peripheral):
    """Who is not selected leaves MISO alone, so the pull-up and the selected device decide; two at once pull it low
    together. Devices are registered by number (``flash: Offchip.SpiMemory25 @ bus 1``).
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._devices: dict[int, SpiSlave] = {}

    def attach(self, child: Peripheral, point: Any) -> None:
        if not isinstance(point, int):
            raise ValueError(f"{self.model_name} takes its devices by number; write @ {self.name or 'bus'} 0")
        if not isinstance(child, SpiSlave):
            raise ValueError(f"{child.model_name} is not an SPI slave")
        if point in self._devices:
            raise ValueError(f"number {point} is taken")
        self._devices[point] = child

    def transmit(self, mosi: int) -> int:
        """Clock a byte through all of them."""
        miso = 0xFF
        for device in self._devices.values():
            miso &= device.transmit(mosi)
        return miso

    def peek(self) -> int:
        """What MISO carries in the next byte."""
        miso = 0xFF
        for device in self._devices.values():
            miso &= peek(device)
        return miso
