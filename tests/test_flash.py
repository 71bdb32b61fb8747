# SPDX-License-Identifier: Apache-2.0
"""The flash interface against RM0090 3.4 to 3.9; the sector map here is typed from table 5, not computed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchip.engines.embedded.peripherals.flash import NvmSectors, Stm32F4Flash
from offchip.engines.embedded.peripherals.memory import MappedMemory
from offchip.errors import DebugAccessRefused, MediumError
from tests.fakes import FakeMachine

KEYR, OPTKEYR, SR, CR, OPTCR = 0x04, 0x08, 0x0C, 0x10, 0x14
PG, SER, MER, STRT, EOPIE, LOCK = 1, 2, 4, 1 << 16, 1 << 24, 1 << 31
BYTE, HALF, WORD, X64 = (psize << 8 for psize in range(4))
WRPERR, PGPERR, PGSERR, BSY = 0x10, 0x40, 0x80, 1 << 16
SECTORS = [
    (0x08000000, 0x4000), (0x08004000, 0x4000), (0x08008000, 0x4000), (0x0800C000, 0x4000), (0x08010000, 0x10000),
    (0x08020000, 0x20000), (0x08040000, 0x20000), (0x08060000, 0x20000), (0x08080000, 0x20000),
    (0x080A0000, 0x20000), (0x080C0000, 0x20000), (0x080E0000, 0x20000),
]
NVM = 0x08004000


def make(machine: FakeMachine | None = None, **attributes: str) -> Stm32F4Flash:
    machine = machine or FakeMachine()
    image = attributes.pop("image_file", "")
    return Stm32F4Flash(machine, MappedMemory(machine, 0x4000, 0xFF), NvmSectors(machine, image),
                        MappedMemory(machine, 0xF0000, 0xFF), **attributes)


def unlock(flash: Stm32F4Flash) -> None:
    flash.write(KEYR, 4, 0x45670123)
    flash.write(KEYR, 4, 0xCDEF89AB)


def options(flash: Stm32F4Flash, value: int) -> None:
    flash.write(OPTKEYR, 4, 0x08192A3B)
    flash.write(OPTKEYR, 4, 0x4C5D6E7F)
    flash.write(OPTCR, 4, value & ~3 | 2)
    flash.write(OPTCR, 4, value | 1)


def content(flash: Stm32F4Flash) -> bytes:
    return b"".join(bank.buffer[:] for bank in flash.banks)


def word(flash: Stm32F4Flash, address: int) -> int:
    offset = address & 0x000FFFFF
    return int.from_bytes(content(flash)[offset:offset + 4], "little")


def fill(flash: Stm32F4Flash, value: int) -> None:
    for bank in flash.banks:
        bank.buffer[:] = bytes([value]) * bank.size


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=5))
def test_programming_is_and(words: list[int]) -> None:
    flash = make()
    unlock(flash)
    flash.write(CR, 4, PG | WORD)
    expected = 0xFFFFFFFF
    for value in words:
        flash.store(NVM + 8, 4, value)
        expected &= value
    assert word(flash, NVM + 8) == expected
    assert flash.read(SR, 4) == 0
    assert flash.programs == len(words)


@pytest.mark.parametrize("address", [0x0, 0x08000000, NVM, 0x080FFFFC])
def test_every_sector_is_policed(address: int) -> None:
    flash = make()
    flash.store(address, 4, 0)
    assert flash.read(SR, 4) == PGSERR
    assert content(flash) == b"\xff" * 0x100000
    unlock(flash)
    flash.write(CR, 4, PG | WORD)
    flash.store(address, 4, 0x12345678)
    assert word(flash, address) == 0x12345678
    assert flash.owns(address)


@pytest.mark.parametrize(("psize", "width"), [(WORD, 1), (WORD, 2), (BYTE, 4), (HALF, 1), (X64, 4), (X64, 8)])
def test_access_size_must_be_psize(psize: int, width: int) -> None:
    flash = make()
    unlock(flash)
    flash.write(CR, 4, PG | psize)
    flash.store(NVM, width, 0)
    assert flash.read(SR, 4) == PGPERR
    assert content(flash) == b"\xff" * 0x100000
    flash.write(SR, 4, PGPERR)
    assert flash.read(SR, 4) == 0


def test_unaligned_store_reaches_the_bus_in_pieces() -> None:
    flash = make()
    unlock(flash)
    flash.write(CR, 4, PG | BYTE)
    flash.store(NVM + 1, 4, 0x44332211)  # byte, half word, byte: the middle one does not fit PSIZE
    assert flash.read(SR, 4) == PGPERR
    assert flash.banks[1].buffer[:6] == b"\xff\x11\xff\xff\x44\xff"


def test_wrong_key_locks_until_reset() -> None:
    flash = make()
    flash.write(KEYR, 4, 0xCDEF89AB)
    unlock(flash)
    assert flash.read(CR, 4) & LOCK
    flash.write(CR, 4, PG)
    assert not flash.read(CR, 4) & PG
    flash.reset()
    unlock(flash)
    assert not flash.read(CR, 4) & LOCK


@pytest.mark.parametrize("sector", range(12))
def test_sector_map(sector: int) -> None:
    flash = make()
    fill(flash, 0)
    unlock(flash)
    flash.write(CR, 4, SER | sector << 3 | WORD | STRT)
    start, size = SECTORS[sector]
    start -= 0x08000000
    assert content(flash) == bytes(start) + b"\xff" * size + bytes(0x100000 - start - size)
    assert flash.wear(sector) == 1
    assert flash.machine.code_changes[-1] == (0x08000000 + start, size)


def test_sector_beyond_the_last_is_refused() -> None:
    flash = make()
    unlock(flash)
    flash.write(CR, 4, SER | 12 << 3 | STRT)
    assert flash.read(SR, 4) == PGSERR and flash.erases == 0


def test_write_protection_by_option_bytes() -> None:
    flash = make()
    options(flash, 0x0FFBAAED)  # nWRP of sector 2
    unlock(flash)
    for control in (SER | 2 << 3 | STRT, MER | STRT):
        flash.write(CR, 4, control)
        assert flash.read(SR, 4) == WRPERR
        flash.write(SR, 4, WRPERR)
    flash.write(CR, 4, PG | WORD)
    flash.store(0x08008000, 4, 0)
    assert flash.read(SR, 4) == WRPERR
    flash.store(0x0800C000, 4, 0)
    assert word(flash, 0x08008000) == 0xFFFFFFFF and word(flash, 0x0800C000) == 0
    assert flash.region_read("optionBytes", 8, 2) == 0xFFB
    flash.reset()
    assert flash.read(OPTCR, 4) == 0x0FFBAAED


def test_readout_protection() -> None:
    machine = FakeMachine()
    machine.write_bytes(0x40024000, b"\xa5" * 0x1000)
    machine.write_bytes(0x20000000, b"\x5a")
    flash = make(machine)
    fill(flash, 0)
    assert flash.debug_set_rdp(0x00) == 1
    for address in (0x08000000, 0x080FFFFF, 0x00000000, 0x1FFF7800, 0x40024FFF, 0x07FFFFFF):
        with pytest.raises(DebugAccessRefused):
            flash.debug_read(address, 4)
    with pytest.raises(DebugAccessRefused):
        flash.debug_mass_erase()
    assert flash.debug_read(0x20000000, 1) == b"\x5a"
    assert content(flash) == bytes(0x100000)

    assert flash.debug_set_rdp(0xAA) == 0
    assert content(flash) == b"\xff" * 0x100000
    assert machine.read_bytes(0x40024000, 0x1000) == bytes(0x1000)
    flash.debug_read(0x08000000, 4)
    for address in (0x08000000, 0x0):
        with pytest.raises(DebugAccessRefused):
            flash.debug_write(address, b"\0")

    assert flash.debug_set_rdp(0xCC) == 2
    with pytest.raises(DebugAccessRefused):
        flash.debug_read(0x20000000, 1)
    with pytest.raises(DebugAccessRefused):
        flash.debug_set_rdp(0xAA)
    options(flash, 0x0FFFAAED)
    assert flash.rdp_level == 2


def test_busy_time_and_interrupt() -> None:
    flash = make()
    flash.virtual_timing = True
    fill(flash, 0)
    unlock(flash)
    flash.write(CR, 4, SER | 1 << 3 | BYTE | EOPIE | STRT)
    flash.machine.pass_time(399_000_000)
    assert flash.read(SR, 4) == BSY and flash.read(CR, 4) & STRT and not flash.irq.level
    assert word(flash, NVM) == 0
    flash.machine.pass_time(2_000_000)
    assert flash.read(SR, 4) == 1 and not flash.read(CR, 4) & STRT and flash.irq.level
    assert word(flash, NVM) == 0xFFFFFFFF
    flash.write(SR, 4, 1)
    assert not flash.irq.level


def test_power_cut_tears_the_running_operation() -> None:
    flash = make()
    flash.virtual_timing = True
    fill(flash, 0)
    unlock(flash)
    flash.write(CR, 4, SER | 1 << 3 | STRT)
    flash.power_off()
    assert flash.banks[1].buffer[:0x4000] == b"\xff" * 0x2000 + bytes(0x2000)
    flash.machine.pass_time(1_000_000_000)
    assert flash.banks[1].buffer[:0x4000] == b"\xff" * 0x2000 + bytes(0x2000)
    flash.reset()
    assert flash.read(CR, 4) == LOCK and flash.read(SR, 4) == 0


def test_cut_at_event_stops_the_flash_until_reset() -> None:
    flash = make()
    flash.cut_at_event = 2
    unlock(flash)
    flash.write(CR, 4, PG | WORD)
    for n in range(3):
        flash.store(NVM + 4 * n, 4, 0)
    assert [word(flash, NVM + 4 * n) for n in range(3)] == [0, 0x0000FFFF, 0xFFFFFFFF]
    assert not flash.powered


def test_images_outlive_the_session(tmp_path) -> None:
    image, option_file = tmp_path / "nvm.img", tmp_path / "options.bin"
    flash = make(image_file=str(image), option_file=str(option_file))
    unlock(flash)
    flash.write(CR, 4, PG | WORD)
    flash.store(NVM + 0x4000, 4, 0x11223344)
    flash.debug_set_rdp(0)
    assert image.read_bytes()[0x4000:0x4004] == bytes.fromhex("44332211")
    again = make(image_file=str(image), option_file=str(option_file))
    assert word(again, NVM + 0x4000) == 0x11223344 and again.rdp_level == 1

    image.write_bytes(bytes(0xC001))
    with pytest.raises(MediumError, match="48 KB"):
        make(image_file=str(image))
