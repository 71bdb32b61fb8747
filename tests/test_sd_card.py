# SPDX-License-Identifier: Apache-2.0
"""SPI master, tap and SD card together, driven through the SPI registers as firmware would."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeMachine
from offchip.engines import protocol
from offchip.engines.embedded.peripherals.crc import crc7, crc16
from offchip.engines.embedded.peripherals.sd_card import R1_CRC_ERROR, SdCardSpi
from offchip.engines.embedded.peripherals.spi import (
    CR1,
    CR1_DFF,
    CR1_LSBFIRST,
    CR1_MSTR,
    CR1_SPE,
    CR1_SSI,
    CR1_SSM,
    CR2,
    CR2_RXNEIE,
    DR,
    SR,
    SR_MODF,
    SR_OVR,
    SR_RXNE,
    Stm32F4Spi,
)
from offchip.engines.embedded.peripherals.spi_tap import SpiTap
from offchip.errors import MediumError

OLD = b"\x11" * 512
NEW = bytes(i * 7 & 0xFF for i in range(512))


class Host:
    """A driver on the far side of the registers; its CRCs are its own, bit by bit."""

    def __init__(self, **card: object) -> None:
        self.machine = FakeMachine()
        self.spi, self.tap = Stm32F4Spi(self.machine), SpiTap(self.machine)
        self.card = SdCardSpi(self.machine, **card)
        self.spi.attach(self.tap, None)
        self.tap.attach(self.card, None)
        self.enable()

    def enable(self, more: int = 0) -> None:
        self.spi.write(CR1, 4, CR1_SPE | CR1_MSTR | CR1_SSM | CR1_SSI | more)

    def byte(self, value: int = 0xFF) -> int:
        self.spi.write(DR, 4, value)
        assert self.spi.read(SR, 4) & SR_RXNE
        return self.spi.read(DR, 4)

    def bytes(self, count: int) -> bytes:
        return bytes(self.byte() for _ in range(count))

    def deselect(self) -> None:
        self.tap.on_gpio(0, True)
        self.byte()

    @staticmethod
    def crc(data: bytes, polynomial: int, width: int) -> int:
        remainder = 0
        for bit in "".join(f"{byte:08b}" for byte in data):
            top = remainder >> (width - 1) & 1
            remainder = remainder << 1 & ((1 << width) - 1)
            remainder ^= polynomial if top ^ int(bit) else 0
        return remainder

    def command(self, index: int, argument: int = 0, damage: int = 0) -> int:
        """Select, send, return R1; CS stays low. ``damage``: bits of the CRC7's byte that flip on the way."""
        self.tap.on_gpio(0, False)
        frame = bytes([0x40 | index]) + argument.to_bytes(4, "big")
        for value in frame + bytes([(self.crc(frame, 0x09, 7) << 1 | 1) ^ damage]):
            self.byte(value)
        return next((r for r in (self.byte() for _ in range(9)) if not r & 0x80), 0xFF)

    def simple(self, index: int, argument: int = 0) -> int:
        r1 = self.command(index, argument)
        self.deselect()
        return r1

    def start(self) -> Host:
        self.tap.on_gpio(0, True)
        self.bytes(10)
        assert self.simple(0) == 1
        self.command(8, 0x1AA)
        self.deselect()
        for _ in range(10):
            self.simple(55)
            if self.simple(41, 1 << 30) == 0:
                assert self.simple(59, 1) == 0
                return self
        raise AssertionError("the card does not become ready")

    def token(self) -> int:
        return next((value for value in (self.byte() for _ in range(100)) if value != 0xFF), 0xFF)

    def read(self, block: int) -> tuple[bytes, bool]:
        """Data and whether its CRC is good."""
        address = block if self.card.high_capacity else block * 512
        assert self.command(17, address) == 0
        assert self.token() == 0xFE
        data = self.bytes(512)
        good = int.from_bytes(self.bytes(2), "big") == self.crc(data, 0x1021, 16)
        self.deselect()
        return data, good

    def write(self, block: int, data: bytes) -> int:
        """Returns the data response; CS stays low and the card is busy."""
        return self.command(24, block * 512) or self.send(data)

    def send(self, data: bytes) -> int:
        """A data block with its token and CRC; the data response."""
        for value in b"\xFF\xFE" + data + self.crc(data, 0x1021, 16).to_bytes(2, "big"):
            self.byte(value)
        return self.byte() & 0x1F

    def done_with(self, data: bytes) -> None:
        """A data block that is accepted, until the card is no longer busy."""
        assert self.send(data) == 0x05
        assert any(self.byte() for _ in range(100))
        self.deselect()

    def status(self) -> int:
        """The second byte of what CMD13 answers."""
        assert self.command(13) == 0
        status = self.byte()
        self.deselect()
        return int(status)


