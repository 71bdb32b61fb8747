# SPDX-License-Identifier: Apache-2.0
"""The device in somebody's hands, on whichever engine.

Time is virtual and moves only in :meth:`Board.run` and :meth:`Board.run_until`, in slices of 500 us. Between slices the
modem takes what the chip sent and the replies that are due go to the chip at line rate (DESIGN.md, section 2). Slices
through which the device sleeps while nobody outside has anything to do are left to the engine in one piece.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import cast

from offchip import chip_map
from offchip.board.console import Console
from offchip.board.media import Eeprom, SdCard
from offchip.board.probe import Probe
from offchip.engines.protocol import DebugPort, Diagnostic, Engine, FaultInjector, I2cTap, SpiTap
from offchip.errors import BoardError, EngineError
from offchip.network.clock import NEVER_NS, LabClock
from offchip.network.esp_at import Modem
from offchip.network.internet import Internet

SLICE_NS = 500_000
#: one byte on the modem's line: 10 bits at 115200 baud
MODEM_BYTE_NS = 10 * 1_000_000_000 // 115200
#: a core that executed fewer instructions in a slice (of 84000 cycles) spent it asleep
_IDLE_INSTRUCTIONS = 10_000
_CONSOLE_UART = "usart1"
_MODEM_UART = "usart2"


class Hall:
    """The lid switch: a magnet in the lid, a hall sensor on the board. The lid is closed at first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.close_case()

    def open_case(self) -> None:
        """The device notices when it runs."""
        self._engine.set_hall(False)
        self.case_open = True

    def close_case(self) -> None:
        self._engine.set_hall(True)
        self.case_open = False


