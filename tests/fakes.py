# SPDX-License-Identifier: Apache-2.0
"""A machine without a core, for tests of single peripherals."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.dma_requests import DmaRequests
from offchip.engines.embedded.peripheral import Peripheral
from offchip.engines.protocol import Operation


@dataclass
class FakeMachine:
    """Keeps what peripherals report; memory is a sparse set of bytes that read as 0xFF."""

    clock: Clock = field(default_factory=lambda: Clock(168_000_000))
    reports: list[tuple[str, str, str]] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    uart: list[tuple[str, int]] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)
    peripherals: dict[str, Peripheral] = field(default_factory=dict)
    code_changes: list[tuple[int, int]] = field(default_factory=list)
    seed: int = 1
    mapped: int = 0
    dma: DmaRequests = field(default_factory=DmaRequests)
    ahead: Ahead = field(default_factory=Ahead)

    def report(self, kind: str, where: str, message: str, address: int = 0) -> None:
        self.reports.append((kind, where, message))

    def request_reset(self, cause: str) -> None:
        self.resets.append(cause)

    def uart_output(self, name: str, value: int) -> None:
        self.uart.append((name, value))

    def read_bytes(self, address: int, length: int) -> bytes:
        return bytes(self.memory.get(address + i, 0xFF) for i in range(length))

    def write_bytes(self, address: int, data: bytes) -> None:
        self.memory.update(enumerate(data, address))

    def code_changed(self, address: int, length: int) -> None:
        self.code_changes.append((address, length))

    def bus_error(self, address: int) -> None:
        self.reports.append(("fault", "bus", f"0x{address:08X}"))

    def remap(self, mode: int) -> None:
        self.mapped = mode

    def dma_read(self, address: int, width: int) -> int:
        return int.from_bytes(self.read_bytes(address, width), "little")

    def dma_write(self, address: int, width: int, value: int) -> None:
        self.write_bytes(address, value.to_bytes(width, "little"))

    def storage_event(self, operation: Operation) -> None:
        """Nobody cuts the supply here."""

    def supply_lost_in(self, event: str, place: str, before: bytes, after: bytes) -> None:
        raise AssertionError("nobody cut the supply")

    def find(self, name: str) -> Peripheral:
        return self.peripherals[name]

    def pass_time(self, ns: int) -> None:
        """Let virtual time pass and fire what falls due, each at its own time."""
        end = self.clock.cycles + self.clock.cycles_of(ns)
        while (due := self.clock.next_event()) is not None and due <= end:
            self.clock.advance(max(0, due - self.clock.cycles))
            self.clock.fire_due()
        self.clock.advance(end - self.clock.cycles)
