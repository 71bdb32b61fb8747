# SPDX-License-Identifier: Apache-2.0
"""The C# models for Renode: they compile, and the C# taps do what their Python twins do.

Compiled with Mono's compiler against ``tests/csharp/RenodeStubs.cs``, which holds the few signatures of Renode that the
models use; so a typo, or a use of something the stubs do not know, is found without Renode.
"""

from __future__ import annotations

import random
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from fakes import FakeMachine
from offchip.engines.embedded.peripherals.eeprom import Eeprom24xx256
from offchip.engines.embedded.peripherals.i2c_tap import I2cTap
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi
from offchip.engines.embedded.peripherals.spi_tap import SpiTap
from offchip.engines.protocol import Fired
from offchip.engines.renode.taps import I2cRecord, parse_fired, parse_spi

HERE = Path(__file__).parent
MODELS = HERE.parent / "platforms/peripherals"
SOURCES = sorted(MODELS.glob("*.cs"))

needs_mcs = pytest.mark.skipif(shutil.which("mcs") is None, reason="no C# compiler (Debian package mono-mcs)")
needs_mono = pytest.mark.skipif(shutil.which("mcs") is None or shutil.which("mono") is None,
                                reason="no C# compiler or runtime (Debian packages mono-mcs and mono-runtime)")


