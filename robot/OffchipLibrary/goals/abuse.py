# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who uses the device's identity at the server."""

from __future__ import annotations

from offchip.attacks.base import Attack
from offchip.attacks.client import ReturnAfterDeactivation, Who
from offchip.broker import events
from offchip.scene.defence import Defence
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, either
from OffchipLibrary.lab import Lab


class GoOnDeactivated(Goal):
    """The device goes on after the owner has deactivated its certificate."""

    attack, variant, after = "A19", "device", "to go on as the device although its certificate was deactivated"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReturnAfterDeactivation(Who.DEVICE),)

    def prepare(self, lab: Lab) -> None:
        lab.owner_acted_ns = lab.scene.now_ns
        lab.scene.deactivate(lab.device.identity)
        lab.board.power_cycle()

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def connected() -> None:
            later = [each for each in lab.scene.broker.events.since(lab.begun.events)
                     if isinstance(each, events.Connected) and each.client_id == lab.device.thing]
            if not later:
                raise AssertionError("no session came about since the certificate was deactivated")
            lab.saw(f"broker: {later[0]}")

        return either(lab, (connected, "the certificate still opens a session"),
                      (lambda: see.server.broker_should_have_refused_the_certificate("INACTIVE"),
                       "the server refuses the certificate at once, whoever holds it"))
