# SPDX-License-Identifier: Apache-2.0
"""C# == Python for every model that both engines have of their own: the same random register and bus sequences to both,
every answer, interrupt line, memory, record and piece of evidence compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from offchip.engines.embedded.peripherals.crc import crc16
from twins import HERE, MODELS, Bench, Twins, build, needs_mono

pytestmark = needs_mono


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
octets = st.integers(0, 0xFF)
widths = st.sampled_from((1, 2, 4))
yes_or_no = st.booleans()


def some(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from(values)


def step(name: str, *arguments: object) -> st.SearchStrategy[Step]:
    """A method of the twins; arguments are strategies or fixed."""
    drawn = (each if isinstance(each, st.SearchStrategy) else st.just(each) for each in arguments)
    return st.tuples(*drawn).map(lambda chosen: Call(name, chosen))


def knob(name: str, **members: tuple[object, ...]) -> st.SearchStrategy[Step]:
    """One of these members set to one of its values."""
    choices = [(member, value) for member, values in members.items() for value in values]
    return st.sampled_from(choices).map(lambda choice: Call("put", (name, *choice)))


def order(name: str, *members: str) -> st.SearchStrategy[Step]:
    """One of these methods without arguments."""
    return st.sampled_from(members).map(lambda member: Call("call", (name, member)))


def scenario(*steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.one_of(*steps), min_size=30, max_size=50)


def play(twins: Twins, steps: list[Step]) -> None:
    for act in steps:
        act(twins)


def often(examples: int) -> settings:
    """So many boards. Not shrunk: a failure names the step and both answers, and shrinking takes minutes."""
    slow = (HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large)
    return settings(max_examples=examples, phases=(Phase.explicit, Phase.generate), suppress_health_check=slow)


# flash ---------------------------------------------------------------------------------------------------------------
PG, SER, MER, STRT, EOPIE, ERRIE, LOCK = 1, 2, 4, 1 << 16, 1 << 24, 1 << 25, 1 << 31
KEYR, OPTKEYR, FLASH_SR, FLASH_CR, OPTCR = 4, 8, 0xC, 0x10, 0x14
KEYS, OPTION_KEYS = (0x45670123, 0xCDEF89AB), (0x08192A3B, 0x4C5D6E7F)


@st.composite
def unlock(draw: st.DrawFn) -> Step:
    register, keys = draw(st.sampled_from(((KEYR, KEYS), (OPTKEYR, OPTION_KEYS))))
    spoilt = draw(st.sampled_from((None, None, None, 0, 1)))

    def act(twins: Twins) -> None:
        if spoilt is not None:  # jammed until a reset, so that the right keys come too late
            twins.write("flash", 4, FLASH_CR, LOCK)
            twins.write("flash", 4, OPTCR, 0x0FFFAAED)
            for n, key in enumerate(keys):
                twins.write("flash", 4, register, key ^ (n == spoilt))
        for key in keys:
            twins.write("flash", 4, register, key)
        twins.read("flash", 4, FLASH_CR)
        twins.read("flash", 4, OPTCR)
    return act


@st.composite
def program(draw: st.DrawFn) -> Step:
    width = draw(widths)
    psize = draw(st.sampled_from((width // 2, width // 2, width // 2, draw(st.integers(0, 3)))))
    offset = draw(st.integers(0, 8)) + draw(some(0, 0x4000, 0xBFF0))
    control = draw(some(PG, PG, PG, PG, 0, PG | SER)) | psize << 8 | draw(some(0, EOPIE, ERRIE, EOPIE | ERRIE))
    value = draw(words)

    def act(twins: Twins) -> None:
        twins.write("flash", 4, FLASH_CR, control)
        twins.store(width, offset, value)
        twins.read("flash", 4, FLASH_SR)
    return act


@st.composite
def erase(draw: st.DrawFn) -> Step:
    kind = draw(some(SER, SER, SER, SER, MER, SER | MER, SER | PG))
    sector = draw(st.one_of(st.integers(1, 5), st.integers(0, 15)))
    value = kind | sector << 3 | draw(st.integers(0, 3)) << 8 | draw(some(0, EOPIE))

    def act(twins: Twins) -> None:
        twins.write("flash", 4, FLASH_CR, value | STRT)
        twins.read("flash", 4, FLASH_CR)
        twins.read("flash", 4, FLASH_SR)
    return act


@st.composite
def torn(draw: st.DrawFn) -> Step:
    """An operation that is cut, reset or waited for."""
    operation = draw(st.one_of(program(), erase()))
    by_event = draw(yes_or_no)
    mask, count, fill = draw(words), draw(some(-1, 0, 100, 0x4000, 0x30000)), draw(some("old", "zero"))
    then = draw(st.sampled_from((Call("call", ("flash", "Reset")), Call("call", ("flash", "PowerCut")),
                                 Call("time", (15_999,)), Call("time", (16_000,)), Call("time", (300_000_000,)))))

    def act(twins: Twins) -> None:
        twins.put("flash", "TornMask", mask)
        twins.put("flash", "TornErasedBytes", count)
        twins.put("flash", "TornFill", fill)
        twins.put("flash", "VirtualTiming", True)
        if by_event:
            twins.put("flash", "CutAtEvent", twins.flash.events + 1)
        operation(twins)
        then(twins)
        twins.read("flash", 4, FLASH_SR)
        twins.put("flash", "VirtualTiming", False)
        if by_event:
            twins.call("flash", "Reset")
        for register, keys in ((KEYR, KEYS), (OPTKEYR, OPTION_KEYS)):
            for key in keys:
                twins.write("flash", 4, register, key)
    return act


@st.composite
def options(draw: st.DrawFn) -> Step:
    rdp = draw(some(0xAA, 0xAA, 0xAA, 0xAA, 0x55, 0x55, 0x00, draw(some(0xAA, 0x55, 0xCC))))
    free = draw(some(0xFFF, 0xFFF, 0xFFF, 0xFFD, 0x7FF))
    value = free << 16 | rdp << 8 | draw(some(0xEC, 0xE0)) | draw(some(0, 2, 2, 2, 3))

    def act(twins: Twins) -> None:
        for key in OPTION_KEYS:
            twins.write("flash", 4, OPTKEYR, key)
        twins.write("flash", 4, OPTCR, value)
    return act


AREAS = some(0, 0x080FFFFE, 0x08000000, 0x08100000, 0x1FFF7800, 0x1FFF7A10, 0x20000000, 0x40024FFC)
FLASH = scenario(
    unlock(), program(), program(), program(), program(), erase(), erase(), torn(), torn(), options(),
    step("write", "flash", 4, some(0, KEYR, OPTKEYR, FLASH_SR, FLASH_SR, FLASH_CR), words),
    step("write", "flash", some(1, 2), some(0, FLASH_SR, FLASH_SR, FLASH_CR, OPTCR), words),
    step("write", "flash", 1, FLASH_SR + 1, octets),
    step("read", "flash", widths, some(0, KEYR, OPTKEYR, FLASH_SR, FLASH_CR, OPTCR)),
    step("option_bytes", some(0, 4, 8, 12)), step("option_bytes", some(0, 8), words),
    order("flash", "Reset", "Reset", "PowerCut", "ResetCounters", "DebugMassErase"),
    step("call", "flash", "DebugSetRdp", some(0xAA, 0x55)),
    step("call", "flash", "DebugRead", AREAS, st.integers(0, 8)),
    step("call", "flash", "DebugWrite", AREAS, st.binary(max_size=8)),
    step("write", "flash", 1, FLASH_CR + 3, some(0x80, 0)),
)


@often(30)
@given(FLASH)
def test_flash(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    for key in KEYS:
        twins.write("flash", 4, KEYR, key)
    play(twins, steps)
    for offset in (FLASH_SR, FLASH_CR, OPTCR, 0):
        twins.read("flash", 4, offset)
    twins.get("flash", "Programs", "Erases", "Errors", "Stalls", "RaisedBits", "RdpLevel", "OptionWord", "Powered")
    for sector in range(12):
        twins.call("flash", "Wear", sector)
    twins.content()


# RNG -----------------------------------------------------------------------------------------------------------------
@st.composite
def draw_words(draw: st.DrawFn) -> Step:
    """Some words, as a driver takes them, in time or not."""
    control, pauses = draw(some(4, 12)), draw(st.lists(some(834, 834, 833, 10_000), min_size=1, max_size=6))

    def act(twins: Twins) -> None:
        twins.write("rng", 4, 0, control)
        for pause in pauses:
            twins.time(pause)
            twins.read("rng", 4, 4)
            twins.read("rng", 4, 8)
    return act


@st.composite
def fault(draw: st.DrawFn) -> Step:
    kind = draw(some("none", "none", "stuck", "alternate", "repeat", "seed", "clock", "x"))
    after, word, off = draw(st.integers(0, 3)), draw(words), draw(yes_or_no)

    def act(twins: Twins) -> None:
        twins.put("rng", "FaultWord", word)
        twins.put("rng", "FaultAfter", after)
        twins.put("rng", "Fault", kind)
        twins.read("rng", 4, 4)
        if off:
            twins.write("rng", 4, 4, 0)
            twins.write("rng", 4, 0, 0)
            twins.read("rng", 4, 4)
    return act


RNG = scenario(
    draw_words(), draw_words(), draw_words(), fault(), fault(),
    step("write", "rng", widths, some(0, 4), words), step("write", "rng", 4, 0, some(0, 4, 8, 12)),
    step("write", "rng", 4, 4, some(0, 0x20, 0x40)), step("read", "rng", widths, some(0, 4, 8)),
    step("time", some(1, 100, 833, 834, 10_000)), knob("rng", ReadyNanoseconds=(0, 1, 834)),
    step("put", "rng", "Seed", st.integers(0, 2**64 - 1)), step("call", "rng", "Push", words), order("rng", "Reset"),
)


@often(40)
@given(RNG)
def test_rng(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    play(twins, steps)
    twins.get("rng", "WordsRead", "EarlyReads", "Fault")


# SPI controller ------------------------------------------------------------------------------------------------------
SPI_ON = 0x344  # SSM SSI SPE MSTR


@st.composite
def frames(draw: st.DrawFn) -> Step:
    """Frames with and without a look at what came back: overruns and how they end."""
    what = draw(st.lists(some("frame", "frame", "data", "status"), min_size=2, max_size=8))
    data = draw(octets)

    def act(twins: Twins) -> None:
        for each in what:
            if each == "frame":
                twins.write("spi", 2, 0xC, data)
            else:
                twins.read("spi", 2, 0xC if each == "data" else 8)
    return act


SPI = scenario(
    frames(), frames(), frames(),
    step("write", "spi", widths, some(0, 4, 4, 8, 0x10, 0x1C, 0x20), words),
    step("write", "spi", some(1, 2), some(1, 2, 3, 5, 0xD, 0xE), words),
    step("write", "spi", 4, 0, some(*(SPI_ON ^ more for more in (0, 0, 0x80, 0x800, 0x880, 0x100)))),
    step("write", "spi", 4, 0, some(*(SPI_ON ^ more for more in (0, 0, 0x80, 0x800, 0x880)))),
    step("write", "spi", 4, 4, some(0, 4, 0x20, 0x40, 0x60, 0x80)),
    step("write", "spi", some(1, 2, 2), 0xC, words), step("write", "spi", some(1, 2, 2), 0xC, words),
    step("read", "spi", widths, 0xC), step("read", "spi", widths, 8), step("read", "spi", 4, 8),
    step("read", "spi", widths, some(0, 4, 0x10, 0x1C, 0x20)),
    step("read", "spi", 1, some(1, 2, 5, 9, 0xD, 0x11)),
    step("pin", "tap", 0, yes_or_no), knob("tap", Removed=(False, False, True)), order("spi", "Reset"),
)


@often(40)
@given(SPI)
def test_spi_controller(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    twins.pin("tap", 0, True)
    play(twins, steps)
    twins.get("spi", "Frames", "LostFrames")
    twins.get("card", "StrayBytes", "Commands")


# I2C master, EEPROM, tap ---------------------------------------------------------------------------------------------
CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR = 0, 4, 8, 0xC, 0x10, 0x14, 0x18, 0x1C
PE, START, STOP, ACK, POS, SWRST = 1, 0x100, 0x200, 0x400, 0x800, 0x8000
SB, ADDR, BTF, RXNE, AF = 1, 2, 4, 0x40, 0x400


def wait(twins: Twins, flag: int) -> bool:
    """Poll as drivers do, or look on as time goes by where polling ends no step."""
    for _ in range(14):
        if twins.read("i2c", 4, SR1) & (flag | AF):
            return True
        if not twins.i2c.polls_per_step:
            twins.time(7_000)
    return False


def address(twins: Twins, value: int, control: int = PE | START | ACK) -> None:
    twins.write("i2c", 4, CR1, control)
    wait(twins, SB)
    twins.write("i2c", 4, DR, value)
    wait(twins, ADDR)
    twins.read("i2c", 4, SR2)


def start_bus(twins: Twins) -> None:
    twins.write("i2c", 4, CR1, SWRST)
    twins.write("i2c", 4, CR1, 0)
    twins.write("i2c", 4, CR2, 42 | 0x700)
    twins.write("i2c", 4, CCR, 210)
    twins.write("i2c", 4, CR1, PE)
    twins.put("eeprom", "Present", True)


@st.composite
def eeprom_write(draw: st.DrawFn) -> Step:
    """A page write, as a driver does it or in haste, whole or broken off; then the cycle, or a cut in it."""
    device = draw(some(0xA0, 0xA0, 0xA0, 0xA0, 0xA2))
    place, length, value = draw(some(0, 0x3C, 0x40, 0x7FFE)), draw(some(0, 1, 3, 6, 70)), draw(octets)
    hasty, filler = draw(yes_or_no), draw(yes_or_no)
    end = draw(some("stop", "stop", "stop", "start", "reset", "disable", "nothing"))
    erased, whole, count, cut = draw(yes_or_no), draw(yes_or_no), draw(some(0, 1, 2, 40)), draw(some(0, 0, 0, 0, 1))
    then = draw(st.sampled_from((Call("time", (5_000_000,)), Call("time", (5_000_000,)), Call("time", (4_000_000,)),
                                 Call("call", ("eeprom", "PowerCut")), Call("call", ("i2c", "PowerCutDevices")),
                                 Call("read", ("i2c", 4, SR1)))))

    def act(twins: Twins) -> None:
        for member, value_of in (("TornErased", erased), ("TornWholePage", whole), ("TornBytes", count),
                                 ("CutAtWriteCycle", cut)):
            twins.put("eeprom", member, value_of)
        address(twins, device)
        for byte in (place >> 8, place & 0xFF, *((value + n) & 0xFF for n in range(length))):
            twins.write("i2c", 1, DR, byte)
            if not hasty:
                wait(twins, BTF)
        controls = {"stop": PE | STOP, "start": PE | START | ACK, "reset": SWRST, "disable": 0, "nothing": PE}
        twins.write("i2c", 4, CR1, controls[end])
        if filler:
            twins.write("i2c", 4, DR, 0)
        wait(twins, 0)
        twins.write("i2c", 4, SR1, 0)
        twins.read("i2c", 4, SR2)
        then(twins)
        twins.get("eeprom", "Powered")
        twins.put("eeprom", "Powered", True)
        twins.call("eeprom", "ReadRaw", place & ~0x3F, 64)
    return act


@st.composite
def eeprom_read(draw: st.DrawFn) -> Step:
    """A random or current-address read with the usual ways of its end, POS among them."""
    place, length, positioned = draw(some(None, 0, 0x3C, 0x7FFE)), draw(st.integers(1, 4)), draw(yes_or_no)
    ends_late = draw(yes_or_no)

    def act(twins: Twins) -> None:
        if place is not None:
            address(twins, 0xA0)
            for byte in (place >> 8, place & 0xFF):
                twins.write("i2c", 1, DR, byte)
                wait(twins, BTF)
        address(twins, 0xA1, PE | START | ACK | (POS if positioned else 0))
        for left in range(length, 0, -1):
            if left == 1 or (positioned and left == 2):
                twins.write("i2c", 4, CR1, PE | (POS if positioned else 0) | (0 if ends_late else STOP))
            wait(twins, RXNE)
            twins.read("i2c", 4, DR)
        twins.write("i2c", 4, CR1, PE | STOP)
        wait(twins, 0)
        twins.write("i2c", 4, SR1, 0)
        twins.read("i2c", 4, SR2)
    return act


@st.composite
def deaf(draw: st.DrawFn) -> Step:
    """The EEPROM goes unheard for some transfers; the bus is left as it was."""
    transfers = draw(st.lists(eeprom_read(), min_size=1, max_size=2))

    def act(twins: Twins) -> None:
        twins.rule("i2c", "drop_address", 0x50)
        play(twins, transfers)
        twins.evidence("i2c")
        twins.rule("i2c", "drop_address", None)
    return act


@st.composite
def held(draw: st.DrawFn) -> Step:
    """SDA is held low for some transfers, or from the middle of one on, and let go."""
    transfers = draw(st.lists(st.one_of(eeprom_read(), eeprom_write()), min_size=1, max_size=2))
    in_the_middle = draw(st.booleans())

    def act(twins: Twins) -> None:
        if in_the_middle:
            address(twins, 0xA0)
        twins.rule("i2c", "hold_sda", True)
        twins.read("i2c", 4, SR2)
        play(twins, transfers)
        twins.evidence("i2c")
        twins.rule("i2c", "hold_sda", False)
        twins.write("i2c", 4, CR1, SWRST)
        start_bus(twins)
    return act


REGISTERS = some(CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR, 0x20, 0x24)
CONTROLS = some(0, PE, PE | START, PE | STOP, PE | ACK, PE | POS | ACK, PE | START | STOP, PE | START | ACK, SWRST)
I2C = scenario(
    eeprom_write(), eeprom_write(), eeprom_write(), eeprom_read(), eeprom_read(), eeprom_read(), deaf(), held(),
    *[st.just(start_bus)] * 6,
    step("write", "i2c", widths, REGISTERS, words), step("read", "i2c", widths, REGISTERS),
    step("read", "i2c", 2, SR1 + 2), step("write", "i2c", 2, CR1 + 2, words),
    step("write", "i2c", 4, CR1, CONTROLS), step("write", "i2c", 4, CR1, CONTROLS), step("read", "i2c", 4, SR2),
    step("write", "i2c", 1, DR, some(0xA0, 0xA1, 0, 0x55)),
    step("write", "i2c", 4, CR2, some(42, 42 | 0x700, 42 | 0x700, 42 | 0x300, 1)),
    step("write", "i2c", 4, CCR, some(210, 0x8000 | 35, 0xC000 | 4, 0)),
    step("time", some(1, 10_000, 90_000, 5_000_000)), knob("i2c", PollsPerStep=(0, 1, 8, 8)),
    knob("i2c", IdleStopSticks=(True, False), BusyStaysAfterDisable=(True, False)),
    knob("eeprom", Present=(True, True, False), WriteProtectNacksData=(True, False), WriteCycleUs=(0, 5000)),
    step("put", "eeprom", "Powered", True), step("pin", "eeprom", 0, some(False, False, True)),
    order("i2c", "Reset", "Reset", "PowerCutDevices"), order("eeprom", "PowerCut", "Reset"),
    step("call", "eeprom", "Fill", octets),
    step("call", "eeprom", "ReadRaw", st.integers(-1, 32768), st.integers(0, 70)),
    step("call", "eeprom", "WriteRaw", st.integers(0, 32767), st.binary(min_size=1, max_size=4)),
    step("rule", "i2c", "replace", st.integers(-1, 4), st.integers(-1, 256), yes_or_no),
    step("rule", "i2c", "replace_at", some(0, 1, 0x55, 0x5500, 0x5555, 32768), st.integers(-1, 256), some(0, 1, 1, 2)),
    step("rule", "i2c", "drop_address", some(None, None, 0x50, 0x51, 128)),
    step("rule", "i2c", "hold_sda", some(False, False, True)),
    step("rule", "i2c", "cut_power_after", st.integers(0, 12)), step("rule", "i2c", "record", some(True, True, False)),
    step("rule", "i2c", "clear"), step("rule", "i2c", "clear"), step("evidence", "i2c"), step("evidence", "i2c"),
    knob("i2ctap", SkipPolls=(True, False)),
)


@often(40)
@given(I2C)
def test_i2c_eeprom_and_tap(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    twins.rule("i2c", "record", True)
    twins.call("eeprom", "Fill", 0x5A)
    start_bus(twins)
    play(twins, steps)
    for offset in (CR1, CR2, SR1, SR2, DR):
        twins.read("i2c", 4, offset)
    twins.get("i2c", "Violations", "LastViolation", "BytesOnBus")
    twins.get("i2ctap", "Count", "SkippedPolls")
    twins.get("eeprom", "Pointer", "WriteCycles", "TornWrites", "BusyNacks", "Powered", "Busy")
    twins.call("eeprom", "ReadRaw", 0, 32768)
    twins.evidence("i2c")


# SD card, tap --------------------------------------------------------------------------------------------------------
def crc7(frame: bytes) -> int:
    crc = 0
    for byte in frame:
        for bit in range(7, -1, -1):
            crc = crc << 1 & 0x7F ^ (0x09 if (crc >> 6 ^ byte >> bit) & 1 else 0)
    return crc << 1 | 1


def command(index: int, argument: int = 0, crc: int | None = None, clocks: int = 0) -> bytes:
    frame = bytes((0x40 | index,)) + argument.to_bytes(4, "big")
    return frame + bytes((crc7(frame) if crc is None else crc,)) + b"\xFF" * clocks


def start_card(twins: Twins) -> None:
    twins.pin("tap", 0, True)
    twins.send(b"\xFF" * 10)
    twins.pin("tap", 0, False)
    twins.send(command(0, clocks=3) + command(8, 0x1AA, clocks=8))
    for _ in range(3):
        twins.send(command(55, clocks=3) + command(41, 0x40000000, clocks=3))
    twins.send(command(58, clocks=8))


def select_again(twins: Twins) -> None:
    twins.pin("tap", 0, True)
    twins.send(b"\xFF")
    twins.pin("tap", 0, False)


def place(twins: Twins, block: int, offset: int = 0) -> int:
    """A block as argument of a command."""
    return block if twins.models["card"].high_capacity else block * 512 + offset


BLOCKS = st.integers(3, 5)
LAST = 2047


def power_on(twins: Twins) -> None:
    twins.put("card", "Present", True)
    twins.call("card", "PowerOn")
    start_card(twins)


@st.composite
def card_command(draw: st.DrawFn) -> Step:
    """Any command with likely arguments, and some clocks behind it."""
    known = (0, 1, 8, 9, 10, 12, 13, 13, 16, 17, 18, 23, 24, 25, 32, 33, 38, 42, 58, 59)
    index = draw(st.one_of(st.sampled_from(known), st.integers(0, 63)))
    argument = draw(st.one_of(some(0, 1, 4, 0x1AA, 0x40000000, 512, 100), words, BLOCKS))
    crc = draw(some(None, None, None, 0x01, 0x00))
    return Call("send", (command(index, argument, crc, 9),))


@st.composite
def application(draw: st.DrawFn) -> Step:
    index = draw(st.one_of(some(13, 22, 22, 23, 41, 42, 51), st.integers(0, 63)))
    return Call("send", (command(55, clocks=3) + command(index, draw(some(0, 0x40000000)), clocks=80),))


@st.composite
def card_read(draw: st.DrawFn) -> Step:
    many, block, clocks = draw(yes_or_no), draw(st.one_of(BLOCKS, BLOCKS, some(LAST))), draw(some(8, 530, 1600))
    length, preset, offset = draw(some(512, 512, 512, 100)), draw(some(None, None, 1, 2)), draw(some(0, 0, 100, 450))
    ends = draw(yes_or_no)

    def act(twins: Twins) -> None:
        twins.send(command(16, length, clocks=3))
        if preset is not None:
            twins.send(command(23, preset, clocks=3))
        twins.send(command(18 if many else 17, place(twins, block, offset), clocks=clocks))
        if many and ends:
            twins.send(command(12, clocks=9))
        else:
            select_again(twins)
        twins.send(command(16, 512, clocks=3))
    return act


@st.composite
def card_write(draw: st.DrawFn) -> Step:
    many, block, preset = draw(yes_or_no), draw(st.one_of(BLOCKS, BLOCKS, some(LAST))), draw(some(None, None, 1, 2))
    value, length, busy = draw(octets), draw(some(514, 514, 514, 514, 100)), draw(some(0, 5, 60, 60))
    ends = draw(some(True, True, False))
    then = draw(st.sampled_from((None, None, None, "PowerCut", "PowerCycle", "Reset")))

    def act(twins: Twins) -> None:
        if preset is not None:
            twins.send(command(23, preset, clocks=3))
        twins.send(command(25 if many else 24, place(twins, block), clocks=3))
        for n in range(2 if many else 1):
            packet = bytes(((value + n) & 0xFF,)) * 300 + bytes(214)
            twins.send((b"\xFC" if many else b"\xFE") + packet[:length] + b"\xFF" * (1 + busy))
        if then is not None:
            twins.call("card", then)
        elif many and ends:
            twins.send(b"\xFD" + b"\xFF" * 9)
            twins.send(command(55, clocks=3) + command(22, clocks=20))
        if then is not None:
            power_on(twins)
        elif not ends or length != 514:
            select_again(twins)
    return act


@st.composite
def card_erase(draw: st.DrawFn) -> Step:
    """CMD32, CMD33, CMD38 in order or not, to the end or cut."""
    indices = draw(st.sampled_from(((32, 33, 38), (32, 33, 38), (32, 33, 38), (32, 38), (33, 38), (32, 33, 17, 38),
                                    (32, 13, 33, 13, 38))))
    first, count, clocks = draw(BLOCKS), draw(some(0, 0, 1, 2, -1)), draw(some(3, 10, 200))
    then = draw(st.sampled_from((None, None, "PowerCut", "PowerCycle", "time")))

    def act(twins: Twins) -> None:
        for index in indices:
            block = first + count if index == 33 else first
            twins.send(command(index, place(twins, block), clocks=clocks if index == 38 else 3))
            if index == 17:
                select_again(twins)
        if then == "time":
            twins.time(20_000_000)
            twins.send(b"\xFF")
        elif then is not None:
            twins.call("card", then)
            power_on(twins)
        twins.send(command(13, clocks=4))
    return act


PASSWORDS = st.sampled_from((b"", b"a", b"a", b"ab", b"b", b"abc" * 6))


@st.composite
def card_lock(draw: st.DrawFn) -> Step:
    """CMD42 with any mode, on the bus or in a reader; then what a locked card says, and whether its supply goes."""
    mode = draw(some(1, 5, 5, 4, 0, 2, 8, 3, 0x15, 15))
    given = draw(PASSWORDS) + draw(PASSWORDS)
    said = bytes((mode, (len(given) + draw(some(0, 0, 0, 1, -1))) & 0xFF)) + given
    length, good = draw(some(0, 0, 0, 1, -1, 512)), draw(some(True, True, False))
    reader, then = draw(yes_or_no), draw(some(None, None, "PowerCycle"))
    asked = draw(st.lists(some(9, 13, 17, 24, 38, 58), max_size=3))

    def act(twins: Twins) -> None:
        if reader:
            twins.put("card", "LockUnlock", said.hex())
        else:
            block = said.ljust(length, b"\xFF") if length > 0 else said[:length or None]
            crc = crc16(block) ^ (not good)
            twins.send(command(16, len(block), clocks=3) + command(42, clocks=3) + b"\xFE" + block
                       + crc.to_bytes(2, "big") + b"\xFF" * 60)
        if then is not None:
            twins.call("card", then)
            power_on(twins)
        for index in asked:
            twins.send(command(index, place(twins, 3), clocks=30))
            select_again(twins)
        twins.send(command(13, clocks=4) + command(16, 512, clocks=3))
        twins.get("card", "Locked", "LockFailures")
    return act


@st.composite
def card_protection(draw: st.DrawFn) -> Step:
    """CMD27 with any byte of the CSD changed, on the bus or in a reader; then what a protected card takes."""
    flags, at, good = draw(some(0x10, 0x10, 0, 0x30, 0x40, 0x8C, 1)), draw(some(14, 14, 14, 15, 3)), draw(yes_or_no)
    reader = draw(yes_or_no)
    asked = draw(st.lists(some(9, 13, 24, 38), max_size=3))

    def act(twins: Twins) -> None:
        if reader:
            twins.put("card", "CsdFlags", flags)
        else:
            csd = bytearray(twins.models["card"]._csd)
            csd[at] = flags
            crc = crc16(bytes(csd)) ^ (not good)
            twins.send(command(27, clocks=3) + b"\xFE" + bytes(csd) + crc.to_bytes(2, "big") + b"\xFF" * 60)
        for index in asked:
            if index == 38:
                twins.send(command(32, place(twins, 3), clocks=3) + command(33, place(twins, 3), clocks=3))
            twins.send(command(index, place(twins, 3), clocks=30))
            if index == 24:
                twins.send(b"\xFE" + bytes(514) + b"\xFF" * 60)
            select_again(twins)
        twins.send(command(13, clocks=4))
        twins.get("card", "CsdFlags", "CsdFailures")
    return act


@st.composite
def attack(draw: st.DrawFn) -> Step:
    """A rule of the tap, and an access that it is about."""
    block, offset, data = draw(BLOCKS), draw(some(0, 1, 509, 510, 520, -1)), draw(st.binary(min_size=1, max_size=3))
    nth, count, fix = draw(some(1, 1, 2, 0)), draw(some(0, 1, 2, -1)), draw(yes_or_no)
    kind = draw(some("replace_on_read", "replace_on_write", "redirect_read", "cut_power_at_block_write"))
    after, other = draw(some(0, 0, 1, 300, 513, 514, 515)), draw(st.one_of(BLOCKS, BLOCKS, some(2048)))
    packets = draw(some(1, 2, 3))

    def act(twins: Twins) -> None:
        if kind == "redirect_read":
            twins.rule("spi", kind, block, other)
        elif kind == "cut_power_at_block_write":
            twins.rule("spi", kind, nth, after)
        else:
            twins.rule("spi", kind, block, offset, data, nth, count, fix)
        for n in range(packets):
            if kind in ("replace_on_write", "cut_power_at_block_write"):
                packet = bytes((n * 50,)) * 512 + b"\0\0"
                twins.send(command(24, place(twins, block), clocks=3) + b"\xFE" + packet + b"\xFF" * 60)
            else:
                twins.send(command(17, place(twins, block), clocks=530))
        twins.evidence("spi")
    return act


CARD = scenario(
    card_command(), card_command(), application(), card_read(), card_read(), card_write(), card_write(), card_erase(),
    card_erase(), card_lock(), card_lock(), card_protection(),
    card_protection(), attack(), attack(), st.just(power_on), st.just(power_on),
    st.just(power_on), st.just(select_again),
    step("send", st.binary(max_size=12)), step("send", st.integers(0, 60).map(lambda count: b"\xFF" * count)),
    step("send", some(command(59, 1, clocks=3), command(59, 0, clocks=3))),
    step("time", some(1000, 20_000_000)), step("pin", "tap", 0, yes_or_no),
    knob("card", TornBytes=(0, 37, 512), TornEraseBlocks=(-1, 0, 1), TornFill=("old", "ff", "zero", "other")),
    knob("card", ResponseDelay=(1, 8), AccessDelay=(0, 4), WriteBusyBytes=(0, 40), BusyMicroseconds=(0, 20000),
         InitTries=(1, 3)),
    knob("card", Present=(True, False), RequireWakeUp=(True, False), PowerCycleOnReset=(False, True)),
    order("card", "PowerCut", "PowerCycle", "Reset", "ResetCounters"), order("tap", "Reset"),
    step("call", "card", "SetReadError", BLOCKS, some(0, 0, 4, 8)),
    step("call", "card", "SetWriteError", BLOCKS, some(False, False, True)),
    step("call", "card", "WriteRaw", st.integers(0xFFFF0, 0x100001) | st.integers(1500, 1600),
         st.binary(min_size=1, max_size=8)),
    step("call", "card", "ReadRaw", st.integers(-1, 0x100001) | st.integers(1500, 1600), st.integers(0, 600)),
    knob("tap", Removed=(False, False, True)), step("rule", "spi", "stuck_miso", some(None, None, 0, 0x55, 0xFF, 256)),
    step("rule", "spi", "record", some(True, True, False)), step("rule", "spi", "clear"), step("evidence", "spi"),
)


@often(40)
@given(CARD, yes_or_no)
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


# serial memories on SPI ----------------------------------------------------------------------------------------------
INSTRUCTIONS = (0x01, 0x02, 0x02, 0x02, 0x03, 0x03, 0x04, 0x05, 0x05, 0x06, 0x0B, 0x20, 0x52, 0xD8, 0xC7, 0x60, 0x35,
                0x15, 0x9F, 0x90, 0x4B, 0xB9, 0xAB, 0xAB, 0x66, 0x99, 0x77, 0x0A)


@st.composite
def instruction(draw: st.DrawFn) -> Step:
    """One selection of one of the two; mostly behind a WREN, mostly with an address near the others."""
    name = draw(some("memory", "nor"))
    place = draw(st.integers(0, 80)) + draw(some(0, 0, 0x3F, 0xF0, 0x7FF0, 0x1FFF0))
    address = place.to_bytes(3, "big") if name == "nor" else (place & 0x7FFF).to_bytes(2, "big")
    code, enabled = draw(st.sampled_from(INSTRUCTIONS)), draw(st.integers(0, 4))
    body = draw(st.binary(max_size=3 if code == 1 else 12))
    bare = draw(st.integers(0, 3)) == 0 or code not in (0x02, 0x03, 0x0B, 0x20, 0x52, 0xD8)
    exact = code in (0x04, 0x06, 0xC7, 0x60, 0xB9, 0x66, 0x99) or code in (0x20, 0x52, 0xD8) and not bare
    whole = bytes([code]) + (b"" if bare else address) + (b"" if exact else body)

    def act(twins: Twins) -> None:
        for data in (b"\x06", whole) if enabled else (whole,):
            twins.pin(str(name), 0, False)
            twins.bus(data)
            twins.pin(str(name), 0, True)
    return act


MEMORIES = scenario(
    instruction(), instruction(), instruction(), instruction(),
    step("pin", some("memory", "nor"), some(0, 0, 1), yes_or_no), step("bus", st.binary(min_size=1, max_size=4)),
    step("time", some(1_000, 700_000, 5_000_000, 45_000_000, 400_000_000)),
    knob("nor", TornBytes=(0, 3, 4096), TornErased=(True, False), CutAtWriteCycle=(0, 1, 2),
         Powered=(True, True, False), Present=(True, True, False)),
    knob("memory", TornBytes=(0, 3), TornErased=(True, False), CutAtWriteCycle=(0, 1), Powered=(True,),
         WriteCycleUs=(0, 5000)),
    order("nor", "Reset", "PowerCut"), order("memory", "Reset", "PowerCut"),
    step("call", some("memory", "nor"), "ReadRaw", some(0, 0x7FFF, 0x1FFFF), st.integers(0, 3)),
    step("call", "nor", "WriteRaw", some(0, 0xF0, 0x1FFFF), st.binary(max_size=2)),
)


@often(60)
@given(MEMORIES)
def test_spi_memories(bench: Bench, steps: list[Step]) -> None:
    twins = Twins(bench)
    for name in ("memory", "nor"):
        twins.pin(name, 0, True)
        twins.call(name, "Fill", 0x5A)
    play(twins, steps)
    for name, size in (("memory", 0x8000), ("nor", 0x20000)):
        twins.get(name, "WriteCycles", "Erases", "TornWrites", "BusyIgnored", "Denied", "Busy", "Powered")
        twins.call(name, "ReadRaw", 0, size)
