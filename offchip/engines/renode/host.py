# SPDX-License-Identifier: Apache-2.0
"""One board on a Renode loaded into this process through pyrenode3. Runs in a worker process, on its main thread.

Rules measured on Renode 1.16.1: time moves only while the thread that built the board asks for it (``Stepper.cs``);
nothing is assigned through pyrenode3's wrappers; an exception in a callback on the CPU's thread would end the process,
so every callback is guarded; a reset clears VTOR; bytes wait here for their turn on the line, as a long queue inside
the UART model is slow.
"""

from __future__ import annotations

import base64
import random
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offchip import chip_map
from offchip.engines.protocol import Diagnostic, RunResult, UartByte
from offchip.engines.renode import models
from offchip.engines.renode.dotnet import BadPlatform, Callbacks, DotNet, Refused, message_of, one_line
from offchip.engines.renode.log import parse_log_line

FLASH = chip_map.FLASH.start
NVM, NVM_SIZE = chip_map.DATA.start, chip_map.DATA.size
QUANTUM_US = 100
UARTS = ("usart1", "usart2")
_MACHINE = "offchip"
_SENT = struct.Struct("<BBq")
IDLE_SLICE_NS = 10_000_000
FEED_SLICE_NS = 1_000_000
BITS_PER_BYTE = 10
_DEFAULT_BAUD = 115200
_VOLATILE = (("sysbus.sram", chip_map.SRAM.start), ("sysbus.ccm", chip_map.CCM.start))
_HALL, _HALL_PORT, _HALL_PIN = "sysbus.gpioc.hall", "sysbus.gpioc", 13
_CARD, _EEPROM, _I2C_TAP = "sysbus.spi1.tap.sdcard", "sysbus.i2c1.eeprom", "sysbus.i2c1.i2ctap"


