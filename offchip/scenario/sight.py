# SPDX-License-Identifier: Apache-2.0
"""The first second of a stranger's firmware, and what can be read from his image: what `offchip init` proposes from.

Looks at pins and blocks as no engine in another process shows them, hence on the embedded engine only.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.peripherals.gpio import GpioPort
from offchip.engines.embedded.peripherals.i2c_tap import I2cTap
from offchip.engines.embedded.peripherals.spi import Stm32F4Spi
from offchip.engines.image import check_apart, read_image
from offchip.engines.protocol import Diagnostic
from offchip.judge.find import search
from offchip.judge.image import Part
from offchip.paths import BOARD
from offchip.scenario.bench import chip_lines

_SPIS = ("spi1", "spi2", "spi3")
_I2CS = ("i2c1", "i2c2", "i2c3")
_ADDRESS = re.compile(r"(?:S|s|Sr) ([0-9A-F]{2})[+-]")


@dataclass
class Sight:
    """What was seen.

    Attributes:
        said: bytes of each UART that spoke. frames: SPI frames by block.
        selected: how often a pin, like ``PA4``, was low while frames went over a bus, and high before and afterwards.
        addresses: (I2C block, 7-bit address) -> how often it was called.
        secrets: (what, address) of what looks like credentials in the image itself.
    """

    said: dict[str, bytes] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    selected: Counter[str] = field(default_factory=Counter)
    addresses: Counter[tuple[str, int]] = field(default_factory=Counter)
    secrets: list[tuple[str, int]] = field(default_factory=list)
    unexpected: list[Diagnostic] = field(default_factory=list)
    instructions: int = 0

    @property
    def console(self) -> str | None:
        """The UART that said most."""
        return max(self.said, key=lambda name: len(self.said[name]), default=None)

    @property
    def last_line(self) -> str:
        """The last whole line of the console; '' without one."""
        text = self.said.get(self.console or "", b"").decode("utf-8", "replace")
        return next((line.strip() for line in reversed(text.splitlines()) if len(line.strip()) > 2), "")


def look(images: list[Path], vectors: int = 0, seconds: float = 1.0) -> Sight:
    """Run the firmware on the bare chip for ``seconds`` of virtual time and say what it did.

    Raises:
        FirmwareError: an image is missing, damaged, for another core, or two overlap.
    """
    firmware = [read_image(each) for each in images]
    check_apart(firmware)
    sight = Sight()
    for each in firmware:
        for address, data in each.segments:
            found = search([Part("", data)])
            sight.secrets += [(f"{key.kind} as {key.form}", address + key.offset) for key in found.keys]
            sight.secrets += [(f"certificate of {each.name}", address + each.offset) for each in found.certificates]
            sight.secrets += [(text.what, address + text.offset) for text in found.texts if text.secret]
    with tempfile.TemporaryDirectory(prefix="offchip-init-") as folder:
        platform = Path(folder) / "bare.repl"
        platform.write_text("\n".join([f'using "{BOARD.parent / "stm32f405.repl"}"', "", *chip_lines(),
                                       *(f"{name}tap: Offchip.I2cTap @ {name}" for name in _I2CS)]) + "\n")
        engine = EmbeddedEngine(platform)
    for path in images:
        engine.load_elf(path)
    engine.start_at(vectors)
    _watch(engine, sight)
    engine.power_on()
    while engine.now_ns < seconds * 1e9:
        for byte in engine.run(10_000_000).uart:
            sight.said[byte.uart] = sight.said.get(byte.uart, b"") + bytes([byte.value])
    _collect(engine, sight)
    return sight


class _Pin:
    """Counts the times a pin was low while something went over SPI."""

    def __init__(self, name: str, frames: Callable[[], int], selected: Counter[str]) -> None:
        self._name, self._frames, self._selected = name, frames, selected
        self._at_fall = -1

    def moved(self, number: int, level: bool) -> None:
        if not level:
            self._at_fall = self._frames()
        elif 0 <= self._at_fall < self._frames():
            self._selected[self._name] += 1


def _watch(engine: EmbeddedEngine, sight: Sight) -> None:
    spis = [block for block in map(engine.machine.find, _SPIS) if isinstance(block, Stm32F4Spi)]

    def frames() -> int:
        return sum(block.frames for block in spis)

    for letter in "abcdefghi":
        port = engine.machine.find(f"gpio{letter}")
        assert isinstance(port, GpioPort)
        for number in range(16):
            port.line(number).connect(_Pin(f"P{letter.upper()}{number}", frames, sight.selected).moved, number)
    for name in _I2CS:
        tap = engine.machine.find(f"{name}tap")
        assert isinstance(tap, I2cTap)
        tap.record()


def _collect(engine: EmbeddedEngine, sight: Sight) -> None:
    for name in _SPIS:
        block = engine.machine.find(name)
        assert isinstance(block, Stm32F4Spi)
        if block.frames:
            sight.frames[name] = block.frames
    for name in _I2CS:
        tap = engine.machine.find(f"{name}tap")
        assert isinstance(tap, I2cTap)
        for transfer in tap.drain():
            for value in _ADDRESS.findall(transfer.text):
                sight.addresses[name, int(value, 16) >> 1] += 1
    sight.unexpected, sight.instructions = engine.diagnostics(), engine.instructions
