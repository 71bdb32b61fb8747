# SPDX-License-Identifier: Apache-2.0
"""USART in asynchronous mode (RM0090 30.3, 30.6).

A transmitted byte leaves at once, when DR is written; TXE and TC follow when its time on the wire has passed, or
sooner, when software has read SR ``polls_per_step`` times with nothing else between: a polling loop then costs few host
cycles and sees nothing but what a slower CPU would see on silicon. Received bytes arrive strictly at line rate.
"""

from __future__ import annotations

from collections import deque

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Machine, checked_frequency, model
from offchip.engines.embedded.peripherals.registers import WordRegisters

SR, DR, BRR, CR1, CR2, CR3, GTPR = range(0x00, 0x1C, 4)

SR_PE, SR_FE, SR_NF, SR_ORE, SR_IDLE = 0x01, 0x02, 0x04, 0x08, 0x10
SR_RXNE, SR_TC, SR_TXE = 0x20, 0x40, 0x80
SR_SEQUENCE = SR_PE | SR_FE | SR_NF | SR_ORE | SR_IDLE  # cleared by reading SR, then DR
SR_WRITE_0 = SR_RXNE | SR_TC  # LBD and CTS, too, but nothing here sets them

CR1_SBK, CR1_RWU, CR1_RE, CR1_TE, CR1_IDLEIE, CR1_RXNEIE = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
CR1_TCIE, CR1_TXEIE, CR1_PEIE, CR1_PS, CR1_PCE, CR1_WAKE = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
CR1_M, CR1_UE, CR1_OVER8 = 0x1000, 0x2000, 0x8000
CR2_ADD = 0xF
CR3_EIE, CR3_HDSEL, CR3_DMAR, CR3_DMAT = 0x01, 0x08, 0x40, 0x80

#: offset -> writable bits
STORAGE = {BRR: 0xFFFF, CR1: 0xBFFF, CR2: 0x7F6F, CR3: 0x0FFF, GTPR: 0xFFFF}
HALF_STOP_BITS = (2, 1, 4, 3)  # CR2.STOP: 1, 0.5, 2, 1.5 stop bits
UNPROGRAMMED_BAUD = 115_200


