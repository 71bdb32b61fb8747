# SPDX-License-Identifier: Apache-2.0
"""Listening on the wires: from recorded bus transfers back to the content that crossed them.

Sources: SD Physical Layer Simplified Specification, chapter 7 (SPI mode); 24LC256 data sheet, sections 6 and 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from offchip.attacks.carving import carve
from offchip.attacks.evidence import Evidence, Loot
from offchip.engines.protocol import Transfer

BLOCK = 512
_READ_COMMANDS = {17, 18}
_WRITE_COMMANDS = {24, 25}
_READ_TOKEN = 0xFE
_WRITE_TOKENS = {0xFE, 0xFC}
_STOP_TOKEN = 0xFD
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


def eeprom_content(transfers: Iterable[Transfer], size: int = 32768) -> dict[int, int]:
    """Address -> byte, for every byte of a 24xx256 that was read or written on the I2C bus."""
    content: dict[int, int] = {}
    pointer: int | None = None
    for transfer in transfers:
        phase: list[int] = []
        reading: bool | None = None
        for token in transfer.text.split():
            if token in ("S", "s", "Sr"):
                reading = None
            elif token in ("P", "X"):
                break
            elif reading is None:
                # the byte behind a START is the address; refused ones (ACK polling) carry nothing
                address = int(token[:2], 16)
                if address >> 4 != _EEPROM_CODE or not token.endswith("+"):
                    break
                reading = bool(address & 1)
                phase = []
            elif reading:
                if pointer is not None:
                    content[pointer] = int(token[:2], 16)
                    pointer = (pointer + 1) % size
            elif token.endswith("+"):
                phase.append(int(token[:2], 16))
                if len(phase) == 2:
                    pointer = (phase[0] << 8 | phase[1]) % size
                elif len(phase) > 2 and pointer is not None:
                    content[pointer] = phase[-1]
                    # a page write wraps within its 64 bytes
                    pointer = pointer & ~63 | pointer + 1 & 63
    return content


def sniff_credentials(transfers: Iterable[Transfer]) -> Loot:
    """Rebuild what crossed the bus (SPI: SD card, I2C: EEPROM) and carve it."""
    loot = Loot()
    recorded = list(transfers)
    start_ns = recorded[0].time_ns if recorded else 0
    i2c = [each for each in recorded if each.text]
    spi = [each for each in recorded if not each.text]
    if spi:
        blocks = sd_blocks(spi)
        by_place = {seen.block: seen.data for seen in blocks}
        _carve_runs(loot, by_place, BLOCK, "sd bus")
        # a fragmented file is in order only as the device reads it
        keys, certificates = carve(b"".join(seen.data for seen in blocks), "sd bus, in order of time")
        loot.keys += [key for key in keys if key.public_key not in [known.public_key for known in loot.keys]]
        held = [known.certificate for known in loot.certificates]
        loot.certificates += [each for each in certificates if each.certificate not in held]
        loot.evidence.append(Evidence("sniff", "spi", start_ns, f"{len(blocks)} data blocks in {len(spi)} transfers"))
    if i2c:
        content = eeprom_content(i2c)
        _carve_runs(loot, {address: bytes([value]) for address, value in content.items()}, 1, "eeprom bus")
        loot.evidence.append(Evidence("sniff", "i2c", start_ns, f"{len(content)} bytes in {len(i2c)} transfers"))
    return loot


def _carve_runs(loot: Loot, pieces: dict[int, bytes], unit: int, where: str) -> None:
    """Join pieces with consecutive numbers and carve each run; offsets are places on the medium."""
    runs: list[tuple[int, bytearray]] = []
    previous = None
    for number in sorted(pieces):
        if number - 1 != previous:
            runs.append((number, bytearray()))
        runs[-1][1].extend(pieces[number])
        previous = number
    for first, content in runs:
        keys, certificates = carve(bytes(content), f"{where} from byte {first * unit}")
        loot.keys += keys
        loot.certificates += certificates


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
