# SPDX-License-Identifier: Apache-2.0
"""Listening on the wires: from recorded bus transfers back to the content that crossed them.

Sources: SD Physical Layer Simplified Specification, chapter 7 (SPI mode); 24LC256 data sheet, sections 6 and 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from offchip.engines.protocol import Transfer

BLOCK = 512
_READ_COMMANDS = {17, 18}
_WRITE_COMMANDS = {24, 25}
_READ_TOKEN = 0xFE
_WRITE_TOKENS = {0xFE, 0xFC}
_STOP_TOKEN = 0xFD
_LOCK_COMMAND, _SET_BLOCK_LENGTH = 42, 16
_COMMAND_FRAME = 6
#: upper half of a 24xx256's address byte
_EEPROM_CODE = 0xA


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """One data block on the SD bus. ``block``: its number on the card; ``written``: towards the card."""

    time_ns: int
    block: int
    data: bytes
    written: bool


def sd_blocks(transfers: Iterable[Transfer], high_capacity: bool | None = None) -> list[SeenBlock]:
    """The data blocks in raw MOSI/MISO bytes, in order of time.

    ``high_capacity``: whether addresses count blocks (SDHC) or bytes (SDSC). None: taken from the CCS bit of the OCR
    if the recording holds a CMD58, else SDSC when every address seen is a multiple of 512.
    """
    raw: list[tuple[int, int, int, bytes, bool]] = []
    seen_ccs = high_capacity
    for transfer in transfers:
        ccs, found = _parse_transfer(transfer)
        seen_ccs = ccs if seen_ccs is None else seen_ccs
        raw += [(transfer.time_ns, *each) for each in found]
    if seen_ccs is None:
        seen_ccs = any(address % BLOCK for _, address, _, _, _ in raw)
    return [SeenBlock(time, (address if seen_ccs else address // BLOCK) + index, data, written)
            for time, address, index, data, written in raw]


def card_passwords(transfers: Iterable[Transfer]) -> list[bytes]:
    """What an SD card was opened or locked with (CMD42, 4.3.7), in the order of time; it crosses the bus in clear."""
    found, length = [], BLOCK
    for mosi in (each.mosi for each in transfers if not each.text):
        head = mosi.lstrip(b"\xFF")
        if len(head) < _COMMAND_FRAME or head[0] & 0xC0 != 0x40:
            continue
        if head[0] & 0x3F == _SET_BLOCK_LENGTH:
            length = int.from_bytes(head[1:5], "big")
        elif head[0] & 0x3F == _LOCK_COMMAND:
            block = head[_COMMAND_FRAME:].lstrip(b"\xFF")[1:1 + length]  # behind the token
            if len(block) > 1:
                found.append(block[2:2 + block[1]])
    return found


class _EepromPlayer:
    """Follows the address counter of a 24xx256 (24LC256 data sheet, 6 and 8)."""

    def __init__(self, size: int) -> None:
        self.content: dict[int, int] = {}
        self._size = size
        self._pointer: int | None = None
        self._reading: bool | None = None
        self._phase: list[int] = []

    def follow(self, tokens: Iterable[str]) -> None:
        """One transaction in the short form of the tap."""
        self._reading = None
        for token in tokens:
            if token in ("S", "s", "Sr"):
                self._reading = None
            elif token in ("P", "X") or not self._byte(int(token[:2], 16), token.endswith("+")):
                return

    def _byte(self, value: int, acknowledged: bool) -> bool:
        """False: the rest of this transaction is not for this chip."""
        if self._reading is None:
            # the byte behind a START is the address; refused ones (ACK polling) carry nothing
            self._reading, self._phase = bool(value & 1), []
            return value >> 4 == _EEPROM_CODE and acknowledged
        if self._reading:
            self._read(value)
        elif acknowledged:
            self._written(value)
        return True

    def _read(self, value: int) -> None:
        if self._pointer is not None:
            self.content[self._pointer] = value
            self._pointer = (self._pointer + 1) % self._size

    def _written(self, value: int) -> None:
        self._phase.append(value)
        if len(self._phase) == 2:
            self._pointer = (self._phase[0] << 8 | self._phase[1]) % self._size
        elif len(self._phase) > 2 and self._pointer is not None:
            self.content[self._pointer] = value
            # a page write wraps within its 64 bytes
            self._pointer = self._pointer & ~63 | self._pointer + 1 & 63


def eeprom_content(transfers: Iterable[Transfer], size: int = 32768) -> dict[int, int]:
    """Address -> byte, for every byte of a 24xx256 that was read or written on the I2C bus."""
    player = _EepromPlayer(size)
    for transfer in transfers:
        player.follow(transfer.text.split())
    return player.content


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that lie next to each other on a medium, as they crossed its bus. ``time_ns``: when the first was seen."""

    place: str
    time_ns: int
    data: bytes


