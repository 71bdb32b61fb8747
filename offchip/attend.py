# SPDX-License-Identifier: Apache-2.0
"""The world around a board in a monitor session: factory images for it, and its modem, internet and broker over TCP.

Renode or the embedded monitor gives USART2 a TCP server (``runMacro $sockets``); here sits the modem at its other end.
Time is the host's clock, as the session's is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from offchip import chip_map
from offchip.board.factory import data_image, medium_image
from offchip.files import replace_file
from offchip.interrupt import Interrupt
from offchip.lab.live import Options, open_scene
from offchip.network.esp_at import Modem
from offchip.scene import Defence
from offchip.vault import EEPROM, SD, MediumKind, Scheme

SD_SIZE = 16 << 20
_BYTE_S = 10 / 115200
_TICK_S = 0.002


class Session:
    """Images of one provisioned device in ``folder``: ``nvm.img``, ``card.img``, ``eeprom.img``, and the PEM files.

    Raises:
        FactoryError: scheme and medium do not go together.
    """

    def __init__(self, folder: Path, scheme: Scheme, medium: MediumKind) -> None:
        self._start = time.monotonic()
        self._scene, _ = open_scene(Options(folder))
        provisioning = self._scene.provisioning(defence=Defence(scheme, medium))
        for name, content in (("nvm.img", data_image(provisioning)),
                              ("card.img", medium_image(provisioning, SD, SD_SIZE)),
                              ("eeprom.img", medium_image(provisioning, EEPROM, chip_map.EEPROM_SIZE))):
            replace_file(folder / name, content)

    def _now_ns(self) -> int:
        return round((time.monotonic() - self._start) * 1e9)

    def serve(self, host: str, modem_port: int, broker_port: int, say: Callable[[str], None], stop: Interrupt) -> None:
        """Attend board after board at ``host:modem_port`` until ``stop``.

        Raises:
            BrokerError: the broker's port is in use.
        """
        with self._scene.listen(broker_port) as listener:
            say(f"broker on {listener.host}:{listener.port}; waiting for a modem line at {host}:{modem_port}")
            while not stop:
                self._scene.advance(self._now_ns())
                try:
                    line = socket.create_connection((host, modem_port), timeout=0.5)
                except OSError:  # the session has not opened it yet
                    time.sleep(0.2)
                    continue
                say("the board's modem is attended")
                with line:
                    self._attend(line, stop)
                say("the modem line was closed")

    def _attend(self, line: socket.socket, stop: Interrupt) -> None:
        modem = Modem(self._scene.internet, self._scene.clock)
        modem.power_on(self._now_ns())
        line.settimeout(_TICK_S)
        to_board = bytearray()
        budget = 0.0
        before = time.monotonic()
        while not stop:
            try:
                data = line.recv(4096)
                if not data:
                    break
                modem.receive(data, self._now_ns())
            except TimeoutError:
                pass
            except OSError:
                break
            self._scene.advance(self._now_ns())
            to_board += modem.advance(self._now_ns())
            # at line rate: Renode's receive queue is slow when it is long
            now = time.monotonic()
            budget = min(budget + (now - before) / _BYTE_S, 64.0)
            before = now
            count = min(int(budget), len(to_board))
            if count:
                try:
                    line.sendall(to_board[:count])
                except OSError:
                    break
                del to_board[:count]
                budget -= count
        modem.power_off()
