# SPDX-License-Identifier: Apache-2.0
"""bxCAN (RM0090 32): alone on its bus. In loop back it hears itself; otherwise nobody acknowledges what it sends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import FOREVER, Machine, model
from offchip.engines.embedded.peripherals.stand_in import StandIn

MCR, MSR, TSR, RF0R, RF1R, IER, ESR, BTR = range(0x00, 0x20, 4)
MAILBOXES, FIFOS, FMR, FM1R, FS1R, FFA1R, FA1R, BANKS = 0x180, 0x1B0, 0x200, 0x204, 0x20C, 0x214, 0x21C, 0x240
MCR_INRQ, MCR_SLEEP, MCR_TXFP, MCR_RFLM, MCR_NART, MCR_RESET = 1, 2, 4, 8, 16, 1 << 15
MSR_INAK, MSR_SLAK, MSR_ERRI, MSR_WKUI, MSR_SLAKI = 1, 2, 4, 8, 16
RQCP, TXOK, TERR, ABRQ = 1, 2, 8, 1 << 7
FMP, FULL, FOVR, RFOM = 3, 8, 16, 32
TIR_TXRQ, TIR_RTR, TIR_IDE = 1, 2, 4
BTR_LBKM = 1 << 30
FMR_FINIT = 1
FILTERS = 28
IER_TME, IER_ERRORS, IER_WKU, IER_SLK = 1, 1 << 15, 1 << 16, 1 << 17
ESR_ACK_ERROR = 3 << 4
#: bits of a frame without its data: standard and extended, with the pause behind it
FRAME_BITS = (47, 67)


@dataclass(frozen=True, slots=True)
class _Frame:
    """As the registers hold it; the identifier as in TIR, without TXRQ."""

    identifier: int
    length: int
    low: int
    high: int


@model("CAN.STMCAN")
class BxCan(StandIn):
    """One controller. Outputs 0 to 3: transmit, FIFO 0, FIFO 1, status change and error.

    Args:
        master: the controller that owns the filters (CAN1 for CAN2); none: this one.

    Not modelled: time triggered communication, arbitration, debug freeze.
    """

    def __init__(self, machine: Machine, master: BxCan | None = None) -> None:
        super().__init__(machine)
        self._master = master
        self.frequency = 42_000_000  # PCLK1
        self._event: Event | None = None
        self.reset()

    def set_frequency(self, hertz: int) -> None:
        """PCLK1 changed."""
        self.frequency = hertz

    def reset(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._mcr, self._msr, self._tsr = 0x00010002, MSR_SLAK, 0
        self._ier = self._esr = self._tec = 0
        self._btr = 0x01230000
        self._boxes = [[0, 0, 0, 0] for _ in range(3)]
        self._order: list[int] = []  # mailboxes in the order they were asked for
        self._fifos: list[deque[tuple[_Frame, int]]] = [deque(), deque()]
        self._fifo_flags = [0, 0]
        self._filters = {FMR: 0x2A1C0E01, FM1R: 0, FS1R: 0, FFA1R: 0, FA1R: 0}
        self._banks = [[0, 0] for _ in range(FILTERS)]
        self._update()

    # registers -------------------------------------------------------------------------------------------------
    def steady(self, offset: int) -> int | None:
        return FOREVER

    def read_word(self, offset: int) -> int:
        if MAILBOXES <= offset < FIFOS:
            return self._boxes[(offset - MAILBOXES) // 16][offset // 4 % 4]
        if FIFOS <= offset < FIFOS + 0x20:
            return self._oldest((offset - FIFOS) // 16, offset // 4 % 4)
        if offset >= BANKS:
            bank, word = divmod((offset - BANKS) // 4, 2)
            return self._banks[bank][word] if bank < FILTERS else self.unmodelled(offset, 4)
        if offset in self._filters:
            return self._filters[offset]
        found = {MCR: self._mcr, MSR: self._msr | 0xC00, TSR: self._read_tsr(), RF0R: self._read_fifo(0),
                 RF1R: self._read_fifo(1), IER: self._ier, ESR: self._read_esr(), BTR: self._btr}.get(offset)
        return self.unmodelled(offset, 4) if found is None else found

    def peek_word(self, offset: int) -> int:
        return 0 if offset in (MSR, TSR, RF0R, RF1R) else self.read_word(offset)

    def _read_tsr(self) -> int:
        free = [n for n in range(3) if n not in self._order]
        empty = sum(1 << 26 + n for n in free)
        lowest = 0 if len(free) > 1 or not self._order else 1 << 29 + self._order[-1]
        return self._tsr | empty | lowest | (free[0] if free else 0) << 24

    def _read_fifo(self, number: int) -> int:
        return len(self._fifos[number]) | self._fifo_flags[number]

    def _read_esr(self) -> int:
        passive, warning = self._tec > 127, self._tec >= 96
        return self._esr | min(self._tec, 255) << 16 | passive << 1 | warning

    def _oldest(self, number: int, word: int) -> int:
        if not self._fifos[number]:
            return 0
        frame, index = self._fifos[number][0]
        return (frame.identifier, frame.length | index << 8, frame.low, frame.high)[word]

    def write_word(self, offset: int, value: int) -> None:
        writer = {MCR: self._write_mcr, MSR: self._write_msr, TSR: self._write_tsr}.get(offset)
        if writer is not None:
            writer(value)
        elif offset in (RF0R, RF1R):
            self._write_fifo((offset - RF0R) // 4, value)
        elif offset == IER:
            self._ier = value & 0x00038F7F
        elif offset == ESR:
            self._esr = value & 0x70
        elif offset == BTR:
            if self._msr & MSR_INAK:
                self._btr = value & 0xC37F03FF
        elif MAILBOXES <= offset < FIFOS:
            self._write_mailbox((offset - MAILBOXES) // 16, offset // 4 % 4, value)
        else:
            self._write_filter(offset, value)
        self._update()

    def _write_filter(self, offset: int, value: int) -> None:
        if offset in self._filters:
            self._filters[offset] = value
        elif BANKS <= offset < BANKS + 8 * FILTERS:
            bank, word = divmod((offset - BANKS) // 4, 2)
            self._banks[bank][word] = value
        elif not FIFOS <= offset < FIFOS + 0x20:
            self.unmodelled(offset, 4, value)

    def _write_mcr(self, value: int) -> None:
        if value & MCR_RESET:
            self.reset()
            return
        self._mcr = value & 0x100FF
        sleeps = bool(value & MCR_SLEEP) and not value & MCR_INRQ
        initial = bool(value & MCR_INRQ)
        if sleeps and not self._msr & MSR_SLAK:
            self._msr |= MSR_SLAKI
        # the bus is quiet, so leaving takes the eleven recessive bits at once (32.4.2)
        self._msr = self._msr & ~3 | sleeps * MSR_SLAK | initial * MSR_INAK
        if not initial and not sleeps:
            self._send_next()

    def _write_msr(self, value: int) -> None:
        self._msr &= ~(value & (MSR_ERRI | MSR_WKUI | MSR_SLAKI))

    def _write_tsr(self, value: int) -> None:
        for box in range(3):
            if value >> 8 * box & RQCP:
                self._tsr &= ~(0xF << 8 * box)
            if value >> 8 * box & ABRQ and box in self._order:
                self._finish(box, RQCP)
                self._send_next()

    def _write_fifo(self, number: int, value: int) -> None:
        self._fifo_flags[number] &= ~(value & (FULL | FOVR))
        if value & RFOM and self._fifos[number]:
            self._fifos[number].popleft()

    def _write_mailbox(self, box: int, word: int, value: int) -> None:
        if box in self._order:  # write protected while it waits (32.7.1)
            return
        self._boxes[box][word] = value
        if not word and value & TIR_TXRQ:
            self._order.append(box)
            self._tsr &= ~(0xF << 8 * box)
            self._send_next()

    # the bus ---------------------------------------------------------------------------------------------------
    def _send_next(self) -> None:
        if self._event is not None or not self._order or self._msr & (MSR_INAK | MSR_SLAK):
            return
        box = self._order[0] if self._mcr & MCR_TXFP else min(self._order, key=lambda n: (self._rank(n), n))
        self._event = self.machine.clock.after_cycles(self._duration(box), lambda: self._sent(box))

    def _rank(self, box: int) -> int:
        """The lower, the more urgent: as arbitration on the wire would have it."""
        word = self._boxes[box][0]
        return word >> 21 << 21 | (word & 0x1FFFFC if word & TIR_IDE else 0)

    def _duration(self, box: int) -> int:
        word, length = self._boxes[box][0], min(self._boxes[box][1] & 15, 8)
        bits = FRAME_BITS[bool(word & TIR_IDE)] + (0 if word & TIR_RTR else 8 * length)
        quanta = 3 + (self._btr >> 16 & 0xF) + (self._btr >> 20 & 7)
        return max(1, bits * quanta * ((self._btr & 0x3FF) + 1) * self.machine.clock.frequency // self.frequency)

    def _sent(self, box: int) -> None:
        self._event = None
        if box in self._order:
            if self._btr & BTR_LBKM:
                self._finish(box, RQCP | TXOK)
                word, control, low, high = self._boxes[box]
                self._receive(_Frame(word & ~1, control & 0xF, low, high))
            else:
                self._unanswered(box)
        self._send_next()
        self._update()

    def _finish(self, box: int, flags: int) -> None:
        self._order.remove(box)
        self._boxes[box][0] &= ~TIR_TXRQ
        self._tsr |= flags << 8 * box

    def _unanswered(self, box: int) -> None:
        self.say("CAN: no other node is on the bus, so no frame is acknowledged; loop back works")
        self._esr = self._esr & ~0x70 | ESR_ACK_ERROR
        if self._tec < 128:  # an acknowledge error does not raise it further (ISO 11898-1, fault confinement)
            self._tec += 8
        if self._ier & IER_ERRORS and self._ier & 0x800:
            self._msr |= MSR_ERRI
        if self._mcr & MCR_NART:
            self._finish(box, RQCP | TERR)

    def _receive(self, frame: _Frame) -> None:
        found = (self._master or self)._filtered(frame, self._master is not None)
        if found is None:
            return
        number, index = found
        fifo = self._fifos[number]
        if len(fifo) == 3:
            self._fifo_flags[number] |= FOVR
            if self._mcr & MCR_RFLM:
                return
            fifo.pop()
        fifo.append((frame, index))
        if len(fifo) == 3:
            self._fifo_flags[number] |= FULL

    def _filtered(self, frame: _Frame, slave: bool) -> tuple[int, int] | None:
        """(FIFO, filter number) of the first bank that lets it through (32.7.4); none while FINIT is set."""
        if self._filters[FMR] & FMR_FINIT:
            return None
        split = self._filters[FMR] >> 8 & 0x3F
        numbers = [0, 0]
        for bank in range(split, FILTERS) if slave else range(split):
            fifo = self._filters[FFA1R] >> bank & 1
            masks = self._masks(bank)
            if self._filters[FA1R] >> bank & 1:
                for at, (value, mask) in enumerate(masks):
                    if self._key(frame, bank) & mask == value & mask:
                        return fifo, numbers[fifo] + at & 0xFF
            numbers[fifo] += len(masks)
        return None

    def _wide(self, bank: int) -> bool:
        return bool(self._filters[FS1R] >> bank & 1)

    def _key(self, frame: _Frame, bank: int) -> int:
        if self._wide(bank):
            return frame.identifier & ~1
        word = frame.identifier  # STID[10:0] RTR IDE EXID[17:15]
        return (word >> 21) << 5 | (word >> 1 & 1) << 4 | (word >> 2 & 1) << 3 | word >> 18 & 7

    def _masks(self, bank: int) -> list[tuple[int, int]]:
        first, second = self._banks[bank]
        listed = bool(self._filters[FM1R] >> bank & 1)
        if self._wide(bank):
            return [(first, ~1), (second, ~1)] if listed else [(first, second & ~1)]
        halves = [word >> shift & 0xFFFF for word in (first, second) for shift in (0, 16)]
        return [(half, 0xFFFF) for half in halves] if listed else [(halves[0], halves[1]), (halves[2], halves[3])]

    def _update(self) -> None:
        self.line(0).set(bool(self._ier & IER_TME and any(self._tsr >> 8 * n & RQCP for n in range(3))))
        for number in range(2):
            wanted = self._ier >> 1 + 3 * number & 7
            flags = self._read_fifo(number)
            self.line(1 + number).set(bool(wanted & 1 and flags & FMP or wanted & 2 and flags & FULL
                                           or wanted & 4 and flags & FOVR))
        self.line(3).set(bool(self._ier & IER_ERRORS and self._msr & MSR_ERRI or self._ier & IER_WKU
                              and self._msr & MSR_WKUI or self._ier & IER_SLK and self._msr & MSR_SLAKI))
