# SPDX-License-Identifier: Apache-2.0
"""24xx256 class serial EEPROM; twin of ``Eeprom24xx256.cs``.

Behaviour after the 24LC256 data sheet (Microchip DS20001203, sections 6 to 8): a 64-byte page latch whose column wraps,
current-address and sequential read with roll-over, no acknowledge during the internal write cycle, no cycle for
address-only writes. A repeated START or a vanished master instead of the STOP discards the latch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from offchip.chip_map import EEPROM_PAGE, EEPROM_SIZE
from offchip.engines.embedded.peripheral import Machine, model
from offchip.engines.embedded.peripherals.i2c import I2cDevice
from offchip.engines.embedded.peripherals.memory_cells import ERASED, MemoryCells
from offchip.engines.protocol import Operation, StorageEvent
from offchip.errors import MediumError

WP_PIN = 0
#: the largest part with one address byte, in bytes
_LARGEST_NARROW = 2048
_FOREVER = 1 << 63


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@model("Offchip.Eeprom24xx256")
class Eeprom24xx256(MemoryCells, I2cDevice):
    """The memory chip.

    Args:
        size, page_size: bytes, powers of two. Up to 2048 (24C01 to 24C16) there is one address byte, and what does
            not fit it stands in the lowest bits of the device address: the chip answers at as many addresses as it has
            blocks of 256 bytes (24LC16B data sheet DS20001703, section 5).
        write_cycle_us: length of the internal write cycle in microseconds.
        image_file: keeps the content; None = only in memory.
        wp_nacks_data: with WP high, data bytes are not acknowledged (ST); False acknowledges and ignores (Microchip).

    Attributes:
        present: False = not on the board: nobody answers.
        powered: False = supplied by nobody until :meth:`power_on`.
        torn_bytes: so many bytes of an interrupted write are stored, in ascending column order; the others keep the
            old value, or read FF with ``torn_erased``. Counted are the bytes sent, or with ``torn_whole_page`` every
            byte of the page: real parts refresh the whole page, so a cut can hit neighbours nobody wrote.
        cut_at_write_cycle: n > 0: the supply is lost at the start of the n-th write cycle from now and stays lost.
        write_cycles, torn_writes, busy_nacks: counters.

    Raises:
        ValueError: sizes that no such part can have.
        MediumError: the image file does not fit.
    """

    def __init__(self, machine: Machine, size: int = EEPROM_SIZE, page_size: int = EEPROM_PAGE,
                 write_cycle_us: int = 5000, image_file: str | None = None, wp_nacks_data: bool = True) -> None:
        super().__init__(machine)
        fits = _is_power_of_two(size) and _is_power_of_two(page_size) and size >= 128 and page_size <= size
        if not fits or write_cycle_us < 0:
            raise ValueError("size (128 or more) and pageSize must be powers of two, pageSize at most size, "
                             "writeCycleUs 0 or more")
        self.size = size
        self.page_size = page_size
        self._address_width = 1 if size <= _LARGEST_NARROW else 2
        self.addresses = max(1, size // 256) if self._address_width == 1 else 1
        self._block = 0
        self.write_cycle_us = write_cycle_us
        self.write_protect_nacks_data = wp_nacks_data
        self.write_protect = False
        self.present = True
        self.powered = True
        self.torn_bytes = 0
        self.torn_erased = False
        self.torn_whole_page = False
        self.cut_at_write_cycle = 0
        self.write_cycles = 0
        self.torn_writes = 0
        self.busy_nacks = 0
        self.pointer = 0
        self.fill_cells(size, image_file)
        self._wear = [0] * (size // page_size)
        self._selected = False
        self._address_bytes: list[int] = []
        self._latch: dict[int, int] = {}  # column -> value
        self._busy_until_ns = 0
        self._watched: dict[int, range] = {}
        self._before_access: Callable[[range], None] = lambda cells: None
        # the running write cycle
        self._row = 0
        self._written: frozenset[int] = frozenset()
        self._before = self._intended = b""

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A reset of the MCU does not reach the memory; only the half-received transaction is forgotten."""
        self._forget()

    def power_off(self) -> None:
        self.power_cut()
        self.powered = False

    def power_on(self) -> None:
        self.powered = True

    def power_cut(self) -> None:
        """A short interruption: a running write cycle is torn, latch and pointer are lost."""
        torn = self.busy
        self._forget()
        self.pointer = 0
        self._busy_until_ns = 0
        if torn:
            self._tear()

    def _tear(self) -> None:
        columns = range(self.page_size) if self.torn_whole_page else sorted(self._written)
        for done, column in enumerate(columns):
            lost = ERASED if self.torn_erased else self._before[column]
            self._cells[self._row + column] = self._intended[column] if done < self.torn_bytes else lost
        self.torn_writes += 1
        self._persist(self._row, self.page_size)

    def on_gpio(self, number: int, level: bool) -> None:
        """Input 0 is the WP pin; high protects."""
        if number == WP_PIN:
            self.write_protect = level

    # I2C -------------------------------------------------------------------------------------------------------
    def bus_block(self, block: int) -> None:
        self._block = block

    def bus_start(self, read: bool) -> bool:
        self._forget()
        if not self._alive:
            return False
        if self.busy:
            self.busy_nacks += 1
            return False
        self._address_bytes = [0] * self._address_width if read else []
        if self.addresses > 1:
            self.pointer = self._block << 8 | self.pointer & 0xFF
        self._selected = True
        return True

    def bus_write(self, value: int) -> bool:
        if not (self._selected and self._alive):
            return False
        if len(self._address_bytes) < self._address_width:
            self._address_bytes.append(value)
            if len(self._address_bytes) == self._address_width:
                high = self._block if self._address_width == 1 else self._address_bytes[0]
                self.pointer = (high << 8 | value) & (self.size - 1)
            return True
        if self.write_protect:
            return not self.write_protect_nacks_data
        self._looked_at()
        column = self.pointer & (self.page_size - 1)
        self._latch[column] = value
        cell = bytes([self._cells[self.pointer]])
        latched = Operation(StorageEvent.EEPROM_BYTE, self.name, self.pointer, cell, cell)
        if self.machine.storage_event(latched) is not None:
            self.machine.supply_lost_in(StorageEvent.EEPROM_BYTE, f"0x{self.pointer:04X}, in the latch", cell, cell)
            self.power_off()
            return True
        self.pointer += (column + 1) % self.page_size - column  # wraps inside the page
        return True

    def bus_read(self) -> int:
        if not (self._selected and self._alive):
            return 0xFF
        self._looked_at()
        value = self._cells[self.pointer]
        self.pointer = (self.pointer + 1) & (self.size - 1)
        return value

    def bus_stop(self) -> None:
        if self._selected and self._latch and self._alive and not self.write_protect:
            self._start_write_cycle()
        self._forget()

    def bus_cancel(self) -> None:
        self._forget()

    @property
    def _alive(self) -> bool:
        return self.present and self.powered

    @property
    def busy(self) -> bool:
        """The internal write cycle is running."""
        return self._busy_until_ns != 0 and self.machine.clock.now_ns < self._busy_until_ns

    def _start_write_cycle(self) -> None:
        row = self._row = self.pointer & ~(self.page_size - 1)
        end = row + self.page_size
        self._written = frozenset(self._latch)
        self._before = bytes(self._cells[row:end])
        for column, value in self._latch.items():
            self._cells[row + column] = value
        self._intended = bytes(self._cells[row:end])
        self._wear[row // self.page_size] += 1
        self.write_cycles += 1
        self._busy_until_ns = self.machine.clock.now_ns + self.write_cycle_us * 1000
        if self.cut_at_write_cycle > 0:
            self.cut_at_write_cycle -= 1
            if self.cut_at_write_cycle == 0:
                self._busy_until_ns = _FOREVER  # cycles of no length can be cut too
                self.power_off()
                return
        operation = Operation(StorageEvent.EEPROM_PAGE, self.name, row, self._before, self._intended)
        tear = self.machine.storage_event(operation)
        if tear is not None:
            after = operation.torn(tear)
            self._cells[row:end] = after
            self._busy_until_ns = 0
            self.torn_writes += 1
            self.power_off()
            self.machine.supply_lost_in(StorageEvent.EEPROM_PAGE, f"0x{row:04X}", self._before, after)
        self._persist(row, self.page_size)

    def _forget(self) -> None:
        self._selected = False
        self._latch.clear()

    def before_access(self, cells: Iterable[range], act: Callable[[range], None]) -> None:
        """Call ``act`` with each of these ranges once, before the chip first looks at it or takes a byte for it."""
        self._watched = {page: each for each in cells
                         for page in range(each.start // self.page_size, -(-each.stop // self.page_size))}
        self._before_access = act

    def _looked_at(self) -> None:
        found = self._watched.get(self.pointer // self.page_size) if self._watched else None
        if found is not None:
            self._watched = {page: each for page, each in self._watched.items() if each is not found}
            self._before_access(found)

    def page_cycles(self, page: int) -> int:
        """Write cycles of one page."""
        if not 0 <= page < len(self._wear):
            raise MediumError(f"{self.name}: there is no page {page}; pages are 0 to {len(self._wear) - 1}.")
        return self._wear[page]
