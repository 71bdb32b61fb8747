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
from offchip.engines.embedded.peripherals.serial_memory import SerialMemory, is_power_of_two
from offchip.engines.protocol import Operation, StorageEvent
from offchip.errors import MediumError

WP_PIN = 0
#: the largest part with one address byte, in bytes
_LARGEST_NARROW = 2048


@model("Offchip.Eeprom24xx256")
class Eeprom24xx256(SerialMemory, I2cDevice):
    """The memory chip.

    Args:
        size, page_size: bytes, powers of two. Up to 2048 (24C01 to 24C16) there is one address byte, and what does
            not fit it stands in the lowest bits of the device address: the chip answers at as many addresses as it has
            blocks of 256 bytes (24LC16B data sheet DS20001703, section 5).
        write_cycle_us: length of the internal write cycle in microseconds.
        image_file: keeps the content; None = only in memory.
        wp_nacks_data: with WP high, data bytes are not acknowledged (ST); False acknowledges and ignores (Microchip).

    Attributes:
        torn_whole_page: a cut can hit every byte of the page, not only those sent: real parts refresh the whole page.
        busy_nacks: counter.

    Raises:
        ValueError: sizes that no such part can have.
        MediumError: the image file does not fit.
    """

    def __init__(self, machine: Machine, size: int = EEPROM_SIZE, page_size: int = EEPROM_PAGE,
                 write_cycle_us: int = 5000, image_file: str | None = None, wp_nacks_data: bool = True) -> None:
        fits = is_power_of_two(size) and is_power_of_two(page_size) and size >= 128 and page_size <= size
        if not fits or write_cycle_us < 0:
            raise ValueError("size (128 or more) and pageSize must be powers of two, pageSize at most size, "
                             "writeCycleUs 0 or more")
        super().__init__(machine, size, page_size, write_cycle_us, image_file)
        self._address_width = 1 if size <= _LARGEST_NARROW else 2
        self.addresses = max(1, size // 256) if self._address_width == 1 else 1
        self._block = 0
        self.write_protect_nacks_data = wp_nacks_data
        self.write_protect = False
        self.torn_whole_page = False
        self.busy_nacks = 0
        self.pointer = 0
        self._wear = [0] * (size // page_size)
        self._selected = False
        self._address_bytes: list[int] = []
        self._latch: dict[int, int] = {}  # column -> value
        self._watched: dict[int, range] = {}
        self._before_access: Callable[[range], None] = lambda cells: None
        self._written: frozenset[int] = frozenset()  # columns of the running write cycle

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A reset of the MCU does not reach the memory; only the half-received transaction is forgotten."""
        self._forget()

    def _lose_registers(self) -> None:
        self._forget()
        self.pointer = 0

    def _exposed(self) -> Iterable[int]:
        return range(self.page_size) if self.torn_whole_page else sorted(self._written)

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

    def _start_write_cycle(self) -> None:
        row = self.pointer & ~(self.page_size - 1)
        intended = self._cells[row:row + self.page_size]
        for column, value in self._latch.items():
            intended[column] = value
        self._written = frozenset(self._latch)
        self._wear[row // self.page_size] += 1
        self.write_cycles += 1
        self._change(row, bytes(intended), self.write_cycle_us)

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
