# SPDX-License-Identifier: Apache-2.0
"""Renode's log: reading it while it grows, and what of it concerns the firmware."""

from __future__ import annotations

import re
from pathlib import Path

#: the time stamp is of 1.16.1, of master with one kind of time or both, or switched off
_LINE = re.compile(r"^(?:\[[^\]]*\d[^\]]*\]|[\d:.]+)?\s*\[(?P<level>WARNING|ERROR)\] (?:\(\d+\) )?"
                   r"(?P<where>[^:\s]+): (?P<text>.*)$")
_NOBODY = re.compile(r"^\[\S+: 0x(?P<pc>[0-9A-Fa-f]+)\] (?P<text>(?:Read|Write)\w* (?:from|to) non existing "
                     r"peripheral at 0x(?P<address>[0-9A-Fa-f]+).*)$")
_UNHANDLED = re.compile(r"^(?:\[\S+: 0x(?P<pc>[0-9A-Fa-f]+)\] )?Unhandled (?:read from|write to) offset "
                        r"0x(?P<offset>[0-9A-Fa-f]+)(?!.*Unhandled bits)(?:.* value 0x(?P<value>[0-9A-Fa-f]+))?")
_ABORT = re.compile(r"CPU abort|PC does not lay in memory")
#: size of the register block on the chip (RM0090). A warning of one of Renode's own models about an offset inside it is
#: a gap of that model, not a mistake of the driver.
_REGISTERS = {"rcc": 0x90, "pwr": 0x08, "rtc": 0xA0, "iwdg": 0x10, "syscfg": 0x24, "exti": 0x18, "usart1": 0x1C,
              "usart2": 0x1C, "gpioa": 0x28, "gpiob": 0x28, "gpioc": 0x28, "gpiod": 0x28, "nvic": 0x1000, "dwt": 0x1000}
#: such a gap that changes what the firmware is: SYSCFG_MEMRMP (RM0090 9.2.1) written with another mode than flash at 0
_TOLD_WHEN_SET = {("syscfg", 0x00)}


class LogReader:
    """Whole new lines of a file that another writes."""

    def __init__(self, file: Path) -> None:
        self._file, self._read = file, 0

    def fresh(self) -> list[str]:
        """What was written since the last call."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._read)
            fresh = stream.read()
        whole = fresh[:fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


def is_abort(line: str) -> bool:
    """The core left the memories: it will execute nothing more, and time stands still for ever."""
    return "[ERROR]" in line and "CPU abort" in line


def parse_log_line(line: str) -> tuple[str, str, str, int, int] | None:
    """(kind, where, message, pc, address) of a line of Renode's log that concerns the firmware, else None."""
    found = _LINE.match(line)
    if found is None:
        return None
    where, text = found["where"].rsplit("/", 1)[-1], found["text"]
    nobody = _NOBODY.match(text)
    if nobody:
        return "unmodelled", where, nobody["text"], int(nobody["pc"], 16), int(nobody["address"], 16)
    unhandled = _UNHANDLED.match(text)
    if unhandled:
        offset = int(unhandled["offset"], 16)
        told = (where, offset) in _TOLD_WHEN_SET and int(unhandled["value"] or "0", 16) != 0
        if offset < _REGISTERS.get(where, 0) and not told:
            return None
        return "unmodelled", where, text, int(unhandled["pc"] or "0", 16), offset
    if where == "cpu" and _ABORT.search(text):
        return "lockup", where, text, 0, 0
    if where == "i2c1" and found["level"] == "WARNING":  # Stm32F4I2c.cs: the rules of RM0090 chapter 27
        kind = "unmodelled" if "unknown register" in text or "not modelled" in text else "violation"
        return kind, where, text, 0, 0
    return None