def rebuild(transfers: Iterable[Transfer]) -> list[Content]:
    """What crossed the buses (SPI: SD card, I2C: EEPROM), put together again.

    On SPI the last one holds all blocks in order of time: a fragmented file is in order only as the device reads it.
    """
    recorded = list(transfers)
    found: list[Content] = []
    spi = [each for each in recorded if not each.text]
    blocks = sd_blocks(spi)
    if blocks:
        found += _runs("spi1 block", spi[0].time_ns, {seen.block: seen.data for seen in blocks})
        found.append(Content("spi1, in order of time", spi[0].time_ns, b"".join(seen.data for seen in blocks)))
    i2c = [each for each in recorded if each.text]
    if i2c:
        content = {address: bytes([value]) for address, value in eeprom_content(i2c).items()}
        found += _runs("i2c1 byte", i2c[0].time_ns, content)
    return found


def _runs(place: str, time_ns: int, pieces: dict[int, bytes]) -> list[Content]:
    """Join pieces with consecutive numbers."""
    runs: list[tuple[int, bytearray]] = []
    previous = None
    for number in sorted(pieces):
        if number - 1 != previous:
            runs.append((number, bytearray()))
        runs[-1][1].extend(pieces[number])
        previous = number
    return [Content(f"{place} {first}", time_ns, bytes(content)) for first, content in runs]


def _parse_transfer(transfer: Transfer) -> tuple[bool | None, list[tuple[int, int, bytes, bool]]]:
    """(CCS bit if an OCR was read, [(address, index of the block in the command, data, written)])."""
    mosi, miso = transfer.mosi, transfer.miso
    ccs: bool | None = None
    found: list[tuple[int, int, bytes, bool]] = []
    at = 0
    while at + _COMMAND_FRAME <= len(mosi):
        if mosi[at] & 0xC0 != 0x40:
            at += 1
            continue
        command = mosi[at] & 0x3F
        address = int.from_bytes(mosi[at + 1:at + 5], "big")
        at += _COMMAND_FRAME
        if command in _READ_COMMANDS:
            at = _parse_read(mosi, miso, at, address, command == 18, found)
        elif command in _WRITE_COMMANDS:
            at = _parse_write(mosi, at, address, command == 25, found)
        elif command == 58:
            response = next((i for i in range(at, len(miso)) if not miso[i] & 0x80), None)
            if response is not None and response + 1 < len(miso) and miso[response + 1] & 0x80:
                ccs = bool(miso[response + 1] & 0x40)
                at = response + 5
    return ccs, found


def _parse_read(mosi: bytes, miso: bytes, at: int, address: int, multiple: bool,
                found: list[tuple[int, int, bytes, bool]]) -> int:
    index = 0
    while at < len(miso):
        if mosi[at] & 0xC0 == 0x40:
            return at  # the next command (CMD12 ends a multiple read)
        at += 1
        if miso[at - 1] == _READ_TOKEN:
            if at + BLOCK > len(miso):
                return len(mosi)
            found.append((address, index, miso[at:at + BLOCK], False))
            at += BLOCK + 2
            index += 1
            if not multiple:
                return at
    return at


def _parse_write(mosi: bytes, at: int, address: int, multiple: bool,
                 found: list[tuple[int, int, bytes, bool]]) -> int:
    index = 0
    while at < len(mosi):
        value = mosi[at]
        at += 1
        if multiple and value == _STOP_TOKEN:
            return at
        if value in _WRITE_TOKENS:
            if at + BLOCK > len(mosi):
                return len(mosi)
            found.append((address, index, mosi[at:at + BLOCK], True))
            at += BLOCK + 2
            index += 1
            if not multiple:
                return at
        elif value & 0xC0 == 0x40:
            return at - 1
    return at
