# SPDX-License-Identifier: Apache-2.0
"""One boot to the first publish with everything of one seed; prints what must be the same in every process."""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import threading
from datetime import datetime

from offchip.board.create import create_board
from offchip.board.factory import Credentials, MediumKind, Provisioning, Scheme, provision
from offchip.broker.world import HOST, PORT, build_world
from offchip.network.clock import LabClock
from offchip.network.internet import Internet
from offchip.network.proxy import Direction, Proxy
from offchip.paths import FIRMWARE

THING = "thing-1"


def probe(seed: int) -> dict[str, object]:
    """Digests of the modem's traffic both ways, of the broker's events and the console, and the engine's counts."""
    clock, internet, now = LabClock(), Internet(), [0]

    def utc() -> datetime:
        return clock.true_utc(now[0])

    world = build_world(utc, seed, (THING,))
    proxy = Proxy(world.broker)
    internet.register(HOST, PORT, proxy)
    device = world.devices[THING]
    credentials = Credentials((world.authority.root.certificate_der,), device.certificate_der, device.key_der)
    with create_board("embedded", elf=FIRMWARE, seed=seed, internet=internet, clock=clock) as board:
        def tick(now_ns: int) -> int:
            now[0] = now_ns
            return world.tick(now_ns)

        board.on_slice.append(tick)
        provision(board.engine, Provisioning(THING, HOST, (f"offchip/things/{THING}", "offchip/feed"), credentials,
                                             Scheme.PLAIN, MediumKind.EEPROM, PORT))
        board.power_on()
        board.console.wait_for("mqtt: published", 60)
        return {
            **{each.value: hashlib.sha256(proxy.recorded(each)).hexdigest() for each in Direction},
            "events": hashlib.sha256(repr([(each.time, each) for each in world.broker.events]).encode()).hexdigest(),
            "console": hashlib.sha256(repr(board.console.lines).encode()).hexdigest(),
            "instructions": board.engine.instructions, "now_ns": board.now_ns,
        }


def disturb() -> None:
    """Real randomness asked for by another thread of the process, as paho or a listener would."""
    while True:
        ssl.RAND_bytes(48)


if __name__ == "__main__":
    if sys.argv[2:] == ["disturbed"]:
        threading.Thread(target=disturb, daemon=True).start()
    print(json.dumps(probe(int(sys.argv[1]))))
