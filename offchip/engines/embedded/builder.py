# SPDX-License-Identifier: Apache-2.0
"""Builds the tree of Python twins a platform description asks for, and wires it.

Error codes as in Renode: E04 unknown class, E13 unknown interrupt property, E21 missing address or size, E25 attributes
that do not fit the class, E30 cycle, E36 missing file, E38 the class refused its attributes, E39 registration conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from offchip.engines.embedded import (
    cortex_m,  # noqa: F401  registers CPU.CortexM
    nvic,  # noqa: F401  registers IRQControllers.NVIC
    peripherals,  # noqa: F401  registers every twin
    reflection,
)
from offchip.engines.embedded.peripheral import MODELS, Line, Machine, Peripheral
from offchip.engines.embedded.reflection import Refused, snake_case
from offchip.errors import OffchipError
from offchip.platform.command import Argument, FileName, Word, split_command
from offchip.platform.model import (
    BUS,
    Attribute,
    Empty,
    Entry,
    EnumMember,
    ListValue,
    Literal,
    Location,
    MappingValue,
    MonitorLine,
    ObjectValue,
    PlatformDescription,
    Range,
    Reference,
    Sink,
    Unset,
    Value,
)
from offchip.platform.model import Registration as RegistrationEntry

ADDRESS_SPACE = 1 << 32
WRITE_WIDTHS = {"WriteByte": 1, "WriteWord": 2, "WriteDoubleWord": 4}


@dataclass(frozen=True, slots=True)
class Registration:
    """Bytes ``start`` .. ``start + size - 1`` of the bus belong to ``peripheral`` (its region, if it has several)."""

    start: int
    size: int
    peripheral: Peripheral
    region: str | None
    location: Location


@dataclass(frozen=True, slots=True)
class Tag:
    """A constant the bus answers with from ``start`` to ``end`` (inclusive), where nothing is modelled."""

    start: int
    end: int
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class MemoryWrite:
    """To be written once the memories are mapped; ``width`` in bytes."""

    address: int
    width: int
    value: int
    location: Location


@dataclass(frozen=True, slots=True)
class ElfLoad:
    """To be loaded once the memories are mapped."""

    path: Any
    location: Location


@dataclass(slots=True)
class Platform:
    """The finished tree. ``reset_actions`` run, in order, at every reset of the machine."""

    peripherals: dict[str, Peripheral] = field(default_factory=dict)
    by_path: dict[str, Peripheral] = field(default_factory=dict)
    registrations: list[Registration] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    deferred: list[MemoryWrite | ElfLoad] = field(default_factory=list)
    reset_actions: list[Callable[[], Any]] = field(default_factory=list)


def build(description: PlatformDescription, machine: Machine,
          models: Mapping[str, type[Peripheral]] = MODELS) -> Platform:
    """Instantiate, register and wire everything in ``description``.

    Raises:
        PlatformError: the description asks for something that does not exist or does not fit.
    """
    return _Builder(description, machine, models).build()


class _Builder:
    def __init__(self, description: PlatformDescription, machine: Machine,
                 models: Mapping[str, type[Peripheral]]) -> None:
        self._entries = description.entries
        self._machine = machine
        self._models = models
        self._platform = Platform()
        self._under_construction: list[str] = []

    def build(self) -> Platform:
        entries = self._entries.values()
        for entry in entries:
            for line in entry.sections.get("preinit", ()):
                _preinit(line)
        for entry in entries:
            self._construct(entry)
        for entry in entries:
            self._register(entry)
        self._check_overlap()
        for entry in entries:
            self._wire(entry)
        for entry in entries:
            for line in entry.sections.get("init", ()):
                self._init(entry, line)
            for line in entry.sections.get("reset", ()):
                self._platform.reset_actions.append(partial(_perform, self._member_call(entry, line), line))
        return self._platform

    # construction --------------------------------------------------------------------------------------------------
    def _construct(self, entry: Entry) -> None:
        """Make the twin of ``entry``, and first those its attributes name."""
        if entry.name in self._platform.peripherals:
            return
        if entry.name == BUS:
            if entry.attributes or entry.wires or entry.registrations:
                raise entry.location.error("E25", "sysbus is the bus itself; it takes only preinit and init sections")
            return
        if entry.name in self._under_construction:
            circle = " -> ".join([*self._under_construction, entry.name])
            raise entry.location.error("E30", f"the attributes refer to each other in a circle ({circle})")
        self._under_construction.append(entry.name)
        assert entry.type is not None and entry.type_location is not None
        twin = self._instantiate(entry.type, entry.attributes, entry.type_location)
        twin.name = entry.name
        twin.path = self._path(entry)
        self._platform.peripherals[entry.name] = twin
        if entry.registrations:
            self._platform.by_path[twin.path] = twin
        self._under_construction.pop()

    def _path(self, entry: Entry) -> str:
        if not entry.registrations:
            return entry.name
        parent = entry.registrations[0].parent
        return f"{BUS if parent == BUS else self._path(self._entries[parent])}.{entry.name}"

    def _instantiate(self, kind: str, attributes: Mapping[str, Attribute], at: Location) -> Peripheral:
        cls = self._models.get(kind)
        if cls is None:
            raise at.error("E04", f'there is no class "{kind}"{reflection.suggestion(kind, self._models)} here: it '
                                  "is not supported by the embedded engine; leave it out, or use --engine renode")
        known = {p.python_name: p for p in reflection.parameters(cls.__init__, skip=2)}
        arguments: dict[str, Any] = {}
        for attribute in attributes.values():
            parameter = known.get(snake_case(attribute.name))
            if parameter is None:
                names = [p.name for p in known.values()]
                raise attribute.location.error(
                    "E25", f'{kind} has no attribute "{attribute.name}"'
                           f"{reflection.suggestion(attribute.name, names)}; "
                           f"it takes {', '.join(names) if names else 'none'}")
            if isinstance(attribute.value, Unset):
                continue
            try:
                if isinstance(attribute.value, Empty):
                    value = reflection.empty_of(parameter.hint)
                else:
                    value = reflection.coerce(self._value(attribute.value), parameter.hint)
            except Refused as refused:
                raise attribute.value.location.error("E25", f"{attribute.name} of {kind}: {refused}") from None
            arguments[parameter.python_name] = value
        missing = [p.name for p in known.values() if p.required and p.python_name not in arguments]
        if missing:
            raise at.error("E25", f"{kind} also needs {', '.join(missing)}")
        try:
            return cls(self._machine, **arguments)
        except (ValueError, OverflowError, MemoryError, OSError, OffchipError) as error:
            reason = str(error) or "there is not so much memory"
            raise at.error("E38", f"{kind} refused its attributes: {reason}") from error

    def _value(self, value: Value) -> Any:
        if isinstance(value, Literal):
            return value.value
        if isinstance(value, Reference):
            if value.name == BUS:
                raise value.location.error("E25", "sysbus cannot be the value of an attribute")
            self._construct(self._entries[value.name])
            return self._platform.peripherals[value.name]
        if isinstance(value, EnumMember):
            return reflection.Member(value.type, value.member)
        if isinstance(value, ListValue):
            return [self._value(item) for item in value.items]
        if isinstance(value, ObjectValue):
            return self._instantiate(value.type, value.attributes, value.location)
        if isinstance(value, MappingValue):
            raise value.location.error("E25", "a list of names and values is not supported by this reader")
        raise value.location.error("E25", "a range, none or empty cannot stand here")

    # registration --------------------------------------------------------------------------------------------------
    def _register(self, entry: Entry) -> None:
        for registration in entry.registrations or ():
            twin = self._platform.peripherals[entry.name]
            if registration.parent == BUS:
                found = self._on_bus(entry, twin, registration)
                if found is not None:
                    self._platform.registrations.append(found)
                continue
            point = registration.point
            if not (point is None or isinstance(point, Literal)):
                raise point.location.error("E39", f'"{registration.parent}" is not the bus; give a plain number (other '
                                                  "places are not supported by this reader)")
            parent = self._platform.peripherals[registration.parent]
            try:
                parent.attach(twin, None if point is None else point.value)
            except ValueError as error:
                raise registration.location.error(
                    "E39", f'"{entry.name}" cannot be registered at "{parent.name}": {error}') from None

    def _on_bus(self, entry: Entry, twin: Peripheral, registration: RegistrationEntry) -> Registration | None:
        point, region = registration.point, None
        if point is None:
            if (entry.type or "").startswith("CPU."):
                return None
            raise registration.location.error("E21", f'"{entry.name}" has no address; write @ sysbus 0x...')
        if isinstance(point, Range):
            start, size = point.start, point.size
        elif isinstance(point, Literal):
            start, size = _whole(point, "the address"), twin.size
            if not size:
                raise point.location.error("E21", f"{entry.type} has no size of its own; write <start, +size>")
        elif isinstance(point, ObjectValue):
            start, size, region = self._multi_registration(point)
        else:
            raise point.location.error("E39", "a place on the bus other than a number, a range or "
                                              "Bus.BusMultiRegistration is not supported by this reader")
        if start < 0 or start + size > ADDRESS_SPACE:
            raise point.location.error("E39", f'"{entry.name}" does not fit the 32-bit address space')
        return Registration(start, size, twin, region, point.location)

    def _multi_registration(self, point: ObjectValue) -> tuple[int, int, str]:
        if point.type != "Bus.BusMultiRegistration":
            raise point.location.error("E04", f'"{point.type}" is a registration point that is not supported by '
                                              "this reader; use a number, a range or Bus.BusMultiRegistration")
        wanted = ("address", "size", "region")
        for attribute in point.attributes.values():
            if attribute.name not in wanted:
                raise attribute.location.error("E25", f'{point.type} has no attribute "{attribute.name}"; it takes '
                                                      f"{', '.join(wanted)}")
        missing = [name for name in wanted if name not in point.attributes]
        if missing:
            raise point.location.error("E25", f"{point.type} also needs {', '.join(missing)}")
        address, size, region = (point.attributes[name].value for name in wanted)
        if not isinstance(region, Literal) or not isinstance(region.value, str):
            raise region.location.error("E25", 'region is the name of a region, written as "text"')
        length = _whole(size, "size")
        if length <= 0:
            raise size.location.error("E25", "size must be at least 1 byte")
        return _whole(address, "address"), length, region.value

    def _check_overlap(self) -> None:
        ordered = sorted(self._platform.registrations, key=lambda r: r.start)
        for low, high in zip(ordered, ordered[1:], strict=False):
            if low.start + low.size > high.start:
                raise high.location.error(
                    "E39", f'"{high.peripheral.name}" at 0x{high.start:08X} overlaps "{low.peripheral.name}", which '
                           f"occupies 0x{low.start:08X}..0x{low.start + low.size - 1:08X} ({low.location})")

    # wires ---------------------------------------------------------------------------------------------------------
    def _wire(self, entry: Entry) -> None:
        used: set[int] = set()
        for wire in entry.wires.values():
            line = self._output(entry, wire.source, wire.location)
            if id(line) in used:
                raise wire.location.error("E13", f'this output of "{entry.name}" has two names here; keep one')
            used.add(id(line))
            for sink in wire.sinks:
                line.connect(self._input(sink), sink.number)

    def _output(self, entry: Entry, source: str | int | None, at: Location) -> Line:
        twin = self._platform.peripherals[entry.name]
        if isinstance(source, int):
            try:
                return twin.line(source)
            except (ValueError, LookupError) as error:
                raise at.error("E13", f'"{entry.name}" ({entry.type}) has no output {source}: {error}') from None
        line = getattr(twin, snake_case(source or "IRQ"), None)
        if isinstance(line, Line):
            return line
        known = sorted(reflection.pascal_case(n) if n != "irq" else "IRQ"
                       for n, value in vars(twin).items() if isinstance(value, Line))
        raise at.error("E13", f'{entry.type} has no interrupt "{source or "IRQ"}"'
                              f"{reflection.suggestion(source or 'IRQ', known)}; it has {', '.join(known) or 'none'}")

    def _input(self, sink: Sink) -> Callable[[int, bool], None]:
        if sink.receiver == BUS:
            raise sink.location.error("E20", "sysbus receives no signals; name a peripheral")
        target = self._platform.peripherals[sink.receiver]
        if sink.local is not None:
            receiver: Callable[[int], Callable[[int, bool], None]] | None = getattr(target, "receiver", None)
            if receiver is None:
                raise sink.location.error("E20", f'"{sink.receiver}" has no local receivers; drop #{sink.local}')
            try:
                return receiver(sink.local)
            except (ValueError, LookupError) as error:
                raise sink.location.error("E20", f'"{sink.receiver}" has no local receiver #{sink.local}: {error}'
                                          ) from None
        if type(target).on_gpio is Peripheral.on_gpio:
            raise sink.location.error("E20", f'"{sink.receiver}" ({target.model_name}) receives no signals')
        return target.on_gpio

    # sections ------------------------------------------------------------------------------------------------------
    def _init(self, entry: Entry, line: MonitorLine) -> None:
        if entry.name == BUS:
            self._bus_command(line)
            return
        _perform(self._member_call(entry, line), line)

    def _member_call(self, entry: Entry, line: MonitorLine) -> Callable[[], Any]:
        if entry.name == BUS:
            raise line.location.error("E00", "sysbus has no reset section here; use the one of a peripheral")
        name, *arguments = split_command(line)
        values = [_plain(a, line) for a in arguments]
        try:
            return reflection.bind(self._platform.peripherals[entry.name], name.word, values)
        except Refused as refused:
            raise line.location.error("E00", str(refused)) from None

    def _bus_command(self, line: MonitorLine) -> None:
        name, *arguments = split_command(line)
        values = [a.value for a in arguments]
        match name.word, values:
            case "Tag", [Range() as span, str(label), int(value)]:
                self._platform.tags.append(Tag(span.start, span.start + span.size - 1, label, value))
            case "Tag", [Range() as span, str(label)]:
                self._platform.tags.append(Tag(span.start, span.start + span.size - 1, label, 0))
            case "SilenceRange", [Range() as span]:
                self._platform.tags.append(Tag(span.start, span.start + span.size - 1, "silenced", 0))
            case ("WriteByte" | "WriteWord" | "WriteDoubleWord") as command, [int(address), int(value)]:
                width = WRITE_WIDTHS[command]
                if not 0 <= value < 1 << 8 * width:
                    raise arguments[1].location.error("E00", f"{command} takes a value of {width} byte(s)")
                if not 0 <= address <= ADDRESS_SPACE - width:
                    raise arguments[0].location.error("E00", "the address is outside the 32-bit address space")
                self._platform.deferred.append(MemoryWrite(address, width, value, line.location))
            case "LoadELF", [FileName() as file]:
                path = file.relative_to(line.location.file.parent)
                _must_exist(path, file, arguments[0].location)
                self._platform.deferred.append(ElfLoad(path, line.location))
            case _:
                raise line.location.error(
                    "E00", f'"{line.text}" is a command of sysbus that is not supported by this reader; use Tag '
                           '<first, last> "NAME" value, SilenceRange <start size>, '
                           "WriteByte, WriteWord or WriteDoubleWord address value, or LoadELF @file")


def _perform(call: Callable[[], Any], line: MonitorLine) -> None:
    try:
        call()
    except Refused as refused:
        raise line.location.error("E00", str(refused)) from None


def _preinit(line: MonitorLine) -> None:
    """Renode compiles the class here; its twin is already registered, so only the file is checked."""
    name, *arguments = split_command(line)
    file = arguments[0].value if len(arguments) == 1 else None
    if name.word not in ("include", "i") or not isinstance(file, FileName) or not file.name.endswith(".cs"):
        raise line.location.error("E00", f'"{line.text}" is not understood in preinit; only include @file.cs is')
    _must_exist(file.relative_to(line.location.file.parent), file, arguments[0].location)


def _must_exist(path: Any, file: FileName, at: Location) -> None:
    if not path.is_file():
        raise at.error("E36", f'there is no file "{file.name}" relative to the folder of this file')


def _plain(argument: Argument, line: MonitorLine) -> Any:
    value = argument.value
    if isinstance(value, FileName) and not value.name.startswith("$"):
        return value.relative_to(line.location.file.parent)
    if isinstance(value, Word):
        return value.text
    if isinstance(value, str | int | float | bool):
        return value
    raise argument.location.error("E00", "only numbers, texts, names, true, false and @files can stand here")


def _whole(value: Value, what: str) -> int:
    if isinstance(value, Literal) and isinstance(value.value, int) and not isinstance(value.value, bool):
        return value.value
    raise value.location.error("E39", f"{what} must be a whole number")
