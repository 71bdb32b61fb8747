# SPDX-License-Identifier: Apache-2.0
"""A board in a process of its own: the worker's end of the pipe.

Starting .NET and compiling what runs hot takes ten times as long as building a board. So the process of a board that
was closed waits for the next one; that is built anew from its .repl, in an emulation of its own.

Parent to worker: ``(number, method, arguments)``. Worker to parent: ``(number, "ok", value)``, ``(number, "refused",
text)`` when the request was refused and everything is as before, ``(number, "platform", text)`` when the .repl is
wrong, ``(number, "failed", text)`` when the board is lost. The answer to the start has the number 0.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MODULE = "offchip.engines.renode.serve"
START = 0
CLOSE = "close"
RENEW = "renew"
_Request = tuple[int, str, tuple[Any, ...]]
#: what the parent may ask of a Host
_METHODS = {"call", "get", "put", "has", "load_elf", "program", "power_on", "power_off", "reset", "run", "feed_uart",
            "set_hall", "read_memory", "debug", "diagnostics"}
#: what the parent may ask of a MonitorHost
_MONITOR_METHODS = {"command", "script", "clear", "machines", "attach", "write", "run", "take", "register",
                    "log_lines"}


def serve(pipe: Connection, log: Path, platform: Path | None, seed: int) -> int:
    """Build the board, or without a platform only the monitor; then answer until the parent says good-bye or is gone.
    """
    requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, requests), daemon=True).start()
    # imported here, on the main thread: Renode belongs to the thread that loads it
    from offchip.engines.renode.dotnet import Refused

    methods = _METHODS if platform is not None else _MONITOR_METHODS
    host = _build(pipe, START, log, platform, seed)
    while host is not None:
        number, method, arguments = requests.get()
        if method == CLOSE:
            host.close()
            return 0
        if method == RENEW:
            host.close()
            log_, platform_, seed_ = arguments
            host = _build(pipe, number, Path(log_), Path(platform_), seed_)
            continue
        try:
            if method == "selftest":
                from offchip.engines.renode.selftest import run_selftest
                value: Any = run_selftest(host)
            elif method in methods:
                value = getattr(host, method)(*arguments)
            else:
                raise ValueError("there is no such request")
            answer: tuple[str, Any] = ("ok", (value, host.now_ns, host.instructions))
        except Refused as refused:
            answer = ("refused", str(refused))
        except Exception as error:
            text = getattr(error, "Message", None) or error  # .NET keeps its text there, str() adds a trace
            answer = ("failed", f"failed in {method}: {type(error).__name__}: {text}")
        pipe.send((number, *answer))
    return 1


def _build(pipe: Connection, number: int, log: Path, platform: Path | None, seed: int) -> Any:
    """A Host or MonitorHost, or None when it cannot be; the parent is told."""
    from offchip.engines.renode.dotnet import BadPlatform
    from offchip.engines.renode.host import Host
    from offchip.engines.renode.monitor_host import MonitorHost

    try:
        host = Host(platform, seed, log) if platform is not None else MonitorHost(seed, log)
    except BadPlatform as error:
        pipe.send((number, "platform", str(error)))
        return None
    except Exception as error:
        pipe.send((number, "failed", f"did not start: {type(error).__name__}: {error}"))
        return None
    pipe.send((number, "ok", {"version": host.version}))
    return host


def _receive(pipe: Connection, requests: queue.SimpleQueue[_Request]) -> None:
    while True:
        try:
            requests.put(pipe.recv())
        except (EOFError, OSError):  # the parent is gone, perhaps while Renode hangs: nobody else would end us
            os._exit(1)


def main() -> None:
    """``python -m offchip.engines.renode.serve FD LOG PLATFORM SEED``; an empty PLATFORM: only the monitor"""
    logging.disable(logging.WARNING)  # pyrenode3's remarks would pass for the last words of a worker that dies
    fd, log, platform, seed = sys.argv[1:]
    code = serve(Connection(int(fd)), Path(log), Path(platform) if platform else None, int(seed))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a normal exit of the interpreter takes .NET seconds


if __name__ == "__main__":
    main()
