# SPDX-License-Identifier: Apache-2.0
"""What edges of its input pins do to a timer: capture, encoder, clock and trigger (RM0090 18.3.3, 18.3.5, 18.3.12,
18.3.14)."""

from __future__ import annotations

from enum import IntEnum

SMCR_ECE = 0x4000
INPUTS = 4
#: TS: both edges of TI1, TI1FP1, TI2FP2
TI1_EDGE, TI1_FILTERED, TI2_FILTERED = 4, 5, 6


class Slave(IntEnum):
    """SMCR.SMS."""

    OFF = 0
    ENCODER_TI2 = 1
    ENCODER_TI1 = 2
    ENCODER = 3
    RESET = 4
    GATED = 5
    TRIGGER = 6
    CLOCK = 7


_ENCODERS = {Slave.ENCODER_TI2: (1,), Slave.ENCODER_TI1: (0,), Slave.ENCODER: (0, 1)}


def is_modelled(smcr: int) -> bool:
    """Whether the pins of channels 1 and 2 are all this setting listens to."""
    mode, source = Slave(smcr & 7), smcr >> 4 & 7
    if smcr & SMCR_ECE:
        return False
    return mode is Slave.OFF or mode in _ENCODERS or source in (TI1_EDGE, TI1_FILTERED, TI2_FILTERED)


class TimerInputs:
    """Levels of the inputs, and how many edges each divider has let pass."""

    def __init__(self) -> None:
        self.levels = [False] * INPUTS
        self._edges = [0] * INPUTS
        self._clocks = 0

    def forget(self) -> None:
        """A reset of the block: dividers begin anew, the wires are what they are."""
        self._edges = [0] * INPUTS
        self._clocks = 0

    def captures(self, channel: int, pin: int, level: bool, selection: int, enable: int, divider: int) -> bool:
        """Whether ``channel`` captures at this edge of ``pin``.

        Args:
            selection: CCxS: 1 = its own pin, 2 = that of its neighbour.
            enable: the channel's four bits of CCER.
            divider: ICxPSC: every 1st, 2nd, 4th or 8th edge.
        """
        if not enable & 1:
            self._edges[channel] = 0
            return False
        if selection != (1 if channel == pin else 2):
            return False
        falling, both = bool(enable & 2), enable & 0xA == 0xA
        if not both and level == falling:
            return False
        self._edges[channel] += 1
        return not self._edges[channel] % (1 << divider)

    def counts(self, smcr: int, pin: int, ccer: int) -> int:
        """+1 or -1 when this edge of ``pin`` is a step of the encoder, else 0 (table 97)."""
        if pin not in _ENCODERS.get(Slave(smcr & 7), ()):
            return 0
        first, second = self._level(0, ccer), self._level(1, ccer)
        return 1 if (first == second) == bool(pin) else -1

    def triggers(self, smcr: int, pin: int, ccer: int) -> bool:
        """Whether this edge of ``pin`` is one of the trigger input (TRGI)."""
        mode, source = Slave(smcr & 7), smcr >> 4 & 7
        if mode is Slave.OFF or mode in _ENCODERS:
            return False
        if source == TI1_EDGE:
            return pin == 0
        return pin == source - TI1_FILTERED and (mode is Slave.GATED or self._level(pin, ccer))

    def gate(self, smcr: int, ccer: int) -> bool:
        """Whether the internal clock reaches the counter."""
        mode, source = Slave(smcr & 7), smcr >> 4 & 7
        if mode in _ENCODERS or mode is Slave.CLOCK:
            return not is_modelled(smcr)
        if mode is not Slave.GATED or source not in (TI1_FILTERED, TI2_FILTERED):
            return True
        return self._level(source - TI1_FILTERED, ccer)

    def divided(self, prescaler: int) -> bool:
        """Another clock of the prescaler; whether it is one of the counter."""
        self._clocks = (self._clocks + 1) % (prescaler + 1)
        return not self._clocks

    def _level(self, pin: int, ccer: int) -> bool:
        return self.levels[pin] != bool(ccer >> 4 * pin & 2)
