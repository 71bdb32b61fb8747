# SPDX-License-Identifier: Apache-2.0
"""Opening a monitor session on a script with the firmware of choice, whichever engine is there."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from offchip.engines.renode.locate import need_renode, start_command
from offchip.errors import EngineError
from offchip.monitor.console import run_console


def free_ports(count: int) -> list[int]:
    """TCP ports nobody uses now."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _commands(script: Path, elf: Path, console_port: int, modem_port: int) -> list[str]:
    return [f"$bin=@{elf}", f"$console={console_port}", f"$modem={modem_port}", f"include @{script}"]


def embedded_session(script: Path, elf: Path, console_port: int, modem_port: int) -> int:
    """The embedded engine's prompt, console and modem line on these TCP ports. Returns the exit status."""
    return run_console(_commands(script, elf, console_port, modem_port))


def renode_session(script: Path, elf: Path, console_port: int, modem_port: int) -> int:
    """Renode's own monitor in this terminal. Returns its exit status. Raises EngineError."""
    renode = need_renode()
    commands = "; ".join(_commands(script, elf, console_port, modem_port))
    try:
        return subprocess.call([*start_command(renode), "--disable-xwt", "--console", "-e", commands])
    except OSError as error:
        raise EngineError(f"{renode.path} cannot be started ({error.strerror}); run `offchip doctor`") from None
