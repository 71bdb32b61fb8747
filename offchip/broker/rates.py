# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Core's limits per second, by the broker's clock (AWS general reference, "AWS IoT Core quotas")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from offchip.broker.profile import Profile

_WINDOW = timedelta(seconds=1)
#: counters that are remembered
_MOST = 10_000


class Rates:
    """Counts in windows of one second. Without ``rate_limits_enforced`` everything fits."""

    def __init__(self, profile: Profile, now: Callable[[], datetime]) -> None:
        self._profile, self._now = profile, now
        self._windows: dict[tuple[str, str], tuple[datetime, int]] = {}

    def exceeded(self, limit: str, who: str = "", amount: int = 1) -> bool:
        """Count ``amount`` against the profile's ``limit`` for ``who``; True when it does not fit any more."""
        if not self._profile.rate_limits_enforced:
            return False
        now = self._now()
        since, count = self._windows.get((limit, who), (now, 0))
        if now - since >= _WINDOW:
            since, count = now, 0
        if count + amount > getattr(self._profile, limit):
            return True
        if len(self._windows) >= _MOST:
            self._windows = {key: value for key, value in self._windows.items() if now - value[0] < _WINDOW}
        self._windows[limit, who] = since, count + amount
        return False
