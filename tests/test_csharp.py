# SPDX-License-Identifier: Apache-2.0
"""The C# for Renode: it compiles against both interfaces of Renode, and does what its Python twins do.

Compiled with Mono's compiler against ``tests/csharp/RenodeStubs.cs``, which holds the few signatures of Renode that the
models use; so a typo, or a use of something the stubs do not know, is found without Renode.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchip.engines.renode.models import STEPPER
from twins import HERE, MODELS, RENODES, Bench, Twins, build, compile_cs, needs_mcs, needs_mono

SOURCES = [*sorted(MODELS.glob("*.cs")), STEPPER]


@needs_mcs
@pytest.mark.parametrize("renode", RENODES)
def test_all_of_it_compiles(renode: str, tmp_path: Path) -> None:
    assert len(SOURCES) >= 12
    done = compile_cs(tmp_path / "models.dll", *SOURCES, renode=renode)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_mcs
@pytest.mark.parametrize(("model", "good", "bad"), [
    ("SpiTap.cs", "var child = RegisteredPeripheral;", "var child = RegisteredPeripherals;"),  # a typo
    ("SpiTap.cs", "public byte Transmit(byte data)", "public byte Transmit(int data)"),  # not the interface any more
    ("Stm32F4I2c.cs", "machine.RegisterAsAChildOf(", "machine.RegisterAsChildOf("),  # a method Renode does not have
])
def test_a_broken_model_does_not_compile(model: str, good: str, bad: str, tmp_path: Path) -> None:
    text = (MODELS / model).read_text()
    assert good in text
    broken = tmp_path / model
    broken.write_text(text.replace(good, bad))
    others = [source for source in SOURCES if source.name != model]
    done = compile_cs(tmp_path / "models.dll", broken, *others)
    assert done.returncode != 0
    assert f"{model}(" in done.stdout + done.stderr


# twins -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One process for all: a fresh board is a command."""
    bench = Bench(build(tmp_path_factory.mktemp("csharp"), HERE / "csharp/TwinBench.cs", *sorted(MODELS.glob("*.cs"))))
    yield bench
    bench.close()


@dataclass(frozen=True)
class Call:
    """A method of the twins with its arguments."""

    name: str
    arguments: tuple[object, ...]

    def __call__(self, twins: Twins) -> None:
        getattr(twins, self.name)(*self.arguments)


Step = Callable[[Twins], object]
words = st.integers(0, 0xFFFFFFFF)
data_bytes = st.integers(0, 0xFF)
widths = st.sampled_from((1, 2, 4))


def step(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    """A method of the twins with these arguments, the fixed ones by ``st.just``."""
    return st.tuples(*arguments).map(lambda chosen: Call(name, chosen))


def fixed(name: str, *arguments: object) -> st.SearchStrategy[Step]:
    return step(name, *map(st.just, arguments))


def one_of(name: str, *choices: tuple[object, ...]) -> st.SearchStrategy[Step]:
    return st.sampled_from(choices).flatmap(lambda chosen: fixed(name, *chosen))


def scenario(*steps: st.SearchStrategy[Step], most: int = 50) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.one_of(*steps), min_size=5, max_size=most)


def play(twins: Twins, steps: list[Step]) -> None:
    for act in steps:
        act(twins)


# flash
PG, SER, MER, STRT, EOPIE, ERRIE, LOCK = 1, 2, 4, 1 << 16, 1 << 24, 1 << 25, 1 << 31
KEYR, OPTKEYR, FLASH_SR, FLASH_CR, OPTCR = 4, 8, 0xC, 0x10, 0x14


def unlock(twins: Twins) -> None:
    for key in (0x45670123, 0xCDEF89AB):
        twins.write("flash", 4, KEYR, key)
    for key in (0x08192A3B, 0x4C5D6E7F):
        twins.write("flash", 4, OPTKEYR, key)


