# SPDX-License-Identifier: Apache-2.0
"""What a scenario file says. Every mistake is one sentence with the file and the field."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offchip.errors import OffchipError

_UART = re.compile(r"usart[1236]|uart[45]|semihosting|swo")
#: consoles that are heard through a debugger
BY_DEBUGGER = ("semihosting", "swo")
#: bytes of a card: each attack holds what was on it before and behind
_MOST_CARD = 1 << 30
_PIN = re.compile(r"P([A-I])(\d|1[0-5])")
_LONGEST_S = 600.0
#: shorter than this, and a credential occurs by chance
_SHORTEST = 4


class ScenarioError(OffchipError):
    """A scenario file is missing or wrong; the message starts with its path."""


@dataclass(frozen=True, slots=True)
class Card:
    """An SD card. ``image``: its content, None: blank; ``bus``: spi1 to spi3; ``select``: its port and pin;
    ``high_capacity``: SDHC, addressed by blocks, as any above 2 GiB is."""

    image: Path | None
    bus: str
    select: tuple[str, int]
    size: int
    high_capacity: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """An EEPROM of the 24 series. ``bus``: i2c1 to i2c3; ``address``: 7 bits; sizes in bytes."""

    image: Path | None
    bus: str
    address: int
    size: int
    page: int


@dataclass(frozen=True, slots=True)
class Secret:
    """Something nobody else may learn. ``name``: what reports call it; the content itself appears in none."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Scenario:
    """One device with its surroundings.

    Attributes:
        images: firmware, as ``offchip boot`` takes it. vectors: where its vector table lies, 0: as the chip starts.
        uart: the console. success: what a line of it looks like when the device works (regular expression).
        within_s: virtual seconds in which it must come. typed: (seconds, text) typed on the console.
        skip: attacks that are not fired, by id.
    """

    path: Path
    images: tuple[Path, ...]
    vectors: int
    uart: str
    success: re.Pattern[str]
    within_s: float
    typed: tuple[tuple[float, str], ...]
    card: Card | None
    chip: Chip | None
    secrets: tuple[Secret, ...]
    skip: frozenset[str]

    @property
    def media(self) -> tuple[str, ...]:
        """Names of the engine's media that are there."""
        return ("sdcard",) * (self.card is not None) + ("eeprom",) * (self.chip is not None)


class _Table:
    """One table of the file; what nobody asked for is a mistake."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self._path, self._name, self._values, self._asked = path, name, values, set[str]()

    def error(self, field: str, sentence: str) -> ScenarioError:
        place = f"[{self._name}] {field}" if self._name else field
        return ScenarioError(f"{self._path}: {place}: {sentence}")

    def get(self, field: str, kind: type[Any] | tuple[type[Any], ...], default: Any = None) -> Any:
        """The value of a field. Raises ScenarioError when it is missing without a default, or of another kind."""
        self._asked.add(field)
        value = self._values.get(field, default)
        if value is None:
            raise self.error(field, "it is missing; `offchip init` writes a file with every field")
        if not isinstance(value, kind) or isinstance(value, bool) and bool not in _kinds(kind):
            wanted = " or ".join(_WORDS[each] for each in _kinds(kind))
            raise self.error(field, f"{value!r} is not {wanted}")
        return value

    def texts(self, field: str, default: list[str] | None = None) -> list[str]:
        """A list of texts."""
        values = self.get(field, list, default)
        for each in values:
            if not isinstance(each, str):
                raise self.error(field, f"{each!r} is not a text; write it in quotes")
        return [str(each) for each in values]

    def table(self, field: str) -> _Table | None:
        """A table inside; None when it is not there."""
        self._asked.add(field)
        if field not in self._values:
            return None
        if not isinstance(self._values[field], dict):
            raise self.error(field, "it is a table; write its fields below a line of its own in [brackets]")
        return _Table(self._path, f"{self._name}.{field}" if self._name else field, self._values[field])

    def finish(self) -> None:
        """Raises ScenarioError for a field nobody knows."""
        for field in self._values:
            if field not in self._asked:
                raise self.error(field, f"there is no such field; known here are {', '.join(sorted(self._asked))}")


_WORDS = {str: "a text", int: "a whole number", float: "a number", list: "a list", bool: "true or false"}


def _kinds(kind: type[Any] | tuple[type[Any], ...]) -> tuple[type[Any], ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def read_scenario(path: Path) -> Scenario:
    """Read and check a scenario file; files it names are relative to it.

    Raises:
        ScenarioError: it cannot be read, or a field is wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); `offchip init FIRMWARE` writes one.") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: it is not UTF-8 text; `offchip init FIRMWARE` writes one.") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: not TOML: {error}.") from None
    root = _Table(path, "", values)
    firmware, console = _needed(root, "firmware"), _needed(root, "console")
    images = tuple(path.parent / each for each in firmware.texts("images"))
    if not images:
        raise firmware.error("images", "the list is empty; name the firmware")
    vectors = firmware.get("vectors", int, 0)
    if not 0 <= vectors < 1 << 32 or vectors % 0x200:
        raise firmware.error("vectors", f"0x{vectors:X} cannot hold a vector table; its address is a multiple of 0x200")
    firmware.finish()
    media = root.table("media")
    card = _card(path, media.table("sd")) if media else None
    chip = _chip(path, media.table("eeprom")) if media else None
    if media:
        media.finish()
    uart, success, within_s, typed = _console(console)
    secrets = _secrets(path, root.table("credentials"))
    attacks = root.table("attacks")
    skip = frozenset(attacks.texts("skip", [])) if attacks else frozenset()
    if attacks:
        attacks.finish()
    root.finish()
    return Scenario(path, images, vectors, uart, success, within_s, typed, card, chip, secrets, skip)


