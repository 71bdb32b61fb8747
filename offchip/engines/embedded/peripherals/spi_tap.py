# SPDX-License-Identifier: Apache-2.0
"""Probe and attacker on the SPI wires between the controller and the card. Twin of SpiTap.cs.

The tap follows the SD protocol in SPI mode (SD Simplified Specification 7.2), so its rules name blocks, not bytes on
the wire. Every rule that changes something leaves a :class:`~offchip.engines.protocol.Fired` record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offchip.engines.embedded.peripheral import Machine, Peripheral, model
from offchip.engines.embedded.peripherals.crc import crc16
from offchip.engines.embedded.peripherals.sd_card import (
    START_BLOCK,
    START_BLOCK_MULTIPLE,
    STOP_TRANSMISSION,
    SdCardSpi,
)
from offchip.engines.embedded.peripherals.sd_storage import BLOCK_SIZE
from offchip.engines.embedded.peripherals.spi import SpiSlave, peek
from offchip.engines.protocol import Fired, Transfer
from offchip.engines.tap_rules import check_cut_at_block_write, check_replace_block, check_stuck_miso
from offchip.errors import MediumError

_CRC_SIZE = 2
# what the bytes of a transaction mean; plain integers because they are compared once per byte
_IDLE, _READ_TOKEN, _READ_DATA, _WRITE_TOKEN, _WRITE_DATA, _WRITE_RESPONSE = range(6)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Act on the ``nth`` access to ``block`` and the following ones, ``count`` times (0 = always)."""

    name: str
    block: int
    offset: int = 0
    data: bytes = b""
    nth: int = 1
    count: int = 0
    fix_crc: bool = True
    to_block: int = 0

    def matches(self, block: int, access: int) -> bool:
        return block == self.block and access >= self.nth and (not self.count or access < self.nth + self.count)


class _Alteration:
    """The rules at work on one data packet while it passes."""

    def __init__(self, rules: list[_Rule], redirected: bytes, place: str, length: int) -> None:
        self.rules = rules
        self.place = place
        self.original = bytearray()
        self.passed = bytearray()
        self._length = length
        self._overlay = dict(enumerate(redirected))
        for rule in rules:
            self._overlay.update(enumerate(rule.data, rule.offset))
        self._fix_crc = all(rule.fix_crc for rule in rules) and any(at < length for at in self._overlay)

    def change(self, at: int, value: int) -> int:
        """The byte to pass on in place of byte ``at`` of the packet (data, then CRC16)."""
        if at < self._length:
            self.original.append(value)
            value = self._overlay.get(at, value)
            self.passed.append(value)
        elif self._fix_crc:
            crc = crc16(self.passed)
            value = crc >> 8 if at == self._length else crc & 0xFF
        return value

    def would_be(self, at: int, value: int) -> int:
        """The same without passing it on."""
        if at < self._length:
            return self._overlay.get(at, value)
        crc = crc16(self.passed)
        return (crc >> 8 if at == self._length else crc & 0xFF) if self._fix_crc else value


@dataclass(slots=True)
class _PowerCut:
    """Cut the card's supply in a block write: inside the packet, or on its data response (``packet_bytes`` 0)."""

    write: int
    packet_bytes: int
    before: bytes = b""


class _Recorder:
    """Bytes of the transactions seen so far."""

    def __init__(self) -> None:
        self.on = False
        self.done: list[Transfer] = []
        self.held = 0
        self.time_ns = 0
        self.mosi = bytearray()
        self.miso = bytearray()

    def open(self, time_ns: int) -> None:
        self.close()
        self.time_ns = time_ns

    def close(self) -> None:
        if self.mosi:
            self.done.append(Transfer("spi1", self.time_ns, bytes(self.mosi), bytes(self.miso)))
            self.mosi.clear()
            self.miso.clear()

    def drain(self) -> list[Transfer]:
        """All so far, the open transaction included; what follows of it keeps its start time."""
        self.close()
        done, self.done = self.done, []
        self.held = 0
        return done


