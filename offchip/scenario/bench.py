# SPDX-License-Identifier: Apache-2.0
"""The board a scenario describes, and one life of the device on it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from offchip.engines.protocol import Engine, RunResult
from offchip.engines.select import make_engine
from offchip.errors import MediumError
from offchip.paths import BOARD
from offchip.scenario.model import BY_DEBUGGER, Card, Chip, Scenario

_SLICE_NS = 1_000_000
_SEED = 1
_MODELS = ("OffchipHost", "OffchipTerminal", "SdRegisters", "SdStorage", "SdLock", "SdCardSpi", "SpiTap",
           "Stm32F4I2c", "Eeprom24xx256", "I2cTap")
_I2C = {"i2c1": (0x40005400, 31, 32), "i2c2": (0x40005800, 33, 34), "i2c3": (0x40005C00, 72, 73)}


def describe_board(scenario: Scenario) -> str:
    """The ``.repl`` of the scenario's board: the chip, and what the scenario hangs on its buses."""
    lines = [f'using "{BOARD.parent / "stm32f405.repl"}"', "", *chip_lines()]
    if scenario.card is not None:
        lines += _card_lines(scenario.card)
    if scenario.chip is not None:
        lines += _chip_lines(scenario.chip)
    return "\n".join(lines) + "\n"


def chip_lines() -> list[str]:
    """What the chip has beside what its own description declares: the I2C blocks."""
    lines = []
    for name, (address, event, error) in _I2C.items():
        lines += [f"{name}: Offchip.Stm32F4I2c @ sysbus 0x{address:08X}", f"    EventInterrupt -> nvic@{event}",
                  f"    ErrorInterrupt -> nvic@{error}"]
        if name == "i2c1":  # Renode compiles the models once, with the first that needs them
            folder = re.sub(r"(\s)", r"\\\1", f"{BOARD.parent}")  # as the monitor reads a path with spaces
            lines += ["    preinit:", *(f"        include @{folder}/peripherals/{each}.cs" for each in _MODELS)]
        lines.append("")
    return lines


def _card_lines(card: Card) -> list[str]:
    port, pin = card.select
    return [f"tap: Offchip.SpiTap @ {card.bus}", "", "sdcard: Offchip.SdCardSpi @ tap",
            f"    capacity: 0x{card.size:X}", *["    highCapacity: true"] * card.high_capacity, "", f"gpio{port}:",
            f"    {pin} -> syscfg#{'abcdefghi'.index(port)}@{pin} | tap@0", ""]


def _chip_lines(chip: Chip) -> list[str]:
    return [f"eeprom: Offchip.Eeprom24xx256 @ {chip.bus} 0x{chip.address:02X}", f"    size: 0x{chip.size:X}",
            f"    pageSize: {chip.page}", "", f"i2ctap: Offchip.I2cTap @ {chip.bus}", ""]


@dataclass
class Life:
    """A device on its board, and all it said."""

    scenario: Scenario
    engine: Engine
    said: dict[str, bytearray] = field(default_factory=dict)
    _typed: int = 0
    _since_ns: int = 0

    def start(self) -> None:
        """Power on, or off and on again; the console is typed on anew."""
        self.engine.power_off()
        self.engine.run(100_000_000)
        self.said.clear()
        self._typed, self._since_ns = 0, self.engine.now_ns
        self.engine.power_on()

    def lines(self, uart: str) -> list[str]:
        """What a UART said since the start."""
        return self.said.get(uart, b"").decode("utf-8", "backslashreplace").splitlines()

    @property
    def succeeded(self) -> bool:
        """Whether the console has said that the device works."""
        return any(self.scenario.success.search(line) for line in self.lines(self.scenario.uart))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let virtual time pass, typing what the scenario types."""
        end_ns = self.engine.now_ns + round(seconds * 1e9)
        while self.engine.now_ns < end_ns and not until():
            self._type()
            self._hear(self.engine.run(min(_SLICE_NS, end_ns - self.engine.now_ns), _SLICE_NS))

    def works(self) -> bool:
        """Run for as long as the scenario allows; whether the device said that it works."""
        self.run(self.scenario.within_s, lambda: self.succeeded)
        return self.succeeded

    def _type(self) -> None:
        typed = self.scenario.typed
        while self._typed < len(typed) and self.engine.now_ns - self._since_ns >= typed[self._typed][0] * 1e9:
            self.engine.feed_uart(self.scenario.uart, typed[self._typed][1].encode())
            self._typed += 1

    def _hear(self, result: RunResult) -> None:
        for byte in result.uart:
            self.said.setdefault(byte.uart, bytearray()).append(byte.value)


@contextmanager
def alive(scenario: Scenario, engine_name: str = "embedded", seed: int = _SEED,
          media: dict[str, bytes] | None = None) -> Iterator[Life]:
    """A device as it leaves its maker, powered off. ``media``: content other than the scenario's.

    Raises:
        OffchipError: firmware, board or media are not usable; one sentence.
    """
    with tempfile.TemporaryDirectory(prefix="offchip-scenario-") as folder:
        platform = Path(folder) / "board.repl"
        platform.write_text(describe_board(scenario), encoding="utf-8")
        engine = make_engine(engine_name, platform, seed, scenario.images[0])
    try:
        for each in scenario.images[1:]:
            engine.load_elf(each)
        if scenario.uart in BY_DEBUGGER:
            engine.attach_debugger()
        if scenario.vectors:
            engine.start_at(scenario.vectors)
        for name, content in (initial_media(scenario) if media is None else media).items():
            engine.medium(name).write(0, content)
        yield Life(scenario, engine)
    finally:
        engine.close()


def initial_media(scenario: Scenario) -> dict[str, bytes]:
    """What lies on the media at first. Raises MediumError when an image cannot be read."""
    found = {}
    for name, part, blank in (("sdcard", scenario.card, b"\0"), ("eeprom", scenario.chip, b"\xFF")):
        if part is None:
            continue
        try:
            found[name] = part.image.read_bytes() if part.image is not None else blank * part.size
        except OSError as error:
            raise MediumError(f"{part.image}: cannot be read ({error.strerror}); name another image.") from None
    return found