def test_checksums_are_those_of_the_specification() -> None:
    # SD Simplified Specification 4.5, and the well-known CMD8
    for frame, closing in (("4000000000", 0x95), ("5100000000", 0x2A << 1 | 1), ("1100000900", 0x33 << 1 | 1),
                           ("48000001AA", 0x87)):
        assert crc7(bytes.fromhex(frame)) == closing
    assert crc16(b"\xFF" * 512) == 0x7FA1


@given(st.binary(max_size=64))
def test_checksums_equal_long_division(data: bytes) -> None:
    assert crc7(data) == Host.crc(data, 0x09, 7) << 1 | 1
    assert crc16(data) == Host.crc(data, 0x1021, 16)


@pytest.mark.parametrize("options", [{}, {"capacity": 0x200_0000, "high_capacity": True}])
def test_block_reaches_the_host_whole(options: dict) -> None:
    host = Host(**options).start()
    host.card.write_raw(5 * 512, NEW)
    assert host.read(5) == (NEW, True)
    assert host.read(6) == (bytes(512), True)
    assert host.machine.reports == []


@pytest.mark.parametrize("capacity", [0x80000, 0x100_0000, 0x4000_0000, 0x8000_0000])
def test_capacity_can_be_computed_from_csd_v1(capacity: int) -> None:
    host = Host(capacity=capacity).start()
    assert host.command(9) == 0
    assert host.token() == 0xFE
    csd = int.from_bytes(host.bytes(16), "big")

    def field(low: int, width: int) -> int:
        return csd >> low & ((1 << width) - 1)

    # SD Simplified Specification 5.3.2
    assert (field(62, 12) + 1) << (field(47, 3) + 2) << field(80, 4) == capacity


def test_cs_low_counts_only_after_the_first_high() -> None:
    host = Host()
    host.tap.on_gpio(0, False)
    assert host.command(0) == 0xFF
    host.tap.on_gpio(0, True)
    assert host.command(0) == 1


def test_supply_lost_while_programming_tears_the_block() -> None:
    for fill, rest in (("old", b"\x11"), ("ff", b"\xFF"), ("zero", b"\0")):
        host = Host().start()
        host.card.write_block(9, OLD)
        host.card.torn_bytes, host.card.torn_fill = 37, fill
        assert host.write(9, NEW) == 5
        host.card.power_off()
        assert host.card.read_block(9) == NEW[:37] + rest * 475
        assert host.simple(13) == 0xFF
        host.card.power_on()
        assert host.start().read(9)[0] == NEW[:37] + rest * 475


def test_programming_ends_by_time_without_clocks() -> None:
    for waited, torn in ((19_000_000, True), (21_000_000, False)):
        host = Host().start()
        host.write(9, NEW)
        host.machine.pass_time(waited)
        host.card.power_off()
        assert (host.card.read_block(9) != NEW) is torn


