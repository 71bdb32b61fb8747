# SPDX-License-Identifier: Apache-2.0
"""What the rules of the taps may be given, whichever engine plays them; MediumError for what makes no rule."""

from __future__ import annotations

from offchip.chip_map import EEPROM_SIZE
from offchip.errors import MediumError

BLOCK_SIZE = 512
#: of the SD bus: a block and its CRC16
PACKET_SIZE = BLOCK_SIZE + 2


def check_replace_block(rule: str, block: int, offset: int, data: bytes, nth: int, count: int) -> None:
    """``replace_on_read`` and ``replace_on_write`` of the SPI tap."""
    if not data or offset < 0 or offset + len(data) > BLOCK_SIZE or block < 0 or nth < 1 or count < 0:
        raise MediumError(f"SpiTap: {rule} needs 1..{BLOCK_SIZE} bytes inside a block, nth from 1, count from 0; "
                          f"not block {block}, offset {offset}, {len(data)} bytes, nth {nth}, count {count}.")


def check_stuck_miso(value: int | None) -> None:
    if value is not None and not 0 <= value <= 0xFF:
        raise MediumError(f"SpiTap: stuck_miso takes a byte or None, not {value}.")


def check_cut_at_block_write(n: int, after_bytes: int) -> None:
    if n < 1 or not 0 <= after_bytes <= PACKET_SIZE:
        raise MediumError(f"SpiTap: cut_power_at_block_write takes n from 1 and 0..{PACKET_SIZE} bytes, "
                          f"not {n} and {after_bytes}.")


def check_replace(index: int, value: int) -> None:
    if index < 0 or not 0 <= value <= 0xFF:
        raise MediumError(f"I2cTap: replace takes an index from 0 and a byte, not {index} and {value}.")


def check_replace_at(offset: int, value: int, nth: int) -> None:
    if not 0 <= offset < EEPROM_SIZE or not 0 <= value <= 0xFF or nth < 1:
        raise MediumError(f"I2cTap: replace_at takes a memory address below {EEPROM_SIZE}, a byte and a "
                          f"number from 1, not {offset}, {value} and {nth}.")


def check_drop_address(address: int | None) -> None:
    if address is not None and not 0 <= address <= 0x7F:
        raise MediumError(f"I2cTap: drop_address takes a 7-bit address or None, not {address}.")


def check_cut_after(events: int) -> None:
    if events < 1:
        raise MediumError(f"I2cTap: cut_power_after takes a number of events from 1, not {events}.")
