# SPDX-License-Identifier: Apache-2.0
"""DMA controllers of the STM32F4 (RM0090 10.3, 10.5): eight streams with eight channels each.

An item is moved some cycles after its request; a memory-to-memory transfer takes the time of its items, while the core
goes on. Priorities decide nothing, because the bus is never contended here.
"""

from __future__ import annotations

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.dma_requests import Request
from offchip.engines.embedded.peripheral import FOREVER, BusError, Machine, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

STREAMS = 8
FLAG_SHIFTS = (0, 6, 16, 22)  # of streams 0..3 in LISR, 4..7 in HISR
FEIF, DMEIF, TEIF, HTIF, TCIF = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 5
FIRST_STREAM, STREAM_SIZE = 0x10, 0x18
CR, NDTR, PAR, M0AR, M1AR, FCR = range(0, STREAM_SIZE, 4)

CR_EN, CR_PFCTRL, CR_CIRC, CR_PINC, CR_MINC = 1 << 0, 1 << 5, 1 << 8, 1 << 9, 1 << 10
CR_PINCOS, CR_DBM, CR_CT = 1 << 15, 1 << 18, 1 << 19
CR_WRITABLE = 0x0FEFFFFF
#: interrupt enables in CR, by flag
ENABLES = {DMEIF: 1 << 1, TEIF: 1 << 2, HTIF: 1 << 3, TCIF: 1 << 4}
FCR_FTH, FCR_DMDIS, FCR_FEIE = 3, 1 << 2, 1 << 7
TO_MEMORY, TO_PERIPHERAL, MEMORY_TO_MEMORY = range(3)
BEATS = (1, 4, 8, 16)  # PBURST, MBURST

#: cycles from a request to its item, and between items without a request
LATENCY = 4
#: cycles between two items to a transmitter that takes no time of its own, so that its receiver is served in between
TRANSMIT_PACE = 16

_ = ""
#: RM0090 tables 42 and 43: rows are channels, columns are streams; a slash separates lines that share a place
REQUESTS = {
    1: (("spi3.rx", _, "spi3.rx", "spi2.rx", "spi2.tx", "spi3.tx", _, "spi3.tx"),
        ("i2c1.rx", _, "timer7.up", _, "timer7.up", "i2c1.rx", "i2c1.tx", "i2c1.tx"),
        ("timer4.ch1", _, _, "timer4.ch2", _, _, "timer4.up", "timer4.ch3"),
        (_, "timer2.up/timer2.ch3", "i2c3.rx", _, "i2c3.tx", "timer2.ch1", "timer2.ch2/timer2.ch4",
         "timer2.up/timer2.ch4"),
        ("uart5.rx", "usart3.rx", "uart4.rx", "usart3.tx", "uart4.tx", "usart2.rx", "usart2.tx", "uart5.tx"),
        (_, _, "timer3.ch4/timer3.up", _, "timer3.ch1/timer3.trig", "timer3.ch2", _, "timer3.ch3"),
        ("timer5.ch3/timer5.up", "timer5.ch4/timer5.trig", "timer5.ch1", "timer5.ch4/timer5.trig", "timer5.ch2", _,
         "timer5.up", _),
        (_, "timer6.up", "i2c2.rx", "i2c2.rx", "usart3.tx", "dac.1", "dac.2", "i2c2.tx")),
    2: (("adc1.dr", _, "timer8.ch1/timer8.ch2/timer8.ch3", _, "adc1.dr", _, "timer1.ch1/timer1.ch2/timer1.ch3", _),
        (_, _, "adc2.dr", "adc2.dr", _, _, _, _),
        ("adc3.dr", "adc3.dr", _, _, _, _, _, _),
        ("spi1.rx", _, "spi1.rx", "spi1.tx", _, "spi1.tx", _, _),
        (_, _, "usart1.rx", "sdio.dat", _, "usart1.rx", "sdio.dat", "usart1.tx"),
        (_, "usart6.rx", "usart6.rx", _, _, _, "usart6.tx", "usart6.tx"),
        ("timer1.trig", "timer1.ch1", "timer1.ch2", "timer1.ch1", "timer1.ch4/timer1.trig/timer1.com", "timer1.up",
         "timer1.ch3", _),
        (_, "timer8.up", "timer8.ch1", "timer8.ch2", "timer8.ch3", _, _, "timer8.ch4/timer8.trig/timer8.com")),
}


def _lines(place: str) -> tuple[Request, ...]:
    pairs = (line.split(".") for line in place.split("/") if line)
    return tuple((name, kind) for name, kind in pairs)


