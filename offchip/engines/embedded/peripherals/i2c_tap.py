# SPDX-License-Identifier: Apache-2.0
"""Probe and man in the middle on the I2C wires; twin of ``I2cTap.cs``, with the rules of the engine protocol's I2cTap.

A transaction is recorded in the short form of bus analysers: ``S`` START, ``Sr`` repeated START, bytes in hexadecimal
followed by ``+`` (acknowledged) or ``-``, ``P`` STOP, ``X`` when the master vanished without a STOP.
"""

from __future__ import annotations

from collections import deque

from offchip.chip_map import EEPROM_SIZE as MEMORY_SIZE
from offchip.engines.embedded.peripheral import Machine, model
from offchip.engines.embedded.peripherals.i2c import I2cBus, I2cProbe
from offchip.engines.protocol import Fired, Transfer
from offchip.engines.tap_rules import check_cut_after, check_drop_address, check_replace, check_replace_at

BUS_NAME = "i2c1"
_CONDITIONS = {"S": "S", "s": "Sr", "P": "P", "X": "X"}
_BEGINS, _ENDS = "Ss", "PX"


def data_bytes(text: str) -> tuple[bytes, bytes]:
    """The bytes of a transaction in the short form: (written by the master, read by the master).

    The address bytes of I2C itself are left out; the memory address of an EEPROM is among the bytes written.
    """
    written, read = bytearray(), bytearray()
    direction: bytearray | None = None  # None: the next byte is the address byte
    for word in text.split():
        if word in ("S", "Sr"):
            direction = None
        elif word not in ("P", "X"):
            value = int(word[:2], 16)
            if direction is None:
                direction = read if value & 1 else written
            else:
                direction.append(value)
    return bytes(written), bytes(read)


