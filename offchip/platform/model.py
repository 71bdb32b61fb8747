# SPDX-License-Identifier: Apache-2.0
"""What a platform description says, once its files are read and its updates are merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from offchip.errors import PlatformError

BUS = "sysbus"


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, code: str, sentence: str) -> PlatformError:
        """The error at this place; ``code`` is the one Renode gives for the same mistake."""
        return PlatformError(f"{self}: {code} {sentence}")


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text or a truth value."""

    value: int | float | str | bool
    location: Location


@dataclass(frozen=True, slots=True)
class Unset:
    """``none``: takes an attribute back, as if it had never been given."""

    location: Location


@dataclass(frozen=True, slots=True)
class Empty:
    """``empty``: the neutral value of the attribute's type."""

    location: Location


@dataclass(frozen=True, slots=True)
class Reference:
    """Another entry, by name."""

    name: str
    location: Location


@dataclass(frozen=True, slots=True)
class EnumMember:
    """``Type.Member``, or ``.Member`` with the type left to the attribute."""

    type: str
    member: str
    location: Location


@dataclass(frozen=True, slots=True)
class ListValue:
    items: tuple[Value, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class MappingValue:
    """``{ "name": value; ... }``"""

    items: tuple[tuple[str, Value], ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Range:
    """``<start, end>`` or ``<start, +size>``; ``size`` in bytes."""

    start: int
    size: int
    location: Location


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    value: Value
    location: Location


@dataclass(frozen=True, slots=True)
class ObjectValue:
    """``new Type { attributes }``"""

    type: str
    attributes: dict[str, Attribute]
    location: Location


Value = Literal | Unset | Empty | Reference | EnumMember | ListValue | MappingValue | Range | ObjectValue


@dataclass(frozen=True, slots=True)
class Registration:
    """``@ parent point``"""

    parent: str
    point: Literal | Range | ObjectValue | ListValue | EnumMember | None
    location: Location


@dataclass(frozen=True, slots=True)
class Sink:
    """Input ``number`` of ``receiver``, or of its local receiver (``syscfg#0@4``)."""

    receiver: str
    local: int | None
    number: int
    location: Location


@dataclass(frozen=True, slots=True)
class Wire:
    """One output and everything it drives; ``source`` is a name, a number, or None for the default output."""

    source: str | int | None
    sinks: tuple[Sink, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class MonitorLine:
    """One raw line of a ``preinit``, ``init`` or ``reset`` section."""

    text: str
    location: Location


@dataclass(slots=True)
class Entry:
    """Everything known about one name.

    ``registrations``: None when no file says where it goes. ``alias``: the name it has on the bus instead of its own.
    ``appended``: the sections (``init add:``) that go behind those of earlier entries instead of replacing them.
    """

    name: str
    location: Location
    type: str | None = None
    type_location: Location | None = None
    registrations: tuple[Registration, ...] | None = None
    attributes: dict[str, Attribute] = field(default_factory=dict)
    wires: dict[str | int | None, Wire] = field(default_factory=dict)
    sections: dict[str, tuple[MonitorLine, ...]] = field(default_factory=dict)
    appended: set[str] = field(default_factory=set)
    alias: str | None = None

    def update(self, other: Entry) -> None:
        """Let a later entry of the same name override attribute by attribute, output by output, section by section."""
        if other.registrations is not None:
            self.registrations = other.registrations
        self.attributes |= other.attributes
        self.wires |= other.wires
        for kind, lines in other.sections.items():
            self.sections[kind] = self.sections.get(kind, ()) + lines if kind in other.appended else lines
        self.alias = other.alias or self.alias


@dataclass(slots=True)
class PlatformDescription:
    """Entries in the order of their declaration; the bus itself is the entry ``sysbus``."""

    entries: dict[str, Entry]
    files: tuple[Path, ...]
