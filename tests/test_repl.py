# SPDX-License-Identifier: Apache-2.0
"""The reader of platform descriptions: what good files mean, and one clear sentence for each kind of bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from offchip.errors import PlatformError
from offchip.platform.model import (
    Empty,
    EnumMember,
    ListValue,
    Literal,
    MappingValue,
    ObjectValue,
    PlatformDescription,
    Range,
)
from offchip.platform.reader import PlatformReader, read_platform, read_platform_text

ROOT = Path(__file__).resolve().parent.parent


def read(text: str) -> PlatformDescription:
    return read_platform_text(text, Path("t.repl"))


def value(text: str) -> object:
    found = read(f"a: T.A @ none\n    x: {text}\n").entries["a"].attributes["x"].value
    return found.value if isinstance(found, Literal) else found


@pytest.fixture(scope="module")
def board() -> PlatformDescription:
    return read_platform(ROOT / "platforms" / "offchip-board.repl")


def sinks(description: PlatformDescription, name: str, source: str | int | None) -> list[tuple[str, int | None, int]]:
    return [(s.receiver, s.local, s.number) for s in description.entries[name].wires[source].sinks]


# the board -----------------------------------------------------------------------------------------------------------
def test_board_declares_every_part(board: PlatformDescription) -> None:
    types = {e.name: e.type for e in board.entries.values()}
    assert types == {
        "sysbus": None, "code0": "Memory.MappedMemory", "nvm": "Offchip.NvmSectors", "code1": "Memory.MappedMemory",
        "flash": "Offchip.Stm32F4Flash", "otp": "Memory.ArrayMemory", "sysinfo": "Memory.ArrayMemory",
        "ccm": "Memory.MappedMemory", "sram": "Memory.MappedMemory", "bkpsram": "Memory.MappedMemory",
        "nvic": "IRQControllers.NVIC", "cpu": "CPU.CortexM", "dwt": "Miscellaneous.DWT", "rtc": "Timers.STM32F4_RTC",
        "rcc": "Miscellaneous.STM32F4_RCC", "pwr": "Miscellaneous.STM32_PWR",
        "iwdg": "Timers.STM32_IndependentWatchdog", "syscfg": "Miscellaneous.STM32_SYSCFG",
        "exti": "IRQControllers.STM32F4_EXTI", "exti9_5": "Miscellaneous.CombinedInput",
        "exti15_10": "Miscellaneous.CombinedInput", "gpioa": "GPIOPort.STM32_GPIOPort",
        "gpiob": "GPIOPort.STM32_GPIOPort", "gpioc": "GPIOPort.STM32_GPIOPort", "gpiod": "GPIOPort.STM32_GPIOPort",
        "usart1": "UART.STM32_UART", "usart2": "UART.STM32_UART", "spi1": "Offchip.Stm32F4Spi",
        "rng": "Offchip.Stm32F4Rng", "tap": "Offchip.SpiTap", "sdcard": "Offchip.SdCardSpi",
        "hall": "Miscellaneous.Button", "i2c1": "Offchip.Stm32F4I2c", "eeprom": "Offchip.Eeprom24xx256",
        "i2ctap": "Offchip.I2cTap",
        **{f"gpio{port}": "GPIOPort.STM32_GPIOPort" for port in "efghi"},
        **{name: "UART.STM32_UART" for name in ("usart3", "uart4", "uart5", "usart6")},
        **{f"timer{n}": "Timers.STM32_Timer" for n in range(1, 15)},
        "timer1_up_timer10": "Miscellaneous.CombinedInput", "timer8_up_timer13": "Miscellaneous.CombinedInput",
        "spi2": "Offchip.Stm32F4Spi", "spi3": "Offchip.Stm32F4Spi", "i2c2": "Offchip.Stm32F4I2c",
        "i2c3": "Offchip.Stm32F4I2c", "crc": "CRC.STM32_CRC",
        "dma1": "DMA.STM32DMA", "dma2": "DMA.STM32DMA", "dbgmcu": "Memory.ArrayMemory",
    }
    assert [f.name for f in board.files] == ["stm32f405.repl", "offchip-board.repl"]


def test_board_registrations(board: PlatformDescription) -> None:
    def points(name: str) -> list[tuple[str, object]]:
        return [(r.parent, r.point.value if isinstance(r.point, Literal) else r.point)
                for r in board.entries[name].registrations or ()]

    assert points("code0") == [("sysbus", 0x08000000), ("sysbus", 0)]
    assert points("hall") == [("gpioc", 13)]
    assert points("eeprom") == [("i2c1", 0x50)]
    assert points("sdcard") == [("tap", None)]
    assert board.entries["exti9_5"].registrations == ()
    (_, gpioa), = points("gpioa")
    assert isinstance(gpioa, Range) and (gpioa.start, gpioa.size) == (0x40020000, 0x400)
    plain, (_, option_bytes) = points("flash")
    assert plain == ("sysbus", 0x40023C00)
    assert isinstance(option_bytes, ObjectValue) and option_bytes.type == "Bus.BusMultiRegistration"
    given = {name: a.value.value for name, a in option_bytes.attributes.items() if isinstance(a.value, Literal)}
    assert given == {"address": 0x1FFFC000, "size": 0x10, "region": "optionBytes"}


def test_board_wires(board: PlatformDescription) -> None:
    assert sinks(board, "exti", 4) == [("nvic", None, 10)]
    assert sinks(board, "exti", 15) == [("exti15_10", None, 5)]
    assert sinks(board, "usart1", None) == [("nvic", None, 37)]
    assert sinks(board, "i2c1", "ErrorInterrupt") == [("nvic", None, 32)]
    assert sinks(board, "gpiod", 9) == [("syscfg", 3, 9)]


def test_outputs_and_inputs_in_lists(tmp_path: Path) -> None:
    board = read_platform_text("nvic: A.Nvic @ none\nexti: A.Exti @ none\n"
                               "    [16, Wakeup, 20-22] -> nvic@[1, 41, 2-4]\n", tmp_path / "x.repl")
    assert [sinks(board, "exti", source) for source in (16, "Wakeup", 20, 21, 22)] == [
        [("nvic", None, number)] for number in (1, 41, 2, 3, 4)]


def test_what_renode_s_own_tree_writes(tmp_path: Path) -> None:
    """Hexadecimal inputs, added sections, aliases, classes without a namespace, places and values of every shape."""
    (tmp_path / "platforms/cpus").mkdir(parents=True)
    (tmp_path / "platforms/boards").mkdir()
    (tmp_path / "platforms/cpus/chip.repl").write_text("""
