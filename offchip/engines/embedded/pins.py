# SPDX-License-Identifier: Apache-2.0
"""Serial buses driven by software: the pins of SPI and I2C are wires, and the same devices and probes hang on them.

While the clock pin is an output of the port (not an alternate function), its edges move bits. SPI is sampled on the
rising edge (modes 0 and 3); on I2C both wires have the board's pull-ups.
"""

from __future__ import annotations

from collections.abc import Mapping

from offchip.engines.embedded.peripheral import Peripheral
from offchip.engines.embedded.peripherals.gpio import GpioPort
from offchip.engines.embedded.peripherals.i2c import I2cBus, Stm32F4I2c
from offchip.engines.embedded.peripherals.spi import Stm32F4Spi
from offchip.engines.embedded.peripherals.syscfg import Syscfg
from offchip.engines.embedded.peripherals.timer import Timer

#: the usual pins of the blocks (STM32F405 data sheet, table 7): (port, SCK, MISO, MOSI) and (block, port, SCL, SDA)
SPI_PINS = {"spi1": ("gpioa", 5, 6, 7), "spi2": ("gpiob", 13, 14, 15), "spi3": ("gpioc", 10, 11, 12)}
I2C_PINS = (("i2c1", "gpiob", 6, 7), ("i2c1", "gpiob", 8, 9), ("i2c2", "gpiob", 10, 11))


#: (port, pin, alternate function) -> (timer, channel from 0), data sheet table 9
CAPTURE_PINS = {
    **{("gpioa", 8 + n, 1): ("timer1", n) for n in range(4)},
    **{("gpioe", pin, 1): ("timer1", n) for n, pin in enumerate((9, 11, 13, 14))},
    **{("gpioa", n, 1): ("timer2", n) for n in range(4)}, ("gpioa", 5, 1): ("timer2", 0),
    ("gpioa", 15, 1): ("timer2", 0),
    ("gpiob", 3, 1): ("timer2", 1), ("gpiob", 10, 1): ("timer2", 2), ("gpiob", 11, 1): ("timer2", 3),
    ("gpioa", 6, 2): ("timer3", 0), ("gpioa", 7, 2): ("timer3", 1), ("gpiob", 0, 2): ("timer3", 2),
    ("gpiob", 1, 2): ("timer3", 3), ("gpiob", 4, 2): ("timer3", 0), ("gpiob", 5, 2): ("timer3", 1),
    **{("gpioc", 6 + n, 2): ("timer3", n) for n in range(4)}, **{("gpiob", 6 + n, 2): ("timer4", n) for n in range(4)},
    **{("gpiod", 12 + n, 2): ("timer4", n) for n in range(4)}, **{("gpioa", n, 2): ("timer5", n) for n in range(4)},
    **{("gpioc", 6 + n, 3): ("timer8", n) for n in range(4)},
    ("gpioa", 2, 3): ("timer9", 0), ("gpioa", 3, 3): ("timer9", 1), ("gpioe", 5, 3): ("timer9", 0),
    ("gpioe", 6, 3): ("timer9", 1), ("gpiob", 8, 3): ("timer10", 0), ("gpiob", 9, 3): ("timer11", 0),
    ("gpiob", 14, 9): ("timer12", 0), ("gpiob", 15, 9): ("timer12", 1), ("gpioa", 6, 9): ("timer13", 0),
    ("gpioa", 7, 9): ("timer14", 0),
}


def connect_pins(peripherals: Mapping[str, Peripheral]) -> None:
    """Let the devices on SPI and I2C see their pins."""
    for name, (port_name, sck, miso, mosi) in SPI_PINS.items():
        block, port = peripherals.get(name), peripherals.get(port_name)
        if isinstance(block, Stm32F4Spi) and isinstance(port, GpioPort) and block.has_slave:
            SoftSpi(block, port, sck, miso, mosi)
    for name, port_name, scl, sda in I2C_PINS:
        block, port = peripherals.get(name), peripherals.get(port_name)
        if isinstance(block, Stm32F4I2c) and isinstance(port, GpioPort) and (
                block.bus.devices or block.bus.probe) and not _taken(port, scl, sda):
            SoftI2c(block.bus, port, scl, sda)
    for (port_name, pin, function), (timer_name, channel) in CAPTURE_PINS.items():
        timer, port = peripherals.get(timer_name), peripherals.get(port_name)
        if isinstance(timer, Timer) and isinstance(port, GpioPort):
            port.line(pin).connect(_Capture(timer, channel, port, function), pin)


