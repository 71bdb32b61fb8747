# SPDX-License-Identifier: Apache-2.0
"""The embedded engine behind :class:`offchip.engines.protocol.Engine`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path

from offchip.engines.embedded.machine import EmbeddedMachine, Part
from offchip.engines.embedded.peripherals import i2c_tap, spi_tap
from offchip.engines.embedded.peripherals.button import Button
from offchip.engines.embedded.peripherals.eeprom import Eeprom24xx256
from offchip.engines.embedded.peripherals.flash import Stm32F4Flash
from offchip.engines.embedded.peripherals.rng import Stm32F4Rng
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi
from offchip.engines.embedded.peripherals.spi_memory import SpiMemory25
from offchip.engines.embedded.peripherals.usart import Usart
from offchip.engines.embedded.reflection import bind
from offchip.engines.embedded.semihosting import CONSOLE
from offchip.engines.protocol import (
    Capabilities,
    DebugPort,
    Diagnostic,
    FaultInjector,
    I2cTap,
    Medium,
    RunResult,
    SpiTap,
    StorageEvent,
)
from offchip.errors import EngineError
from offchip.platform.model import PlatformDescription

#: a core that executes fewer in a cell only counts ticks (the same number in Stepper.cs)
_AWAKE_INSTRUCTIONS = 1000


class Arrived(Exception):
    """The core stands before the instruction the injector was told to stop at; the board goes no further."""


class EmbeddedMedium:
    """Hands on a card or an EEPROM chip (engine protocol: Medium)."""

    def __init__(self, model: SdCardSpi | Eeprom24xx256 | SpiMemory25) -> None:
        self._model = model
        self.name: str = model.name

    @property
    def size(self) -> int:
        return self._model.size

    @property
    def present(self) -> bool:
        return self._model.present

    @present.setter
    def present(self, value: bool) -> None:
        self._model.present = value

    def read(self, offset: int, length: int) -> bytes:
        return self._model.read_raw(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._model.write_raw(offset, data)

    def set(self, option: str, value: int | bool | str) -> None:
        bind(self._model, option, [value])()

    def counter(self, name: str) -> int:
        return int(bind(self._model, name, [])())


class EmbeddedDebugPort:
    """SWD through the flash interface's readout protection (engine protocol: DebugPort)."""

    def __init__(self, flash: Stm32F4Flash) -> None:
        self._flash = flash

    @property
    def rdp_level(self) -> int:
        return self._flash.rdp_level

    def read(self, address: int, length: int) -> bytes:
        return self._flash.debug_read(address, length)

    def write(self, address: int, data: bytes) -> None:
        self._flash.debug_write(address, data)

    def set_rdp(self, level: int) -> None:
        self._flash.debug_set_rdp({0: 0xAA, 1: 0x55, 2: 0xCC}[level])

    def mass_erase(self) -> None:
        self._flash.debug_mass_erase()


