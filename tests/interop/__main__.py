# SPDX-License-Identifier: Apache-2.0
"""Published clients, each installed once into a folder of its own, do a device's work at ``offchip lab``.

    .venv/bin/python -m tests.interop [PART OF A NAME]

Needs the network the first time (PyPI, npm); a client that cannot be installed is named, and is no failure. Exit code 1
when a step of a client that is there does not work.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offchip.lab.window import Remote
from offchip.paths import CACHE, ROOT

HERE = Path(__file__).parent
FOLDER = CACHE / "interop"
STEPS = ("connect", "subscribe", "qos0", "qos1", "will", "session", "shadow", "jobs")
_LIMIT_S = 240


def install(*packages: str) -> tuple[list[str], dict[str, str]] | str:
    """The command that runs a program with these packages and what its environment must have; else why there is none.
    They lie together in a folder named after the first."""
    folder = FOLDER / packages[0]
    if "@" in packages[0]:
        program, environment = shutil.which("node"), {"NODE_PATH": str(folder / "node_modules")}
        steps = [["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]]
    else:
        program, environment = str(folder / "bin" / "python"), {}
        steps = [[sys.executable, "-m", "venv", str(folder)], [program, "-m", "pip", "install", "--quiet", *packages]]
    if program is None:
        return "node is missing"
    if not (folder / "installed").exists():
        for step in steps:
            if wrong := _run(step):
                return wrong
        (folder / "installed").touch()
    return [program], environment


def _run(command: list[str]) -> str:
    """'' or the last line of what went wrong."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines() or ["it failed without a word"]
    return lines[-1] if done.returncode else ""


@contextmanager
def lab(folder: Path) -> Iterator[tuple[Remote, int]]:
    """``offchip lab --no-device`` in a process of its own: its desk and its port."""
    command = [sys.executable, "-m", "offchip", "lab", "--no-device", "--port", "0", "--folder", folder]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = re.search(r"broker on 127\.0\.0\.1:(\d+)", process.stderr.readline())
        if found is None:
            raise SystemExit("interop: offchip lab did not start")
        remote, deadline = Remote(folder), time.monotonic() + 60
        while not (folder / "ca.pem").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield remote, int(found[1])
    finally:
        process.terminate()
        process.wait(30)


def ask(client: dict[str, Any], remote: Remote, port: int, folder: Path, number: int) -> dict[str, str]:
    """Step -> ``ok`` or what went wrong. Raises LookupError: the client cannot be installed."""
    ready = install(client["package"])
    if isinstance(ready, str):
        raise LookupError(ready)
    command, environment = ready
    thing = f"interop-{number}"
    remote.do("add", thing=thing, policy="wide")
    remote.do("job", job=f"job-{number}", thing=thing, document="{}")
    files = [folder / "ca.pem", folder / f"{thing}.crt", folder / f"{thing}.key"]
    done = subprocess.run([*command, HERE / client["program"], "localhost", str(port), *map(str, files), thing,
                           *client["arguments"]], capture_output=True, text=True, timeout=_LIMIT_S, check=False,
                          env={"PATH": "/usr/bin:/bin", **environment})
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.split(" ", 1)[0] in STEPS)
    last = (done.stderr.strip().splitlines() or ["it ended early"])[-1]
    return {step: found.get(step, last) for step in STEPS}


def main() -> int:
    """The table as Markdown, and the exit code."""
    wanted = " ".join(sys.argv[1:])
    clients = [each for each in tomllib.loads((HERE / "clients.toml").read_text())["client"] if wanted in each["name"]]
    print(f"| client | {' | '.join(STEPS)} |\n|---|{'---|' * len(STEPS)}")
    wrong, absent = [], []
    with tempfile.TemporaryDirectory(prefix="offchip-") as name, lab(Path(name)) as (remote, port):
        for number, client in enumerate(clients):
            try:
                found = ask(client, remote, port, Path(name), number)
            except LookupError as error:
                absent.append(f"{client['name']}: {error}")
                continue
            wrong += [f"{client['name']}: {step}: {told}" for step, told in found.items() if told != "ok"]
            marks = ("yes" if found[step] == "ok" else "NO" for step in STEPS)
            print(f"| {client['name']} | {' | '.join(marks)} |", flush=True)
    for title, lines in (("did not work", wrong), ("cannot be installed here", absent)):
        for line in lines:
            print(f"\n{title}: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
