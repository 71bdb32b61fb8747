# SPDX-License-Identifier: Apache-2.0
"""Attacks by somebody who answers in the server's place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from offchip.attacks.base import Applies, Attack, Need
from offchip.attacks.medium import await_contact, await_or_fail
from offchip.attacks.reach import Reach
from offchip.evidence import Evidence
from offchip.pki import Identity
from offchip.pki.authority import issue_below
from offchip.scene.defence import Defence


def _answer(attack: Attack, scene: Reach, identity: Identity, detail: str) -> Evidence:
    """Spoof the name, start the device, wait for its call."""
    rogue = scene.answer_as_server(identity)
    scene.start()
    await_contact(scene)
    return attack.note(scene, "answer for the server", scene.address, detail, sent=identity.certificate_der,
                       received=rogue.visits[0].received)


class WrongServer(Enum):
    """Why the certificate is not the server's."""

    UNTRUSTED = "untrusted"
    WRONG_HOST = "wrong-host"
    LEAF_AS_CA = "leaf-as-ca"


@dataclass(frozen=True)
class ImpersonateServer(Attack):
    """Spoof the server's name and answer with another certificate.

    | =certificate= | =Description= |
    | untrusted | issued by the attacker's own CA |
    | wrong-host | issued by the owner's CA for another host, whose key the attacker has come by |
    | leaf-as-ca | for the right host, issued by the attacker with that key, as if its certificate were a CA's |
    """

    id, title, keyword = "A17", "server certificate of another authority or host", "Impersonate The Server"
    needs = (Need.NETWORK,)
    psa, emb3d, cwe = "-", "TID-316", (295, 297)
    certificate: WrongServer = WrongServer.UNTRUSTED

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "a name can be spoofed whatever the device does with its credentials")

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.certificate is WrongServer.UNTRUSTED:
            identity = scene.authority.issue_server([scene.host])
        else:
            identity = scene.granted(WrongServer.WRONG_HOST.value)
        if self.certificate is WrongServer.LEAF_AS_CA:
            identity = issue_below("attacker", identity, [scene.host])
        return [_answer(self, scene, identity, f"certificate: {self.certificate.value}")]


class StaleServer(Enum):
    """When the certificate was, or will be, the server's; ``retired``: of a CA that its owner no longer trusts."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    RETIRED = "retired"


@dataclass(frozen=True)
class UseStaleServer(Attack):
    """Spoof the server's name and answer with a certificate of its own that is not valid now; the key leaked.

    ``clock_back_days``: also spoof the time server, whose answer then lies so many days in the past.
    """

    id, title, keyword = "A18", "expired server certificate, clock set back", "Use A Stale Server Certificate"
    needs = (Need.NETWORK,)
    psa, emb3d, cwe = "-", "TID-316", (298,)
    certificate: StaleServer = StaleServer.EXPIRED
    clock_back_days: int = 0

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "a name can be spoofed whatever the device does with its credentials")

    def fire(self, scene: Reach) -> list[Evidence]:
        identity, detail = scene.granted(self.certificate.value), f"certificate: {self.certificate.value}"
        if not self.clock_back_days:
            return [_answer(self, scene, identity, detail)]
        rogue = scene.answer_as_server(identity)
        back = timedelta(days=self.clock_back_days)
        scene.board.clock.offset_s = -back.total_seconds()
        scene.start()
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: any(line.text.startswith("clock: ") for line in scene.board.console.lines[said:]),
                      "the device asking for the time")
        true = scene.now()
        evidence = [self.note(scene, "answer for the time server", "SNTP", f"{self.clock_back_days} days back",
                              before=f"{true:%Y-%m-%d}".encode(), sent=f"{true - back:%Y-%m-%d}".encode())]
        if "error" in scene.board.console.lines[-1].text or "refused" in scene.board.console.lines[-1].text:
            return evidence  # it does not go on to the server
        await_contact(scene)
        return [*evidence, self.note(scene, "answer for the server", scene.address, detail,
                                     sent=identity.certificate_der, received=rogue.visits[0].received)]
