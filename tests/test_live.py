# SPDX-License-Identifier: Apache-2.0
"""The live lab under the eyes of ordinary tools: mosquitto_sub and openssl s_client."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAB = [sys.executable, "-m", "offchip", "lab"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[int, Path, subprocess.Popen[str]]]:
    process = subprocess.Popen([*LAB, "--port", "0", "--folder", tmp_path, "--scheme", "plain", "--medium", "eeprom"],
                               cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    said = []
    for line in process.stderr:  # ends with the process, should it never come to its port
        said.append(line)
        if "openssl s_client" in line:
            break
    port = re.search(r"^broker on 127\.0\.0\.1:(\d+)", said[0])
    assert port, said
    yield int(port[1]), tmp_path, process
    process.send_signal(signal.SIGINT)
    process.wait(30)


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto_sub is not installed")
def test_mosquitto_sub_sees_the_device_s_data(lab: tuple[int, Path, subprocess.Popen[str]]) -> None:
    port, folder, _ = lab
    seen = subprocess.run(
        ["mosquitto_sub", "-h", "localhost", "-p", str(port), "--cafile", folder / "ca.pem", "--cert",
         folder / "observer.crt", "--key", folder / "observer.key", "-i", "observer", "-t", "offchip/#", "-v",
         "-C", "2", "-W", "60"], capture_output=True, text=True)
    assert seen.returncode == 0, seen.stderr
    topics = [line.split()[0] for line in seen.stdout.splitlines()]
    assert set(topics) == {"offchip/things/thing-1", "offchip/feed"}
    assert '"thing":"thing-1"' in seen.stdout


@pytest.mark.parametrize(("version", "alert"), [("-tls1_3", 116), ("-tls1_2", 40)])
def test_openssl_without_a_certificate_is_refused_with_the_right_alert(
        lab: tuple[int, Path, subprocess.Popen[str]], version: str, alert: int) -> None:
    port, folder, _ = lab
    client = subprocess.Popen(["openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-servername",
                               "iot.offchip.test", "-CAfile", folder / "ca.pem"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out, _ = "", client.wait(30)  # the broker hangs up; input stays open until then
    out = client.stdout.read()
    assert f"SSL alert number {alert}" in out
    assert "Verify return code: 0 (ok)" in out or "Verification: OK" in out


def test_port_in_use_and_interrupt_are_one_line(lab: tuple[int, Path, subprocess.Popen[str]]) -> None:
    port, folder, process = lab
    second = subprocess.run([*LAB, "--port", str(port), "--folder", folder / "x", "--seconds", "1"], cwd=ROOT,
                            capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert second.stderr.startswith("error: ") and str(port) in second.stderr and second.stderr.count("\n") == 1
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert "Traceback" not in process.stderr.read()