class Host:
    """The board.

    Args:
        platform: the ``.repl``.
        seed: of the RNG model and of what volatile memory holds after a loss of supply.
        log: file for Renode's log.

    Raises:
        BadPlatform: Renode does not accept the .repl.
        HostError: Renode does not load.
    """

    def __init__(self, platform: Path, seed: int, log: Path) -> None:
        self._net = DotNet(log, "Warning")  # the rest would be of every start and stop of the machine
        self._callbacks = Callbacks()
        self.guard = self._callbacks.guard
        self._handles: dict[str, Any] = {}
        self._seed = seed
        self.version = self._net.version
        stepper = models.load(self._net, platform)
        self._load(platform)

        self.emulation = self._net.emulation
        self._wrapper = next(iter(self._net.emulations))
        self.machine = self._wrapper.internal
        self.bus = self.machine.SystemBus
        self.cpu = self["sysbus.cpu"]
        self.mips = int(self.cpu.PerformanceInMips)
        self._stepper = stepper(self.emulation, self.machine, self.cpu, QUANTUM_US * 1000)

        self.powered = False
        self._magnet_near: bool | None = None
        self._resets = 0
        self._counts_resets = False
        self._received: list[UartByte] = []
        self._to_feed: dict[str, bytearray] = {}
        self._line_free_ns: dict[str, int] = {}
        self._diagnostics: list[Diagnostic] = []
        self._known: set[tuple[str, str, str]] = set()
        self._on_reset = self.guard(self._after_reset)
        self.machine.MachineReset += self._on_reset
        for number, name in enumerate(UARTS):
            if self.has(f"sysbus.{name}"):
                self._to_feed[name] = bytearray()
                self._line_free_ns[name] = 0
                self._stepper.Listen(self[f"sysbus.{name}"], number)
        if self.has(_HALL):
            hall = self[_HALL]
            if hasattr(hall, "ReleaseOnReset"):
                hall.ReleaseOnReset = False  # a reset of the chip does not move the magnet
        if self.has("sysbus.rng"):
            self.put("sysbus.rng", "Seed", seed)
        if self.has(_I2C_TAP):
            self.put(_I2C_TAP, "Record", False)
        self.cpu.IsHalted = True

    # Renode ----------------------------------------------------------------------------------------------------
    def command(self, line: str) -> str:
        """One monitor command. Raises Refused with the monitor's text."""
        out, err = self._net.execute(line)
        if err:
            raise Refused(err)
        return out

    def __getitem__(self, path: str) -> Any:
        """The .NET object of a peripheral. Raises Refused when there is none."""
        if path not in self._handles:
            self._handles[path] = self._net.peripheral(self.machine, path)
        return self._handles[path]

    def has(self, path: str) -> bool:
        """Whether the platform has this peripheral."""
        try:
            self[path]
        except Refused:
            return False
        return True

    # members of models by name -----------------------------------------------------------------------------------
    def call(self, path: str, member: str, *arguments: Any) -> Any:
        """Call a method of a model. Raises Refused."""
        self._stepper.Stop()  # whatever may change a model finds the machine as after RunFor
        method = self._member(path, member)
        return self._ask(lambda: method(*(self._to_net(a) for a in arguments)))

    def get(self, path: str, member: str) -> Any:
        """Read a property of a model. Raises Refused."""
        self._member(path, member)
        return self._ask(lambda: getattr(self[path], member))

    def put(self, path: str, member: str, value: Any) -> None:
        """Set a property of a model, or call its method of one argument. Raises Refused."""
        if callable(self._member(path, member)):
            self.call(path, member, value)
            return
        described = self[path].GetType().GetProperty(member)
        if described is not None and described.GetSetMethod() is None:  # pythonnet would set it all the same
            raise Refused(f"{member} of {path} can only be read")
        self._stepper.Stop()
        self._ask(lambda: setattr(self[path], member, self._to_net(value)))

    def _member(self, path: str, member: str) -> Any:
        model = self[path]
        if not member[:1].isupper() or not hasattr(model, member):
            raise Refused(f"{path} has no {member}")
        return getattr(model, member)

    def _ask(self, action: Callable[[], Any]) -> Any:
        try:
            return _to_python(action())
        except self._net.recoverable as error:
            raise Refused(message_of(error)) from None
        except (TypeError, OverflowError, AttributeError) as error:  # the value does not convert, or is read-only
            raise Refused(one_line(str(error))) from None

    def _to_net(self, value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            # converting byte by byte takes 8 s for a card of 16 MiB
            return self._net.system.Convert.FromBase64String(base64.b64encode(value).decode("ascii"))
        return value

    # life ------------------------------------------------------------------------------------------------------
    def load_elf(self, path: str) -> None:
        """Load an ELF that was checked before."""
        self._stepper.Stop()
        self._ask(lambda: self._wrapper.load_elf(path))

    def program(self, address: int, data: bytes) -> None:
        """Write memory of any kind behind the back of every rule. Raises Refused when nothing keeps the bytes."""
        self._stepper.Stop()
        start = max(address, NVM)
        end = min(address + len(data), NVM + NVM_SIZE)
        if start < end and self.has("sysbus.nvm"):
            inside = self._to_net(data[start - address:end - address])
            self["sysbus.nvm"].WriteBytes(start - NVM, inside, 0, end - start)
            if address < start:
                self.program(address, data[:start - address])
            if end < address + len(data):
                self.program(end, data[end - address:])
            return
        self._ask(lambda: self.bus.WriteBytes(self._to_net(data), address))
        if self.read_memory(address, len(data)) != data:
            for at, value in enumerate(data):
                self.bus.WriteByte(address + at, value)
            if self.read_memory(address, len(data)) != data:
                raise Refused(f"nothing keeps {len(data)} bytes at 0x{address:08X}; the platform has no memory there")

    def power_on(self) -> None:
        """Supply comes back; everything starts from reset."""
        if self.powered:
            return
        self._stepper.Stop()
        self.machine.Reset()
        if self.has(_CARD):
            self[_CARD].PowerOn()
        if self.has(_EEPROM):
            self[_EEPROM].Powered = True
        self.cpu.IsHalted = False
        self.powered = self._counts_resets = True
        self._callbacks.check()

    def power_off(self) -> None:
        """Supply goes: operations are torn, volatile memory is lost."""
        if not self.powered:
            return
        self._stepper.Stop()
        self.powered = self._counts_resets = False
        self.cpu.IsHalted = True
        for path, member in ((_CARD, "PowerCut"), ("sysbus.flash", "PowerCut"), ("sysbus.i2c1", "PowerOffDevices")):
            if self.has(path) and hasattr(self[path], member):
                self.call(path, member)
        self._stepper.CountInstructions()
        self.machine.Reset()  # so that no timer or watchdog goes on
        self.cpu.IsHalted = True
        for path, address in _VOLATILE:
            if self.has(path):
                noise = random.Random(f"{self._seed}/{path}").randbytes(int(self[path].Size))
                self.bus.WriteBytes(self._to_net(noise), address)
        for queue in self._to_feed.values():
            queue.clear()
        self._callbacks.check()

    def reset(self) -> None:
        """Pull NRST."""
        if self.powered:
            self._stepper.Stop()
            self._stepper.CountInstructions()
            self.machine.Reset()
            self.cpu.IsHalted = False  # a core that halted itself stays halted over a reset
            self._callbacks.check()

    def close(self) -> None:
        """Let Renode go; the process ends with ``os._exit`` after this."""
        self._stepper.Stop()
        self._net.emulations.clear()

    # time ------------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        return int(self.emulation.MasterTimeSource.ElapsedVirtualTime.Ticks)

    @property
    def instructions(self) -> int:
        return int(self._stepper.Instructions)

    def run(self, duration_ns: int, cell_ns: int = 0) -> RunResult:
        """Let virtual time pass, in slices; see the engine protocol for ``cell_ns``."""
        if cell_ns and not any(self._to_feed.values()):
            self.run_for(duration_ns, cell_ns)
        else:
            self._run_slices(min(duration_ns, cell_ns or duration_ns))
        result = RunResult(self._received, self._resets, not self.powered or bool(self.cpu.IsHalted))
        self._received = []
        self._resets = 0
        return result

    def _run_slices(self, duration_ns: int) -> None:
        left = duration_ns
        while left > 0:
            feeding = any(self._to_feed.values())
            duration = min(left, FEED_SLICE_NS if feeding else IDLE_SLICE_NS)
            if feeding:
                self._feed(duration)
            self.run_for(duration)
            left -= duration

    def run_for(self, duration_ns: int, cell_ns: int = 0) -> None:
        """One slice, or cells to the first that is not slept through. Raises HostError when a callback failed."""
        sent = bytes(self._stepper.Run(duration_ns, cell_ns or duration_ns))
        for number, value, time_ns in _SENT.iter_unpack(sent):
            self._received.append(UartByte(UARTS[number], value, time_ns))
        self._callbacks.check()

    def _after_reset(self, _machine: Any) -> None:
        self.cpu.VectorTableOffset = FLASH
        if self._counts_resets:
            self._resets += 1
        if self._magnet_near is not None:
            # the port forgot the level of its pin; the switch itself drives it again only when time runs
            self[_HALL_PORT].OnGPIO(_HALL_PIN, not self._magnet_near)

    # pins and wires --------------------------------------------------------------------------------------------
    def feed_uart(self, uart: str, data: bytes) -> None:
        """Queue bytes for a receiver; they arrive at its line rate in :meth:`run`."""
        if uart not in self._to_feed:
            raise Refused(f'"{uart}" is not a USART of this platform')
        self._to_feed[uart] += data

    def set_hall(self, magnet_near: bool) -> None:
        """Move the magnet."""
        self._stepper.Stop()
        hall = self[_HALL]
        self._magnet_near = magnet_near
        if magnet_near:
            hall.Press()
        else:
            hall.Release()

    def _feed(self, duration_ns: int) -> None:
        """Hand over the bytes whose start bit falls into the coming slice."""
        now_ns = self.now_ns
        for name, queue in self._to_feed.items():
            if not queue:
                continue
            uart = self[f"sysbus.{name}"]
            byte_ns = BITS_PER_BYTE * 1_000_000_000 // baud_rate(uart)
            free_ns = max(self._line_free_ns[name], now_ns)
            count = 0
            while count < len(queue) and free_ns < now_ns + duration_ns:
                uart.WriteChar(queue[count])
                free_ns += byte_ns
                count += 1
            self._line_free_ns[name] = free_ns
            del queue[:count]

    # memory ------------------------------------------------------------------------------------------------------
    def read_memory(self, address: int, length: int) -> bytes:
        if length == 4 and address % 4 == 0:  # a register takes no other access
            return int(self._ask(lambda: self.bus.ReadDoubleWord(address))).to_bytes(4, "little")
        return bytes(self._ask(lambda: self.bus.ReadBytes(address, length)))

    # debug port --------------------------------------------------------------------------------------------------
    def debug(self, member: str, *arguments: Any) -> Any:
        """A request of a probe on SWD, through the flash model's readout protection. Raises Refused."""
        result = self.call("sysbus.flash", member, *arguments)
        if self.powered and self.read_memory(FLASH, 8) == b"\xFF" * 8:
            # Renode would never come back from executing erased flash; silicon locks up
            self.cpu.IsHalted = True
            self._report("lockup", "cpu", "the flash under the running core was erased", 0, 0)
        return result

    # what went wrong -----------------------------------------------------------------------------------------------
    def diagnostics(self) -> list[Diagnostic]:
        """What Renode's log says about the firmware, each once."""
        for line in self._net.log.fresh():
            found = parse_log_line(line)
            if found is not None:
                self._report(*found)
        return list(self._diagnostics)

    def _report(self, kind: str, where: str, message: str, pc: int, address: int) -> None:
        key = (kind, where, f"{message} {pc:x}")
        if key not in self._known:
            self._known.add(key)
            self._diagnostics.append(Diagnostic(kind, where, message, self.now_ns, pc, address))

    # building ----------------------------------------------------------------------------------------------------
    def _load(self, platform: Path) -> None:
        file, platform = platform, _without_spaces(platform.resolve())
        self._net.emulation.SetSeed(self._seed & 0x7FFFFFFF)
        self.command(f'mach create "{_MACHINE}"')
        try:
            self.command(f"machine LoadPlatformDescription @{platform}")
        except Refused as refused:
            text = str(refused)
            if "E04" in text:  # a model that did not compile shows up as an unknown type only
                text = self._compile_error(platform) or text
            raise BadPlatform(f"{file}: {text}") from None

    def _compile_error(self, platform: Path) -> str | None:
        """The first complaint of the compiler about the models of a platform."""
        for file in models.included(platform):
            try:
                self.command(f"include @{file}")
            except Refused as refused:
                if "error CS" in str(refused):
                    return str(refused)
        return None


def _without_spaces(path: Path) -> Path:
    """The same file by a name the monitor can read: it ends a path at the first space."""
    for folder in path.parents:  # the deepest first, so that "../" below it stays what it is
        if re.search(r"\s", folder.name):
            link = Path(tempfile.mkdtemp(prefix="offchip-")) / "folder"
            link.symlink_to(folder)
            return link / path.relative_to(folder)
    return path


def baud_rate(uart: Any) -> int:
    """What the firmware programmed, as far as the model knows it."""
    try:
        baud = int(uart.BaudRate)
    except Exception:  # before BRR was written the model divides by zero
        return _DEFAULT_BAUD
    return baud if 300 <= baud <= 10_500_000 else _DEFAULT_BAUD


def _to_python(value: Any) -> Any:
    """.NET arrays of bytes as bytes; the rest converts itself or is left alone."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "Length"):
        return bytes(value)
    return None
