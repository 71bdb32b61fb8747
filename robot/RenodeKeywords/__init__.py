# SPDX-License-Identifier: Apache-2.0
"""Robot Framework library with Renode's keywords: ``Library    RenodeKeywords    engine=${ENGINE}``."""

from __future__ import annotations

from robot.api.deco import library
from robotlibcore import DynamicCore

from offchip import __version__
from RenodeKeywords.bench import Bench
from RenodeKeywords.cpu import CpuKeywords
from RenodeKeywords.emulation import EmulationKeywords
from RenodeKeywords.log import LogKeywords
from RenodeKeywords.refused import RefusedKeywords
from RenodeKeywords.uart import TesterId, UartKeywords


@library(scope="GLOBAL", version=__version__, doc_format="ROBOT", converters={TesterId: TesterId.parse})
class RenodeKeywords(DynamicCore):  # type: ignore[misc]  # the library has no types
    """Renode's keywords by their own names and arguments, on either engine.

    A suite written for Renode needs only its Settings changed:

    | Library           RenodeKeywords    engine=${ENGINE}
    | Suite Setup       Setup
    | Suite Teardown    Teardown
    | Test Setup        Reset Emulation
    | Test Teardown     Test Teardown

    Time is virtual. It passes in slices of one millisecond while a keyword waits, in ``emulation RunFor``, and at no
    other time, so runs repeat exactly; ``Sleep`` lets none pass. Timeouts are virtual seconds. With ``pauseEmulation``
    the bytes after a match reach the tester in the next keyword, else at once.

    Where Renode 1.16.1 is odd, its keywords are odd here as well, and say so.

    What cannot mean the same as in Renode is tagged ``refused`` and fails with the reason.

    ``engine``: ``embedded``, ``renode`` or ``auto``.
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, engine: str = "embedded") -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self._bench = Bench(engine)
        super().__init__([
            EmulationKeywords(self._bench), UartKeywords(self._bench), LogKeywords(self._bench),
            CpuKeywords(self._bench), RefusedKeywords(),
        ])

    def close(self) -> None:
        """Listener: end the engine when the run is over, whether or not there was a Teardown."""
        self._bench.close()
