# SPDX-License-Identifier: Apache-2.0
"""A monitor session boots the board to a publishing device, as a person at the prompt would see it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent


def test_monitor_session_reaches_a_publishing_device() -> None:
    session = subprocess.Popen(
        [sys.executable, "-m", "offchip", "monitor", "--engine", "embedded", "--scheme", "plain", "--medium", "eeprom"],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    for line in session.stdout:
        said.append(line.rstrip())
        if "mqtt: published topic=offchip/feed seq=2" in line:
            break
    # console, modem line and broker are open now, in the prompt's process and in the world's
    prompt = psutil.Process(session.pid)
    sockets = [socket for process in (prompt, *prompt.children(recursive=True))
               for socket in process.net_connections("inet") if socket.status == psutil.CONN_LISTEN]
    assert {socket.laddr.ip for socket in sockets} == {"127.0.0.1"} and len(sockets) == 3
    session.stdin.write("pause\nrunMacro $dump_eeprom\nsysbus.i2c1.eeprom WriteCycles\nquit\n")
    session.stdin.flush()
    rest = session.stdout.read()
    assert session.wait(30) == 0, rest
    assert any("credentials: ok source=eeprom" in line for line in said), said
    assert b"OCE1".hex().upper() in rest


def test_a_second_session_has_images_of_its_own_and_a_signal_leaves_nothing_behind() -> None:
    command = [sys.executable, "-m", "offchip", "monitor", "--engine", "embedded"]
    sessions = [subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE) for _ in range(2)]
    folders, processes = set(), []
    for session in sessions:
        assert session.stderr is not None
        said = [session.stderr.readline() for _ in range(3)]  # console, broker, prompt
        folders.add(re.search(r"--cafile (.+?)/ca\.pem", said[1])[1])
        processes += [psutil.Process(session.pid), *psutil.Process(session.pid).children(recursive=True)]
    assert len(folders) == 2 and len(processes) == 4
    for session in sessions:
        session.terminate()
        assert session.wait(30) == 128 + signal.SIGTERM
    assert psutil.wait_procs(processes, timeout=30)[1] == []


def test_renodes_monitor_is_started_by_a_command(tmp_path: Path) -> None:
    """A build has no program to run but one for dotnet; here dotnet says how it was called."""
    build = tmp_path / "a build/out"
    build.mkdir(parents=True)
    for name in ("Renode.dll", "Renode.runtimeconfig.json"):
        (build / name).touch()
    dotnet = tmp_path / "dotnet"
    dotnet.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    dotnet.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYRENODE_BUILD_DIR": str(build.parent),
                   "PYRENODE_BUILD_OUTPUT": "out", "DOTNET_ROOT": ""}
    done = subprocess.run([sys.executable, "-m", "offchip", "monitor", "--engine", "renode", "--no-attended"], cwd=ROOT,
                          env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    program, *options, commands = done.stdout.splitlines()
    assert program == str(build / "Renode.dll") and options == ["--disable-xwt", "--console", "-e"]
    console = re.search(r"console: 127\.0\.0\.1:(\d+)", done.stderr)
    assert console and f"$console={console[1]}; " in commands
    script = str(ROOT / "platforms/offchip.resc").replace(" ", "\\ ")
    assert commands.startswith("$bin=@/") and commands.endswith(f"; include @{script}")
