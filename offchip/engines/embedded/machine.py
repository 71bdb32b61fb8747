# SPDX-License-Identifier: Apache-2.0
"""The bus, the supply and the reset tree that hold core and peripherals together."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from offchip.engines.elf import read_elf
from offchip.engines.embedded.builder import ElfLoad, Platform, build
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.cortex_m import CortexM
from offchip.engines.embedded.dma_requests import DmaRequests
from offchip.engines.embedded.injection import Injector, Tear
from offchip.engines.embedded.memory_map import BIT_BANDS, WINDOWS, block_at
from offchip.engines.embedded.nvic import Nvic
from offchip.engines.embedded.peripheral import BusError, Peripheral
from offchip.engines.embedded.peripherals.dwt import Dwt
from offchip.engines.embedded.peripherals.flash import Stm32F4Flash
from offchip.engines.embedded.peripherals.memory import MappedMemory
from offchip.engines.embedded.peripherals.rcc import Rcc
from offchip.engines.embedded.peripherals.timer import Timer
from offchip.engines.embedded.unicorn_core import PAGE
from offchip.engines.protocol import Diagnostic, StorageEvent, UartByte
from offchip.errors import EngineError, FirmwareError, PlatformError
from offchip.platform.model import PlatformDescription
from offchip.platform.reader import read_platform

APB2 = 0x40010000  # where its blocks begin; those of APB1 are below
GRANULE = 4  # the smallest block a .repl may register
Reader = Callable[[int, int], int]
Writer = Callable[[int, int, int], None]


class EmbeddedMachine:
    """One board. Implements :class:`offchip.engines.embedded.peripheral.Machine`.

    Args:
        platform: the ``.repl`` file, or what was read from one.
        seed: decides what volatile memory holds at power-on.

    Raises:
        PlatformError: the .repl is wrong, or describes a board this engine cannot map.
    """

    def __init__(self, platform: Path | PlatformDescription, seed: int = 1) -> None:
        description = platform if isinstance(platform, PlatformDescription) else read_platform(Path(platform))
        self.clock = Clock(168_000_000)
        self.dma = DmaRequests()
        self.seed = seed
        self.uart: list[UartByte] = []
        self.diagnostics: list[Diagnostic] = []
        self._seen: set[tuple[str, str, str, int]] = set()
        self._reset_cause: str | None = None
        self._bus_error: tuple[int, int] | None = None
        self._stores: list[tuple[int, int, int, bytes]] = []
        self._ready = False
        self.powered = False
        self.resets = 0
        self.platform: Platform = build(description, self)
        self.cpu = self._only(CortexM, description.files[-1])
        self.nvic = self._only(Nvic, description.files[-1])
        self.core = self.cpu.core
        self.flash = next((p for p in self.platform.peripherals.values() if isinstance(p, Stm32F4Flash)), None)
        self.rcc = next((p for p in self.platform.peripherals.values() if isinstance(p, Rcc)), None)
        if self.rcc is not None:
            self.rcc.on_clocks = self._clocks_changed
            self._clocks_changed()
        self.injector = Injector(self.core, self.clock, lambda: self.cpu.executed_instructions, self.read_bytes,
                                 self.write_bytes)
        self.cpu.instructions_left = self.injector.instructions_left
        self.cpu.on_progress = self.injector.apply_due
        self._memories: list[tuple[int, mmap.mmap]] = []
        self._io: dict[int, tuple[int, Reader, Writer]] = {}
        self._map()
        self._ready = True
        for step in self.platform.deferred:
            if isinstance(step, ElfLoad):
                self.load_elf(step.path)
            else:
                self.program(step.address, step.value.to_bytes(step.width, "little"))

    def _only(self, kind: type, platform: Path) -> Peripheral:
        found = [p for p in self.platform.peripherals.values() if isinstance(p, kind)]
        if len(found) != 1:
            raise PlatformError(f"{platform}:1:1: the board needs exactly one {kind.model_name}, found {len(found)}")
        return found[0]

    def _clocks_changed(self) -> None:
        self.nvic.systick.set_frequency(self.rcc.hclk_hz)
        for place in self.platform.registrations:
            if isinstance(place.peripheral, Dwt):
                place.peripheral.set_frequency(self.rcc.hclk_hz)
            elif isinstance(place.peripheral, Timer):
                place.peripheral.set_frequency(self.rcc.timer_hz[place.start >= APB2])

    # mapping ---------------------------------------------------------------------------------------------------
    def _map(self) -> None:
        policed = set()
        if self.flash is not None:
            policed = {id(bank) for bank in self.flash.banks}
            self.core.on_flash_store = self._flash_store
        for place in self.platform.registrations:
            buffer = getattr(place.peripheral, "buffer", None)
            if isinstance(buffer, mmap.mmap):
                if place.start % PAGE or len(buffer) % PAGE:
                    raise PlatformError(f"{place.peripheral.name}: memory must start and end on a 0x1000 boundary")
                writable = id(place.peripheral) not in policed
                if writable and isinstance(place.peripheral, MappedMemory):
                    place.peripheral.volatile = 0x10000000 <= place.start < 0x40000000
                self.core.map_buffer(place.start, buffer, writable)
                self._memories.append((place.start, buffer))
            else:
                if place.region is None:
                    place.peripheral.base = place.start
                self._register_io(place.start, place.size, *self._accessors(place.peripheral, place.region))
        for tag in self.platform.tags:
            self._register_io(tag.start, tag.end - tag.start + 1, lambda o, w, v=tag.value: v >> 8 * (o & 3),
                              lambda o, w, v: None)
        for start, size in WINDOWS:
            self._map_window(start, size)
        for alias, target, size in BIT_BANDS:
            self._map_bit_band(alias, target, size)
        self.core.watch_faults()

    @staticmethod
    def _accessors(peripheral: Peripheral, region: str | None) -> tuple[Reader, Writer]:
        if region is None:
            return peripheral.read, peripheral.write
        return (lambda o, w: peripheral.region_read(region, o, w),
                lambda o, w, v: peripheral.region_write(region, o, w, v))

    def _register_io(self, start: int, size: int, read: Reader, write: Writer) -> None:
        if start % GRANULE or size % GRANULE:
            raise PlatformError(f"0x{start:08X}: a block of registers must start and end on a word boundary")
        entry = (start, read, write)
        for granule in range(start // GRANULE, (start + size - 1) // GRANULE + 1):
            self._io[granule] = entry

    def _map_window(self, start: int, size: int) -> None:
        """Hand a window of the bus to Python, leaving out what is mapped memory."""
        holes = sorted((m, len(b)) for m, b in self._memories if start <= m < start + size)
        position = start
        for hole, length in [*holes, (start + size, 0)]:
            if hole > position:
                self.core.map_io(position, hole - position, self.io_read, self.io_write)
            position = hole + length

    def _map_bit_band(self, alias: int, target: int, size: int) -> None:
        def locate(address: int) -> tuple[int, int]:
            offset = address - alias
            return target + (offset >> 5), offset >> 2 & 7

        def read(address: int, width: int) -> int:
            byte, bit = locate(address)
            return self.bus_read(byte & ~3, 4) >> (8 * (byte & 3) + bit) & 1

        def write(address: int, width: int, value: int) -> None:
            byte, bit = locate(address)
            mask = 1 << (8 * (byte & 3) + bit)
            word = self.bus_read(byte & ~3, 4)
            self.bus_write(byte & ~3, 4, word | mask if value & 1 else word & ~mask)

        self.core.map_io(alias, size, read, write)

    # the bus as the core sees it ---------------------------------------------------------------------------------
    def io_read(self, address: int, width: int) -> int:
        entry = self._io.get(address // GRANULE)
        if entry is not None:
            return entry[1](address - entry[0], width)
        self._nobody(address, width, None)
        return 0

    def io_write(self, address: int, width: int, value: int) -> None:
        entry = self._io.get(address // GRANULE)
        if entry is not None:
            entry[2](address - entry[0], width, value)
            return
        self._nobody(address, width, value)

    def _nobody(self, address: int, width: int, value: int | None) -> None:
        block = block_at(address)
        if block is None:
            self._bus_error = (address, self.core.pc)
            self.core.stop_soon()
            return
        what = "read" if value is None else f"write of 0x{value:X}"
        self.report("unmodelled", "sysbus", f"{width * 8}-bit {what} at 0x{address:08X} in {block}, "
                    "which this platform does not model", address)

    def _flash_store(self, address: int, width: int, value: int) -> None:
        # Unicorn carries the store out after this hook; the rules are applied behind the instruction
        self._stores.append((address, width, value, self.read_bytes(address, width)))

    def _settle_stores(self) -> None:
        stores, self._stores = self._stores, []
        for address, _, _, before in reversed(stores):
            self._poke(address, before)
        for address, width, value, _ in stores:
            self.flash.store(address, width, value)

    # memory by the back door ---------------------------------------------------------------------------------------
    def _buffer_at(self, address: int, length: int) -> tuple[mmap.mmap, int] | None:
        for start, buffer in self._memories:
            if start <= address and address + length <= start + len(buffer):
                return buffer, address - start
        return None

    def read_bytes(self, address: int, length: int) -> bytes:
        place = self._buffer_at(address, length)
        if place is not None:
            return place[0][place[1]:place[1] + length]
        if length > 0x1000000:
            raise EngineError(f"cannot read {length} bytes at 0x{address:08X}: no memory is that large")
        return bytes(self._byte(address + i) for i in range(length))

    def _byte(self, address: int) -> int:
        place = self._buffer_at(address, 1)
        if place is not None:
            return place[0][place[1]]
        entry = self._io.get(address // GRANULE)
        if entry is None:
            raise EngineError(f"nothing answers at 0x{address:08X}; give an address inside a memory of the platform")
        word = (address - entry[0]) & ~3
        return entry[1](word, 4) >> 8 * (address & 3) & 0xFF

    def write_bytes(self, address: int, data: bytes) -> None:
        if not self._poke(address, data):
            raise EngineError(f"cannot write {len(data)} bytes at 0x{address:08X}: no memory of the platform is there")
        self.code_changed(address, len(data))

    def program(self, address: int, data: bytes) -> None:
        """Write memory of any kind through the back door, register-backed storage (OTP, device signature) too."""
        if self._poke(address, data):
            self.code_changed(address, len(data))
            return
        for i, byte in enumerate(data):
            entry = self._io.get((address + i) // GRANULE)
            if entry is None:
                raise EngineError(f"nothing can be programmed at 0x{address + i:08X}; the platform has no memory there")
            entry[2](address + i - entry[0], 1, byte)

    def load_elf(self, path: Path) -> None:
        """Program an ELF.

        Raises:
            FirmwareError: missing, damaged, for another core, or outside the platform's memories.
        """
        firmware = read_elf(path)
        for address, data in firmware.segments:
            if not self._poke(address, data):
                raise FirmwareError(
                    f"{path}: the segment at 0x{address:08X} ({len(data)} bytes) lies outside the memories of this "
                    "platform; link it for the STM32F405 (flash 0x08000000, 1 MB).")
            self.code_changed(address, len(data))

    def _poke(self, address: int, data: bytes) -> bool:
        """Write through memory borders (flash banks are neighbours); False when any byte has no home."""
        position = 0
        while position < len(data):
            place = self._buffer_at(address + position, 1)
            if place is None:
                return False
            buffer, offset = place
            take = min(len(data) - position, len(buffer) - offset)
            buffer[offset:offset + take] = data[position:position + take]
            position += take
        return True

    def code_changed(self, address: int, length: int) -> None:
        for start, buffer in self._memories:  # every alias of the same memory
            for other, same in self._memories:
                if same is buffer and other <= address < other + len(buffer):
                    at = start + address - other
                    self.core.drop_translations(at, min(length, start + len(buffer) - at))

    def bus_read(self, address: int, width: int) -> int:
        place = self._buffer_at(address, width)
        if place is not None:
            return int.from_bytes(place[0][place[1]:place[1] + width], "little")
        return self.io_read(address, width)

    def bus_write(self, address: int, width: int, value: int) -> None:
        place = self._buffer_at(address, width)
        if place is None:
            self.io_write(address, width, value)
        elif self.flash is not None and self.flash.owns(address):
            self.flash.store(address, width, value)
        else:
            place[0][place[1]:place[1] + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            if self.core.tlb.executed(address):
                self.code_changed(address, width)

    def dma_read(self, address: int, width: int) -> int:
        self._reachable(address)
        return self.bus_read(address, width)

    def dma_write(self, address: int, width: int, value: int) -> None:
        self._reachable(address)
        self.bus_write(address, width, value)

    def _reachable(self, address: int) -> None:
        mapped = self._buffer_at(address, 1) is not None or address // GRANULE in self._io
        if not mapped and block_at(address) is None:
            raise BusError(address)

    # services for peripherals ----------------------------------------------------------------------------------------
    def report(self, kind: str, where: str, message: str, address: int = 0) -> None:
        """Keep one diagnostic per kind, place, text and PC: a polling loop must not fill the memory."""
        pc = self.core.pc if self._ready else 0
        key = (kind, where, message, pc)
        if key not in self._seen:
            self._seen.add(key)
            self.diagnostics.append(Diagnostic(kind, where, message, self.clock.now_ns, pc, address))

    def request_reset(self, cause: str) -> None:
        if self._reset_cause is None:
            self._reset_cause = cause
        self.core.stop_soon()

    def uart_output(self, name: str, value: int) -> None:
        self.uart.append(UartByte(name, value & 0xFF, self.clock.now_ns))

    def storage_event(self, event: StorageEvent) -> Tear | None:
        return self.injector.storage_event(event)

    def supply_lost_in(self, event: StorageEvent, place: str, before: bytes, after: bytes) -> None:
        self.injector.leave("cut_power", f"{event} {self.injector.events(event)}: {place}", before, after)

    def find(self, name: str) -> Peripheral:
        try:
            return self.platform.peripherals[name]
        except KeyError:
            raise EngineError(f'the platform has no peripheral "{name}"') from None

    # life ------------------------------------------------------------------------------------------------------------
    def run_until_cycle(self, target: int) -> None:
        """Let time pass up to cycle ``target``."""
        clock, cpu = self.clock, self.cpu
        while True:
            clock.fire_due()
            if self._reset_cause is not None:
                self.reset(self._reset_cause)
            if clock.cycles >= target:
                return
            if not self.powered:
                event = clock.next_event()
                clock.advance((target if event is None else min(event, target)) - clock.cycles)
                continue
            cpu.step_towards(target)
            if self._stores:
                self._settle_stores()
            if self._bus_error is not None:
                (address, pc), self._bus_error = self._bus_error, None
                cpu.bus_fault(address, pc)
            if self.injector.supply_lost:
                self.injector.supply_lost = False
                self.power_off()

    def reset(self, cause: str) -> None:
        """Reset the MCU. ``cause``: power-on, pin, software or watchdog."""
        self._reset_cause = None
        self.resets += 1
        self.dma.forget()
        for peripheral in self.platform.peripherals.values():
            if peripheral is not self.cpu:
                peripheral.reset()
        if self.rcc is not None:
            self.rcc.note_reset(cause)
        for action in self.platform.reset_actions:
            action()
        self.cpu.reset()

    def power_off(self) -> None:
        if self.powered:
            self.powered = False
            for peripheral in self.platform.peripherals.values():
                peripheral.power_off()
            for start, buffer in self._memories:  # RAM forgot its code
                self.core.drop_translations(start, len(buffer))

    def power_on(self) -> None:
        if not self.powered:
            self.powered = True
            for peripheral in self.platform.peripherals.values():
                peripheral.power_on()
            self.reset("power-on")
