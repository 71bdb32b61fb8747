# SPDX-License-Identifier: Apache-2.0
"""One tap, two listeners: whoever holds the board, and a recorder he knows nothing of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from offchip.engines.protocol import Tap, Transfer

#: takes what crossed the bus, in order of time
Listener = Callable[[Transfer], None]


class _Ear:
    """One side. A tap that is asked in the middle of a transaction gives it in pieces, each with the time of its
    start: here they are put together again."""

    def __init__(self, listener: Listener, since_ns: int) -> None:
        self._listener, self._since_ns = listener, since_ns
        self._open: Transfer | None = None

    def hear(self, transfer: Transfer) -> None:
        if self._open is not None and not transfer.text and self._open.time_ns == transfer.time_ns:
            self._open = replace(self._open, mosi=self._open.mosi + transfer.mosi,
                                 miso=self._open.miso + transfer.miso)
            return
        self.settle()
        self._open = transfer

    def settle(self) -> None:
        if self._open is not None:
            # who began to listen in its middle knows nothing of its start
            self._listener(replace(self._open, time_ns=max(self._open.time_ns, self._since_ns)))
        self._open = None


class Probe:
    """Passes rules and evidence on to the tap; what was recorded is handed to each side that asked for it.

    Implements :class:`offchip.engines.protocol.Tap` beside everything else its tap offers.
    """

    def __init__(self, tap: Tap, now_ns: Callable[[], int]) -> None:
        self._tap, self._now_ns = tap, now_ns
        self._kept: list[Transfer] = []
        self._holder: _Ear | None = None
        self._recorder: _Ear | None = None
        self._recording = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tap, name)

    def record(self, on: bool = True) -> None:
        """Record for the holder of the board, from now on, or no longer."""
        self.pull()
        if not on and self._holder is not None:
            self._holder.settle()
            self._holder = None
        elif on and self._holder is None:
            self._holder = _Ear(self._kept.append, self._now_ns())
        self._record()

    def drain(self) -> list[Transfer]:
        """What was recorded since the last call while :meth:`record` was on."""
        self.pull()
        if self._holder is not None:
            self._holder.settle()
        kept = list(self._kept)
        self._kept.clear()
        return kept

    def listen(self, listener: Listener | None) -> None:
        """Hand every transfer to ``listener`` as well; None ends that."""
        self.settle()
        self._recorder = _Ear(listener, self._now_ns()) if listener is not None else None
        self._record()

    def pull(self) -> None:
        """Take what the tap holds, before it runs out of room."""
        for transfer in self._tap.drain():
            for ear in (self._holder, self._recorder):
                if ear is not None:
                    ear.hear(transfer)

    def settle(self) -> None:
        """Hand the listener everything, a transaction that is still under way included."""
        self.pull()
        if self._recorder is not None:
            self._recorder.settle()

    def _record(self) -> None:
        recording = self._holder is not None or self._recorder is not None
        if recording is not self._recording:  # a tap that is told again gives an open transaction another start
            self._recording = recording
            self._tap.record(recording)