def test_supply_cut_by_the_tap_inside_the_data_keeps_the_old_block() -> None:
    host = Host().start()
    host.card.write_block(3, OLD)
    host.tap.cut_power_at_block_write(2, after_bytes=300)
    assert host.write(2, NEW) == 5
    while host.byte() != 0xFF:
        pass
    host.deselect()
    assert host.write(3, NEW) == 0x1F
    assert not host.card.powered
    assert host.card.read_block(3) == OLD
    (fired,) = host.tap.fired()
    assert (fired.rule, fired.place) == ("cut_power_at_block_write", "block 3 after 300 bytes")
    assert fired.before == fired.after == OLD


def test_supply_cut_by_the_tap_on_the_data_response_tears() -> None:
    host = Host().start()
    host.card.write_block(3, OLD)
    host.tap.cut_power_at_block_write(1)
    assert host.write(3, NEW) == 5
    (fired,) = host.tap.fired()
    assert (fired.before, fired.after) == (OLD, NEW[:256] + OLD[256:])
    assert host.card.read_block(3) == fired.after


def test_replaced_read_passes_the_crc_and_leaves_evidence() -> None:
    host = Host().start()
    host.card.write_block(7, NEW)
    host.tap.replace_on_read(7, 3, b"\xBA\xD1", nth=2, count=1)
    changed = NEW[:3] + b"\xBA\xD1" + NEW[5:]
    assert [host.read(7) for _ in range(3)] == [(NEW, True), (changed, True), (NEW, True)]
    (fired,) = host.tap.fired()
    assert (fired.bus, fired.rule, fired.place) == ("spi1", "replace_on_read", "block 7 offset 3 read 2")
    assert (fired.before, fired.after) == (NEW[3:5], b"\xBA\xD1")
    host.tap.clear()
    assert host.tap.fired() == []
    host.tap.replace_on_read(7, 3, b"\xBA\xD1", fix_crc=False)
    assert host.read(7) == (changed, False)


@pytest.mark.parametrize("damage", [0x02, 0x80, 0x54])
def test_a_command_whose_checksum_is_wrong_is_not_carried_out(damage: int) -> None:
    host = Host().start()
    assert host.command(16, 1024, damage) == R1_CRC_ERROR  # not 0x40, a parameter error
    host.deselect()
    assert host.command(17, 7 * 512, damage) == R1_CRC_ERROR and host.token() == 0xFF
    host.deselect()
    assert host.simple(59, 0) == 0 and host.command(17, 7 * 512, damage) == 0  # 7.2.2: the host has a choice
    host.deselect()
    frame = bytes([0x40 | 17]) + (7 * 512).to_bytes(4, "big")
    assert host.command(17, 7 * 512, host.crc(frame, 0x09, 7) << 1 | 1) == 0  # 00: its end bit is none, either


def test_a_write_whose_host_lets_chip_select_go_before_the_token() -> None:
    """Widespread drivers do; another command in its place ends the write."""
    host = Host().start()
    assert host.simple(24, 3 * 512) == 0
    host.tap.on_gpio(0, False)
    for value in b"\xFE" + NEW + host.crc(NEW, 0x1021, 16).to_bytes(2, "big"):
        host.byte(value)
    assert host.byte() & 0x1F == 5
    host.deselect()
    host.bytes(600)
    assert host.read(3) == (NEW, True) and host.card.aborted_writes == 0
    assert host.simple(24, 4 * 512) == 0 and host.read(3)[1]
    host.tap.on_gpio(0, False)
    host.byte(0xFE)
    host.deselect()
    assert host.card.aborted_writes == 1 and host.card.stray_bytes == 1


def test_a_rule_that_changes_nothing_leaves_no_evidence() -> None:
    host = Host().start()
    host.card.write_block(7, NEW)
    host.tap.replace_on_read(7, 0, NEW[:4])
    assert host.read(7) == (NEW, True)
    assert host.tap.fired() == []