def _taken(port: GpioPort, *pins: int) -> bool:
    """Whether the board leads one of these pins to a device."""
    owners = (getattr(sink, "__self__", None) for pin in pins for sink, _ in port.line(pin).sinks)
    return any(isinstance(each, Peripheral) and not isinstance(each, Syscfg) for each in owners)


class _Capture:
    """Hands the edges of a pin to a timer while its alternate function is that channel."""

    def __init__(self, timer: Timer, channel: int, port: GpioPort, function: int) -> None:
        self._timer, self._channel = timer, channel
        self._port, self._function = port, function

    def __call__(self, pin: int, level: bool) -> None:
        if self._port.alternate_function(pin) == self._function:
            self._timer.edge(self._channel, level)


class SoftSpi:
    """Whoever toggles the pins of an SPI block is its bus master."""

    def __init__(self, block: Stm32F4Spi, port: GpioPort, sck: int, miso: int, mosi: int) -> None:
        self._block, self._port = block, port
        self._sck, self._miso, self._mosi = sck, miso, mosi
        self._bits = 0
        self._in = 0
        self._out = 0xFF
        port.line(sck).connect(self._clock, sck)

    def _clock(self, pin: int, level: bool) -> None:
        if not self._port.is_output(self._sck):
            self._bits = 0
            return
        if level:
            if not self._bits:
                self._out = self._block.peek()
            self._drive()
            self._in = self._in << 1 & 0xFF | self._port.line(self._mosi).level
            self._bits += 1
            return
        if self._bits == 8:
            self._bits = 0
            self._block.exchange(self._in)
            self._out = self._block.peek()
        self._drive()

    def _drive(self) -> None:
        bit = 7 - min(self._bits, 7)
        if not self._port.is_output(self._miso):
            self._port.on_gpio(self._miso, bool(self._out >> bit & 1))


class SoftI2c:
    """Whoever toggles the pins of an I2C block is its bus master; the devices answer at their place in the frame."""

    def __init__(self, bus: I2cBus, port: GpioPort, scl: int, sda: int) -> None:
        self._bus, self._port, self._scl, self._sda = bus, port, scl, sda
        self._active = self._address_next = self._reading = False
        self._bits = 0
        self._byte = 0
        self._pulls_down = False  # a device holds SDA
        port.on_gpio(scl, True)
        port.on_gpio(sda, True)
        port.line(scl).connect(self._clock, scl)
        port.line(sda).connect(self._data, sda)

    def _data(self, pin: int, level: bool) -> None:
        if self._pulls_down or not self._port.line(self._scl).level or not self._port.drives(self._scl):
            return
        if level:
            self._stop()
        else:
            self._bus.start(self._active)
            self._active = self._address_next = True
            self._reading = False
            self._bits = self._byte = 0

    def _stop(self) -> None:
        if self._active:
            self._bus.stop()
        self._active = self._reading = False

    def _clock(self, pin: int, level: bool) -> None:
        if not self._active:
            return
        if level:
            if not self._reading or self._bits == 8:
                self._byte = self._byte << 1 & 0x1FF | self._port.line(self._sda).level
            self._bits += 1
        elif self._bits == 8 and not self._reading:
            self._pull(self._byte_sent(self._byte & 0xFF))
        elif self._bits == 8:
            self._pull(False)  # the master answers
        elif self._bits == 9:
            self._frame_ends()
        elif self._reading and self._bits:
            self._pull(not self._out >> 7 - self._bits & 1)

    def _byte_sent(self, value: int) -> bool:
        if not self._address_next:
            return self._bus.write(value)
        self._address_next = False
        self._turn = bool(value & 1)  # the device sends from the next byte on
        acknowledged = self._bus.address(value)
        self._turn = self._turn and acknowledged
        return acknowledged

    def _frame_ends(self) -> None:
        if self._reading:
            self._bus.end_read(self._out, not self._byte & 1)
            self._reading = not self._byte & 1
        else:
            self._reading = self._turn
        self._bits = self._byte = 0
        if self._reading:
            self._out = self._bus.begin_read()
        self._pull(self._reading and not self._out >> 7 & 1)

    _out = 0xFF
    _turn = False

    def _pull(self, low: bool) -> None:
        self._pulls_down = low
        self._port.on_gpio(self._sda, not low)
        # its own change of SDA is no START or STOP: SCL is low now
