# SPDX-License-Identifier: Apache-2.0
"""Registers of an SD card: CSD, CID, SCR and SD status (SD Physical Layer Simplified Specification, 5)."""

from __future__ import annotations

from offchip.engines.embedded.peripherals.crc import crc7
from offchip.errors import MediumError


def _register(fields: list[tuple[int, int, int]]) -> bytes:
    """A 128-bit register from (lowest bit, width, value), closed with its CRC7 and end bit."""
    value = 0
    for bit, width, content in fields:
        value |= (content & ((1 << width) - 1)) << bit
    body = value.to_bytes(16, "big")[:15]
    return body + bytes([crc7(body)])


def build_csd_v1(capacity: int) -> bytes:
    """Card specific data of a standard capacity card (5.3.2). Raises MediumError when C_SIZE cannot express it."""
    read_bl_len = 10 if capacity > 0x4000_0000 else 9
    units = capacity >> read_bl_len
    size_mult = 0
    while size_mult < 7 and units >> (size_mult + 2) > 4096:
        size_mult += 1
    size = (units >> (size_mult + 2)) - 1
    if not 0 <= size <= 4095 or (size + 1) << (size_mult + 2 + read_bl_len) != capacity:
        raise MediumError(f"SdCardSpi: a capacity of {capacity} bytes cannot be expressed in a version 1 CSD; "
                          "choose another capacity or set highCapacity.")
    current = [(bit, 3, 5) for bit in (59, 56, 53, 50)]  # VDD_R_CURR_MIN .. VDD_W_CURR_MAX
    return _register([
        (126, 2, 0),  # CSD_STRUCTURE
        (112, 8, 0x26),  # TAAC 1.5 ms
        (96, 8, 0x32),  # TRAN_SPEED 25 MHz
        (84, 12, 0x135),  # CCC: classes 0, 2, 4, 5, 8
        (80, 4, read_bl_len),
        (79, 1, 1),  # READ_BL_PARTIAL
        (62, 12, size),
        *current,
        (47, 3, size_mult),
        (46, 1, 1),  # ERASE_BLK_EN
        (39, 7, 0x7F),  # SECTOR_SIZE
        (26, 3, 2),  # R2W_FACTOR
        (22, 4, read_bl_len),  # WRITE_BL_LEN
    ])


def build_csd_v2(capacity: int) -> bytes:
    """Card specific data of a high capacity card (5.3.3); ``capacity`` is a multiple of 512 KiB."""
    return _register([
        (126, 2, 1), (112, 8, 0x0E), (96, 8, 0x32), (84, 12, 0x135), (80, 4, 9),
        (48, 22, capacity // 0x80000 - 1), (46, 1, 1), (39, 7, 0x7F), (26, 3, 2), (22, 4, 9),
    ])


def build_cid(serial_number: int) -> bytes:
    """Card identification (5.2): manufacturer 0x5A, "OF", "CHIP0", revision 1.0, January 2026."""
    return _register([
        (120, 8, 0x5A),
        (56, 64, int.from_bytes(b"OFCHIP0\x10", "big")),
        (24, 32, serial_number),
        (8, 12, 0x1A1),
    ])


#: what of byte 14 of the CSD protects the whole card (5.3.2): for ever, and until it is cleared
PERM_WRITE_PROTECT, TMP_WRITE_PROTECT = 0x20, 0x10
#: bits of that byte that CMD27 can set and never clear (FILE_FORMAT_GRP, COPY, PERM_WRITE_PROTECT, FILE_FORMAT), and
#: all it can set
_ONCE, _WRITABLE = 0xEC, 0xFC
_FLAGS = 14


def csd_flags(csd: bytes) -> int:
    """Byte 14 of a CSD."""
    return csd[_FLAGS]


def with_flags(csd: bytes, flags: int) -> bytes:
    """A CSD with another byte 14, and its CRC put right."""
    body = csd[:_FLAGS] + bytes([flags])
    return body + bytes([crc7(body)])


def programmed(csd: bytes, sent: bytes) -> bytes | None:
    """What PROGRAM_CSD (CMD27) makes of a CSD; None: CSD_OVERWRITE, the read-only part is another or a bit that can be
    set only would be cleared (4.10.1). The CRC that was sent is not looked at, the card makes its own.
    """
    if len(sent) != len(csd) or sent[:_FLAGS] != csd[:_FLAGS]:
        return None
    old, new = csd[_FLAGS], sent[_FLAGS]
    if old & _ONCE & ~new or (old ^ new) & ~_WRITABLE:
        return None
    return with_flags(csd, new)


#: SD configuration register (5.6): specification 3.0, 4-bit bus, CMD23
SCR = bytes((0x02, 0x05, 0x80, 0x02, 0, 0, 0, 0))
SD_STATUS = bytes(64)