def compile_cs(out: Path, *sources: Path, target: str = "library") -> subprocess.CompletedProcess[str]:
    # C# 7: what the oldest compiler inside a Renode accepts
    command = ["mcs", "-langversion:7", "-warnaserror", f"-target:{target}", f"-out:{out}", *map(str, sources)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@needs_mcs
def test_models_compile(tmp_path: Path) -> None:
    assert len(SOURCES) == 12
    done = compile_cs(tmp_path / "models.dll", HERE / "csharp/RenodeStubs.cs", *SOURCES)
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
    done = compile_cs(tmp_path / "models.dll", HERE / "csharp/RenodeStubs.cs", broken, *others)
    assert done.returncode != 0
    assert f"{model}(" in done.stdout + done.stderr


# the taps against their twins ------------------------------------------------------------------------------------
class CSharpBench:
    """A bench in C#, run by Mono: one answer line per command. Its first line is its hello."""

    def __init__(self, executable: Path) -> None:
        self._process = subprocess.Popen(["mono", str(executable)], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self.hello = self._process.stdout.readline().strip()

    def __call__(self, *words: object) -> str:
        self._process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.endswith("\n"), f"the bench died on {words}"
        return answer.rstrip("\n").replace("|", "\n")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


class Twins:
    """The same wires twice; every step must give the same bytes."""

    def __init__(self, bench: CSharpBench) -> None:
        self.cs = bench
        machine = FakeMachine()
        self.card = SdCardSpi(machine, capacity=0x100000)
        self.spi = SpiTap(machine)
        self.spi.attach(self.card, None)
        self.eeprom = Eeprom24xx256(machine)
        self.i2c = I2cTap(machine)
        self.i2c.attached(type("Bus", (), {"devices": {0x50: self.eeprom}})())

    def select(self, level: int) -> None:
        self.spi.on_gpio(0, bool(level))
        self.cs("cs", level)

    def send(self, data: bytes) -> bytes:
        answer = bytes(self.spi.transmit(byte) for byte in data)
        assert self.cs("send", data.hex()) == answer.hex().upper()
        return answer

    def command(self, index: int, argument: int = 0, crc: int = 0x01) -> bytes:
        frame = bytes([0x40 | index]) + argument.to_bytes(4, "big") + bytes([crc])
        return self.send(frame + b"\xFF" * 8)[6:]

    def start_card(self) -> None:
        self.select(1)
        self.send(b"\xFF" * 10)
        self.select(0)
        assert 0x01 in self.command(0, crc=0x95)
        self.command(8, 0x1AA, 0x87)
        for _ in range(4):
            self.command(55)
            self.command(41, 0x40000000)

    def read_block(self, block: int) -> bytes:
        frame = bytes([0x51]) + (block * 512).to_bytes(4, "big") + b"\x01"
        answer = self.send(frame + b"\xFF" * 530)
        start = answer.index(0xFE, 6) + 1
        return answer[start:start + 512]

    def write_block(self, block: int, data: bytes) -> None:
        frame = bytes([0x58]) + (block * 512).to_bytes(4, "big") + b"\x01"
        self.send(frame + b"\xFF" * 4 + b"\xFE" + data + b"\0\0" + b"\xFF" * 60)

    def store(self, offset: int, data: bytes) -> None:
        self.card.write_raw(offset, data)
        self.cs("write", offset, data.hex())

    def stored(self, offset: int, length: int) -> bytes:
        content = self.card.read_raw(offset, length)
        assert bytes.fromhex(self.cs("read", offset, length)) == content
        return content

    def fired(self) -> list[Fired]:
        mine, theirs = self.spi.fired(), parse_fired("spi1", self.cs("fired"))
        assert theirs == mine
        return mine

    def i2c_fired(self) -> list[Fired]:
        mine, theirs = self.i2c.fired(), parse_fired("i2c1", self.cs("i2c_fired"))
        assert theirs == mine
        return mine


@pytest.fixture(scope="module")
def bench_exe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("csharp") / "bench.exe"
    done = compile_cs(out, HERE / "csharp/RenodeStubs.cs", HERE / "csharp/TapBench.cs", *SOURCES, target="exe")
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def terminal_exe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("csharp") / "terminal.exe"
    done = compile_cs(out, HERE / "csharp/RenodeStubs.cs", HERE / "csharp/TerminalBench.cs",
                      MODELS / "OffchipTerminal.cs", MODELS / "OffchipSession.cs", target="exe")
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def twins(bench_exe: Path):
    bench = CSharpBench(bench_exe)
    yield Twins(bench)
    bench.close()


@needs_mono
def test_read_rules_leave_the_same_evidence(twins: Twins) -> None:
    twins.store(7 * 512, bytes(range(256)) * 2)
    twins.store(9 * 512, b"\x99" * 512)
    twins.start_card()
    twins.spi.replace_on_read(7, 3, b"\xBA\xD1", nth=2, count=1)
    twins.cs("replace_on_read", 7, 3, "BAD1", 2, 1, 1)
    assert [twins.read_block(7)[3:5].hex() for _ in range(3)] == ["0304", "bad1", "0304"]
    twins.spi.redirect_read(7, 9)
    twins.cs("redirect", 7, 9)
    twins.spi.replace_on_read(7, 0, b"\x01", fix_crc=False)
    twins.cs("replace_on_read", 7, 0, "01", 1, 0, 0)
    assert twins.read_block(7) == b"\x01" + b"\x99" * 511
    assert [f.rule for f in twins.fired()] == ["replace_on_read", "redirect_read", "replace_on_read"]
    twins.spi.clear()
    twins.cs("forget")
    assert twins.fired() == []
    assert twins.read_block(7)[:4] == b"\0\1\2\3"


@needs_mono
def test_broken_off_packet_leaves_the_same_evidence(twins: Twins) -> None:
    twins.start_card()
    twins.spi.replace_on_read(5, 2, b"\xAA\xBB\xCC")
    twins.cs("replace_on_read", 5, 2, "AABBCC", 1, 0, 1)
    answer = twins.send(bytes([0x51]) + (5 * 512).to_bytes(4, "big") + b"\x01" + b"\xFF" * 10)
    assert 0xFE in answer[6:]
    twins.select(1)
    assert len(twins.fired()) == 1


@needs_mono
def test_write_rule_and_stuck_line(twins: Twins) -> None:
    twins.start_card()
    twins.spi.replace_on_write(100, 1, b"\x55")
    twins.cs("replace_on_write", 100, 1, "55", 1, 0, 1)
    twins.write_block(100, b"\x11" * 512)
    assert twins.stored(100 * 512, 3) == b"\x11\x55\x11"
    twins.spi.stuck_miso(0)
    twins.cs("stuck", 0)
    twins.send(b"\xFF" * 3)
    twins.spi.stuck_miso(None)
    twins.cs("stuck", -1)
    assert [f.rule for f in twins.fired()] == ["replace_on_write", "stuck_miso"]


@needs_mono
@pytest.mark.parametrize(("after", "new"), [(0, 37), (514, 37), (300, 0), (513, 0)])
def test_power_cut_in_a_block_write(after: int, new: int, twins: Twins) -> None:
    twins.store(100 * 512, b"\x22" * 1024)
    twins.card.torn_bytes = 37
    twins.cs("torn", 37)
    twins.start_card()
    twins.spi.cut_power_at_block_write(2, after)
    twins.cs("cut", 2, after)
    twins.write_block(100, b"\x33" * 512)
    twins.write_block(101, b"\x33" * 512)
    assert twins.stored(100 * 512, 512) == b"\x33" * 512
    assert twins.stored(101 * 512, 512) == b"\x33" * new + b"\x22" * (512 - new)
    (fired,) = twins.fired()
    assert fired.rule == "cut_power_at_block_write" and fired.before == b"\x22" * 512
    assert set(twins.send(b"\xFF" * 4)) == {0xFF}


@needs_mono
@pytest.mark.parametrize("seed", range(12))
def test_any_session_leaves_the_same_bytes_and_evidence(seed: int, twins: Twins) -> None:
    choose = random.Random(seed)
    tap, cs = twins.spi, twins.cs
    blocks = range(3, 7)
    for block in blocks:
        twins.store(block * 512, choose.randbytes(512))
    twins.start_card()
    for _ in range(40):
        block, offset = choose.choice(blocks), choose.randrange(508)
        data, nth = choose.randbytes(choose.randint(1, 4)), choose.randint(1, 3)
        count, fix = choose.randint(0, 2), choose.random() < 0.7
        match choose.randrange(9):
            case 0:
                tap.replace_on_read(block, offset, data, nth, count, fix)
                cs("replace_on_read", block, offset, data.hex(), nth, count, int(fix))
            case 1:
                tap.replace_on_write(block, offset, data, nth, count, fix)
                cs("replace_on_write", block, offset, data.hex(), nth, count, int(fix))
            case 2:
                other = choose.choice(blocks)
                tap.redirect_read(block, other)
                cs("redirect", block, other)
            case 3 | 4:
                twins.read_block(block)
            case 5:
                twins.write_block(block, choose.randbytes(512))
            case 6:  # several blocks in one go, broken off somewhere
                frame = bytes([0x52]) + (block * 512).to_bytes(4, "big") + b"\x01"
                twins.send(frame + b"\xFF" * choose.randrange(1500))
                twins.send(b"\x4C\0\0\0\0\x61" + b"\xFF" * 12)
            case 7:
                twins.select(1)
                twins.send(b"\xFF" * choose.randrange(3))
                twins.select(0)
            case 8 if choose.random() < 0.3:
                tap.clear()
                cs("forget")
        twins.fired()
    assert [twins.stored(block * 512, 512) for block in blocks]
    twins.select(1)
    twins.fired()


@needs_mono
def test_recorded_transfers(twins: Twins) -> None:
    twins.start_card()
    twins.select(1)
    twins.spi.record(True)
    twins.cs("record", 1)
    for _ in range(2):
        twins.select(0)
        twins.command(13)
        twins.select(1)
    theirs, mine = parse_spi(twins.cs("drain")), twins.spi.drain()
    assert theirs == mine and len(mine) == 2


@needs_mono
def test_i2c_rules_leave_the_same_evidence(twins: Twins) -> None:
    tap, cs = twins.i2c, twins.cs
    for index, value, on_read in ((0, 0x11, True), (2, 0x22, True), (1, 0x33, False)):
        tap.replace(index, value, on_read)
        cs("i2c_replace", index, value, int(on_read))
    for kind in "RW":
        for index in range(4):
            wanted = tap.filter(kind, 0x50, index, 0x33)
            got = int(cs("i2c_filter", kind, 0x50, index, 0x33))
            assert (0x33 if got == -1 else got) == wanted
    assert len(twins.i2c_fired()) == 2  # W1 was 0x33 already
    tap.drop_address(0x50)
    cs("i2c_drop", 0x50)
    for value in (0xA0, 0xA0, 0xA2):
        passes = tap.passes_address(value)
        assert (cs("i2c_filter", "A", value >> 1, 0, value) == "-1") == passes == (value == 0xA2)
    assert len(twins.i2c_fired()) == 3
    tap.clear()
    cs("i2c_forget")
    assert tap.passes_address(0xA0) and cs("i2c_filter", "A", 0x50, 0, 0xA0) == "-1"
    assert twins.i2c_fired() == []


@needs_mono
def test_i2c_power_cut_and_record(twins: Twins) -> None:
    tap, cs = twins.i2c, twins.cs
    cs("i2c_drain")
    tap.record(True)
    tap.cut_power_after(6)
    cs("i2c_cut", 6)
    record = I2cRecord()
    for kind, value, ack in (("S", 0, True), ("A", 0xA0, True), ("W", 0, True), ("s", 0, True), ("A", 0xA1, True),
                             ("R", 0x5A, False), ("P", 0, True), ("S", 0, True), ("A", 0xA0, False)):
        tap.event(kind, value, ack)
        cs("i2c_event", kind, 0x50, value, int(ack))
    mine, theirs = tap.drain(), record.feed(cs("i2c_drain"))
    assert theirs == mine and [t.text for t in mine] == ["S A0+ 00+ Sr A1+ 5A- P"]
    tap.event("P", 0, True)
    cs("i2c_event", "P", 0x50, 0, 1)
    mine, theirs = tap.drain(), record.feed(cs("i2c_drain"))
    assert theirs == mine and [t.text for t in mine] == ["S A0- P"]
    (fired,) = twins.i2c_fired()
    assert fired.place == "event 6 (R)"
    assert not twins.eeprom.powered and cs("eeprom_powered") == "0"


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


@needs_mono
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc/PID/net/tcp of Linux")
def test_terminal_is_reached_from_this_computer_only(terminal_exe: Path) -> None:
    bench = CSharpBench(terminal_exe)
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
def test_a_script_asks_for_files_and_takes_an_earlier_board_away(terminal_exe: Path, tmp_path: Path) -> None:
    bench = CSharpBench(terminal_exe)
    (tmp_path / "there").write_bytes(b"")
    assert bench("require", tmp_path / "there") == "" == bench("require")
    assert bench("require", tmp_path / "not") == f"There is no file {tmp_path / 'not'}; type this"
    assert bench("discard", "nobody") == "0" and listening(bench.pid)
    assert bench("discard", "offchip") == "1" and listening(bench.pid) == set()
    assert bench("name") == "" and listening(bench.pid)  # the name is free again
    bench.close()
