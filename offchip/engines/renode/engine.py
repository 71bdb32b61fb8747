# SPDX-License-Identifier: Apache-2.0
"""Real Renode behind :class:`offchip.engines.protocol.Engine`: the parent's side of one worker process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from offchip import chip_map
from offchip.engines.elf import Firmware
from offchip.engines.image import read_image
from offchip.engines.protocol import (
    Capabilities,
    DebugPort,
    Diagnostic,
    FaultInjector,
    I2cTap,
    Medium,
    RunResult,
    SpiTap,
)
from offchip.engines.renode import models
from offchip.engines.renode.locate import need_renode, worker_environment
from offchip.engines.renode.media import MEDIA, RenodeDebugPort, RenodeMedium
from offchip.engines.renode.taps import RenodeI2cTap, RenodeSpiTap
from offchip.engines.renode.worker import RefusedByEngine, board_worker, put_back
from offchip.errors import DebugAccessRefused, EngineError, FirmwareError, MediumError, OffchipError, PlatformError

START_S = 180.0  # loading .NET and compiling the models takes 10 s on a slow machine
REQUEST_S = 120.0
#: a run counts as hung after so many host seconds plus the factor times its virtual time: Renode never comes back from
#: code outside the memories, while code that polls registers needs about 40 seconds per virtual second
RUN_S = 30.0
RUN_FACTOR = 400.0
#: the longest sleep in one request: takes 0.1 s, so that a hang is told from it soon
SLEEP_NS = 1_000_000_000
#: memories that an ELF may be loaded to
_LOADABLE = (chip_map.FLASH, chip_map.SRAM, chip_map.CCM)


class RenodeEngine:
    """One board on Renode.

    Every request has a wall-clock limit. A worker that dies or hangs is ended, and every later call raises the same
    reason.

    Args:
        platform: the board's ``.repl``. Parts are found by the names of ``platforms/offchip-board.repl``.
        seed: seed of everything random on the chip (RNG stream, memory after a loss of supply).
        elf: firmware to load.

    Raises:
        PlatformError: Renode does not accept the .repl, or it names a file that is not there.
        FirmwareError: the firmware is missing, damaged, of another core or does not fit; nothing was started.
        EngineError: there is no usable Renode; the sentence says how to get one.
    """

    def __init__(self, platform: Path, seed: int = 1, elf: Path | None = None) -> None:
        if not isinstance(platform, Path | str):
            raise EngineError("Renode reads its platform from a .repl file; give its path.")
        path = Path(platform).resolve()
        if not path.is_file():
            raise PlatformError(f"{path}: there is no such platform file")
        models.check_includes(path)
        if elf is not None:
            check_image(elf)
        renode = need_renode()
        self._worker = board_worker(path, seed, worker_environment(renode), START_S)
        self._closed = False
        self.capabilities = Capabilities(
            name="renode", version=self._worker.about["version"], exact_instructions=True,
            polices_code_sectors=False,  # Stm32F4Flash.cs polices stores to sectors 1..3 only
            reports_unmodelled_access=True, power_cut=True, instruction_skip=False, snapshot=False)
        self._now_ns = 0
        self._instructions = 0
        self._media: dict[str, RenodeMedium] = {}
        self._spi_tap: RenodeSpiTap | None = None
        self._i2c_tap: RenodeI2cTap | None = None
        if elf is not None:
            self.load_elf(elf)

    def _ask(self, method: str, *arguments: Any, refused: type[OffchipError] = EngineError,
             limit_s: float = REQUEST_S) -> Any:
        if self._closed:
            raise EngineError("Renode: the board was closed.")
        try:
            value, self._now_ns, self._instructions = self._worker.call(method, *arguments, limit_s=limit_s)
        except RefusedByEngine as error:
            raise refused(f"Renode: {error}") from None
        return value

    def _need(self, path: str, what: str) -> None:
        if not self._ask("has", path):
            raise EngineError(f"the platform has no {what} at {path}")

    # life ------------------------------------------------------------------------------------------------------
    def load_elf(self, path: Path) -> None:
        firmware = check_image(Path(path))
        if firmware.path.read_bytes()[:4] == b"\x7fELF":
            self._ask("load_elf", str(firmware.path.resolve()), refused=FirmwareError)
            return
        for address, data in firmware.segments:  # Renode's own loader knows other forms only in releases to come
            self.program(address, data)

    def start_at(self, vectors: int) -> None:
        if vectors:
            raise EngineError("Renode starts at 0x08000000 here; run this with --engine embedded.")

    def attach_debugger(self) -> None:
        raise EngineError("Renode answers no semihosting here; run this with --engine embedded.")

    def program(self, address: int, data: bytes) -> None:
        self._ask("program", address, bytes(data))

    def power_on(self) -> None:
        self._ask("power_on")

    def power_off(self) -> None:
        self._ask("power_off")

    def reset(self) -> None:
        self._ask("reset")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            put_back(self._worker)

    # time ------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        return self._now_ns

    @property
    def instructions(self) -> int:
        return self._instructions

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        awake_ns = duration_ns
        if cell_ns:  # it ends with the first cell that is not slept through
            awake_ns = min(duration_ns, cell_ns)
            duration_ns = min(duration_ns, max(SLEEP_NS // cell_ns, 1) * cell_ns)
        result: RunResult = self._ask("run", duration_ns, cell_ns, limit_s=RUN_S + RUN_FACTOR * awake_ns / 1e9)
        return result

    # pins and wires --------------------------------------------------------------------------------------------
    def feed_uart(self, uart: str, data: bytes) -> None:
        self._ask("feed_uart", uart, bytes(data))

    def set_hall(self, magnet_near: bool) -> None:
        self._ask("set_hall", bool(magnet_near))

    def medium(self, name: str) -> Medium:
        if name not in self._media:
            if name not in MEDIA:
                raise EngineError(f'there is no medium "{name}"; Renode knows {" and ".join(MEDIA)}')
            self._need(MEDIA[name][0], name)
            self._media[name] = RenodeMedium(name, partial(self._ask, refused=MediumError))
        return self._media[name]

    def spi_tap(self) -> SpiTap:
        if self._spi_tap is None:
            self._need("sysbus.spi1.tap", "SPI tap")
            self._spi_tap = RenodeSpiTap(partial(self._ask, refused=MediumError))
        return self._spi_tap

    def i2c_tap(self) -> I2cTap:
        if self._i2c_tap is None:
            self._need("sysbus.i2c1.i2ctap", "I2C tap")
            self._i2c_tap = RenodeI2cTap(partial(self._ask, refused=MediumError))
        return self._i2c_tap

    def debug_port(self) -> DebugPort:
        self._need("sysbus.flash", "Offchip.Stm32F4Flash, so no readout protection,")
        return RenodeDebugPort(partial(self._ask, refused=DebugAccessRefused))

    def fault_injector(self) -> FaultInjector:
        raise EngineError("Renode has no fault injector by rule (capabilities: instruction_skip, bit_flip, "
                          "cut_events); run this with --engine embedded, or cut the supply through a tap.")

    def set_rng(self, option: str, value: int | str) -> None:
        self._need("sysbus.rng", "Offchip.Stm32F4Rng, so no generator that could be disturbed,")
        self.set_property("sysbus.rng", option, value)

    # memory ------------------------------------------------------------------------------------------------------
    def read_memory(self, address: int, length: int) -> bytes:
        result: bytes = self._ask("read_memory", address, length)
        return result

    def write_memory(self, address: int, data: bytes) -> None:
        self._ask("program", address, bytes(data))

    def diagnostics(self) -> list[Diagnostic]:
        result: list[Diagnostic] = self._ask("diagnostics")
        return result

    # what only Renode has --------------------------------------------------------------------------------------------
    def selftest(self, limit_s: float = REQUEST_S) -> list[tuple[str, bool, str]]:
        """(what, whether it holds, what was seen): what this engine relies on, tried on this board.

        The board is used up: its sector 0 holds the program of the test afterwards.
        """
        result: list[tuple[str, bool, str]] = self._ask("selftest", limit_s=limit_s)
        return result

    def set_property(self, path: str, name: str, value: int | bool | str) -> None:
        """Set a property of any model, e.g. ``("sysbus.rng", "Fault", "seed")``. Raises EngineError."""
        self._ask("put", path, name, value)


def check_image(path: Path) -> Firmware:
    """Raises FirmwareError when Renode could not run this firmware; Renode itself would not say so."""
    return read_image(path).check_fits(_LOADABLE)
