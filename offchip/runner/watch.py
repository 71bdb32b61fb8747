# SPDX-License-Identifier: Apache-2.0
"""Robot listener inside each suite's process: tells the run what begins and ends, one JSON object a line on a pipe."""

from __future__ import annotations

import json
import os
from typing import Any

from offchip.runner.processes import die_with_parent


class Watch:
    """``--listener offchip.runner.watch.Watch:FD``; ``FD`` is the write end of a pipe the run reads."""

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, descriptor: str) -> None:
        self._pipe = int(descriptor)
        os.set_inheritable(self._pipe, False)
        die_with_parent()
        self._cpu_before = 0.0

    def start_test(self, data: Any, result: Any) -> None:
        self._cpu_before = _cpu_s()
        self._tell(event="start", claim=self._key(result))

    def end_test(self, data: Any, result: Any) -> None:
        self._tell(event="end", claim=self._key(result), status=result.status, message=result.message,
                   seconds=result.elapsed_time.total_seconds(), cpu=_cpu_s() - self._cpu_before)

    def end_suite(self, data: Any, result: Any) -> None:
        # a failed teardown fails every claim below it afterwards; the top suite's end is the last word
        self._tell(event="closed", top=result.parent is None,
                   claims=[[self._key(test), test.status, test.message] for test in result.all_tests])

    def _key(self, test: Any) -> str:
        return f"{test.parent.name}.{test.name}"

    def _tell(self, **event: Any) -> None:
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(self._pipe, line):]


def _cpu_s() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
