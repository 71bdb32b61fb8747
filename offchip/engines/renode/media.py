# SPDX-License-Identifier: Apache-2.0
"""The SD card, the EEPROM and the debug port of the C# models behind the engine protocol."""

from __future__ import annotations

from offchip.engines.renode.taps import Ask
from offchip.errors import MediumError

#: name -> (path of the model, its property with the size in bytes)
MEDIA = {"sdcard": ("sysbus.spi1.tap.sdcard", "Capacity"), "eeprom": ("sysbus.i2c1.eeprom", "Length")}
_RDP_BYTES = {0: 0xAA, 1: 0x55, 2: 0xCC}


class RenodeMedium:
    """Hands on the card or the EEPROM chip (engine protocol: Medium).

    Raises:
        MediumError: outside the medium, or no such option or counter.
    """

    def __init__(self, name: str, ask: Ask) -> None:
        self.name = name
        self._path, size = MEDIA[name]
        self._ask = ask
        self.size: int = ask("get", self._path, size)

    @property
    def present(self) -> bool:
        result: bool = self._ask("get", self._path, "Present")
        return result

    @present.setter
    def present(self, value: bool) -> None:
        self._ask("put", self._path, "Present", bool(value))

    def read(self, offset: int, length: int) -> bytes:
        result: bytes = self._ask("call", self._path, "ReadRaw", offset, length)
        return result

    def write(self, offset: int, data: bytes) -> None:
        self._ask("call", self._path, "WriteRaw", offset, bytes(data))

    def set(self, option: str, value: int | bool | str) -> None:
        self._ask("put", self._path, option, value)

    def counter(self, name: str) -> int:
        value = self._ask("get", self._path, name)
        if not isinstance(value, int):
            raise MediumError(f"{self.name}: {name} is not a counter")
        return value


class RenodeDebugPort:
    """SWD through the flash model's readout protection (engine protocol: DebugPort).

    Raises:
        DebugAccessRefused: refused at the present level.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @property
    def rdp_level(self) -> int:
        result: int = self._ask("get", "sysbus.flash", "RdpLevel")
        return result

    def read(self, address: int, length: int) -> bytes:
        result: bytes = self._ask("debug", "DebugRead", address, length)
        return result

    def write(self, address: int, data: bytes) -> None:
        self._ask("debug", "DebugWrite", address, bytes(data))

    def set_rdp(self, level: int) -> None:
        self._ask("debug", "DebugSetRdp", _RDP_BYTES[level])

    def mass_erase(self) -> None:
        self._ask("debug", "DebugMassErase")
