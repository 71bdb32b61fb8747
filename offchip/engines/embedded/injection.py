# SPDX-License-Identifier: Apache-2.0
"""Faults put into a running board by rule: the supply cut at a storage event, an instruction skipped, bits flipped."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.thumb import in_it_block, instruction_length
from offchip.engines.embedded.unicorn_core import REGISTERS, End, UnicornCore
from offchip.engines.protocol import Fired, Operation, StorageEvent, Tear, TornRest
from offchip.errors import EngineError


@dataclass(slots=True)
class _Skip:
    address: int
    occurrence: int
    count: int
    instruction: bytes
    in_it_block: bool  # the core cannot stop there: the instruction is replaced by a NOP for the time being
    seen: int = 0
    replaced: bool = False

    def hits(self, occurrence: int) -> bool:
        return occurrence >= self.occurrence and (not self.count or occurrence < self.occurrence + self.count)


@dataclass(frozen=True, slots=True)
class _Flip:
    """``apply`` returns (place, before, after)."""

    rule: str
    at: int
    apply: Callable[[], tuple[str, bytes, bytes]]


class Injector:
    """Rules and evidence of one board (engine protocol: FaultInjector).

    Args:
        core: whose instructions and registers are touched.
        clock: for the time in the evidence.
        executed: instructions executed so far.
        read, write: memory by the back door.
    """

    def __init__(self, core: UnicornCore, clock: Clock, executed: Callable[[], int],
                 read: Callable[[int, int], bytes], write: Callable[[int, bytes], None]) -> None:
        self._core, self._clock = core, clock
        self._executed = executed
        self._read, self._write = read, write
        self._events: Counter[StorageEvent] = Counter()
        self._watcher: Callable[[Operation], Tear | None] | None = None
        self._cuts: list[tuple[StorageEvent, int, Tear]] = []
        self._skips: dict[int, list[_Skip]] = {}
        self._stops: dict[int, int] = {}  # address -> arrivals to go
        self.arrived: int | None = None  # where the machine has stopped
        self._flips: list[_Flip] = []
        self._fired: list[Fired] = []
        self.supply_lost = False  # the machine takes it down behind the instruction
        core.before_watched = self._before

    # rules -----------------------------------------------------------------------------------------------------
    def cut_power(self, event: StorageEvent, nth: int = 1, done: int = -1, rest: TornRest = "old") -> None:
        if nth < 1 or done < -1:
            raise EngineError(f"cut_power takes nth from 1 and done from -1, not {nth} and {done}")
        self._cuts.append((event, self._events[event] + nth, Tear(done, rest)))

    def skip_instruction(self, address: int, occurrence: int = 1, count: int = 1) -> None:
        if occurrence < 1 or count < 0 or address & 1:
            raise EngineError(f"skip_instruction takes an even address, occurrence from 1 and count from 0, not "
                              f"0x{address:X}, {occurrence}, {count}")
        instruction = self._read(address, instruction_length(self._read(address, 2)))
        skip = _Skip(address, occurrence, count, instruction, in_it_block(self._peek, address))
        self._skips.setdefault(address, []).append(skip)
        self._replace(skip)
        self._core.watch(address)

    def flip_register(self, register: str, mask: int, at_instruction: int) -> None:
        if register not in REGISTERS:
            raise EngineError(f'there is no register "{register}" to flip; take one of {", ".join(sorted(REGISTERS))}')

        def flip() -> tuple[str, bytes, bytes]:
            (before,) = self._core.get(register)
            if register == "pc":
                self._core.pc = before ^ mask
            else:
                self._core.set(register, before ^ mask)
            return register, before.to_bytes(4, "big"), ((before ^ mask) & 0xFFFFFFFF).to_bytes(4, "big")

        self._add_flip(_Flip("flip_register", at_instruction, flip))

    def flip_memory(self, address: int, mask: int, at_instruction: int) -> None:
        if not 0 < mask < 0x100:
            raise EngineError(f"flip_memory changes bits of one byte; the mask must be 1..0xFF, not 0x{mask:X}")

        def flip() -> tuple[str, bytes, bytes]:
            before = self._read(address, 1)
            after = bytes([before[0] ^ mask])
            self._write(address, after)
            return f"0x{address:08X}", before, after

        self._add_flip(_Flip("flip_memory", at_instruction, flip))

    def _add_flip(self, flip: _Flip) -> None:
        if flip.at < self._executed():
            raise EngineError(f"{flip.rule} at instruction {flip.at} is in the past: {self._executed()} were executed")
        bisect.insort(self._flips, flip, key=lambda each: each.at)

    def events(self, event: StorageEvent) -> int:
        return self._events[event]

    def watch_storage(self, watcher: Callable[[Operation], Tear | None] | None) -> None:
        self._watcher = watcher

    def fired(self) -> list[Fired]:
        return list(self._fired)

    def clear(self) -> None:
        self._cuts.clear()
        self._flips.clear()
        self._fired.clear()
        for address, skips in self._skips.items():
            self._core.unwatch(address)
            for skip in skips:
                if skip.replaced:
                    self._write(address, skip.instruction)
        self._skips.clear()

    # for the models ----------------------------------------------------------------------------------------------
    def storage_event(self, operation: Operation) -> Tear | None:
        """One more of these begins. Returns how it is torn when the supply is lost in it."""
        event = operation.event
        self._events[event] += 1
        tear = self._watcher(operation) if self._watcher is not None else None
        for rule in self._cuts:
            if tear is None and rule[:2] == (event, self._events[event]):
                self._cuts.remove(rule)
                tear = rule[2]
                break
        if tear is not None:
            self.supply_lost = True
            self._core.stop_soon()
        return tear

    def leave(self, rule: str, place: str, before: bytes, after: bytes, where: str = "supply") -> None:
        """Evidence of what a rule did."""
        self._fired.append(Fired(where, rule, self._clock.now_ns, place, before, after))

    # for the core ------------------------------------------------------------------------------------------------
    def instructions_left(self, distance: int) -> int:
        """How far the core may run before a flip is due."""
        return min(distance, self._flips[0].at - self._executed()) if self._flips else distance

    def apply_due(self) -> None:
        """Flip what is due at this instruction."""
        while self._flips and self._flips[0].at <= self._executed():
            flip = self._flips.pop(0)
            self.leave(flip.rule, *flip.apply(), where="core")
        for skips in self._skips.values():
            for skip in skips:
                self._replace(skip)

    def stop_before(self, address: int, occurrence: int = 1) -> None:
        """Stop the machine, ``arrived`` set, before the instruction at ``address`` is executed for the
        ``occurrence``-th time from now; once."""
        self._stops[address] = occurrence
        self._core.watch(address)

    def arrive(self) -> None:
        """The core stands where it was told to stop."""
        self.arrived = self._core.pc

    def forget_stops(self) -> None:
        """Wait for no instruction any longer."""
        self._stops.clear()
        for address in [each for each in self._core.watched if each not in self._skips]:
            self._core.unwatch(address)

    def _before(self, address: int) -> End | None:
        """The core is about to execute a watched instruction: is it to stop there, to skip it?"""
        if address in self._stops:
            self._stops[address] -= 1
            if not self._stops[address]:
                del self._stops[address]
                self.arrived = address
                return End.ARRIVED
        stop = False
        for skip in self._skips.get(address, ()):
            skip.seen += 1
            if skip.hits(skip.seen):
                self.leave("skip_instruction", f"0x{address:08X} occurrence {skip.seen}", skip.instruction, b"",
                           where="core")
                stop |= not skip.in_it_block
            if skip.replaced != (skip.in_it_block and skip.hits(skip.seen + 1)):
                self._core.stop_soon()
        return End.SKIP if stop else None

    def _peek(self, address: int, length: int) -> bytes:
        try:
            return self._read(address, length)
        except EngineError:
            return b""

    def _replace(self, skip: _Skip) -> None:
        """Have a NOP there, or the instruction, whatever the next occurrence is to be."""
        wanted = skip.in_it_block and skip.hits(skip.seen + 1)
        if wanted != skip.replaced:
            skip.replaced = wanted
            nop = {2: b"\x00\xbf", 4: b"\xaf\xf3\x00\x80"}[len(skip.instruction)]
            self._write(skip.address, nop if wanted else skip.instruction)
