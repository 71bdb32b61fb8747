# SPDX-License-Identifier: Apache-2.0
"""What an engine promises to the board, whoever emulates underneath.

Shaped by what a real Renode can do (docs in DESIGN.md, "Engine protocol"):

* time moves only inside :meth:`Engine.run`; it returns what left the chip meanwhile, so an engine may live in
  another process. There are no callbacks into Python while the CPU runs.
* attacks on a bus are *rules* handed to a tap before time runs; the tap applies them and leaves ``fired`` records.
* all times are integers in nanoseconds of virtual time since the first power-on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

#: what a cell a cut operation did not get to holds; ``erasing``: the first half of them erased, the others old
TornRest = Literal["old", "erased", "zero", "erasing"]


class StorageEvent(StrEnum):
    """A step of writing that a loss of supply can hit."""

    SD_BLOCK = "sd-block"  # the card programs a block
    EEPROM_BYTE = "eeprom-byte"  # the chip takes a data byte into its page latch; nothing is programmed yet
    EEPROM_PAGE = "eeprom-page"  # the write cycle of a page
    FLASH_WORD = "flash-word"  # one program step of the internal flash, of whatever width
    FLASH_ERASE = "flash-erase"  # a sector, or all of them


@dataclass(frozen=True, slots=True)
class Tear:
    """What a cut leaves of the operation it hits: ``done`` bytes of the new content (-1: half), then the rest."""

    done: int = -1
    rest: TornRest = "old"

    def bytes_done(self, length: int) -> int:
        return length // 2 if self.done < 0 else min(self.done, length)

    def apply(self, before: bytes, intended: bytes) -> bytes:
        """The cells after the cut, in ascending order of their addresses."""
        done = self.bytes_done(len(intended))
        half = (len(before) - done) // 2
        rest = {"old": before[done:], "erased": b"\xFF" * (len(before) - done), "zero": bytes(len(before) - done),
                "erasing": b"\xFF" * half + before[done + half:]}[self.rest]
        return intended[:done] + rest


@dataclass(frozen=True, slots=True)
class Operation:
    """A step of writing that begins: what the cells hold, and what they are to hold.

    ``memory``: ``flash``, ``sdcard`` or ``eeprom``; ``offset``: of the first cell, in bytes from its start.
    """

    event: StorageEvent
    memory: str
    offset: int
    before: bytes
    intended: bytes

    def __reduce__(self) -> tuple[type[Operation], tuple[object, ...]]:
        """Campaigns hand many of them from process to process: a tenth of the time a dataclass would take."""
        return Operation, (self.event, self.memory, self.offset, self.before, self.intended)

    def torn(self, tear: Tear) -> bytes:
        """What the cells hold when the supply goes in it. Programming flash never raises a bit."""
        after = tear.apply(self.before, self.intended)
        if self.event is StorageEvent.FLASH_WORD:
            return bytes(old & new for old, new in zip(self.before, after, strict=True))
        return after


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this engine can do; the board asks instead of guessing."""

    name: str
    version: str
    exact_instructions: bool
    polices_code_sectors: bool
    reports_unmodelled_access: bool
    power_cut: bool
    instruction_skip: bool
    snapshot: bool
    bit_flip: bool = False
    cut_events: frozenset[StorageEvent] = frozenset()  # those FaultInjector.cut_power knows here
    fork: bool = False  # the whole board lives in this process: offchip.engines.fork works
    debugger: bool = False  # Engine.attach_debugger
    card_from_image: bool = False  # Medium.set("InsertImage", path): another card, as large as its image