class _Stream:
    """One stream: its registers, its FIFO, and the transfer it is in."""

    def __init__(self, controller: Stm32F4Dma, number: int) -> None:
        self._controller = controller
        self._machine = controller.machine
        self.number = number
        self._event: Event | None = None
        self.reset()

    def reset(self) -> None:
        self._cancel()
        self.cr = self.flags = 0
        self.fcr = 0x21
        self.addresses = {PAR: 0, M0AR: 0, M1AR: 0}
        self.count = self._programmed = 0  # items of PSIZE
        self._written = 0  # NDTR as software left it
        self._fifo = bytearray()
        self._peripheral = self._memory = 0  # bytes moved on either side
        self._requests: tuple[Request, ...] = ()

    # registers -------------------------------------------------------------------------------------------------
    def read(self, register: int) -> int:
        if register == CR:
            return self.cr
        if register == NDTR:
            return self.count
        if register == FCR:
            level = len(self._fifo)
            status = 4 if not level else 5 if level >= 16 else level // 4
            return self.fcr & ~0x38 | status << 3
        return self.addresses[register]

    def write(self, register: int, value: int) -> None:
        enabled = bool(self.cr & CR_EN)
        if register == CR:
            self._write_control(value & CR_WRITABLE)
        elif register == FCR:
            self.fcr = self.fcr & ~FCR_FEIE | value & FCR_FEIE if enabled else value & 0x87
        elif register == NDTR:
            if not enabled:
                self.count = self._written = value & 0xFFFF
        elif not enabled or self._idle_buffer(register):
            self.addresses[register] = value
        self._controller.update(self)

    def _idle_buffer(self, register: int) -> bool:
        """In double-buffer mode the address not in use may be changed on the fly (10.3.9)."""
        current = M1AR if self.cr & CR_CT else M0AR
        return bool(self.cr & CR_DBM) and register in (M0AR, M1AR) and register != current

    def _write_control(self, value: int) -> None:
        if self.cr & CR_EN:
            protected = ~(CR_EN | sum(ENABLES.values()))
            value = self.cr & protected | value & ~protected
            self.cr = value
            if not value & CR_EN:
                self._stop(TCIF)  # what the FIFO holds is written first (10.3.14)
            return
        self.cr = value
        if value & CR_EN:
            self._begin()

    # transfer --------------------------------------------------------------------------------------------------
    @property
    def direction(self) -> int:
        return self.cr >> 6 & 3

    @property
    def _direct(self) -> bool:
        return not self.fcr & FCR_DMDIS and self.direction != MEMORY_TO_MEMORY

    @property
    def _peripheral_width(self) -> int:
        return 1 << (self.cr >> 11 & 3)

    @property
    def _memory_width(self) -> int:
        return self._peripheral_width if self._direct else 1 << (self.cr >> 13 & 3)

    def _begin(self) -> None:
        self.count = self.count or self._written  # a stream that has ended begins anew with EN (10.5.6)
        self._programmed = self.count
        self._peripheral = self._memory = 0
        self._fifo.clear()
        self._requests = _lines(REQUESTS[self._controller.number][self.cr >> 25 & 7][self.number])
        if self._peripheral_width > 4 or self._memory_width > 4 or self.direction > MEMORY_TO_MEMORY:
            self._controller.violation(f"stream {self.number} enabled with a reserved PSIZE, MSIZE or DIR")
            self.cr &= ~CR_EN
        elif self.direction == MEMORY_TO_MEMORY and self._controller.number == 1:
            self._controller.violation("DMA1 moves no memory to memory: its peripheral port reaches APB1 only")
            self.cr &= ~CR_EN
        elif not self._threshold_fits():
            self._stop(FEIF)
        elif self.count or self.cr & CR_PFCTRL:
            self._go_on()

    def _threshold_fits(self) -> bool:
        """10.3.12: a burst to memory must fit the FIFO threshold a whole number of times."""
        burst = BEATS[self.cr >> 23 & 3] * self._memory_width
        return self._direct or BEATS[self.cr >> 23 & 3] == 1 or 4 * ((self.fcr & FCR_FTH) + 1) % burst == 0

    def _go_on(self) -> None:
        if self._event is not None or not self.cr & CR_EN:
            return
        if self.direction == MEMORY_TO_MEMORY:
            self._event = self._machine.clock.after_cycles(LATENCY, self._move)
        elif any(self._machine.dma.active(each) for each in self._requests):
            paced = self.direction == TO_PERIPHERAL and self._peripheral
            self._event = self._machine.clock.after_cycles(TRANSMIT_PACE if paced else LATENCY, self._move)

    def asked(self, request: Request) -> None:
        if self.cr & CR_EN and request in self._requests:
            self._go_on()

    def _move(self) -> None:
        self._event = None
        request = next((each for each in self._requests if self._machine.dma.active(each)), None)
        if request is None and self.direction != MEMORY_TO_MEMORY:
            return
        try:
            if self.direction == TO_PERIPHERAL:
                self._to_peripheral()
            else:
                self._to_memory()
        except BusError:
            self._stop(TEIF)
            self._controller.update(self)
            return
        self.count -= 1
        if request is not None:
            self._machine.dma.served(request, self.count)
        if self.count * 2 in (self._programmed, self._programmed + 1) and self._programmed > 1 or self._programmed == 1:
            self.flags |= HTIF
        if not self.count:
            self._complete()
        self._controller.update(self)
        self._go_on()

    def _to_peripheral(self) -> None:
        width = self._peripheral_width
        while len(self._fifo) < width:
            self._fifo += self._load(self._memory_address(), self._memory_width)
            self._memory += self._memory_width
        item, self._fifo[:width] = bytes(self._fifo[:width]), b""
        self._store(self._peripheral_address(), item, peripheral=True)
        self._peripheral += width

    def _to_memory(self) -> None:
        width = self._peripheral_width
        self._fifo += self._load(self._peripheral_address(), width, peripheral=True)
        self._peripheral += width
        threshold = 1 if self._direct else 4 * ((self.fcr & FCR_FTH) + 1)
        if len(self._fifo) >= threshold or self.count == 1:
            self._drain()

    def _drain(self) -> None:
        """Write what the FIFO holds; a rest smaller than MSIZE is written by bytes, as at the end of a stream."""
        width = self._memory_width
        while self._fifo:
            item, self._fifo[:width] = bytes(self._fifo[:width]), b""
            for piece in [item] if len(item) == width else [bytes([byte]) for byte in item]:
                self._store(self._memory_address(), piece)
                self._memory += len(piece)

    def _peripheral_address(self) -> int:
        if not self.cr & CR_PINC:
            return self.addresses[PAR]
        moved = self._peripheral // self._peripheral_width * 4 if self.cr & CR_PINCOS else self._peripheral
        return self.addresses[PAR] + moved & 0xFFFFFFFF

    def _memory_address(self) -> int:
        start = self.addresses[M1AR if self.cr & CR_CT and self.cr & CR_DBM else M0AR]
        return (start + self._memory if self.cr & CR_MINC else start) & 0xFFFFFFFF

    def _load(self, address: int, width: int, peripheral: bool = False) -> bytes:
        self._controller.check(address, peripheral and self.direction != MEMORY_TO_MEMORY)
        return self._machine.dma_read(address & -width, width).to_bytes(width, "little")

    def _store(self, address: int, item: bytes, peripheral: bool = False) -> None:
        self._controller.check(address, peripheral)
        self._machine.dma_write(address & -len(item), len(item), int.from_bytes(item, "little"))

    def _complete(self) -> None:
        self.flags |= TCIF
        if self.cr & (CR_CIRC | CR_DBM) and self.direction != MEMORY_TO_MEMORY:
            self.count = self._programmed
            self._peripheral = self._memory = 0
            if self.cr & CR_DBM:
                self.cr ^= CR_CT
        else:
            self.cr &= ~CR_EN
            self._cancel()

    def _stop(self, flag: int) -> None:
        self._cancel()
        if flag == TCIF and self.direction != TO_PERIPHERAL:
            self._drain()
        self.cr &= ~CR_EN
        self.flags |= flag

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None

    @property
    def asks(self) -> bool:
        """Level of the interrupt line."""
        wanted = any(self.flags & flag and self.cr & enable for flag, enable in ENABLES.items())
        return wanted or bool(self.flags & FEIF and self.fcr & FCR_FEIE)