def test_replaced_write_is_stored_and_without_crc_refused() -> None:
    for fix_crc, response, stored in ((True, 0x05, b"\0\0" + NEW[2:]), (False, 0x0B, bytes(512))):
        host = Host().start()
        host.tap.replace_on_write(8, 0, b"\xA5\xA5" if not fix_crc else b"\0\0", fix_crc=fix_crc)
        assert host.write(8, b"\x77" + NEW[1:]) == response
        assert host.card.read_block(8) == stored
        assert [fired.place for fired in host.tap.fired()] == ["block 8 offset 0 write 1"]


def test_redirected_read_delivers_the_other_block() -> None:
    host = Host().start()
    host.card.write_block(9, NEW)
    host.tap.redirect_read(7, 9)
    assert host.read(7) == (NEW, True)
    assert [(f.place, f.before, f.after) for f in host.tap.fired()] == [
        ("block 7 from block 9 read 1", bytes(512), NEW)]


def test_stuck_and_removed_lines() -> None:
    host = Host().start()
    host.tap.stuck_miso(0)
    assert host.simple(58) == 0
    assert host.bytes(3) == b"\xFF" * 3  # CS is high: the tap only holds the line of a selected card
    assert [f.rule for f in host.tap.fired()] == ["stuck_miso"]
    host.tap.stuck_miso(None)
    host.tap.removed = True
    assert host.simple(58) == 0xFF
    host.tap.removed = False
    assert host.simple(58) == 0


def test_recording_has_one_transfer_per_selection() -> None:
    host = Host().start()
    host.card.write_block(7, NEW)
    host.tap.record()
    host.machine.pass_time(1_000_000)
    host.read(7)
    (transfer,) = host.tap.drain()
    assert transfer.bus == "spi1" and transfer.time_ns == 1_000_000
    assert transfer.mosi[:5] == bytes.fromhex("5100000E00")
    assert b"\xFE" + NEW in transfer.miso
    assert len(transfer.mosi) == len(transfer.miso)
    assert host.tap.drain() == []


def as_logic_capture(transfers: list[protocol.Transfer]) -> bytes:
    """One byte per sample: clock, MOSI, MISO, CS from bit 0 up; SPI mode 0."""
    capture = bytearray()
    for transfer in transfers:
        capture += b"\x08\x08\x00"
        for mosi, miso in zip(transfer.mosi, transfer.miso, strict=True):
            for bit in range(7, -1, -1):
                level = (mosi >> bit & 1) << 1 | (miso >> bit & 1) << 2
                capture += bytes((level, level | 1))
        capture += b"\x00\x08"
    return bytes(capture)


@pytest.mark.skipif(not shutil.which("sigrok-cli"), reason="sigrok-cli, the independent decoder, is not installed")
def test_sigrok_reads_the_recording_as_an_sd_session(tmp_path: Path) -> None:
    host = Host()
    host.tap.record()
    host.start().read(7)
    capture = tmp_path / "capture.bin"
    capture.write_bytes(as_logic_capture(host.tap.drain()))
    decoded = subprocess.run(
        ["sigrok-cli", "-i", capture, "-I", "binary:numchannels=4:samplerate=1000000",
         "-P", "spi:clk=0:mosi=1:miso=2:cs=3,sdcard_spi", "-A", "sdcard_spi"],
        capture_output=True, text=True, check=True, timeout=60).stdout
    dialogue = re.findall(r"(?:Command: (A?CMD\d+)|R1: (0x\d\d))", decoded)
    asking = [("CMD55", "0x01"), ("ACMD41", "0x01")]
    assert [command or r1 for command, r1 in dialogue] == [word for pair in (
        ("CMD0", "0x01"), ("CMD8", "0x01"), *asking, *asking, ("CMD55", "0x01"), ("ACMD41", "0x00"),
        ("CMD59", "0x00"), ("CMD17", "0x00")) for word in pair]
    assert "Read a block from address 0x0e00" in decoded


