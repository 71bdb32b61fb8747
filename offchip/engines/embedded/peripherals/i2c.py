# SPDX-License-Identifier: Apache-2.0
"""I2C interface of the STM32F4, master side, byte by byte (RM0090 27.3.3, 27.6); twin of ``Stm32F4I2c.cs``.

Two classes share the work: :class:`I2cBus` is the pair of wires with the devices and the probe on them, and
:class:`Stm32F4I2c` is the register file and the state machine that drives it.

A step on the bus (START, a byte with its acknowledge, STOP) ends when its time at the programmed bit rate has passed,
or sooner, when software has polled the status ``polls_per_step`` times with no other access between: a polling loop
then costs few host cycles and sees nothing but what a slower CPU would see on silicon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Line, Machine, Peripheral, model

# Register offsets, RM0090 27.6.1 to 27.6.10
CR1, CR2, OAR1, OAR2, DR = 0x00, 0x04, 0x08, 0x0C, 0x10
SR1, SR2, CCR, TRISE, FLTR = 0x14, 0x18, 0x1C, 0x20, 0x24

# CR1, 27.6.1
CR1_PE, CR1_START, CR1_STOP, CR1_ACK, CR1_POS, CR1_PEC, CR1_SWRST = 0x1, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x8000
CR1_MASK = 0xBFFB
CR1_NEEDS_PE = CR1_START | CR1_STOP | CR1_ACK | CR1_POS | CR1_PEC

# CR2, 27.6.2
CR2_FREQ, CR2_ITERREN, CR2_ITEVTEN, CR2_ITBUFEN, CR2_DMAEN, CR2_LAST = 0x3F, 0x100, 0x200, 0x400, 0x800, 0x1000

# SR1, 27.6.6; the error flags are cleared by writing 0
SR1_SB, SR1_ADDR, SR1_BTF, SR1_RXNE, SR1_TXE, SR1_ARLO, SR1_AF = 0x1, 0x2, 0x4, 0x40, 0x80, 0x200, 0x400
SR1_ERRORS = 0xDF00

# SR2, 27.6.7
SR2_MSL, SR2_BUSY, SR2_TRA = 0x1, 0x2, 0x4

# CCR, 27.6.8
CCR_FAST, CCR_DUTY, CCR_COUNT = 0x8000, 0x4000, 0xFFF

#: registers that only store: offset -> (writable bits, value after reset)
STORAGE = {
    CR2: (0x1F3F, 0),
    OAR1: (0xC3FF, 0),
    OAR2: (0x00FF, 0),
    CCR: (0xCFFF, 0),
    TRISE: (0x003F, 2),
    FLTR: (0x001F, 0),
}

UNPROGRAMMED_BIT_NS = 10_000
BITS_PER_BYTE = 9  # eight data bits and the acknowledge


class I2cDevice(Peripheral):
    """A slave that sees the bus byte by byte."""

    def bus_start(self, read: bool) -> bool:
        """Own address seen; True acknowledges."""
        raise NotImplementedError

    def bus_write(self, value: int) -> bool:
        """A byte from the master; True acknowledges."""
        raise NotImplementedError

    def bus_read(self) -> int:
        """The next byte for the master."""
        raise NotImplementedError

    def bus_stop(self) -> None:
        """STOP condition."""

    def bus_cancel(self) -> None:
        """The transaction ended without STOP: a repeated START, or the master vanished."""

    def power_cut(self) -> None:
        """The supply fails for a moment."""

    #: 7-bit addresses it answers at, a power of two
    addresses = 1

    def bus_block(self, block: int) -> None:
        """Which of its own addresses is called, counted from its first."""


class I2cProbe(Peripheral):
    """Somebody who sits on the wires (:class:`~offchip.engines.embedded.peripherals.i2c_tap.I2cTap`)."""

    #: SDA is held low
    holds_sda = False

    def held_up(self, what: str) -> None:
        """The first thing that could not happen because SDA is held."""
        raise NotImplementedError

    def attached(self, bus: I2cBus) -> None:
        """Clipped on."""
        raise NotImplementedError

    def passes_address(self, value: int) -> bool:
        """Whether the slaves get to see this address byte (8-bit form)."""
        raise NotImplementedError

    def filter(self, kind: str, address: int, index: int, value: int) -> int:
        """What a data byte becomes. ``W`` to the slave, ``R`` from it; ``index`` counts from the last address byte."""
        raise NotImplementedError

    def event(self, kind: str, value: int, ack: bool) -> None:
        """After the fact: ``S`` START, ``s`` repeated START, ``A`` address byte, ``W``, ``R``, ``P`` STOP,
        ``X`` master vanished."""
        raise NotImplementedError


class I2cBus:
    """The wires: carries what the master does to the selected device, past the probe."""

    def __init__(self) -> None:
        self.devices: dict[int, I2cDevice] = {}
        self.probe: I2cProbe | None = None
        self.bytes_on_bus = 0
        self._selected: I2cDevice | None = None
        self._address = 0
        self._index = 0
        self._released = False  # the device let go of SDA after a NACK from the master
        #: told when SDA may rise again
        self.on_free: Callable[[], None] = lambda: None

    @property
    def held(self) -> bool:
        """SDA cannot rise: a 1 does not get through, nor a START or STOP."""
        return self.probe is not None and self.probe.holds_sda

    def held_up(self, what: str) -> None:
        if self.probe is not None:
            self.probe.held_up(what)

    def start(self, repeated: bool) -> None:
        if repeated:
            self._cancel()
        self._released = False
        self._tell("s" if repeated else "S")

    def address(self, value: int) -> bool:
        """Send an address byte; True when a device acknowledged it."""
        self._address, self._index = value >> 1, 0
        self.bytes_on_bus += 1
        passed = self.probe is None or self.probe.passes_address(value)
        device = self.devices.get(self._address) if passed else None
        ack = False
        if device is not None:
            device.bus_block(self._address & (device.addresses - 1))
            ack = device.bus_start(bool(value & 1))
        self._tell("A", value, ack)
        if ack:
            self._selected = device
        return ack

    def write(self, value: int) -> bool:
        """Send a data byte; True when the selected device acknowledged it."""
        if self.probe is not None:
            value = self.probe.filter("W", self._address, self._index, value)
        self.bytes_on_bus += 1
        ack = self._selected is not None and self._selected.bus_write(value)
        self._tell("W", value, ack)
        self._index += 1
        return ack

    def read(self, ack: bool) -> int:
        """Clock in a data byte and answer it with ``ack``; FF once the device was refused a byte."""
        value = self.begin_read()
        self.end_read(value, ack)
        return value

    def begin_read(self) -> int:
        """The byte the device sends next."""
        device = None if self._released else self._selected
        value = 0xFF if device is None else device.bus_read()
        if self.probe is not None:
            value = self.probe.filter("R", self._address, self._index, value)
            if self.probe.holds_sda:
                self.probe.held_up("a byte read")
                return 0
        return value

    def end_read(self, value: int, ack: bool) -> None:
        """The master has taken it and answered."""
        ack |= self.held  # nobody sees the 1
        self.bytes_on_bus += 1
        self._released |= not ack
        self._tell("R", value, ack)
        self._index += 1

    def stop(self) -> None:
        device, self._selected = self._selected, None
        self._released = False
        if device is not None:
            device.bus_stop()
        self._tell("P")

    def vanish(self, in_transfer: bool) -> None:
        """The master lets go of the wires: nobody sees a STOP."""
        self._cancel()
        self._released = False
        if in_transfer:
            self._tell("X", ack=False)

    def _cancel(self) -> None:
        device, self._selected = self._selected, None
        if device is not None:
            device.bus_cancel()

    def _tell(self, kind: str, value: int = 0, ack: bool = True) -> None:
        if self.probe is not None:
            self.probe.event(kind, value, ack)


@model("Offchip.Stm32F4I2c")
class Stm32F4I2c(Peripheral):
    """I2C master.

    Args:
        polls_per_step: status reads that end a step on the bus; 0 = only virtual time does.
        busy_stays_after_disable: PE cleared in mid-transfer leaves the bus without STOP, so BUSY stays until SWRST.

    Attributes:
        idle_stop_sticks: a STOP requested on an idle bus ends the next transfer right after its START.
        violations, last_violation: what RM0090 forbids or calls lossy and software did anyway.
        event_interrupt, error_interrupt: the two interrupt lines.

    While SDA is held low BUSY reads 1, START and STOP wait, and a byte with a 1 in it loses the arbitration (27.3.4).

    Not modelled: slave mode, 10-bit addresses, SMBus and PEC, DMA, another master, clock stretching by a slave.
    """

    def __init__(self, machine: Machine, polls_per_step: int = 8, busy_stays_after_disable: bool = True) -> None:
        super().__init__(machine)
        self.event_interrupt = Line()
        self.error_interrupt = Line()
        self.polls_per_step = polls_per_step
        self.busy_stays_after_disable = busy_stays_after_disable
        self.idle_stop_sticks = True
        self.violations = 0
        self.last_violation = ""
        self._bus = I2cBus()
        self._bus.on_free = self._freed
        self._step: Callable[[], None] | None = None  # what happens at the end of the step on the bus
        self._timer: Event | None = None
        self._polls = 0
        self._bus_busy = False
        self._asked_dma = False
        self._clear_transfer()
        self._clear_registers()

    # tree ------------------------------------------------------------------------------------------------------
    def attach(self, child: Peripheral, point: Any) -> None:
        """Put a device on the bus at a 7-bit address, or a probe at no address."""
        if isinstance(child, I2cDevice):
            if not isinstance(point, int) or not 0 <= point <= 0x7F:
                raise ValueError(f"{child.model_name} needs a 7-bit I2C address (0x00 to 0x7F), not {point}")
            if point % child.addresses:
                raise ValueError(f"{child.model_name} answers at {child.addresses} addresses, of which the first is a "
                                 f"multiple of that; 0x{point:02X} is not")
            for each in range(point, point + child.addresses):
                if each in self._bus.devices:
                    raise ValueError(f"address 0x{each:02X} is taken by {self._bus.devices[each].name}")
                self._bus.devices[each] = child
        elif isinstance(child, I2cProbe):
            if point is not None:
                raise ValueError(f"{child.model_name} sits on the wires and takes no address")
            if self._bus.probe is not None:
                raise ValueError("this bus has a tap already")
            self._bus.probe = child
            child.attached(self._bus)
        else:
            raise ValueError(f"{child.model_name} is not an I2C device")

    @property
    def bus(self) -> I2cBus:
        """The wires."""
        return self._bus

    @property
    def bytes_on_bus(self) -> int:
        """Address and data bytes that went over the bus."""
        return self._bus.bytes_on_bus

    def power_cut_devices(self) -> None:
        """The supply of everything on this bus fails for a moment."""
        for device in dict.fromkeys(self._bus.devices.values()):
            device.power_cut()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        self._software_reset()
        self._update_interrupts()

    def power_off(self) -> None:
        self.reset()

    def _software_reset(self) -> None:
        self._abandon()
        self._bus_busy = False
        self._clear_registers()

    def _clear_registers(self) -> None:
        self._cr1 = self._sr1 = 0
        self._data = self._shift = 0
        self._stored = {offset: value for offset, (_, value) in STORAGE.items()}

    def _clear_transfer(self) -> None:
        self._master = self._transmitting = self._receiving = False
        self._refused = False  # the slave did not acknowledge: nothing more is sent
        self._data_full = self._shift_full = self._data_is_filler = False
        self._start_seen = self._address_seen = False  # SR1 was read while SB, ADDR was set
        self._refuse_next = False  # a DMA stream waits for the last byte of a transfer that ends with NACK
        self._next_ack = False  # ACK as it stood at the end of the byte before, used with POS

    # bus -------------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        return FOREVER if offset != DR and self._step is None else None

    def read(self, offset: int, width: int) -> int:
        if offset == SR1 and width != 1:  # first: it is what drivers poll
            if self._step is not None:
                self._count_poll()
            value = self._sr1
            if value & (SR1_SB | SR1_ADDR):
                self._start_seen |= bool(value & SR1_SB)
                self._address_seen |= bool(value & SR1_ADDR)
            if self._step is not None and self.machine.ahead.on:
                left = self.polls_per_step - self._polls - 1 if self.polls_per_step > 0 else FOREVER
                self.machine.ahead.looks(self.base + SR1, width, value, left, self._looked)
            return value
        if width == 2 and offset & 2:
            return 0  # upper half of a register, reserved
        if offset == DR:
            return self._read_data()
        return self._read_word(offset) if width > 1 else self.unmodelled(offset, width)  # only DR takes bytes

    def _read_word(self, offset: int) -> int:
        if offset == CR1:
            if self._cr1 & (CR1_START | CR1_STOP):
                self._count_poll()
            return self._cr1
        if offset == SR2:
            return self._read_status2()
        if offset in self._stored:
            return self._stored[offset]
        return self._sr1 if offset == SR1 else self.unmodelled(offset, 4)

    def write(self, offset: int, width: int, value: int) -> None:
        if width == 2 and offset & 2:
            return  # upper half of a register, reserved
        if width == 1 and offset != DR:
            self.unmodelled(offset, width, value)
            return
        self._polls = 0
        if self._cr1 & CR1_SWRST and offset != CR1:
            self.violation("register written while SWRST is set")
            return
        if offset == DR:
            self._write_data(value & 0xFF)
        elif offset == CR1:
            self._write_control(value & CR1_MASK)
        elif offset == SR1:
            self._sr1 &= ~(~value & SR1_ERRORS)
        elif offset in STORAGE:
            self._stored[offset] = value & STORAGE[offset][0]
            if offset == CR2 and value & CR2_LAST:
                self.machine.dma.on_last((self.name, "rx"), self._last_is_next)
        elif offset != SR2:
            self.unmodelled(offset, width, value)
        self._update_interrupts()

    def violation(self, message: str) -> None:
        self.violations += 1
        self.last_violation = message
        super().violation(message)

    # registers with side effects -----------------------------------------------------------------------------------
    def _write_control(self, value: int) -> None:
        if value & CR1_SWRST:
            self._software_reset()
            self._cr1 = CR1_SWRST
        elif value & CR1_PE:
            self._cr1 = value
            self._kick()
        else:
            if self._cr1 & CR1_PE:
                in_transfer = self._master
                self._abandon()
                if in_transfer:
                    self.violation("PE cleared during a transfer")
                    self._bus_busy = self.busy_stays_after_disable
            self._sr1 = 0
            self._cr1 = value & ~CR1_NEEDS_PE

    def _read_status2(self) -> int:
        self._count_poll()
        value = ((SR2_MSL if self._master else 0) | (SR2_BUSY if self._bus_busy or self._bus.held else 0)
                 | (SR2_TRA if self._transmitting else 0))
        if self._sr1 & SR1_ADDR and self._address_seen:
            self._leave_address_phase()
        return value

    def _write_data(self, value: int) -> None:
        if self._sr1 & SR1_SB:
            self._write_address(value)
            return
        self._sr1 &= ~SR1_BTF
        if self._master and self._transmitting:
            if self._step is None and not self._sr1 & SR1_ADDR and not self._refused:
                self._shift = value
                self._begin(self._end_transmit, BITS_PER_BYTE)
                return
            if self._data_full:
                self.violation("DR written while TxE=0: byte lost")
            self._data = value
            self._data_full = True
            # written behind a request for START or STOP it only silences TXE, as interrupt drivers do
            self._data_is_filler = bool(self._cr1 & (CR1_START | CR1_STOP))
            self._sr1 &= ~SR1_TXE
            return
        if not self._receiving:
            self._data = value
            self._data_full = False
            self._sr1 &= ~SR1_RXNE
        self.violation("DR written outside a transmission")

    def _write_address(self, value: int) -> None:
        if not self._start_seen:
            self.violation("address written without reading SR1: SB not cleared")
            self._data = value
            return
        self._sr1 &= ~(SR1_SB | SR1_RXNE | SR1_BTF)
        self._data_full = self._shift_full = False
        if self._step is None:
            self._shift = value
            self._begin(self._end_address, BITS_PER_BYTE)
        else:
            self.violation("address written after a STOP request: not sent")

    def _read_data(self) -> int:
        self._polls = 0
        value = self._data
        if self._shift_full:
            self._data = self._shift
            self._shift_full = False
            self._sr1 &= ~SR1_BTF
            if self._receiving and self._step is None:
                self._begin(self._end_receive, BITS_PER_BYTE)
        elif self._sr1 & SR1_RXNE:
            self._data_full = False
            self._sr1 &= ~SR1_RXNE
        self._update_interrupts()
        return value

    def _leave_address_phase(self) -> None:
        """ADDR was cleared by reading SR1, then SR2: SCL is no longer held."""
        self._sr1 &= ~SR1_ADDR
        if self._receiving:
            self._begin(self._end_receive, BITS_PER_BYTE)
        elif self._cr1 & (CR1_START | CR1_STOP):
            self._kick()
        elif self._data_full:
            self._send_from_data()
        self._update_interrupts()

    # steps on the bus --------------------------------------------------------------------------------------------
    def _kick(self) -> None:
        """Act on START and STOP requests when the bus is at a point where they can be served."""
        if self._step is not None:
            return
        if not self._master:
            self._kick_idle()
        elif self._sr1 & SR1_ADDR:
            pass  # SCL is held until ADDR is cleared
        elif self._cr1 & (CR1_STOP | CR1_START) and self._bus.held:
            self._bus.held_up("STOP" if self._cr1 & CR1_STOP else "START")
        elif self._cr1 & CR1_STOP:
            self._drop_unsent("STOP")
            self._begin(self._end_stop, 1)
        elif self._cr1 & CR1_START and not self._sr1 & SR1_SB:
            self._drop_unsent("START")
            self._begin(self._end_start, 1)

    def _kick_idle(self) -> None:
        if not self._cr1 & CR1_START:
            if self._cr1 & CR1_STOP:
                self.violation("STOP requested while not master")
                if not self.idle_stop_sticks:
                    self._cr1 &= ~CR1_STOP
        elif self._bus_busy:
            self.violation("START requested while BUSY without a STOP: waits for ever, use SWRST")
        elif self._bus.held:
            self._bus.held_up("START")
        else:
            self._begin(self._end_start, 1)

    def _drop_unsent(self, what: str) -> None:
        if self._transmitting and self._data_full:
            if not self._data_is_filler:
                self.violation(f"{what} requested with an unsent byte in DR: byte lost (wait for BTF)")
            self._data_full = False

    def _send_from_data(self) -> None:
        self._shift = self._data
        self._data_full = False
        self._sr1 |= SR1_TXE
        self._begin(self._end_transmit, BITS_PER_BYTE)

    def _begin(self, step: Callable[[], None], bits: int) -> None:
        self._cancel_timer()
        self._step = step
        self._polls = 0
        self._timer = self.machine.clock.after(bits * self.bit_nanoseconds, self._end)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _count_poll(self) -> None:
        if self._step is not None and self.polls_per_step > 0:
            self._polls += 1
            if self._polls >= self.polls_per_step:
                self._end()

    def _looked(self, count: int) -> None:
        self._polls += count

    def _end(self) -> None:
        self._cancel_timer()
        step, self._step = self._step, None
        self._polls = 0
        if step is not None:
            step()
        self._update_interrupts()

    def _end_start(self) -> None:
        repeated = self._master
        self._cr1 &= ~CR1_START
        self._master = self._bus_busy = True
        self._transmitting = self._receiving = self._refused = False
        self._data_full = self._data_full and bool(self._sr1 & SR1_RXNE)
        self._sr1 &= ~(SR1_TXE | SR1_ADDR)
        if not self._shift_full:
            self._sr1 &= ~SR1_BTF
        self._sr1 |= SR1_SB
        self._start_seen = False
        self._bus.start(repeated)
        if self._cr1 & CR1_STOP:
            self._kick()

    def _freed(self) -> None:
        """SDA rises again: what waited for it goes on."""
        if self._cr1 & CR1_PE:
            self._kick()

    def _lost(self) -> bool:
        """Whether the byte has a 1 where SDA is held low: then the master has lost the arbitration, and lets go."""
        if not (self._shift and self._bus.held):
            return False
        self._bus.held_up("a byte written")
        self._abandon()
        self._bus_busy = False
        self._sr1 = self._sr1 & SR1_ERRORS | SR1_ARLO
        return True

    def _end_address(self) -> None:
        if self._lost():
            return
        if not self._bus.address(self._shift) and not self._bus.held:
            self._refused = True
            self._sr1 |= SR1_AF
            self._kick()
            return
        # what software believes it addressed decides the direction, whatever a tap did to the wire
        self._receiving = bool(self._shift & 1)
        self._transmitting = not self._receiving
        self._sr1 |= SR1_ADDR
        self._address_seen = False
        self._next_ack = bool(self._cr1 & CR1_ACK)
        if self._transmitting:
            self._data_full = False
            self._sr1 |= SR1_TXE

    def _end_transmit(self) -> None:
        if self._lost():
            return
        if not self._bus.write(self._shift) and not self._bus.held:
            self._refused = True
            self._sr1 |= SR1_AF
        if self._cr1 & (CR1_STOP | CR1_START):
            self._kick()
        elif not self._refused:
            if self._data_full:
                self._send_from_data()
            else:
                self._sr1 |= SR1_BTF

    def _end_receive(self) -> None:
        now = bool(self._cr1 & CR1_ACK) and not self._refuse_next
        ack = self._next_ack if self._cr1 & CR1_POS else now
        self._next_ack = now
        value = self._bus.read(ack)
        if self._data_full:
            self._shift = value
            self._shift_full = True
            self._sr1 |= SR1_BTF
        else:
            self._data = value
            self._data_full = True
            self._sr1 |= SR1_RXNE
        if self._cr1 & (CR1_STOP | CR1_START):
            self._kick()
        elif not self._shift_full:
            self._begin(self._end_receive, BITS_PER_BYTE)

    def _end_stop(self) -> None:
        self._cr1 &= ~CR1_STOP
        if not self._shift_full:
            self._sr1 &= ~SR1_BTF
        self._sr1 &= ~(SR1_TXE | SR1_SB | SR1_ADDR)
        self._master = self._bus_busy = self._transmitting = self._receiving = self._refused = False
        self._bus.stop()
        if self._cr1 & CR1_START:
            self._kick()

    def _abandon(self) -> None:
        """Let go of the wires at once, without a STOP."""
        self._cancel_timer()
        self._step = None
        self._polls = 0
        in_transfer = self._master
        self._clear_transfer()
        self._bus.vanish(in_transfer)

    # derived -------------------------------------------------------------------------------------------------------
    @property
    def bit_nanoseconds(self) -> int:
        """Time of one bit from FREQ and CCR: Sm 2, Fm 3, Fm with DUTY 25 times CCR periods of PCLK1 (27.6.8)."""
        mhz = self._stored[CR2] & CR2_FREQ
        ccr = self._stored[CCR]
        count = ccr & CCR_COUNT
        if mhz < 2 or count == 0:
            return UNPROGRAMMED_BIT_NS
        factor = 2 if not ccr & CCR_FAST else 25 if ccr & CCR_DUTY else 3
        return factor * count * 1000 // mhz

    def _last_is_next(self) -> None:
        """LAST: the byte behind the last but one of the stream is refused (27.3.7)."""
        self._refuse_next = bool(self._stored[CR2] & CR2_LAST)

    def _update_interrupts(self) -> None:
        enable = self._stored[CR2]
        if enable & CR2_DMAEN or self._asked_dma:
            self._asked_dma = bool(enable & CR2_DMAEN)
            for kind, flag in (("tx", SR1_TXE), ("rx", SR1_RXNE)):
                self.machine.dma.set((self.name, kind), bool(enable & CR2_DMAEN and self._sr1 & flag))
        events = SR1_SB | SR1_ADDR | SR1_BTF
        if enable & CR2_ITBUFEN:
            events |= SR1_TXE | SR1_RXNE
        self.event_interrupt.set(bool(enable & CR2_ITEVTEN and self._sr1 & events))
        self.error_interrupt.set(bool(enable & CR2_ITERREN and self._sr1 & SR1_ERRORS))
