# SPDX-License-Identifier: Apache-2.0
"""What every peripheral twin is made of: registers on a bus, wires, and the services of the machine.

Conventions for the twins
* A class carries the name the ``.repl`` uses through ``@model("Offchip.SdCardSpi")``. The keyword arguments of
  ``__init__`` after ``machine`` are the attributes of the ``.repl``, in snake_case (``highCapacity`` ->
  ``high_capacity``); defaults make them optional. Public attributes and methods are what the monitor can reach, also
  in snake_case (``TornBytes`` -> ``torn_bytes``, ``PowerCut`` -> ``power_cut()``).
* Wires out are :class:`Line` attributes named as in the .repl (``IRQ`` -> ``irq``); the unnamed default is ``irq``.
  Numbered wires out (``[0-15] ->``) live in ``self.lines[n]``. Wires in arrive at :meth:`Peripheral.on_gpio`.
* ``reset()`` is what a reset of the MCU does to the block; ``power_on()`` and ``power_off()`` what the supply does.
* Register accesses nobody modelled go to :meth:`Peripheral.unmodelled`: reported, read as 0, never silent.
* Children register themselves with the parent through :meth:`Peripheral.attach`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from offchip.engines.embedded.ahead import Ahead
from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.dma_requests import DmaRequests
from offchip.engines.protocol import Operation, StorageEvent, Tear

MODELS: dict[str, type[Peripheral]] = {}


def model(name: str) -> Callable[[type[Peripheral]], type[Peripheral]]:
    """Register a class under the name the ``.repl`` files use."""

    def register(cls: type[Peripheral]) -> type[Peripheral]:
        MODELS[name] = cls
        cls.model_name = name
        return cls

    return register


class BusError(Exception):
    """Nothing answers at this address, or no bus leads there."""


class Machine(Protocol):
    """What a peripheral may ask of the machine it sits in."""

    clock: Clock
    dma: DmaRequests
    ahead: Ahead
    seed: int  # decides what volatile memory holds at power-on

    def report(self, kind: str, where: str, message: str, address: int = 0) -> None:
        """Leave a Diagnostic (kind: unmodelled, violation)."""

    def request_reset(self, cause: str) -> None:
        """Reset the MCU at the end of the current instruction (cause: software, watchdog)."""

    def uart_output(self, name: str, value: int) -> None:
        """A byte left the chip on a UART."""

    def read_bytes(self, address: int, length: int) -> bytes:
        """Read memory behind the bus (DMA-like; no side effects on registers)."""

    def write_bytes(self, address: int, data: bytes) -> None:
        """Write RAM or flash behind the bus, without policing; drops stale translations."""

    def code_changed(self, address: int, length: int) -> None:
        """The content of executable memory changed behind the core; drops stale translations."""

    def bus_error(self, address: int) -> None:
        """Answer the present access with an error."""

    def remap(self, mode: int) -> None:
        """Map another memory to address 0 (SYSCFG MEMRMP), behind the present instruction."""

    def dma_read(self, address: int, width: int) -> int:
        """Read as a bus master does, side effects included. Raises BusError."""

    def dma_write(self, address: int, width: int, value: int) -> None:
        """Write likewise; stores to flash obey its rules. Raises BusError."""

    def storage_event(self, operation: Operation) -> Tear | None:
        """A step of writing begins; a Tear says that the supply goes in it and what is left."""

    def supply_lost_in(self, event: StorageEvent, place: str, before: bytes, after: bytes) -> None:
        """Leave evidence of what a lost supply did to the cells."""

    def find(self, name: str) -> Peripheral:
        """The peripheral of that name in the platform."""


#: a cycle nobody lives to see
FOREVER = 1 << 80


class Line:
    """A wire from one output to any number of inputs, which start low; it passes on changes of level."""

    __slots__ = ("level", "sinks")

    def __init__(self) -> None:
        self.level = False
        self.sinks: list[tuple[Callable[[int, bool], None], int]] = []

    def connect(self, sink: Callable[[int, bool], None], number: int) -> None:
        self.sinks.append((sink, number))
        if self.level:
            sink(number, True)

    def set(self, level: bool) -> None:
        level = bool(level)
        if level != self.level:
            self.level = level
            for sink, number in self.sinks:
                sink(number, level)


def checked_frequency(hertz: int) -> int:
    """Raises ValueError: a clock does not stand still, nor run backwards."""
    if hertz <= 0:
        raise ValueError(f"frequency must be positive, not {hertz}")
    return hertz


class Peripheral:
    """Base of all twins."""

    model_name = ""
    #: bytes of address space the block occupies when the .repl gives no size
    size = 0x400

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = ""  # set by the builder: "spi1"
        self.path = ""  # set by the builder: "sysbus.spi1"
        self.base = 0  # set by the machine: where its registers begin on the bus
        self.irq = Line()
        self.lines: dict[int, Line] = {}

    # wires -----------------------------------------------------------------------------------------------------
    def line(self, number: int) -> Line:
        """The numbered output wire, made when first asked for."""
        return self.lines.setdefault(number, Line())

    def on_gpio(self, number: int, level: bool) -> None:
        """A wire into this block changed its level."""

    # tree ------------------------------------------------------------------------------------------------------
    def attach(self, child: Peripheral, point: Any) -> None:
        """Register ``child`` at ``point`` (an I2C address, or None). Raises ValueError when it does not fit."""
        raise ValueError(f"{self.model_name} takes no children")

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None: ...
    def stop_clock(self) -> None:
        """STOP: the block keeps its state and stands still (RM0090 5.3.5)."""

    def start_clock(self) -> None:
        """It goes on where it stood."""

    def power_off(self) -> None: ...
    def power_on(self) -> None: ...

    # bus -------------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        """Up to which cycle, if no event comes and nobody writes, reading this register once more shows what it showed
        last time and changes nothing (:data:`FOREVER`: always); None: it counts, or it is not known."""
        return None

    def idle_write(self, offset: int, width: int, value: int) -> bool:
        """Whether this store would change nothing, now and until somebody else does something."""
        return False

    def read(self, offset: int, width: int) -> int:
        """Read ``width`` bytes (1, 2 or 4) at ``offset``."""
        return self.unmodelled(offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.unmodelled(offset, width, value)

    def unmodelled(self, offset: int, width: int, value: int | None = None) -> int:
        what = "read of" if value is None else f"write of 0x{value:X} to"
        address = self.base + offset
        self.machine.report("unmodelled", self.path,
                            f"{width * 8}-bit {what} register offset 0x{offset:X} (0x{address:08X})", address)
        return 0

    def violation(self, message: str) -> None:
        self.machine.report("violation", self.path, message)
