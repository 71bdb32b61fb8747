# SPDX-License-Identifier: Apache-2.0
"""Boots the lab's own firmware and writes what it did into this folder, one file per scenario and engine.

    python -m tests.conformance.boot.record [embedded|renode|auto|both]

Do this after a change of firmware or platform that is meant to change the traffic; the diff shows what changed. "both"
boots one firmware on both engines, where there is a Renode, and writes into the folder ``both``: what was the same
there stays on record when the firmware has long moved on.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from offchip import vault
from offchip.board.board import Board
from offchip.board.create import DEFAULT_SEED, create_board
from offchip.board.factory import Provisioning, provision
from offchip.board.recording import BootRecording, record_boot
from offchip.errors import OffchipError
from offchip.pki.authority import Authority

HERE = Path(__file__).resolve().parent
BOTH = HERE / "both"
ELF = HERE.parents[2] / "firmware/build/offchip.elf"
SCENARIOS = {"plain-sd": vault.SD, "plain-eeprom": vault.EEPROM}
#: the boot is over when the credentials are checked; the modem's footprint is empty, nothing else decides the traffic
LAST_LINE = "^credentials: ok"
TIMEOUT_S = 5.0


def provisioned_board(scenario: str, engine: str) -> Board:
    """The device of ``scenario``, powered off; certificates and images are the same ones each time."""
    authority = Authority("recorded boots")
    device = authority.issue_device("thing-1")
    board = create_board(engine, elf=ELF, with_modem=False)
    provision(board.engine, Provisioning(
        thing_name="thing-1", endpoint_host="broker.offchip", publish_topics=("things/thing-1",),
        credentials=vault.Credentials((authority.root.certificate_der,), device.certificate_der, device.key_der),
        scheme=vault.PLAIN, medium=SCENARIOS[scenario]))
    return board


def record(scenario: str, engine: str) -> BootRecording:
    """One boot of ``scenario``."""
    with provisioned_board(scenario, engine) as board:
        return record_boot(board, scenario, ELF, DEFAULT_SEED, LAST_LINE, TIMEOUT_S)


def main() -> None:
    engine = sys.argv[1] if len(sys.argv) > 1 else "embedded"
    folder, engines = (BOTH, ("embedded", "renode")) if engine == "both" else (HERE, (engine,))
    for scenario, name in product(SCENARIOS, engines):
        recording = record(scenario, name)
        path = folder / f"{scenario}.{recording.engine}.json"
        recording.save(path)
        print(path)


if __name__ == "__main__":
    try:
        main()
    except OffchipError as error:
        sys.exit(str(error))
