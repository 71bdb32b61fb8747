# SPDX-License-Identifier: Apache-2.0
"""From a platform description to a wired tree of twins, on small classes made for the purpose."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from offchip.engines.embedded.builder import ElfLoad, MemoryWrite, Platform, Tag, build
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.peripheral import MODELS, Line, Machine, Peripheral
from offchip.engines.embedded.reflection import Refused, bind, members, snake_case
from offchip.errors import MediumError, PlatformError
from offchip.platform.reader import read_platform_text


class Series(Enum):
    F4 = 4
    F7 = 7


class Block(Peripheral):
    model_name = "T.Block"

    def __init__(self, machine: Machine, size: int = 0x400, reset_byte: int = 0) -> None:
        super().__init__(machine)
        self.size = size
        self.reset_byte = reset_byte


class Memory(Peripheral):
    """Every kind of attribute there is."""

    model_name = "T.Memory"

    def __init__(self, machine: Machine, size: int, label: str | None = "none", deep: bool = False,
                 ratio: float = 1.0, other: Block | None = None, series: Series = Series.F7,
                 numbers: list[int] | None = None, page_size: int = 64) -> None:
        super().__init__(machine)
        if size < 0:
            raise ValueError("size must not be negative")
        self.size, self.label, self.deep, self.ratio, self.other = size, label, deep, ratio, other
        self.series, self.numbers, self.page_size = series, numbers, page_size


class Irqs(Peripheral):
    model_name = "T.Irqs"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.alarm_irq = Line()
        self.seen: list[tuple[str, int, bool]] = []

    def on_gpio(self, number: int, level: bool) -> None:
        self.seen.append(("direct", number, level))

    def receiver(self, index: int) -> Callable[[int, bool], None]:
        if index > 3:
            raise ValueError("there are four")
        return lambda number, level: self.seen.append((f"local {index}", number, level))


class Bus(Peripheral):
    model_name = "T.Bus"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.children: list[tuple[Peripheral, Any]] = []

    def attach(self, child: Peripheral, point: Any) -> None:
        if any(p == point for _, p in self.children):
            raise ValueError(f"there is already something at {point}")
        self.children.append((child, point))


class Device(Peripheral):
    """Members for files and prompts to reach."""

    model_name = "T.Device"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.torn_bytes = 0
        self.torn_fill = "old"
        self.calls: list[Any] = []
        self._offset = 0

    @property
    def vector_table_offset(self) -> int:
        return self._offset

    @vector_table_offset.setter
    def vector_table_offset(self, value: int) -> None:
        if value % 0x200:
            raise ValueError("must be a multiple of 0x200")
        self._offset = value

    @property
    def commands(self) -> int:
        return len(self.calls)

    def use_image(self, image_file: str) -> None:
        if image_file.endswith("missing"):
            raise MediumError(f"{image_file}: no such image")
        self.calls.append(("image", image_file))

    def write_raw(self, data: bytes) -> None:
        self.calls.append(data)

    def set_active_low(self, number: int, on: bool = True) -> None:
        self.calls.append((number, on))


CLASSES: dict[str, type[Peripheral]] = {c.model_name: c for c in (Block, Memory, Irqs, Bus, Device)}
CLASSES["CPU.Core"] = Irqs


class NoMachine:
    clock = Clock(1_000_000)


def make(text: str, path: Path = Path("t.repl")) -> Platform:
    return build(read_platform_text(text, path), NoMachine(), CLASSES)  # type: ignore[arg-type]


# construction --------------------------------------------------------------------------------------------------------
def test_attributes_become_arguments() -> None:
    text = """
m: T.Memory @ sysbus 0x1000
    size: 0x100
    label: empty
    deep: true
    ratio: 2
    other: later
    series: Series.F4
    numbers: [1, 2]
    PageSize: 32
later: T.Block @ none
"""
    memory = make(text).peripherals["m"]
    assert isinstance(memory, Memory)
    assert (memory.size, memory.label, memory.deep, memory.ratio) == (0x100, "", True, 2.0)
    assert memory.other.name == "later" and memory.series is Series.F4 and memory.numbers == [1, 2]
    assert memory.page_size == 32


def test_short_enumeration_member_and_inline_object() -> None:
    memory = make("m: T.Memory @ none { size: 1; series: .F4; other: new T.Block { size: 7 } }\n").peripherals["m"]
    assert memory.series is Series.F4 and memory.other.size == 7


def test_paths_follow_the_registration() -> None:
    platform = make("b: T.Bus @ sysbus 0\ntap: T.Bus @ b\ncard: T.Device @ tap 5\nfree: T.Device @ none\n")
    assert {n: p.path for n, p in platform.peripherals.items()} == {
        "b": "sysbus.b", "tap": "sysbus.b.tap", "card": "sysbus.b.tap.card", "free": "free"}
    assert platform.by_path["sysbus.b.tap.card"] is platform.peripherals["card"]
    assert platform.peripherals["tap"].children == [(platform.peripherals["card"], 5)]


def test_registrations_of_every_form() -> None:
    platform = make("""
