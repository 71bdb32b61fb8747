# SPDX-License-Identifier: Apache-2.0
"""Random number generator of the STM32F4 with its error flags (RM0090 24.3, 24.4); twin of ``Stm32F4Rng.cs``.

The words are a deterministic stream (splitmix64, high half of each output). They are NOT random: no claim about entropy
can rest on them. The stream goes on over resets, so that a device that restarts does not repeat itself.
"""

from __future__ import annotations

from collections import deque

from offchip.engines.embedded.clock import Event
from offchip.engines.embedded.peripheral import Machine, Peripheral, model
from offchip.errors import EngineError

CR, SR, DR = 0x00, 0x04, 0x08
CR_RNGEN, CR_IE = 0x4, 0x8
SR_DRDY, SR_CECS, SR_SECS, SR_CEIS, SR_SEIS = 0x01, 0x02, 0x04, 0x20, 0x40

FAULTS = ("none", "stuck", "alternate", "repeat", "seed", "clock")
_MASK64 = (1 << 64) - 1
_MASK32 = (1 << 32) - 1


class SplitMix64:
    """Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014."""

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK64

    def next_word(self) -> int:
        """The high 32 bits of the next output."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK64
        return (z ^ (z >> 31)) >> 32


@model("Offchip.Stm32F4Rng")
class Stm32F4Rng(Peripheral):
    """The generator.

    Args:
        seed: start of the stream, 64 bits.

    Attributes:
        fault: ``none``; ``stuck`` (every word is ``fault_word``), ``alternate`` (``fault_word`` and its complement) and
            ``repeat`` (every word twice) are broken sources the hardware's health test does not see; ``seed`` (SECS and
            SEIS, no word until the fault is gone and RNGEN was cleared and set) and ``clock`` (CECS and CEIS, recovers
            by itself) are those it does see.
        fault_after: words still delivered correctly before the fault begins; set before ``fault``.
        ready_nanoseconds: from RNGEN or the previous read to DRDY, 40 periods of 48 MHz; 0 = always ready.
        words_read, early_reads: counters; an early read finds DRDY clear and gets the old word.

    Not modelled: the health test itself, the gate of the clock in RCC.
    """

    def __init__(self, machine: Machine, seed: int = 0x0FFC41B5EED, ready_nanoseconds: int = 834) -> None:
        super().__init__(machine)
        self.ready_nanoseconds = ready_nanoseconds
        self.fault_word = 0
        self.fault_after = 0
        self.words_read = 0
        self.early_reads = 0
        self._fault = "none"
        self._fault_in = 0  # words until the fault begins; 0 = it is active
        self._odd = False
        self._pushed: deque[int] = deque()
        self._wake: Event | None = None
        self.seed = seed
        self.reset()

    # knobs -----------------------------------------------------------------------------------------------------
    @property
    def seed(self) -> int:
        """Start of the stream; setting it starts the stream again."""
        return self._seed

    @seed.setter
    def seed(self, value: int) -> None:
        self._seed = value
        self._stream = SplitMix64(value)

    @property
    def fault(self) -> str:
        return self._fault

    @fault.setter
    def fault(self, kind: str) -> None:
        kind = kind.lower()
        if kind not in FAULTS:
            raise EngineError(f'the fault of {self.name} cannot be "{kind}"; choose one of {", ".join(FAULTS)}.')
        self._fault = kind
        self._fault_in = self.fault_after + 1 if self.fault_after > 0 else 0
        if self._fault_in == 0:
            self._start_fault()
        if kind == "none" and self._cr & CR_RNGEN and not self._ready and not self._seed_error:
            self._arm()
        self._update_irq()

    def push(self, word: int) -> None:
        """Deliver ``word`` before the stream goes on: known-answer tests and replay."""
        self._pushed.append(word & _MASK32)

    # life ------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        self._cr = 0
        self._value = 0
        self._ready = False
        self._seed_error = False  # SECS
        self._seis = self._ceis = False
        self._ready_at_ns = 0
        self._cancel_wake()
        self._update_irq()

    def power_off(self) -> None:
        self.reset()

    # bus -------------------------------------------------------------------------------------------------------
    def read(self, offset: int, width: int) -> int:
        if width == 4:
            return self._read_word(offset)
        return self._read_word(offset & ~3) >> 8 * (offset & 3) & ((1 << 8 * width) - 1)

    def write(self, offset: int, width: int, value: int) -> None:
        if width != 4:
            shift, mask = 8 * (offset & 3), (1 << 8 * width) - 1
            offset &= ~3
            value = self._read_word(offset) & ~(mask << shift) | (value & mask) << shift
        if offset == CR:
            self._write_control(value & (CR_RNGEN | CR_IE))
        elif offset == SR:
            self._ceis = self._ceis and bool(value & SR_CEIS)
            self._seis = self._seis and bool(value & SR_SEIS)
            self._update_irq()
        elif offset != DR:
            self.unmodelled(offset, width, value)

    def _read_word(self, offset: int) -> int:
        if offset == SR:
            self._advance()
            return ((SR_DRDY if self._ready else 0) | (SR_CECS if self._clock_error else 0)
                    | (SR_SECS if self._seed_error else 0) | (SR_CEIS if self._ceis else 0)
                    | (SR_SEIS if self._seis else 0))
        if offset == DR:
            return self._read_data()
        if offset == CR:
            return self._cr
        return self.unmodelled(offset, 4)

    def _read_data(self) -> int:
        self._advance()
        word = self._value
        if self._ready:
            self._ready = False
            self.words_read += 1
            self._arm()
        else:
            self.early_reads += 1
        self._update_irq()
        return word

    def _write_control(self, value: int) -> None:
        was, self._cr = self._cr, value
        if value & CR_RNGEN and not was & CR_RNGEN:
            self._seed_error = self._fault == "seed"
            self._seis |= self._seed_error
            self._arm()
        elif was & CR_RNGEN and not value & CR_RNGEN:
            self._ready = self._seed_error = False
            self._value = 0
        self._advance()
        if was & value & CR_RNGEN and not was & CR_IE and not self._ready:
            self._arm()
        self._update_irq()

    # generation --------------------------------------------------------------------------------------------------
    @property
    def _fault_active(self) -> bool:
        return self._fault != "none" and self._fault_in == 0

    @property
    def _clock_error(self) -> bool:
        return self._fault == "clock" and self._fault_in == 0

    def _start_fault(self) -> None:
        if not self._cr & CR_RNGEN:
            return
        if self._fault == "seed":
            self._seed_error = self._seis = True
        elif self._fault == "clock":
            self._ceis = True

    def _arm(self) -> None:
        """The next word takes its time; only an enabled interrupt needs an event for it."""
        self._cancel_wake()
        if not self._cr & CR_RNGEN or self.ready_nanoseconds <= 0:
            self._ready_at_ns = 0
            return
        clock = self.machine.clock
        self._ready_at_ns = clock.now_ns + self.ready_nanoseconds
        if self._cr & CR_IE:
            self._wake = clock.after(self.ready_nanoseconds, self._advance)

    def _cancel_wake(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _advance(self) -> None:
        """Make the next word if its time has come."""
        if self._ready or not self._cr & CR_RNGEN or self._seed_error:
            return
        if self._clock_error:
            self._ceis = True
        elif self.machine.clock.now_ns >= self._ready_at_ns:
            self._deliver()
        self._update_irq()

    def _deliver(self) -> None:
        if self._fault != "none" and self._fault_in > 0:
            self._fault_in -= 1
            if self._fault_in == 0:
                self._start_fault()
                if self._seed_error or self._clock_error:
                    return
        self._value = self._next_word()
        self._ready = True

    def _next_word(self) -> int:
        if self._pushed:
            return self._pushed.popleft()
        if self._fault_active:
            if self._fault == "stuck":
                return self.fault_word
            if self._fault in ("alternate", "repeat"):
                self._odd = not self._odd
                if self._fault == "alternate":
                    return self.fault_word if self._odd else ~self.fault_word & _MASK32
                if not self._odd:
                    return self._value
        return self._stream.next_word()

    def _update_irq(self) -> None:
        self.irq.set(bool(self._cr & CR_IE) and (self._ready or self._seis or self._ceis))
