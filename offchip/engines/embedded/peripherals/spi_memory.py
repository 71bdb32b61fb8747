# SPDX-License-Identifier: Apache-2.0
"""Serial memories of the 25 series on SPI; twin of ``SpiMemory25.cs``.

EEPROM after Microchip 25LC256 (DS20005715, section 2), NOR flash after Winbond W25Q64JV (revision J, section 8).
An instruction is carried out when chip select rises; while a write or an erase runs only the status is answered.
"""

from __future__ import annotations

from offchip.engines.embedded.peripheral import Machine, model
from offchip.engines.embedded.peripherals.serial_memory import ERASED, SerialMemory, is_power_of_two

SELECT_PIN, WP_PIN = 0, 1
WRSR, WRITE, READ, WRDI, RDSR, WREN = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
FAST_READ, SECTOR_ERASE, BLOCK32_ERASE, BLOCK64_ERASE, CHIP_ERASE, CHIP_ERASE_60 = 0x0B, 0x20, 0x52, 0xD8, 0xC7, 0x60
RDSR2, RDSR3, RDID, REMS, UNIQUE_ID, POWER_DOWN, RELEASE = 0x35, 0x15, 0x9F, 0x90, 0x4B, 0xB9, 0xAB
RESET_ENABLE, RESET = 0x66, 0x99
WIP, WEL, BP, SRP = 1, 2, 0x0C, 0x80
ERASES = {SECTOR_ERASE: 0x1000, BLOCK32_ERASE: 0x8000, BLOCK64_ERASE: 0x10000}
#: instructions that need WEL
_NEED_WEL = {WRSR, WRITE, CHIP_ERASE, CHIP_ERASE_60, *ERASES}
_NOR_ONLY = {FAST_READ, *ERASES, CHIP_ERASE, CHIP_ERASE_60, RDSR2, RDSR3, RDID, REMS, UNIQUE_ID, POWER_DOWN, RELEASE,
             RESET_ENABLE, RESET}


