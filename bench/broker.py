# SPDX-License-Identifier: Apache-2.0
"""The broker beside mosquitto: the same clients over mutual TLS, in turns, one after the other.

    .venv/bin/python -m bench.broker [--rounds 3] [--messages 20000]

Prints, for QoS 0, QoS 1 and TLS connections, how much either server does in a second of the wall clock and in a second
of its own CPU time (which does not depend on what else the machine does), and the medians' ratio. Needs Debian's
mosquitto; says so and exits 2 without.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.mosquitto import PROGRAM, running
from offchip.broker.listener import Listener
from offchip.broker.world import HOST, WIDE, build_world, enrol
from offchip.mqtt import Connect, Publish, Subscribe, Subscription, encode

PUBLISHER, SUBSCRIBER, TOPIC = "publisher", "subscriber", "bench/one"
_PAYLOAD = bytes(100)
#: messages on their way at a time: below AWS's 100 unacknowledged ones for QoS 1
_WINDOWS = (500, 80)
_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Server:
    """One of the two: its process, port, and the folder of certificates both use."""

    process: psutil.Process
    port: int
    folder: Path

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def serve(folder: Path) -> None:
    """Our broker, until its standard input ends; its port is printed, certificates lie in ``folder``."""
    world = build_world(lambda: datetime.now(UTC))
    for name in (PUBLISHER, SUBSCRIBER):
        identity = enrol(world.authority, world.registry, name, WIDE)
        (folder / f"{name}.pem").write_bytes(identity.chain_pem + identity.key_pem)
    (folder / "ca.pem").write_bytes(world.authority.root.certificate_pem)
    (folder / "server.crt").write_bytes(world.server.chain_pem)
    (folder / "server.key").write_bytes(world.server.key_pem)
    with Listener(world.broker) as listener:
        print(listener.port, flush=True)
        sys.stdin.read()


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    """Our broker in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "bench.broker", "--serve", folder], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        yield Server(psutil.Process(process.pid), int(process.stdout.readline()), folder)
    finally:
        process.stdin.close()
        process.wait(20)


@contextmanager
def theirs(folder: Path) -> Iterator[Server]:
    """Debian's mosquitto with the certificates our broker left in ``folder``."""
    with running(folder, "use_identity_as_username true", "max_queued_messages 0", "max_inflight_messages 100",
                   "set_tcp_nodelay true", "log_dest none") as server:
        yield Server(psutil.Process(server.pid), server.port, folder)


def connect(server: Server, name: str) -> ssl.SSLSocket:
    """A client whose CONNACK is there."""
    context = ssl.create_default_context(cafile=str(server.folder / "ca.pem"))
    context.load_cert_chain(server.folder / f"{name}.pem")
    raw = socket.create_connection(("127.0.0.1", server.port), 20)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = context.wrap_socket(raw, server_hostname=HOST)
    client.sendall(encode(Connect(name, clean=True, keep_alive=600)))
    answer = client.recv(4)
    if answer != b"\x20\x02\x00\x00":
        raise SystemExit(f"bench: {name} was answered {answer.hex() or 'nothing'} instead of CONNACK 0")
    return client


class _Flow:
    """A publisher and a subscriber of one topic; no more than ``window`` messages are on their way."""

    def __init__(self, server: Server, qos: int) -> None:
        self._qos, self._window = qos, _WINDOWS[qos]
        self._publisher, self._subscriber = connect(server, PUBLISHER), connect(server, SUBSCRIBER)
        self._subscriber.sendall(encode(Subscribe(1, (Subscription(TOPIC, qos),))))
        self._subscriber.recv(5)
        self._size = len(encode(Publish(TOPIC, _PAYLOAD, qos, packet_id=qos)))
        self._sent = self._taken = 0
        self._rest, self._acks = b"", 0

    def run(self, messages: int) -> None:
        """Until the subscriber has them all, and with QoS 1 the publisher its acknowledgements."""
        with selectors.DefaultSelector() as selector:
            for client in (self._publisher, self._subscriber):
                client.setblocking(False)
                selector.register(client, selectors.EVENT_READ)
            self._fill(messages)
            while self._taken < messages or self._qos and self._acks < 4 * messages:
                if not selector.select(20):
                    raise SystemExit(f"bench: nothing came for 20 s after {self._taken} messages")
                self._read()
                self._fill(messages)
        self._publisher.close()
        self._subscriber.close()

    def _fill(self, messages: int) -> None:
        done = min(self._taken, self._acks // 4) if self._qos else self._taken
        room = min(messages - self._sent, self._window - (self._sent - done))
        if room < min(self._window // 2, messages - self._sent) or room <= 0:
            return  # in pieces of some size, as a busy client would
        batch = b"".join(encode(Publish(TOPIC, _PAYLOAD, self._qos, packet_id=(self._sent + each) % 65535 + 1))
                         for each in range(room))
        self._publisher.setblocking(True)
        self._publisher.sendall(batch)
        self._publisher.setblocking(False)
        self._sent += room

    def _read(self) -> None:
        with suppress(ssl.SSLWantReadError):
            while data := self._publisher.recv(65536):
                self._acks += len(data)
        with suppress(ssl.SSLWantReadError):
            while data := self._subscriber.recv(65536):
                self._rest += data
        whole = len(self._rest) // self._size
        if whole and self._qos:
            acks = b"".join(b"\x40\x02" + self._rest[at + 4 + len(TOPIC):at + 6 + len(TOPIC)]
                            for at in range(0, whole * self._size, self._size))
            self._subscriber.setblocking(True)
            self._subscriber.sendall(acks)
            self._subscriber.setblocking(False)
        self._taken += whole
        self._rest = self._rest[whole * self._size:]


def measure(server: Server, what: str, messages: int) -> tuple[float, float]:
    """Messages or connections in a second of the wall clock, and of the server's CPU time."""
    cpu, start = server.cpu(), time.perf_counter()
    if what == "connections":
        messages = _CONNECTIONS
        for _ in range(messages):
            connect(server, PUBLISHER).close()
    else:
        _Flow(server, int(what[-1])).run(messages)
    wall = time.perf_counter() - start
    return messages / wall, messages / max(server.cpu() - cpu, 0.01)


def compare(rounds: int, messages: int) -> None:
    """All rounds, in turns, and the table."""
    with tempfile.TemporaryDirectory(prefix="offchip-") as name, ours(Path(name)) as own, \
            theirs(Path(name)) as other:
        print(f"{'':12} {'offchip/s':>10} {'mosquitto/s':>12} {'ratio':>6}   by CPU second: "
              f"{'offchip':>8} {'mosquitto':>10} {'ratio':>6}")
        for what in ("QoS 0", "QoS 1", "connections"):
            found = [(measure(own, what, messages), measure(other, what, messages)) for _ in range(rounds)]
            wall, cpu = ([statistics.median(each[who][by] for each in found) for who in (0, 1)] for by in (0, 1))
            print(f"{what:12} {wall[0]:10.0f} {wall[1]:12.0f} {wall[0] / wall[1]:6.2f}   "
                  f"{'':15} {cpu[0]:8.0f} {cpu[1]:10.0f} {cpu[0] / cpu[1]:6.2f}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.broker", description="our broker beside mosquitto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if PROGRAM is None:
        print("bench: mosquitto is missing; run: sudo apt-get install mosquitto", file=sys.stderr)
        raise SystemExit(2)
    compare(options.rounds, options.messages)


if __name__ == "__main__":
    main()
