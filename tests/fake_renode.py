# SPDX-License-Identifier: Apache-2.0
"""The corners of .NET, Renode and pyrenode3 that the hosts use, behaving as observed on Renode 1.16.1."""

from __future__ import annotations

import base64
import contextlib
import struct
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


class DotNetError(Exception):
    """A .NET exception as pythonnet shows it."""

    @property
    def Message(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.args[0]}\n   at Antmicro.Renode.Something()"


class NetBytes(bytes):
    """A .NET array of bytes as pythonnet shows it."""

    Length = property(len)


class Event:
    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def __iadd__(self, handler: Any) -> Event:
        self.handlers.append(handler)
        return self

    def __isub__(self, handler: Any) -> Event:
        self.handlers.remove(handler)
        return self

    def fire(self, *arguments: Any) -> None:
        for handler in list(self.handlers):
            handler(*arguments)


class Hung(BaseException):
    """Renode would never come back from this."""


class FakeLogging:
    """Renode's logger and the corner of its configuration that matters to it."""

    QUEUE = 10_000

    def __init__(self) -> None:
        self.backends: dict[str, FakeFileBackend] = {}
        self._configured: dict[tuple[str, str], bool] = {}
        self._synchronous = False
        self._thread_lives = True
        self._waiting: list[tuple[str, str]] = []

    def emulation_made(self) -> None:
        """How it logs is decided here; the levels are forgotten."""
        self._synchronous = self._configured.get(("general", "use-synchronous-logging"), False)
        for backend in self.backends.values():
            backend.level = "Info"

    def write(self, level: str, text: str) -> None:
        """A model logs."""
        if self._synchronous:
            self._to_backends(level, text)
            return
        if len(self._waiting) >= self.QUEUE and not self._thread_lives:
            raise Hung("nobody empties the queue of the log")
        self._waiting.append((level, text))

    def _to_backends(self, level: str, text: str) -> None:
        for backend in self.backends.values():
            backend.write(level, text)

    def log_to_file(self, path: Path) -> None:
        """The monitor command "logFile": the backend "file" goes, and a file in the way is moved aside with a word."""
        self.backends.pop("file", None)
        if path.exists() and not self.backends:
            raise DotNetError("Sequence contains no elements")
        self.AddBackend(FakeFileBackend(str(path), True), "file", True)

    # .NET
    def AddBackend(self, backend: FakeFileBackend, name: str, overwrite: bool) -> None:
        assert overwrite or name not in self.backends
        self.backends[name] = backend

    def Flush(self) -> None:
        for level, text in self._waiting:
            self._to_backends(level, text)
        self._waiting.clear()
        self._thread_lives = False

    def namespaces(self) -> dict[str, dict[str, Any]]:
        """What of .NET belongs to it."""
        def set_non_persistent(group: str, name: str, value: bool) -> None:
            self._configured[group, name] = value

        manager = Part(Instance=Part(SetNonPersistent={bool: set_non_persistent}))
        levels = types.SimpleNamespace(Info="Info", Warning="Warning", Error="Error")
        return {"Antmicro.Renode.Logging": {"Logger": self, "FileBackend": FakeFileBackend, "LogLevel": levels},
                "Antmicro.Renode.Utilities": {"ConfigurationManager": manager, "SequencedFilePath": self._sequenced}}

    def _sequenced(self, path: str) -> str:
        if Path(path).exists() and not self.backends:
            raise DotNetError("Sequence contains no elements")
        return path


class FakeFileBackend:
    """Writes lines of its level and above, each at once."""

    _LEVELS = ("Info", "Warning", "Error")

    def __init__(self, path: str, flush: bool) -> None:
        assert flush, "lines would stay in the buffer"
        self._path, self.level = Path(path), "Info"
        self._path.write_text("")

    def SetLogLevel(self, level: str, source: int) -> None:
        assert source == -1
        self.level = level

    def write(self, level: str, text: str) -> None:
        if self._LEVELS.index(level) >= self._LEVELS.index(self.level):
            with self._path.open("a") as stream:
                stream.write(f"12:34:56.7890 [{level.upper()}] {text}\n")


