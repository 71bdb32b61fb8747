# SPDX-License-Identifier: Apache-2.0
"""Debian's mosquitto over mutual TLS, on a free port of this machine: another server to measure and to judge by."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: None where it is not installed; Debian keeps it out of a user's path
PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
_START_S = 20.0


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A server that listens: its process id and port."""

    pid: int
    port: int


@contextmanager
def running(folder: Path, *settings: str) -> Iterator[Mosquitto]:
    """It takes clients of ``ca.pem`` and shows ``server.crt``, with ``server.key``; all of them in ``folder``.

    ``settings``: further lines of mosquitto.conf(5). Raises RuntimeError when it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    conf = folder / "mosquitto.conf"
    # started by root mosquitto would become another user, who cannot read the keys
    lines = (f"listener {port} 127.0.0.1", f"cafile {folder}/ca.pem", f"certfile {folder}/server.crt",
             f"keyfile {folder}/server.key", "require_certificate true", f"user {getpass.getuser()}", *settings)
    conf.write_text("".join(f"{line}\n" for line in lines))
    process = subprocess.Popen([str(PROGRAM), "-c", conf], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mosquitto does not listen; see {conf}")
            time.sleep(0.05)
        yield Mosquitto(process.pid, port)
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