def test_tap_keeps_the_promise_of_the_engine_protocol() -> None:
    names = [name for name in vars(protocol.SpiTap) | vars(protocol.Tap) if not name.startswith("_")]
    assert "cut_power_at_block_write" in names
    assert [name for name in names if not callable(getattr(SpiTap, name, None))] == []


def test_rules_outside_a_block_are_refused() -> None:
    tap = Host().tap
    with pytest.raises(MediumError, match="inside a block"):
        tap.replace_on_read(7, 510, b"\0\0\0")
    with pytest.raises(MediumError, match="outside the card"):
        tap.redirect_read(7, 1 << 30)


def test_image_has_the_block_when_the_data_response_is_sent(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(b"\x42")
    host = Host(capacity=0x80000, image_file=str(image)).start()
    assert image.stat().st_size == 0x80000
    assert host.card.read_raw(0, 2) == b"\x42\0"
    for value in b"\xFF\xFE" + NEW if host.command(24, 512) == 0 else b"":
        host.byte(value)
    assert image.read_bytes()[512:1024] == bytes(512)
    for value in crc16(NEW).to_bytes(2, "big"):
        host.byte(value)
    assert host.byte() & 0x1F == 5
    assert image.read_bytes()[512:1024] == NEW


@pytest.mark.parametrize(("make", "message"), [
    (lambda path: path.write_bytes(bytes(0x80001)), "the image has 524289 bytes but the card only 524288"),
    (lambda path: path.mkdir(), "cannot use this card image"),
])
def test_bad_image_is_refused_in_one_sentence(tmp_path: Path, make: object, message: str) -> None:
    image = tmp_path / "card.img"
    make(image)
    with pytest.raises(MediumError, match=message) as caught:
        SdCardSpi(FakeMachine(), capacity=0x80000, image_file=str(image))
    assert str(image) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"capacity": 1000}, {"capacity": 0x80200, "high_capacity": True},
                                     {"capacity": 4097 * 512 * 4 + 512}])
def test_impossible_capacity_is_refused(options: dict) -> None:
    with pytest.raises(MediumError, match="capacity"):
        SdCardSpi(FakeMachine(), **options)


@given(st.lists(st.tuples(st.integers(0, 4095), st.binary(max_size=1500)), max_size=8))
def test_raw_access_equals_a_flat_memory(writes: list[tuple[int, bytes]]) -> None:
    card, flat = SdCardSpi(FakeMachine(), capacity=0x80000), bytearray(8192)
    for offset, data in writes:
        card.write_raw(offset, data)
        flat[offset:offset + len(data)] = data
    assert card.read_raw(0, 8192) == flat
    assert card.read_raw(700, 1000) == flat[700:1700]


def test_raw_access_beyond_the_end_is_refused() -> None:
    card = SdCardSpi(FakeMachine(), capacity=0x80000)
    with pytest.raises(MediumError, match="outside the card"):
        card.write_raw(0x80000 - 1, b"ab")


# SPI master (RM0090 28.3, 28.5) --------------------------------------------------------------------------------------