nvic: IRQControllers.NVIC @ sysbus new Bus.BusPointRegistration { address: 0xE000E000; cpu: nvic } as "irqs"
pwm: HiFive_PWM @ sysbus 0x1000
    [0x0-0x2] -> nvic@[0x10-0x12]
    init:
        First
adc: A.Adc @ { nvic RegistrationPeripheralAlias.ADC3; nvic [3, 0] }
    volts: { "off": 0; "on": 3.3 }
""")
    board = tmp_path / "platforms/boards/board.repl"
    board.write_text('using "platforms/cpus/chip.repl"\npwm:\n    init add:\n        Second\n    3 -> nvic#0x1@0x13\n')
    found = read_platform(board)
    assert found.entries["nvic"].alias == "irqs" and found.entries["pwm"].type == "HiFive_PWM"
    assert sinks(found, "pwm", 2) == [("nvic", None, 0x12)] and sinks(found, "pwm", 3) == [("nvic", 1, 0x13)]
    assert [line.text for line in found.entries["pwm"].sections["init"]] == ["First", "Second"]
    volts = found.entries["adc"].attributes["volts"].value
    assert isinstance(volts, MappingValue) and [name for name, _ in volts.items] == ["off", "on"]
    first, second = found.entries["adc"].registrations or ()
    assert isinstance(first.point, EnumMember) and isinstance(second.point, ListValue)


def test_used_files_are_looked_for_along_the_path(tmp_path: Path) -> None:
    (tmp_path / "root/cpus").mkdir(parents=True)
    (tmp_path / "root/cpus/chip.repl").write_text("nvic: A.Nvic @ none\n")
    board = tmp_path / "board.repl"
    for name, found in (("cpus/chip.repl", True), ("./cpus/chip.repl", False)):
        board.write_text(f'using "{name}"\n')
        reader = PlatformReader([tmp_path / "root"])
        if found:
            reader.add_file(board)
            assert "nvic" in reader.finish().entries
        else:
            with pytest.raises(PlatformError, match="E36"):
                reader.add_file(board)


def test_update_overrides_one_wire_and_keeps_the_others(board: PlatformDescription) -> None:
    assert sinks(board, "gpioa", 4) == [("syscfg", 0, 4), ("tap", None, 0)]
    assert sinks(board, "gpioa", 5) == [("syscfg", 0, 5)]
    assert board.entries["gpioa"].attributes["modeResetValue"].value.value == 0xA8000000
    assert board.entries["gpioa"].location.file.name == "stm32f405.repl"
    assert board.entries["gpioa"].wires[4].location.file.name == "offchip-board.repl"


def test_board_sections_keep_their_lines_raw(board: PlatformDescription) -> None:
    lines = board.entries["sysbus"].sections["init"]
    assert lines[0].text == 'Tag <0xE0042000, 0xE0042003> "DBGMCU_IDCODE" 0x10076413'
    source = (ROOT / "platforms" / "stm32f405.repl").read_text().split("\n")
    assert source[lines[0].location.line - 1][lines[0].location.column - 1:] == lines[0].text


def test_sdhc_variant_overrides_capacity() -> None:
    card = read_platform(ROOT / "tests" / "conformance" / "sd" / "sdhc.repl").entries["sdcard"]
    assert {n: a.value.value for n, a in card.attributes.items()} == {"capacity": 0x2000000, "highCapacity": True}
    assert card.type == "Offchip.SdCardSpi"


def test_inline_form_means_the_same_as_the_indented_one() -> None:
    probe = read_platform(ROOT / "tests" / "conformance" / "i2c" / "probe-i2c.repl")
    assert sinks(probe, "gpiob", 5) == [("eeprom", None, 0)]
    assert probe.entries["gpiob"].attributes["modeResetValue"].value.value == 0x280
    assert [line.text for line in probe.entries["sysbus"].sections["init"]] == ["LoadELF @probe.elf"]


# single constructs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "expected"), [
    ("0x1_0000", 0x10000), ("1_000", 1000), ("-5", -5), ("-0x10", -16), ("2.5", 2.5), ("true", True), ("false", False),
    ('"a // b"', "a // b"), (r'"say \"hi\" \\"', r'say "hi" \ '.strip()), ("'''two\nlines /* kept */'''",
                                                                          "two\nlines /* kept */"),
])
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected and type(found) is type(expected)


def test_structured_values() -> None:
    numbers = value("[1, 2, [3]]")
    assert isinstance(numbers, ListValue) and isinstance(numbers.items[2], ListValue)
    assert value("[]").items == ()
    series = value("STM32Series.F4")
    assert isinstance(series, EnumMember) and (series.type, series.member) == ("STM32Series", "F4")
    short = value(".F4")
    assert isinstance(short, EnumMember) and (short.type, short.member) == ("", "F4")
    inner = value("new Memory.ArrayMemory { size: 8192; initialValue: 0xFF }")
    assert isinstance(inner, ObjectValue) and inner.type == "Memory.ArrayMemory" and set(inner.attributes) == {
        "size", "initialValue"}
    assert isinstance(value("empty"), Empty)


def test_none_takes_an_attribute_and_a_wire_back() -> None:
    text = "b: T.B @ none\na: T.A @ sysbus 0x10\n    x: 1\n    y: 2\n    4 -> b@1\n    -> b@0\n"
    entry = read(text + "a: @ none\n    x: none\n    4 -> none\n").entries["a"]
    assert set(entry.attributes) == {"y"} and set(entry.wires) == {None} and entry.registrations == ()


def test_range_by_end_and_by_size_agree() -> None:
    points = [read(f"a: T.A @ sysbus <0x100, {end}>\n").entries["a"].registrations[0].point
              for end in ("0x180", "+0x80")]
    assert [(p.start, p.size) for p in points] == [(0x100, 0x80)] * 2


def test_inline_sections_and_braces_over_several_lines() -> None:
    entry = read('a: T.A @ {\n        sysbus 0x0;\n        sysbus 0x100\n    } { x: 1; init: { Say "a;b"; Stop 1 };\n'
                 "    y: 2 }\n").entries["a"]
    assert [line.text for line in entry.sections["init"]] == ['Say "a;b"', "Stop 1"]
    assert set(entry.attributes) == {"x", "y"} and len(entry.registrations) == 2


def test_comments_may_stand_anywhere() -> None:
    text = ("// first\n/* over\n   lines */\na: T.A @ none // end\n    /* in */ x: 1\n".replace("/* in */ ", "")
            + "\n// between\n    y: /* value */ 2\n/* last */")
    assert {n: a.value.value for n, a in read(text).entries["a"].attributes.items()} == {"x": 1, "y": 2}


def test_windows_line_ends() -> None:
    assert value("1\r") == 1


def test_a_file_used_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "base.repl").write_text("a: T.A @ none\n")
    (tmp_path / "left.repl").write_text('using "./base.repl"\nb: T.B @ none\n')
    (tmp_path / "top.repl").write_text('using "./base.repl"\nusing "./left.repl"\nc: T.C @ none\n')
    assert list(read_platform(tmp_path / "top.repl").entries) == ["a", "b", "c"]


# bad input -----------------------------------------------------------------------------------------------------------
A = "a: T.A @ none\n"
BAD = [
    # text, line, column, code, part of the sentence
    ("a T.A @ none\n", 1, 3, "E00", "':' is expected"),
    (A + "    x: @file\n", 2, 8, "E00", "there is '@file' where a value"),
    (A + "    x:\n", 2, 7, "E00", "the line ends"),
    (A + '    x: "open\n', 2, 8, "E00", "never closed"),
    (A + "    x: 0xZZ\n", 2, 8, "E00", ""),
    (A + "    x: 12ab\n", 2, 8, "E00", ""),
    (A + "    x 1\n", 2, 7, "E00", ""),
    (A + "    x: 1\n    x: 2\n", 3, 5, "E00", "given twice"),
    (A + "    x: <5, 5>\n", 2, 8, "E00", "empty"),
    ("a: T.A @ none { x: 1\n", 1, 20, "E00", "the file ends"),
    ("a: T.A as b @ none\n", 1, 8, "E00", ""),
    ("a: local T.A @ none\n", 1, 10, "E00", ""),
    ("a:\n", 1, 1, "E00", "says nothing"),
    (A + 'using "./late.repl"\n', 2, 1, "E00", "come first"),
    ('using "x.repl" prefixed "p_"\n', 1, 16, "E00", "the end of the line is expected"),
    ("/* open\n" + A, 1, 1, "E00", "never closed"),
    (A + "    [4-0] -> a@[0-4]\n", 2, 6, "E00", "backwards"),
    (A + "    [0-4] -> a@[0-3]\n", 2, 14, "E00", "same length"),
    (A + "    [0-4] -> a@1\n", 2, 14, "E00", "same length"),
    (A + "    4 -> a@1\n    4 -> a@2\n", 3, 5, "E00", "connected twice"),
    (A + "    4 -> a@1 | none\n", 2, 16, "E00", "one of several"),
    (A + "    4 -> a\n", 2, 11, "E00", ""),
    (A + "    init:\n        A 1\n    init:\n        B 1\n", 4, 5, "E00", "second init"),
    (A + "    init:\n    x: 1\n", 3, 5, "E00", "an indented line is expected"),
    ("b:\n    x: 1\n", 1, 1, "E01", '"b" is updated but never declared'),
    ("usart1: T.A @ none\nusart: @ none\n", 2, 1, "E01", 'did you mean "usart1"?'),
    (A + "a: T.B @ none\n", 2, 1, "E02", "already declared at t.repl:1:1"),
    (A + "    x: nowhere\n", 2, 8, "E20", '"nowhere" is not declared'),
    (A + "    x: True\n", 2, 8, "E20", '"True" is not declared'),
    (A + "    x: [1, nowhere]\n", 2, 12, "E20", ""),
    (A + "    x: new T.B { y: nowhere }\n", 2, 21, "E20", ""),
    ("a: T.A @ spi1\n", 1, 10, "E20", '"spi1"'),
    (A + "    -> nvic@3\n", 2, 8, "E20", '"nvic"'),
    ("a: T.A @ b\nb: T.B @ a\n", 1, 10, "E30", "break the circle"),
    (A + "  x: 1\n", 2, 3, "E32", "indentation of 2 does not fit"),
    (A + "        x: 1\n", 2, 9, "E32", "indentation of 8 does not fit"),
    (A + "    init:\n            Foo 1\n", 3, 13, "E32", "indentation of 12 does not fit"),
    (A + "\tx: 1\n", 2, 1, "E32", "tab"),
    ('using "./missing.repl"\n', 1, 7, "E36", "missing.repl"),
    ('using "."\n', 1, 7, "E36", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "code", "part"), BAD)
def test_bad_text_is_named_with_its_place(text: str, line: int, column: int, code: str, part: str) -> None:
    with pytest.raises(PlatformError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith(f"t.repl:{line}:{column}: {code} "), message
    assert part in message and "\n" not in message


def test_using_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.repl").write_text('using "./b.repl"\n')
    (tmp_path / "b.repl").write_text('\nusing "./a.repl"\n')
    with pytest.raises(PlatformError, match=r"b\.repl:2:7: E30 "):
        read_platform(tmp_path / "a.repl")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"none\.repl:1:1: E36 "):
        read_platform(tmp_path / "none.repl")
    (tmp_path / "binary.repl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlatformError, match=r"binary\.repl:1:1: E36 .*UTF-8"):
        read_platform(tmp_path / "binary.repl")
