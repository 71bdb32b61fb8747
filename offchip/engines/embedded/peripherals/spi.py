# SPDX-License-Identifier: Apache-2.0
"""SPI master of the STM32F4 (RM0090 28.5): polled or interrupt driven, 8 and 16 bit frames. Twin of Stm32F4Spi.cs.

A frame takes no virtual time, so TXE is always 1 and BSY is never seen. Chip select is a GPIO pin and does not pass
through here. Not modelled, and reported when asked for: hardware CRC, one-line and receive-only modes, I2S.
Slave mode, CPOL, CPHA and the bit rate make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from offchip.engines.embedded.peripheral import FOREVER, Machine, Peripheral, model

CR1, CR2, SR, DR, CRCPR, I2SCFGR, I2SPR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x1C, 0x20

CR1_MSTR, CR1_SPE, CR1_LSBFIRST = 1 << 2, 1 << 6, 1 << 7
CR1_SSI, CR1_SSM, CR1_RXONLY, CR1_DFF = 1 << 8, 1 << 9, 1 << 10, 1 << 11
CR1_CRCEN, CR1_BIDIMODE = 1 << 13, 1 << 15
CR2_RXDMAEN, CR2_TXDMAEN, CR2_SSOE = 1 << 0, 1 << 1, 1 << 2
CR2_ERRIE, CR2_RXNEIE, CR2_TXEIE = 1 << 5, 1 << 6, 1 << 7
SR_RXNE, SR_TXE, SR_MODF, SR_OVR = 1 << 0, 1 << 1, 1 << 5, 1 << 6
I2SCFGR_I2SMOD = 1 << 11

_CR1_UNMODELLED = CR1_RXONLY | CR1_CRCEN | CR1_BIDIMODE
_DMA = CR2_RXDMAEN | CR2_TXDMAEN
_ANY_REQUEST = CR2_ERRIE | CR2_RXNEIE | CR2_TXEIE | _DMA
_ANY_ERROR = SR_MODF | SR_OVR
#: registers that read as an attribute, and the writable bits of those that only store
_PLAIN = {CR1: "_cr1", CR2: "_cr2", CRCPR: "_crc_polynomial", I2SCFGR: "_i2s_configuration", I2SPR: "_i2s_prescaler"}
_STORED = {CRCPR: 0xFFFF, I2SCFGR: 0xFBF, I2SPR: 0x3FF}
_MIRROR = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@runtime_checkable
class SpiSlave(Protocol):
    """What hangs on the bus."""

    def transmit(self, mosi: int) -> int:
        """Clock one byte through; returns the byte on MISO."""


@runtime_checkable
class Foreseeable(Protocol):
    """A slave that tells ``on_ahead``, inside :meth:`~SpiSlave.transmit`, what it will answer behind that byte.

    It is given the bytes on MISO, and whether it wants to hear what is sent meanwhile (else only 0xFF may be).
    """

    on_ahead: Callable[[bytes, bool], None]

    def passed(self, count: int, mosi: bytes) -> None:
        """So many of them were clocked through; ``mosi``: what was sent, if it wanted to hear that."""


def peek(slave: object, floating: int = 0xFF) -> int:
    """What MISO carries in the next byte; ``floating``: of nobody, and of a slave that cannot tell."""
    look = getattr(slave, "peek", None)
    return floating if look is None else int(look())


@model("Offchip.Stm32F4Spi")
class Stm32F4Spi(Peripheral):
    """SPI1..SPI3. Without SPE and MSTR nothing is sent; the receive buffer holds one frame (RM0090 28.3)."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        #: level of MISO without a slave: board pull-up
        self.floating_level = 0xFF
        self.frames = 0
        #: frames written to DR while SPE or MSTR was 0
        self.lost_frames = 0
        self._slave: Peripheral | None = None
        self._transmit = self._floating
        self._passed: Callable[[int, bytes], None] = lambda count, mosi: None
        self._ahead: tuple[bytes, bool] | None = None  # told by the slave in the present frame
        self._asked_dma = False
        self.reset()

    def attach(self, child: Peripheral, point: Any) -> None:
        if self._slave is not None:
            raise ValueError(f"{self.model_name} has one slave already; put {child.model_name} on another SPI")
        if not isinstance(child, SpiSlave):
            raise ValueError(f"{child.model_name} is not an SPI slave")
        self._slave = child
        self._transmit = child.transmit
        if isinstance(child, Foreseeable):
            child.on_ahead, self._passed = self._tell_ahead, child.passed

    @property
    def has_slave(self) -> bool:
        return self._slave is not None

    def exchange(self, mosi: int) -> int:
        """A byte clocked through the slave by somebody else who drives the wires."""
        return self._transmit(mosi)

    def peek(self) -> int:
        """What MISO carries in the next byte."""
        return peek(self._slave, self.floating_level)

    def reset(self) -> None:
        self._cr1 = 0
        self._cr2 = 0
        self._sr = SR_TXE
        self._receive = 0
        self._crc_polynomial = 7
        self._i2s_configuration = 0
        self._i2s_prescaler = 2
        self._overrun_data_read = False
        self._mode_fault_read = False
        self._plain = False
        self.irq.set(False)

    def power_on(self) -> None:
        self.reset()

    # bus -------------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        return FOREVER if offset == SR and self._sr < SR_MODF or offset in _PLAIN else None

    def read(self, offset: int, width: int) -> int:
        if offset == SR:
            status = self._sr
            return status if status < SR_MODF else self._read_error_status()
        if offset == DR:
            self._sr &= ~SR_RXNE
            if self._sr & SR_OVR:
                self._overrun_data_read = True
            if self._cr2 & _ANY_REQUEST:
                self._update_irq()
            return self._receive if width > 1 else self._receive & 0xFF
        plain = _PLAIN.get(offset)
        if plain is not None:
            value = int(getattr(self, plain))
        elif width == 1 and offset & 3 == 1 and offset != DR + 1:
            value = self.read(offset & ~3, 4) >> 8
        else:
            value = self.unmodelled(offset, width)
        return value if width > 1 else value & 0xFF

    def write(self, offset: int, width: int, value: int) -> None:
        if offset == DR:
            self._write_data(value)
        elif offset == CR1:
            self._write_cr1(value & 0xFFFF)
        elif offset == CR2:
            self._cr2 = value & 0xF7
            self._update_irq()
        elif offset in _STORED:
            if offset == I2SCFGR and value & I2SCFGR_I2SMOD:
                self.unmodelled(offset, width, value)
            setattr(self, _PLAIN[offset], value & _STORED[offset])
        elif offset != SR:  # there only CRCERR could be cleared, and it is never set
            self.unmodelled(offset, width, value)

    def _write_data(self, value: int) -> None:
        if not self._plain:
            self._frame(value & 0xFFFF)
            return
        self.frames += 1
        received = self._transmit(value & 0xFF)
        if self._sr & SR_RXNE:
            self._overrun()
        else:
            self._receive = received
            self._sr |= SR_RXNE
        if self._cr2 & _ANY_REQUEST:
            self._update_irq()
        elif self._ahead is not None and self._sr < SR_MODF:
            self.machine.ahead.frames(self.base, self._sr, self._receive, *self._ahead, self._frames_passed)
        self._ahead = None

    def _tell_ahead(self, miso: bytes, heard: bool) -> None:
        if self.machine.ahead.on:
            self._ahead = miso, heard

    def _frames_passed(self, count: int, mosi: bytes, status: int, receive: int) -> None:
        self.frames += count
        self._sr, self._receive = status, receive
        if count:
            self._passed(count, mosi)

    # registers -------------------------------------------------------------------------------------------------
    def _read_error_status(self) -> int:
        status = self._sr
        if status & SR_MODF:
            self._mode_fault_read = True
        if status & SR_OVR and self._overrun_data_read:  # cleared by a read of DR followed by a read of SR
            self._sr &= ~SR_OVR
            self._overrun_data_read = False
            self._update_irq()
        return status

    def _write_cr1(self, value: int) -> None:
        if value & _CR1_UNMODELLED:
            self.unmodelled(CR1, 2, value)
        if self._mode_fault_read:
            self._sr &= ~SR_MODF
            self._mode_fault_read = False
        # NSS managed by software and SSI low looks like another master on the bus (RM0090 28.3.10);
        # with SSOE set this cell is the only master and NSS is not looked at
        enabled = value & CR1_MSTR and value & CR1_SPE
        if enabled and value & CR1_SSM and not value & CR1_SSI and not self._cr2 & CR2_SSOE:
            self._sr |= SR_MODF
            value &= ~(CR1_MSTR | CR1_SPE)
        self._cr1 = value
        self._plain = value & (CR1_MSTR | CR1_SPE | CR1_DFF | CR1_LSBFIRST) == CR1_MSTR | CR1_SPE
        self._update_irq()

    def _frame(self, value: int) -> None:
        """A frame that is not just eight bits, most significant first."""
        if not (self._cr1 & CR1_SPE and self._cr1 & CR1_MSTR):
            self.lost_frames += 1
            self.violation("DR was written while SPE or MSTR was 0; the frame is lost")
            return
        self.frames += 1
        low, high = value & 0xFF, value >> 8
        if self._cr1 & CR1_LSBFIRST:
            received = _MIRROR[self._transmit(_MIRROR[low])]
            if self._cr1 & CR1_DFF:
                received |= _MIRROR[self._transmit(_MIRROR[high])] << 8
        else:
            received = self._transmit(high) << 8 | self._transmit(low)
        if self._sr & SR_RXNE:
            self._overrun()
        else:
            self._receive = received
            self._sr |= SR_RXNE
        self._update_irq()

    def _overrun(self) -> None:
        """The new frame is lost, the old one stays readable."""
        self._sr |= SR_OVR
        self._overrun_data_read = False

    def _update_irq(self) -> None:
        control, status = self._cr2, self._sr
        if control & _DMA or self._asked_dma:
            self._asked_dma = bool(control & _DMA)
            on = self._cr1 & (CR1_SPE | CR1_MSTR) == CR1_SPE | CR1_MSTR
            self.machine.dma.set((self.name, "tx"), bool(control & CR2_TXDMAEN and on))
            self.machine.dma.set((self.name, "rx"), bool(control & CR2_RXDMAEN and status & SR_RXNE))
        self.irq.set(bool(
            control & CR2_TXEIE
            or control & CR2_RXNEIE and status & SR_RXNE
            or control & CR2_ERRIE and status & _ANY_ERROR
        ))

    def _floating(self, mosi: int) -> int:
        return self.floating_level