a: T.Block @ { sysbus 0x1000; sysbus 0x2000 }
    size: 0x100
b: T.Block @ sysbus <0x3000, +0x20>
c: T.Block @ sysbus new Bus.BusMultiRegistration { address: 0x4000; size: 0x10; region: "bytes" }
cpu: CPU.Core @ sysbus
""")
    found = [(r.start, r.size, r.peripheral.name, r.region) for r in platform.registrations]
    assert found == [(0x1000, 0x100, "a", None), (0x2000, 0x100, "a", None), (0x3000, 0x20, "b", None),
                     (0x4000, 0x10, "c", "bytes")]


def test_neighbours_do_not_overlap() -> None:
    text = "a: T.Block @ sysbus <0x1000, 0x1100>\nb: T.Block @ sysbus 0x1100\n"
    assert len(make(text).registrations) == 2


# wires ---------------------------------------------------------------------------------------------------------------
def test_wires_reach_their_inputs() -> None:
    platform = make("""
src: T.Irqs @ none
    -> dst@37
    AlarmIRQ -> dst@41
    [0-1] -> dst#2@[4-5]
    7 -> dst@1 | other#0@9
dst: T.Irqs @ none
other: T.Irqs @ none
""")
    src, dst, other = (platform.peripherals[n] for n in ("src", "dst", "other"))
    src.irq.set(True)
    src.alarm_irq.set(True)
    src.line(1).set(True)
    src.line(7).set(True)
    assert dst.seen == [("direct", 37, True), ("direct", 41, True), ("local 2", 5, True), ("direct", 1, True)]
    assert other.seen == [("local 0", 9, True)]


# sections ------------------------------------------------------------------------------------------------------------
def test_bus_commands_become_records(tmp_path: Path) -> None:
    (tmp_path / "fw.elf").write_bytes(b"")
    platform = make("""
sysbus:
    init:
        Tag <0xE0042000, 0xE0042003> "DBGMCU_IDCODE" 0x10076413
        SilenceRange <0x82003000 0x200> # ddrphy
        WriteDoubleWord 0x100 0xFFFFFFFF
        WriteWord 0x104 1_000
        WriteByte 0x106 0x7F
        LoadELF @fw.elf