@model("Offchip.I2cTap")
class I2cTap(I2cProbe):
    """The tap. Belongs to the bench, not to the board: resets and the supply leave it alone.

    Args:
        capacity: events kept; the oldest are lost.

    Attributes:
        count: bus events seen, recorded or not.
        lost: events that fell out of the full record.
        skip_polls: keep transactions of one refused address (ACK polling) out of the record; ``skipped_polls`` counts.

    Raises:
        ValueError: no capacity.
        MediumError: a rule with an impossible argument.
    """

    def __init__(self, machine: Machine, capacity: int = 65536) -> None:
        super().__init__(machine)
        if capacity < 1:
            raise ValueError("capacity must be positive")
        self.count = 0
        self.lost = 0
        self.skip_polls = False
        self.skipped_polls = 0
        self._wires: I2cBus | None = None
        self._recording = False
        self._events: deque[tuple[str, int, bool, int]] = deque(maxlen=capacity)  # kind, value, ack, time
        self._memory = 0  # the memory address the next data byte is about, as a 24xx256 counts it
        self.clear()

    # engine protocol -------------------------------------------------------------------------------------------
    def record(self, on: bool = True) -> None:
        self._recording = on

    def drain(self) -> list[Transfer]:
        """The finished transactions recorded since the last call; one still on the wires stays for the next."""
        transfers: list[Transfer] = []
        words: list[str] = []
        start_ns = 0
        open_events: list[tuple[str, int, bool, int]] = []
        for event in self._events:
            kind, value, ack, time_ns = event
            if not words:
                if kind not in _BEGINS:
                    continue  # the record began, or lost events, in the middle of a transaction
                start_ns = time_ns
            open_events.append(event)
            words.append(_CONDITIONS.get(kind) or f"{value:02X}{'+' if ack else '-'}")
            if kind in _ENDS:
                text = " ".join(words)
                written, read = data_bytes(text)
                transfers.append(Transfer(BUS_NAME, start_ns, written, read, text))
                words, open_events = [], []
        self._events.clear()
        self._events.extend(open_events)
        return transfers

    def fired(self) -> list[Fired]:
        return list(self._fired)

    def clear(self) -> None:
        """Forget rules and evidence; recorded transactions stay."""
        self._fired: list[Fired] = []
        self._replacements: dict[tuple[str, int], int] = {}
        self._at: dict[int, list[int]] = {}  # memory address: value, first read it is for, reads so far
        self._dropped: int | None = None
        self._drop_seen = False
        self.hold_sda(False)
        self._cut_at = 0

    def replace(self, index: int, value: int, on_read: bool) -> None:
        """Replace data byte ``index`` of every transfer in that direction; each index has a rule of its own.

        When the master writes, index 0 and 1 are the memory address.
        """
        check_replace(index, value)
        self._replacements["R" if on_read else "W", index] = value

    def replace_at(self, offset: int, value: int, nth: int = 1) -> None:
        """Replace the byte read from this memory address, from its nth read on."""
        check_replace_at(offset, value, nth)
        self._at[offset] = [value, nth, 0]

    def drop_address(self, address: int | None) -> None:
        """Let ``address`` go unacknowledged; the first refusal leaves the evidence, as polling refuses thousands."""
        check_drop_address(address)
        self._dropped = address
        self._drop_seen = False

    def hold_sda(self, held: bool = True) -> None:
        """Hold SDA low, or let go; what is held up first leaves the evidence."""
        freed = self.holds_sda and not held
        self.holds_sda, self._hold_seen = held, False
        if freed and self._wires is not None:
            self._wires.on_free()

    def cut_power_after(self, events: int) -> None:
        """Take the supply from every device on the bus when so many events from now have happened.

        Events are START, each byte and STOP; a cut after the STOP of a write tears it. The supply stays away until
        power-on.
        """
        check_cut_after(events)
        self._cut_at = self.count + events

    # on the wires ------------------------------------------------------------------------------------------------
    def attached(self, bus: I2cBus) -> None:
        self._wires = bus

    def passes_address(self, value: int) -> bool:
        if value >> 1 != self._dropped:
            return True
        if not self._drop_seen:
            self._drop_seen = True
            self._evidence("drop_address", f"address 0x{value >> 1:02X}", bytes([value]), b"")
        return False

    def held_up(self, what: str) -> None:
        if not self._hold_seen:
            self._hold_seen = True
            self._evidence("hold_sda", what, b"\xFF", b"\x00")

    def filter(self, kind: str, address: int, index: int, value: int) -> int:
        if (replaced := self._replacements.get((kind, index))) is not None:
            if replaced != value:
                way = "read" if kind == "R" else "write"
                self._evidence("replace", f"address 0x{address:02X} {way} byte {index}", bytes([value]),
                               bytes([replaced]))
        else:
            replaced = self._by_memory(address, value) if kind == "R" and self._at else value
        self._follow(kind, index, replaced)
        return replaced

    def _by_memory(self, address: int, value: int) -> int:
        """What is read instead of ``value`` at the memory address that is next."""
        rule = self._at.get(self._memory)
        if rule is None:
            return value
        rule[2] += 1
        replaced, nth, reads = rule
        if reads < nth:
            return value
        if replaced != value:
            self._evidence("replace_at", f"address 0x{address:02X} memory byte {self._memory}", bytes([value]),
                           bytes([replaced]))
        return replaced

    def _follow(self, kind: str, index: int, value: int) -> None:
        """Keep the memory address in step: two bytes written set it, every other byte moves it on."""
        if kind == "W" and index == 0:
            self._memory = value << 8
        elif kind == "W" and index == 1:
            self._memory = self._memory & 0xFF00 | value
        else:
            self._memory += 1
        self._memory %= MEMORY_SIZE

    def event(self, kind: str, value: int, ack: bool) -> None:
        self.count += 1
        if self._recording:
            self._record_event(kind, value, ack)
        if self.count == self._cut_at:
            self._cut(kind)

    def _record_event(self, kind: str, value: int, ack: bool) -> None:
        events = self._events
        if self.skip_polls and kind == "P" and len(events) >= 2:
            (before, *_), (last, _, acknowledged, _) = events[-2], events[-1]
            if before == "S" and last == "A" and not acknowledged:
                events.pop()
                events.pop()
                self.skipped_polls += 1
                return
        if len(events) == events.maxlen:
            self.lost += 1
        events.append((kind, value, ack, self.machine.clock.now_ns))

    def _cut(self, kind: str) -> None:
        for device in self._wires.devices.values() if self._wires is not None else ():
            device.power_off()
        self._evidence("cut_power_after", f"event {self.count} ({_CONDITIONS.get(kind, kind)})", b"", b"")

    def _evidence(self, rule: str, place: str, before: bytes, after: bytes) -> None:
        self._fired.append(Fired(BUS_NAME, rule, self.machine.clock.now_ns, place, before, after))