@model("UART.STM32_UART")
class Usart(WordRegisters):
    """Transmitter, receiver and their flags.

    Args:
        frequency: clock of the block (PCLK), Hz; where there is an RCC the clock tree decides.

    Attributes:
        polls_per_step: reads of SR in a row that end a character on the wire; 0 = only time does.
        peer_baud: bit rate of the other end; 0: it follows ours. A mismatch garbles bytes and breaks frames.
        lost_bytes: bytes that arrived while the receiver was off.

    Not modelled: break, nCTS (always asserted), LIN, IrDA, smartcard and synchronous mode; their bits are stored. There
    is no line noise.
    """

    def __init__(self, machine: Machine, frequency: int = 84_000_000) -> None:
        super().__init__(machine)
        self.frequency = checked_frequency(frequency)
        self.polls_per_step = 8
        self.peer_baud = 0
        self.lost_bytes = 0
        self._line: deque[int] = deque()
        self._arrival: Event | None = None
        self._idle: Event | None = None
        self._transmitted: Event | None = None
        self._character = machine.clock.frequency * 10 // UNPROGRAMMED_BAUD  # cycles
        self._stored: dict[int, int] = {}
        self._asked_dma = False
        self.reset()

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """The peer does not notice: what it sends keeps arriving, and is lost until the receiver is on again."""
        self._sr = SR_TXE | SR_TC
        self._seen = 0  # flags the last read of SR showed
        self._rdr = 0
        self._stored = dict.fromkeys(STORAGE, 0)
        self._shifting = False
        self._shift_end = 0
        self._stopped_at = -1  # cycle at which STOP began
        self._polls = 0
        self._idle_armed = False
        for event in (self._transmitted, self._idle):
            if event is not None:
                event.cancel()
        self._transmitted = self._idle = None
        self.irq.set(False)

    def stop_clock(self) -> None:
        """What arrives meanwhile is lost; a character on its way out goes on afterwards."""
        self._stopped_at = self.machine.clock.cycles
        if self._transmitted is not None:
            self._transmitted.cancel()
            self._transmitted = None

    def start_clock(self) -> None:
        if self._shifting:
            self._shift_end += self.machine.clock.cycles - self._stopped_at
            self._watch_transmitter()
        self._stopped_at = -1

    def power_off(self) -> None:
        self._line.clear()
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        self.reset()

    # the other end of the line ------------------------------------------------------------------------------------
    def feed(self, data: bytes) -> None:
        """Queue bytes a peer sends; they arrive one per character time."""
        self._line.extend(data)
        if self._arrival is None and self._line:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            self._arrival = self.machine.clock.after_cycles(self._character, self._arrive)

    @property
    def receiving(self) -> int:
        """Bytes still on their way to the receiver."""
        return len(self._line)

    def set_frequency(self, hertz: int) -> None:
        """PCLK changed, and the bit rate with it."""
        self.frequency = hertz
        self._character = self._character_cycles()

    @property
    def baud(self) -> float:
        """Bits per second as BRR and the clock say (30.3.4); 0 before BRR is set."""
        divider = self._stored[BRR]
        if self._stored[CR1] & CR1_OVER8:
            divider = (divider >> 4) * 8 + (divider & 7)
        return self.frequency / divider if divider else 0.0

    # registers ---------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        return FOREVER if offset != DR and not self._shifting else None

    def read_word(self, offset: int) -> int:
        if offset == SR:
            if self._shifting:
                self._polls += 1
                if self._polls == self.polls_per_step:
                    self._end_of_character()
                self._catch_up()
            self._seen = self._sr & SR_SEQUENCE
            return self._sr
        self._polls = 0
        if offset == DR:
            value = self._rdr
            self._sr &= ~(SR_RXNE | self._seen)
            self._seen = 0
            self._update_irq()
            return value
        if offset in self._stored:
            return self._stored[offset]
        return self.unmodelled(offset, 4)

    def peek_word(self, offset: int) -> int:
        """A narrow store to SR clears only in the bytes it covers; one to DR has nothing to be merged with."""
        if offset == SR:
            return 0xFFFFFFFF
        return 0 if offset == DR else self.read_word(offset)

    def write_word(self, offset: int, value: int) -> None:
        self._polls = 0
        if offset == DR:
            self._transmit(value & 0x1FF)
        elif offset == SR:
            self._sr &= value | ~SR_WRITE_0
        elif offset in STORAGE:
            self._catch_up()
            if offset == CR1:
                value &= ~CR1_SBK
            self._stored[offset] = value & STORAGE[offset]
            self._character = self._character_cycles()
            if self._shifting and self._transmitted is None:
                self._watch_transmitter()
        else:
            self.unmodelled(offset, 4, value)
            return
        self._update_irq()

    # transmitter -----------------------------------------------------------------------------------------------
    def _transmit(self, value: int) -> None:
        cr1 = self._stored[CR1]
        if not cr1 & CR1_UE or not cr1 & CR1_TE:
            self.violation("DR written while UE or TE is 0: byte not sent")
            return
        if not self._stored[BRR]:
            self.violation("DR written while BRR is 0: the transmitter has no clock, byte not sent")
            return
        self._catch_up()
        framed = self._framed(value)
        if self.peer_baud:
            framed, _ = sampled(framed, self.baud, self.peer_baud)
        self.machine.uart_output(self.name, framed)
        if self._stored[CR3] & CR3_HDSEL and self._stored[CR1] & CR1_RE:  # one wire: it hears itself (30.3.10)
            self.feed(bytes([framed]))
        self._sr &= ~SR_TC
        if not self._shifting:
            self._start_character()  # DR moves on to the shift register at once: TXE stays set
        elif self._sr & SR_TXE:
            self._sr &= ~SR_TXE
        else:
            self.violation("DR written while TXE is 0: a byte in DR was overwritten")

    def _framed(self, value: int) -> int:
        """With parity control the most significant data bit is replaced (30.3.7)."""
        if self._stored[CR1] & (CR1_PCE | CR1_M) == CR1_PCE:
            value &= 0x7F
            return value | self._parity(value) << 7
        return value & 0xFF

    def _parity(self, value: int) -> int:
        return value.bit_count() & 1 ^ (1 if self._stored[CR1] & CR1_PS else 0)

    def _catch_up(self) -> None:
        """Characters whose time has passed since somebody looked; the next one follows without a gap."""
        while self._shifting and self.machine.clock.cycles >= self._shift_end:
            self._end_of_character(self._shift_end)

    def _start_character(self, begin: int | None = None) -> None:
        self._shifting = True
        self._polls = 0
        self._shift_end = (self.machine.clock.cycles if begin is None else begin) + self._character
        self._watch_transmitter()

    def _watch_transmitter(self) -> None:
        """Only an interrupt needs an event; a poll looks at the clock itself."""
        if self._stored[CR1] & (CR1_TXEIE | CR1_TCIE) or self._stored[CR3] & CR3_DMAT:
            left = max(1, self._shift_end - self.machine.clock.cycles)
            self._transmitted = self.machine.clock.after_cycles(left, self._end_of_character)

    def _end_of_character(self, end: int | None = None) -> None:
        if self._transmitted is not None:
            self._transmitted.cancel()
            self._transmitted = None
        self._shifting = False
        if self._sr & SR_TXE:
            self._sr |= SR_TC
        else:
            self._sr |= SR_TXE
            self._start_character(end)
        self._update_irq()

    # receiver --------------------------------------------------------------------------------------------------
    def _arrive(self) -> None:
        clock = self.machine.clock
        value = self._line.popleft()
        if self._line:
            self._arrival = clock.after_cycles(self._character, self._arrive)
        else:
            self._arrival = None
            self._idle = clock.after_cycles(self._character, self._line_idle)
        listening = self._stored[CR1] & (CR1_UE | CR1_RE) == CR1_UE | CR1_RE and self._stopped_at < 0
        if listening and self._stored[BRR]:
            self._receive(value)
        else:
            self.lost_bytes += 1

    def _receive(self, value: int) -> None:
        cr1 = self._stored[CR1]
        if cr1 & CR1_RWU:
            if not (cr1 & CR1_WAKE and value & 0x80 and value & CR2_ADD == self._stored[CR2] & CR2_ADD):
                return
            self._stored[CR1] = cr1 & ~CR1_RWU
        self._idle_armed = True
        whole = True
        if self.peer_baud:
            value, whole = sampled(value, self.peer_baud, self.baud)
        if self._sr & SR_RXNE:
            self._sr |= SR_ORE  # the older byte stays, the newer is lost (30.3.3)
        else:
            self._rdr = value
            self._sr |= SR_RXNE if whole else SR_RXNE | SR_FE
            if cr1 & (CR1_PCE | CR1_M) == CR1_PCE and value >> 7 != self._parity(value & 0x7F):
                self._sr |= SR_PE
        self._update_irq()

    def _line_idle(self) -> None:
        self._idle = None
        cr1 = self._stored[CR1]
        if cr1 & CR1_RWU:
            if not cr1 & CR1_WAKE:
                self._stored[CR1] = cr1 & ~CR1_RWU
        elif self._idle_armed and cr1 & CR1_RE:
            self._idle_armed = False
            self._sr |= SR_IDLE
            self._update_irq()

    # derived ---------------------------------------------------------------------------------------------------
    def _character_cycles(self) -> int:
        """CPU cycles of one character: start bit, 8 or 9 bits with parity, stop bits (30.3.2, 30.3.4)."""
        divider, cr1 = self._stored[BRR], self._stored[CR1]
        if cr1 & CR1_OVER8:
            divider = (divider >> 4) * 8 + (divider & 7)
        if not divider:
            return self._character  # the line keeps the rate it had
        half_bits = 2 * (10 if cr1 & CR1_M else 9) + HALF_STOP_BITS[self._stored[CR2] >> 12 & 3]
        return max(1, half_bits * divider * self.machine.clock.frequency // (2 * self.frequency))

    def _update_irq(self) -> None:
        sr, cr1, cr3 = self._sr, self._stored[CR1], self._stored[CR3]
        if cr3 & (CR3_DMAR | CR3_DMAT) or self._asked_dma:
            self._asked_dma = bool(cr3 & (CR3_DMAR | CR3_DMAT))
            ready = cr1 & (CR1_UE | CR1_TE) == CR1_UE | CR1_TE and self._stored[BRR]
            self.machine.dma.set((self.name, "tx"), bool(cr3 & CR3_DMAT and sr & SR_TXE and ready))
            self.machine.dma.set((self.name, "rx"), bool(cr3 & CR3_DMAR and sr & SR_RXNE))
        # TXEIE, TCIE and IDLEIE sit at the places of TXE, TC and IDLE
        self.irq.set(bool(
            sr & cr1 & (SR_TXE | SR_TC | SR_IDLE)
            or cr1 & CR1_RXNEIE and sr & (SR_RXNE | SR_ORE)
            or cr1 & CR1_PEIE and sr & SR_PE
            or cr3 & (CR3_EIE | CR3_DMAR) == CR3_EIE | CR3_DMAR and sr & (SR_ORE | SR_FE | SR_NF)))


def sampled(value: int, sent_baud: float, read_baud: float) -> tuple[int, bool]:
    """What a receiver at ``read_baud`` takes from a frame of eight bits sent at ``sent_baud``; False: no stop bit.

    It samples each bit in the middle of its own time, counted from the falling edge of the start bit (30.3.3).
    """
    frame = value << 1 | 1 << 9  # start bit, data, stop bit; the line idles high behind it

    def level(bit: int) -> int:
        place = int((bit + 0.5) * sent_baud / read_baud)
        return frame >> place & 1 if place < 10 else 1

    return sum(level(n + 1) << n for n in range(8)), bool(level(9))
