# SPDX-License-Identifier: Apache-2.0
"""2,000 sockets that say nothing at a listener that may have 1,024 files; a client that connects is served."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from offchip.broker import events
from offchip.broker.listener import Listener
from offchip.broker.world import HOST, build_world

FILES, SOCKETS = 1024, 2000
#: MQTT 3.1.1, clean session, client id thing-1
CONNECT = b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07thing-1"


def silent() -> None:
    """The attacker, in a process of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, SOCKETS + 100), hard))
    port, kept = int(sys.stdin.readline()), []
    for _ in range(SOCKETS):
        with suppress(OSError):
            kept.append(socket.create_connection(("127.0.0.1", port), 5))
    print(len(kept), flush=True)
    sys.stdin.read()


def main() -> None:
    attacker = subprocess.Popen([sys.executable, __file__, "silent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True, bufsize=1)
    assert attacker.stdout is not None and attacker.stdin is not None
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    world = build_world(lambda: datetime.now(UTC))
    with Listener(world.broker) as listener:
        attacker.stdin.write(f"{listener.port}\n")
        made = int(attacker.stdout.readline())
        # the attacker's connections are made; the last of them may still stand in the listener's queue
        deadline = time.monotonic() + 30
        while len(world.broker.events.of(events.ConnectionOpened)) <= made and time.monotonic() < deadline:
            time.sleep(0.05)
        assert world.broker.connections <= FILES
        device = world.devices["thing-1"]
        with tempfile.TemporaryDirectory() as folder:
            certificate = Path(folder, "device.pem")
            certificate.write_bytes(device.chain_pem + device.key_pem)
            served = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.port}", "-servername", HOST, "-quiet",
                 "-cert", certificate, "-key", certificate], input=CONNECT + b"\xe0\x00", capture_output=True,
                timeout=30, check=False)
        assert served.stdout == b"\x20\x02\x00\x00", served.stderr.decode()
        established = world.broker.events.of(events.TlsEstablished)
        assert established and established[-1].certificate_id == device.certificate_id, served.stderr.decode()
        refused = world.broker.events.of(events.ConnectionRefused)
        assert len(refused) >= SOCKETS - FILES
        attacker.stdin.close()
        attacker.wait(20)
        print(f"lawful client served; {len(refused)} silent ones gave way; "
              f"trouble: {world.broker.events.of(events.ListenerTrouble)}")


if __name__ == "__main__":
    silent() if sys.argv[1:] else main()
