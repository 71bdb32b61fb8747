# SPDX-License-Identifier: Apache-2.0
"""Virtual time: a queue of events on a cycle counter. Nothing here knows about the host's clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Event:
    """A scheduled callback; :meth:`cancel` is cheap and may be called twice."""

    __slots__ = ("callback", "cycle")

    def __init__(self, cycle: int, callback: Callable[[], None]) -> None:
        self.cycle = cycle
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    @property
    def pending(self) -> bool:
        return self.callback is not None


class Clock:
    """Counts CPU cycles; one instruction is one cycle at ``frequency`` Hz (as Renode's PerformanceInMips has it).

    ``now`` is exact even inside a bus access: while the core runs, the core supplies the cycles of the running slice
    through ``slice_position``.
    """

    def __init__(self, frequency: int) -> None:
        self.frequency = frequency
        self._base = 0
        self._queue: list[tuple[int, int, Event]] = []
        self._order = count()
        self.fired = 0  # events so far
        self.slice_position: Callable[[], int] = lambda: 0
        self.on_earlier: Callable[[int], None] = lambda cycle: None

    @property
    def cycles(self) -> int:
        return self._base + self.slice_position()

    @property
    def now_ns(self) -> int:
        return self.ns_of(self.cycles)

    def ns_of(self, cycle: int) -> int:
        """When that cycle begins, in nanoseconds, rounded down."""
        return cycle * 1_000_000_000 // self.frequency

    def cycles_of(self, ns: int) -> int:
        """Cycles in ``ns`` nanoseconds, rounded up so that nothing happens early."""
        return -(-ns * self.frequency // 1_000_000_000)

    def after(self, ns: int, callback: Callable[[], None]) -> Event:
        """Call ``callback`` when ``ns`` nanoseconds have passed (at least one cycle from now)."""
        return self.after_cycles(max(1, self.cycles_of(ns)), callback)

    def after_cycles(self, cycles: int, callback: Callable[[], None]) -> Event:
        event = Event(self.cycles + cycles, callback)
        heapq.heappush(self._queue, (event.cycle, next(self._order), event))
        self.on_earlier(event.cycle)
        return event

    # for the core ------------------------------------------------------------------------------------------------
    def next_event(self) -> int | None:
        """Cycle of the next live event, or None."""
        queue = self._queue
        while queue and queue[0][2].callback is None:
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def advance(self, cycles: int) -> None:
        """Move time; the core calls it between slices, so ``slice_position`` is zero then."""
        self._base += cycles

    def go_back(self, cycle: int) -> None:
        """Return to an earlier time, or to a later one; whoever asks has put the events back."""
        self._base = cycle

    def fire_due(self) -> None:
        """Run everything due by now, in order of time, then of scheduling."""
        queue = self._queue
        while queue and queue[0][0] <= self._base:
            event = heapq.heappop(queue)[2]
            callback, event.callback = event.callback, None
            self.fired += 1
            if callback is not None:
                callback()