class EmbeddedEngine:
    """One board on Unicorn.

    Args:
        platform: the board's ``.repl``, or what was read from one.
        seed: seed of everything random on the chip (RNG stream, memory at power-on).

    Raises:
        PlatformError: the .repl is wrong.
    """

    def __init__(self, platform: Path | PlatformDescription, seed: int = 1) -> None:
        self.machine = EmbeddedMachine(platform, seed)
        self.capabilities = Capabilities(
            name="embedded", version=f"unicorn {version('unicorn')}", exact_instructions=True,
            polices_code_sectors=True, reports_unmodelled_access=True, power_cut=True, instruction_skip=True,
            snapshot=False, bit_flip=True, cut_events=frozenset(StorageEvent), fork=True,
            debugger=True, card_from_image=True)
        self._target_ns = 0
        self.restart_random(seed)
        self._media: dict[str, EmbeddedMedium] = {}
        self._touched: tuple[Mapping[str, Collection[range]], Callable[[str, range], None]] = {}, lambda name, at: None

    # life ------------------------------------------------------------------------------------------------------
    def load_elf(self, path: Path) -> None:
        self.machine.load_elf(Path(path))

    def start_at(self, vectors: int) -> None:
        if not 0 <= vectors < 1 << 32 or vectors % 0x200:
            raise EngineError(f"0x{vectors:X} cannot hold a vector table; its address is a multiple of 0x200")
        self.machine.cpu.vector_table_offset = vectors

    def program(self, address: int, data: bytes) -> None:
        self.machine.program(address, data)

    def attach_debugger(self) -> None:
        self.machine.attach_debugger()

    def power_on(self) -> None:
        self.machine.power_on()

    def power_off(self) -> None:
        self.machine.power_off()

    def reset(self) -> None:
        if self.machine.powered:
            self.machine.request_reset("pin")

    def close(self) -> None:
        """Nothing lives outside this process."""

    # time ------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        return self.machine.clock.now_ns

    @property
    def instructions(self) -> int:
        return self.machine.cpu.executed_instructions

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        machine = self.machine
        resets, end_ns, powered = machine.resets, self._target_ns + duration_ns, machine.powered
        if not duration_ns:  # what is taken between instructions is taken now, a reset for instance
            machine.run_until_cycle(self._target_ns * machine.clock.frequency // 1_000_000_000)
        while self._target_ns < end_ns:
            executed = machine.cpu.executed_instructions
            self._target_ns = min(end_ns, self._target_ns + self._asleep_for(cell_ns or duration_ns))
            machine.run_until_cycle(self._target_ns * machine.clock.frequency // 1_000_000_000)
            if machine.injector.arrived is not None:
                raise Arrived
            awake = machine.cpu.executed_instructions - executed >= _AWAKE_INSTRUCTIONS
            if machine.uart or machine.resets != resets or awake or machine.powered != powered:
                break
        result = RunResult(machine.uart, machine.resets - resets, machine.cpu.locked_up or not machine.powered,
                           powered and not machine.powered,
                           None if machine.semihosting is None else machine.semihosting.exit_code)
        machine.uart = []
        return result

    def _asleep_for(self, cell_ns: int) -> int:
        """Time to the end of the cell in which the next thing happens: nothing happens in those before."""
        machine = self.machine
        if not (machine.cpu.at_rest or not machine.powered):
            return cell_ns
        event = machine.clock.next_event()
        if event is None:
            return 1 << 62
        return max(0, machine.clock.ns_of(event) - self._target_ns) // cell_ns * cell_ns + cell_ns

    # pins and wires --------------------------------------------------------------------------------------------
    def feed_uart(self, uart: str, data: bytes) -> None:
        if uart == CONSOLE and self.machine.semihosting is not None:
            self.machine.semihosting.input.extend(data)
            return
        receiver = self.machine.find(uart)
        if not isinstance(receiver, Usart):
            raise EngineError(f'"{uart}" is not a USART of this platform')
        receiver.feed(data)

    def set_hall(self, magnet_near: bool) -> None:
        hall = self.machine.find("hall")
        if not isinstance(hall, Button):
            raise EngineError('"hall" of this platform is not a Miscellaneous.Button')
        if magnet_near:
            hall.press()
        else:
            hall.release()

    def medium(self, name: str) -> Medium:
        if name not in self._media:
            model = self.machine.find(name)
            if not isinstance(model, SdCardSpi | Eeprom24xx256 | SpiMemory25):
                raise EngineError(f'"{name}" of this platform is no card, no EEPROM and no SPI memory')
            self._media[name] = EmbeddedMedium(model)
        return self._media[name]

    def spi_tap(self) -> SpiTap:
        return self._probe("tap", spi_tap.SpiTap)

    def i2c_tap(self) -> I2cTap:
        return self._probe("i2ctap", i2c_tap.I2cTap)

    def _probe(self, name: str, kind: type[Part]) -> Part:
        found = self.machine.find(name)
        if not isinstance(found, kind):
            raise EngineError(f'"{name}" of this platform is no {kind.model_name}')
        return found

    def debug_port(self) -> DebugPort:
        if self.machine.flash is None:
            raise EngineError("this platform has no Offchip.Stm32F4Flash, so its debug port has no readout protection")
        return EmbeddedDebugPort(self.machine.flash)

    def fault_injector(self) -> FaultInjector:
        return self.machine.injector

    def set_rng(self, option: str, value: int | str) -> None:
        bind(self._probe("rng", Stm32F4Rng), option, [value])()

    def before_touch(self, cells: Mapping[str, Collection[range]], act: Callable[[str, range], None]) -> None:
        """See :meth:`EmbeddedMachine.before_touch`."""
        self._touched = cells, act
        self.machine.before_touch(cells, act)

    def before_touch_again(self) -> None:
        """Tell of all cells that are watched once more, also of those that were told of."""
        self.machine.before_touch_again(*self._touched)

    def restart_random(self, seed: int) -> None:
        """Begin the stream of the chip's random generator anew."""
        rng = self.machine.platform.peripherals.get("rng")
        if isinstance(rng, Stm32F4Rng):
            rng.seed = seed

    # memory ------------------------------------------------------------------------------------------------------
    def read_memory(self, address: int, length: int) -> bytes:
        return self.machine.read_bytes(address, length)

    def write_memory(self, address: int, data: bytes) -> None:
        self.machine.write_bytes(address, data)

    def diagnostics(self) -> list[Diagnostic]:
        return self.machine.counted_diagnostics()