class _Name:
    """The name of an assembly."""

    def __init__(self, name: str, version: str) -> None:
        self.Name = name
        self.Version = types.SimpleNamespace(ToString=lambda fields: ".".join(version.split(".")[:fields]))


def _assembly(name: str, version: str, information: str) -> Part:
    attribute = types.SimpleNamespace(InformationalVersion=information)
    return Part(GetName=lambda: _Name(name, version), GetCustomAttributes=lambda kind, inherit: [attribute])


def modules(logging: FakeLogging, emulation: Callable[[], Any],
            monitor: Callable[[], Any]) -> dict[str, dict[str, Any]]:
    """What every host imports, by the name of the module. There is no entry assembly in a hosted .NET."""
    def first_emulation() -> Any:
        logging.emulation_made()
        return emulation()

    wrappers = types.SimpleNamespace(Emulation=first_emulation, Monitor=monitor)
    loaded = [_assembly("Infrastructure", "1.0.0.0", "1.0.0"), _assembly("Renode", "1.16.1.30274", "d66b0c2a")]
    time = types.SimpleNamespace(FromTicks=lambda n: n, FromMicroseconds=lambda n: n * 1000)
    return {
        "pyrenode3": {"interface_to_class": lambda each: each, "wrappers": wrappers,
                      "RenodeLoader": lambda: types.SimpleNamespace(in_root=contextlib.nullcontext)},
        "pyrenode3.wrappers": vars(wrappers),
        "System": {
            "Convert": types.SimpleNamespace(FromBase64String=lambda text: NetBytes(base64.b64decode(text))),
            "Array": {str: list}, "String": str, "Boolean": bool, "Exception": DotNetError,
            "AppDomain": types.SimpleNamespace(CurrentDomain=Part(GetAssemblies=lambda: loaded))},
        "System.Reflection": {"AssemblyInformationalVersionAttribute": object,
                              "BindingFlags": types.SimpleNamespace(Instance=4, NonPublic=32)},
        "Offchip": {}, "Offchip.Engine": {"Stepper": FakeStepper},
        "Antmicro": {}, "Antmicro.Renode": {}, **logging.namespaces(),
        "Antmicro.Renode.Exceptions": {"RecoverableException": DotNetError},
        "Antmicro.Renode.Time": {"TimeInterval": time},
    }


def install(contents: dict[str, dict[str, Any]]) -> None:
    """Put modules where ``import`` finds them."""
    for name, members in contents.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        module.__path__ = []
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent and parent != "pyrenode3":
            setattr(sys.modules[parent], child, module)


def uninstall() -> None:
    """Forget every such module."""
    for name in [*sys.modules]:
        if name.split(".")[0] in ("pyrenode3", "System", "Antmicro", "Offchip"):
            del sys.modules[name]
    FakeStepper.moving.clear()


READ_ONLY = {"BlocksRead"}


