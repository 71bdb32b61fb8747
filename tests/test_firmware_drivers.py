# SPDX-License-Identifier: Apache-2.0
"""The firmware's drivers on a whole board, through a probe program that prints what each of them says."""

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.peripherals import sd_card
from offchip.engines.embedded.peripherals.rng import SplitMix64, Stm32F4Rng
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
SCENARIOS = ("storage flash_write time serial hall random usage_fault bus_fault hang restart "
             "bad_interrupt protect stop").split()
SCENARIO_WORD = 0x0800C000
MILLISECOND = 1_000_000
END = "state: fault reason=finished"
LENGTHS = (1, 2, 3, 4, 63, 64, 65, 200)
EEPROM_GOOD = [f"eeprom: length={n} write=ok read=ok same=1" for n in LENGTHS]


def good_words(seed: int) -> Iterator[int]:
    return iter(SplitMix64(seed).next_word, None)


def _circle(length: int) -> Callable[[Iterator[int]], Iterator[int]]:
    return lambda words: itertools.cycle(list(itertools.islice(words, length)))


def _blocks_twice(words: Iterator[int]) -> Iterator[int]:
    while True:
        block = list(itertools.islice(words, 6))
        yield from block + block


#: sources without much entropy, made of good words
QUIETLY_BAD: dict[str, Callable[[Iterator[int]], Iterator[int]]] = {
    "circle of 3": _circle(3), "circle of 5": _circle(5), "circle of 64": _circle(64), "circle of 200": _circle(200),
    "blocks of 6, each twice": _blocks_twice,
    "of 12 words": lambda words: map(list(itertools.islice(words, 12)).__getitem__, (word % 12 for word in words)),
    "one bit constant": lambda words: (word | 1 << 13 for word in words),
    "upper half constant": lambda words: (word & 0xFFFF | 0x3C5A0000 for word in words),
    "middle bytes constant": lambda words: (word & 0xFF0000FF | 0x3C5A00 for word in words),
    "half of each byte constant": lambda words: (word & 0x0F0F0F0F | 0x30C05060 for word in words),
    "a bit 1 in seven of eight": lambda words: (word | bool(next(words) % 4) << 20 for word in words),
    "counter": lambda words: itertools.count(next(words) % 2**24),
    "counter in large steps": lambda words: (n * 0x9E3779B9 % 2**32 for n in itertools.count(next(words))),
    "few bits change": lambda words: itertools.accumulate(words, lambda last, word: last ^ 3 << word % 31),
    "every other word inverted": lambda words: itertools.chain.from_iterable(
        (word, word ^ 0xFFFFFFFF) for word in words),
    "bytes equal": lambda words: (word % 256 * 0x01010101 for word in words),
    "halves equal": lambda words: (word % 65536 * 0x00010001 for word in words),
    "upper half inverted": lambda words: (word % 65536 * 0x00010001 ^ 0xFFFF0000 for word in words),
    "bits in pairs": lambda words: (word & 0x55555555 | (word & 0x55555555) << 1 for word in words),
}

pytestmark = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")


@pytest.fixture(scope="session")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("probe") / "probe.elf"
    sources = [path for part in ("board", "drivers", "storage", "vault")
               for path in sorted((FIRMWARE / "src" / part).glob("*.c"))]
    command = ["arm-none-eabi-gcc", "-std=c11", "-O2", "-g", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft",
               "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror", f"-I{FIRMWARE / 'src'}",
               f"-I{FIRMWARE}", "-isystem", ROOT / ".cache/mbedtls-3.6.6/include",
               "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", ROOT / "tests/firmware_drivers/probe.c", *sources,
               "-nostartfiles", f"-L{FIRMWARE}",
               f"-T{FIRMWARE / 'link.ld'}", "--specs=nano.specs", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments",
               "-o", program]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return program


class Bench:
    """One board with the probe; ``lines`` and ``modem`` collect what it sends."""

    def __init__(self, elf: Path, scenario: str, platform: Path = ROOT / "platforms/offchip-board.repl") -> None:
        self.engine = EmbeddedEngine(platform)
        self.engine.load_elf(elf)
        self.engine.program(SCENARIO_WORD, SCENARIOS.index(scenario).to_bytes(4, "little"))
        self.console = bytearray()
        self.modem = bytearray()
        self.engine.power_on()

    @property
    def rng(self) -> Stm32F4Rng:
        model = self.engine.machine.find("rng")
        assert isinstance(model, Stm32F4Rng)
        return model

    @property
    def lines(self) -> list[str]:
        return self.console.decode().split("\r\n")[:-1]

    def run(self, milliseconds: int, until: Callable[[], bool] | None = None) -> None:
        for _ in range(milliseconds):
            for byte in self.engine.run(MILLISECOND).uart:
                (self.console if byte.uart == "usart1" else self.modem).append(byte.value)
            if until is not None and until():
                return
        assert until is None, f"not within {milliseconds} ms; the console so far: {self.lines}"

    def finish(self, milliseconds: int) -> list[str]:
        """The lines between boot line and end; the drivers must not have broken any rule of the models."""
        self.run(milliseconds, lambda: END.encode() + b"\r\n" in self.console)
        assert self.engine.diagnostics() == []
        assert self.lines[-2:] == ["end: ok", END]
        return self.lines[1:-2]


