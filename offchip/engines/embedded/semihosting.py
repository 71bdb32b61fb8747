# SPDX-License-Identifier: Apache-2.0
"""Semihosting (Arm, "Semihosting for AArch32 and AArch64", 2.0): BKPT 0xAB as a debugger answers it.

Console, exit code, time and errors. The host's files are not served: opening one fails, as on a host that has none.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from offchip.engines.embedded.cortex_m import CortexM
from offchip.engines.embedded.peripheral import Machine
from offchip.errors import EngineError

BKPT_SEMIHOSTING = 0xBEAB
CONSOLE = "semihosting"  # what its output is called among the UARTs
FAILED = 0xFFFFFFFF
ENOSYS = 38
ADP_STOPPED_APPLICATION_EXIT = 0x20026
_LONGEST = 1 << 16


class Semihosting:
    """The debugger's side.

    Attributes:
        exit_code: what the program ended itself with; None: it has not.
    """

    def __init__(self, machine: Machine, cpu: CortexM) -> None:
        self._machine, self._cpu = machine, cpu
        self._core = cpu.core
        self.exit_code: int | None = None
        self.input: deque[int] = deque()
        self._operations: dict[int, Callable[[int], int]] = {
            0x01: self._open, 0x02: lambda block: 0, 0x03: self._write_character, 0x04: self._write_text,
            0x05: self._write, 0x06: self._read, 0x07: lambda block: self.input.popleft() if self.input else FAILED,
            0x08: lambda block: int(self._word(block) not in (0, FAILED)), 0x09: lambda block: 1,
            0x0A: lambda block: FAILED, 0x0C: lambda block: 0, 0x0D: lambda block: FAILED, 0x0E: lambda block: FAILED,
            0x0F: lambda block: FAILED, 0x10: lambda block: machine.clock.now_ns // 10_000_000,
            0x11: lambda block: machine.clock.now_ns // 1_000_000_000, 0x12: lambda block: FAILED,
            0x13: lambda block: ENOSYS, 0x15: self._command_line, 0x16: self._heap, 0x18: self._exit,
            0x20: self._exit_extended, 0x30: self._elapsed, 0x31: lambda block: machine.clock.frequency}

    def breakpoint(self) -> None:
        """The core stands at a BKPT."""
        pc = self._core.pc
        if self._machine.read_bytes(pc, 2) != BKPT_SEMIHOSTING.to_bytes(2, "little"):
            self._cpu.is_halted = True
            self._machine.report("fault", self._cpu.path, f"BKPT at 0x{pc:08X}: the debugger has the core now")
            return
        operation, block = self._core.get("r0", "r1")
        answer = self._operations.get(operation, self._unknown)
        try:
            self._core.set("r0", answer(block))
        except EngineError:
            self._core.set("r0", FAILED)
        if self.exit_code is None:
            self._core.skip()
        else:
            self._cpu.is_halted = True

    def _unknown(self, block: int) -> int:
        operation = self._core.get("r0")[0]
        self._machine.report("unmodelled", CONSOLE, f"operation 0x{operation:X}")
        return FAILED

    # memory ----------------------------------------------------------------------------------------------------
    def _word(self, address: int) -> int:
        return int.from_bytes(self._machine.read_bytes(address, 4), "little")

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._machine.read_bytes(address, 4 * count))

    def _text(self, address: int) -> bytes:
        found = bytearray()
        while len(found) < _LONGEST and (byte := self._machine.read_bytes(address + len(found), 1)) != b"\0":
            found += byte
        return bytes(found)

    def _say(self, data: bytes) -> None:
        for byte in data:
            self._machine.uart_output(CONSOLE, byte)

    # operations ------------------------------------------------------------------------------------------------
    def _open(self, block: int) -> int:
        name, mode, length = self._words(block, 3)
        console = self._machine.read_bytes(name, min(length, _LONGEST)) == b":tt"
        return (1 if mode < 4 else 2 if mode < 8 else 3) if console else FAILED

    def _write_character(self, block: int) -> int:
        self._say(self._machine.read_bytes(block, 1))
        return 0

    def _write_text(self, block: int) -> int:
        self._say(self._text(block))
        return 0

    def _write(self, block: int) -> int:
        handle, data, length = self._words(block, 3)
        if handle not in (1, 2, 3):
            return length
        self._say(self._machine.read_bytes(data, min(length, _LONGEST)))
        return max(0, length - _LONGEST)

    def _read(self, block: int) -> int:
        _, place, length = self._words(block, 3)
        taken = bytes(self.input.popleft() for _ in range(min(length, len(self.input))))
        if taken:
            self._machine.write_bytes(place, taken)
        return length - len(taken)

    def _command_line(self, block: int) -> int:
        place, length = self._words(block, 2)
        if not length:
            return FAILED
        self._machine.write_bytes(place, b"\0")
        self._machine.write_bytes(block + 4, bytes(4))
        return 0

    def _heap(self, block: int) -> int:
        self._machine.write_bytes(self._word(block), bytes(16))  # the program's own limits hold
        return 0

    def _elapsed(self, block: int) -> int:
        self._machine.write_bytes(block, self._machine.clock.cycles.to_bytes(8, "little"))
        return 0

    def _exit(self, block: int) -> int:
        """AArch32's SYS_EXIT names a reason and no code: everything but the ordinary end is a failure."""
        self.exit_code = 0 if block == ADP_STOPPED_APPLICATION_EXIT else 1
        return 0

    def _exit_extended(self, block: int) -> int:
        reason, code = self._words(block, 2)
        self.exit_code = code & 0xFF if reason == ADP_STOPPED_APPLICATION_EXIT else 1
        return 0
