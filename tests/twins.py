# SPDX-License-Identifier: Apache-2.0
"""The same board twice: its Python models here, their C# twins in a Mono process. Every step must agree."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest

from fakes import FakeMachine
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.peripherals.eeprom import Eeprom24xx256
from offchip.engines.embedded.peripherals.flash import FLASH_BASE, SECTOR_STARTS, NvmSectors, Stm32F4Flash
from offchip.engines.embedded.peripherals.i2c import Stm32F4I2c
from offchip.engines.embedded.peripherals.i2c_tap import I2cTap
from offchip.engines.embedded.peripherals.memory import MappedMemory
from offchip.engines.embedded.peripherals.rng import Stm32F4Rng
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi
from offchip.engines.embedded.peripherals.spi import Stm32F4Spi
from offchip.engines.embedded.peripherals.spi_bus import SpiBus
from offchip.engines.embedded.peripherals.spi_memory import SpiMemory25
from offchip.engines.embedded.peripherals.spi_tap import SpiTap
from offchip.engines.renode.taps import RenodeI2cTap, RenodeSpiTap
from offchip.errors import OffchipError

HERE = Path(__file__).parent
STUBS = HERE / "csharp/RenodeStubs.cs"
MODELS = HERE.parent / "platforms/peripherals"
#: the two interfaces of Renode that the stubs know: symbols for the compiler
RENODES: dict[str, tuple[str, ...]] = {"1.16.1": (), "master": ("-d:RENODE_MASTER",)}
#: what the flash of a fresh board holds, over and over
PATTERN = bytes((i * 7 | 0x81) & 0xFF for i in range(256))
Target = Literal["library", "exe"]

needs_mcs = pytest.mark.skipif(shutil.which("mcs") is None, reason="no C# compiler (Debian package mono-mcs)")
needs_mono = pytest.mark.skipif(shutil.which("mcs") is None or shutil.which("mono") is None,
                                reason="no C# compiler or runtime (Debian packages mono-mcs and mono-runtime)")


def compile_cs(out: Path, *sources: Path, target: Target = "library",
               renode: str = "1.16.1") -> subprocess.CompletedProcess[str]:
    """Compile against the stubs. C# 7 is what the oldest compiler inside a Renode accepts."""
    command = ["mcs", "-langversion:7", "-warn:4", "-warnaserror", *RENODES[renode], f"-target:{target}",
               f"-out:{out}", str(STUBS), *map(str, sources)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def build(folder: Path, *sources: Path, renode: str = "1.16.1") -> Path:
    """An executable of these sources and the stubs."""
    out = folder / "bench.exe"
    done = compile_cs(out, *sources, target="exe", renode=renode)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Bench:
    """A bench in C#, run by Mono: one answer line per command. Its first line is its hello."""

    def __init__(self, executable: Path) -> None:
        self._process = subprocess.Popen(["mono", str(executable)], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self.hello = self._line()

    def __call__(self, *words: object) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith("\n"), "the bench died"
        return line[:-1]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return (hashlib.sha256(value).digest() if len(value) > 2048 else value).hex().upper()
    return "" if value is None else _word(value).replace("\n", "/")


class Twins:
    """A fresh board on both sides. Names are those of the bench; members are named as in C#."""

    def __init__(self, bench: Bench, high_capacity: bool = False) -> None:
        self._bench = bench
        machine = self.machine = FakeMachine(clock=Clock(1_000_000_000))  # a nanosecond a cycle, as Renode counts
        code0, code1, nvm = MappedMemory(machine, 0x4000), MappedMemory(machine, 0xF0000), NvmSectors(machine)
        for memory in (code0, code1, nvm):
            memory.buffer[:] = PATTERN * (memory.size // len(PATTERN))
        self.flash = Stm32F4Flash(machine, code0, nvm, code1)
        self.spi, self.tap, card = Stm32F4Spi(machine), SpiTap(machine), SdCardSpi(machine, 0x100000,
                                                                                 high_capacity=high_capacity)
        self.tap.attach(card, None)
        self.spi.attach(self.tap, None)
        self.i2c, self.i2ctap, eeprom = Stm32F4I2c(machine), I2cTap(machine), Eeprom24xx256(machine)
        self.i2c.attach(eeprom, 0x50)
        self.i2c.attach(self.i2ctap, None)
        rng = Stm32F4Rng(machine)
        self.two = SpiBus(machine)
        memory, nor = SpiMemory25(machine), SpiMemory25(machine, 0x20000, 256, True, 700)
        self.two.attach(memory, 1)
        self.two.attach(nor, 2)
        self.models: dict[str, Any] = {
            "code0": code0, "code1": code1, "nvm": nvm, "flash": self.flash, "rng": rng, "spi": self.spi,
            "tap": self.tap, "card": card, "i2c": self.i2c, "i2ctap": self.i2ctap, "eeprom": eeprom,
            "memory": memory, "nor": nor}
        self._lines = (self.flash.irq, rng.irq, self.spi.irq, self.i2c.event_interrupt, self.i2c.error_interrupt)
        self._spi_adapter, self._i2c_adapter = RenodeSpiTap(self._ask), RenodeI2cTap(self._ask)
        self._agree("", "new", high_capacity)
        self.machine.reports.clear()

    # steps -----------------------------------------------------------------------------------------------------
    def time(self, ns: int) -> None:
        self.machine.pass_time(ns)
        self._agree("", "time", ns)

    def read(self, name: str, width: int, offset: int) -> int:
        value = int(self.models[name].read(offset, width))
        self._agree(f"{value:X}", "read", name, width, offset)
        return value

    def write(self, name: str, width: int, offset: int, value: int) -> None:
        value &= (1 << 8 * width) - 1
        self.models[name].write(offset, width, value)
        self._agree("", "write", name, width, offset, value)

    def store(self, width: int, offset: int, value: int) -> None:
        """A CPU store to the data sectors."""
        value &= (1 << 8 * width) - 1
        self.flash.store(FLASH_BASE + SECTOR_STARTS[1] + offset, width, value)
        self._agree("", "write", "nvm", width, offset, value)

    def option_bytes(self, offset: int, value: int | None = None) -> None:
        """A CPU access to the option bytes as memory."""
        if value is None:
            answer = self.flash.region_read("optionBytes", offset, 4)
            self._agree(str(answer), "call", "flash", "ReadDoubleWordFromOptionBytes", offset)
        else:
            self.flash.region_write("optionBytes", offset, 4, value)
            self._agree("", "call", "flash", "WriteDoubleWordToOptionBytes", offset, value)

    def pin(self, name: str, number: int, level: bool) -> None:
        self.models[name].on_gpio(number, level)
        self._agree("", "pin", name, number, level)

    def send(self, data: bytes) -> bytes:
        """Bytes through the SPI tap; returns MISO."""
        if not data:
            return b""
        answer = bytes(self.tap.transmit(byte) for byte in data)
        self._agree(answer.hex().upper(), "send", data)
        return answer

    def bus(self, data: bytes) -> bytes:
        """Bytes through the SPI with two memories; returns MISO."""
        answer = bytes(self.two.transmit(byte) for byte in data)
        self._agree(answer.hex().upper(), "bus", data)
        return answer

    def get(self, name: str, *members: str) -> None:
        for member in members:
            self._agree(_text(getattr(self.models[name], _snake(member))), "get", name, member)

    def put(self, name: str, member: str, value: object) -> None:
        self._agree(self._attempt(setattr, self.models[name], _snake(member), value), "put", name, member, value)

    def call(self, name: str, member: str, *arguments: object) -> None:
        method = getattr(self.models[name], _snake(member))
        self._agree(self._attempt(method, *arguments), "call", name, member, *arguments)

    def content(self) -> None:
        """All the flash."""
        for name in ("code0", "nvm", "code1"):
            memory = bytes(self.models[name].buffer)
            self._agree(_text(memory), "call", name, "ReadBytes", 0, len(memory))

    # the taps by the engine protocol ---------------------------------------------------------------------------------
    def rule(self, bus: str, name: str, *arguments: object) -> None:
        """The same rule to both taps of a bus; a refusal on both sides is agreement."""
        tap, adapter = self._taps(bus)
        mine, theirs = (self._attempt(getattr(side, name), *arguments) for side in (tap, adapter))
        assert theirs == mine, f"{name} {arguments}: C# answers {theirs}, Python {mine}"

    def evidence(self, bus: str) -> None:
        """Records and evidence of both taps are equal."""
        tap, adapter = self._taps(bus)
        for what in ("drain", "fired"):
            theirs, mine = getattr(adapter, what)(), getattr(tap, what)()
            assert theirs == mine, f"{what}: C# has {theirs}, Python {mine}"

    def _taps(self, bus: str) -> tuple[Any, Any]:
        return (self.tap, self._spi_adapter) if bus == "spi" else (self.i2ctap, self._i2c_adapter)

    def _ask(self, kind: str, path: str, member: str, *arguments: object) -> str:
        name = {"sysbus.spi1.tap": "tap", "sysbus.spi1.tap.sdcard": "card", "sysbus.i2c1.i2ctap": "i2ctap"}[path]
        answer = self._tell(kind, name, member, *arguments)
        if answer == "!":
            raise OffchipError("refused")
        return answer.replace("/", "\n")

    # agreement ---------------------------------------------------------------------------------------------------
    @staticmethod
    def _attempt(what: Any, *arguments: object) -> str:
        try:
            return _text(what(*arguments))
        except (OffchipError, ValueError):
            return "!"

    def _agree(self, mine: str, *words: object) -> None:
        theirs = self._tell(*words)
        assert theirs == mine, f"{words}: C# answers {theirs}, Python {mine}"

    def _tell(self, *words: object) -> str:
        answer, _, lines = self._bench(*map(_word, words)).rpartition("|")
        mine = "".join(str(int(line.level)) for line in self._lines)
        assert lines == mine, f"{words}: interrupt lines in C# {lines}, in Python {mine}"
        return answer