@st.composite
def program(draw: st.DrawFn) -> Step:
    width = draw(widths)
    psize = draw(st.sampled_from((width // 2, width // 2, draw(st.integers(0, 3)))))
    offset = draw(st.integers(0, 0x20)) + draw(st.sampled_from((0, 0x4000, 0xBFC0)))
    interrupts, value = draw(st.sampled_from((0, EOPIE, ERRIE, EOPIE | ERRIE))), draw(words)

    def act(twins: Twins) -> None:
        twins.write("flash", 4, FLASH_CR, PG | psize << 8 | interrupts)
        twins.store(width, offset, value)
    return act


@st.composite
def erase(draw: st.DrawFn) -> Step:
    kind = draw(st.sampled_from((SER, SER, SER, MER, SER | MER, SER | PG)))
    value = kind | draw(st.integers(0, 15)) << 3 | draw(st.integers(0, 3)) << 8 | draw(st.sampled_from((0, EOPIE)))

    def act(twins: Twins) -> None:
        twins.write("flash", 4, FLASH_CR, value | STRT)
        twins.read("flash", 4, FLASH_CR)
        twins.read("flash", 4, FLASH_SR)
    return act


@st.composite
def options(draw: st.DrawFn) -> Step:
    rdp = draw(st.sampled_from((0xAA, 0xAA, 0x55, 0x00, 0xCC)))
    free = draw(st.sampled_from((0xFFF, 0xFFF, 0xFFD, 0x7FF, draw(st.integers(0, 0xFFF)))))
    value = free << 16 | rdp << 8 | draw(st.sampled_from((0xEC, 0xE0))) | draw(st.sampled_from((0, 2, 2, 3)))
    return Call("write", ("flash", 4, OPTCR, value))


FLASH = scenario(
    st.just(unlock), program(), program(), program(), erase(), options(),
    step("write", st.just("flash"), st.just(4), st.sampled_from((0, KEYR, OPTKEYR, FLASH_SR, FLASH_CR, OPTCR)), words),
    step("write", st.just("flash"), st.sampled_from((1, 2)), st.sampled_from((0, FLASH_SR, FLASH_CR, OPTCR)), words),
    step("read", st.just("flash"), widths, st.sampled_from((0, KEYR, OPTKEYR, FLASH_SR, FLASH_SR, FLASH_CR, OPTCR))),
    step("option_bytes", st.sampled_from((0, 4, 8, 12))),
    step("option_bytes", st.sampled_from((0, 8)), words),
    step("time", st.sampled_from((1, 15_999, 16_000, 100_000, 250_000_000, 20_000_000_000))),
    one_of("call", ("flash", "Reset"), ("flash", "PowerCut"), ("flash", "ResetCounters"), ("flash", "DebugMassErase"),
           ("flash", "DebugSetRdp", 0xAA), ("flash", "DebugSetRdp", 0x55), ("flash", "DebugSetRdp", 0xCC)),
    step("call", st.just("flash"), st.just("DebugRead"),
         st.sampled_from((0, 0x080FFFFE, 0x08100000, 0x1FFF7800, 0x1FFF7A10, 0x20000000, 0x40024FFC)),
         st.integers(0, 8)),
    step("call", st.just("flash"), st.just("DebugWrite"),
         st.sampled_from((0, 0x08000000, 0x080FFFFE, 0x08100000, 0x1FFF7800, 0x20000000, 0x40024FFC)),
         st.binary(max_size=8)),
    st.booleans().flatmap(lambda on: fixed("put", "flash", "VirtualTiming", on)),
    step("put", st.just("flash"), st.just("CutAtEvent"), st.integers(-1, 6)),
    step("put", st.just("flash"), st.just("TornMask"), words),
    step("put", st.just("flash"), st.just("TornErasedBytes"), st.sampled_from((-1, 0, 1, 100, 0x4000, 0x30000))),
    one_of("put", ("flash", "TornFill", "old"), ("flash", "TornFill", "zero")),
)


@needs_mono
@settings(max_examples=80)
@given(FLASH)
def test_flash(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    unlock(twins)
    play(twins, steps)
    for offset in (FLASH_SR, FLASH_CR, OPTCR, 0):
        twins.read("flash", 4, offset)
    twins.get("flash", "Programs", "Erases", "Errors", "Stalls", "RaisedBits", "RdpLevel", "OptionWord", "Powered")
    for sector in range(12):
        twins.call("flash", "Wear", sector)
    twins.content()


# RNG
RNG = scenario(
    step("write", st.just("rng"), widths, st.sampled_from((0, 4)), words),
    one_of("write", ("rng", 4, 0, 4), ("rng", 4, 0, 12), ("rng", 4, 0, 12), ("rng", 4, 0, 0), ("rng", 4, 4, 0)),
    fixed("time", 834), fixed("time", 834),
    step("read", st.just("rng"), widths, st.sampled_from((0, 4, 8))),
    fixed("read", "rng", 4, 8),
    step("time", st.sampled_from((1, 100, 833, 834, 10_000))),
    st.sampled_from(("none", "none", "stuck", "alternate", "repeat", "seed", "clock", "nonsense")).flatmap(
        lambda fault: fixed("put", "rng", "Fault", fault)),
    step("put", st.just("rng"), st.just("FaultAfter"), st.integers(0, 3)),
    step("put", st.just("rng"), st.just("FaultWord"), words),
    step("put", st.just("rng"), st.just("ReadyNanoseconds"), st.sampled_from((0, 1, 834))),
    step("put", st.just("rng"), st.just("Seed"), st.integers(0, 2**64 - 1)),
    step("call", st.just("rng"), st.just("Push"), words),
    fixed("call", "rng", "Reset"),
)


@needs_mono
@settings(max_examples=150)
@given(RNG)
def test_rng(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    play(twins, steps)
    twins.get("rng", "WordsRead", "EarlyReads", "Fault")


# SPI controller
SPI_ON = 0x344  # SSM SSI SPE MSTR
SPI = scenario(
    step("write", st.just("spi"), widths, st.sampled_from((0, 4, 8, 0xC, 0xC, 0x10, 0x1C, 0x20)), words),
    step("write", st.just("spi"), st.sampled_from((1, 2)), st.sampled_from((1, 2, 3, 5, 0xD, 0xE)), words),
    step("write", st.just("spi"), st.just(4), st.just(0), st.integers(0, 0xFFFF)),
    st.sampled_from((0, 0x80, 0x800, 0x880, 0x200)).flatmap(lambda more: fixed("write", "spi", 4, 0, SPI_ON ^ more)),
    step("write", st.just("spi"), st.sampled_from((1, 2)), st.just(0xC), words),
    step("read", st.just("spi"), widths, st.sampled_from((0, 4, 8, 8, 0xC, 0xC, 0x10, 0x1C, 0x20))),
    step("read", st.just("spi"), st.just(1), st.sampled_from((1, 2, 5, 9, 0xD, 0x11))),
    step("pin", st.just("tap"), st.just(0), st.booleans()),
    one_of("call", ("spi", "Reset"), ("tap", "Reset")),
    st.booleans().flatmap(lambda gone: fixed("put", "tap", "Removed", gone)),
)


@needs_mono
@settings(max_examples=150)
@given(SPI)
def test_spi_controller(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    twins.pin("tap", 0, True)
    play(twins, steps)
    twins.get("spi", "Frames", "LostFrames")
    twins.get("card", "StrayBytes", "Commands")


# I2C master, EEPROM, tap
CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR = 0, 4, 8, 0xC, 0x10, 0x14, 0x18, 0x1C
PE, START, STOP, ACK, POS, SWRST = 1, 0x100, 0x200, 0x400, 0x800, 0x8000


def wait(twins: Twins, flag: int) -> None:
    for _ in range(12):
        if twins.read("i2c", 4, SR1) & flag:
            return


@st.composite
def transfer(draw: st.DrawFn) -> Step:
    """A write, a read, or both, as a driver does them; sometimes in haste or broken off."""
    address = draw(st.sampled_from((0xA0, 0xA0, 0xA0, 0xA2)))
    written = draw(st.binary(max_size=5))
    reads = draw(st.integers(0, 4))
    stops = draw(st.integers(0, 9)) > 0
    hasty, late = draw(st.booleans()), draw(st.booleans())

    def act(twins: Twins) -> None:
        twins.write("i2c", 4, CR1, PE | START | ACK)
        wait(twins, 1)
        twins.write("i2c", 4, DR, address)
        wait(twins, 2)
        twins.read("i2c", 4, SR2)
        for value in written:
            twins.write("i2c", 4, DR, value)
            if not hasty:
                wait(twins, 4)
        if reads:
            twins.write("i2c", 4, CR1, PE | START | ACK)
            if late:
                twins.write("i2c", 4, DR, 0)
            wait(twins, 1)
            twins.write("i2c", 4, DR, address | 1)
            wait(twins, 2)
            twins.read("i2c", 4, SR2)
            for left in range(reads, 0, -1):
                twins.write("i2c", 4, CR1, PE | (ACK if left > 1 else STOP if stops else 0))
                wait(twins, 0x40)
                twins.read("i2c", 4, DR)
        elif stops:
            twins.write("i2c", 4, CR1, PE | STOP)
            if late:
                twins.write("i2c", 4, DR, 0)
            wait(twins, 0)
        twins.write("i2c", 4, SR1, 0)
    return act


REGISTERS = (CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR, 0x20, 0x24)
SWITCHES = (("i2c", "IdleStopSticks"), ("i2c", "BusyStaysAfterDisable"), ("eeprom", "TornErased"),
            ("eeprom", "TornWholePage"), ("eeprom", "Present"), ("eeprom", "Powered"),
            ("eeprom", "WriteProtectNacksData"), ("i2ctap", "SkipPolls"))
I2C = scenario(
    transfer(), transfer(), transfer(),
    step("write", st.just("i2c"), widths, st.sampled_from(REGISTERS), words),
    step("read", st.just("i2c"), widths, st.sampled_from((*REGISTERS, SR1, SR1))),
    fixed("read", "i2c", 2, SR1 + 2), step("write", st.just("i2c"), st.just(2), st.just(CR1 + 2), words),
    st.sampled_from((0, PE, PE | START, PE | STOP, PE | ACK, PE | POS | ACK, PE | START | STOP, PE | START | ACK,
                     SWRST)).flatmap(lambda value: fixed("write", "i2c", 4, CR1, value)),
    step("write", st.just("i2c"), st.just(1), st.just(DR), st.sampled_from((0xA0, 0xA1, 0, 0x55))),
    step("write", st.just("i2c"), st.just(4), st.just(CR2), st.sampled_from((42, 42 | 0x700, 42 | 0x300, 1))),
    step("write", st.just("i2c"), st.just(4), st.just(CCR), st.sampled_from((210, 0x8000 | 35, 0xC000 | 4, 0))),
    step("time", st.sampled_from((1, 10_000, 90_000, 5_000_000))),
    step("put", st.just("i2c"), st.just("PollsPerStep"), st.sampled_from((0, 1, 8))),
    st.tuples(st.sampled_from(SWITCHES), st.booleans()).flatmap(lambda pair: fixed("put", *pair[0], pair[1])),
    step("put", st.just("eeprom"), st.just("TornBytes"), st.integers(0, 64)),
    step("put", st.just("eeprom"), st.just("CutAtWriteCycle"), st.integers(0, 3)),
    step("put", st.just("eeprom"), st.just("WriteCycleUs"), st.sampled_from((0, 5000))),
    step("pin", st.just("eeprom"), st.just(0), st.booleans()),
    one_of("call", ("i2c", "Reset"), ("i2c", "PowerCutDevices"), ("eeprom", "PowerCut"), ("eeprom", "Reset"),
           ("eeprom", "Fill", 0x5A)),
    step("call", st.just("eeprom"), st.just("ReadRaw"), st.integers(-1, 32768), st.integers(0, 70)),
    step("call", st.just("eeprom"), st.just("WriteRaw"), st.integers(0, 32767), st.binary(min_size=1, max_size=4)),
    step("rule", st.just("i2c"), st.just("replace"), st.integers(-1, 4), st.integers(-1, 256), st.booleans()),
    step("rule", st.just("i2c"), st.just("drop_address"), st.sampled_from((None, 0x50, 0x51, 128))),
    step("rule", st.just("i2c"), st.just("cut_power_after"), st.integers(0, 12)),
    step("rule", st.just("i2c"), st.just("record"), st.booleans()),
    fixed("rule", "i2c", "clear"),
    fixed("evidence", "i2c"),
)


@needs_mono
@settings(max_examples=150)
@given(I2C)
def test_i2c_eeprom_and_tap(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    twins.rule("i2c", "record", True)
    twins.write("i2c", 4, CR2, 42)
    twins.write("i2c", 4, CCR, 210)
    twins.write("i2c", 4, CR1, PE)
    play(twins, steps)
    for offset in (CR1, CR2, SR1, SR2, DR):
        twins.read("i2c", 4, offset)
    twins.get("i2c", "Violations", "LastViolation", "BytesOnBus")
    twins.get("i2ctap", "Count", "SkippedPolls")
    twins.get("eeprom", "Pointer", "WriteCycles", "TornWrites", "BusyNacks", "Powered", "Busy")
    twins.call("eeprom", "ReadRaw", 0, 32768)
    twins.evidence("i2c")


# SD card, tap
def crc7(frame: bytes) -> int:
    crc = 0
    for byte in frame:
        for bit in range(7, -1, -1):
            crc = crc << 1 & 0x7F ^ (0x09 if (crc >> 6 ^ byte >> bit) & 1 else 0)
    return crc << 1 | 1


def command(index: int, argument: int, crc: int | None = None) -> bytes:
    frame = bytes((0x40 | index,)) + argument.to_bytes(4, "big")
    return frame + bytes((crc7(frame) if crc is None else crc,))


def start_card(twins: Twins) -> None:
    twins.pin("tap", 0, True)
    twins.send(b"\xFF" * 10)
    twins.pin("tap", 0, False)
    twins.send(command(0, 0) + b"\xFF" * 3 + command(8, 0x1AA) + b"\xFF" * 8)
    for _ in range(3):
        twins.send(command(55, 0) + b"\xFF" * 3 + command(41, 0x40000000) + b"\xFF" * 3)


BLOCKS = st.integers(3, 7)


@st.composite
def card_command(draw: st.DrawFn) -> Step:
    """Any command with likely arguments, and some clocks behind it."""
    known = (0, 1, 8, 9, 10, 12, 13, 16, 17, 18, 23, 24, 25, 32, 33, 38, 55, 55, 58, 59)
    index = draw(st.one_of(st.sampled_from(known), st.integers(0, 63)))
    argument = draw(st.one_of(st.sampled_from((0, 1, 4, 0x1AA, 0x40000000, 512, 100)), words, BLOCKS,
                              BLOCKS.map(lambda block: block * 512), BLOCKS.map(lambda block: block * 512 + 100),
                              st.sampled_from((0x100000, 0xFFE00, 2047, 2048))))
    crc = draw(st.sampled_from((None, None, None, 0x01, 0x00)))
    return Call("send", (command(index, argument, crc) + b"\xFF" * 9,))


@st.composite
def card_read(draw: st.DrawFn) -> Step:
    index, block, clocks = draw(st.sampled_from((17, 17, 18))), draw(BLOCKS), draw(st.sampled_from((8, 530, 530, 1200)))

    def act(twins: Twins) -> None:
        by_block = twins.models["card"].high_capacity
        twins.send(command(index, block if by_block else block * 512) + b"\xFF" * clocks)
        if index == 18:
            twins.send(command(12, 0) + b"\xFF" * 9)
    return act


@st.composite
def card_write(draw: st.DrawFn) -> Step:
    index, block = draw(st.sampled_from((24, 24, 25))), draw(BLOCKS)
    value, length = draw(data_bytes), draw(st.sampled_from((514, 514, 514, 100)))
    busy = draw(st.sampled_from((0, 5, 60)))

    def act(twins: Twins) -> None:
        by_block = twins.models["card"].high_capacity
        twins.send(command(index, block if by_block else block * 512) + b"\xFF" * 3)
        for _ in range(index - 23):
            packet = (b"\xFE" if index == 24 else b"\xFC") + (bytes((value,)) * 300 + bytes(214))[:length]
            twins.send(packet + b"\xFF" * busy)
        if index == 25:
            twins.send(b"\xFD" + b"\xFF" * 9)
    return act


def select_again(twins: Twins) -> None:
    twins.pin("tap", 0, True)
    twins.send(b"\xFF")
    twins.pin("tap", 0, False)


REPLACEMENT = (BLOCKS, st.integers(-1, 520), st.binary(max_size=4), st.integers(0, 3), st.integers(-1, 2),
               st.booleans())
CARD_KNOBS = (("TornBytes", (0, 37, 512)), ("TornEraseBlocks", (-1, 0, 1)), ("ResponseDelay", (1, 8)),
              ("AccessDelay", (0, 4)), ("WriteBusyBytes", (0, 40)), ("BusyMicroseconds", (0, 20000)),
              ("TornFill", ("old", "ff", "zero", "other")), ("Present", (True, True, False)), ("InitTries", (1, 3)),
              ("RequireWakeUp", (True, False)), ("PowerCycleOnReset", (True, False)))
CARD = scenario(
    card_command(), card_command(), card_read(), card_read(), card_write(), card_write(), card_write(),
    st.just(start_card), st.just(select_again), st.just(select_again),
    step("send", st.binary(max_size=12)),
    step("send", st.integers(0, 60).map(lambda count: b"\xFF" * count)),
    step("time", st.sampled_from((1000, 20_000_000))),
    step("pin", st.just("tap"), st.just(0), st.booleans()),
    st.sampled_from(CARD_KNOBS).flatmap(
        lambda knob: st.sampled_from(knob[1]).flatmap(lambda value: fixed("put", "card", knob[0], value))),
    one_of("call", ("card", "PowerCut"), ("card", "PowerOn"), ("card", "PowerCycle"), ("card", "Reset"),
           ("tap", "Reset"), ("card", "ResetCounters")),
    step("call", st.just("card"), st.just("SetReadError"), BLOCKS, st.sampled_from((0, 4, 8, 1))),
    step("call", st.just("card"), st.just("SetWriteError"), BLOCKS, st.booleans()),
    step("call", st.just("card"), st.just("WriteRaw"), st.integers(0xFFFF0, 0x100001) | st.integers(1500, 1600),
         st.binary(min_size=1, max_size=20)),
    step("call", st.just("card"), st.just("ReadRaw"), st.integers(-1, 0x100001) | st.integers(1500, 1600),
         st.integers(0, 600)),
    st.booleans().flatmap(lambda gone: fixed("put", "tap", "Removed", gone)),
    step("rule", st.just("spi"), st.just("replace_on_read"), *REPLACEMENT),
    step("rule", st.just("spi"), st.just("replace_on_write"), *REPLACEMENT),
    step("rule", st.just("spi"), st.just("redirect_read"), BLOCKS, BLOCKS | st.just(2048)),
    step("rule", st.just("spi"), st.just("stuck_miso"), st.sampled_from((None, None, 0, 0x55, 0xFF, 256))),
    step("rule", st.just("spi"), st.just("cut_power_at_block_write"), st.integers(0, 3),
         st.sampled_from((-1, 0, 0, 1, 300, 513, 514, 515))),
    step("rule", st.just("spi"), st.just("record"), st.booleans()),
    fixed("rule", "spi", "clear"),
    fixed("evidence", "spi"),
    most=40,
)


@needs_mono
@settings(max_examples=150)
@given(CARD, st.booleans())
def test_card_and_tap(bench: Bench, steps: list[Step], high_capacity: bool) -> None:
    twins = Twins(bench, high_capacity)
    for block in range(3, 8):
        twins.call("card", "WriteRaw", block * 512, bytes((block,)) * 256 + bytes(range(256)))
    twins.rule("spi", "record", True)
    start_card(twins)
    play(twins, steps)
    twins.pin("tap", 0, True)
    twins.evidence("spi")
    twins.get("card", "BlocksRead", "BlocksWritten", "BlocksErased", "Commands", "CommandCrcErrors", "DataCrcErrors",
              "AbortedWrites", "TornWrites", "RejectedAddresses", "StrayBytes", "LastWrittenBlock", "Busy", "Idle",
              "CrcEnabled", "Selected")
    twins.get("tap", "Count", "BlockWrites", "BlockReads", "Dropped")
    twins.call("card", "ReadRaw", 0, 8 * 512)
    twins.call("card", "ReadRaw", 0x100000 - 512, 512)


# virtual time ----------------------------------------------------------------------------------------------------
MS, CELL = 1_000_000, 500_000


@needs_mono
@pytest.mark.parametrize("renode", RENODES)
def test_stepper_ends_where_something_happened_and_sleeps_over_the_rest(renode: str, tmp_path: Path) -> None:
    bench = Bench(build(tmp_path, HERE / "csharp/StepperBench.cs", STEPPER, renode=renode))

    def run(duration: int, cell: int = CELL) -> list[int]:
        return [int(word) for word in bench("run", duration, cell).split()]

    bench("wake", 0, 200_000)
    now, executed, points = run(20 * MS)
    assert (now, executed) == (CELL, 33_600)  # awake: one cell
    now, executed, more = run(20 * MS)
    assert (now, executed) == (CELL + 20 * MS, 33_600) and more - points < 10  # asleep: all of it, at a stretch
    assert run(123_456)[0] == now + 123_456  # any duration, to the nanosecond

    now = run(376_544)[0]
    for tick in range(20):  # a tick that only counts is no reason to stop
        bench("wake", now + tick * MS, 1_000)
    assert run(20 * MS)[:2] == [now + 20 * MS, executed + 20 * 168]

    now, executed, _ = run(CELL)
    bench("byte", now + 7 * MS + 300_000, 0x41)
    assert run(20 * MS)[3:] == [7, 0x41, now + 7 * MS + 300_000]
    assert run(1)[0] == now + 7 * MS + CELL + 1  # the cell of the byte was the last

    now, executed, _ = run(CELL - 1)
    bench("wake", now, 100_000)
    bench("reset", now + 90_000)
    bench("wake", now + 200_000, 50_000)
    assert run(CELL)[:2] == [now + CELL, executed + 16_800 + 8_400]  # instructions go on over a reset
    bench("stop")
    bench("stop")
    bench("halt", now + 2 * CELL + 10)
    assert run(CELL)[0] == now + 2 * CELL
    assert run(20 * MS)[0] == now + 3 * CELL  # it halted in there
    assert run(20 * MS)[0] == now + 3 * CELL + 20 * MS  # and time goes on without it
    bench.close()


# the terminal ----------------------------------------------------------------------------------------------------
def listening(pid: int) -> set[str]:
    """Addresses, as /proc writes them, on which a process listens for TCP connections."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        if handle.is_symlink() and (found := re.fullmatch(r"socket:\[(\d+)\]", str(handle.readlink()))):
            inodes.add(found[1])
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}


def terminal_bench(folder: Path) -> Bench:
    sources = ("OffchipTerminal.cs", "OffchipSession.cs")
    return Bench(build(folder, HERE / "csharp/TerminalBench.cs", *(MODELS / name for name in sources)))


@needs_mono
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc/PID/net/tcp of Linux")
def test_terminal_is_reached_from_this_computer_only(tmp_path: Path) -> None:
    bench = terminal_bench(tmp_path)
    port = int(bench.hello)
    assert listening(bench.pid) == {f"0100007F:{port:04X}"}  # 127.0.0.1
    assert "already in use" in bench("name")
    assert f"port {port}" in bench("taken")  # and the emulation goes on

    bench("uart", b"boot: ".hex())  # nobody there yet
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        bench("uart", b"\xFF\0ok".hex())  # no telnet escapes
        got = b""
        while len(got) < 10:
            got += client.recv(100)
        assert got == b"boot: \xFF\0ok"
        client.sendall(bytes(range(256)))  # the bench's UART answers each byte with the next
        got = b""
        while len(got) < 256:
            got += client.recv(1000)
        assert got == bytes(range(1, 256)) + b"\0"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:  # the first has gone
        client.sendall(b"a")
        assert client.recv(10) == b"b"
        bench("clear")
        assert client.recv(10) == b""  # the emulation ended: so did the terminal
    assert listening(bench.pid) == set()
    bench.close()


@needs_mono
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc/PID/net/tcp of Linux")
def test_a_script_asks_for_files_and_takes_an_earlier_board_away(tmp_path: Path) -> None:
    bench = terminal_bench(tmp_path)
    (tmp_path / "there").write_bytes(b"")
    assert bench("require", tmp_path / "there") == "" == bench("require")
    assert bench("require", tmp_path / "not") == f"There is no file {tmp_path / 'not'}; type this"
    assert bench("discard", "nobody") == "0" and listening(bench.pid)
    assert bench("discard", "offchip") == "1" and listening(bench.pid) == set()
    assert bench("name") == "" and listening(bench.pid)  # the name is free again
    bench.close()
