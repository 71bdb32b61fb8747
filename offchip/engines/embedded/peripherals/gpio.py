# SPDX-License-Identifier: Apache-2.0
"""General-purpose I/O port (RM0090 8.3, 8.4)."""

from __future__ import annotations

from typing import Any

from offchip.engines.embedded.peripheral import FOREVER, Machine, Peripheral, model
from offchip.engines.embedded.peripherals.button import Button
from offchip.engines.embedded.peripherals.registers import WordRegisters

MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFRL, AFRH = range(0x00, 0x28, 4)
OUTPUT, ALTERNATE, ANALOG = 1, 2, 3  # MODER
PULL_UP = 1  # PUPDR
LCKK = 1 << 16
PINS = 16


def _fields_equal(register: int, value: int) -> int:
    """Bit n is set where the two-bit field n of ``register`` is ``value``."""
    return sum(1 << n for n in range(PINS) if register >> 2 * n & 3 == value)


@model("GPIOPort.STM32_GPIOPort")
class GpioPort(WordRegisters):
    """One port of 16 pins; output line n carries the level of pin n, whoever drives it.

    A push-pull output wins; an open-drain output can only pull down; otherwise an external driver (a wire into this
    block) decides, then the pull resistor; a floating pin is low. An alternate function drives nothing: the serial
    blocks hand over whole bytes.

    Args:
        mode_reset_value, output_speed_reset_value, pull_up_pull_down_reset_value: MODER, OSPEEDR and PUPDR after reset.
    """

    def __init__(self, machine: Machine, mode_reset_value: int = 0, output_speed_reset_value: int = 0,
                 pull_up_pull_down_reset_value: int = 0) -> None:
        super().__init__(machine)
        self._reset_values = {MODER: mode_reset_value, OTYPER: 0, OSPEEDR: output_speed_reset_value,
                              PUPDR: pull_up_pull_down_reset_value, AFRL: 0, AFRH: 0}
        self._external = 0  # pins somebody outside drives
        self._external_levels = 0
        self._levels = 0
        self._once_output = self._told = 0
        self.reset()

    # wires -----------------------------------------------------------------------------------------------------
    def line(self, number: int) -> Any:
        if not 0 <= number < PINS:
            raise ValueError("pins are numbered 0 to 15")
        return super().line(number)

    def attach(self, child: Peripheral, point: Any) -> None:
        if not isinstance(child, Button):
            raise ValueError(f"a port takes a Miscellaneous.Button, not {child.model_name}")
        if not isinstance(point, int) or not 0 <= point < PINS:
            raise ValueError("pins are numbered 0 to 15")
        # its wire brings changes only; the level it holds now is part of being attached
        self.on_gpio(point, child.irq.level)

    def on_gpio(self, number: int, level: bool) -> None:
        """Somebody outside drives pin ``number`` from now on."""
        bit = 1 << number
        self._external |= bit
        self._external_levels = self._external_levels | bit if level else self._external_levels & ~bit
        self._update_levels()

    def is_output(self, pin: int) -> bool:
        """MODER: the port itself drives the pin."""
        return bool((self._push_pull | self._open_drain) >> pin & 1)

    def alternate_function(self, pin: int) -> int | None:
        """AFR of a pin in that mode, else None."""
        if self._stored[MODER] >> 2 * pin & 3 != ALTERNATE:
            return None
        return self._stored[AFRL if pin < 8 else AFRH] >> 4 * (pin & 7) & 0xF

    def drives(self, pin: int) -> bool:
        """Whether software moves this pin: an output, or an input that stands for a released open drain."""
        return (self._stored[MODER] >> 2 * pin & 3) in (0, OUTPUT)

    # registers ---------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        self._stored = dict(self._reset_values)
        self._odr = 0
        self._locked = 0
        self._lock_step = 0
        self._lock_pins = 0
        self._update_masks()

    def steady(self, offset: int) -> int | None:
        return None if offset == LCKR else FOREVER

    def read_word(self, offset: int) -> int:
        if offset == IDR:
            if self._floating & ~self._external & ~self._told:
                self._tell_floating()
            return self._levels & ~self._analog
        if offset == ODR:
            return self._odr
        if offset in self._stored:
            return self._stored[offset]
        if offset == BSRR:
            return 0
        if offset == LCKR:
            return self._read_lock()
        return self.unmodelled(offset, 4)

    def _tell_floating(self) -> None:
        """Wires that software drove and let go of, which a real board would hold: what is read there means nothing."""
        silent = self._floating & ~self._external & ~self._told & ~(self._open_drain & ~self._odr)
        self._told |= silent
        for pin in range(PINS):
            if silent >> pin & 1:
                self.machine.report("stand-in", self.path, f"pin {pin} was let go of, and nothing on this board drives "
                                    "or pulls it: it reads 0 (to a bus by software an answer)")

    def peek_word(self, offset: int) -> int:
        return 0 if offset == LCKR else self.read_word(offset)

    def idle_write(self, offset: int, width: int, value: int) -> bool:
        """A level that is there already, as in a loop that switches one LED on for ever."""
        shift, mask, word = 8 * (offset & 3), (1 << 8 * width) - 1, offset & ~3
        if word == ODR:
            return value & mask == self._odr >> shift & mask
        return word == BSRR and self._set_reset((value & mask) << shift) == self._odr

    def _set_reset(self, value: int) -> int:
        return self._odr & ~(value >> 16) | value & 0xFFFF  # set wins over reset, 8.4.7

    def write_word(self, offset: int, value: int) -> None:
        if offset == BSRR:
            self._odr = self._set_reset(value)
            self._update_levels()
        elif offset == ODR:
            self._odr = value & 0xFFFF
            self._update_levels()
        elif offset in self._stored:
            self._write_configuration(offset, value)
        elif offset == LCKR:
            self._write_lock(value)
        elif offset != IDR:
            self.unmodelled(offset, 4, value)

    def _write_configuration(self, offset: int, value: int) -> None:
        if offset == OTYPER:
            value &= 0xFFFF
        if self._locked:
            frozen = self._frozen_bits(offset)
            value = value & ~frozen | self._stored[offset] & frozen
        self._stored[offset] = value
        if offset in (MODER, OTYPER, PUPDR):
            self._update_masks()

    def _frozen_bits(self, offset: int) -> int:
        first, pins, bits = {OTYPER: (0, 16, 1), AFRL: (0, 8, 4), AFRH: (8, 8, 4)}.get(offset, (0, 16, 2))
        return sum(((1 << bits) - 1) << bits * n for n in range(pins) if self._locked >> first + n & 1)

    # the lock sequence of 8.4.8: LCKK 1, 0, 1 with the same pins, then a read -------------------------------------
    def _write_lock(self, value: int) -> None:
        if self._locked:
            return
        pins, key = value & 0xFFFF, bool(value & LCKK)
        if self._lock_step and pins == self._lock_pins and key == (self._lock_step == 2):
            self._lock_step += 1
        else:
            self._lock_step = 1 if key else 0
        self._lock_pins = pins

    def _read_lock(self) -> int:
        if self._lock_step == 3:
            self._locked = self._lock_pins
            self._lock_step = 0
        if self._locked:
            return LCKK | self._locked
        return self._lock_pins

    # levels --------------------------------------------------------------------------------------------------------
    def _update_masks(self) -> None:
        output = _fields_equal(self._stored[MODER], OUTPUT)
        self._analog = _fields_equal(self._stored[MODER], ANALOG)
        self._push_pull = output & ~self._stored[OTYPER]
        self._open_drain = output & self._stored[OTYPER]
        self._pull_up = _fields_equal(self._stored[PUPDR], PULL_UP)
        self._once_output |= output
        self._floating = (self._once_output & (self._open_drain | _fields_equal(self._stored[MODER], 0))
                          & _fields_equal(self._stored[PUPDR], 0))
        self._update_levels()

    def _update_levels(self) -> None:
        driven = self._external_levels & self._external | self._pull_up & ~self._external
        driven &= ~(self._open_drain & ~self._odr)
        levels = self._push_pull & self._odr | driven & ~self._push_pull
        changed, self._levels = levels ^ self._levels, levels
        while changed:
            number = (changed & -changed).bit_length() - 1
            changed &= changed - 1
            self.line(number).set(bool(levels >> number & 1))
