# SPDX-License-Identifier: Apache-2.0
"""Attacks with probes on the wires between chip and media."""

from __future__ import annotations

from dataclasses import dataclass

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import COMPLAINTS, await_or_fail, holding
from offchip.attacks.pieces import Slots
from offchip.attacks.reach import Reach
from offchip.attacks.wire import BLOCK, rebuild
from offchip.board.media import SdCard
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import SD, Chunk


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

    The card itself stays as it is. ``repair_crc``: also put each block's CRC16 right, as anybody would. ``from_read``:
    which read of each block is the first to be answered so; with 2 the device may check the genuine one and use the
    other. The attacker answers under the server's name as well; the device is started, its reaction awaited.
    """

    id, title, keyword = "A10", "change data on the bus", "Replace The Trust Anchor On The Bus"
    needs = (Need.BUS, Need.NETWORK)
    psa, emb3d, cwe = "T.MITM", "TID-114", (367, 345)
    repair_crc: bool = True
    from_read: int = 1

    def applies(self, defence: Defence) -> Applies:
        if defence.medium is SD:
            return Applies(True, "trust anchors cross the card's bus")
        return Applies(False, "no trust anchor crosses the card's bus")

    def fire(self, scene: Reach) -> list[Evidence]:
        tap = scene.board.spi_tap
        at, forged = self._forgery(scene)
        end = at + len(forged)
        tap.clear()  # accesses are counted from here on
        while at < end:
            block, inside = divmod(at, BLOCK)
            piece = forged[len(forged) - (end - at):][:BLOCK - inside]
            tap.replace_on_read(block, inside, piece, nth=self.from_read, fix_crc=self.repair_crc)
            at += len(piece)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        scene.start()
        await_or_fail(scene, lambda: bool(tap.fired()), "the device reading its trust anchors")
        said, calls = len(scene.board.console.lines), len(rogue.clients) + len(rogue.failures)
        await_or_fail(scene, lambda: len(rogue.clients) + len(rogue.failures) > calls or any(
            line.text.startswith(COMPLAINTS) for line in scene.board.console.lines[said:]), "the device's reaction")
        return Evidence.of_tap(self.id, tap.fired())

    def _forgery(self, scene: Reach) -> tuple[int, bytes]:
        """From which byte of the card on what is handed over; the interposer has read the card before."""
        card = scene.board.sd
        pieces, (piece, *_) = holding(card, Chunk.BROKER_CA)
        stored, forged = pieces.read(piece), pieces.forged(piece, scene.authority.root.certificate_der)
        if isinstance(pieces, Slots):
            return self._lies_at(card, pieces.area()) + pieces.start(piece), forged
        if len(forged) > len(stored):
            raise AttackFailed(f"the forged certificate takes {len(forged)} bytes, the file has {len(stored)}")
        return self._lies_at(card, stored), forged.ljust(len(stored), b"\n")

    @staticmethod
    def _lies_at(card: SdCard, content: bytes) -> int:
        offset = card.image.find(content)
        if offset < 0:
            raise AttackFailed(f"{card.name}: a file of it does not lie in one piece")
        return offset