@model("Offchip.SpiTap")
class SpiTap(Peripheral):
    """Registered on the controller; the card is registered on the tap, which passes chip select (input 0) on.

    Implements :class:`offchip.engines.protocol.SpiTap`.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        #: level of MISO when nothing drives it
        self.floating_level = 0xFF
        #: data bytes of a block read
        self.block_length = BLOCK_SIZE
        #: addresses count blocks; only looked at when the slave is not an SdCardSpi
        self.block_addressing = False
        #: bound of the recording; later bytes are only counted in ``dropped``
        self.max_bytes = 1 << 20
        #: wired by the controller
        self.on_ahead: Callable[[bytes, bool], None] = lambda miso, heard: None
        self._slave: Peripheral | None = None
        self._card: SdCardSpi | None = None
        self._removed = False
        self._wire = self._floating
        self._recorder = _Recorder()
        self._recording = False
        self._cs_seen_high = False
        self._selected = False
        self._frame = bytearray()
        self._command = b""
        self._alteration: _Alteration | None = None
        self._at = self._block = 0
        self.reset_counters()
        self.clear()
        self._forget_command()

    def attach(self, child: Peripheral, point: Any) -> None:
        if self._slave is not None:
            raise ValueError(f"{self.model_name} has one slave already; it taps the wires of one only")
        if not isinstance(child, SpiSlave):
            raise ValueError(f"{child.model_name} is not an SPI slave")
        self._slave = child
        self._card = child if isinstance(child, SdCardSpi) else None
        self._choose_wire()

    def reset(self) -> None:
        """Reset of the MCU: its pin floats, CS is pulled up."""
        self._deselect()
        self._cs_seen_high = False

    def power_off(self) -> None:
        self.reset()

    # recording -------------------------------------------------------------------------------------------------
    def record(self, on: bool = True) -> None:
        begins, self._recording = on and not self._recording, on
        if begins and self._selected and not self._recorder.mosi:
            self._recorder.open(self.machine.clock.now_ns)

    def drain(self) -> list[Transfer]:
        """The transactions recorded since the last call, one per period of CS low."""
        return self._recorder.drain()

    # rules -----------------------------------------------------------------------------------------------------
    def fired(self) -> list[Fired]:
        return list(self._fired)

    def clear(self) -> None:
        """Forget rules, the counts of accesses they refer to, and evidence.

        Recorded transactions stay, and a packet being changed right now is still finished with its CRC."""
        self._read_rules: list[_Rule] = []
        self._write_rules: list[_Rule] = []
        self._reads: Counter[int] = Counter()
        self._writes: Counter[int] = Counter()
        self._fired: list[Fired] = []
        self._stuck: int | None = None
        self._stuck_seen = False
        self._cut: _PowerCut | None = None
        self._cut_now = False

    def replace_on_read(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                        fix_crc: bool = True) -> None:
        """Change bytes of ``block`` on the way to the host; accesses count from load or :meth:`clear` on."""
        self._read_rules.append(self._replacement("replace_on_read", block, offset, data, nth, count, fix_crc))

    def replace_on_write(self, block: int, offset: int, data: bytes, nth: int = 1, count: int = 0,
                         fix_crc: bool = True) -> None:
        """Change bytes of ``block`` on the way to the card; accesses count from load or :meth:`clear` on."""
        self._write_rules.append(self._replacement("replace_on_write", block, offset, data, nth, count, fix_crc))

    def redirect_read(self, block: int, to_block: int) -> None:
        """Deliver block ``to_block`` of the card, as it is then, whenever ``block`` is read."""
        self._need_card("redirect_read").read_block(to_block)
        self._read_rules.append(_Rule("redirect_read", block, to_block=to_block))

    def stuck_miso(self, value: int | None) -> None:
        """Hold MISO at ``value`` while CS is low; the first byte that differs from the card's leaves the evidence."""
        check_stuck_miso(value)
        self._stuck = value
        self._stuck_seen = False

    def cut_power_at_block_write(self, n: int, after_bytes: int = 0) -> None:
        """Cut the card's supply in the n-th block write from now, counted from 1.

        ``after_bytes`` 1..513: when so many bytes of data and CRC have passed; the old block stays. 514: right behind
        the CRC. 0: right behind the data response of the n-th block the card accepts. In both the card is programming,
        so the block is torn as the card's ``torn_bytes`` says.
        """
        self._need_card("cut_power_at_block_write")
        check_cut_at_block_write(n, after_bytes)
        already = self.write_starts if after_bytes else self.block_writes
        self._cut = _PowerCut(already + n, after_bytes)

    @property
    def removed(self) -> bool:
        """Nothing reaches the slave, MISO floats."""
        return self._removed

    @removed.setter
    def removed(self, value: bool) -> None:
        self._removed = bool(value)
        self._choose_wire()

    def reset_counters(self) -> None:
        #: bytes clocked with CS low
        self.count = 0
        #: blocks the card accepted
        self.block_writes = 0
        self.block_reads = 0
        #: start tokens of blocks sent to the card
        self.write_starts = 0
        #: bytes not recorded for want of room
        self.dropped = 0

    # wires -----------------------------------------------------------------------------------------------------
    def on_gpio(self, number: int, level: bool) -> None:
        """Input 0: chip select, active low; low counts only after the first high since power-up or MCU reset."""
        if number:
            return
        if level:
            self._cs_seen_high = True
            self._deselect()
        elif self._cs_seen_high and not self._selected:
            self._selected = True
            self._recorder.open(self.machine.clock.now_ns)
            self._forget_command()
        if self._slave is not None:
            self._slave.on_gpio(0, level)

    def transmit(self, mosi: int) -> int:
        """Clock one byte through the slave; returns the byte on MISO."""
        if not self._selected:
            return self._wire(mosi)
        self.count += 1
        if self._phase >= _WRITE_TOKEN:
            mosi = self._follow_write(mosi)
        elif mosi != 0xFF or self._frame:
            self._follow_command(mosi)
        miso = self._wire(mosi)
        if self._phase:
            miso = self._follow_answer(miso)
        if self._command:
            self._begin_command()
        if self._stuck is not None:
            miso = self._hold(miso)
        if self._recording:
            self._remember(bytes((mosi,)), bytes((miso,)))
        if self._cut_now:
            self._cut_power()
        return miso

    def _follow_answer(self, miso: int) -> int:
        """What the card says, and what is made of it."""
        phase = self._phase
        if phase == _READ_DATA:
            at = self._at
            if self._alteration is not None:
                miso = self._alteration.change(at, miso)
            self._at = at = at + 1
            if at == self._read_end:
                self._end_of_read()
            else:
                self._tell_ahead()
        elif phase == _READ_TOKEN:
            if miso == START_BLOCK:
                self._begin_read()
        elif phase == _WRITE_RESPONSE:
            self._follow_response(miso)
        return miso

    def _tell_ahead(self) -> None:
        """The rest of a data packet passes as it is, if nobody writes it down or does something to it."""
        card = self._card
        if card is None or self._alteration is not None or self._stuck is not None or self._cut is not None \
                or self._removed:
            return
        if self._phase == _READ_DATA:
            told = card.ahead(self._read_end - self._at)
        else:  # the byte that is being passed on reaches the card behind this
            told = b"\xFF" * min(card.room - 1, BLOCK_SIZE + _CRC_SIZE - 1 - self._at)
        if told:
            self.on_ahead(told, self._phase == _WRITE_DATA)

    def passed(self, count: int, mosi: bytes) -> None:
        """Bytes of a data packet went through that were told ahead."""
        assert self._card is not None
        self.count += count
        self._at += count
        if self._phase == _WRITE_DATA:
            self._card.take(mosi)
            miso = b"\xFF" * count
        else:
            mosi = b"\xFF" * count
            miso = self._card.passed(count)
            if self._at == self._read_end:
                self._end_of_read()
        if self._recording:
            self._remember(mosi, miso)

    def peek(self) -> int:
        """What :meth:`transmit` returns next: for a master that clocks single bits."""
        if self._stuck is not None:
            return self._stuck
        connected = self._slave is not None and not self._removed
        miso = peek(self._slave if connected else None, self.floating_level)
        if self._phase == _READ_DATA and self._alteration is not None:
            miso = self._alteration.would_be(self._at, miso)
        return miso

    def _choose_wire(self) -> None:
        connected = self._slave is not None and not self._removed
        self._wire = self._slave.transmit if connected and isinstance(self._slave, SpiSlave) else self._floating

    def _floating(self, mosi: int) -> int:
        return self.floating_level

    def _deselect(self) -> None:
        if self._selected:
            self._selected = False
            self._recorder.close()
        self._forget_command()

    def _forget_command(self) -> None:
        self._end_of_alteration()
        self._phase = _IDLE
        self._many = False
        self._frame.clear()
        self._command = b""

    # following the protocol ------------------------------------------------------------------------------------
    def _follow_command(self, mosi: int) -> None:
        frame = self._frame
        if frame or mosi & 0xC0 == 0x40:
            frame.append(mosi)
            if len(frame) == 6:
                self._command = bytes(frame)
                frame.clear()

    def _begin_command(self) -> None:
        index, argument = self._command[0] & 0x3F, int.from_bytes(self._command[1:5], "big")
        self._command = b""
        self._end_of_alteration()
        by_block = self._card.high_capacity if self._card is not None else self.block_addressing
        self._block = argument if by_block else argument // BLOCK_SIZE
        self._many = index in (18, 25)
        self._phase = _READ_TOKEN if index in (17, 18) else _WRITE_TOKEN if index in (24, 25) else _IDLE

    def _begin_read(self) -> None:
        self._phase = _READ_DATA
        self._at = 0
        self._read_end = self.block_length + _CRC_SIZE
        self._reads[self._block] += 1
        if self._read_rules:
            self._arm(self._read_rules, "read", self._reads[self._block], self.block_length)

    def _end_of_read(self) -> None:
        self._end_of_alteration()
        self.block_reads += 1
        self._block += 1
        self._phase = _READ_TOKEN if self._many else _IDLE

    def _follow_write(self, mosi: int) -> int:
        """MOSI from a write command on; returns what the card gets."""
        phase = self._phase
        if phase == _WRITE_DATA:
            if self._alteration is not None:
                mosi = self._alteration.change(self._at, mosi)
            self._at += 1
            self._tell_ahead()
            cut = self._cut
            if cut is not None and self._at == cut.packet_bytes and self.write_starts == cut.write:
                self._cut_now = True
            if self._at == BLOCK_SIZE + _CRC_SIZE:
                self._end_of_alteration()
                self._phase = _WRITE_RESPONSE
        elif phase == _WRITE_TOKEN:
            if self._frame:
                self._follow_command(mosi)
            elif mosi in (START_BLOCK, START_BLOCK_MULTIPLE):
                self._begin_write()
            elif mosi == STOP_TRANSMISSION:
                self._phase = _IDLE
            else:
                self._follow_command(mosi)
        return mosi

    def _begin_write(self) -> None:
        self._phase = _WRITE_DATA
        self._at = 0
        self.write_starts += 1
        self._writes[self._block] += 1
        if self._write_rules:
            self._arm(self._write_rules, "write", self._writes[self._block], BLOCK_SIZE)
        if self._cut is not None:
            self._cut.before = self._on_medium(self._block)

    def _follow_response(self, miso: int) -> None:
        """The data response (7.3.3.1) ends a block."""
        if miso & 0x11 != 0x01:
            return
        if miso & 0x1F == 0x05:
            self.block_writes += 1
            self._block += 1
            cut = self._cut
            if cut is not None and not cut.packet_bytes and self.block_writes == cut.write:
                self._cut_now = True
        self._phase = _WRITE_TOKEN if self._many else _IDLE

    # rules at work ---------------------------------------------------------------------------------------------
    def _replacement(self, name: str, block: int, offset: int, data: bytes, nth: int, count: int,
                     fix_crc: bool) -> _Rule:
        check_replace_block(name, block, offset, data, nth, count)
        return _Rule(name, block, offset, bytes(data), nth, count, fix_crc)

    def _arm(self, rules: list[_Rule], verb: str, access: int, length: int) -> None:
        armed = [rule for rule in rules if rule.matches(self._block, access)]
        if not armed:
            return
        redirected = b""
        for rule in armed:
            if rule.name == "redirect_read":
                redirected = self._on_medium(rule.to_block)
        self._alteration = _Alteration(armed, redirected, f"{verb} {access}", length)

    def _end_of_alteration(self) -> None:
        """Leave evidence of the bytes that were changed in the packet that ended, or was broken off."""
        alteration, self._alteration = self._alteration, None
        if alteration is None:
            return
        for rule in alteration.rules:
            redirect = rule.name == "redirect_read"
            part = slice(None) if redirect else slice(rule.offset, rule.offset + len(rule.data))
            before, after = bytes(alteration.original[part]), bytes(alteration.passed[part])
            if before != after:
                where = f"from block {rule.to_block}" if redirect else f"offset {rule.offset}"
                self._leave(rule.name, f"block {rule.block} {where} {alteration.place}", before, after)

    def _hold(self, miso: int) -> int:
        assert self._stuck is not None
        if miso != self._stuck and not self._stuck_seen:
            self._stuck_seen = True
            self._leave("stuck_miso", f"byte {self.count}", bytes((miso,)), bytes((self._stuck,)))
        return self._stuck

    def _cut_power(self) -> None:
        cut, self._cut, self._cut_now = self._cut, None, False
        card = self._need_card("cut_power_at_block_write")
        assert cut is not None
        block = self._block if cut.packet_bytes else self._block - 1
        card.power_cut()
        moment = f"after {cut.packet_bytes} bytes" if cut.packet_bytes else "data response"
        self._leave("cut_power_at_block_write", f"block {block} {moment}", cut.before, self._on_medium(block))

    def _leave(self, rule: str, place: str, before: bytes, after: bytes) -> None:
        self._fired.append(Fired("spi1", rule, self.machine.clock.now_ns, place, before, after))

    def _on_medium(self, block: int) -> bytes:
        """A block as it is on the card; nothing for a block beyond its end."""
        card = self._card
        return card.read_block(block) if card is not None and block < card.block_count else b""

    def _need_card(self, rule: str) -> SdCardSpi:
        if self._card is None:
            raise MediumError(f"SpiTap: {rule} needs an SD card behind the tap.")
        return self._card

    def _remember(self, mosi: bytes, miso: bytes) -> None:
        recorder = self._recorder
        fit = max(0, min(len(mosi), self.max_bytes - recorder.held))
        recorder.held += fit
        recorder.mosi += mosi[:fit]
        recorder.miso += miso[:fit]
        self.dropped += len(mosi) - fit
