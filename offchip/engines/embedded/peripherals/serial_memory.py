# SPDX-License-Identifier: Apache-2.0
"""What serial memory chips share: cells kept in a file, supply, write cycles; twin of that in ``OffchipHost.cs``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from offchip.engines.embedded.peripheral import Machine, Peripheral
from offchip.engines.protocol import Operation, StorageEvent
from offchip.errors import MediumError

ERASED = 0xFF
_FOREVER = 1 << 63


def is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


class ImageFile:
    """The cells kept in a file of exactly the size of the memory.

    Raises:
        MediumError: the file cannot be read or written, or has another size.
    """

    def __init__(self, path: str, size: int) -> None:
        self.path = Path(path)
        self.size = size

    def load(self) -> bytes:
        """The content; a missing file is made, erased."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = bytes([ERASED]) * self.size
            self._create(content)
        except OSError as error:
            raise MediumError(f"{self.path}: cannot read the memory image: {error.strerror}.") from None
        if len(content) != self.size:
            raise MediumError(f"{self.path}: the memory image has {len(content)} bytes, but must have {self.size}; "
                              "pad it with FF or remove it to start with an erased memory.")
        return content

    def _create(self, content: bytes) -> None:
        """Write to a neighbour, then rename: nobody ever sees a half-written image."""
        scratch = ""
        try:
            handle, scratch = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(scratch, self.path)
        except OSError as error:
            if scratch:
                Path(scratch).unlink(missing_ok=True)
            raise MediumError(f"{self.path}: cannot create the memory image: {error.strerror}.") from None

    def store(self, offset: int, data: bytes) -> None:
        """Change a part in place, in one system call. No handle stays open."""
        try:
            handle = os.open(self.path, os.O_WRONLY)
            try:
                os.pwrite(handle, data, offset)
            finally:
                os.close(handle)
        except OSError as error:
            raise MediumError(f"{self.path}: cannot write the memory image: {error.strerror}.") from None


class SerialMemory(Peripheral):
    """A chip on its board; a subclass says what its bus does with it.

    Args:
        size, page_size: bytes.
        write_cycle_us: length of the internal write cycle in microseconds.
        image_file: keeps the content; None = only in memory.

    Attributes:
        present: False = not on the board: nobody answers.
        powered: False = supplied by nobody until :meth:`power_on`.
        torn_bytes: so many bytes of an interrupted write are stored, in ascending order; the others keep the old
            value, or read FF with ``torn_erased``.
        cut_at_write_cycle: n > 0: the supply is lost at the start of the n-th write from now and stays lost.
        write_cycles, torn_writes: counters.

    Raises:
        MediumError: the image file does not fit.
    """

    #: hexadecimal digits of a place in what is said about a cut
    address_digits = 4

    def __init__(self, machine: Machine, size: int, page_size: int, write_cycle_us: int,
                 image_file: str | None) -> None:
        super().__init__(machine)
        self.size, self.page_size, self.write_cycle_us = size, page_size, write_cycle_us
        self._image: ImageFile | None = None
        self._cells = bytearray([ERASED]) * size
        self.use_image(image_file or "")
        self.present = self.powered = True
        self.torn_bytes, self.torn_erased, self.cut_at_write_cycle = 0, False, 0
        self.write_cycles = self.torn_writes = 0
        self._busy_until_ns = 0
        # what runs: where, what was there, and what is to be there
        self._start, self._before, self._intended = 0, b"", b""

    # supply ------------------------------------------------------------------------------------------------------
    def power_off(self) -> None:
        self.power_cut()
        self.powered = False

    def power_on(self) -> None:
        self.powered = True

    def power_cut(self) -> None:
        """A short interruption: what runs is torn, registers and latch are lost."""
        torn = self.busy
        self._busy_until_ns = 0
        self._lose_registers()
        if torn:
            self._tear()

    def _lose_registers(self) -> None:
        raise NotImplementedError

    def _tear(self) -> None:
        for done, at in enumerate(self._exposed()):
            lost = ERASED if self.torn_erased else self._before[at]
            self._cells[self._start + at] = self._intended[at] if done < self.torn_bytes else lost
        self.torn_writes += 1
        self._persist(self._start, len(self._before))

    def _exposed(self) -> Iterable[int]:
        """What of the running operation a cut can hit, ascending."""
        return range(len(self._before))

    @property
    def _alive(self) -> bool:
        return self.present and self.powered

    # write cycle -------------------------------------------------------------------------------------------------
    @property
    def busy(self) -> bool:
        """The internal write cycle is running."""
        return self._busy_until_ns != 0 and self.machine.clock.now_ns < self._busy_until_ns

    def _run(self, start: int, intended: bytes, us: int) -> None:
        """Begin the internal operation that makes the cells from ``start`` on ``intended``."""
        self._start, self._intended = start, intended
        self._before = bytes(self._cells[start:start + len(intended)])
        self._cells[start:start + len(intended)] = intended
        self._busy_until_ns = self.machine.clock.now_ns + us * 1000

    def _change(self, start: int, intended: bytes, us: int) -> None:
        """The same of cells that somebody may cut."""
        self._run(start, intended, us)
        if self.cut_at_write_cycle > 0:
            self.cut_at_write_cycle -= 1
            if not self.cut_at_write_cycle:
                self._busy_until_ns = _FOREVER  # cycles of no length can be cut too
                self.power_off()
                return
        operation = Operation(StorageEvent.EEPROM_PAGE, self.name, start, self._before, intended)
        tear = self.machine.storage_event(operation)
        if tear is None:
            self._persist(start, len(intended))
            return
        after = operation.torn(tear)
        self._cells[start:start + len(after)] = after
        self._persist(start, len(after))
        self._busy_until_ns = 0
        self.torn_writes += 1
        self.power_off()
        place = f"0x{start:0{self.address_digits}X}"
        self.machine.supply_lost_in(StorageEvent.EEPROM_PAGE, place, operation.before, after)

    # a programmer on the bench: no bus, no write cycle, no counters -----------------------------------------------
    def use_image(self, image_file: str) -> None:
        """Take the content of the file and keep it up to date; an empty name does nothing. Raises MediumError."""
        if image_file:
            self._image = ImageFile(image_file, self.size)
            self._cells = bytearray(self._image.load())

    def read_raw(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self._cells[offset:offset + length])

    def write_raw(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self._cells[offset:offset + len(data)] = data
        self._persist(offset, len(data))

    def read_bytes(self, offset: int, count: int) -> str:
        """The same in hexadecimal digits, for the monitor."""
        return self.read_raw(offset, count).hex().upper()

    def write_bytes(self, offset: int, hex: str) -> None:
        """Program hexadecimal digits, for the monitor. Raises ValueError."""
        self.write_raw(offset, bytes.fromhex(hex.removeprefix("0x").replace("_", "")))

    def fill(self, value: int) -> None:
        self.write_raw(0, bytes([value]) * self.size)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MediumError(f"{self.name}: {length} bytes at 0x{offset:X} are outside the memory of "
                              f"{self.size} bytes.")

    def _persist(self, offset: int, length: int) -> None:
        if self._image is not None:
            self._image.store(offset, bytes(self._cells[offset:offset + length]))
