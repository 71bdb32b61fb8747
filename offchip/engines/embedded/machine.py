# SPDX-License-Identifier: Apache-2.0
"""The bus, the supply and the reset tree that hold core and peripherals together."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from offchip import chip_map
from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.builder import ElfLoad, Platform, Registration, build
from offchip.engines.embedded.busy_wait import BusyWait
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.cortex_m import CortexM
from offchip.engines.embedded.dma_requests import DmaRequests
from offchip.engines.embedded.injection import Injector
from offchip.engines.embedded.memory_map import BIT_BANDS, WINDOWS, block_at
from offchip.engines.embedded.nvic import TRCENA, Nvic
from offchip.engines.embedded.peripheral import FOREVER, BusError, Peripheral
from offchip.engines.embedded.peripherals.adc import Adc
from offchip.engines.embedded.peripherals.can import BxCan
from offchip.engines.embedded.peripherals.dwt import Dwt
from offchip.engines.embedded.peripherals.eeprom import Eeprom24xx256
from offchip.engines.embedded.peripherals.exti import Exti
from offchip.engines.embedded.peripherals.flash import Stm32F4Flash
from offchip.engines.embedded.peripherals.itm import Itm
from offchip.engines.embedded.peripherals.iwdg import IndependentWatchdog
from offchip.engines.embedded.peripherals.memory import ArrayMemory, MappedMemory
from offchip.engines.embedded.peripherals.pwr import Pwr
from offchip.engines.embedded.peripherals.rcc import Rcc
from offchip.engines.embedded.peripherals.rtc import Rtc
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi
from offchip.engines.embedded.peripherals.timer import Timer
from offchip.engines.embedded.peripherals.usart import Usart
from offchip.engines.embedded.peripherals.wwdg import WindowWatchdog
from offchip.engines.embedded.pins import connect_pins
from offchip.engines.embedded.semihosting import Semihosting
from offchip.engines.embedded.stand_ins import add_stand_ins
from offchip.engines.embedded.unicorn_core import PAGE
from offchip.engines.embedded.virtual_tlb import PAGE_SIZE
from offchip.engines.image import read_image
from offchip.engines.protocol import Diagnostic, Operation, StorageEvent, Tear, UartByte
from offchip.errors import EngineError, FirmwareError, PlatformError
from offchip.platform.model import Location, PlatformDescription
from offchip.platform.reader import read_platform

#: what lies below is an alias of the memory SYSCFG selects
ALIAS_END = 0x08000000
SRAM_START = 0x20000000
SYSTEM_START, SYSTEM_SIZE, SYSTEM_END = 0x1FFF0000, 0x7000, 0x1FFF7A30
PRIVATE_BUS = 0xE0000000
APB2 = 0x40010000  # where its blocks begin; those of APB1 are below
GRANULE = 4  # the smallest block a .repl may register
Part = TypeVar("Part", bound=Peripheral)
Reader = Callable[[int, int], int]
Writer = Callable[[int, int, int], None]


def _constant(word: int, offset: int, width: int) -> int:
    return word >> 8 * (offset & 3)


def _at_flash(act: Callable[[str, range], None], start: int, cell: range) -> None:
    act("flash", range(cell.start - start, cell.stop - start))


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
        self.ahead = Ahead()
        self.seed = seed
        self.uart: list[UartByte] = []
        self.diagnostics: list[Diagnostic] = []
        self._seen: dict[tuple[str, str, str, int], int] = {}
        self._reset_cause: str | None = None
        self._bus_error: tuple[int, int] | None = None
        self._mapped = 0  # SYSCFG MEM_MODE in force
        self._remap: int | None = None
        self._standby = False
        self.semihosting: Semihosting | None = None  # while a debugger is attached
        self._system: list[tuple[int, int, ArrayMemory]] = []
        self._stores: list[tuple[int, int, int, bytes]] = []
        self._ready = False
        self.powered = False
        self.resets = 0
        self.platform: Platform = build(description, self)
        add_stand_ins(self.platform, self, Location(description.files[-1], 1, 1))
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
        self.cpu.on_arrival = self.injector.arrive
        self.cpu.busy_wait = BusyWait(self.core, self.clock, lambda: [
            buffer for start, buffer in self._memories if start >= ALIAS_END and not (
                self.flash is not None and self.flash.owns(start))], self._steady, self._seen)
        self.core.idle_write = self._idle_write
        self.pwr = next((p for p in self.platform.peripherals.values() if isinstance(p, Pwr)), None)
        self.cpu.on_deep_sleep = self._deep_sleep
        self.cpu.on_deep_wake = self._deep_wake
        for peripheral in self.platform.peripherals.values():
            if isinstance(peripheral, Exti):
                peripheral.on_event = self.cpu.send_event
            elif isinstance(peripheral, Rtc):
                peripheral.alarm_irq.connect(self._standby_edge, 0)
                peripheral.wakeup_irq.connect(self._standby_edge, 0)
            elif peripheral.name == "gpioa":
                peripheral.line(0).connect(self._standby_edge, 1)
        self._memories: list[tuple[int, mmap.mmap]] = []
        self._flash_alias: list[tuple[int, mmap.mmap]] = []
        self._at_zero: list[tuple[int, int]] = []
        self._io: dict[int, tuple[int, Reader, Writer]] = {}
        self._map()
        connect_pins(self.platform.peripherals)
        self._ready = True
        for step in self.platform.deferred:
            if isinstance(step, ElfLoad):
                self.load_elf(step.path)
            else:
                self.program(step.address, step.value.to_bytes(step.width, "little"))

    def _only(self, kind: type[Part], platform: Path) -> Part:
        found = [p for p in self.platform.peripherals.values() if isinstance(p, kind)]
        if len(found) != 1:
            raise PlatformError(f"{platform}:1:1: the board needs exactly one {kind.model_name}, found {len(found)}")
        return found[0]

    def _clocks_changed(self) -> None:
        assert self.rcc is not None
        self.nvic.systick.set_frequency(self.rcc.hclk_hz)
        for place in self.platform.registrations:
            if isinstance(place.peripheral, Dwt):
                place.peripheral.set_frequency(self.rcc.hclk_hz)
            elif isinstance(place.peripheral, Timer):
                place.peripheral.set_frequency(self.rcc.timer_hz[place.start >= APB2])
            elif isinstance(place.peripheral, Usart | WindowWatchdog | Adc | BxCan):
                place.peripheral.set_frequency(self.rcc.pclk_hz[place.start >= APB2])

    # mapping ---------------------------------------------------------------------------------------------------
    def _map(self) -> None:
        policed: set[int] = set()
        if self.flash is not None:
            policed = {id(bank) for bank in self.flash.banks}
            self.core.on_flash_store = self._flash_store
        for place in self.platform.registrations:
            buffer = getattr(place.peripheral, "buffer", None)
            if isinstance(buffer, mmap.mmap):
                self._map_memory(place, buffer, id(place.peripheral) not in policed)
            else:
                self._map_registers(place)
        for tag in self.platform.tags:
            self._register_io(tag.start, tag.end - tag.start + 1, partial(_constant, tag.value), lambda o, w, v: None)
        for start, size in WINDOWS:
            self._map_window(start, size)
        for alias, target, size in BIT_BANDS:
            self._map_bit_band(alias, target, size)
        self.core.watch_faults()

    def _map_memory(self, place: Registration, buffer: mmap.mmap, writable: bool) -> None:
        if place.start % PAGE or len(buffer) % PAGE:
            raise PlatformError(f"{place.peripheral.name}: memory must start and end on a 0x1000 boundary")
        if writable and isinstance(place.peripheral, MappedMemory):
            place.peripheral.volatile = 0x10000000 <= place.start < 0x40000000
        if place.start < ALIAS_END:
            self._flash_alias.append((place.start, buffer))
            self._at_zero.append((place.start, len(buffer)))
        self.core.map_buffer(place.start, buffer, writable)
        self._memories.append((place.start, buffer))
        if place.start == chip_map.CCM.start:  # on the data bus of the core only (2.1)
            self.core.tlb.never_execute(place.start, len(buffer))

    def _map_registers(self, place: Registration) -> None:
        if place.region is None:
            place.peripheral.base = place.start
        read, write = self._accessors(place.peripheral, place.region)
        self._register_io(place.start, place.size, read, write)
        if SYSTEM_START <= place.start < SYSTEM_END and isinstance(place.peripheral, ArrayMemory):
            self._system.append((place.start, place.size, place.peripheral))

    @staticmethod
    def _accessors(peripheral: Peripheral, region: str | None) -> tuple[Reader, Writer]:
        if region is None:
            return peripheral.read, peripheral.write
        assert isinstance(peripheral, Stm32F4Flash)  # the only class with regions
        return partial(peripheral.region_read, region), partial(peripheral.region_write, region)

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
                quick = self._io if SYSTEM_END <= position < PRIVATE_BUS else {}  # no rules of privilege or of flash
                self.core.map_io(position, hole - position, self.io_read, self.io_write, quick)
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
        if address >= PRIVATE_BUS and self.cpu.unprivileged:  # B3.1.1
            self.bus_error(address)
            return 0
        entry = self._io.get(address // GRANULE)
        if entry is not None:
            return entry[1](address - entry[0], width)
        self._nobody(address, width, None)
        return 0

    def io_write(self, address: int, width: int, value: int) -> None:
        if address >= PRIVATE_BUS and self.cpu.unprivileged:
            self.bus_error(address)
            return
        if address < SYSTEM_END and self.flash is not None:
            for start, size, area in self._system:
                if start <= address < start + size:
                    self.flash.store_system(area, address - start, address, width, value)
                    return
        entry = self._io.get(address // GRANULE)
        if entry is not None:
            entry[2](address - entry[0], width, value)
            return
        self._nobody(address, width, value)

    def _steady(self, address: int) -> int | None:
        """Up to which cycle a look at this register shows the same, and has no effect; None: unknown."""
        for alias, target, size in BIT_BANDS:
            if alias <= address < alias + size:
                address = target + (address - alias >> 5) & ~3
        entry = self._io.get(address // GRANULE)
        if entry is None:
            return FOREVER if block_at(address) is not None else None
        block = getattr(entry[1], "__self__", None)
        return block.steady(address - entry[0]) if isinstance(block, Peripheral) else None

    def _idle_write(self, address: int, width: int, value: int) -> bool:
        entry = self._io.get(address // GRANULE)
        block = getattr(entry[1], "__self__", None) if entry is not None else None
        return isinstance(block, Peripheral) and block.idle_write(address - block.base, width, value)

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
        assert self.flash is not None
        for address, width, value, _ in stores:
            self.flash.store(address, width, value)

    def memories(self) -> list[tuple[int, mmap.mmap]]:
        """Address and content of each mapped memory, aliases too."""
        return list(self._memories)

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
        content = bytearray()
        while len(content) < length:  # flash banks are neighbours; registers answer byte by byte
            place = self._buffer_at(address + len(content), 1)
            if place is None:
                content.append(self._byte(address + len(content)))
            else:
                content += place[0][place[1]:place[1] + length - len(content)]
        return bytes(content)

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
        """Program an ELF, an Intel HEX file or ``file.bin@address``, beside what is there.

        Raises:
            FirmwareError: missing, damaged, for another core, or outside the platform's memories.
        """
        firmware = read_image(path)
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

    def bus_error(self, address: int) -> None:
        self._bus_error = (address, self.core.pc)
        self.core.stop_soon()

    def remap(self, mode: int) -> None:
        if mode != self._mapped and self._ready:
            self._remap = mode
            self.core.stop_soon()
        elif self._remap is not None:
            self._remap = None

    def _map_zero(self, mode: int) -> None:
        """What the core finds at address 0 (RM0090 2.4, table 3): main flash, system memory or SRAM."""
        self._mapped = mode
        for start, length in self._at_zero:
            self.core.unmap(start, length)
        self._memories = [each for each in self._memories if each[0] >= ALIAS_END]
        self._at_zero = []
        if mode == 0:
            for start, buffer in self._flash_alias:
                self._map_alias(start, buffer, False)
        elif mode == 3:
            for start, buffer in list(self._memories):
                if start == SRAM_START:
                    self._map_alias(0, buffer, True)
        else:
            self._at_zero = [(0, SYSTEM_SIZE)]
            self.core.map_io(0, SYSTEM_SIZE, lambda a, w: self.io_read(SYSTEM_START + a, w),
                             lambda a, w, v: self.io_write(SYSTEM_START + a, w, v))
        self.core.watch_faults()

    def _map_alias(self, start: int, buffer: mmap.mmap, writable: bool) -> None:
        self.core.map_buffer(start, buffer, writable)
        self._memories.append((start, buffer))
        self._at_zero.append((start, len(buffer)))

    # services for peripherals ----------------------------------------------------------------------------------------
    def report(self, kind: str, where: str, message: str, address: int = 0) -> None:
        """Keep one diagnostic per kind, place, text and PC: a polling loop must not fill the memory."""
        pc = self.core.pc if self._ready else 0
        key = (kind, where, message, pc)
        seen = self._seen.get(key, 0)
        self._seen[key] = seen + 1
        if not seen:
            self.diagnostics.append(Diagnostic(kind, where, message, self.clock.now_ns, pc, address))

    def counted_diagnostics(self) -> list[Diagnostic]:
        """Each diagnostic with how often it came."""
        return [replace(each, count=self._seen[each.kind, each.where, each.message, each.pc])
                for each in self.diagnostics]

    def before_touch(self, cells: Mapping[str, Collection[range]], act: Callable[[str, range], None]) -> None:
        """Call ``act`` with memory and range, once each, inside the first instruction that loads from these cells of
        ``flash`` or has one of these media look at its own, before it is carried out: what they hold made no difference
        so far.

        ``cells``: memory -> ranges of bytes from its start, of flash whole words; none: watch no longer.
        """
        self.core.watch_reads_no_longer()
        self._before_media_touch(cells, act)
        near: dict[int, list[range]] = {}
        for each in cells.get("flash", ()):
            near.setdefault(each.start // PAGE_SIZE, []).append(each)
        for group in near.values():
            for start in (chip_map.FLASH.start, 0):
                if self._buffer_at(start + group[0].start, len(group[0])) is not None:
                    self.core.watch_reads([range(each.start + start, each.stop + start) for each in group],
                                          partial(_at_flash, act, start))

    def before_touch_again(self, cells: Mapping[str, Collection[range]], act: Callable[[str, range], None]) -> None:
        """The same once more, with what was given to :meth:`before_touch`."""
        self.core.watch_reads_again()
        self._before_media_touch(cells, act)

    def _before_media_touch(self, cells: Mapping[str, Collection[range]], act: Callable[[str, range], None]) -> None:
        for name, memory in self.platform.peripherals.items():
            if isinstance(memory, SdCardSpi | Eeprom24xx256):
                memory.before_access(cells.get(name, ()), partial(act, name))

    def request_reset(self, cause: str) -> None:
        if self._reset_cause is None:
            self._reset_cause = cause
        self.core.stop_soon()

    def uart_output(self, name: str, value: int) -> None:
        self.uart.append(UartByte(name, value & 0xFF, self.clock.now_ns))

    def storage_event(self, operation: Operation) -> Tear | None:
        return self.injector.storage_event(operation)

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
            if not self.powered or self._standby:
                event = clock.next_event()
                clock.advance((target if event is None else min(event, target)) - clock.cycles)
                continue
            cpu.step_towards(target)
            if self._stores:
                self._settle_stores()
            if self.injector.arrived is not None:
                return
            if self._remap is not None:
                mode, self._remap = self._remap, None
                self._map_zero(mode)
            if self._bus_error is not None:
                (address, pc), self._bus_error = self._bus_error, None
                cpu.bus_fault(address, pc)
            if self.injector.supply_lost:
                self.injector.supply_lost = False
                self.power_off()

    # low power (RM0090 5.3) ------------------------------------------------------------------------------------------
    def _deep_sleep(self) -> None:
        if self.pwr is not None and self.pwr.standby:
            self._standby = True
            for peripheral in self.platform.peripherals.values():
                if isinstance(peripheral, MappedMemory):
                    peripheral.power_off()
                elif peripheral is not self.cpu and not isinstance(peripheral, Rcc | Rtc | IndependentWatchdog):
                    peripheral.reset()
            self._forget_code_in_ram()
            return
        for peripheral in self.platform.peripherals.values():
            peripheral.stop_clock()

    def _deep_wake(self) -> None:
        if self.rcc is not None:
            self.rcc.wake_from_stop()
        for peripheral in self.platform.peripherals.values():
            peripheral.start_clock()

    def _standby_edge(self, number: int, level: bool) -> None:
        """RTC alarm or wake-up timer (0), or WKUP = PA0 (1)."""
        if level and self._standby and self.pwr is not None and (number == 0 or self.pwr.wakes_by_pin):
            self.pwr.note_standby()
            self.request_reset("standby")

    def reset(self, cause: str) -> None:
        """Reset the MCU. ``cause``: power-on, pin, software, watchdog or standby."""
        self._standby = False
        self._reset_cause = None
        self.resets += 1
        self.dma.forget()
        for peripheral in self.platform.peripherals.values():
            if peripheral is not self.cpu:
                peripheral.reset()
        if self.rcc is not None and cause != "standby":
            self.rcc.note_reset(cause)
        for action in self.platform.reset_actions:
            action()
        if self.semihosting is not None:
            self._open_trace()
        self.cpu.reset()

    def attach_debugger(self) -> None:
        """From now on semihosting is answered, and the ITM is open for text, as a debugger would have it."""
        if self.semihosting is None:
            self.semihosting = Semihosting(self, self.cpu)
            self.nvic.debugger = True
            self.cpu.on_breakpoint = self.semihosting.breakpoint
            self._open_trace()

    def _open_trace(self) -> None:
        self.nvic.demcr |= TRCENA
        for peripheral in self.platform.peripherals.values():
            if isinstance(peripheral, Itm):
                peripheral.open()

    def power_off(self) -> None:
        if self.powered:
            self.powered = self._standby = False
            for peripheral in self.platform.peripherals.values():
                peripheral.power_off()
            self._forget_code_in_ram()

    def _forget_code_in_ram(self) -> None:
        """What the core translated of memories that are without their supply; flash keeps its code."""
        lost = {id(each.buffer) for each in self.platform.peripherals.values()
                if isinstance(each, MappedMemory) and each.volatile}
        for start, buffer in self._memories:
            if id(buffer) in lost:
                self.core.drop_translations(start, len(buffer))

    def power_on(self) -> None:
        if not self.powered:
            self.powered = True
            for peripheral in self.platform.peripherals.values():
                peripheral.power_on()
            self.reset("power-on")
