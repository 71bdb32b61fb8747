# SPDX-License-Identifier: Apache-2.0
"""What a way of storing costs: measured on a device of a scene, in instructions, virtual time, bus traffic and wear."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from offchip.broker.events import Connected
from offchip.engines.protocol import StorageEvent, Transfer
from offchip.errors import EngineError
from offchip.scene.scene import Device, Scene

_CONNECT_S = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """A start of a device that is provisioned already, and the wear of its first start, which stores everything once.

    Attributes:
        instructions, virtual_ms: from power-on to CONNACK.
        bus_bytes: on the buses of the media meanwhile.
        flash_erases, flash_words, eeprom_writes, sd_writes: of the first start (pages of the EEPROM, blocks of the
            card); None where the engine does not count them.
    """

    scheme: str
    medium: str
    instructions: int
    virtual_ms: float
    bus_bytes: int
    flash_erases: int | None
    flash_words: int | None
    eeprom_writes: int | None
    sd_writes: int | None

    def record(self) -> dict[str, Any]:
        """The form in a verdict record."""
        return asdict(self)


def measure_cost(scene: Scene, device: Device) -> Cost:
    """Start a device once more; one that is off is started a first time before.

    Raises:
        BoardError: it did not connect.
    """
    board = device.board
    events = (StorageEvent.FLASH_ERASE, StorageEvent.FLASH_WORD, StorageEvent.EEPROM_PAGE, StorageEvent.SD_BLOCK)
    if not board.powered:
        _start(scene, device)
    wear = [_count(device, event) for event in events]
    board.power_off()
    board.run(0.1)
    heard: list[Transfer] = []
    probes = (board.spi_probe, board.i2c_probe)
    for probe in probes:
        probe.listen(heard.append)
    instructions, begun_ns = board.engine.instructions, board.now_ns
    _start(scene, device)
    spent, passed_ns = board.engine.instructions - instructions, board.now_ns - begun_ns
    for probe in probes:
        probe.settle()
        probe.listen(None)
    return Cost(device.defence.scheme.name, device.defence.medium.name, spent, passed_ns / 1e6,
                sum(map(_bytes, heard)), *wear)


def _start(scene: Scene, device: Device) -> None:
    known = len(scene.broker.events)
    device.board.power_on()
    device.board.run_until(lambda: any(isinstance(event, Connected) and event.thing == device.thing
                                       for event in list(scene.broker.events)[known:]), _CONNECT_S, "CONNACK")


def _count(device: Device, event: StorageEvent) -> int | None:
    try:
        return device.board.faults.events(event)
    except EngineError:
        return None


def _bytes(transfer: Transfer) -> int:
    """On I2C the address bytes count as well."""
    return sum(word[0] not in "SPX" for word in transfer.text.split()) if transfer.text else len(transfer.mosi)
