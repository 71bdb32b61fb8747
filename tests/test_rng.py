# SPDX-License-Identifier: Apache-2.0
"""The random number generator through its registers (RM0090 24.4)."""

from __future__ import annotations

import pytest

from offchip.engines.embedded.peripherals.rng import Stm32F4Rng
from offchip.errors import EngineError
from tests.fakes import FakeMachine

CR, SR, DR = 0, 4, 8
RNGEN, IE = 4, 8
DRDY, CECS, SECS, CEIS, SEIS = 0x01, 0x02, 0x04, 0x20, 0x40
READY_NS = 834  # 40 periods of 48 MHz
SEED = 0x123456789


def splitmix64(seed: int, count: int) -> list[int]:
    """Upper halves of the published generator (Vigna, prng.di.unimi.it/splitmix64.c), written on its own."""
    words = []
    for n in range(1, count + 1):
        z = (seed + n * 0x9E3779B97F4A7C15) % 2**64
        z = ((z ^ z // 2**30) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ z // 2**27) * 0x94D049BB133111EB) % 2**64
        words.append((z ^ z // 2**31) // 2**32)
    return words


class Board:
    def __init__(self) -> None:
        self.machine = FakeMachine()
        self.rng = Stm32F4Rng(self.machine, seed=SEED)
        self.rng.name = "rng"

    def get(self, register: int) -> int:
        return self.rng.read(register, 4)

    def set(self, register: int, value: int) -> None:
        self.rng.write(register, 4, value)

    def words(self, count: int) -> list[int]:
        got = []
        for _ in range(count):
            self.machine.pass_time(READY_NS)
            assert self.get(SR) == DRDY
            got.append(self.get(DR))
        return got


@pytest.fixture
def board() -> Board:
    board = Board()
    board.set(CR, RNGEN)
    return board


def test_reference_value_of_the_published_generator() -> None:
    assert splitmix64(1234567, 1) == [6457827717110365317 >> 32]  # the known first output for seed 1234567


def test_words_follow_the_published_generator(board: Board) -> None:
    assert board.words(100) == splitmix64(SEED, 100)
    assert (board.rng.words_read, board.rng.early_reads) == (100, 0)


def test_stream_goes_on_over_resets_and_starts_again_with_the_seed(board: Board) -> None:
    expected = splitmix64(SEED, 3)
    assert board.words(2) == expected[:2]
    board.rng.reset()
    assert (board.get(CR), board.get(SR), board.get(DR)) == (0, 0, 0)
    board.set(CR, RNGEN)
    assert board.words(1) == expected[2:]
    board.rng.seed = SEED
    assert board.words(1) == expected[:1]


def test_word_is_ready_after_forty_periods_and_an_early_read_gets_the_old_one(board: Board) -> None:
    [word] = board.words(1)
    assert board.get(SR) == 0
    board.machine.pass_time(READY_NS - 20)
    assert (board.get(SR), board.get(DR), board.rng.early_reads) == (0, word, 1)
    board.machine.pass_time(20)
    assert board.get(SR) == DRDY


def test_interrupt_comes_with_the_word_and_goes_with_its_read() -> None:
    board = Board()
    board.set(CR, RNGEN | IE)
    board.machine.pass_time(READY_NS - 20)
    assert not board.rng.irq.level
    board.machine.pass_time(20)
    assert board.rng.irq.level
    board.get(DR)
    assert not board.rng.irq.level


def test_pushed_words_come_first(board: Board) -> None:
    board.rng.push(0xCAFE)
    board.rng.push(0x1_0000_0001)
    assert board.words(3) == [0xCAFE, 1, *splitmix64(SEED, 1)]


def test_seed_error_lasts_until_the_fault_is_gone_and_the_generator_restarted(board: Board) -> None:
    board.words(1)
    board.rng.fault = "seed"
    board.machine.pass_time(READY_NS)
    assert board.get(SR) == SECS | SEIS
    board.set(SR, 0)
    assert board.get(SR) == SECS
    board.set(CR, 0)
    board.set(CR, RNGEN)
    assert board.get(SR) == SECS | SEIS  # the health test fails again
    board.rng.fault = "none"
    board.set(SR, 0)
    board.machine.pass_time(READY_NS)
    assert board.get(SR) == SECS
    board.set(CR, 0)
    board.set(CR, RNGEN)
    assert board.words(1) == splitmix64(SEED, 2)[1:]


def test_seed_error_raises_the_interrupt() -> None:
    board = Board()
    board.rng.fault = "seed"
    board.set(CR, RNGEN | IE)
    assert board.rng.irq.level
    board.set(SR, 0)
    assert not board.rng.irq.level


def test_clock_error_recovers_by_itself_but_its_status_stays(board: Board) -> None:
    board.words(1)
    board.rng.fault = "clock"
    assert board.get(SR) == CECS | CEIS
    board.rng.fault = "none"
    board.machine.pass_time(READY_NS)
    assert board.get(SR) == CEIS | DRDY
    board.set(SR, 0)
    assert board.get(SR) == DRDY


def test_undetected_faults_change_the_words_without_a_flag(board: Board) -> None:
    rng = board.rng
    rng.fault_word = 0x5A5A5A5A
    rng.fault_after = 2
    rng.fault = "stuck"
    assert board.words(5) == [*splitmix64(SEED, 2), *[0x5A5A5A5A] * 3]
    rng.fault_after = 0
    rng.fault = "alternate"
    assert board.words(4) == [0x5A5A5A5A, 0xA5A5A5A5] * 2
    rng.fault = "repeat"
    third, fourth = splitmix64(SEED, 4)[2:]
    assert board.words(4) == [third, third, fourth, fourth]


@pytest.mark.parametrize(("fault", "flags"), [("seed", SECS | SEIS), ("clock", CECS | CEIS)])
def test_detected_fault_begins_after_the_good_words(board: Board, fault: str, flags: int) -> None:
    board.rng.fault_after = 2
    board.rng.fault = fault
    assert board.words(2) == splitmix64(SEED, 2)
    board.machine.pass_time(READY_NS)
    assert board.get(SR) == flags
    assert board.get(DR) == splitmix64(SEED, 2)[1]


def test_unknown_fault_is_refused_with_the_choices(board: Board) -> None:
    with pytest.raises(EngineError, match="none, stuck, alternate, repeat, seed, clock"):
        board.rng.fault = "sticky"
    assert board.rng.fault == "none"


def test_narrow_reads_take_their_part_of_the_word(board: Board) -> None:
    board.rng.push(0x11223344)
    board.machine.pass_time(READY_NS)
    assert board.rng.read(DR + 2, 2) == 0x1122


def test_register_nobody_modelled_is_reported(board: Board) -> None:
    assert board.rng.read(0x0C, 4) == 0
    assert [kind for kind, _, _ in board.machine.reports] == ["unmodelled"]
