# SPDX-License-Identifier: Apache-2.0
"""The command line in a copy of this process: what is imported already is not imported again for each call.

That ``python -m offchip`` and the installed command start at all is what the tests of signals and of the package prove.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from offchip.cli import main

ROOT = Path(__file__).resolve().parent.parent


def offchip(*arguments: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None,
            limit_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run ``offchip`` with these arguments.

    Args:
        env: the whole environment; None: this process's.
        limit_s: host seconds after which it counts as hung.

    Raises:
        subprocess.TimeoutExpired: it hung; it was killed.
    """
    command = ["offchip", *map(str, arguments)]
    pipes = [os.pipe() for _ in range(2)]
    pid = os.fork()
    if not pid:
        _become(command, [write for _, write in pipes], cwd, env)
    said = {read: bytearray() for read, _ in pipes}
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        for read, write in pipes:
            os.close(write)
            selector.register(read, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise subprocess.TimeoutExpired(command, limit_s)
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                said[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    _, status = os.waitpid(pid, 0)
    out, err = (bytes(each).decode("utf-8", "replace") for each in said.values())
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), out, err)


def _become(command: list[str], streams: list[int], cwd: Path, env: Mapping[str, str] | None) -> NoReturn:
    code = 1
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, encoding="utf-8", closefd=False)
                                             for number, mode in ((0, "r"), (1, "w"), (2, "w")))
        os.chdir(cwd)
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        sys.argv = command
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # nothing of this process's own is tidied up by its copy
