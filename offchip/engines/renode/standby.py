# SPDX-License-Identifier: Apache-2.0
"""A worker that a run starts early and lends to one process after the other: each would take seconds to start one.

Whoever holds it builds its boards anew, as in a process of its own. It goes on as long as those who have its pipe.
"""

from __future__ import annotations

from collections.abc import Mapping

from offchip.engines.renode.locate import need_renode, worker_environment
from offchip.engines.renode.process import WorkerProcess
from offchip.engines.renode.worker import LENT, board_command, kind_of
from offchip.paths import BOARD

_SEED = 1  # of a board that nobody uses


class RenodeStandby:
    """One worker, started now. Raises EngineError when there is no usable Renode."""

    def __init__(self) -> None:
        self._environment: Mapping[str, str] = worker_environment(need_renode())
        self._kind = kind_of(BOARD, self._environment)
        self._process = self._start()

    def _start(self) -> WorkerProcess:
        return WorkerProcess(board_command(BOARD, _SEED), self._environment)

    def lend(self) -> tuple[dict[str, str], tuple[int, ...]]:
        """(variables, file descriptors) that a process needs to have it; until :meth:`take_back`."""
        if self._process.status():
            self.take_back(clean=False)
        return {LENT: self._process.describe(self._kind)}, (self._process.pipe.fileno(),)

    def take_back(self, clean: bool) -> None:
        """The borrower has ended; ``clean``: by itself, so that nothing it sent or received is torn."""
        if not clean:
            self.close()
            self._process = self._start()

    def close(self) -> None:
        """End it."""
        self._process.pipe.close()
        self._process.let_go()
