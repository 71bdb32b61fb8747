# SPDX-License-Identifier: Apache-2.0
"""The taps of the C# models behind the engine protocol.

Rules go in by method, records and evidence come out as text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchip.engines.protocol import Fired, Transfer
from offchip.engines.tap_rules import (
    check_cut_after,
    check_cut_at_block_write,
    check_drop_address,
    check_replace,
    check_replace_at,
    check_replace_block,
    check_stuck_miso,
)

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
        check_stuck_miso(value)
        self._ask("put", _SPI, "StuckMiso", -1 if value is None else value)

    def cut_power_at_block_write(self, n: int, after_bytes: int = 0) -> None:
        check_cut_at_block_write(n, after_bytes)
        self._ask("call", _SPI, "CutAtBlockWrite", n, after_bytes)

    def _replace(self, method: str, block: int, offset: int, data: bytes, nth: int, count: int, fix_crc: bool) -> None:
        check_replace_block(method, block, offset, data, nth, count)
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
        check_replace(index, value)
        self._ask("call", _I2C, "Replace", index, value, bool(on_read))

    def replace_at(self, offset: int, value: int, nth: int = 1) -> None:
        check_replace_at(offset, value, nth)
        self._ask("call", _I2C, "ReplaceAt", offset, value, nth)

    def drop_address(self, address: int | None) -> None:
        check_drop_address(address)
        self._ask("put", _I2C, "DropAddress", -1 if address is None else address)

    def hold_sda(self, held: bool = True) -> None:
        self._ask("put", _I2C, "HoldSda", bool(held))

    def cut_power_after(self, events: int) -> None:
        check_cut_after(events)
        self._ask("call", _I2C, "CutAfter", events)
