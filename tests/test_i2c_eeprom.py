# SPDX-License-Identifier: Apache-2.0
"""I2C master, EEPROM and tap, driven through the registers as a polling driver does (RM0090 27.3.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from offchip.engines.embedded.peripherals.eeprom import Eeprom24xx256
from offchip.engines.embedded.peripherals.i2c import (
    CCR,
    CR1,
    CR1_ACK,
    CR1_PE,
    CR1_POS,
    CR1_START,
    CR1_STOP,
    CR1_SWRST,
    CR2,
    CR2_ITBUFEN,
    CR2_ITERREN,
    CR2_ITEVTEN,
    DR,
    SR1,
    SR1_ADDR,
    SR1_AF,
    SR1_BTF,
    SR1_RXNE,
    SR1_SB,
    SR1_TXE,
    SR2,
    SR2_BUSY,
    SR2_MSL,
    SR2_TRA,
    Stm32F4I2c,
)
from offchip.engines.embedded.peripherals.i2c_tap import I2cTap, data_bytes
from offchip.engines.protocol import Fired
from offchip.errors import MediumError
from tests.fakes import FakeMachine

CHIP = 0x50
MS = 1_000_000
BYTE_NS = 22_500  # nine bits at 400 kHz
PATIENCE = 100


class Nack(Exception):
    """The slave did not acknowledge."""


class Board:
    """Master, chip and tap, with the firmware's driver in Python."""

    def __init__(self, polls_per_step: int = 8, **chip: object) -> None:
        self.machine = FakeMachine()
        self.i2c = Stm32F4I2c(self.machine, polls_per_step=polls_per_step)
        self.chip = Eeprom24xx256(self.machine, **chip)
        self.tap = I2cTap(self.machine)
        self.chip.name = "eeprom"
        self.i2c.attach(self.chip, CHIP)
        self.i2c.attach(self.tap, None)
        self.set(CR2, 42)
        self.set(CCR, 0x8000 | 35)
        self.set(CR1, CR1_PE)

    def get(self, register: int) -> int:
        return self.i2c.read(register, 4)

    def set(self, register: int, value: int) -> None:
        self.i2c.write(register, 4, value)

    def control(self, on: int = 0, off: int = 0) -> None:
        self.set(CR1, self.get(CR1) & ~off | on)

    def wait(self, flag: int) -> None:
        for _ in range(PATIENCE):
            status = self.get(SR1)
            if status & SR1_AF:
                self.set(SR1, ~SR1_AF & 0xFFFFFFFF)
                self.stop()
                raise Nack
            if status & flag:
                return
        raise AssertionError(f"flag 0x{flag:X} never came, {status:#x}")

    def open(self, address_byte: int) -> None:
        self.control(CR1_START)
        self.wait(SR1_SB)
        self.set(DR, address_byte)
        self.wait(SR1_ADDR)

    def stop(self) -> None:
        self.control(CR1_STOP)
        for _ in range(PATIENCE):
            if not self.get(CR1) & CR1_STOP:
                return
        raise AssertionError("STOP never ended")

    def send(self, data: bytes) -> None:
        self.open(CHIP << 1)
        self.get(SR2)
        for value in data:
            self.wait(SR1_TXE)
            self.set(DR, value)
        self.wait(SR1_BTF)

    def write(self, where: int, data: bytes) -> None:
        self.send(where.to_bytes(2, "big") + data)
        self.stop()

    def read(self, where: int, length: int) -> bytes:
        """Sequential read of 3 or more bytes (RM0090 figure 246)."""
        self.send(where.to_bytes(2, "big"))
        self.control(CR1_ACK)
        self.open(CHIP << 1 | 1)
        self.get(SR2)
        got = bytearray()
        while len(got) < length - 3:
            self.wait(SR1_RXNE)
            got.append(self.get(DR))
        self.wait(SR1_BTF)
        self.control(off=CR1_ACK)
        got.append(self.get(DR))
        self.wait(SR1_BTF)
        self.control(CR1_STOP)
        got += bytes([self.get(DR), self.get(DR)])
        while self.get(CR1) & CR1_STOP:
            pass
        return bytes(got)

    def acknowledges(self) -> bool:
        """One round of acknowledge polling."""
        try:
            self.open(CHIP << 1)
        except Nack:
            return False
        self.get(SR2)
        self.stop()
        return True


