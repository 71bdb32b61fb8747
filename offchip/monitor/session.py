"""Opening a monitor session on a script with the firmware of choice, whichever engine is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from offchip.engines.renode.locate import need_renode
from offchip.errors import EngineError
from offchip.monitor.console import run_console


def embedded_session(script: Path, elf: Path) -> int:
    """The embedded engine's prompt. Returns the exit status."""
    return run_console([f"$bin=@{elf}", f"include @{script}"])


def renode_session(script: Path, elf: Path) -> int:
    """Renode's own monitor in this terminal. Returns its exit status. Raises EngineError."""
    renode = need_renode()
    commands = f"$bin=@{elf}; include @{script}"
    try:
        return subprocess.call([str(renode.path), "--disable-xwt", "--console", "-e", commands])
    except OSError as error:
        raise EngineError(f"{renode.path} cannot be started ({error.strerror}); run `offchip doctor`") from None
