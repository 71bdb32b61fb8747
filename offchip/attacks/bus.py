# SPDX-License-Identifier: Apache-2.0
"""Attacks with probes on the wires between chip and media."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import COMPLAINTS, await_or_fail, holding, start_and_listen, switch_off
from offchip.attacks.pieces import Slots
from offchip.attacks.reach import Reach
from offchip.attacks.server import StaleServer
from offchip.attacks.wire import BLOCK, rebuild
from offchip.board.media import SdCard
from offchip.engines.protocol import Fired, I2cTap, SpiTap, Tap
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, NONE, PLAIN, SD, Chunk, MediumKind
from offchip.vault.plain import record_place
from offchip.vault.records import EEPROM_MAGIC, Entries, encode_record
from offchip.vault.records import Tag as Field

#: a tag no firmware knows
_FILLER = 0x7FFF


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
        start_and_listen(scene)
        contents = rebuild(transfer for tap in taps for transfer in tap.drain())
        if not contents:
            raise AttackFailed("nothing crossed the buses while the device booted")
        return [Evidence(self.id, "sniff", each.place, each.time_ns, received=each.data,
                         detail=scene.loot.search(each.data, each.place)) for each in contents]


class Handed(Enum):
    """What the device gets in place of what is stored."""

    FORGED = "forged"
    OLDER = "older"


@dataclass(frozen=True)
class ReplaceOnTheBus(Attack):
    """Sit between medium and chip and hand over another CA certificate in place of the stored one.

    The medium itself stays as it is. The attacker answers under the server's name as well; the device is started, its
    reaction awaited.

    | =Argument= | =Description= |
    | handed | ``forged``: a CA certificate of the attacker's; ``older``: everything as it was, genuine to the last |
    | | bit, before the owner had the device trust another CA; the key of the one before has leaked |
    | repair_crc | also put the checksum right, of each block or of the record, as anybody would |
    | from_read | which read of each block is the first to be answered so; with 2 the device may check the genuine one |
    | | and use the other |
    | medium | whose bus it is |
    """

    id, title, keyword = "A10", "change data on the bus", "Replace The Trust Anchor On The Bus"
    needs = (Need.BUS, Need.NETWORK)
    psa, emb3d, cwe = "T.MITM", "TID-114", (367, 345)
    repair_crc: bool = True
    from_read: int = 1
    medium: MediumKind = SD
    handed: Handed = Handed.FORGED

    def applies(self, defence: Defence) -> Applies:
        if defence.medium is not self.medium or self.medium is NONE:
            return Applies(False, f"no trust anchor crosses the bus of the {self.medium.name} medium")
        return Applies(True, f"trust anchors cross the bus of the {self.medium.name} medium")

    def fire(self, scene: Reach) -> list[Evidence]:
        tap: Tap = scene.board.spi_tap if self.medium is SD else scene.board.i2c_tap
        before = self._renewed(scene) if self.handed is Handed.OLDER else b""
        tap.clear()  # accesses are counted from here on
        if self.handed is Handed.OLDER:
            self._as_it_was(scene, before)
        elif self.medium is SD:
            self._on_spi(scene, scene.board.spi_tap)
        else:
            self._on_i2c(scene, scene.board.i2c_tap)
        rogue = scene.answer_as_server(scene.granted(StaleServer.RETIRED.value) if self.handed is Handed.OLDER
                                       else scene.authority.issue_server([scene.host]))
        scene.start()
        await_or_fail(scene, lambda: bool(tap.fired()), "the device reading its trust anchors")
        said, calls = len(scene.board.console.lines), len(rogue.clients) + len(rogue.failures)
        await_or_fail(scene, lambda: len(rogue.clients) + len(rogue.failures) > calls or any(
            line.text.startswith(COMPLAINTS) for line in scene.board.console.lines[said:]), "the device's reaction")
        return Evidence.of_tap(self.id, tap.fired() if self.medium is SD else _joined(tap.fired()))

    def _renewed(self, scene: Reach) -> bytes:
        """Read the medium, then wait until the owner has renewed what is on it; returns what was read."""
        switch_off(scene)
        before = scene.medium(self.medium).image
        scene.wait_for_the_owner()
        switch_off(scene)
        if scene.medium(self.medium).image == before:
            raise AttackFailed(f"{scene.medium(self.medium).name}: nothing on it was renewed")
        return before

    def _as_it_was(self, scene: Reach, before: bytes) -> None:
        """A rule for each block of the card, or byte of the chip, that is not what it was."""
        now, board = scene.medium(self.medium).image, scene.board
        size = BLOCK if self.medium is SD else 1
        for at in range(0, len(now), size):
            old = before[at:at + size]
            if old != now[at:at + size] and self.medium is SD:
                board.spi_tap.replace_on_read(at // BLOCK, 0, old, nth=self.from_read, fix_crc=self.repair_crc)
            elif old != now[at:at + size]:
                board.i2c_tap.replace_at(at, old[0], self.from_read)

    def _on_spi(self, scene: Reach, tap: SpiTap) -> None:
        """One rule for each block of the card that holds a piece of what is forged."""
        at, forged = self._forgery(scene)
        end = at + len(forged)
        while at < end:
            block, inside = divmod(at, BLOCK)
            piece = forged[len(forged) - (end - at):][:BLOCK - inside]
            tap.replace_on_read(block, inside, piece, nth=self.from_read, fix_crc=self.repair_crc)
            at += len(piece)

    def _on_i2c(self, scene: Reach, tap: I2cTap) -> None:
        """One rule for each byte that differs from what is stored; the interposer has read the chip before."""
        pieces, (piece, *_) = holding(scene.board.eeprom, Chunk.BROKER_CA)
        if isinstance(pieces, Slots):
            start, forged = pieces.start(piece), pieces.forged(piece, scene.authority.root.certificate_der)
        else:
            start, forged = self._record_with_another(scene)
        stored = scene.board.eeprom.read(start, len(forged))
        for offset, (old, new) in enumerate(zip(stored, forged, strict=True), start):
            if old != new:
                tap.replace_at(offset, new, self.from_read)

    def _record_with_another(self, scene: Reach) -> tuple[int, bytes]:
        """Where the record in clear begins, and one of the same length with the attacker's CA certificate."""
        chip = scene.board.eeprom
        entries = PLAIN.read(EEPROM, chip)
        stored = encode_record(EEPROM_MAGIC, entries)
        others = [entry for entry in entries if entry[0] != Field.TRUST_ANCHOR]
        replaced: Entries = [(Field.TRUST_ANCHOR, scene.authority.root.certificate_der), *others]
        forged = encode_record(EEPROM_MAGIC, replaced)
        if len(forged) > len(stored):
            raise AttackFailed(f"the forged record takes {len(forged)} bytes, there are {len(stored)}")
        if len(forged) < len(stored):  # a field the device does not know makes up for it, so that the head stays
            forged = encode_record(EEPROM_MAGIC, [*replaced, (_FILLER, bytes(len(stored) - len(forged) - 4))])
        if not self.repair_crc:
            forged = forged[:-4] + stored[-4:]
        return record_place(chip), forged

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


def _joined(fired: Iterable[Fired]) -> list[Fired]:
    """The bytes changed in one read, as one."""
    runs: list[list[Fired]] = []
    last = -1
    for each in fired:
        index = int(each.place.rpartition(" ")[2])
        if index <= last or not runs:
            runs.append([])
        runs[-1].append(each)
        last = index
    return [Fired(run[0].bus, run[0].rule, run[0].time_ns, f"{run[0].place} to {run[-1].place.rpartition(' ')[2]}",
                  b"".join(each.before for each in run), b"".join(each.after for each in run)) for run in runs]