@model("DMA.STM32DMA")
class Stm32F4Dma(WordRegisters):
    """One controller; its name in the .repl (``dma1``, ``dma2``) says which of the two it is.

    Not modelled: arbitration, bursts as such (their rules are checked), the peripheral as flow controller (SDIO).
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._streams = [_Stream(self, number) for number in range(STREAMS)]
        machine.dma.listen(self._asked)

    @property
    def number(self) -> int:
        return 1 if self.name.endswith("1") else 2

    def reset(self) -> None:
        for stream in self._streams:
            stream.reset()
            self.update(stream)

    def power_off(self) -> None:
        self.reset()

    def on_gpio(self, number: int, level: bool) -> None:
        """Request lines drawn in the .repl are for Renode; here peripherals name their requests themselves."""

    def _asked(self, request: Request) -> None:
        for stream in self._streams:
            stream.asked(request)

    def check(self, address: int, peripheral: bool) -> None:
        """Where the ports of this controller reach (RM0090 2.1). Raises BusError."""
        if 0x10000000 <= address < 0x20000000 and address < 0x1FFF0000:
            raise BusError(address)  # CCM is on the core's own bus
        if peripheral and self.number == 1 and not 0x40000000 <= address < 0x40010000:
            raise BusError(address)

    def update(self, stream: _Stream) -> None:
        self.line(stream.number).set(stream.asks)

    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if offset in (0x00, 0x04):
            streams = self._streams[offset:offset + 4]
            return sum(stream.flags << shift for stream, shift in zip(streams, FLAG_SHIFTS, strict=True))
        if offset in (0x08, 0x0C):
            return 0
        stream, register = divmod(offset - FIRST_STREAM, STREAM_SIZE)
        return self._streams[stream].read(register) if stream < STREAMS else self.unmodelled(offset, 4)

    def peek_word(self, offset: int) -> int:
        return 0 if offset < FIRST_STREAM else self.read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        if offset in (0x08, 0x0C):
            for stream, shift in zip(self._streams[offset - 8:offset - 4], FLAG_SHIFTS, strict=True):
                stream.flags &= ~(value >> shift)
                self.update(stream)
            return
        number, register = divmod(offset - FIRST_STREAM, STREAM_SIZE)
        if 0 <= number < STREAMS:
            self._streams[number].write(register, value)
        elif offset not in (0x00, 0x04):
            self.unmodelled(offset, 4, value)
