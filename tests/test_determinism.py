# SPDX-License-Identifier: Apache-2.0
"""Same seed, same bytes: whatever the host, the order of things and other threads do."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from offchip.attacks.rogue import RogueBroker
from offchip.broker import entropy, events
from offchip.broker.client import MqttClient
from offchip.broker.entropy import Entropy, seeding_fault
from offchip.broker.world import HOST, build_world
from offchip.network.clock import DEFAULT_START
from offchip.network.proxy import Chunk, Proxy
from offchip.pki import Authority

ROOT = Path(__file__).resolve().parent.parent


def probe(*arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, ROOT / "tests/determinism_probe.py", *arguments], text=True, check=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_two_processes_of_one_seed_boot_alike_and_another_seed_differs() -> None:
    first, second, other = probe("1"), probe("1", "disturbed"), probe("2")
    assert first == second
    assert [key for key in first if first[key] == other[key]] == []


def talk(seed: int, strangers: int = 0) -> list[Chunk]:
    """A client at the broker and at a rogue, everything on the wire; strangers connect before it."""
    world = build_world(lambda: DEFAULT_START, seed)
    authority = Authority(f"rogue {seed}")
    device, chunks = world.devices["thing-1"], []
    for _ in range(strangers):
        world.broker.connect("10.9.9.9").peer_closed()
    for service in (world.broker, RogueBroker(authority.issue_server([HOST]), seed=seed)):
        proxy = Proxy(service)
        client = MqttClient("thing-1", device, (*world.authority.certificates, *authority.certificates), HOST,
                            seed=seed)
        assert client.connect(proxy)
        client.publish("offchip/feed", b"{}")
        chunks += proxy.chunks
    return chunks


def test_broker_client_and_rogue_say_the_same_bytes_whoever_came_before() -> None:
    first = talk(1)
    assert talk(1) == first and talk(1, strangers=3) == first
    other = talk(2)
    assert [each.data for each in other] != [each.data for each in first]


def test_a_stream_is_its_own_and_the_rest_of_the_process_stays_random() -> None:
    def drawn(*labels: object) -> bytes:
        with Entropy(7, *labels).entered():
            return ssl.RAND_bytes(100)

    assert drawn("a") == drawn("a") != drawn("b")
    assert len({ssl.RAND_bytes(32) for _ in range(50)}) == 50
    with Entropy(7, "a").entered():
        with Entropy(7, "b").entered():
            inner = ssl.RAND_bytes(32)
        assert ssl.RAND_bytes(100) == drawn("a")
    assert inner == drawn("b")[:32]
    assert not seeding_fault()


def test_where_openssl_cannot_be_seeded_the_broker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchip.broker.server.seeding_fault", lambda: "another library")
    world = build_world(lambda: DEFAULT_START)
    assert events.Unseeded("another library") in world.broker.events
    assert MqttClient("thing-1", world.devices["thing-1"], world.authority.certificates, HOST).connect(world.broker)


def test_a_library_without_the_method_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entropy.ctypes, "CDLL", lambda name: object())
    assert "RAND_set_rand_method cannot be reached" in seeding_fault.__wrapped__()