@dataclass(frozen=True, slots=True)
class UartByte:
    """One byte that left the chip. ``time_ns``: virtual time at which the data register was written."""

    uart: str
    value: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something the model did not expect.

    ``kind`` is ``unmodelled`` (access to a register nobody modelled), ``violation`` (a driver broke a rule of the
    data sheet), ``fault`` (the core took a fault), ``lockup`` or ``stand-in`` (a block works, and what it leads to is
    not there). ``count``: how often at this PC; time and PC are those of the first.
    """

    kind: str
    where: str
    message: str
    time_ns: int
    pc: int
    address: int = 0
    count: int = 1

    @property
    def sort(self) -> tuple[str, str, str]:
        """What it is wherever in the program it came from: kind, place and text."""
        return self.kind, self.where, self.message


@dataclass(slots=True)
class RunResult:
    """What happened in one :meth:`Engine.run`."""

    uart: list[UartByte] = field(default_factory=list)
    resets: int = 0
    halted: bool = False  # the core is locked up, or power is off: time alone moves
    supply_lost: bool = False  # a rule cut the supply of the whole board meanwhile
    exit_code: int | None = None  # the program ended itself, by semihosting


@dataclass(frozen=True, slots=True)
class Transfer:
    """One bus transaction as the tap saw it.

    SPI: one period of chip select low; ``mosi`` and ``miso`` have equal length.
    I2C: one transaction from START to STOP in the short form of the tap ("S A0+ 00+ 10+ Sr A1+ 5A+ 00- P").
    """

    bus: str
    time_ns: int
    mosi: bytes = b""
    miso: bytes = b""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fired:
    """Evidence that a rule changed something: where, when, and the bytes before and after."""

    bus: str
    rule: str
    time_ns: int
    place: str
    before: bytes
    after: bytes


@runtime_checkable
class Tap(Protocol):
    """A probe clipped on a bus."""

    def record(self, on: bool = True) -> None: ...
    def drain(self) -> list[Transfer]: ...
    def fired(self) -> list[Fired]: ...
    def clear(self) -> None:
        """Forget rules and evidence."""


class SpiTap(Tap, Protocol):
    def replace_on_read(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                        fix_crc: bool = True) -> None:
        """Change ``data`` at ``offset`` of block ``block`` from the ``nth`` read on, ``count`` times (0 = always)."""

    def replace_on_write(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                         fix_crc: bool = True) -> None: ...
    def redirect_read(self, block: int, to_block: int) -> None: ...
    def stuck_miso(self, value: int | None) -> None:
        """Hold MISO at ``value`` (0x00 or 0xFF); ``None`` lets go."""

    def cut_power_at_block_write(self, n: int, after_bytes: int = 0) -> None:
        """Cut the supply of the medium in the n-th block write from now (1-based), after so many data bytes.

        0: on the data response, when the medium is programming the block.
        """


class I2cTap(Tap, Protocol):
    def replace(self, index: int, value: int, on_read: bool) -> None:
        """Replace the data byte ``index`` (0-based within its direction phase) of every transfer."""

    def replace_at(self, offset: int, value: int, nth: int = 1) -> None:
        """Replace the byte that is read from this memory address of a 24xx256, from its nth read on (1-based)."""

    def drop_address(self, address: int | None) -> None:
        """Let the 7-bit ``address`` go unacknowledged; ``None`` lets go."""

    def hold_sda(self, held: bool = True) -> None:
        """Hold the data line low, or let go."""

    def cut_power_after(self, events: int) -> None:
        """Cut the supply of the EEPROM after so many bus events from now."""


class FaultInjector(Protocol):
    """Faults by rule, each exact in place and repeatable; ``capabilities`` says which an engine has.

    A method the engine cannot do raises EngineError.
    """

    def cut_power(self, event: StorageEvent, nth: int = 1, done: int = -1, rest: TornRest = "old") -> None:
        """Cut the supply of the whole board in the ``nth`` such event from now (1-based), as ``Engine.power_off``.

        ``done``: bytes of the operation that reached the cells, in ascending order; -1: half of them. ``rest``: what
        the others hold: the old content, ``erased`` (FF) or ``zero``. A program step of flash cannot erase: its rest
        is old.
        """

    def skip_instruction(self, address: int, occurrence: int = 1, count: int = 1) -> None:
        """Do not execute the instruction at ``address`` from the ``occurrence``-th time on (1-based), ``count`` times.

        0: always. The time of one instruction passes. One that its IT block switches off is no occurrence.
        """

    def flip_register(self, register: str, mask: int, at_instruction: int) -> None:
        """Invert bits of a core register (``r0``..``r12``, ``sp``, ``lr``, ``pc``, ``nzcv``, ``s0``..``s31`` ...).

        ``at_instruction``: when ``Engine.instructions`` has this value, before the next one is executed.
        """

    def flip_memory(self, address: int, mask: int, at_instruction: int) -> None:
        """Invert bits of one byte of RAM or flash."""

    def events(self, event: StorageEvent) -> int:
        """How many of these began since the engine was made."""

    def watch_storage(self, watcher: Callable[[Operation], Tear | None] | None) -> None:
        """Have ``watcher`` told each step of writing as it begins; a Tear it returns cuts the supply there.

        It is called while the core stands in the middle of an instruction: it may look, and fork, not touch.
        """

    def fired(self) -> list[Fired]: ...
    def clear(self) -> None:
        """Forget rules and evidence."""


class Medium(Protocol):
    """What anybody who holds the device can do with the card or the EEPROM chip."""

    name: str
    present: bool

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def set(self, option: str, value: int | bool | str) -> None:
        """Set a named fault knob of the model (``TornBytes``, ``BusyMicroseconds`` ...: same names on both engines)."""

    def counter(self, name: str) -> int:
        """Read a named counter of the model (``BlocksRead``, ``BlocksWritten`` ...)."""


class DebugPort(Protocol):
    """SWD as the chip offers it at its present readout protection level (RM0090 3.7.3)."""

    @property
    def rdp_level(self) -> int:
        """0, 1 or 2, as the option bytes say now."""
        ...

    def read(self, address: int, length: int) -> bytes:
        """Raises :class:`offchip.errors.DebugAccessRefused`."""

    def write(self, address: int, data: bytes) -> None: ...
    def set_rdp(self, level: int) -> None:
        """Level 1 -> 0 mass-erases first; level 2 is final."""

    def mass_erase(self) -> None: ...


class Engine(Protocol):
    """One board in one engine."""

    capabilities: Capabilities

    # life ------------------------------------------------------------------------------------------------------
    def load_elf(self, path: Path) -> None:
        """Program firmware through the back door, beside what is there, powered or not: an ELF for Cortex-M, Intel HEX
        or ``file.bin@0x08000000``. Raises FirmwareError."""

    def start_at(self, vectors: int) -> None:
        """Begin each reset with the vector table at this address, as behind a bootloader that is not there (0: as the
        chip does)."""

    def program(self, address: int, data: bytes) -> None:
        """Write flash, option bytes, UID or OTP through the back door (the factory's programmer)."""

    def attach_debugger(self) -> None:
        """Answer semihosting (as UART ``semihosting``) and open the ITM (``swo``), as a debugger does.

        Raises EngineError where ``capabilities.debugger`` is false.
        """

    def power_on(self) -> None: ...
    def power_off(self) -> None:
        """Volatile memory is lost (filled with a pattern), non-volatile state is kept, torn writes are torn."""

    def reset(self) -> None:
        """Pull NRST."""

    def close(self) -> None: ...

    # time ------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int: ...
    @property
    def instructions(self) -> int: ...

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        """Let virtual time pass; bytes fed to a UART arrive at its line rate.

        ``cell_ns``: return at the end of a cell of that many nanoseconds from now, at the latest of the first in which
        the core was awake or anything happened; crossing a sleep in one call is faster on an engine in another process.
        """

    # pins and wires --------------------------------------------------------------------------------------------
    def feed_uart(self, uart: str, data: bytes) -> None:
        """Queue bytes for the chip's receiver (``usart1``, ``usart2``)."""

    def set_hall(self, magnet_near: bool) -> None: ...
    def medium(self, name: str) -> Medium:
        """``sdcard`` or ``eeprom``."""

    def spi_tap(self) -> SpiTap: ...
    def i2c_tap(self) -> I2cTap: ...
    def debug_port(self) -> DebugPort: ...
    def fault_injector(self) -> FaultInjector: ...
    def set_rng(self, option: str, value: int | str) -> None:
        """Disturb the noise source of the random number generator by a knob of its model.

        ``Fault`` (``none``, ``stuck``, ``alternate``, ``repeat``, ``seed``, ``clock``), ``FaultWord``, ``FaultAfter``,
        ``Seed``: same names on both engines. Raises EngineError: this platform has no such generator.
        """

    # memory by the back door (for oracles, never for attackers) -------------------------------------------------
    def read_memory(self, address: int, length: int) -> bytes: ...
    def write_memory(self, address: int, data: bytes) -> None: ...

    # what went wrong -------------------------------------------------------------------------------------------
    def diagnostics(self) -> list[Diagnostic]: ...