@pytest.fixture
def board() -> Board:
    return Board()


# EEPROM ----------------------------------------------------------------------------------------------------------
def test_write_wraps_inside_the_page(board: Board) -> None:
    board.write(0x043C, bytes(range(0xA0, 0xAA)))
    assert board.chip.read_raw(0x0400, 8) == bytes.fromhex("A4A5A6A7A8A9FFFF")
    assert board.chip.read_raw(0x043C, 5) == bytes.fromhex("A0A1A2A3FF")
    assert (board.chip.write_cycles, board.chip.page_cycles(0x0400 // 64)) == (1, 1)


def test_read_back_rolls_over_at_the_end_of_the_memory(board: Board) -> None:
    board.chip.write_raw(0x7FFE, b"\xE1\xE2")
    board.chip.write_raw(0, b"\xE3")
    assert board.read(0xFFFE, 4) == bytes.fromhex("E1E2E3FF")  # address bit 15 does not exist
    assert board.machine.reports == []


def test_chip_refuses_its_address_for_the_length_of_the_write_cycle(board: Board) -> None:
    board.write(0x0600, b"\x5A")
    board.machine.pass_time(5 * MS - 10_000)
    assert not board.acknowledges()
    board.machine.pass_time(10_000)
    assert board.acknowledges()
    assert board.chip.busy_nacks == 1


def test_address_only_write_starts_no_cycle(board: Board) -> None:
    board.write(0x0600, b"")
    assert board.acknowledges()
    assert board.chip.write_cycles == 0


@pytest.mark.parametrize("nacks", [True, False])
def test_write_protect_stores_nothing(nacks: bool) -> None:
    board = Board(wp_nacks_data=nacks)
    board.chip.on_gpio(0, True)
    if nacks:
        with pytest.raises(Nack):
            board.write(0x0600, b"\x77")
    else:
        board.write(0x0600, b"\x77")
    assert board.acknowledges()
    board.chip.on_gpio(0, False)
    board.write(0x0600, b"\x78")
    assert board.chip.read_raw(0x0600, 1) == b"\x78"


def test_write_protect_raised_before_the_stop_still_protects(board: Board) -> None:
    board.send(b"\x06\x00\x77")
    board.chip.on_gpio(0, True)
    board.stop()
    assert (board.chip.write_cycles, board.chip.read_raw(0x0600, 1)) == (0, b"\xFF")


@pytest.mark.parametrize(("knobs", "left"), [
    ({}, "1112131415"),
    ({"torn_bytes": 2}, "C1C2131415"),
    ({"torn_bytes": 2, "torn_erased": True}, "C1C2FFFF15"),
    ({"torn_bytes": 2, "torn_erased": True, "torn_whole_page": True}, "C1C2FFFFFF"),
    ({"torn_bytes": 4}, "C1C2C3C415"),
])
def test_power_off_tears_the_running_write(board: Board, knobs: dict[str, object], left: str) -> None:
    board.chip.write_raw(0x80, bytes.fromhex("1112131415"))
    for name, value in knobs.items():
        setattr(board.chip, name, value)
    board.write(0x80, bytes.fromhex("C1C2C3C4"))
    board.chip.power_off()
    assert not board.acknowledges()
    board.chip.power_on()
    assert board.acknowledges()
    assert board.chip.read_raw(0x80, 5) == bytes.fromhex(left)
    assert board.chip.torn_writes == 1


def test_finished_write_survives_power_off(board: Board) -> None:
    board.write(0x80, b"\xC1\xC2")
    board.machine.pass_time(5 * MS)
    board.chip.power_off()
    assert board.chip.read_raw(0x80, 2) == b"\xC1\xC2"
    assert board.chip.torn_writes == 0


def test_cut_at_write_cycle_hits_the_nth_cycle_and_stays(board: Board) -> None:
    board.chip.cut_at_write_cycle = 2
    board.write(0x00, b"\x01")
    board.machine.pass_time(5 * MS)
    board.write(0x40, b"\x02")
    assert not board.chip.powered
    assert (board.chip.read_raw(0, 1), board.chip.read_raw(0x40, 1)) == (b"\x01", b"\xFF")


def test_absent_chip_does_not_answer(board: Board) -> None:
    board.chip.present = False
    assert not board.acknowledges()


@pytest.mark.parametrize("abort", ["swrst", "reset", "restart"])
def test_write_without_stop_stores_nothing(board: Board, abort: str) -> None:
    board.send(bytes.fromhex("0640BDBD"))
    if abort == "swrst":
        board.set(CR1, CR1_SWRST)
        assert (board.get(SR1), board.get(SR2)) == (0, 0)
        board.set(CR1, 0)
    elif abort == "reset":
        board.i2c.reset()
        board.chip.reset()
    else:
        board.read(0, 3)
    board.set(CR1, CR1_PE)
    assert board.acknowledges()
    assert (board.chip.write_cycles, board.chip.read_raw(0x640, 2)) == (0, b"\xFF\xFF")


def test_image_file_follows_every_write(tmp_path: Path) -> None:
    image = tmp_path / "ee.bin"
    board = Board(image_file=str(image))
    assert image.read_bytes() == b"\xFF" * 32768
    board.write(0x7FC0, b"key")
    assert image.read_bytes()[0x7FC0:0x7FC4] == b"key\xFF"
    board.chip.power_off()
    assert image.read_bytes() == b"\xFF" * 32768  # torn before the first byte
    board.chip.write_raw(5, b"bench")
    assert Board(image_file=str(image)).chip.read_raw(5, 5) == b"bench"
    assert [p.name for p in tmp_path.iterdir()] == ["ee.bin"]


def test_image_file_of_wrong_size_is_refused_untouched(tmp_path: Path) -> None:
    image = tmp_path / "ee.bin"
    image.write_bytes(b"short")
    with pytest.raises(MediumError, match=r"ee\.bin: .* 5 bytes, .* 32768"):
        Board(image_file=str(image))
    assert image.read_bytes() == b"short"


def test_back_door_stays_inside_the_memory(board: Board) -> None:
    with pytest.raises(MediumError, match="outside"):
        board.chip.write_raw(32767, b"ab")
    assert board.chip.read_raw(32767, 1) == b"\xFF"


# master ----------------------------------------------------------------------------------------------------------
def test_event_codes_of_a_write_and_a_read(board: Board) -> None:
    """EV5 to EV8_2 and EV6, EV7 of RM0090 27.3.3 as SR2:SR1 pairs."""
    board.control(CR1_START)
    board.wait(SR1_SB)
    assert (board.get(SR1), board.get(SR2)) == (SR1_SB, SR2_MSL | SR2_BUSY)
    board.set(DR, CHIP << 1)
    board.wait(SR1_ADDR)
    assert (board.get(SR1), board.get(SR2)) == (SR1_TXE | SR1_ADDR, SR2_MSL | SR2_BUSY | SR2_TRA)
    assert board.get(SR1) == SR1_TXE
    board.set(DR, 0x01)
    board.wait(SR1_BTF)
    assert board.get(SR1) == SR1_TXE | SR1_BTF
    board.control(CR1_START | CR1_ACK)
    board.wait(SR1_SB)
    board.set(DR, CHIP << 1 | 1)
    board.wait(SR1_ADDR)
    assert (board.get(SR1), board.get(SR2)) == (SR1_ADDR, SR2_MSL | SR2_BUSY)
    board.wait(SR1_BTF)
    board.machine.pass_time(MS)  # SCL is held: nothing is lost
    assert board.get(SR1) == SR1_RXNE | SR1_BTF
    assert board.machine.reports == []


def test_address_flag_holds_the_clock_until_both_status_registers_were_read(board: Board) -> None:
    board.control(CR1_START)
    board.wait(SR1_SB)
    board.set(DR, CHIP << 1)
    board.machine.pass_time(BYTE_NS)
    board.get(SR2)  # SR1 was not read since
    board.set(DR, 0x01)
    board.machine.pass_time(MS)
    assert board.get(SR1) & (SR1_ADDR | SR1_TXE) == SR1_ADDR
    board.get(SR2)
    board.wait(SR1_BTF)


@pytest.mark.parametrize("clear_address_first", [True, False])
def test_two_bytes_with_pos_are_acknowledged_then_refused(board: Board, clear_address_first: bool) -> None:
    """The order of RM0090 and that of ST's HAL."""
    board.chip.write_raw(0, b"\x21\x22\x23")
    board.tap.record()
    board.control(CR1_ACK | CR1_POS)
    board.open(CHIP << 1 | 1)
    if clear_address_first:
        board.get(SR2)
        board.control(off=CR1_ACK)
    else:
        board.control(off=CR1_ACK)
        board.get(SR2)
    board.wait(SR1_BTF)
    board.stop()
    assert (board.get(DR), board.get(DR)) == (0x21, 0x22)
    assert [t.text for t in board.tap.drain()] == ["S A1+ 21+ 22- P"]


def test_late_stop_clocks_in_ones_behind_the_refused_byte(board: Board) -> None:
    board.chip.write_raw(0, b"\x21\x22\x23")
    board.open(CHIP << 1 | 1)  # ACK is off: the first byte is refused
    board.get(SR2)
    board.wait(SR1_BTF)
    board.stop()
    assert (board.get(DR), board.get(DR)) == (0x21, 0xFF)
    assert board.chip.pointer == 1


def test_bytes_take_their_time_on_the_bus_and_interrupts_need_no_polling() -> None:
    board = Board(polls_per_step=0)
    changes: list[tuple[int, bool]] = []
    board.i2c.event_interrupt.connect(lambda number, level: changes.append((board.machine.clock.now_ns, level)), 31)
    board.set(CR2, 42 | CR2_ITEVTEN | CR2_ITBUFEN | CR2_ITERREN)
    board.control(CR1_START)
    board.machine.pass_time(BYTE_NS)
    assert changes == [(2_500, True)]
    board.get(SR1)
    board.set(DR, 0x31 << 1)  # nobody there
    sent = board.machine.clock.now_ns
    assert changes[-1] == (sent, False)
    board.machine.pass_time(BYTE_NS - 100)
    assert not board.i2c.error_interrupt.level
    board.machine.pass_time(200)
    assert board.i2c.error_interrupt.level
    board.set(SR1, 0)
    assert not board.i2c.error_interrupt.level


def test_error_flag_is_cleared_by_zero_only(board: Board) -> None:
    board.control(CR1_START)
    board.wait(SR1_SB)
    board.set(DR, 0x31 << 1)
    for _ in range(PATIENCE):
        board.get(SR1)
    board.set(SR1, 0xFFFF)
    assert board.get(SR1) == SR1_AF
    board.set(SR1, ~SR1_AF & 0xFFFF)
    assert (board.get(SR1), board.get(SR2)) == (0, SR2_MSL | SR2_BUSY)  # still master until STOP


@pytest.mark.parametrize("lenient", [False, True])
def test_disabling_in_mid_transfer_leaves_the_bus_busy(board: Board, lenient: bool) -> None:
    board.i2c.busy_stays_after_disable = not lenient
    board.send(b"\x00\x00\x01")
    board.control(off=CR1_PE)
    assert board.i2c.last_violation == "PE cleared during a transfer"
    assert board.get(SR2) == (0 if lenient else SR2_BUSY)
    board.set(CR1, CR1_PE | CR1_START)
    board.machine.pass_time(MS)
    assert bool(board.get(SR1) & SR1_SB) == lenient


def test_stop_with_unsent_byte_loses_it_and_is_reported(board: Board) -> None:
    board.open(CHIP << 1)
    board.get(SR2)
    for value in (0, 0, 0x11, 0x22):
        board.wait(SR1_TXE)
        board.set(DR, value)
    board.stop()
    assert board.chip.read_raw(0, 2) == b"\x11\xFF"
    assert [kind for kind, _, _ in board.machine.reports] == ["violation"]
    assert "unsent byte" in board.i2c.last_violation


def test_access_nobody_modelled_is_reported(board: Board) -> None:
    assert board.i2c.read(0x28, 4) == 0
    board.i2c.write(SR1, 1, 0)
    assert [kind for kind, _, _ in board.machine.reports] == ["unmodelled", "unmodelled"]


def test_bad_registrations_are_refused(board: Board) -> None:
    spare = Eeprom24xx256(board.machine)
    for child, point in ((spare, CHIP), (spare, 0x80), (spare, None), (I2cTap(board.machine), None)):
        with pytest.raises(ValueError):
            board.i2c.attach(child, point)


# tap ---------------------------------------------------------------------------------------------------------------
def test_recorded_transactions_show_what_was_written_and_read(board: Board) -> None:
    board.chip.write_raw(0x0110, b"\x5A\x00\x77")
    board.tap.record()
    begin = board.machine.clock.now_ns
    board.read(0x0110, 3)
    board.write(0x0200, b"\x01")
    read, write = board.tap.drain()
    assert read.text == "S A0+ 01+ 10+ Sr A1+ 5A+ 00+ 77- P"
    assert (read.mosi, read.miso) == (b"\x01\x10", b"\x5A\x00\x77")
    assert (write.text, write.mosi, write.miso) == ("S A0+ 02+ 00+ 01+ P", b"\x02\x00\x01", b"")
    assert read.bus == "i2c1" and begin <= read.time_ns <= write.time_ns
    assert board.tap.drain() == []


def test_transaction_on_the_wires_is_drained_when_it_ends(board: Board) -> None:
    board.tap.record()
    board.send(b"\x00\x10\xBE")
    assert board.tap.drain() == []
    board.set(CR1, CR1_SWRST)
    assert [t.text for t in board.tap.drain()] == ["S A0+ 00+ 10+ BE+ X"]


def test_recording_from_mid_transaction_begins_with_the_next_start(board: Board) -> None:
    board.send(b"\x00\x10")
    board.tap.record()
    board.stop()
    board.read(0x0010, 3)
    assert [t.text for t in board.tap.drain()] == ["S A0+ 00+ 10+ Sr A1+ FF+ FF+ FF- P"]


def test_acknowledge_polling_can_be_kept_out_of_the_record(board: Board) -> None:
    board.tap.skip_polls = True
    board.tap.record()
    board.write(0, b"\x01")
    assert not board.acknowledges()
    board.machine.pass_time(5 * MS)
    assert board.acknowledges()
    assert [t.text for t in board.tap.drain()] == ["S A0+ 00+ 00+ 01+ P", "S A0+ P"]
    assert board.tap.skipped_polls == 1


def test_replaced_read_byte_leaves_evidence(board: Board) -> None:
    board.chip.write_raw(0x20, b"\x13\x14\x15\x16")
    board.tap.replace(1, 0x66, on_read=True)
    board.tap.replace(3, 0x16, on_read=True)  # changes nothing, so it leaves nothing
    assert board.read(0x20, 4) == b"\x13\x66\x15\x16"
    assert board.chip.read_raw(0x20, 4) == b"\x13\x14\x15\x16"
    [fired] = board.tap.fired()
    assert (fired.bus, fired.rule, fired.before, fired.after) == ("i2c1", "replace", b"\x14", b"\x66")
    board.tap.clear()
    assert board.read(0x20, 4) == b"\x13\x14\x15\x16"
    assert board.tap.fired() == []


def test_replaced_address_byte_of_a_write_moves_it(board: Board) -> None:
    board.tap.replace(1, 0x40, on_read=False)
    board.write(0x0080, b"\x01")
    assert (board.chip.read_raw(0x80, 1), board.chip.read_raw(0x40, 1)) == (b"\xFF", b"\x01")
    assert [f.place for f in board.tap.fired()] == ["address 0x50 write byte 1"]


def test_dropped_address_goes_unacknowledged(board: Board) -> None:
    board.tap.drop_address(CHIP)
    assert not board.acknowledges() and not board.acknowledges()
    assert [(f.rule, f.before) for f in board.tap.fired()] == [("drop_address", b"\xA0")]
    board.tap.drop_address(None)
    assert board.acknowledges()


def test_cut_power_after_the_stop_tears_the_write(board: Board) -> None:
    board.chip.write_raw(0x80, bytes.fromhex("1112131415"))
    board.chip.torn_bytes = 2
    board.tap.cut_power_after(len("S A0 00 80 C1 C2 C3 C4 P".split()))
    board.write(0x80, bytes.fromhex("C1C2C3C4"))
    cut_ns = board.machine.clock.now_ns
    assert board.chip.read_raw(0x80, 5) == bytes.fromhex("C1C2131415")
    assert board.tap.fired() == [Fired("i2c1", "cut_power_after", cut_ns, "event 9 (P)", b"", b"")]
    assert not board.acknowledges()


def test_cut_power_in_mid_transfer_stores_nothing(board: Board) -> None:
    board.tap.cut_power_after(6)
    with pytest.raises(Nack):
        board.write(0x80, bytes.fromhex("C1C2C3C4"))
    board.chip.power_on()
    assert board.chip.read_raw(0x80, 4) == b"\xFF" * 4
    assert board.chip.write_cycles == 0


def test_rules_with_impossible_arguments_are_refused(board: Board) -> None:
    for rule in (lambda: board.tap.replace(0, 256, True), lambda: board.tap.drop_address(0x80),
                 lambda: board.tap.cut_power_after(0)):
        with pytest.raises(MediumError):
            rule()


def test_data_bytes_of_short_form() -> None:
    assert data_bytes("S A0+ 00+ 10+ Sr A1+ 5A+ 00- P") == (b"\x00\x10", b"\x5A\x00")
    assert data_bytes("S A0- P") == (b"", b"")


@pytest.mark.parametrize(("size", "page", "place"), [
    (128, 8, 0x7F), (256, 8, 0x90), (1024, 16, 0x312), (2048, 16, 0x7F0)])
def test_small_parts_have_one_address_byte_and_block_bits(size: int, page: int, place: int) -> None:
    """24C01 to 24C16: what does not fit the byte stands in the device address (DS20001703, section 5)."""
    board = Board(size=size, page_size=page)
    bus, control = board.i2c._bus, (CHIP | place >> 8) << 1

    def open_at(address: int) -> None:
        bus.start(False)
        assert bus.address((CHIP | address >> 8) << 1) and bus.write(address & 0xFF)

    open_at(place)
    assert bus.write(0xC3)
    bus.stop()
    assert board.chip.read_raw(place, 1) == b"\xC3" and board.chip.write_cycles == 1
    assert not bus.address(control), "busy"
    board.machine.clock.advance(168 * 6000)
    open_at(place)
    bus.start(True)
    assert bus.address(control | 1) and bus.read(False) == 0xC3
    bus.stop()
    assert bus.address((CHIP + board.chip.addresses) << 1) is False, "nobody there"
