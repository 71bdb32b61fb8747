# SPDX-License-Identifier: Apache-2.0
"""The firmware at a server that is not ours: Debian's mosquitto, which asks for a client's certificate."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.mosquitto import PROGRAM, running
from offchip import vault
from offchip.broker.world import HOST, WIDE, enrol
from offchip.network.tcp import TcpService
from offchip.paths import FIRMWARE
from offchip.pki import Authority
from offchip.scene import Defence, Scene
from offchip.scene.scene import PORT, THING

needs_mosquitto = pytest.mark.skipif(PROGRAM is None or shutil.which("mosquitto_sub") is None,
                                     reason="needs Debian's mosquitto and mosquitto-clients")


@contextmanager
def server(scene: Scene, folder: Path, devices: Authority) -> Iterator[tuple[int, Path]]:
    """A mosquitto's port and its log; ``devices``: whose certificates it takes."""
    (folder / "ca.pem").write_bytes(devices.root.certificate_pem)
    (folder / "server.crt").write_bytes(scene.world.server.chain_pem)
    (folder / "server.key").write_bytes(scene.world.server.key_pem)
    log = folder / "mosquitto.log"
    with running(folder, "use_identity_as_username true", f"log_dest file {log}", "log_type all") as there:
        yield there.port, log


def _run(scene: Scene, port: int) -> list[str]:
    """The device's console after it has met the server at ``port``."""
    device = scene.build(THING, Defence(vault.scheme("fresh"), vault.SD), elf=FIRMWARE)
    scene.internet.redirect(HOST, PORT, TcpService("127.0.0.1", port))
    device.board.power_on()
    device.board.console.wait_for(r"^mqtt: published topic=offchip/things/thing-1 |^state: waiting reason=", 60.0)
    return [line.text for line in device.board.console.lines]


@needs_mosquitto
def test_the_firmware_publishes_to_a_real_mosquitto_over_mutual_tls(tmp_path: Path) -> None:
    scene = Scene(things=(THING,))
    observer = enrol(scene.authority, scene.registry, "observer", WIDE)
    certificate, key = tmp_path / "observer.crt", tmp_path / "observer.key"
    certificate.write_bytes(observer.chain_pem)
    key.write_bytes(observer.key_pem)
    try:
        with server(scene, tmp_path, scene.authority) as (port, log):
            watch = subprocess.Popen(
                ["mosquitto_sub", "-h", "localhost", "-p", str(port), "--cafile", str(tmp_path / "ca.pem"), "--cert",
                 str(certificate), "--key", str(key), "-t", "offchip/things/+", "-C", "1", "-W", "120", "-v"],
                stdout=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 20
            while "SUBSCRIBE" not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
                time.sleep(0.05)
            console = _run(scene, port)
            seen, _ = watch.communicate(timeout=130)
        assert any(line.startswith("tls: connected") for line in console)
        assert seen.startswith('offchip/things/thing-1 {"thing":"thing-1"'), (seen, console)
        assert "as thing-1 (" in log.read_text()
    finally:
        scene.close()


@needs_mosquitto
def test_a_mosquitto_that_knows_other_devices_turns_the_firmware_away(tmp_path: Path) -> None:
    """So the first test is about the client's certificate."""
    scene = Scene(things=(THING,))
    try:
        with server(scene, tmp_path, Authority("somebody else")) as (port, log):
            console = _run(scene, port)
            assert not any(line.startswith("mqtt: published") for line in console)
            assert "as thing-1 (" not in log.read_text() and "certificate verify failed" in log.read_text()
    finally:
        scene.close()