@model("Offchip.SpiMemory25")
class SpiMemory25(SerialMemory):
    """The memory chip; input 0 is its chip select, input 1 its WP pin, both active low.

    Args:
        size, page_size: bytes, powers of two. An EEPROM has one address byte up to 512 bytes (A8 stands in the
            instruction), two up to 65536, else three; NOR flash has three.
        nor: NOR flash: a page write only clears bits, and erases exist.
        write_cycle_us, erase_us: of a page, and of a sector of 4 KB; 32 and 64 KB take three times as long, the chip as
            long as an eighth of its sectors.
        jedec_id: the three bytes of RDID, most significant first (NOR).
        unique_id: the 64 bits of instruction 4B (NOR).
        image_file: keeps the content; None: only in memory.

    Attributes:
        erases, busy_ignored, denied: counters; denied: without WEL, or protected.

    Not modelled: dual and quad lines, SFDP, sector locks, HOLD, the volatile status of NOR.
    """

    address_digits = 6

    def __init__(self, machine: Machine, size: int = 32768, page_size: int = 64, nor: bool = False,
                 write_cycle_us: int = 5000, erase_us: int = 45_000, jedec_id: int = 0xEF4017,
                 unique_id: int = 0x4F66664368697001, image_file: str | None = None) -> None:
        powers = is_power_of_two(size) and is_power_of_two(page_size)
        if not powers or not 128 <= size <= 1 << 24 or page_size > min(size, 256) or nor and size < 0x10000:
            raise ValueError("size (128 to 16777216, NOR from 65536) and pageSize (up to 256) must be powers of two")
        if write_cycle_us < 0 or erase_us < 0:
            raise ValueError("writeCycleUs and eraseUs must be 0 or more")
        super().__init__(machine, size, page_size, write_cycle_us, image_file)
        self.nor, self.erase_us = nor, erase_us
        self._address_width = 3 if nor or size > 0x10000 else 1 if size <= 512 else 2
        self._jedec_id = jedec_id.to_bytes(3, "big")
        self._identity = bytes([self._jedec_id[0], self._jedec_id[2] - 1 & 0xFF])  # manufacturer, device
        self._unique_id = unique_id.to_bytes(8, "big")
        self.erases = self.busy_ignored = self.denied = 0
        self._status = 0  # what survives the supply: SRP and BP
        self._write_enabled = self._sleeping = self._reset_enabled = False
        self._protected = False  # the WP pin is low
        self._selected = self._select_seen_high = False
        self._begin()

    def _begin(self) -> None:
        self._count = 0  # bytes since chip select fell
        self._instruction = 0
        self._ignored = False
        self._pointer = 0
        self._latch: dict[int, int] = {}
        self._status_bytes = bytearray()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A reset of the MCU does not reach the memory; its pins float, and chip select with them."""
        self._selected = self._select_seen_high = False
        self._begin()

    def _lose_registers(self) -> None:
        self._write_enabled = self._sleeping = self._reset_enabled = self._selected = False
        self._begin()

    # SPI -------------------------------------------------------------------------------------------------------
    def on_gpio(self, number: int, level: bool) -> None:
        if number == WP_PIN:
            self._protected = not level
        if number != SELECT_PIN:
            return
        if level:
            self._select_seen_high = True
            if self._selected:
                self._selected = False
                self._carry_out()
        elif self._select_seen_high and not self._selected:
            self._selected = True
            self._begin()

    def peek(self) -> int:
        """What MISO carries in the next byte."""
        if not (self._selected and self._alive) or not self._count or self._ignored:
            return 0xFF
        if self._instruction in (RDSR, RDSR2, RDSR3):
            return self._read_status() if self._instruction == RDSR else 0
        if self._instruction == RDID:
            return self._jedec_id[(self._count - 1) % 3]
        data = self._count - 1 - self._address_width - (self._instruction == FAST_READ)
        if self._instruction in (READ, FAST_READ) and data >= 0:
            return self._cells[self._pointer]
        fixed = {REMS: (4, self._identity), UNIQUE_ID: (5, self._unique_id), RELEASE: (4, self._identity[1:])}
        before, content = fixed.get(self._instruction, (0, b""))
        return content[(self._count - before) % len(content)] if content and self._count >= before else 0xFF

    def transmit(self, mosi: int) -> int:
        """Clock one byte through; returns the byte on MISO."""
        miso = self.peek()
        if self._selected and self._alive:
            self._take(mosi)
            self._count += 1
        return miso

    def _take(self, value: int) -> None:
        if not self._count:
            self._take_instruction(value)
            return
        if self._ignored:
            return
        place = self._count - 1
        if self._instruction == WRSR:
            self._status_bytes.append(value)
        elif self._instruction in (READ, FAST_READ, WRITE, *ERASES):
            if place < self._address_width:
                self._pointer = (self._pointer << 8 | value) & 0xFFFFFF
                if place == self._address_width - 1:
                    self._pointer &= self.size - 1
            elif self._instruction == WRITE:
                column = self._pointer & self.page_size - 1
                self._latch[column] = value
                self._pointer += (column + 1) % self.page_size - column  # wraps inside the page
            elif self._instruction == READ or place > self._address_width:  # a fast read has a byte of pause
                self._pointer = self._pointer + 1 & self.size - 1

    def _take_instruction(self, value: int) -> None:
        if self._address_width == 1 and value & 0xF7 in (READ, WRITE):  # A8
            self._pointer = value >> 3 & 1
            value &= 0xF7
        self._instruction = value
        if self.busy and value not in (RDSR, RDSR2, RDSR3):
            self.busy_ignored += 1
            self._ignored = True
        elif self._sleeping and value != RELEASE or not self._known(value):
            self._ignored = True

    def _known(self, value: int) -> bool:
        if value in (WRSR, WRITE, READ, WRDI, RDSR, WREN):
            return True
        return self.nor and value in _NOR_ONLY

    def _read_status(self) -> int:
        busy = self.busy  # WEL falls with its end
        return self._status | (WEL if self._write_enabled or busy else 0) | (WIP if busy else 0)

    # instructions ------------------------------------------------------------------------------------------------
    def _carry_out(self) -> None:
        """Chip select rose."""
        if self._count and not self._ignored and self._alive:
            instruction = self._instruction
            if instruction in _NEED_WEL and not self._write_enabled:
                self.denied += 1
            elif self._count == 1:
                self._single(instruction)
            elif instruction == WRSR and self._status_bytes:
                self._write_status()
            elif instruction == WRITE and self._latch:
                self._write_page()
            elif instruction in ERASES and self._count == 1 + self._address_width:
                length = ERASES[instruction]
                self._erase(self._pointer & -length, length, self.erase_us * (1 if length == 0x1000 else 3))
        if self._instruction != RESET_ENABLE:
            self._reset_enabled = False
        self._begin()

    def _single(self, instruction: int) -> None:
        if instruction in (WREN, WRDI):
            self._write_enabled = instruction == WREN
        elif instruction in (CHIP_ERASE, CHIP_ERASE_60):
            self._erase(0, self.size, self.erase_us * (self.size >> 15))
        elif instruction in (POWER_DOWN, RELEASE):
            self._sleeping = instruction == POWER_DOWN
        elif instruction == RESET_ENABLE:
            self._reset_enabled = True
        elif instruction == RESET and self._reset_enabled:
            self._write_enabled = False

    def _write_status(self) -> None:
        self._write_enabled = False
        if self._status & SRP and self._protected:
            self.denied += 1
        else:
            self._status = self._status_bytes[0] & (SRP | BP)
            self._run(0, b"", self.write_cycle_us)  # no cell changes

    def _guarded(self, start: int, length: int) -> bool:
        """BP1:BP0 protect nothing, the upper quarter, the upper half, all."""
        guarded = (0, self.size // 4, self.size // 2, self.size)[self._status >> 2 & 3]
        return start + length > self.size - guarded

    def _write_page(self) -> None:
        row = self._pointer & -self.page_size
        intended = self._cells[row:row + self.page_size]
        for column, value in self._latch.items():
            intended[column] = intended[column] & value if self.nor else value
        if self._allowed(row, self.page_size):
            self.write_cycles += 1
            self._change(row, bytes(intended), self.write_cycle_us)

    def _erase(self, start: int, length: int, us: int) -> None:
        if self._allowed(start, length):
            self.erases += 1
            self._change(start, bytes([ERASED]) * length, us)

    def _allowed(self, start: int, length: int) -> bool:
        self._write_enabled = False  # whether or not anything is written
        if self._guarded(start, length):
            self.denied += 1
            return False
        return True