class Echo(SpiTap):
    """A slave that remembers what it got and answers with the complement."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__(machine)
        self.seen: list[int] = []

    def transmit(self, mosi: int) -> int:
        self.seen.append(mosi)
        return mosi ^ 0xFF


def spi_with_echo(more: int = 0) -> tuple[Stm32F4Spi, Echo, FakeMachine]:
    machine = FakeMachine()
    spi, echo = Stm32F4Spi(machine), Echo(machine)
    spi.attach(echo, None)
    spi.write(CR1, 4, CR1_SPE | CR1_MSTR | CR1_SSM | CR1_SSI | more)
    return spi, echo, machine


@pytest.mark.parametrize(("more", "sent", "seen"), [
    (0, 0x12, [0x12]),
    (CR1_LSBFIRST, 0x12, [0x48]),
    (CR1_DFF, 0x1234, [0x12, 0x34]),
    (CR1_DFF | CR1_LSBFIRST, 0x1234, [0x2C, 0x48]),
])
def test_frame_formats(more: int, sent: int, seen: list[int]) -> None:
    spi, echo, _ = spi_with_echo(more)
    spi.write(DR, 2, sent)
    assert echo.seen == seen
    assert spi.read(DR, 2) == sent ^ (0xFFFF if more & CR1_DFF else 0xFF)


def test_overrun_keeps_the_old_frame_and_is_cleared_by_dr_then_sr() -> None:
    spi, _, _ = spi_with_echo()
    spi.write(DR, 1, 0x01)
    spi.write(DR, 1, 0x02)
    assert spi.read(SR, 2) & SR_OVR
    assert spi.read(DR, 1) == 0xFE
    assert spi.read(SR, 2) & SR_OVR
    assert not spi.read(SR, 2) & SR_OVR


def test_nothing_is_sent_before_spe_and_mstr() -> None:
    spi, echo, machine = spi_with_echo()
    spi.write(CR1, 4, CR1_MSTR | CR1_SSM | CR1_SSI)
    spi.write(DR, 1, 0x55)
    assert (echo.seen, spi.lost_frames) == ([], 1)
    assert [kind for kind, _, _ in machine.reports] == ["violation"]


def test_low_ssi_is_a_mode_fault() -> None:
    spi, _, _ = spi_with_echo()
    spi.write(CR1, 4, CR1_SPE | CR1_MSTR | CR1_SSM)
    assert not spi.read(CR1, 4) & (CR1_SPE | CR1_MSTR)
    assert spi.read(SR, 4) & SR_MODF
    spi.write(CR1, 4, CR1_SPE | CR1_MSTR | CR1_SSM | CR1_SSI)
    assert not spi.read(SR, 4) & SR_MODF


def test_interrupt_follows_the_receive_buffer() -> None:
    spi, _, _ = spi_with_echo()
    spi.write(CR2, 4, CR2_RXNEIE)
    levels = [spi.irq.level]
    spi.write(DR, 1, 0)
    levels.append(spi.irq.level)
    spi.read(DR, 1)
    levels.append(spi.irq.level)
    assert levels == [False, True, False]


def test_unknown_register_is_reported() -> None:
    spi, _, machine = spi_with_echo()
    assert spi.read(0x14, 4) == 0
    assert [kind for kind, _, _ in machine.reports] == ["unmodelled"]


# CMD42 ---------------------------------------------------------------------------------------------------------------
OPEN, WRONG = b"swordfish", b"sw0rdfish"
SET, CLEAR, LOCK, ERASE = 1, 2, 4, 8


def lock(host: Host, mode: int, *passwords: bytes) -> tuple[bool, bool]:
    """CMD42 as a driver sends it; whether the card says that it is locked, and that it failed."""
    given = b"".join(passwords)
    block = bytes((mode,)) if mode == ERASE else bytes((mode, len(given))) + given
    assert host.simple(16, len(block)) == 0
    assert host.command(42) == 0
    host.done_with(block)
    assert host.simple(16, 512) == 0
    status = host.status()
    return bool(status & 1), bool(status & 2)


def power_cycle(host: Host) -> Host:
    host.card.power_cycle()
    return host.start()


def test_a_locked_card_gives_no_data_until_it_has_its_password() -> None:
    host = Host().start()
    host.card.write_block(5, OLD)
    assert host.write(host.card.block_count - 1, NEW) == 0x05  # what the last write left does not count
    host.deselect()
    host.bytes(1000)
    assert lock(host, SET, OPEN) == (False, False) and host.read(5) == (OLD, True)
    power_cycle(host)
    assert host.card.locked
    for index in (17, 18, 24, 25, 32, 38):
        assert host.simple(index, 5 * 512) & 0x04, index
    assert host.simple(55) == 0 and host.simple(51) & 0x04
    assert host.command(9) == 0 and host.token() == 0xFE  # who it is, it says
    host.deselect()
    assert lock(host, 0, WRONG) == (True, True) and lock(host, 0, OPEN[:-1]) == (True, True)
    assert lock(host, 0, OPEN) == (False, False) and host.read(5) == (OLD, True)
    host.card.reset()  # of the MCU: the card has kept its supply
    assert not host.card.locked


@pytest.mark.parametrize(("password", "locked", "mode", "given", "then"), [
    (b"", False, ERASE, (), (False, True)), (b"", False, LOCK, (OPEN,), (False, True)),
    (b"", False, SET | LOCK, (OPEN,), (True, False)), (b"", False, CLEAR, (OPEN,), (False, True)),
    (b"", False, SET, (OPEN,), (False, False)), (b"", False, 0, (OPEN,), (False, True)),
    (b"", False, SET, (bytes(17),), (False, True)), (b"", False, SET, (), (False, True)),
    (b"", False, LOCK, (b"",), (False, True)), (b"", False, CLEAR, (b"",), (False, True)),
    (OPEN, False, ERASE, (), (False, True)), (OPEN, False, LOCK, (OPEN,), (True, False)),
    (OPEN, False, LOCK, (WRONG,), (False, True)), (OPEN, False, SET | LOCK, (OPEN, WRONG), (True, False)),
    (OPEN, False, SET, (WRONG, OPEN), (False, True)), (OPEN, False, CLEAR, (OPEN,), (False, False)),
    (OPEN, False, 0, (OPEN,), (False, True)),
    (OPEN, True, ERASE, (), (False, False)), (OPEN, True, LOCK, (OPEN,), (True, True)),
    (OPEN, True, SET | LOCK, (OPEN, WRONG), (True, False)), (OPEN, True, CLEAR, (OPEN,), (False, False)),
    (OPEN, True, CLEAR, (WRONG,), (True, True)), (OPEN, True, SET, (OPEN, WRONG), (False, False)),
    (OPEN, True, SET | CLEAR, (OPEN,), (True, True))])
def test_card_lock_is_that_of_table_4_7(password: bytes, locked: bool, mode: int, given: tuple[bytes, ...],
                                        then: tuple[bool, bool]) -> None:
    """Locked and failed afterwards; sources: Physical Layer Simplified Specification 4.10, table 4-7."""
    host = Host().start()
    if password:
        assert lock(host, SET | LOCK if locked else SET, password) == (locked, False)
    assert lock(host, mode, *given) == then
    assert power_cycle(host).card.locked == (bool(password) and not (then[1] is False and mode in (CLEAR, ERASE))
                                             or (mode & SET == SET and not then[1]))


def test_a_forced_erase_leaves_nothing() -> None:
    host = Host().start()
    host.card.write_block(5, OLD)
    lock(host, SET | LOCK, OPEN)
    assert lock(host, ERASE) == (False, False)
    assert host.read(5) == (bytes(512), True) and not power_cycle(host).card.locked


# CMD27 ---------------------------------------------------------------------------------------------------------------
PERMANENT, TEMPORARY = 0x20, 0x10


def csd_of(host: Host) -> bytearray:
    assert host.command(9) == 0 and host.token() == 0xFE
    csd = host.bytes(16)
    host.bytes(2)
    host.deselect()
    return bytearray(csd)


def program(host: Host, csd: bytes) -> int:
    """CMD27 as a driver sends it; the second byte of the status behind it."""
    assert host.command(27) == 0
    host.done_with(csd)
    return host.status()


def test_a_write_protected_card_takes_no_data_and_gives_it() -> None:
    """Physical Layer Simplified Specification 4.3.6, 5.3.2 and 7.3.2.3: WP_VIOLATION, WP_ERASE_SKIP."""
    for flags, others in ((TEMPORARY, 0), (PERMANENT, 0), (PERMANENT | TEMPORARY, 0x80)):
        host = Host().start()
        host.card.write_block(5, OLD)
        csd = csd_of(host)
        csd[14] |= flags | others
        assert program(host, bytes(csd)) == 0 and power_cycle(host).card.csd_flags & 0x30 == flags
        assert csd_of(host)[:15] == csd[:15]
        assert host.write(5, NEW) == 0x0D
        host.deselect()
        assert host.command(13) == 0 and host.byte() == 0x20
        host.deselect()
        assert host.simple(32, 5 * 512) == host.simple(33, 5 * 512) == host.simple(38) == 0
        assert host.command(13) == 0 and host.byte() == 0x02
        host.deselect()
        assert host.read(5) == (OLD, True) and host.card.blocks_erased == 0


def test_the_temporary_protection_can_be_lifted_and_the_permanent_one_cannot() -> None:
    host = Host().start()
    csd = csd_of(host)
    for flags, refused in ((TEMPORARY, False), (0, False), (PERMANENT | TEMPORARY, False), (PERMANENT, False),
                           (0, True), (PERMANENT | 0x01, True)):  # a reserved bit
        before = host.card.csd_flags
        csd[14] = flags
        assert program(host, bytes(csd)) == (0x80 if refused else 0)  # CSD_OVERWRITE
        assert host.card.csd_flags == (before if refused else flags)
    csd[14] = PERMANENT
    csd[3] ^= 1  # a part that is read only
    assert program(host, bytes(csd)) == 0x80 and host.card.csd_failures == 3
    assert power_cycle(host).write(5, NEW) == 0x0D


def test_a_forced_erase_lifts_the_temporary_protection_and_fails_on_the_permanent_one() -> None:
    """Table 4-7."""
    for flags, then in ((TEMPORARY, (False, False)), (PERMANENT, (True, True))):
        host = Host().start()
        host.card.write_block(5, OLD)
        host.card.csd_flags = flags
        assert lock(host, SET | LOCK, OPEN) == (True, False)
        assert lock(host, ERASE) == then
        assert host.card.csd_flags == (flags if then[1] else 0)
        assert host.card.read_block(5) == (OLD if then[1] else bytes(512))


def test_a_reader_programs_the_same_byte() -> None:
    card = Host().card
    for value, taken in ((TEMPORARY, True), (0, True), (PERMANENT, True), (0, False)):
        card.csd_flags = value
        assert (card.csd_flags == value) is taken
    assert card.csd_failures == 1
    with pytest.raises(MediumError, match="takes a byte"):
        card.csd_flags = 256


def test_a_reader_sends_the_same_block() -> None:
    card = Host().card
    card.lock_unlock = bytes((SET | LOCK, len(OPEN))).hex() + OPEN.hex()
    assert card.locked and card.lock_unlock == "" and not card.lock_failures
    card.lock_unlock = "0001FF"
    assert card.locked and card.lock_failures == 1
    card.lock_unlock = bytes((SET, len(OPEN) + 5)).hex() + OPEN.hex() + "61" * 4  # less than PWDS_LEN says
    assert card.locked and card.lock_failures == 2
    card.lock_unlock = bytes((CLEAR, len(OPEN))).hex() + OPEN.hex()
    assert card.lock_failures == 2 and not card.locked
    for wrong in ("", "0", "xy"):
        with pytest.raises(MediumError, match="LockUnlock takes"):
            card.lock_unlock = wrong


def test_an_image_of_eight_gigabytes_is_a_card_of_that_size_and_is_not_read(tmp_path: Path) -> None:
    """A sparse file; what it holds is seen, what is written stays in memory."""
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(8 << 30)
        file.seek((8 << 30) - 512)
        file.write(b"L" * 512)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    card = SdCardSpi(FakeMachine())
    card.insert_image(image)
    assert card.size == 8 << 30 and card.high_capacity
    assert card.read_block(card.block_count - 1) == b"L" * 512
    card.write_block(5, b"W" * 512)
    assert card.read_block(5) == b"W" * 512
    with image.open("rb") as file:
        file.seek(5 * 512)
        assert file.read(512) == bytes(512)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
