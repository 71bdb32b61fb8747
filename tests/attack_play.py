# SPDX-License-Identifier: Apache-2.0
"""A scene for one attack: the victim, the attacker's own unit where he needs one, and the owner's life meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from offchip import vault
from offchip.attacks.base import Attack
from offchip.attacks.reach import Reach
from offchip.evidence import Evidence
from offchip.paths import FIRMWARE
from offchip.pki import Identity
from offchip.scene import Defence, Device, Scene
from offchip.scene.renewal import renew
from offchip.scene.scene import OTHER_THING, THING


class Play:
    """A scene with the victim, and where it takes two a device of the attacker's own."""

    def __init__(self, scheme: str, kind: vault.MediumKind, units: int = 1, elf: Path = FIRMWARE,
                 booted: bool = True, **changes: Any) -> None:
        self.scene = Scene()
        defence = Defence(vault.scheme(scheme), kind)
        self.device, *self.others = (self.scene.build(thing, defence, elf=elf, **changes)
                                     for thing in (THING, OTHER_THING)[:units])
        if booted:
            self.boot(self.device)
        self.renewed: list[Identity] = []
        self.reach = Reach.into(self.scene, self.device, self.others, self._renew)

    def _renew(self) -> None:
        self.renewed.append(renew(self.scene, self.device))
        self.boot(self.device)

    @staticmethod
    def boot(device: Device) -> None:
        device.board.power_on()
        device.board.console.wait_for("^credentials: ok", 10)
        device.board.power_off()

    def fire(self, attack: Attack) -> list[Evidence]:
        assert attack.applies(self.device.defence)
        begun = self.device.board.now_ns
        evidence = attack.fire(self.reach)
        assert evidence and all(each.attack == attack.id and each.time_ns >= begun for each in evidence)
        assert self.device.board.engine.diagnostics() == []
        return evidence

    def said(self) -> list[str]:
        return [line.text for line in self.device.board.console.lines]

    def loaded(self, identity: Identity, since: int = 0) -> bool:
        """The device's last word is that it took this certificate."""
        words = [line for line in self.said()[since:] if line.startswith(("credentials: ", "storage: error"))]
        return words[-1].startswith("credentials: ok") and words[-1].endswith(identity.certificate_id[:8])

    def found(self, identity: Identity) -> bool:
        """The attacker has the private key of this certificate."""
        return any(key.public_key == identity.certificate.public_key() for key in self.reach.loot.keys)


#: the fixture ``play``: takes what :class:`Play` takes
Make = Callable[..., Play]