def _needed(root: _Table, name: str) -> _Table:
    table = root.table(name)
    if table is None:
        raise root.error(f"[{name}]", "this table is missing; `offchip init` writes a file with every one")
    return table


def _console(table: _Table) -> tuple[str, re.Pattern[str], float, tuple[tuple[float, str], ...]]:
    uart, success = table.get("uart", str), table.get("success", str)
    if not _UART.fullmatch(uart):
        raise table.error("uart", f"there is no '{uart}'; it is one of usart1, usart2, usart3, uart4, uart5, usart6, "
                          "or semihosting or swo, for what a debugger hears")
    try:
        pattern = re.compile(success)
    except re.error as error:
        raise table.error("success", f"'{success}' is no regular expression ({error})") from None
    if pattern.search(""):
        raise table.error("success", "it matches every line; write what only a working device says")
    within_s = float(table.get("within", (int, float), 5.0))
    if not 0 < within_s <= _LONGEST_S:
        raise table.error("within", f"{within_s:g} is not between 0 and {_LONGEST_S:g} seconds")
    typed = []
    for each in table.get("type", list, []):
        at, text = each if isinstance(each, list) and len(each) == 2 else (None, None)
        if not isinstance(at, int | float) or not isinstance(text, str) or at < 0:
            raise table.error("type", f"{each!r} is not [seconds, \"text\"]")
        typed.append((float(at), text))
    table.finish()
    return uart, pattern, within_s, tuple(sorted(typed))


def _image(path: Path, table: _Table) -> Path | None:
    name = table.get("image", str, "")
    return path.parent / name if name else None


def _card(path: Path, table: _Table | None) -> Card | None:
    if table is None:
        return None
    image, bus = _image(path, table), table.get("bus", str, "spi1")
    if bus not in ("spi1", "spi2", "spi3"):
        raise table.error("bus", f"there is no '{bus}'; it is spi1, spi2 or spi3")
    select = _PIN.fullmatch(table.get("select", str, "PA4"))
    if select is None:
        raise table.error("select", "it is the pin of the card's chip select, like PA4 or PB12")
    size = _image_size(table, image) or table.get("size", int, 16 << 20)
    table.get("size", int, size)
    if size < 1 << 20 or size % (512 << 10):
        raise table.error("size", f"{size} bytes is no card; give a multiple of 524288, at least 1048576")
    if size > _MOST_CARD:
        raise table.error("image" if image else "size", f"{size} bytes are more than a scenario compares as a whole; "
                          f"give at most {_MOST_CARD >> 20} MB with the same files (`offchip boot --sd` takes any)")
    high_capacity = table.get("high_capacity", bool, False)
    table.finish()
    return Card(image, bus, (select[1].lower(), int(select[2])), size, high_capacity)


def _chip(path: Path, table: _Table | None) -> Chip | None:
    if table is None:
        return None
    image, bus = _image(path, table), table.get("bus", str, "i2c1")
    if bus not in ("i2c1", "i2c2", "i2c3"):
        raise table.error("bus", f"there is no '{bus}'; it is i2c1, i2c2 or i2c3")
    address = table.get("address", int, 0x50)
    if not 0x50 <= address <= 0x57:
        raise table.error("address", f"0x{address:X} is no address of a 24xx; it is 0x50 to 0x57")
    size = _image_size(table, image) or table.get("size", int, 32 << 10)
    table.get("size", int, size)
    page = table.get("page", int, 64)
    for field, value, least, most in (("size", size, 128, 64 << 10), ("page", page, 8, 256)):
        if not least <= value <= most or value & (value - 1):
            raise table.error(field, f"{value} is not a power of two between {least} and {most}")
    table.finish()
    return Chip(image, bus, address, size, page)


def _image_size(table: _Table, image: Path | None) -> int:
    if image is None:
        return 0
    try:
        return image.stat().st_size
    except OSError as error:
        raise table.error("image", f"{image} cannot be read ({error.strerror})") from None


def _secrets(path: Path, table: _Table | None) -> tuple[Secret, ...]:
    if table is None:
        return ()
    found = [Secret(f"text {number}", text.encode()) for number, text in enumerate(table.texts("texts", []), 1)]
    for number, text in enumerate(table.texts("hex", []), 1):
        try:
            found.append(Secret(f"bytes {number}", bytes.fromhex(text)))
        except ValueError:
            raise table.error("hex", f"'{text[:4]}...' is not made of hexadecimal digits") from None
    for name in table.texts("files", []):
        try:
            found.append(Secret(name, (path.parent / name).read_bytes().strip()))
        except OSError as error:
            raise table.error("files", f"{path.parent / name} cannot be read ({error.strerror})") from None
    for each in found:
        if len(each.content) < _SHORTEST:
            raise table.error(each.name, f"it has {len(each.content)} bytes; fewer than {_SHORTEST} occur by chance")
    table.finish()
    return tuple(found)
