# SPDX-License-Identifier: Apache-2.0
"""What is answered without Python is what Python answers: byte for byte, at any moment somebody looks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from offchip import vault
from offchip.campaign.crowd import engine_of
from offchip.campaign.operations import Provision
from offchip.engines.embedded import ahead
from offchip.engines.embedded.fingerprint import Fingerprint
from offchip.engines.embedded.native import library
from offchip.engines.fork import forked
from offchip.engines.protocol import Transfer
from offchip.paths import FIRMWARE
from offchip.scene import Defence
from offchip.scene.scene import Device

#: virtual seconds, in no proportion to the bytes on a bus: looks come in the midst of blocks
STEP_S, STEPS = 0.000_731, 150


@dataclass
class Seen:
    """Of a first boot: what passed on the buses, what was said, and the state of the machine at each look."""

    transfers: list[Transfer]
    lines: list[str]
    states: list[bytes]


def watch(device: Device) -> Seen:
    """A device that is about to seal its credentials: it reads the files of its medium, and writes others."""
    board, seen = device.board, Seen([], [], [])
    look = Fingerprint(engine_of(board).machine)
    board.spi_tap.record()
    board.i2c_tap.record()
    board.power_on()
    for step in range(STEPS):
        board.run(STEP_S)
        seen.transfers += board.spi_tap.drain() + board.i2c_tap.drain()
        if not step % 3:
            seen.states.append(look.of(range(0)))
    seen.lines = [f"{line.time_ns} {line.text}" for line in board.console.lines]
    return seen


@pytest.mark.parametrize("medium", [vault.SD, vault.EEPROM], ids=lambda medium: medium.name)
def test_no_difference_at_any_moment(medium: vault.MediumKind, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> Device:
        return Provision(Defence(vault.scheme("fresh"), medium), FIRMWARE, 1).build()

    def asked_each_time() -> Seen:
        engine_of(device.board).machine.ahead.native = False
        return watch(device)

    assert library() is not None, "a C compiler is among what the tests need"
    device = build()
    quick, slow = forked(lambda: watch(device)), forked(asked_each_time)
    assert quick == slow
    assert len(set(quick.states)) > 40 and sum(len(each.miso) for each in quick.transfers) > 2_000
    monkeypatch.setattr(ahead, "library", lambda: None)
    without = watch(build())
    assert (without.transfers, without.lines) == (quick.transfers, quick.lines)
