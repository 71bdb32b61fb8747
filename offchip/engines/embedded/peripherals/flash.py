# SPDX-License-Identifier: Apache-2.0
"""Embedded flash of a 1 MB STM32F405: interface registers, option bytes, readout protection (RM0090 3.3 to 3.9).

Twin of ``Stm32F4Flash.cs`` with one difference: here *every* sector is executable and policed, there only sectors 1..3
are policed and they cannot be executed.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from offchip import chip_map
from offchip.chip_map import SECTOR_SIZES
from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Machine, Peripheral, model
from offchip.engines.embedded.peripherals.memory import MappedMemory, anonymous_memory
from offchip.engines.embedded.peripherals.registers import WordRegisters
from offchip.engines.protocol import Operation, StorageEvent
from offchip.errors import DebugAccessRefused, EngineError, MediumError

FLASH_BASE = chip_map.FLASH.start
SECTOR_STARTS = tuple(sum(SECTOR_SIZES[:n]) for n in range(len(SECTOR_SIZES)))
FLASH_SIZE = sum(SECTOR_SIZES)

ACR, KEYR, OPTKEYR, SR, CR, OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
ACR_WRITABLE = 0x1707  # DCRST DCEN ICEN PRFTEN LATENCY; ICRST is write-only
KEYS = (0x45670123, 0xCDEF89AB)
OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)

SR_EOP, SR_OPERR, SR_WRPERR, SR_PGAERR, SR_PGPERR, SR_PGSERR, SR_BSY = 0x1, 0x2, 0x10, 0x20, 0x40, 0x80, 0x10000
SR_WRITE_1 = 0x1F3
CR_PG, CR_SER, CR_MER, CR_STRT, CR_EOPIE, CR_ERRIE, CR_LOCK = 1, 2, 4, 1 << 16, 1 << 24, 1 << 25, 1 << 31
CR_WRITABLE = 0x0300037F
PSIZE_X64 = 3  # needs an external Vpp, which no board here has
OPTCR_OPTLOCK, OPTCR_OPTSTRT = 1, 2
OPTION_MASK = 0x0FFFFFEC
OPTIONS_FACTORY = 0x0FFFAAEC
ALL_SECTORS_FREE = 0xFFF

#: milliseconds by PSIZE for 16, 64, 128 KB sectors and for everything (data sheet, typical)
ERASE_MS = {0x4000: (400, 300, 250, 250), 0x10000: (1200, 700, 550, 550), 0x20000: (2000, 1300, 1000, 1000)}
MASS_ERASE_MS = (16000, 11000, 8000, 8000)

#: what readout protection guards besides the flash itself (3.7.3)
OTP_AREA = (chip_map.OTP.start, chip_map.UID.start - 1)  # with the lock bytes behind it
#: lock bytes behind the OTP area, one for each block of 32 bytes
OTP_LOCKS = 16
BACKUP_SRAM = (chip_map.BACKUP_SRAM.start, chip_map.BACKUP_SRAM.end - 1)


@model("Offchip.NvmSectors")
class NvmSectors(Peripheral):
    """Sectors 1..3, 48 KB at 0x08004000, optionally kept in a file.

    Args:
        image_file: up to 48 KB, made if absent; what the flash interface programs or erases is in the file at once,
            what tools wrote through the back door when the supply goes.

    Raises:
        MediumError: the file cannot be used.
    """

    size = chip_map.DATA.size

    def __init__(self, machine: Machine, image_file: str = "") -> None:
        super().__init__(machine)
        self.buffer = anonymous_memory(self.size, 0xFF)
        self._path: Path | None = None
        if image_file:
            self._load(image_file)

    def use_image(self, image_file: str) -> None:
        """Load the file and keep it up to date from now on; an empty name does nothing. Raises MediumError."""
        if image_file:
            self._load(image_file)
            self.machine.code_changed(FLASH_BASE + SECTOR_STARTS[1], self.size)

    def _load(self, image_file: str) -> None:
        path = Path(image_file).resolve()
        try:
            content = path.read_bytes() if path.exists() else b""
            if len(content) > self.size:
                raise MediumError(f"{path}: an image of sectors 1..3 has at most 48 KB, this one has {len(content)} "
                                  "bytes; give another file.")
            self.buffer[:len(content)] = content
            path.write_bytes(self.buffer[:])
        except OSError as error:
            raise MediumError(f"{path}: cannot be used as image of sectors 1..3: {error.strerror}.") from None
        self._path = path

    def power_off(self) -> None:
        self.persist(0, self.size)

    def persist(self, offset: int, length: int) -> None:
        """Bring the file up to date."""
        if self._path is None:
            return
        try:
            with self._path.open("r+b") as file:
                file.seek(offset)
                file.write(self.buffer[offset:offset + length])
        except OSError as error:
            raise MediumError(f"{self._path}: the image of sectors 1..3 cannot be written: {error.strerror}.") from None


class _KeyLock:
    """Two keys in order open it; a wrong one jams it until the next reset (3.5.1)."""

    def __init__(self, keys: tuple[int, int]) -> None:
        self._keys = keys
        self.reset()

    def reset(self) -> None:
        self.locked = True
        self._step = 0
        self._jammed = False

    def lock(self) -> None:
        self.locked = True
        self._step = 0

    def enter(self, key: int) -> bool:
        """False: a wrong key, answered by an error of the bus."""
        if self._jammed or not self.locked:
            return True
        if key != self._keys[self._step]:
            self._jammed = True
            return False
        elif self._step == 0:
            self._step = 1
        else:
            self._step = 0
            self.locked = False
        return True


@model("Offchip.Stm32F4Flash")
class Stm32F4Flash(WordRegisters):
    """The flash interface.

    Args:
        code0, nvm, code1: sector 0, sectors 1..3, sectors 4..11.
        option_file: four bytes (OPTCR without its lock and start bits) kept over sessions.

    Attributes:
        virtual_timing: False: operations end at once, as code that runs from this flash sees them, because the bus
            stalls it; True: BSY stays for the data sheet's typical times, and the content changes at their end.
        program_microseconds: time of one program step.
        cut_at_event: the n-th program or erase step (see ``events``) is torn and the flash loses its supply until the
            next reset; -1 = never.
        torn_mask: bits a torn program step did not get to.
        torn_erased_bytes: bytes a torn erase did; -1 = half the sector.
        torn_fill: what a torn erase leaves in the rest, ``old`` or ``zero``.
        programs, erases, errors, stalls, raised_bits: counters; the last counts steps that asked for 0 -> 1.

    Option bytes take effect at OPTSTRT; BOR level, WDG_SW and nRST_* are stored only.
    """

    def __init__(self, machine: Machine, code0: MappedMemory, nvm: NvmSectors, code1: MappedMemory,
                 option_file: str = "") -> None:
        super().__init__(machine)
        self.banks: tuple[MappedMemory | NvmSectors, ...] = (code0, nvm, code1)
        wanted = (SECTOR_STARTS[1], NvmSectors.size, FLASH_SIZE - SECTOR_STARTS[4])
        for bank, name, size in zip(self.banks, ("code0", "nvm", "code1"), wanted, strict=True):
            if bank.size != size:
                raise ValueError(f"{name} must have 0x{size:X} bytes, not 0x{bank.size:X}")
        self._nvm = nvm
        self.virtual_timing = False
        self.program_microseconds = 16
        self.cut_at_event = -1
        self.torn_mask = 0x0000FFFF
        self.torn_erased_bytes = -1
        self.torn_fill = "old"
        self._wear = [0] * len(SECTOR_SIZES)
        self._lock = _KeyLock(KEYS)
        self._option_lock = _KeyLock(OPTION_KEYS)
        self._running: tuple[Callable[[], None], Callable[[], None]] | None = None  # what its end does, what a cut does
        self._end: Event | None = None
        self.reset_counters()
        self._option_path = Path(option_file).resolve() if option_file else None
        self._options = self._load_options()
        self.reset()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A system reset does not protect the target of a running operation (3.6.1): it is torn."""
        self._tear()
        self.powered = True
        self._acr = self._sr = self._cr = 0
        self._lock.reset()
        self._option_lock.reset()
        self._optcr = self._options
        self._update_irq()

    def power_cut(self) -> None:
        """The supply fails: a running operation is torn, nothing works until the next reset."""
        self._tear()
        self.powered = False

    def power_off(self) -> None:
        self.power_cut()

    def reset_counters(self) -> None:
        self.programs = self.erases = self.errors = self.stalls = self.raised_bits = 0

    @property
    def events(self) -> int:
        return self.programs + self.erases

    @property
    def rdp_level(self) -> int:
        return _level(self._options)

    @property
    def option_word(self) -> int:
        return self._options

    def wear(self, sector: int) -> int:
        """Erase cycles of a sector."""
        return self._wear[sector]

    # what the CPU does -------------------------------------------------------------------------------------------
    def owns(self, address: int) -> bool:
        """Whether a CPU address (also by the alias at 0) is flash."""
        return FLASH_BASE <= address < FLASH_BASE + FLASH_SIZE or 0 <= address < self.banks[0].size

    def store(self, address: int, width: int, value: int) -> None:
        """A CPU store to flash, under the rules of 3.6.3. On error nothing changes but SR."""
        offset = address - FLASH_BASE if address >= FLASH_BASE else address
        while width:
            # an unaligned store reaches the bus in aligned pieces
            piece = 4 if width >= 4 and not offset & 3 else 2 if width >= 2 and not offset & 1 else 1
            self._program(offset, piece, value & ((1 << 8 * piece) - 1))
            offset, width, value = offset + piece, width - piece, value >> 8 * piece

    def _program(self, offset: int, width: int, value: int) -> None:
        self._stall()
        if not self.powered:
            return
        psize = self._cr >> 8 & 3
        if self._cr & (CR_PG | CR_SER | CR_MER) != CR_PG:
            self._fail(SR_PGSERR)
        elif self._protected(_sector_of(offset)):
            self._fail(SR_WRPERR)
        elif psize == PSIZE_X64 or 1 << psize != width:
            self._fail(SR_PGPERR)
        else:
            self.programs += 1
            if self._supply_lost(StorageEvent.FLASH_WORD, offset, value.to_bytes(width, "little")):
                return
            self._begin(self.program_microseconds, lambda: self._burn(offset, width, value),
                        lambda: self._burn(offset, width, value | self.torn_mask))

    def _supply_lost(self, event: StorageEvent, offset: int, intended: bytes) -> bool:
        """Whether the supply goes in the operation that begins now; then it is done in part, sectors in order."""
        operation = Operation(event, "flash", offset, self._content(offset, len(intended)), intended)
        tear = self.machine.storage_event(operation)
        if tear is None:
            return False
        after = operation.torn(tear)
        at = offset
        while at < offset + len(after):
            sector = _sector_of(at)
            end = min(SECTOR_STARTS[sector] + SECTOR_SIZES[sector], offset + len(after))
            self._put(at, after[at - offset:end - offset])
            at = end
        self.power_cut()
        self.machine.supply_lost_in(event, f"0x{FLASH_BASE + offset:08X}", operation.before, after)
        return True

    def _content(self, offset: int, length: int) -> bytes:
        content = b""
        while len(content) < length:
            buffer, place = self._locate(offset + len(content))
            content += buffer[place:place + length - len(content)]
        return content

    def _key(self, lock: _KeyLock, offset: int, value: int) -> None:
        if not lock.enter(value):
            self.machine.bus_error(self.base + offset)

    def store_system(self, area: Peripheral, offset: int, address: int, width: int, value: int) -> None:
        """A CPU store to OTP, its lock bytes or the device signature (RM0090 3.6.5): bits of OTP only fall, a block
        whose lock byte is 00 is closed, and nothing changes system memory."""
        self._stall()
        if not self.powered:
            return
        if not OTP_AREA[0] <= address <= OTP_AREA[1] or self._otp_locked(address):
            self._fail(SR_WRPERR)
        elif self._cr & (CR_PG | CR_SER | CR_MER) != CR_PG:
            self._fail(SR_PGSERR)
        elif self._cr >> 8 & 3 == PSIZE_X64 or 1 << (self._cr >> 8 & 3) != width:
            self._fail(SR_PGPERR)
        else:
            self.programs += 1
            area.write(offset, width, area.read(offset, width) & value)

    def _otp_locked(self, address: int) -> bool:
        block = (address - OTP_AREA[0]) // 32
        return block < OTP_LOCKS and self.machine.read_bytes(chip_map.OTP.end + block, 1) == b"\0"

    # registers ---------------------------------------------------------------------------------------------------
    def peek_word(self, offset: int) -> int:
        return 0 if offset == SR else self.read_word(offset)

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset == SR:
            return self._sr | (SR_BSY if self._running else 0)
        if offset == CR:
            return self._cr | (CR_LOCK if self._lock.locked else 0)
        if offset == ACR:
            return self._acr
        if offset == OPTCR:
            return self._optcr | (OPTCR_OPTLOCK if self._option_lock.locked else 0)
        if offset in (KEYR, OPTKEYR):
            return 0
        return self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == ACR:
            self._acr = value & ACR_WRITABLE
        elif offset == KEYR:
            self._key(self._lock, offset, value)
        elif offset == OPTKEYR:
            self._key(self._option_lock, offset, value)
        elif offset == SR:
            self._sr &= ~(value & SR_WRITE_1)
            self._update_irq()
        elif offset == CR:
            self._write_control(value)
        elif offset == OPTCR:
            self._write_options(value)
        else:
            self.unmodelled(offset, 4, value)

    def region_read(self, region: str, offset: int, width: int) -> int:
        """The option bytes as memory at 0x1FFFC000 (3.7.1); reserved places read as ones."""
        words = {0: self._options & 0xFFEC, 8: self._options >> 16 & ALL_SECTORS_FREE}
        return words.get(offset & ~3, 0xFFFFFFFF) >> 8 * (offset & 3) & ((1 << 8 * width) - 1)

    def region_write(self, region: str, offset: int, width: int, value: int) -> None:
        """Option bytes are programmed through OPTCR only."""
        self._fail(SR_PGSERR)

    def _write_control(self, value: int) -> None:
        self._stall()
        if self._lock.locked:
            return
        self._cr = value & CR_WRITABLE
        if value & CR_LOCK:
            self._lock.lock()
        if value & CR_STRT:
            self._start_erase()
        self._update_irq()

    def _write_options(self, value: int) -> None:
        if self._option_lock.locked:
            return
        self._optcr = value & OPTION_MASK
        if value & OPTCR_OPTLOCK:
            self._option_lock.lock()
        if value & OPTCR_OPTSTRT and self.powered:
            self._apply_options(self._optcr)
            if self._cr & CR_EOPIE:
                self._sr |= SR_EOP
            self._update_irq()

    # operations --------------------------------------------------------------------------------------------------
    def _start_erase(self) -> None:
        if not self.powered:
            return
        psize = self._cr >> 8 & 3
        kind = self._cr & (CR_PG | CR_SER | CR_MER)
        sector = self._cr >> 3 & 0xF
        if kind == CR_SER and sector < len(SECTOR_SIZES):
            if self._protected(sector):
                self._fail(SR_WRPERR)
                return
            size = SECTOR_SIZES[sector]
            self.erases += 1
            if self._supply_lost(StorageEvent.FLASH_ERASE, SECTOR_STARTS[sector], b"\xff" * size):
                return
            torn = size // 2 if self.torn_erased_bytes < 0 else min(self.torn_erased_bytes, size)
            self._begin(ERASE_MS[size][psize] * 1000, lambda: self._erase(sector, size),
                        lambda: self._erase(sector, torn, torn=True))
        elif kind == CR_MER:
            if self._options >> 16 & ALL_SECTORS_FREE != ALL_SECTORS_FREE:
                self._fail(SR_WRPERR)
                return
            self.erases += 1
            if self._supply_lost(StorageEvent.FLASH_ERASE, 0, b"\xff" * FLASH_SIZE):
                return
            self._begin(MASS_ERASE_MS[psize] * 1000, self._erase_all, lambda: self._erase_all(6))
        else:
            self._fail(SR_PGSERR)

    def _begin(self, microseconds: int, complete: Callable[[], None], tear: Callable[[], None]) -> None:
        self._running = (complete, tear)
        if self.events == self.cut_at_event:
            self.power_cut()
        elif self.virtual_timing:
            if self._cr & (CR_SER | CR_MER):
                self._cr |= CR_STRT
            self._end = self.machine.clock.after(microseconds * 1000, self._complete)
        else:
            self._complete()

    def _stall(self) -> None:
        """The bus makes an access wait for the end of the running operation; here the end comes to the access."""
        if self._running is not None:
            self.stalls += 1
            self._complete()

    def _complete(self) -> None:
        complete, _ = self._take_running()
        complete()
        self._cr &= ~CR_STRT
        if self._cr & CR_EOPIE:
            self._sr |= SR_EOP
        self._update_irq()

    def _tear(self) -> None:
        if self._running is not None:
            _, tear = self._take_running()
            tear()

    def _take_running(self) -> tuple[Callable[[], None], Callable[[], None]]:
        running, self._running = self._running, None
        assert running is not None
        if self._end is not None:
            self._end.cancel()
            self._end = None
        return running

    def _burn(self, offset: int, width: int, value: int) -> None:
        """Programming only turns ones into zeros."""
        buffer, place = self._locate(offset)
        old = int.from_bytes(buffer[place:place + width], "little")
        if value & ~old & 0xFF:
            self.raised_bits += 1
        self._put(offset, (old & value).to_bytes(width, "little"))

    def _erase(self, sector: int, count: int, torn: bool = False) -> None:
        self._wear[sector] += 1
        blank = b"\xff" * count
        if torn and self.torn_fill == "zero":
            blank = blank.ljust(SECTOR_SIZES[sector], b"\0")
        self._put(SECTOR_STARTS[sector], blank)

    def _erase_all(self, sectors: int = len(SECTOR_SIZES)) -> None:
        for sector in range(sectors):
            self._erase(sector, SECTOR_SIZES[sector])

    def _locate(self, offset: int) -> tuple[mmap.mmap, int]:
        for bank in self.banks:
            if offset < bank.size:
                return bank.buffer, offset
            offset -= bank.size
        raise IndexError(offset)

    def _put(self, offset: int, data: bytes) -> None:
        buffer, place = self._locate(offset)
        buffer[place:place + len(data)] = data
        if buffer is self._nvm.buffer:
            self._nvm.persist(place, len(data))
        self.machine.code_changed(FLASH_BASE + offset, len(data))

    def _protected(self, sector: int) -> bool:
        return not self._options >> 16 + sector & 1

    def _fail(self, flag: int) -> None:
        self.errors += 1
        self._sr |= flag
        if self._cr & CR_ERRIE:
            self._sr |= SR_OPERR
        self._update_irq()

    def _update_irq(self) -> None:
        self.irq.set(bool(self._sr & SR_EOP and self._cr & CR_EOPIE or self._sr & SR_OPERR and self._cr & CR_ERRIE))

    # option bytes and readout protection ---------------------------------------------------------------------------
    def _load_options(self) -> int:
        if self._option_path is None or not self._option_path.exists():
            return OPTIONS_FACTORY
        try:
            content = self._option_path.read_bytes()
        except OSError as error:
            raise MediumError(f"{self._option_path}: the option bytes cannot be read: {error.strerror}.") from None
        if len(content) != 4:
            raise MediumError(f"{self._option_path}: the option bytes are exactly 4 bytes, this file has "
                              f"{len(content)}; delete it to start with factory values.")
        return int.from_bytes(content, "little") & OPTION_MASK

    def _apply_options(self, value: int) -> None:
        level = self.rdp_level
        if level == 2:  # frozen for ever
            self._optcr = self._options
            return
        if level == 1 and _level(value) == 0:
            self._erase_all()
            self._wipe_backup_sram()
        self._options = self._optcr = value & OPTION_MASK
        if self._option_path is not None:
            try:
                self._option_path.write_bytes(self._options.to_bytes(4, "little"))
            except OSError as error:
                raise MediumError(
                    f"{self._option_path}: the option bytes cannot be written: {error.strerror}.") from None

    def _wipe_backup_sram(self) -> None:
        try:
            self.machine.write_bytes(BACKUP_SRAM[0], bytes(BACKUP_SRAM[1] - BACKUP_SRAM[0] + 1))
        except EngineError:
            pass  # a board without one

    def debug_read(self, address: int, count: int) -> bytes:
        """Read as a probe on SWD does. Raises DebugAccessRefused."""
        self._allow(address, count, "read")
        return self.machine.read_bytes(address, count)

    def debug_write(self, address: int, data: bytes) -> None:
        """Write RAM as a probe on SWD does. Raises DebugAccessRefused."""
        self._allow(address, len(data), "write")
        if _touches(address, len(data), *self._flash_areas()):
            raise DebugAccessRefused(f"The debug port cannot write flash at 0x{address:08X} directly; use "
                                     "mass erase and the flash interface.")
        self.machine.write_bytes(address, bytes(data))

    def debug_set_rdp(self, value: int) -> int:
        """Set the RDP byte through the option registers; 0xAA is level 0, 0xCC level 2, all others level 1.

        Returns:
            the level now.

        Raises:
            DebugAccessRefused: the level is 2.
        """
        self._refuse_level_2()
        self._apply_options(self._options & ~0xFF00 | (value & 0xFF) << 8)
        return self.rdp_level

    def debug_mass_erase(self) -> None:
        """Erase all sectors. Raises DebugAccessRefused unless the level is 0."""
        self._refuse_level_2()
        if self.rdp_level == 1:
            raise DebugAccessRefused("The debug port cannot erase flash at readout protection level 1; set level 0, "
                                     "which erases everything.")
        self._erase_all()

    def _allow(self, address: int, count: int, verb: str) -> None:
        self._refuse_level_2()
        if self.rdp_level == 1 and _touches(address, count, *self._flash_areas(), OTP_AREA, BACKUP_SRAM):
            raise DebugAccessRefused(f"The debug port cannot {verb} {count} bytes at 0x{address:08X}: flash, OTP and "
                                     "backup SRAM are closed at readout protection level 1.")

    def _refuse_level_2(self) -> None:
        if self.rdp_level == 2:
            raise DebugAccessRefused("The debug port is permanently disabled by readout protection level 2.")

    @staticmethod
    def _flash_areas() -> tuple[tuple[int, int], tuple[int, int]]:
        return (FLASH_BASE, FLASH_BASE + FLASH_SIZE - 1), (0, FLASH_SIZE - 1)


def _level(options: int) -> int:
    return {0xAA: 0, 0xCC: 2}.get(options >> 8 & 0xFF, 1)


def _sector_of(offset: int) -> int:
    return next(n for n, start in enumerate(SECTOR_STARTS) if offset < start + SECTOR_SIZES[n])


def _touches(address: int, count: int, *areas: tuple[int, int]) -> bool:
    last = address + max(count, 1) - 1
    return any(address <= end and last >= start for start, end in areas)
