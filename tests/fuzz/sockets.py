# SPDX-License-Identifier: Apache-2.0
"""A crowd at the listener: lawful sessions, idle sockets, TLS garbage and half handshakes that crawl, all at once.

    .venv/bin/python -m tests.fuzz.sockets [SESSIONS] [IDLE] [GARBAGE]     (500, 2000, 2000)

Each lawful session is asked for a PINGRESP and a message of its own before, meanwhile and after; none may be lost. The
listener is in a process of its own; the crowd comes twice, and the second one must not leave more than a tenth more of
its memory in use than the first one did.
"""

from __future__ import annotations

import random
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from offchip.broker import events
from offchip.broker.listener import Listener
from offchip.broker.world import HOST, WIDE, build_world, enrol
from offchip.mqtt import Connect, Publish, Subscribe, Subscription, encode


def serve(folder: Path) -> None:
    """The listener; a line on standard input clears its log, the end of it stops it."""
    world = build_world(lambda: datetime.now(UTC))
    identity = enrol(world.authority, world.registry, "crowd", WIDE)
    (folder / "crowd.pem").write_bytes(identity.chain_pem + identity.key_pem)
    (folder / "ca.pem").write_bytes(world.authority.root.certificate_pem)
    with Listener(world.broker) as listener:
        print(listener.port, flush=True)
        for _ in sys.stdin:
            kinds = {kind.__name__: len(world.broker.events.of(kind)) for kind in (
                events.TlsFailed, events.ConnectionRefused, events.ConnectTimedOut, events.ListenerTrouble)}
            world.broker.events.clear()
            print(kinds, flush=True)


class Session:
    """A lawful client."""

    def __init__(self, context: ssl.SSLContext, port: int, number: int) -> None:
        self.name = f"lawful-{number}"
        self._tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 60), server_hostname=HOST)
        self._tls.sendall(encode(Connect(self.name, keep_alive=1200))
                          + encode(Subscribe(1, (Subscription(self.name),))))
        self._expect(b"\x20\x02\x00\x00\x90\x03\x00\x01\x00")

    def works(self) -> bool:
        """Whether a PINGREQ and a message to itself come back."""
        message = encode(Publish(self.name, b"to myself"))
        try:
            self._tls.sendall(message + b"\xc0\x00")
            self._expect(message + b"\xd0\x00")
        except (OSError, AssertionError):
            return False
        return True

    def _expect(self, wanted: bytes) -> None:
        found = b""
        while len(found) < len(wanted) and (data := self._tls.recv(4096)):
            found += data
        assert found == wanted, found


def garbage(chance: random.Random, hello: bytes) -> bytes:
    """What is no handshake, or nearly one."""
    if chance.random() < 0.3:
        return chance.randbytes(chance.randrange(1, 2000))
    raw = bytearray(hello)
    for _ in range(chance.randrange(1, 6)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw[:chance.randrange(1, len(raw) + 1)] if chance.random() < 0.3 else raw)


def hello_of(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=HOST).do_handshake()
    return outgoing.read()


def crowd(port: int, lawful: list[Session], hello: bytes, chance: random.Random, idle: int, noise: int) -> int:
    """Come, and go again; how many of the lawful sessions worked with all of them there."""
    there: list[socket.socket] = []
    for number in range(max(idle, noise)):
        with suppress(OSError):
            if number < idle:
                there.append(socket.create_connection(("127.0.0.1", port), 20))
                if number % 10 == 0:  # a handshake that never comes to its end
                    there[-1].sendall(hello[:1 + number % (len(hello) - 1)])
            if number < noise:
                with socket.create_connection(("127.0.0.1", port), 20) as one:
                    one.sendall(garbage(chance, hello))
        if number % 200 == 0:
            assert lawful[number % len(lawful)].works(), f"{lawful[number % len(lawful)].name} was disturbed"
            for each in there[::10]:
                with suppress(OSError):
                    each.send(b"\x16")
    worked = sum(each.works() for each in lawful)
    for each in there:
        each.close()
    return worked


def main() -> None:
    """The command line."""
    sessions, idle, noise = ([int(each) for each in sys.argv[1:4]] + [500, 2000, 2000][len(sys.argv) - 1:])[:3]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, sessions + idle + noise + 200), hard))
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="offchip-") as name:
        server = subprocess.Popen([sys.executable, "-m", "tests.fuzz.sockets", "serve", name], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)
        assert server.stdin and server.stdout
        port = int(server.stdout.readline())
        context = ssl.create_default_context(cafile=f"{name}/ca.pem")
        context.load_cert_chain(f"{name}/crowd.pem")
        lawful = [Session(context, port, number) for number in range(sessions)]
        assert all(each.works() for each in lawful)

        def rss() -> float:
            server.stdin.write("\n")  # type: ignore[union-attr]
            print("  events:", server.stdout.readline().strip())  # type: ignore[union-attr]
            return float(psutil.Process(server.pid).memory_info().rss) / (1 << 20)

        hello, left, good = hello_of(context), [rss()], True
        for _ in range(2):
            start, meanwhile = time.monotonic(), crowd(port, lawful, hello, chance, idle, noise)
            time.sleep(2)
            still = sum(each.works() for each in lawful)
            left.append(rss())
            good = good and meanwhile == still == sessions
            print(f"{idle} idle or crawling sockets, {noise} times garbage, {time.monotonic() - start:.0f} s; of "
                  f"{sessions} lawful sessions {meanwhile} worked meanwhile, {still} afterwards", flush=True)
        print("memory before and after each crowd:", ", ".join(f"{each:.0f} MiB" for each in left))
        server.stdin.close()
        server.wait(30)
        if not good or left[2] > 1.1 * left[1]:
            raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main()
