# SPDX-License-Identifier: Apache-2.0
"""What time it is for everybody on the laboratory's internet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: later than any virtual time
NEVER_NS = 1 << 62
#: what the world's clocks show at the first power-on, unless told otherwise
DEFAULT_START = datetime(2026, 6, 1, tzinfo=UTC)


class LabClock:
    """UTC = ``start`` + virtual time + an offset an attacker on the network may choose."""

    def __init__(self, start: datetime = DEFAULT_START) -> None:
        """``start`` must carry a time zone. Raises ValueError otherwise."""
        if start.tzinfo is None:
            raise ValueError("the start of laboratory time needs a time zone")
        self.start = start.astimezone(UTC)
        #: seconds by which the answers are wrong (negative: the clock is set back)
        self.offset_s = 0.0

    def utc(self, now_ns: int) -> datetime:
        """The time of day an honest or spoofed server tells at virtual time ``now_ns``."""
        return self.start + timedelta(seconds=self.offset_s, microseconds=now_ns // 1000)

    def true_utc(self, now_ns: int) -> datetime:
        """The same without the attacker's offset."""
        return self.start + timedelta(microseconds=now_ns // 1000)
