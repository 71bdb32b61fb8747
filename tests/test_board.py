# SPDX-License-Identifier: Apache-2.0
"""The board on a scripted engine."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from offchip import vault
from offchip.attacks import wire
from offchip.board.board import Board
from offchip.board.create import create_board
from offchip.board.factory import (
    CONFIGURATION_ADDRESS,
    configuration_page,
    provision,
)
from offchip.board.images import load_images
from offchip.engines.protocol import Capabilities, Diagnostic, RunResult, UartByte
from offchip.errors import (
    BoardError,
    DebugAccessRefused,
    EngineError,
    FactoryError,
    FirmwareError,
    MediumError,
    PlatformError,
)
from offchip.network.internet import Internet
from offchip.network.tcp import TcpService
from offchip.paths import BOARD
from tests.test_factory import DEVICE_KEY, PROVISIONING, key_bytes
from tests.test_modem import HOST, Server


class FakeMedium:
    def __init__(self, name: str, size: int, fill: int) -> None:
        self.name, self.size, self.present = name, size, True
        self.content = bytearray([fill]) * size
        self.options: dict[str, object] = {}

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset:offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.content[offset:offset + len(data)] = data

    def set(self, option: str, value: int | bool | str) -> None:
        self.options[option] = value

    def counter(self, name: str) -> int:
        return {"BlocksRead": 3, "Locked": 0, "CsdFlags": int(self.options.get("CsdFlags", 0))}[name]


class FakePort:
    """Flash and RAM behind readout protection, the rules of RM0090 3.7.3 in their shortest form."""

    def __init__(self, memory: dict[int, bytearray]) -> None:
        self.memory = memory
        self.rdp_level = 0

    def read(self, address: int, length: int) -> bytes:
        if self.rdp_level == 2 or (self.rdp_level == 1 and address >> 24 == 0x08):
            raise DebugAccessRefused(f"0x{address:08X} is protected at level {self.rdp_level}")
        return bytes(self.memory[address][:length])

    def set_rdp(self, level: int) -> None:
        if self.rdp_level == 2:
            raise DebugAccessRefused("level 2 is final")
        if level < self.rdp_level:
            self.memory[0x08000000][:] = b"\xFF" * (1 << 20)
        self.rdp_level = level


class FakeEngine:
    """A chip whose program is a Python callable: ``program(engine, now_ns)``, called once per slice."""

    def __init__(self, program=None) -> None:
        self.capabilities = Capabilities("fake", "1", True, True, True, True, True, False)
        self.program_code = program or (lambda engine, now_ns: None)
        self.now_ns = 0
        self.instructions = 0
        self.calls: list[str] = []
        self.slices: list[int] = []
        self.fed: list[tuple[int, str, bytes]] = []
        self.output: list[UartByte] = []
        self.pending_resets = 0
        self.pending_loss = False
        self.magnet: bool | None = None
        self.media = {"sdcard": FakeMedium("sdcard", 16 << 20, 0), "eeprom": FakeMedium("eeprom", 32768, 0xFF)}
        self.memory = {0x08000000: bytearray(b"\xFF") * (1 << 20), 0x20000000: bytearray(128 << 10),
                       0x10000000: bytearray(64 << 10)}
        self.port = FakePort(self.memory)
        self.reports: list[Diagnostic] = []

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        duration_ns = min(duration_ns, cell_ns or duration_ns)
        self.slices.append(duration_ns)
        self.program_code(self, self.now_ns)
        self.now_ns += duration_ns
        result = RunResult(self.output, self.pending_resets, supply_lost=self.pending_loss)
        self.output, self.pending_resets, self.pending_loss = [], 0, False
        return result

    def say(self, uart: str, text: str, time_ns: int | None = None) -> None:
        self.output += [UartByte(uart, byte, time_ns or self.now_ns) for byte in text.encode()]

    def feed_uart(self, uart: str, data: bytes) -> None:
        self.fed.append((self.now_ns, uart, data))

    def taken(self, uart: str) -> bytes:
        return b"".join(data for _, name, data in self.fed if name == uart)

    def program(self, address: int, data: bytes) -> None:
        self.calls.append(f"program rdp={self.port.rdp_level}")
        self.memory[0x08000000][address - 0x08000000:address - 0x08000000 + len(data)] = data

    def read_memory(self, address: int, length: int) -> bytes:
        return bytes(length)  # the unique device id

    def power_on(self) -> None:
        self.calls.append("on")

    def power_off(self) -> None:
        self.calls.append("off")

    def reset(self) -> None:
        self.calls.append("reset")
        self.pending_resets += 1

    def close(self) -> None:
        self.calls.append("close")

    def set_hall(self, magnet_near: bool) -> None:
        self.magnet = magnet_near

    def medium(self, name: str) -> FakeMedium:
        return self.media[name]

    def debug_port(self) -> FakePort:
        return self.port

    def diagnostics(self) -> list[Diagnostic]:
        return self.reports


def on_air() -> tuple[Board, Server]:
    internet, server = Internet(), Server()
    internet.register(HOST, 8883, server)
    board = Board(FakeEngine(), internet)
    board.power_on()
    return board, server


# time, console, supply ---------------------------------------------------------------------------------------------
def test_time_moves_in_slices_and_exactly():
    board = Board(FakeEngine())
    told: list[int] = []
    board.on_slice.append(told.append)
    board.run(0.0012)
    assert board.engine.slices == [500_000, 500_000, 200_000]
    assert told == [500_000, 1_000_000, 1_200_000]
    with pytest.raises(BoardError, match="backwards"):
        board.run(-1)


class SleepingEngine(FakeEngine):
    """Sleeps, except in the cells that begin at ``awake``."""

    awake = (3_000_000,)

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        cells = range(self.now_ns, self.now_ns + duration_ns, cell_ns)
        ends = [min(at + cell_ns, self.now_ns + duration_ns) for at in cells if at in self.awake]
        return super().run((ends[0] if ends else self.now_ns + duration_ns) - self.now_ns)


def test_slices_that_all_sleep_through_are_one_request():
    board = Board(SleepingEngine(), with_modem=False)
    told: list[int] = []
    due = {500_000: 2_100_000, 2_500_000: 1 << 62, 3_500_000: 3_600_000, 4_000_000: None, 4_500_000: 1 << 62}
    board.on_slice.append(lambda now_ns: (told.append(now_ns), due.get(now_ns))[1])
    board.run(0.0062)  # the first is alone, then to the slice in which it is due, to the end of the cell awake, ...
    assert told == [500_000, 2_500_000, 3_500_000, 4_000_000, 4_500_000, 6_200_000]
    board.run(0.001)
    assert told[-2:] == [6_700_000, 7_200_000]


def test_the_modem_is_not_slept_over():
    board = Board(SleepingEngine())
    board.modem.boot_ms = 2
    board.power_on()
    board.run(0.01)
    assert board.engine.taken("usart2") == b"\r\nready\r\n"
    assert board.engine.fed[0][0] == 2_000_000 and len(board.engine.slices) < 10


def test_console_lines_carry_time_and_are_consumed_in_order():
    script = {0: "boot: off", 500_000: "chip 1\r\nstate: a\r\n", 1_000_000: "state: b\r\nhalf"}
    board = Board(FakeEngine(lambda engine, now_ns: engine.say("usart1", script.get(now_ns, ""), now_ns + 7)))
    found = board.console.wait_for(r"^boot: (\w+) (\d)$", 1)
    assert (found.match[1], found.match[2], found.line) == ("offchip", "1", (500_007, "boot: offchip 1"))
    assert board.console.wait_for("state").line.text == "state: a"
    assert board.console.wait_for("state").line.text == "state: b"
    with pytest.raises(BoardError) as caught:
        board.console.wait_for("state", 0.01)
    assert str(caught.value) == (
        "console line /state/ did not happen within 0.01 s of virtual time (now 0.011 s, the board is off); "
        "last console lines: boot: offchip 1 | state: a | state: b | half")
    assert [line.text for line in board.console.find("^state")] == ["state: a", "state: b"]
    with pytest.raises(BoardError, match="no regular expression"):
        board.console.wait_for("(")


def test_skipped_lines_are_not_found_and_typing_arrives():
    board = Board(FakeEngine(lambda engine, now_ns: engine.say("usart1", "tick\n") if now_ns < 1_000_000 else None))
    board.run(0.001)
    board.console.skip()
    with pytest.raises(BoardError, match="tick"):
        board.console.wait_for("tick", 0.002)
    board.console.send("hi")
    assert board.engine.taken("usart1") == b"hi"


def test_bytes_no_text_can_hold_do_not_stop_the_console():
    engine = FakeEngine()
    engine.output = [UartByte("usart1", value, 5) for value in b"\xff\x80ok\r\n"]
    board = Board(engine)
    assert board.console.wait_for("ok").line.text == "\\xff\\x80ok"


def test_supply_and_reset():
    board, _ = on_air()
    with pytest.raises(BoardError, match="powered already"):
        board.power_on()
    board.engine.say("usart1", "unfinished")
    board.run(0.001)
    board.power_cycle(0.01)
    assert board.console.tail() == []
    board.reset()
    board.run(0.001)
    assert (board.engine.calls, board.resets, board.now_ns) == (["on", "off", "on", "reset"], 1, 12_000_000)
    with pytest.raises(BoardError, match="let it run"):
        board.lie(1.0)
    board.power_off()
    with pytest.raises(BoardError, match="off already"):
        board.power_off()


def test_a_board_without_a_supply_lies_about_in_one_piece():
    board = Board(FakeEngine())
    told: list[int] = []
    board.on_slice.append(told.append)
    board.lie(0.25)
    assert board.engine.slices == [250_000_000] and board.now_ns == 250_000_000 and not told


def test_a_line_that_the_supply_cuts_is_cut_where_it_is_lost():
    board, _ = on_air()
    board.engine.say("usart1", "storage: sd blocks=")
    board.run(0.001)
    board.engine.say("usart1", "327")
    board.engine.pending_loss = True
    board.run(0.001)
    assert board.console.tail() == [] and not board.powered
    board.power_on()
    board.engine.say("usart1", "boot: off\r\n")
    assert board.console.wait_for("boot").line.text == "boot: off"


def test_lid_and_diagnostics():
    engine = FakeEngine()
    with Board(engine) as board:
        assert engine.magnet is True and not board.hall.case_open
        board.hall.open_case()
        assert engine.magnet is False and board.hall.case_open
        engine.reports = [Diagnostic("violation", "i2c1", "x", 1, 2), Diagnostic("unmodelled", "dma1", "y", 1, 2)]
        assert [each.where for each in board.unmodelled()] == ["dma1"]
        assert len(board.diagnostics()) == 2
    assert engine.calls == ["close"]


# modem glue --------------------------------------------------------------------------------------------------------
def at(board: Board, line: str | bytes, answer: bytes, timeout_s: float = 1.0) -> None:
    """Send from the chip; wait until ``answer`` has been fed to the chip behind everything fed before."""
    before = len(board.engine.taken("usart2"))
    text = line if isinstance(line, bytes) else line.encode() + b"\r\n"
    board.engine.output += [UartByte("usart2", value, board.now_ns) for value in text]
    board.run_until(lambda: answer in board.engine.taken("usart2")[before:], timeout_s, f"answer to {text!r}")


def connect(board: Board) -> None:
    board.run(0.31)
    at(board, "ATE0", b"OK")
    at(board, "AT+CWMODE=1", b"OK")
    at(board, 'AT+CWJAP="lab","x"', b"WIFI GOT IP\r\n\r\nOK\r\n")
    at(board, f'AT+CIPSTART="TCP","{HOST}",8883', b"CONNECT\r\n\r\nOK\r\n")


def test_chip_talks_to_a_server_through_the_modem():
    board, server = on_air()
    connect(board)
    at(board, "AT+CIPSEND=5", b">")
    at(board, b"hello", b"+IPD,5:HELLO")
    assert bytes(server.peers[0].got) == b"hello"
    board.reset()  # the modem does not share the chip's reset line
    at(board, f'AT+CIPSTART="TCP","{HOST}",8883', b"ALREADY CONNECTED")
    board.power_cycle()
    assert server.peers[0].hung_up


def test_answers_reach_the_chip_at_line_rate():
    board, server = on_air()
    connect(board)
    server.peers[0].push(bytes(1460))
    start = len(board.engine.fed)
    before = board.now_ns
    board.run_until(lambda: sum(len(data) for _, _, data in board.engine.fed[start:]) >= 1460, 1)
    portions = [data for _, _, data in board.engine.fed[start:]]
    assert max(map(len, portions)) <= 6  # 500 us hold 5.76 bytes
    assert 1460 / 11520 + 0.02 <= (board.now_ns - before) / 1e9 < 1480 / 11520 + 0.022


def test_two_runs_are_the_same():
    def run() -> list[tuple[int, str, bytes]]:
        board, server = on_air()
        connect(board)
        at(board, "AT+CIPSEND=3", b">")
        at(board, b"bye", b"CLOSED")
        return board.engine.fed

    assert run() == run()


def test_board_without_modem_is_silent():
    board = Board(FakeEngine(), with_modem=False)
    board.power_on()
    board.engine.say("usart2", "AT\r\n")
    board.run(0.4)
    assert board.modem is None and board.engine.fed == []


def test_device_waits_for_a_real_tcp_peer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        board, _ = on_air()
        board.internet.register(HOST, 8883, TcpService(*listener.getsockname()))
        connect(board)
        peer, _ = listener.accept()
        with peer:
            at(board, "AT+CIPSEND=4", b">")
            at(board, b"ping", b"SEND OK")
            assert peer.recv(10) == b"ping"
            peer.sendall(b"pong")
            board.run_until(lambda: b"+IPD,4:pong" in board.engine.taken("usart2"), 5)
        board.run_until(lambda: board.engine.taken("usart2").endswith(b"CLOSED\r\n"), 5)


# media and factory -------------------------------------------------------------------------------------------------
def test_media_in_the_hand():
    board = Board(FakeEngine())
    board.sd.eject()
    assert not board.engine.media["sdcard"].present
    board.sd.insert()
    assert board.sd.present
    board.sd.format({"/A.TXT": b"one"}, partitioned=True)
    board.sd.write_file("/DIR/B.TXT", b"two")
    assert (board.sd.files(), board.sd.read_file("/A.TXT")) == (["/A.TXT", "/DIR/B.TXT"], b"one")
    board.sd.delete_file("/A.TXT")
    assert board.sd.files() == ["/DIR/B.TXT"]
    board.eeprom.write(32760, b"12345678")
    assert board.eeprom.image[-8:] == b"12345678"
    board.eeprom.set("TornBytes", 3)
    assert board.engine.media["eeprom"].options == {"TornBytes": 3} and board.eeprom.counter("BlocksRead") == 3
    for action in (lambda: board.eeprom.replace(bytes(100)), lambda: board.eeprom.read(32760, 9),
                   lambda: board.eeprom.write(-1, b"x")):
        with pytest.raises(MediumError, match="^eeprom: "):
            action()
    board.eeprom.wipe()
    board.sd.wipe()
    assert set(board.eeprom.image) == {0xFF} and set(board.sd.image) == {0}


def test_the_card_of_a_board_becomes_as_large_as_its_image(tmp_path):
    image = tmp_path / "card.img"
    image.write_bytes(b"L" * 512 + bytes((3 << 20) - 512))
    with create_board("embedded") as board:
        load_images(board, image, None)
        assert (board.sd.size, board.sd.read(0, 513)) == (3 << 20, b"L" * 512 + b"\0")
    board = Board(FakeEngine())  # one that can only fill the card it has
    with pytest.raises(MediumError, match="card.img: the image has 3145728 bytes, the sdcard of this board"):
        load_images(board, image, None)


def test_provisioning_internal_then_protect():
    engine = FakeEngine()
    chosen = dataclasses.replace(PROVISIONING, rdp_level=1)
    provision(engine, chosen)
    offset = CONFIGURATION_ADDRESS - 0x08000000
    page = configuration_page(chosen)
    sector = bytes(engine.memory[0x08000000][offset:offset + 16384])
    assert sector == page.ljust(16384, b"\xFF")
    assert (engine.calls, engine.port.rdp_level) == (["program rdp=0"], 1)
    with pytest.raises(FactoryError, match="would erase"):
        provision(engine, PROVISIONING)
    engine.port.rdp_level = 2
    with pytest.raises(FactoryError, match="final"):
        provision(engine, PROVISIONING)


def test_medium_too_small_for_its_content():
    engine = FakeEngine()
    engine.media["eeprom"].size = 512
    with pytest.raises(FactoryError, match="EEPROM of 512"):
        provision(engine, dataclasses.replace(PROVISIONING, scheme=vault.PLAIN, medium=vault.EEPROM))
    engine.media["sdcard"].size = 1 << 20
    with pytest.raises(FactoryError, match="a card image"):
        provision(engine, dataclasses.replace(PROVISIONING, scheme=vault.PLAIN, medium=vault.SD))


def test_board_on_the_embedded_engine_from_typing_to_sniffing(tmp_path):
    """A probe firmware reads block 7 of the card when told so on its console."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    probe = Path(__file__).parent / "conformance/attack"
    subprocess.run(["make", "-s", "-C", probe, f"OUT={tmp_path}", f"{tmp_path}/attack_probe.elf"], check=True)
    with create_board("auto", elf=tmp_path / "attack_probe.elf") as board:
        board.sd.write(7 * 512, key_bytes(DEVICE_KEY))
        board.spi_tap.record()
        board.power_on()
        board.console.wait_for("start=")
        board.console.send("r")
        assert board.console.wait_for("read=").line.text == "read=000 2d2d2d2d2d424547"
        recorded = board.spi_tap.drain()
        (content, _) = wire.rebuild(recorded)
        assert (content.place, content.data[:27]) == ("spi1 block 7", key_bytes(DEVICE_KEY)[:27])
        board.sd.eject()
        board.console.send("r")
        assert board.console.wait_for("read=").line.text != "read=000 2d2d2d2d2d424547"
        assert board.unmodelled() == []


def test_bare_mcu_is_a_board_without_parts():
    with create_board("auto", platform=BOARD.parent / "stm32f405.repl", with_modem=False) as board:
        board.run(0.001)
        for part in ("sd", "eeprom", "hall"):
            with pytest.raises(EngineError, match="no peripheral"):
                getattr(board, part)


# creation ----------------------------------------------------------------------------------------------------------
def test_create_board_refuses_with_one_sentence(tmp_path):
    with pytest.raises(PlatformError, match="no such platform"):
        create_board(platform=tmp_path / "none.repl")
    with pytest.raises(FirmwareError, match="build the firmware"):
        create_board(elf=tmp_path / "none.elf")
    with pytest.raises(EngineError, match="no engine 'qemu'"):
        create_board("qemu")
