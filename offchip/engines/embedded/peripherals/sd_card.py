# SPDX-License-Identifier: Apache-2.0
"""SD memory card in SPI mode, SDSC and SDHC. Twin of SdCardSpi.cs.

Sections are those of the SD Physical Layer Simplified Specification: SPI mode 7, CRC 4.5, registers 5. Clocked
bytes are the only measure of time, except that programming also ends after ``busy_microseconds`` of virtual time.

Not modelled (answered as illegal commands): CMD6, 20, 28-30, 56; write protection of groups, wear, damage to
neighbours of a torn block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from offchip.engines.embedded.peripheral import Machine, Peripheral, model
from offchip.engines.embedded.peripherals.card_lock import CardLock
from offchip.engines.embedded.peripherals.crc import crc7, crc16
from offchip.engines.embedded.peripherals.sd_registers import (
    PERM_WRITE_PROTECT,
    SCR,
    SD_STATUS,
    TMP_WRITE_PROTECT,
    build_cid,
    build_csd_v1,
    build_csd_v2,
    csd_flags,
    programmed,
    with_flags,
)
from offchip.engines.embedded.peripherals.sd_storage import (
    BLOCK_SIZE,
    EMPTY_BLOCK,
    FileStorage,
    RamStorage,
    Storage,
    WatchedStorage,
    blocks_for,
)
from offchip.engines.protocol import Operation, StorageEvent
from offchip.errors import MediumError

# R1 response (7.3.2.1)
R1_IDLE, R1_ERASE_RESET, R1_ILLEGAL_COMMAND, R1_CRC_ERROR = 0x01, 0x02, 0x04, 0x08
R1_ERASE_SEQUENCE, R1_ADDRESS_ERROR, R1_PARAMETER_ERROR = 0x10, 0x20, 0x40
# second byte of R2 (7.3.2.3)
R2_LOCKED, R2_LOCK_FAILED = 0x01, 0x02
R2_ERROR, R2_CARD_ECC_FAILED, R2_WP_VIOLATION, R2_ERASE_PARAM = 0x04, 0x10, 0x20, 0x40
R2_OUT_OF_RANGE = 0x80  # also CSD_OVERWRITE
# control tokens (7.3.3)
START_BLOCK, START_BLOCK_MULTIPLE, STOP_TRANSMISSION = 0xFE, 0xFC, 0xFD
DATA_ACCEPTED, DATA_CRC_ERROR, DATA_WRITE_ERROR = 0x05, 0x0B, 0x0D
ERROR_TOKEN_ECC, ERROR_TOKEN_OUT_OF_RANGE = 0x04, 0x08

_CSD_SIZE = 16
_HCS = 1 << 30  # argument of ACMD41: the host supports high capacity (4.2.3.1)
_WAKE_UP_BYTES = 10  # 74 clocks before CMD0 (6.4.1)
_SDSC_MAXIMUM = 0x8000_0000
_HC_UNIT = 0x80000  # bytes C_SIZE of a version 2 CSD counts in


class Mode(Enum):
    """What the bytes on the bus mean to the card."""

    COMMAND = auto()
    READ_MULTIPLE = auto()
    READ_ENDED = auto()  # a multiple read ran into an error; only CMD12 is expected
    READ_STUCK = auto()  # nothing is answered or heard until CS rises
    AWAIT_TOKEN = auto()
    RECEIVE_DATA = auto()


class EraseStep(Enum):
    """Progress of CMD32, CMD33, CMD38 (7.2.5)."""

    NONE = auto()
    START_GIVEN = auto()
    END_GIVEN = auto()


_RECEIVE_DATA, _AWAIT_TOKEN, _READ_MULTIPLE = Mode.RECEIVE_DATA, Mode.AWAIT_TOKEN, Mode.READ_MULTIPLE


@dataclass(frozen=True, slots=True)
class _Programming:
    """A block the card is programming: a loss of supply tears it."""

    lba: int
    previous: bytes


@dataclass(frozen=True, slots=True)
class _Erasing:
    """Blocks the card is erasing, both ends included."""

    first: int
    last: int


_Handler = Callable[["SdCardSpi", int, int], None]
_COMMANDS: dict[int, _Handler] = {}
_APPLICATION_COMMANDS: dict[int, _Handler] = {}
_IDLE_COMMANDS = frozenset((0, 1, 8, 55, 58, 59))  # all that is legal in the idle state (7.2.1), besides ACMD41
_LOCKED_COMMANDS = frozenset((0, 1, 8, 9, 10, 12, 13, 16, 42, 55, 58, 59))  # and ACMD41 (4.3.7)
_KEEP_BLOCK_COUNT = frozenset((18, 23, 25))
_KEEP_ERASE_SEQUENCE = frozenset((13, 32, 33, 38))


def _command(*indices: int, table: dict[int, _Handler] = _COMMANDS) -> Callable[[_Handler], _Handler]:
    """Enter a method into a command table; it gets the argument and R1 bits to be shown."""

    def enter(handler: _Handler) -> _Handler:
        table.update(dict.fromkeys(indices, handler))
        return handler

    return enter


@model("Offchip.SdCardSpi")
class SdCardSpi(Peripheral):
    """The card.

    ``capacity`` in bytes; above 2 GiB, or with ``high_capacity``, it is block addressed (SDHC). ``image_file`` backs it
    with a file, made or extended to exactly the capacity. Raises MediumError for a bad capacity or image.
    """

    def __init__(self, machine: Machine, capacity: int = 0x100_0000, image_file: str | None = None,
                 serial_number: int = 0x0FFC_0001, high_capacity: bool = False) -> None:
        super().__init__(machine)
        self._become(capacity, high_capacity)
        self.serial_number = serial_number
        self._storage: Storage = RamStorage()
        self._lock = CardLock()
        self._selected = self._spi_mode = self._write_multiple = self._write_failed = False
        #: takes the data block of a command that is not about the medium; None: it is
        self._taker: Callable[[bytes], None] | None = None
        self._inbound_length = BLOCK_SIZE
        self._frame = bytearray()
        self._inbound = bytearray()
        self._mode = Mode.COMMAND
        self._output = b""
        self._output_at = self._output_length = self._wake_up_bytes = self._write_lba = self._busy_left = 0
        self.use_image(image_file)

        #: ACMD41 calls until ready
        self.init_tries = 3
        #: N_CR, bytes before a response (1..8 are legal, 7.5.1)
        self.response_delay = 1
        #: N_AC, bytes before a data token
        self.access_delay = 4
        #: bytes clocked while MISO is held low
        self.write_busy_bytes = 40
        self.erase_busy_bytes = 160
        self.stop_busy_bytes = 2
        #: virtual time after which programming ends without clocks too; 0: only clocks count
        self.busy_microseconds = 20_000
        #: the byte after CMD12
        self.stuff_byte = 0x7F
        #: undefined bits 7..5 of the data response
        self.response_high_bits = 0xE0
        #: new bytes of a torn block: 0 = the old block stays, 512 = all new
        self.torn_bytes = 256
        #: blocks erased before the cut, -1 = half
        self.torn_erase_blocks = -1
        self.power_cycle_on_reset = False
        #: no answer before 74 clocks with CS high
        self.require_wake_up = False
        self._torn_fill = "old"

        self._read_errors: dict[int, int] = {}
        self._write_errors: set[int] = set()
        self.last_written_block = -1
        self.reset_counters()

        self._present = True
        self._powered = True
        self._cs_seen_high = False
        self._to_power_up()

    # control from outside --------------------------------------------------------------------------------------
    def use_image(self, image_file: str | Path | None) -> None:
        """Back the card with this file; nothing or "" leaves it as it is. Raises MediumError."""
        if image_file:
            self._storage = FileStorage(image_file, self.size)

    def insert_image(self, image_file: str | Path) -> None:
        """Put another card in: one with this content, which is neither read as a whole nor written to, and as large, or
        the next larger there is. Raises MediumError."""
        storage = RamStorage.over(Path(image_file))
        try:
            self._become(len(storage), False)
        except MediumError:
            self._become(-(-len(storage) // _HC_UNIT) * _HC_UNIT, False)
        self._storage = storage
        self.power_cycle()

    def _become(self, capacity: int, high_capacity: bool) -> None:
        sdhc = high_capacity or capacity > _SDSC_MAXIMUM
        unit, text = (_HC_UNIT, "512 KiB") if sdhc else (BLOCK_SIZE, "512 bytes")
        if capacity <= 0 or capacity % unit:
            raise MediumError(f"SdCardSpi: the capacity, {capacity} bytes, must be a positive multiple of {text}.")
        self._csd = build_csd_v2(capacity) if sdhc else build_csd_v1(capacity)
        self._sdhc, self.size, self.block_count = sdhc, capacity, capacity // BLOCK_SIZE

    def read_block(self, lba: int) -> bytes:
        self._check(lba)
        return self._storage.load(lba)

    def write_block(self, lba: int, block: bytes) -> None:
        self._check(lba)
        if len(block) != BLOCK_SIZE:
            raise MediumError(f"SdCardSpi: a block has {BLOCK_SIZE} bytes, not {len(block)}.")
        self._storage.store(lba, bytes(block))

    def read_block_hex(self, lba: int, count: int = BLOCK_SIZE) -> str:
        """The first ``count`` bytes of a block in hexadecimal digits, for the monitor."""
        return self.read_block(lba)[:count].hex().upper()

    def write_block_hex(self, lba: int, hex: str) -> None:
        """Replace the beginning of a block by hexadecimal digits, for the monitor. Raises ValueError."""
        data = bytes.fromhex(hex)[:BLOCK_SIZE]
        self.write_block(lba, data + self.read_block(lba)[len(data):])

    def read_raw(self, offset: int, length: int) -> bytes:
        """Read the medium past the card's controller, at any alignment. Raises MediumError beyond the end."""
        self._check_range(offset, length)
        if not length:
            return b""
        first, start = divmod(offset, BLOCK_SIZE)
        return self._storage.load(first, blocks_for(start + length))[start:start + length]

    def write_raw(self, offset: int, data: bytes) -> None:
        """Write the medium past the card's controller, at any alignment. Raises MediumError beyond the end."""
        self._check_range(offset, len(data))
        if not data:
            return
        first, start = divmod(offset, BLOCK_SIZE)
        end = start + len(data)
        old = self._storage.load(first, blocks_for(end))
        self._storage.store(first, old[:start] + data + old[end:])

    def power_cut(self) -> None:
        """The supply is gone now: what is being programmed is torn; the card stays dark until :meth:`power_on`."""
        self._tear()
        self._powered = False
        self._to_power_up()

    def power_off(self) -> None:
        self.power_cut()

    def power_on(self) -> None:
        self._powered = True
        self._to_power_up()

    def power_cycle(self) -> None:
        self.power_cut()
        self.power_on()

    def reset(self) -> None:
        """Reset of the MCU: the card keeps its supply and its state; the pin floats and the board pulls CS up."""
        self._cs_seen_high = False
        self._deselect()
        if self.power_cycle_on_reset:
            self.power_cycle()

    def set_read_error(self, lba: int, token: int) -> None:
        """Send this error token (0x04 = ECC failed) instead of the data of a block; 0 lets go."""
        if token:
            self._read_errors[lba] = token & 0xFF
        else:
            self._read_errors.pop(lba, None)

    def set_write_error(self, lba: int, fail: bool) -> None:
        if fail:
            self._write_errors.add(lba)
        else:
            self._write_errors.discard(lba)

    def reset_counters(self) -> None:
        self.blocks_read = 0
        self.blocks_written = 0
        self.blocks_erased = 0
        self.commands = 0
        self.command_crc_errors = 0
        self.data_crc_errors = 0
        self.aborted_writes = 0
        self.torn_writes = 0
        self.rejected_addresses = 0
        self.stray_bytes = 0
        self.lock_failures = 0
        self.csd_failures = 0

    @property
    def present(self) -> bool:
        return self._present

    @present.setter
    def present(self, value: bool) -> None:
        value = bool(value)
        if value != self._present:
            if not value:
                self._tear()
            self._present = value
            self._to_power_up()

    @property
    def torn_fill(self) -> str:
        """What stands behind ``torn_bytes`` in a torn block: ``old``, ``ff`` or ``zero``."""
        return self._torn_fill

    @torn_fill.setter
    def torn_fill(self, value: str) -> None:
        if value not in ("old", "ff", "zero"):
            raise MediumError(f"SdCardSpi: TornFill is old, ff or zero, not {value!r}.")
        self._torn_fill = value

    @property
    def csd_flags(self) -> int:
        """Byte 14 of the CSD: 0x20 PERM_WRITE_PROTECT, 0x10 TMP_WRITE_PROTECT.

        Set: as a reader does that reads the CSD, changes this byte and sends it with CMD27; whether the card took it
        shows here and in ``csd_failures``. Raises MediumError for what is no byte.
        """
        return csd_flags(self._csd)

    @csd_flags.setter
    def csd_flags(self, value: int) -> None:
        if not 0 <= value <= 0xFF:
            raise MediumError(f"SdCardSpi: CsdFlags takes a byte, not {value}.")
        self._program_csd(with_flags(self._csd, value))

    @property
    def _protected(self) -> int:
        """Which write protections of the whole card are on."""
        return csd_flags(self._csd) & (PERM_WRITE_PROTECT | TMP_WRITE_PROTECT)

    @property
    def locked(self) -> bool:
        """Whether data is out of reach until the password is given (4.3.7)."""
        return self._lock.locked

    @property
    def lock_unlock(self) -> str:
        """The data block of a CMD42 in hexadecimal digits, as a reader sends it to the card; reads as ''.

        Whether the card took it shows in ``locked`` and ``lock_failures``. Raises MediumError for anything else.
        """
        return ""

    @lock_unlock.setter
    def lock_unlock(self, value: str) -> None:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            raise MediumError(f"SdCardSpi: LockUnlock takes hexadecimal digits, not {value!r}.") from None
        if not data:
            raise MediumError("SdCardSpi: LockUnlock takes a byte at least.")
        self._lock_unlock(data)

    @property
    def powered(self) -> bool:
        return self._powered

    @property
    def high_capacity(self) -> bool:
        return self._sdhc

    @property
    def selected(self) -> bool:
        return self._selected

    @property
    def idle(self) -> bool:
        return self._idle

    @property
    def crc_enabled(self) -> bool:
        return self._crc_on

    @property
    def busy(self) -> bool:
        return self._busy_left > 0

    # wires -----------------------------------------------------------------------------------------------------
    def on_gpio(self, number: int, level: bool) -> None:
        """Input 0: chip select, active low.

        A pin that was not driven high yet is an input and the board pulls CS up, so a low level counts only after the
        first high level since power-up or MCU reset.
        """
        if number:
            return
        if level:
            self._cs_seen_high = True
            self._deselect()
        elif self._cs_seen_high and not self._selected and self._present and self._powered:
            self._selected = True
            self._frame.clear()

    def transmit(self, mosi: int) -> int:
        """Clock one byte through the card; returns the byte on MISO."""
        if not self._selected:
            if self._present and self._powered:
                self._wake_up_bytes += 1
                if self._busy_left:
                    self._tick_busy()
            return 0xFF
        if self._busy_left:
            self._end_busy_when_due()
        at = self._output_at
        if at < self._output_length:
            miso = self._output[at]
            self._output_at = at + 1
        elif self._busy_left:
            miso = 0x00
            self._tick_busy()
        elif self._mode is _READ_MULTIPLE:
            self._send_next_block()
            miso = self._take()
        else:
            miso = 0xFF
        if mosi != 0xFF or self._mode is _RECEIVE_DATA or self._frame:
            self._listen(mosi)
        return miso

    def ahead(self, count: int) -> bytes:
        """What the next ``count`` bytes on MISO will be, at most, if only 0xFF is sent."""
        if not self._selected or self._busy_left or self._frame or self._mode is _RECEIVE_DATA:
            return b""
        return self._output[self._output_at:self._output_at + count]

    def passed(self, count: int) -> bytes:
        """So many of them were clocked; returns them."""
        at, self._output_at = self._output_at, self._output_at + count
        return self._output[at:at + count]

    @property
    def room(self) -> int:
        """How many bytes of a data block it takes before the last one, answering none of them."""
        if not self._selected or self._busy_left or self._mode is not _RECEIVE_DATA:
            return 0
        return 0 if self._output_at < self._output_length else self._inbound_length + 1 - len(self._inbound)

    def take(self, mosi: bytes) -> None:
        """These bytes of a data block were clocked."""
        self._inbound += mosi

    def peek(self) -> int:
        """What :meth:`transmit` returns next: for a master that clocks single bits."""
        if not self._selected:
            return 0xFF
        if self._busy_left:
            self._end_busy_when_due()
        if self._output_at >= self._output_length and not self._busy_left and self._mode is _READ_MULTIPLE:
            self._send_next_block()
        if self._output_at < self._output_length:
            return self._output[self._output_at]
        return 0x00 if self._busy_left else 0xFF

    # bytes in and out ------------------------------------------------------------------------------------------
    def _take(self) -> int:
        at = self._output_at
        if at < self._output_length:
            self._output_at = at + 1
            return self._output[at]
        return 0xFF

    def _send(self, data: bytes) -> None:
        """Queue bytes behind those still to be clocked out."""
        self._output = self._output[self._output_at:] + data
        self._output_at = 0
        self._output_length = len(self._output)

    def _clear_output(self) -> None:
        self._output = b""
        self._output_at = self._output_length = 0

    def _listen(self, mosi: int) -> None:
        mode = self._mode
        if mode is _RECEIVE_DATA:
            inbound = self._inbound
            inbound.append(mosi)
            if len(inbound) == self._inbound_length + 2:
                self._block_received()
            return
        if mode is Mode.READ_STUCK or (mode is _AWAIT_TOKEN and self._token_heard(mosi)):
            return
        frame = self._frame
        if self._released and not frame and mosi != 0xFF and self._resumed(mosi):
            return
        if frame:
            frame.append(mosi)
            if len(frame) == 6:
                received = bytes(frame)
                frame.clear()
                self._execute(received)
        elif mosi & 0xC0 == 0x40:
            frame.append(mosi)
        elif mosi != 0xFF:
            self.stray_bytes += 1

    def _token_heard(self, mosi: int) -> bool:
        """Between the blocks of a write: deal with a token; False when the byte belongs to a command."""
        if mosi == 0xFF:
            return True
        if self._frame:
            return False
        if not self._busy_left:
            if mosi == (START_BLOCK_MULTIPLE if self._write_multiple else START_BLOCK):
                self._mode = Mode.RECEIVE_DATA
                self._inbound.clear()
                return True
            if self._write_multiple and mosi == STOP_TRANSMISSION:
                self._mode = Mode.COMMAND
                self._send(b"\xFF")
                self._go_busy(self.stop_busy_bytes)
                return True
        if mosi & 0xC0 == 0x40:
            return False
        self.stray_bytes += 1
        return True

    def _resumed(self, mosi: int) -> bool:
        """CS was high between a write command, or a block of it, and this byte; True when it is the token of that
        write. The specification wants CS to stay low (7.2); drivers that let it go are common, and cards wait.
        """
        self._released = False
        if mosi not in ((START_BLOCK_MULTIPLE, STOP_TRANSMISSION) if self._write_multiple else (START_BLOCK,)):
            return False
        if not self._write_multiple:
            self.aborted_writes -= 1
        self._mode = Mode.AWAIT_TOKEN
        return self._token_heard(mosi)

    def _deselect(self) -> None:
        """Rising CS ends a half command, a read, or a block being received; programming goes on."""
        self._released = self._mode is _AWAIT_TOKEN
        self._selected = False
        self._frame.clear()
        self._clear_output()
        if self._mode is _RECEIVE_DATA or (self._mode is _AWAIT_TOKEN and not self._write_multiple):
            self.aborted_writes += 1
        self._mode = Mode.COMMAND

    # states ----------------------------------------------------------------------------------------------------
    def _to_power_up(self) -> None:
        """Native SD mode, where only CMD0 is answered (7.2.1)."""
        self._selected = False
        self._frame = bytearray()
        self._inbound = bytearray()
        self._clear_output()
        self._mode = Mode.COMMAND
        self._spi_mode = False
        self._wake_up_bytes = 0
        self._write_multiple = False
        self._write_failed = self._released = False
        self._write_lba = 0
        self._read_position = 0
        self._lock.power_up()
        self._end_of_work()
        self._busy_since = 0
        self._to_idle()

    def _end_of_work(self) -> None:
        self._busy_left = 0
        self._programming: _Programming | None = None
        self._erasing: _Erasing | None = None

    def _to_idle(self) -> None:
        self._idle = True
        self._released = False
        self._initialised = False
        self._crc_on = False
        self._application_command = False
        self._interface_condition_given = False
        self._tries = 0
        self._block_length = self._lock_length = BLOCK_SIZE
        self._status2 = 0
        self._erase_step = EraseStep.NONE
        self._erase_start = self._erase_end = -1
        self._blocks_to_go: int | None = None  # None: until stopped
        self._block_count_preset: int | None = None
        self._well_written = 0

    def _go_busy(self, byte_count: int) -> None:
        self._busy_left = max(1, byte_count)
        self._busy_since = self._microseconds()

    def _microseconds(self) -> int:
        return self.machine.clock.now_ns // 1000

    def _end_busy_when_due(self) -> None:
        limit = self.busy_microseconds
        if self._busy_left and limit > 0 and self._microseconds() - self._busy_since >= limit:
            self._busy_left = 0
            self._finish_programming()

    def _tick_busy(self) -> None:
        self._busy_left -= 1
        if not self._busy_left:
            self._finish_programming()

    def _finish_programming(self) -> None:
        erasing = self._erasing
        self._end_of_work()
        if erasing:
            self._wipe(erasing.first, erasing.last)

    def _tear(self) -> None:
        """Leave the medium as a loss of supply during programming would."""
        self._end_busy_when_due()
        if self._busy_left and self._programming:
            self._tear_block(self._programming)
        if self._busy_left and self._erasing:
            erasing = self._erasing
            total = erasing.last - erasing.first + 1
            done = total // 2 if self.torn_erase_blocks < 0 else min(total, self.torn_erase_blocks)
            if done > 0:
                self._wipe(erasing.first, erasing.first + done - 1)
            self.torn_writes += 1
        self._end_of_work()

    def _tear_block(self, programming: _Programming) -> None:
        kept = max(0, self.torn_bytes)
        if kept >= BLOCK_SIZE:
            return
        rest = {"ff": b"\xFF" * BLOCK_SIZE, "zero": EMPTY_BLOCK, "old": programming.previous}[self._torn_fill]
        new = self._storage.load(programming.lba)
        self._storage.store(programming.lba, new[:kept] + rest[kept:])
        self.torn_writes += 1

    def _wipe(self, first: int, last: int) -> None:
        self.blocks_erased += last - first + 1
        self._storage.wipe(first, last)

    # responses -------------------------------------------------------------------------------------------------
    def _reply(self, bits: int = 0, more: bytes = b"") -> None:
        """Answer with R1 (its idle bit is added) and the rest of a longer response, in place of anything pending."""
        self._clear_output()
        self._send(self._response(bits, more))

    def _response(self, bits: int = 0, more: bytes = b"") -> bytes:
        r1 = bits | (R1_IDLE if self._idle else 0)
        return b"\xFF" * self.response_delay + bytes((r1,)) + more

    def _send_data(self, data: bytes) -> None:
        """A data packet: token, data, CRC16 (7.3.3.2)."""
        packet = bytes((START_BLOCK,)) + data + crc16(data).to_bytes(2, "big")
        self._send(b"\xFF" * self.access_delay + packet)

    def _send_error_token(self, token: int) -> None:
        self._send(b"\xFF" * self.access_delay + bytes((token,)))

    def _illegal(self, bits: int = 0) -> None:
        self._reply(R1_ILLEGAL_COMMAND | bits)

    # commands --------------------------------------------------------------------------------------------------
    def _execute(self, frame: bytes) -> None:
        index = frame[0] & 0x3F
        argument = int.from_bytes(frame[1:5], "big")
        good_crc = crc7(frame[:5]) == frame[5]
        self.commands += 1

        if not self._spi_mode:
            self._enter_spi_mode(index == 0 and argument == 0 and good_crc)
            return
        if self._busy_left:  # only CMD0 is heard, and it ends the programming half done
            if index == 0 and good_crc:
                self._tear()
                self._go_idle_state(0, 0)
            return
        application, self._application_command = self._application_command, False
        if not good_crc and (self._crc_on or index in (0, 8)):
            self.command_crc_errors += 1
            self._reply(R1_CRC_ERROR)
        elif self._out_of_place(index):  # with CRC off nothing of the last byte counts, its end bit neither (7.2.2)
            self._illegal()
        else:
            self._carry_out(index, argument, application)

    def _enter_spi_mode(self, asked: bool) -> None:
        if asked and (not self.require_wake_up or self._wake_up_bytes >= _WAKE_UP_BYTES):
            self._spi_mode = True
            self._to_idle()
            self._reply()

    def _out_of_place(self, index: int) -> bool:
        """A command that the running transfer does not allow."""
        if self._mode is Mode.READ_ENDED and index != 12:
            self._mode = Mode.COMMAND
        return self._mode in (Mode.READ_MULTIPLE, Mode.AWAIT_TOKEN) and index not in (0, 12)

    def _carry_out(self, index: int, argument: int, application: bool) -> None:
        bits = 0
        if self._erase_step is not EraseStep.NONE and index not in _KEEP_ERASE_SEQUENCE:
            self._erase_step = EraseStep.NONE
            bits = R1_ERASE_RESET
        application = application and index in _APPLICATION_COMMANDS and (not self._idle or index == 41)
        if self._lock.locked and not (index == 41 if application else index in _LOCKED_COMMANDS):
            self._illegal(bits)
            return
        if application:
            _APPLICATION_COMMANDS[index](self, argument, bits)
            return
        if self._idle and index not in _IDLE_COMMANDS:
            self._illegal(bits)
            return
        if index not in _KEEP_BLOCK_COUNT:
            self._block_count_preset = None
        handler = _COMMANDS.get(index)
        if handler:
            handler(self, argument, bits)
        else:
            self._illegal(bits)

    @_command(0)
    def _go_idle_state(self, argument: int, bits: int) -> None:
        self._mode = Mode.COMMAND
        self._to_idle()
        self._reply()

    @_command(1)
    @_command(41, table=_APPLICATION_COMMANDS)
    def _send_op_cond(self, argument: int, bits: int) -> None:
        """CMD1 and ACMD41: a high capacity card only becomes ready after CMD8 and with HCS set (7.2.1)."""
        if not self._initialised and (not self._sdhc or (self._interface_condition_given and argument & _HCS)):
            self._tries += 1
            if self._tries >= self.init_tries:
                self._initialised = True
                self._idle = False
        self._reply(bits)

    @_command(8)
    def _send_if_cond(self, argument: int, bits: int) -> None:
        """CMD8 (7.3.2.6): voltage 2.7-3.6 V is accepted and echoed with the check pattern."""
        if not self._idle:
            self._illegal(bits)
            return
        voltage = argument >> 8 & 0xF
        self._interface_condition_given = voltage == 1
        self._reply(0, bytes((0, 0, 1 if self._interface_condition_given else 0, argument & 0xFF)))

    @_command(9)
    def _send_csd(self, argument: int, bits: int) -> None:
        self._reply(bits)
        self._send_data(self._csd)

    @_command(10)
    def _send_cid(self, argument: int, bits: int) -> None:
        self._reply(bits)
        self._send_data(build_cid(self.serial_number))

    @_command(12)
    def _stop_transmission(self, argument: int, bits: int) -> None:
        if self._mode not in (Mode.READ_MULTIPLE, Mode.READ_ENDED, Mode.AWAIT_TOKEN):
            self._illegal(bits)
            return
        self._mode = Mode.COMMAND
        self._clear_output()
        self._send(bytes((self.stuff_byte & 0xFF,)) + self._response())
        self._go_busy(self.stop_busy_bytes)

    @_command(13)
    def _send_status(self, argument: int, bits: int) -> None:
        self._reply(0, bytes((self._second_status(),)))
        self._status2 = 0

    @_command(13, table=_APPLICATION_COMMANDS)
    def _send_sd_status(self, argument: int, bits: int) -> None:
        self._reply(bits, bytes((self._second_status(),)))
        self._send_data(SD_STATUS)

    def _second_status(self) -> int:
        return self._status2 | (R2_LOCKED if self._lock.locked else 0)

    @_command(16)
    def _set_block_length(self, argument: int, bits: int) -> None:
        if not 0 < argument <= BLOCK_SIZE:
            self._reply(R1_PARAMETER_ERROR | bits)
            return
        self._lock_length = argument  # of CMD42, on a high capacity card, too (4.3.2)
        if not self._sdhc:
            self._block_length = argument
        self._reply(bits)

    @_command(17)
    def _read_single_block(self, argument: int, bits: int) -> None:
        error, lba, offset = self._locate(argument, self._block_length)
        self._reply(error | bits)
        if not error:
            self._send_block(lba, offset)

    @_command(18)
    def _read_multiple_block(self, argument: int, bits: int) -> None:
        error, lba, offset = self._locate(argument, self._block_length)
        self._reply(error | bits)
        if not error:
            self._take_block_count()
            self._read_position = lba * BLOCK_SIZE + offset
            self._mode = Mode.READ_MULTIPLE

    @_command(23)
    def _set_block_count(self, argument: int, bits: int) -> None:
        self._block_count_preset = argument
        self._reply(bits)

    @_command(24)
    def _write_block(self, argument: int, bits: int) -> None:
        self._begin_write(argument, bits, multiple=False)

    @_command(25)
    def _write_multiple_block(self, argument: int, bits: int) -> None:
        self._begin_write(argument, bits, multiple=True)

    @_command(27)
    def _program_csd_command(self, argument: int, bits: int) -> None:
        """CMD27 (4.3.5.1): a data block of 16 bytes follows, as in a single write."""
        self._reply(bits)
        self._expect(self._program_csd, _CSD_SIZE)

    def _program_csd(self, data: bytes) -> None:
        csd = programmed(self._csd, data)
        if csd is None:
            self.csd_failures += 1
            self._status2 |= R2_OUT_OF_RANGE
        else:
            self._csd = csd

    def _expect(self, taker: Callable[[bytes], None], length: int) -> None:
        """A data block that is not for the medium."""
        self._write_multiple = False
        self._write_failed = False
        self._taker = taker
        self._blocks_to_go = None
        self._inbound_length = length
        self._mode = Mode.AWAIT_TOKEN

    @_command(32)
    def _erase_wr_blk_start(self, argument: int, bits: int) -> None:
        error, lba, _ = self._locate(argument, 1)
        if error:
            self._erase_step = EraseStep.NONE
        else:
            self._erase_start = lba
            self._erase_step = EraseStep.START_GIVEN
        self._reply(error | bits)

    @_command(33)
    def _erase_wr_blk_end(self, argument: int, bits: int) -> None:
        error, lba, _ = self._locate(argument, 1)
        if not error and self._erase_step is not EraseStep.START_GIVEN:
            error = R1_ERASE_SEQUENCE
        if error:
            self._erase_step = EraseStep.NONE
        else:
            self._erase_end = lba
            self._erase_step = EraseStep.END_GIVEN
        self._reply(error | bits)

    @_command(38)
    def _erase(self, argument: int, bits: int) -> None:
        step, self._erase_step = self._erase_step, EraseStep.NONE
        if step is not EraseStep.END_GIVEN:
            self._reply(R1_ERASE_SEQUENCE | bits)
        elif self._erase_end < self._erase_start:
            self._status2 |= R2_ERASE_PARAM
            self._reply(R1_PARAMETER_ERROR | bits)
        elif self._protected:
            self._status2 |= R2_LOCK_FAILED
            self._reply(bits)
        else:
            self._reply(bits)
            self._erasing = _Erasing(self._erase_start, self._erase_end)
            self._go_busy(self.erase_busy_bytes)

    @_command(42)
    def _lock_command(self, argument: int, bits: int) -> None:
        """CMD42 (4.3.7): a data block as long as CMD16 says follows, as in a single write."""
        self._reply(bits)
        self._expect(self._lock_unlock, self._lock_length)

    def _lock_unlock(self, data: bytes) -> None:
        forced = self._lock.locked and self._lock.is_force_erase(data)
        refused = forced and bool(self._protected & PERM_WRITE_PROTECT)
        if forced and not refused:
            self._wipe(0, self.block_count - 1)  # no cut may leave the content without the password
            self._csd = with_flags(self._csd, csd_flags(self._csd) & ~TMP_WRITE_PROTECT)
        if refused or not self._lock.take(data):
            self.lock_failures += 1
            self._status2 |= R2_LOCK_FAILED

    @_command(55)
    def _app_cmd(self, argument: int, bits: int) -> None:
        self._application_command = True
        self._reply(bits)

    @_command(58)
    def _read_ocr(self, argument: int, bits: int) -> None:
        """CMD58 (5.1): the power-up and CCS bits are valid only when the card is ready."""
        ready = (0xC0 if self._sdhc else 0x80) if self._initialised else 0
        self._reply(bits, bytes((ready, 0xFF, 0x80, 0x00)))

    @_command(59)
    def _crc_on_off(self, argument: int, bits: int) -> None:
        self._crc_on = bool(argument & 1)
        self._reply(bits)

    @_command(22, table=_APPLICATION_COMMANDS)
    def _send_num_wr_blocks(self, argument: int, bits: int) -> None:
        self._reply(bits)
        self._send_data(self._well_written.to_bytes(4, "big"))

    @_command(23, 42, table=_APPLICATION_COMMANDS)
    def _accept(self, argument: int, bits: int) -> None:
        """ACMD23 (pre-erase count) and ACMD42 (pull-up of CD) change nothing here."""
        self._reply(bits)

    @_command(51, table=_APPLICATION_COMMANDS)
    def _send_scr(self, argument: int, bits: int) -> None:
        self._reply(bits)
        self._send_data(SCR)

    def _locate(self, argument: int, length: int) -> tuple[int, int, int]:
        """R1 error bits, block and offset of an address: in bytes (SDSC) or in blocks (SDHC)."""
        lba, offset = (argument, 0) if self._sdhc else divmod(argument, BLOCK_SIZE)
        error = 0
        if length > 1 and offset + length > BLOCK_SIZE:
            error = R1_ADDRESS_ERROR
        elif lba >= self.block_count:
            error = R1_PARAMETER_ERROR
        if error:
            self.rejected_addresses += 1
        return error, lba, offset

    def _take_block_count(self) -> None:
        self._blocks_to_go, self._block_count_preset = self._block_count_preset, None

    # data phase ------------------------------------------------------------------------------------------------
    def _send_block(self, lba: int, offset: int) -> None:
        token = self._read_errors.get(lba)
        if token is not None:
            self._send_error_token(token)
            self._status2 |= R2_CARD_ECC_FAILED if token == ERROR_TOKEN_ECC else R2_ERROR
            self._mode = Mode.COMMAND
            return
        self.blocks_read += 1
        self._send_data(self._storage.load(lba)[offset:offset + self._block_length])

    def _send_next_block(self) -> None:
        """Queue the next packet of a multiple read."""
        if self._blocks_to_go == 0:
            self._mode = Mode.COMMAND
            self._blocks_to_go = None
            return
        lba, offset = divmod(self._read_position, BLOCK_SIZE)
        if lba >= self.block_count:
            self._send_error_token(ERROR_TOKEN_OUT_OF_RANGE)
            self._status2 |= R2_OUT_OF_RANGE
            self.rejected_addresses += 1
            self._blocks_to_go = None
            self._mode = Mode.READ_ENDED
            return
        if offset + self._block_length > BLOCK_SIZE and lba not in self._read_errors:
            # READ_BLK_MISALIGN is 0 (5.3.2): what a card does now is not defined; ours falls silent
            self.violation("a multiple read with partial blocks crosses a block border")
            self._mode = Mode.READ_STUCK
            return
        self._send_block(lba, offset)
        if self._mode is not _READ_MULTIPLE:
            self._mode = Mode.READ_ENDED
        self._read_position += self._block_length
        if self._blocks_to_go:
            self._blocks_to_go -= 1

    def _begin_write(self, argument: int, bits: int, multiple: bool) -> None:
        error, lba, _ = self._locate(argument, self._block_length)
        if not error and self._block_length != BLOCK_SIZE:
            error = R1_PARAMETER_ERROR
        self._reply(error | bits)
        if error:
            return
        self._write_multiple = multiple
        self._taker = None
        self._inbound_length = BLOCK_SIZE
        if multiple:
            self._take_block_count()
        else:
            self._blocks_to_go = self._block_count_preset = None
        self._write_lba = lba
        self._write_failed = False
        self._well_written = 0
        self._mode = Mode.AWAIT_TOKEN

    def _block_received(self) -> None:
        self._mode = Mode.AWAIT_TOKEN if self._write_multiple else Mode.COMMAND
        if self._write_multiple and self._blocks_to_go:
            self._blocks_to_go -= 1
            if not self._blocks_to_go:
                self._mode = Mode.COMMAND
                self._blocks_to_go = None
        block = bytes(self._inbound[:self._inbound_length])
        response = self._judge_block(block, int.from_bytes(self._inbound[self._inbound_length:], "big"))
        if response == DATA_ACCEPTED and self._taker is not None:
            self._taker(block)
            self._go_busy(self.write_busy_bytes)
        elif response == DATA_ACCEPTED:
            self._program(block)
        else:
            self._write_failed = True
        self._clear_output()
        self._send(bytes((response | self.response_high_bits & 0xE0,)))

    def _judge_block(self, block: bytes, sent_crc: int) -> int:
        """The data response (7.3.3.1); after an error the rest of a multiple write is refused."""
        if self._write_failed:
            return DATA_WRITE_ERROR
        if self._crc_on and crc16(block) != sent_crc:
            self.data_crc_errors += 1
            self._status2 |= R2_ERROR
            return DATA_CRC_ERROR
        if self._taker is not None:
            return DATA_ACCEPTED
        if self._protected:
            self._status2 |= R2_WP_VIOLATION
            return DATA_WRITE_ERROR
        if self._write_lba >= self.block_count:
            self.rejected_addresses += 1
            self._status2 |= R2_OUT_OF_RANGE
            return DATA_WRITE_ERROR
        if self._write_lba in self._write_errors:
            self._status2 |= R2_ERROR
            return DATA_WRITE_ERROR
        return DATA_ACCEPTED

    def _program(self, block: bytes) -> None:
        lba = self._write_lba
        self._programming = _Programming(lba, self._storage.load(lba))
        self._storage.store(lba, block)
        self.last_written_block = lba
        self.blocks_written += 1
        self._well_written += 1
        self._write_lba += 1
        self._go_busy(self.write_busy_bytes)
        operation = Operation(StorageEvent.SD_BLOCK, self.name, lba * BLOCK_SIZE, self._programming.previous, block)
        tear = self.machine.storage_event(operation)
        if tear is not None:
            before, self._programming = self._programming.previous, None
            after = operation.torn(tear)
            self._storage.store(lba, after)
            self.torn_writes += 1
            self.power_cut()
            self.machine.supply_lost_in(StorageEvent.SD_BLOCK, f"block {lba}", before, after)

    # medium ----------------------------------------------------------------------------------------------------
    def before_access(self, cells: Iterable[range], act: Callable[[range], None]) -> None:
        """Call ``act`` with each of these ranges of bytes once, before the card first looks at it or changes it."""
        behind = self._storage.behind if isinstance(self._storage, WatchedStorage) else self._storage
        waiting = {block: each for each in cells for block in range(each.start // BLOCK_SIZE, blocks_for(each.stop))}

        def accessed(first: int, count: int) -> None:
            for block in range(first, first + count):
                found = waiting.get(block)
                if found is not None:
                    for same in [each for each in waiting if waiting[each] is found]:
                        del waiting[same]
                    act(found)

        self._storage = WatchedStorage(behind, accessed) if waiting else behind

    def _check(self, lba: int) -> None:
        if not 0 <= lba < self.block_count:
            raise MediumError(f"SdCardSpi: block {lba} is outside the card ({self.block_count} blocks).")

    def _check_range(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            end = offset + length
            raise MediumError(f"SdCardSpi: bytes {offset} to {end} are outside the card ({self.size} bytes).")
