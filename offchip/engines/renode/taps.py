# SPDX-License-Identifier: Apache-2.0
"""The taps of the C# models behind the engine protocol.

Rules go in by method, records and evidence come out as text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchip.chip_map import EEPROM_SIZE as MEMORY_SIZE
from offchip.engines.protocol import Fired, Transfer
from offchip.errors import MediumError

BLOCK_SIZE = 512
_PACKET_SIZE = BLOCK_SIZE + 2
_SPI, _I2C = "sysbus.spi1.tap", "sysbus.i2c1.i2ctap"
_CONDITIONS = {"S": "S", "s": "Sr", "P": "P", "X": "X"}

#: asks the worker: (method of the host, arguments); what a model refuses is raised as MediumError
Ask = Callable[..., Any]


def parse_fired(bus: str, text: str) -> list[Fired]:
    """Lines ``time in ns;rule;place;before in hex;after in hex``."""
    found = []
    for line in text.splitlines():
        time_ns, rule, place, before, after = line.split(";")
        found.append(Fired(bus, rule, int(time_ns), place, bytes.fromhex(before), bytes.fromhex(after)))
    return found


def parse_spi(text: str) -> list[Transfer]:
    """Lines ``start in ns;MOSI in hex;MISO in hex``, one per period of chip select low."""
    found = []
    for line in text.splitlines():
        time_ns, mosi, miso = line.split(";")
        found.append(Transfer("spi1", int(time_ns), bytes.fromhex(mosi), bytes.fromhex(miso)))
    return found


class I2cRecord:
    """Puts the events of the I2C tap together to transactions; one still on the wires waits for its end."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._written, self._read = bytearray(), bytearray()
        self._start_ns = 0

    def feed(self, text: str) -> list[Transfer]:
        """Lines ``time kind [address value ACK|NACK]``; the transactions that they complete."""
        found = []
        for line in text.splitlines():
            time_ns, kind, *byte = line.split()
            if not self._words:
                if kind not in "Ss":
                    continue  # the record began, or lost events, in the middle of a transaction
                self._start_ns = int(time_ns)
            if byte:
                _, value, ack = byte
                self._words.append(value + ("+" if ack == "ACK" else "-"))
                if kind != "A":
                    (self._read if kind == "R" else self._written).append(int(value, 16))
            else:
                self._words.append(_CONDITIONS[kind])
            if kind in "PX":
                found.append(Transfer("i2c1", self._start_ns, bytes(self._written), bytes(self._read),
                                      " ".join(self._words)))
                self._words = []
                self._written, self._read = bytearray(), bytearray()
        return found


class RenodeSpiTap:
    """``SpiTap.cs`` (engine protocol: SpiTap).

    Raises:
        MediumError: a rule with an impossible argument.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def record(self, on: bool = True) -> None:
        self._ask("put", _SPI, "Record", bool(on))

    def drain(self) -> list[Transfer]:
        return parse_spi(self._ask("call", _SPI, "Drain"))

    def fired(self) -> list[Fired]:
        return parse_fired("spi1", self._ask("get", _SPI, "Fired"))

    def clear(self) -> None:
        self._ask("call", _SPI, "Forget")

    def replace_on_read(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                        fix_crc: bool = True) -> None:
        self._replace("ReplaceOnRead", block, offset, data, nth, count, fix_crc)

    def replace_on_write(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                         fix_crc: bool = True) -> None:
        self._replace("ReplaceOnWrite", block, offset, data, nth, count, fix_crc)

    def redirect_read(self, block: int, to_block: int) -> None:
        self._ask("call", _SPI + ".sdcard", "ReadBlock", to_block)  # refuses a block the card does not have
        self._ask("call", _SPI, "RedirectRead", block, to_block, 1, 0)

    def stuck_miso(self, value: int | None) -> None:
        if value is not None and not 0 <= value <= 0xFF:
            raise MediumError(f"SpiTap: stuck_miso takes a byte or None, not {value}.")
        self._ask("put", _SPI, "StuckMiso", -1 if value is None else value)

    def cut_power_at_block_write(self, n: int, after_bytes: int = 0) -> None:
        if n < 1 or not 0 <= after_bytes <= _PACKET_SIZE:
            raise MediumError(f"SpiTap: cut_power_at_block_write takes n from 1 and 0..{_PACKET_SIZE} bytes, "
                              f"not {n} and {after_bytes}.")
        self._ask("call", _SPI, "CutAtBlockWrite", n, after_bytes)

    def _replace(self, method: str, block: int, offset: int, data: bytes, nth: int, count: int, fix_crc: bool) -> None:
        if not data or offset < 0 or offset + len(data) > BLOCK_SIZE or block < 0 or nth < 1 or count < 0:
            raise MediumError(f"SpiTap: {method} needs 1..{BLOCK_SIZE} bytes inside a block, nth from 1, count from 0; "
                              f"not block {block}, offset {offset}, {len(data)} bytes, nth {nth}, count {count}.")
        self._ask("call", _SPI, method, block, offset, data.hex(), nth, count, fix_crc)


class RenodeI2cTap:
    """``I2cTap.cs`` (engine protocol: I2cTap).

    Raises:
        MediumError: a rule with an impossible argument.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._record = I2cRecord()

    def record(self, on: bool = True) -> None:
        self._ask("put", _I2C, "Record", bool(on))

    def drain(self) -> list[Transfer]:
        return self._record.feed(self._ask("call", _I2C, "Drain"))

    def fired(self) -> list[Fired]:
        return parse_fired("i2c1", self._ask("get", _I2C, "Fired"))

    def clear(self) -> None:
        self._ask("call", _I2C, "Forget")

    def replace(self, index: int, value: int, on_read: bool) -> None:
        if index < 0 or not 0 <= value <= 0xFF:
            raise MediumError(f"I2cTap: replace takes an index from 0 and a byte, not {index} and {value}.")
        self._ask("call", _I2C, "Replace", index, value, bool(on_read))

    def replace_at(self, offset: int, value: int, nth: int = 1) -> None:
        if not 0 <= offset < MEMORY_SIZE or not 0 <= value <= 0xFF or nth < 1:
            raise MediumError(f"I2cTap: replace_at takes a memory address below {MEMORY_SIZE}, a byte and a "
                              f"number from 1, not {offset}, {value} and {nth}.")
        self._ask("call", _I2C, "ReplaceAt", offset, value, nth)

    def drop_address(self, address: int | None) -> None:
        if address is not None and not 0 <= address <= 0x7F:
            raise MediumError(f"I2cTap: drop_address takes a 7-bit address or None, not {address}.")
        self._ask("put", _I2C, "DropAddress", -1 if address is None else address)

    def cut_power_after(self, events: int) -> None:
        if events < 1:
            raise MediumError(f"I2cTap: cut_power_after takes a number of events from 1, not {events}.")
        self._ask("call", _I2C, "CutAfter", events)