class Part:
    """Any model: its members are what the test gives; calls are noted."""

    def __init__(self, **members: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.__dict__.update(members)

    def GetType(self) -> Part:
        return Part(GetProperty=lambda name: Part(GetSetMethod=lambda: None if name in READ_ONLY else name))

    def note(self, name: str, result: Any = None) -> Any:
        def called(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            return result() if callable(result) else result
        return called


class FakeInteraction:
    """CommandInteractionEater: keeps what a command prints and complains about until it is cleared."""

    def __init__(self) -> None:
        self.Clear()

    def Clear(self) -> None:
        self._data = self._error = ""

    def Write(self, text: str) -> None:
        self._data += text

    def WriteError(self, text: str) -> None:
        self._error += text + "\r\n"

    def GetContents(self) -> str:
        return self._data

    def GetError(self) -> str:
        return self._error


class FakeDotNet:
    """The corner of Renode that Host uses, as observed on 1.16.1."""

    def __init__(self) -> None:
        self.time = 0
        self.in_step = False
        self.commands: list[str] = []
        self.compilations: list[list[str]] = []
        self.compiled: Part | None = None  # the monitor's private list, where it has one
        self.memory = {0x08000000: bytearray(b"\xFF" * 0x100), 0x20000000: bytearray(0x20000)}
        self.program: Any = lambda: None  # what the firmware does in each RunFor
        self.logging = FakeLogging()
        cpu = Part(PerformanceInMips=168, ExecutedInstructions=0, IsHalted=False, VectorTableOffset=0)
        flash = Part(RdpLevel=0)
        flash.PowerCut = flash.note("PowerCut")
        flash.DebugRead = self.refuse("flash access refused by RDP level 1")
        flash.DebugMassErase = flash.note("DebugMassErase")
        card = Part(Capacity=1 << 20, Present=True, TornBytes=256, BlocksRead=7)
        card.ReadRaw = lambda offset, count: NetBytes(count)
        card.WriteRaw = self.refuse("outside the card")
        card.PowerCut, card.PowerOn = card.note("PowerCut"), card.note("PowerOn")
        i2c = Part()
        i2c.PowerOffDevices = i2c.note("PowerOffDevices")
        hall = Part(ReleaseOnReset=True)
        hall.Press, hall.Release = hall.note("Press"), hall.note("Release")
        port = Part()
        port.OnGPIO = port.note("OnGPIO")
        tap = Part(Record=True, Fired="", StuckMiso=-1)
        tap.Forget, tap.Drain = tap.note("Forget"), lambda: "5;FF00;01FE\n"
        nvm = Part(data=bytearray(b"\xFF" * 0xC000))
        nvm.WriteBytes = lambda offset, data, first, count: nvm.data.__setitem__(
            slice(offset, offset + count), data[first:first + count])
        self.parts = {
            "sysbus.cpu": cpu, "sysbus.flash": flash, "sysbus.spi1.tap.sdcard": card, "sysbus.spi1.tap": tap,
            "sysbus.i2c1.i2ctap": tap, "sysbus.i2c1": i2c, "sysbus.i2c1.eeprom": Part(Powered=True, Length=32768),
            "sysbus.gpioc.hall": hall, "sysbus.gpioc": port, "sysbus.nvm": nvm, "sysbus.rng": Part(Seed=0),
            "sysbus.sram": Part(Size=0x20000),
        }
        for name in ("usart1", "usart2"):
            uart = Part(CharReceived=Event(), BaudRate=115200)
            uart.WriteChar = uart.note("WriteChar")
            self.parts[f"sysbus.{name}"] = uart
        self.cpu = cpu

    @staticmethod
    def refuse(text: str) -> Any:
        def refused(*_: Any) -> None:
            raise DotNetError(text)
        return refused

    # machine
    MachineReset = None

    def __getitem__(self, path: str) -> Part:
        if path not in self.parts:
            raise DotNetError(f"Peripheral {path} not found")
        return self.parts[path]

    def Reset(self) -> None:
        self.cpu.ExecutedInstructions = self.cpu.VectorTableOffset = 0
        self.MachineReset.fire(self)

    @property
    def SystemBus(self) -> FakeDotNet:
        return self

    def ReadDoubleWord(self, address: int) -> int:
        return int.from_bytes(self.ReadBytes(address, 4), "little")

    def ReadBytes(self, address: int, count: int) -> bytes:
        if 0x08004000 <= address < 0x08010000:
            return NetBytes(self.parts["sysbus.nvm"].data[address - 0x08004000:][:count])
        for start, data in self.memory.items():
            if start <= address < start + len(data):
                return NetBytes(data[address - start:address - start + count])
        return NetBytes(count)

    def WriteBytes(self, data: bytes, address: int) -> None:
        for at, value in enumerate(data):
            self.WriteByte(address + at, value)

    def WriteByte(self, address: int, value: int) -> None:
        for start, data in self.memory.items():
            if start <= address < start + len(data):
                data[address - start] = value

    @property
    def ElapsedVirtualTime(self) -> Part:
        return Part(TimeElapsed=Part(Ticks=self.time), Ticks=self.time)

    def compile(self, files: list[str]) -> str:
        self.compilations.append(files)
        with tempfile.NamedTemporaryFile(delete=False) as made:
            made.write(b"assembly")
        return made.name

    # emulation
    def SetSeed(self, seed: int) -> None:
        assert 0 <= seed < 1 << 31

    @property
    def MasterTimeSource(self) -> FakeDotNet:
        return self

    def RunFor(self, ticks: int) -> None:
        self.time += ticks
        self.in_step = True
        if not self.cpu.IsHalted:
            self.cpu.ExecutedInstructions += ticks * 168 // 1000
            self.program()
        self.in_step = False

    # monitor
    @property
    def internal(self) -> Part:
        return Part(GetType=lambda: Part(GetField=lambda name, flags: self.compiled))

    def execute(self, line: str) -> tuple[str, str]:
        self.commands.append(line)
        if line == "version":
            return "Renode, version \r\n\r", ""
        if line.startswith("logFile @"):
            self.logging.log_to_file(Path(line.partition("@")[2]))
        if line.endswith("/bad.repl"):
            return "", "There was an error executing command\r\nError E32: indentation\r\n"
        return "", ""


class FakeStepper:
    """Stepper.cs, without sleeping.

    Attributes:
        moving: those that keep their machine started.
    """

    moving: set[FakeStepper] = set()

    def __init__(self, emulation: Any, machine: Any, cpu: Any, quantum: int) -> None:
        self._net, self._cpu, self.quantum = emulation.MasterTimeSource, cpu, quantum
        self._before = self._seen = 0
        self._sent = bytearray()
        self.Paused = False
        machine.MachineReset += self._reset

    def Listen(self, uart: Part, number: int) -> None:
        def note(value: int) -> None:
            self._sent += struct.pack("<BBq", number, value, self._net.time)
        uart.CharReceived += note

    def Run(self, duration: int, cell: int) -> bytes:
        self.Paused = getattr(self._net, "pauses", False)
        self._net.RunFor(min(duration, cell))
        self.moving.add(self)
        if self.Paused:
            self.Stop()
        self.CountInstructions()
        sent, self._sent = bytes(self._sent), bytearray()
        return NetBytes(sent)

    def Stop(self) -> None:
        self.moving.discard(self)

    def CountInstructions(self) -> None:
        self._seen = self._cpu.ExecutedInstructions

    @property
    def Instructions(self) -> int:
        self.CountInstructions()
        return self._before + self._seen

    def _reset(self, _machine: Any) -> None:
        assert not self.moving or self._net.in_step, "whoever resets a machine stops it before"
        self._before, self._seen = self._before + self._seen, 0


def install_fakes() -> FakeDotNet:
    """Put the fake where ``import pyrenode3``, ``System`` and ``Antmicro`` find it."""
    net = FakeDotNet()
    net.MachineReset = Event()

    class Emulation:
        internal = net

        def __iter__(self):
            return iter([types.SimpleNamespace(internal=net, load_elf=net.commands.append)])

        def clear(self) -> None:
            net.commands.append("clear")
            net.time = 0
            net.logging.emulation_made()

    contents = modules(net.logging, Emulation, lambda: net)
    contents["System.Reflection"]["Assembly"] = Part(LoadFrom=lambda path: net.commands.append(f"load {path}"))
    contents["Antmicro.Renode.Utilities"] |= {
        "AdHocCompiler": lambda: Part(Compile=net.compile),
        "TypeManager": types.SimpleNamespace(Instance=Part(ScanFile=lambda path: True))}
    install(contents)
    return net
