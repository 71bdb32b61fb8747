# SPDX-License-Identifier: Apache-2.0
"""One boot to the first publish with everything of one seed; prints what must be the same in every process."""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import threading

from offchip.broker.world import HOST, PORT
from offchip.network.proxy import Direction, Proxy
from offchip.paths import FIRMWARE
from offchip.scene import Defence, Scene
from offchip.vault import EEPROM, PLAIN


def probe(seed: int) -> dict[str, object]:
    """Digests of the modem's traffic both ways, of the broker's events and the console, and the engine's counts."""
    scene = Scene(seed)
    proxy = Proxy(scene.broker)
    scene.internet.register(HOST, PORT, proxy)
    board = scene.build(defence=Defence(PLAIN, EEPROM), elf=FIRMWARE).board
    with board:
        board.power_on()
        board.console.wait_for("mqtt: published", 60)
        return {
            **{each.value: hashlib.sha256(proxy.recorded(each)).hexdigest() for each in Direction},
            "events": hashlib.sha256(repr([(each.time, each) for each in scene.broker.events]).encode()).hexdigest(),
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