@pytest.fixture
def bench(elf: Path) -> Callable[..., Bench]:
    return lambda *words: Bench(elf, *words)


SD_GOOD = ["sd: init=ok type=SDSC blocks=32768", "sd: read=ok first=41 last=5a", "sd: write=ok", "sd: back=ok same=1",
           "sd: beyond=card-error"]


class TestStorage:
    def test_card_and_eeprom(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        card, chip = board.engine.medium("sdcard"), board.engine.medium("eeprom")
        card.write(5 * 512, b"A" * 511 + b"Z")
        assert board.finish(400) == [*SD_GOOD, "eeprom: init=ok", *EEPROM_GOOD, "eeprom: beyond=eeprom-timeout"]
        assert board.lines[0] == "boot: reset=power-on clock=0"
        assert board.engine.machine.find("eeprom").write_protect  # again, after the last write
        assert card.read(32767 * 512, 512) == bytes(9 + i * 7 + (i >> 8) & 0xFF for i in range(512))
        for i, length in enumerate(LENGTHS):
            wanted = bytes(i + k * 7 + (k >> 8) & 0xFF for k in range(length)) + b"\xff"
            assert chip.read(100 + 512 * i, length + 1) == wanted

    def test_high_capacity_card(self, bench: Callable[..., Bench], tmp_path: Path) -> None:
        platform = tmp_path / "sdhc.repl"
        description = (ROOT / "platforms/offchip-board.repl").read_text()
        assert description.count("capacity: 0x1000000") == 1
        for name in ("stm32f405.repl", "peripherals"):
            (tmp_path / name).symlink_to(ROOT / "platforms" / name)
        platform.write_text(description.replace("capacity: 0x1000000", "capacity: 0x40000000\n    highCapacity: true"))
        lines = bench("storage", platform).finish(400)
        assert lines[0] == "sd: init=ok type=SDHC blocks=2097152"
        assert lines[2:5] == SD_GOOD[2:]

    def test_nothing_there(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.medium("sdcard").present = False
        board.engine.medium("eeprom").present = False
        lines = board.finish(400)
        assert lines[0] == "sd: init=no-card type=SDSC blocks=0"
        assert lines[1] == "eeprom: init=eeprom-absent"

    def test_a_write_that_fails_leaves_the_chip_protected(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.run(400, lambda: b"eeprom: init=ok" in board.console)
        board.engine.medium("eeprom").present = False
        assert any(" write=eeprom-absent " in line for line in board.finish(4000))
        assert board.engine.machine.find("eeprom").write_protect

    @pytest.mark.parametrize("level", [0x00, 0xFF])
    def test_miso_stuck(self, bench: Callable[..., Bench], level: int) -> None:
        board = bench("storage")
        board.engine.spi_tap().stuck_miso(level)
        assert board.finish(2000)[0] == "sd: init=no-card type=SDSC blocks=0"

    @pytest.mark.parametrize("miso", [0x00, 0x7F])
    def test_card_that_holds_miso_until_cmd0(self, bench: Callable[..., Bench], miso: int,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
        """Met in public reports; SD 7.2.1 lets the line be anything before the card is in SPI mode."""
        plain = SdCardSpi.transmit

        def transmit(card: SdCardSpi, mosi: int) -> int:
            started, answer = card._spi_mode, plain(card, mosi)
            return answer if started else miso

        monkeypatch.setattr(SdCardSpi, "transmit", transmit)
        board = bench("storage")
        board.engine.medium("sdcard").write(5 * 512, b"A" * 511 + b"Z")
        assert board.finish(2000)[:5] == SD_GOOD

    def test_card_without_cmd59(self, bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sd_card._COMMANDS, 59)
        board = bench("storage")
        board.engine.medium("sdcard").write(5 * 512, b"A" * 511 + b"Z")
        assert board.finish(400)[:5] == SD_GOOD

    def test_damage_on_the_wire_is_seen(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.spi_tap().replace_on_read(5, 100, b"\xa5", fix_crc=False)
        assert board.finish(400)[1].startswith("sd: read=read-crc")

    def test_passing_damage_is_read_again(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.medium("sdcard").write(5 * 512, b"A" * 511 + b"Z")
        board.engine.spi_tap().replace_on_read(5, 100, b"\xa5", count=2, fix_crc=False)
        assert board.finish(400)[1] == SD_GOOD[1]

    def test_damaged_write_is_refused_by_the_card(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.spi_tap().replace_on_write(32767, 100, b"\xa5", fix_crc=False)
        lines = board.finish(400)
        assert lines[2:4] == ["sd: write=card-error", "sd: back=ok same=0"]

    def test_unreadable_block(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.machine.find("sdcard").set_read_error(5, 0x04)
        assert board.finish(400)[1].startswith("sd: read=card-error")

    def test_card_that_programs_for_ever(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.engine.medium("sdcard").set("WriteBusyBytes", 1 << 30)
        board.engine.medium("sdcard").set("BusyMicroseconds", 1 << 30)
        assert board.finish(3000)[2] == "sd: write=timeout"

    def test_eeprom_falls_silent(self, bench: Callable[..., Bench]) -> None:
        board = bench("storage")
        board.run(400, lambda: b"length=63" in board.console)
        board.engine.i2c_tap().drop_address(0x50)
        board.run(400, lambda: END.encode() in board.console)
        assert any("=eeprom-absent" in line for line in board.lines)

    @pytest.mark.parametrize("when", range(4, 90, 7))
    def test_found_again_after_a_reset_at_any_time(self, bench: Callable[..., Bench], when: int) -> None:
        board = bench("storage")
        board.engine.medium("sdcard").write(5 * 512, b"A" * 511 + b"Z")
        board.run(when)
        board.engine.reset()
        board.console.clear()
        board.run(400, lambda: END.encode() in board.console)
        assert "boot: reset=pin clock=0" in board.lines
        start = board.lines.index("boot: reset=pin clock=0")
        assert board.lines[start + 1:-3] == [*SD_GOOD, "eeprom: init=ok", *EEPROM_GOOD]


@pytest.mark.parametrize("virtual_timing", [False, True])
def test_flash(bench: Callable[..., Bench], virtual_timing: bool) -> None:
    board = bench("flash_write")
    board.engine.machine.flash.virtual_timing = virtual_timing
    assert board.finish(3000) == ["flash: locked=1", "flash: unlock=0 erase=0", "flash: program=0", "flash: again=6",
                                  "flash: unaligned=4 code=7 sector=7", "flash: relocked=1 rdp=aa"]
    assert board.engine.read_memory(0x08008000, 16).hex() == "7856341200000000ffffffffffffffff"


def test_readout_protection(bench: Callable[..., Bench]) -> None:
    board = bench("protect")
    assert board.finish(100) == ["rdp: 0", "rdp: 55 0"]


def test_time(bench: Callable[..., Bench]) -> None:
    board = bench("time")
    board.run(4000, lambda: END.encode() + b"\r\n" in board.console)
    assert board.engine.diagnostics() == []
    times = (978307200, 1767225630, 1709164799, 1709251199, 4102444799, 1735689599)
    assert board.lines[:3] == ["boot: reset=power-on clock=0", "time: ms=21 us=20",
                               "rtc: init=1 kept=0 time=0 backup=00000000"]
    assert board.lines[3:9] == [f"rtc: {time} set=1 get=1 off=0" for time in times]
    assert board.lines[9:] == ["rtc: early=0 late=0", "rtc: later=1767225632", "boot: reset=software clock=0",
                               "time: ms=21 us=20", "rtc: init=1 kept=1 time=1767225632 backup=c0ffee11", "end: ok",
                               END]


def test_serial(bench: Callable[..., Bench]) -> None:
    """6000 bytes echoed, then 10000 nobody reads: the ring keeps 8192 and counts the rest."""
    board = bench("serial")
    board.run(50, lambda: board.modem == b"ready\n")
    data = bytes(i * 13 + i // 256 & 0xFF for i in range(6000))
    board.engine.feed_uart("usart2", data)
    board.run(1000, lambda: len(board.modem) > 100)
    board.engine.feed_uart("usart2", bytes(10000))
    lines = board.finish(3000)
    assert board.modem[6:] == data
    assert lines == ["modem: echoed=6000 received=14192 full=1808 overrun=0 line=0 waiting=8192", "modem: waiting=0"]


def test_hall(bench: Callable[..., Bench]) -> None:
    board = bench("hall")
    for near in (True, False, True):
        board.run(50)
        board.engine.set_hall(near)
    assert board.finish(400) == ["hall: open event=0", "hall: closed", "hall: open", "hall: closed"]


class TestRandom:
    def test_good_source(self, bench: Callable[..., Bench]) -> None:
        lines = bench("random").finish(200)
        assert lines[0] == "rng: ok"
        assert all(line.startswith("rng: fill=ok ") for line in lines[1:]) and len(set(lines)) == 4

    @pytest.mark.parametrize(("fault", "word"), [("seed", "seed"), ("clock", "clock"), ("stuck", "repetition"),
                                                 ("repeat", "repetition"), ("alternate", "repetition")])
    def test_bad_source(self, bench: Callable[..., Bench], fault: str, word: str) -> None:
        board = bench("random")
        board.rng.fault = fault
        assert board.finish(200) == [f"rng: {word}", *[f"rng: fill={word} {'00' * 7}"] * 3]

    def test_biased_source(self, bench: Callable[..., Bench]) -> None:
        """No word comes again, no bit is far from even, yet a quarter of all bytes are one value."""
        board, words = bench("random"), good_words(1)
        for n, word in zip(range(400), words, strict=False):
            place = 8 * (n % 4)
            board.rng.push(word & ~(0xFF << place) | 0x5A << place)
        assert board.finish(200) == ["rng: proportion", *[f"rng: fill=proportion {'00' * 7}"] * 3]

    @pytest.mark.parametrize("good", [0, 200, 257, 514])
    @pytest.mark.parametrize("source", QUIETLY_BAD)
    def test_quietly_bad_source(self, bench: Callable[..., Bench], source: str, good: int) -> None:
        """What no flag tells: from the start, within the start-up test, from a word of a fill or behind it on."""
        board, words = bench("random"), list(itertools.islice(good_words(1), good))
        for word in [*words, *itertools.islice(QUIETLY_BAD[source](good_words(2)), 1100)]:
            board.rng.push(word)
        lines, drawn = board.finish(200), b"".join(word.to_bytes(4, "little") for word in words)
        assert good or lines[0] in ("rng: repetition", "rng: proportion")
        for line in lines[1:]:  # what is handed out was good to the last byte
            assert line.endswith(f" {'00' * 7}") or bytes.fromhex(line.split()[-1]) in drawn
        assert "fill=ok" not in lines[-1]

    def test_source_that_swings_between_two_good_words(self, bench: Callable[..., Bench]) -> None:
        """Eight different bytes, each 64 times in a window of 512: below the proportion's cutoff."""
        board = bench("random")
        board.rng.fault_word = 0x1234567A
        board.rng.fault = "alternate"
        assert board.finish(200) == ["rng: repetition", *[f"rng: fill=repetition {'00' * 7}"] * 3]

    def test_source_that_fails_later(self, bench: Callable[..., Bench]) -> None:
        """A failure is final until the next rng_init, even if the source recovers."""
        board = bench("random")
        board.run(100, lambda: b"fill=ok" in board.console)
        board.rng.fault = "seed"
        board.run(100, lambda: b"fill=seed" in board.console)
        board.rng.fault = "none"
        assert [line.split()[1] for line in board.finish(200)[1:]] == ["fill=ok", "fill=seed", "fill=seed"]


class TestEnds:
    """Defined ends stay, watchdog fed; anything else is ended by the watchdog."""

    @pytest.mark.parametrize(("scenario", "line"), [
        ("usage_fault", "state: fault reason=usage-fault pc="), ("bus_fault", "state: fault reason=bus-fault pc="),
        ("bad_interrupt", "state: fault reason=unexpected-exception pc="), ("stop", "state: fault reason=asked")])
    def test_stays(self, bench: Callable[..., Bench], scenario: str, line: str) -> None:
        board = bench(scenario)
        board.run(9000)
        assert board.lines[0] == "boot: reset=power-on clock=0"
        assert board.lines[1].startswith(line) and len(board.lines) == 2

    def test_watchdog_ends_a_hang(self, bench: Callable[..., Bench]) -> None:
        board = bench("hang")
        board.run(15000, lambda: board.lines[1:] == ["hang: now", "boot: reset=watchdog clock=0"])
        assert 13_900 * MILLISECOND < board.engine.now_ns < 14_200 * MILLISECOND

    def test_software_reset(self, bench: Callable[..., Bench]) -> None:
        board = bench("restart")
        board.run(50, lambda: board.lines[1:2] == ["boot: reset=software clock=0"])