""", tmp_path / "t.repl")
    assert platform.tags == [Tag(0xE0042000, 0xE0042003, "DBGMCU_IDCODE", 0x10076413),
                             Tag(0x82003000, 0x820031FF, "silenced", 0)]
    writes = [(w.address, w.width, w.value) for w in platform.deferred if isinstance(w, MemoryWrite)]
    assert writes == [(0x100, 4, 0xFFFFFFFF), (0x104, 2, 1000), (0x106, 1, 0x7F)]
    assert [load.path for load in platform.deferred if isinstance(load, ElfLoad)] == [tmp_path / "fw.elf"]


def test_init_lines_reach_the_entry() -> None:
    platform = make('d: T.Device @ none\n    init:\n        SetActiveLow 0\n        SetActiveLow 1 false\n'
                    '        TornBytes 37\n        TornFill "zero"\n        VectorTableOffset 0x08000000\n')
    device = platform.peripherals["d"]
    assert device.calls == [(0, True), (1, False)]
    assert (device.torn_bytes, device.torn_fill, device.vector_table_offset) == (37, "zero", 0x08000000)


def test_reset_lines_run_at_each_reset_only() -> None:
    platform = make("d: T.Device @ none { reset: { SetActiveLow 3 } }\n")
    device = platform.peripherals["d"]
    assert device.calls == []
    for _ in range(2):
        for action in platform.reset_actions:
            action()
    assert device.calls == [(3, True), (3, True)]


def test_include_needs_the_file(tmp_path: Path) -> None:
    (tmp_path / "Model.cs").write_text("")
    text = "d: T.Device @ none\n    preinit:\n        include @Model.cs\n"
    assert make(text, tmp_path / "t.repl").peripherals["d"].path == "d"
    with pytest.raises(PlatformError, match=r"t\.repl:3:17: E36 .*Other\.cs"):
        make(text.replace("Model", "Other"), tmp_path / "t.repl")


# bad input -----------------------------------------------------------------------------------------------------------
D = "d: T.Device @ none\n"
M = "m: T.Memory @ none\n    size: 1\n"
BAD = [
    ("a: T.Devise @ none\n", 1, 4, "E04", "did you mean T.Device?"),
    ("m: SPI.SPIMultiplexer @ none\n", 1, 4, "E04", '"SPI.SPIMultiplexer"'),
    ("m: T.Memory @ none\n", 1, 4, "E25", "also needs size"),
    (M + "    colour: 1\n", 3, 5, "E25", "it takes size, label, deep"),
    (M + "    pageSise: 1\n", 3, 5, "E25", "did you mean pageSize?"),
    (M + '    pageSize: "64"\n', 3, 15, "E25", "a whole number is expected"),
    (M + "    pageSize: true\n", 3, 15, "E25", "true does not fit"),
    (M + "    deep: 1\n", 3, 11, "E25", "true or false is expected"),
    (M + "    label: 5\n", 3, 12, "E25", 'a "text" is expected'),
    (M + "    ratio: true\n", 3, 12, "E25", "a number is expected"),
    (M + "    series: Series.F9\n", 3, 13, "E25", "F4 or F7 is expected"),
    (M + "    numbers: 1\n", 3, 14, "E25", "a list is expected"),
    (M + '    numbers: [1, "b"]\n', 3, 14, "E25", ""),
    (M + "    other: m2\nm2: T.Device @ none\n", 3, 12, "E25", "a T.Block is expected"),
    (M + "    other: sysbus\n", 3, 12, "E25", "sysbus cannot be"),
    (M + "    other: empty\n    series: empty\n", 4, 13, "E25", "no empty value"),
    ("m: T.Memory @ none\n    size: -1\n", 1, 4, "E38", "must not be negative"),
    ("m: T.Memory @ none { size: 1; other: m }\n", 1, 1, "E30", "m -> m"),
    ("sysbus:\n    size: 1\n", 1, 1, "E25", "sysbus is the bus itself"),
    (D + "    Irq2 -> d2@0\nd2: T.Irqs @ none\n", 2, 5, "E13", 'no interrupt "Irq2"'),
    ("s: T.Irqs @ none\n    AlarmIrq2 -> s@0\n", 2, 5, "E13", "it has AlarmIrq, IRQ"),
    ("s: T.Irqs @ none\n    -> s@0\n    IRQ -> s@1\n", 3, 5, "E13", "two names"),
    (D + "    -> d@0\n", 2, 8, "E20", "receives no signals"),
    (D + "    -> d#1@0\n", 2, 8, "E20", "no local receivers"),
    ("s: T.Irqs @ none\n    -> s#4@0\n", 2, 8, "E20", "there are four"),
    (D + "    -> sysbus@0\n", 2, 8, "E20", "sysbus receives no signals"),
    ("d: T.Device @ sysbus\n", 1, 15, "E21", "no address"),
    ("m: T.Memory @ sysbus 0x10\n    size: 0\n", 1, 22, "E21", "no size of its own"),
    ("d: T.Device @ sysbus 1.5\n", 1, 22, "E39", "whole number"),
    ("d: T.Device @ sysbus 0xFFFFFFFF\n", 1, 22, "E39", "32-bit address space"),
    ("d: T.Device @ sysbus -4\n", 1, 22, "E39", "32-bit address space"),
    ("d: T.Device @ sysbus new Bus.Point { address: 1 }\n", 1, 22, "E04", "Bus.BusMultiRegistration"),
    ("d: T.Device @ sysbus new Bus.BusMultiRegistration { address: 1; size: 4 }\n", 1, 22, "E25", "needs region"),
    ("d: T.Device @ sysbus new Bus.BusMultiRegistration { adress: 1 }\n", 1, 53, "E25", "address, size, region"),
    ('d: T.Device @ sysbus new Bus.BusMultiRegistration { address: 1; size: 0; region: "a" }\n', 1, 71, "E25", ""),
    ("a: T.Block @ sysbus 0x1000\nb: T.Block @ sysbus 0x13FF\n", 2, 21, "E39", 'overlaps "a"'),
    ("a: T.Block @ { sysbus 0x0; sysbus 0x10 }\n", 1, 35, "E39", 'overlaps "a"'),
    ("b: T.Bus @ sysbus 0\nc: T.Device @ b 1\nd: T.Device @ b 1\n", 3, 15, "E39", "already something at 1"),
    ("b: T.Bus @ sysbus 0\nc: T.Device @ b <1, +2>\n", 2, 17, "E39", "plain number"),
    (D + "e: T.Device @ d\n", 2, 15, "E39", "takes no children"),
    (D + "    init:\n        Explode\n", 3, 9, "E00", "has no Explode"),
    (D + "    init:\n        TornBites 1\n", 3, 9, "E00", "did you mean TornBytes?"),
    (D + '    init:\n        TornBytes "many"\n', 3, 9, "E00", "a whole number is expected"),
    (D + '    init:\n        WriteRaw "C0FFE"\n', 3, 9, "E00", "hexadecimal"),
    (D + "    init:\n        SetActiveLow\n", 3, 9, "E00", "takes number [on]"),
    (D + "    init:\n        Commands 3\n", 3, 9, "E00", "can only be read"),
    (D + "    init:\n        VectorTableOffset 1\n", 3, 9, "E00", "multiple of 0x200"),
    (D + '    init:\n        UseImage "missing"\n', 3, 9, "E00", "no such image"),
    (D + "    init:\n        OnGpio 1 true\n", 3, 9, "E00", "has no OnGpio"),
    (D + "    reset:\n        Explode\n", 3, 9, "E00", "has no Explode"),
    (D + '    init:\n        TornFill "zero\n', 3, 18, "E00", "close every quote"),
    (D + "    preinit:\n        TornBytes 1\n", 3, 9, "E00", "only include"),
    (D + "    preinit:\n        include @x.py\n", 3, 9, "E00", "only include"),
    ("sysbus:\n    init:\n        Silence\n", 3, 9, "E00", "not supported by this reader"),
    ("sysbus:\n    init:\n        WriteByte 0 0x100\n", 3, 21, "E00", "1 byte(s)"),
    ("sysbus:\n    init:\n        WriteWord 0xFFFFFFFF 1\n", 3, 19, "E00", "32-bit"),
    ("sysbus:\n    init:\n        LoadELF @gone.elf\n", 3, 17, "E36", "gone.elf"),
    ("sysbus:\n    reset:\n        WriteByte 0 1\n", 3, 9, "E00", "no reset section"),
]


@pytest.mark.parametrize(("text", "line", "column", "code", "part"), BAD)
def test_bad_platform_is_named_with_its_place(text: str, line: int, column: int, code: str, part: str) -> None:
    with pytest.raises(PlatformError) as caught:
        make(text)
    message = str(caught.value)
    assert message.startswith(f"t.repl:{line}:{column}: {code} "), message
    assert part in message and "\n" not in message


# names and members ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("renode", "python"), [
    ("PerformanceInMips", "performance_in_mips"), ("IRQ", "irq"), ("AlarmIRQ", "alarm_irq"), ("code0", "code0"),
    ("highCapacity", "high_capacity"), ("writeCycleUs", "write_cycle_us"), ("ReadBlockHex", "read_block_hex"),
    ("EventInterrupt", "event_interrupt"), ("DebugSetRdp", "debug_set_rdp"),
])
def test_renode_names(renode: str, python: str) -> None:
    assert snake_case(renode) == python


def test_members_leave_out_the_machinery() -> None:
    assert members(Device(NoMachine())) == [  # type: ignore[arg-type]
        "Calls", "Commands", "PowerOff", "PowerOn", "Reset", "SetActiveLow", "TornBytes", "TornFill", "UseImage",
        "VectorTableOffset", "WriteRaw"]


def test_binding_checks_before_it_acts() -> None:
    device = Device(NoMachine())  # type: ignore[arg-type]
    with pytest.raises(Refused):
        bind(device, "SetActiveLow", ["zero"])
    set_it = bind(device, "TornBytes", [5])
    assert device.torn_bytes == 0
    set_it()
    assert bind(device, "TornBytes", [])() == 5 and device.calls == []


def test_bytes_are_written_as_hexadecimal_text() -> None:
    device = Device(NoMachine())  # type: ignore[arg-type]
    bind(device, "WriteRaw", ["C0 FFEE"])()
    assert device.calls == [b"\xC0\xFF\xEE"]


# the real twins ------------------------------------------------------------------------------------------------------
def test_every_class_of_the_board_has_a_twin() -> None:
    from offchip.platform.reader import read_platform

    root = Path(__file__).resolve().parent.parent
    board = read_platform(root / "platforms" / "offchip-board.repl")
    assert {e.type for e in board.entries.values() if e.type} <= set(MODELS)
