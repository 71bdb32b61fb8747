# SPDX-License-Identifier: Apache-2.0
"""SDIO host (RM0090 31) with an empty slot: each command that wants an answer runs into its timeout."""

from __future__ import annotations

from offchip.engines.embedded.peripheral import FOREVER, Machine
from offchip.engines.embedded.peripherals.stand_in import StandIn

POWER, CLKCR, ARG, CMD, RESPCMD, RESP1, DTIMER, DLEN, DCTRL, DCOUNT, STA, ICR, MASK = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3C)
FIFOCNT, FIFO = 0x48, 0x80
CMD_CPSMEN, CMD_WAITRESP, CMD_WAITINT = 1 << 10, 3 << 6, 1 << 8
CTIMEOUT, CMDSENT, CMDACT, TXFIFOE, TXFIFOHE = 1 << 2, 1 << 7, 1 << 11, 1 << 18, 1 << 14
STORED = {POWER: 3, CLKCR: 0x7FFF, ARG: 0xFFFFFFFF, DTIMER: 0xFFFFFFFF, DLEN: 0x1FFFFFF, DCTRL: 0xFFF,
          MASK: 0x00FFFFFF}
#: SDIO_CK periods: of a command, and until its response is given up (31.3.1)
COMMAND, TIMEOUT = 48, 64


class EmptySdio(StandIn):
    """The command path; no data ever moves."""

    model_name = "Offchip.EmptySdio"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._generation = 0
        self.reset()

    def reset(self) -> None:
        self._stored = dict.fromkeys(STORED, 0)
        self._command = self._flags = 0
        self._generation += 1
        self.irq.set(False)

    def steady(self, offset: int) -> int | None:
        return FOREVER if offset < FIFO else None

    def read_word(self, offset: int) -> int:
        if offset == STA:
            return self._flags | TXFIFOE | TXFIFOHE
        if offset in self._stored:
            return self._stored[offset]
        if offset == CMD:
            return self._command
        nothing = offset in (RESPCMD, DCOUNT, FIFOCNT, ICR) or RESP1 <= offset < DTIMER or FIFO <= offset < FIFO + 0x80
        return 0 if nothing else self.unmodelled(offset, 4)

    def write_word(self, offset: int, value: int) -> None:
        if offset == CMD:
            self._command = value & 0x7FFF
            if value & CMD_CPSMEN and self._stored[POWER] == 3:
                self._send(value)
        elif offset == ICR:
            self._flags &= ~value
        elif offset in STORED:
            self._stored[offset] = value & STORED[offset]
        elif not FIFO <= offset < FIFO + 0x80:
            self.unmodelled(offset, 4, value)
        self._update()

    def _send(self, command: int) -> None:
        self.say("SDIO: no card is in the slot, so no command is answered; the lab's card is on SPI1")
        self._generation += 1
        answer = bool(command & CMD_WAITRESP & 1 << 6)
        flag = CTIMEOUT if answer and not command & CMD_WAITINT else CMDSENT
        self._flags |= CMDACT
        divider = 1 if self._stored[CLKCR] >> 10 & 1 else (self._stored[CLKCR] & 0xFF) + 2  # of SDIOCLK, 48 MHz
        cycles = (COMMAND + answer * TIMEOUT) * divider * self.machine.clock.frequency // 48_000_000
        generation = self._generation
        self.machine.clock.after_cycles(cycles, lambda: self._done(generation, flag))

    def _done(self, generation: int, flag: int) -> None:
        if generation == self._generation:
            self._flags = self._flags & ~CMDACT | flag
            self._update()

    def _update(self) -> None:
        self.irq.set(bool((self._flags | TXFIFOE | TXFIFOHE) & self._stored[MASK]))