class Board:
    """One device with its modem on a virtual internet.

    ``on_slice``: callables that are told the virtual time in nanoseconds after each slice, for peers that live in
    virtual time (the broker's keep-alive, a rogue publisher). One that returns a time need not be told before it while
    the device sleeps.
    """

    def __init__(self, engine: Engine, internet: Internet | None = None, clock: LabClock | None = None,
                 with_modem: bool = True) -> None:
        """``with_modem`` False leaves the modem's footprint empty."""
        self.engine = engine
        self.internet = internet or Internet()
        self.clock = clock or LabClock()
        self.modem = Modem(self.internet, self.clock) if with_modem else None
        self.console = Console(self.run_until, lambda data: engine.feed_uart(_CONSOLE_UART, data))
        #: every byte that ever crossed the modem's line, from the chip and to it
        self.said_to_modem, self.said_by_modem = bytearray(), bytearray()
        self.powered = False
        self.resets = 0
        self.on_slice: list[Callable[[int], int | None]] = []
        self._quiet_until_ns = 0
        self._to_chip = bytearray()
        self._line_free_ns = 0
        # boards leave the factory closed; a bare MCU has no lid
        with suppress(EngineError):
            _ = self.hall

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine and of connections to the host's network."""
        if self.modem:
            self.modem.power_off()
        self.engine.close()

    # what hangs on the chip; EngineError where the platform has no such part ----------------------------------------
    @cached_property
    def sd(self) -> SdCard:
        """The SD card on SPI1."""
        return SdCard(self.engine.medium("sdcard"))

    @cached_property
    def eeprom(self) -> Eeprom:
        """The EEPROM on I2C1."""
        return Eeprom(self.engine.medium("eeprom"))

    @cached_property
    def hall(self) -> Hall:
        """The lid switch."""
        return Hall(self.engine)

    # probes --------------------------------------------------------------------------------------------------------
    @property
    def debug_port(self) -> DebugPort:
        """SWD, at the chip's present readout protection."""
        return self.engine.debug_port()

    @cached_property
    def spi_probe(self) -> Probe:
        """The tap on the SD card's bus, for two listeners."""
        return Probe(self.engine.spi_tap(), lambda: self.now_ns)

    @cached_property
    def i2c_probe(self) -> Probe:
        """The tap on the EEPROM's bus, likewise."""
        return Probe(self.engine.i2c_tap(), lambda: self.now_ns)

    @property
    def spi_tap(self) -> SpiTap:
        """The probe on the SD card's bus."""
        return cast(SpiTap, self.spi_probe)

    @property
    def i2c_tap(self) -> I2cTap:
        """The probe on the EEPROM's bus."""
        return cast(I2cTap, self.i2c_probe)

    @property
    def faults(self) -> FaultInjector:
        """Power cuts by event, skipped instructions, flipped bits: what ``engine.capabilities`` has of them."""
        return self.engine.fault_injector()

    @property
    def now_ns(self) -> int:
        """Virtual time."""
        return self.engine.now_ns

    def backup_registers(self) -> bytes:
        """What the RTC's battery keeps, looked at through the back door."""
        area = chip_map.BACKUP_REGISTERS
        return b"".join(self.engine.read_memory(address, 4) for address in range(area.start, area.end, 4))

    def diagnostics(self) -> list[Diagnostic]:
        """Everything the models did not expect so far."""
        return self.engine.diagnostics()

    def unmodelled(self) -> list[Diagnostic]:
        """Accesses to registers nobody modelled; a suite fails on any."""
        return [each for each in self.diagnostics() if each.kind == "unmodelled"]

    # supply --------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        """Chip and modem start. Raises BoardError when they run already."""
        if self.powered:
            raise BoardError("the board is powered already; use power_cycle() or reset()")
        self.engine.power_on()
        if self.modem:
            self.modem.power_on(self.now_ns)
        self.powered = True

    def power_off(self) -> None:
        """The supply goes, at once and for everything. Raises BoardError when it is off already."""
        if not self.powered:
            raise BoardError("the board is off already")
        self.engine.power_off()
        self._everything_off()

    def _everything_off(self) -> None:
        if self.modem:
            self.modem.power_off()
        self._to_chip.clear()
        self.console.cut()
        self.powered = False

    def power_cycle(self, off_s: float = 0.1) -> None:
        """Off for ``off_s`` seconds of virtual time, then on."""
        self.power_off()
        self.run(off_s)
        self.power_on()

    def reset(self) -> None:
        """Press the reset button: the chip starts again, modem and media do not."""
        self.engine.reset()

    # time ----------------------------------------------------------------------------------------------------------
    def run(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass."""
        end_ns = self.now_ns + _ns(seconds)
        self._quiet_until_ns = 0  # whoever had the board meanwhile may have given anybody something to do
        while self.now_ns < end_ns:
            self._run_slices(end_ns)

    def lie(self, seconds: float) -> None:
        """Let ``seconds`` pass for a board without a supply, in one piece: nobody on it could notice.

        Raises BoardError when it has one.
        """
        if self.powered:
            raise BoardError("the board is powered; let it run()")
        self.engine.run(_ns(seconds))

    def run_until(self, condition: Callable[[], bool], timeout_s: float, what: str = "the condition") -> None:
        """Run until ``condition()`` holds, looked at between slices, except those the device sleeps through.

        Raises BoardError with the last console lines when ``timeout_s`` seconds of virtual time have passed.
        """
        end_ns = self.now_ns + _ns(timeout_s)
        self._quiet_until_ns = 0
        while not condition():
            if self.now_ns >= end_ns:
                supply = "" if self.powered else ", the board is off"
                tail = " | ".join(self.console.tail()) or "(none)"
                raise BoardError(f"{what} did not happen within {timeout_s:g} s of virtual time "
                                 f"(now {self.now_ns / 1e9:.3f} s{supply}); last console lines: {tail}")
            self._run_slices(end_ns)

    def _run_slices(self, end_ns: int) -> None:
        """One slice, or as many as everybody sleeps through."""
        slices = max(1, -(-(self._quiet_until_ns - self.now_ns) // SLICE_NS))
        duration_ns = min(slices * SLICE_NS, end_ns - self.now_ns)
        self._feed_chip(duration_ns)
        instructions = self.engine.instructions
        result = self.engine.run(duration_ns, SLICE_NS)
        self.resets += result.resets
        now_ns = self.now_ns
        to_modem = bytearray()
        for byte in result.uart:
            if byte.uart == _CONSOLE_UART:
                self.console.feed(byte.value, byte.time_ns)
            elif byte.uart == _MODEM_UART:
                to_modem.append(byte.value)
        if result.supply_lost:  # behind what it said before
            self._everything_off()
        self.said_to_modem += to_modem
        quiet_until_ns = NEVER_NS
        for listener in self.on_slice:
            quiet_until_ns = min(quiet_until_ns, listener(now_ns) or 0)
        if self.modem:
            if to_modem:
                self.modem.receive(bytes(to_modem), now_ns)
            self._to_chip += self.modem.advance(now_ns)
            quiet_until_ns = min(quiet_until_ns, self.modem.due_ns)
        busy = result.uart or self._to_chip
        if not busy and self.engine.instructions - instructions < _IDLE_INSTRUCTIONS:
            self._wait_for_host(duration_ns)
        self._quiet_until_ns = 0 if busy or self.internet.sockets() else quiet_until_ns

    def _feed_chip(self, duration_ns: int) -> None:
        """Hand over only what fits the line in this slice: long queues are slow on Renode."""
        count = 0
        line_free_ns = max(self._line_free_ns, self.now_ns)
        while count < len(self._to_chip) and line_free_ns < self.now_ns + duration_ns:
            line_free_ns += MODEM_BYTE_NS
            count += 1
        if count:
            self._line_free_ns = line_free_ns
            self.engine.feed_uart(_MODEM_UART, bytes(self._to_chip[:count]))
            self.said_by_modem += self._to_chip[:count]
            del self._to_chip[:count]

    def _wait_for_host(self, duration_ns: int) -> None:
        """With a real TCP peer, a sleeping device's time runs no faster than the host's (not deterministic)."""
        sockets = self.internet.sockets()
        if sockets:
            select.select(sockets, [], [], duration_ns / 1e9)


def _ns(seconds: float) -> int:
    if seconds < 0:
        raise BoardError(f"{seconds:g} s: time does not run backwards")
    return round(seconds * 1e9)
