# SPDX-License-Identifier: Apache-2.0
"""What a peripheral knows of the next accesses to its registers, so that they need no call into Python.

Each access to a register is a call from Unicorn into Python, a hundred times dearer than an instruction, and drivers
poll. A peripheral may tell what the next looks at a register will show, or what the next frames of an SPI will bring;
``native/ahead.c`` answers them. Before anybody else acts (another access, an event, whoever looks from outside) the
peripheral is told how many there were, and is then in the state it would be in had it answered them itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from unicorn.unicorn_py3.unicorn import MMIO_READ_CFUNC, MMIO_WRITE_CFUNC

from offchip.engines.embedded.native import library

_SETTLE = ctypes.CFUNCTYPE(None)
_MOST = 0xFFFFFFFF


class _State(ctypes.Structure):
    """``struct ahead`` of native/ahead.c.

    ``activity`` grows with everything that may have changed more than registers and memory; from ``patience`` on each
    look at a register is kept and ends the slice behind it.
    """

    _fields_ = (("activity", ctypes.c_uint64), ("patience", ctypes.c_uint64),
                ("look_address", ctypes.c_uint32), ("look_width", ctypes.c_uint32), ("look_value", ctypes.c_uint32),
                ("look_left", ctypes.c_uint32), ("looked", ctypes.c_uint32),
                ("port", ctypes.c_uint32), ("status", ctypes.c_uint32), ("receive", ctypes.c_uint32),
                ("at", ctypes.c_uint32), ("end", ctypes.c_uint32),
                ("miso", ctypes.c_char_p), ("mosi", ctypes.c_void_p), ("settle", _SETTLE))


class _Window(ctypes.Structure):
    """``struct window`` of native/ahead.c."""

    _fields_ = (("ahead", ctypes.c_void_p), ("read", ctypes.c_void_p), ("write", ctypes.c_void_p),
                ("start", ctypes.c_uint32))


#: told how many frames passed, what was sent in them, and the SPI's status and receive register behind them
FramesPassed = Callable[[int, bytes, int, int], None]


class Ahead:
    """Of one machine: at most one register that is looked at, and one SPI."""

    def __init__(self) -> None:
        self.state = _State()
        self._library = library()
        self.native = self._library is not None
        #: whether to tell: the core runs, and somebody listens
        self.on = False
        self._looked: Callable[[int], None] = lambda count: None
        self._passed: FramesPassed = lambda count, mosi, status, receive: None
        self._mosi = ctypes.create_string_buffer(1024)
        self._keep: list[object] = []
        self._settle = _SETTLE(self.settle)
        self.state.settle = self._settle
        #: an exception cannot pass through C
        self.on_failure: Callable[[BaseException], None] = lambda error: None

    def callbacks(self, start: int, read: Callable[[int, int, int, int], int],
                  write: Callable[[int, int, int, int, int], None]) -> tuple[Any, Any, int]:
        """What to give to Unicorn for a window of registers: its read, its write, and the argument of both.

        ``read``, ``write``: asked about all that nobody told ahead.
        """
        state = self.state

        def counted_read(handle: int, offset: int, width: int, data: int) -> int:
            state.activity += 1
            return read(handle, offset, width, data)

        def counted_write(handle: int, offset: int, width: int, value: int, data: int) -> None:
            state.activity += 1
            write(handle, offset, width, value, data)

        if self._library is None:
            return MMIO_READ_CFUNC(counted_read), MMIO_WRITE_CFUNC(counted_write), 0
        reader, writer = MMIO_READ_CFUNC(read), MMIO_WRITE_CFUNC(write)
        window = _Window(ctypes.addressof(state), ctypes.cast(reader, ctypes.c_void_p),
                         ctypes.cast(writer, ctypes.c_void_p), start)
        self._keep += [reader, writer, window]
        return (ctypes.cast(self._library.ahead_read, MMIO_READ_CFUNC),
                ctypes.cast(self._library.ahead_write, MMIO_WRITE_CFUNC), ctypes.addressof(window))

    def looks(self, address: int, width: int, value: int, times: int, looked: Callable[[int], None]) -> None:
        """At least the next ``times`` reads of ``width`` bytes at ``address`` show ``value``, if nothing else happens.

        Asked for inside an access. ``looked``: told how many there were.
        """
        state = self.state
        state.look_width, state.look_value, state.look_left, state.looked = width, value, min(times, _MOST), 0
        state.look_address = address
        self._looked = looked

    def frames(self, port: int, status: int, receive: int, miso: bytes, heard: bool, passed: FramesPassed) -> None:
        """The SPI at ``port`` gets these bytes in its next frames, if nothing else happens. Asked for inside an access.

        Args:
            status: its SR, of which only RXNE changes.
            receive: its receive register.
            heard: what is sent is told; else only 0xFF is sent, or this ends.
        """
        state = self.state
        state.status, state.receive, state.at, state.end, state.miso = status, receive, 0, len(miso), miso
        state.mosi = ctypes.addressof(self._mosi) if heard else None
        self._passed = passed
        state.port = port

    def settle(self) -> None:
        """Tell the peripherals what happened; nothing is known ahead from now on."""
        state = self.state
        try:
            if state.look_address:
                state.look_address = state.look_left = 0
                if state.looked:
                    self._looked(state.looked)
            if state.port:
                state.port = 0
                count = state.at
                self._passed(count, self._mosi.raw[:count] if state.mosi else b"", state.status, state.receive)
        except BaseException as error:
            self.on_failure(error)
