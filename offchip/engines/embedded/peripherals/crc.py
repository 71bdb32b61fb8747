# SPDX-License-Identifier: Apache-2.0
"""The two checksums of the SD bus (SD Physical Layer Simplified Specification 4.5)."""

from __future__ import annotations

from binascii import crc_hqx

_CRC7_POLYNOMIAL = 0x09  # x^7 + x^3 + 1


def _crc7_step(value: int) -> int:
    """CRC7 of one byte, kept in bits 7..1."""
    for _ in range(8):
        value = (value << 1) ^ (_CRC7_POLYNOMIAL << 1) if value & 0x80 else value << 1
    return value & 0xFF


_CRC7_TABLE = bytes(_crc7_step(value) for value in range(256))


def crc7(data: bytes) -> int:
    """CRC7 in bits 7..1 with the end bit 1 in bit 0: the last byte of a command, of the CSD and of the CID."""
    crc = 0
    for value in data:
        crc = _CRC7_TABLE[crc ^ value]
    return crc | 1


def crc16(data: bytes | bytearray) -> int:
    """CRC16 of a data block: polynomial 0x1021, start value 0, most significant bit first."""
    return crc_hqx(data, 0)
