# SPDX-License-Identifier: Apache-2.0
"""Attacks with probes on the wires between chip and media."""

from __future__ import annotations

from dataclasses import dataclass

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import await_or_fail
from offchip.attacks.reach import Reach
from offchip.attacks.wire import BLOCK, rebuild
from offchip.errors import MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import PLAIN, SD
from offchip.vault.credentials import pem
from offchip.vault.records import Tag


@dataclass(frozen=True)
class SniffBus(Attack):
    """Record both buses while the device boots and loads its credentials; search what crossed them."""

    id, title, keyword = "A02", "sniff the bus during boot", "Sniff The Buses While Booting"
    needs = (Need.BUS,)
    psa, emb3d, cwe = "T.EAVESDROPPING", "TID-114 / TID-106", (311, 319)

    def applies(self, defence: Defence) -> Applies:
        if defence.off_chip:
            return Applies(True, f"the device reads its {defence.medium.name} medium while booting")
        return Applies(False, f"under {defence.scheme.name} nothing crosses a bus")

    def fire(self, scene: Reach) -> list[Evidence]:
        board = scene.board
        taps = (board.spi_tap, board.i2c_tap)
        for tap in taps:
            tap.record()
        board.console.skip()
        scene.start()
        said = len(board.console.lines)
        await_or_fail(scene, lambda: any(line.text.startswith(("credentials: ", "storage: error"))
                                         for line in board.console.lines[said:]), "the device loading its credentials")
        contents = rebuild(transfer for tap in taps for transfer in tap.drain())
        if not contents:
            raise AttackFailed("nothing crossed the buses while the device booted")
        return [Evidence(self.id, "sniff", each.place, each.time_ns, received=each.data,
                         detail=scene.loot.search(each.data, each.place)) for each in contents]


@dataclass(frozen=True)
class ReplaceOnTheBus(Attack):
    """Sit between card and chip and hand over the attacker's CA certificate in place of the stored one.

    The card itself stays as it is. ``repair_crc``: also put each block's CRC16 right, as anybody would. The attacker
    answers under the server's name as well; the device is started, its first contact or complaint awaited.
    """

    id, title, keyword = "A10", "change data on the bus", "Replace The Trust Anchor On The Bus"
    needs = (Need.BUS, Need.NETWORK)
    psa, emb3d, cwe = "T.MITM", "TID-114", (367, 345)
    repair_crc: bool = True

    def applies(self, defence: Defence) -> Applies:
        if defence.medium is SD:
            return Applies(True, "trust anchors cross the card's bus")
        return Applies(False, "no trust anchor crosses the card's bus")

    def fire(self, scene: Reach) -> list[Evidence]:
        board = scene.board
        offset, stored = self._stored_anchors(scene)
        forged = pem("CERTIFICATE", scene.authority.root.certificate_der)
        if len(forged) > len(stored):
            raise AttackFailed(f"the forged certificate takes {len(forged)} bytes, the file has {len(stored)}")
        forged = forged.ljust(len(stored), b"\n")
        at = 0
        while at < len(forged):
            block, inside = divmod(offset + at, BLOCK)
            piece = forged[at:at + BLOCK - inside]
            board.spi_tap.replace_on_read(block, inside, piece, fix_crc=self.repair_crc)
            at += len(piece)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        scene.start()
        said = len(board.console.lines)
        await_or_fail(scene, lambda: bool(rogue.clients or rogue.failures) or any(
            line.text.startswith("storage: error") for line in board.console.lines[said:]), "the device's reaction")
        evidence = Evidence.of_tap(self.id, board.spi_tap.fired())
        if not evidence:
            raise AttackFailed("the device never read the blocks with the trust anchors")
        return evidence

    def _stored_anchors(self, scene: Reach) -> tuple[int, bytes]:
        """Where the trust anchors lie on the card, and what they are; the interposer has read the card before."""
        card, held = scene.board.sd, PLAIN.place(SD, Tag.TRUST_ANCHOR)
        try:
            stored = held.read(card)
        except MediumError as error:
            raise AttackFailed(f"{card.name}: there are no trust anchors to replace: {error}") from error
        offset = card.image.find(stored)
        if offset < 0:
            raise AttackFailed(f"{card.name}: {held} does not lie in one piece")
        return offset, stored
