# SPDX-License-Identifier: Apache-2.0
"""Everything of a run that differs from one time and machine to the next; ``host.json`` beside ``results.json``."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from offchip import __version__
from offchip.paths import ROOT
from offchip.runner.suite_process import Outcome


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class Host:
    """Who ran what, when and where.

    Attributes:
        commit: of the checkout, with ``+changes-`` and a digest where files differ from it; empty outside one.
        seconds: host seconds of each claim.
        cpu: seconds of CPU of each.
        pace: how fast it went and where its time went, in words.
    """

    command: str
    elf: str
    jobs: int
    commit: str
    offchip: str = __version__
    python: str = platform.python_version()
    machine: str = f"{platform.system()} {platform.release()} {platform.machine()}"
    started: str = field(default_factory=_now)
    finished: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    pace: list[str] = field(default_factory=list)

    def finish(self, outcomes: Mapping[str, Outcome], pace: Iterable[str]) -> None:
        """Note the end, and what each claim took."""
        self.finished, self.pace = _now(), list(pace)
        self.seconds = {key: round(each.seconds, 2) for key, each in outcomes.items()}
        self.cpu = {key: round(each.cpu_s, 2) for key, each in outcomes.items()}


def describe(elf: Path, jobs: int) -> Host:
    """This process on this machine."""
    command = shlex.join(["offchip", *sys.argv[1:]])
    return Host(command, str(elf), jobs, _commit())


def _commit() -> str:
    head = _git("rev-parse", "HEAD")
    changes = _git("diff", "--no-ext-diff", "--binary", "HEAD") if head else ""
    # which changes: what was judged by others is not gone on with
    return head + (f"+changes-{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else "")


def _git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, errors="replace",
                              timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
