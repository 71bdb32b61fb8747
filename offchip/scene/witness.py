# SPDX-License-Identifier: Apache-2.0
"""The debug port with a log that is kept by nobody who has an interest in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from offchip.engines.protocol import DebugPort
from offchip.errors import DebugAccessRefused

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class DebugRequest:
    """One request over SWD.

    ``what``: ``read``, ``write``, ``set-rdp`` or ``mass-erase``; ``address``: of memory, else the level asked for;
    ``refusal``: the port's words, '' when it did as asked; ``sha256``: of what it gave.
    """

    what: str
    address: int
    time_ns: int
    refusal: str = ""
    sha256: str = ""


class DebugWitness:
    """Passes everything on to the port as it is at that moment; ``requests`` is the log."""

    def __init__(self, port: Callable[[], DebugPort], now_ns: Callable[[], int]) -> None:
        self.requests: list[DebugRequest] = []
        self._port, self._now_ns = port, now_ns

    @property
    def rdp_level(self) -> int:
        return self._port().rdp_level

    @rdp_level.setter
    def rdp_level(self, level: int) -> None:
        raise AttributeError("the level is asked for by set_rdp")

    def read(self, address: int, length: int) -> bytes:
        """Raises DebugAccessRefused."""
        return self._ask("read", address, lambda: self._port().read(address, length))

    def write(self, address: int, data: bytes) -> None:
        """Raises DebugAccessRefused."""
        self._ask("write", address, lambda: self._port().write(address, data))

    def set_rdp(self, level: int) -> None:
        """Raises DebugAccessRefused."""
        self._ask("set-rdp", level, lambda: self._port().set_rdp(level))

    def mass_erase(self) -> None:
        """Raises DebugAccessRefused."""
        self._ask("mass-erase", 0, lambda: self._port().mass_erase())

    def _ask(self, what: str, address: int, act: Callable[[], _Result]) -> _Result:
        try:
            given = act()
        except DebugAccessRefused as refusal:
            self.requests.append(DebugRequest(what, address, self._now_ns(), str(refusal)))
            raise
        digest = hashlib.sha256(given).hexdigest() if isinstance(given, bytes) else ""
        self.requests.append(DebugRequest(what, address, self._now_ns(), "", digest))
        return given
