# SPDX-License-Identifier: Apache-2.0
"""Attacks on what should be gone: copies that a renewal or a reset has left behind."""

from __future__ import annotations

from dataclasses import dataclass

from offchip.attacks.base import Applies, Attack, Need
from offchip.attacks.blanks import said
from offchip.attacks.medium import contents, holds_credentials
from offchip.attacks.reach import Reach
from offchip.attacks.record_head import HEAD, records_in
from offchip.attacks.unsealing import counters_of, open_all
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import MediumKind


@dataclass(frozen=True)
class SearchRemains(Attack):
    """Wait until the owner has renewed, changed or reset what is stored, then search the medium for what was there.

    Everything is looked at: each file, and the medium as a whole with the slack behind files, free clusters and cells
    no record uses. ``open_chip``: the chip is opened afterwards, too, and its secret tried on everything that is found;
    so a superseded record that still opens is found as well.
    """

    id, title, keyword = "A26", "stale copies", "Search For Remains"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_READ", "TID-108", (226, 212, 459, 1266)
    medium: MediumKind
    open_chip: bool = False

    def applies(self, defence: Defence) -> Applies:
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        medium = scene.medium(self.medium)
        before = medium.image
        scene.wait_for_the_owner()
        if scene.board.powered:
            scene.board.power_off()
        evidence = [self.note(scene, "search", place, scene.loot.search(content, place), received=content)
                    for place, content in contents(medium) if content]
        after = medium.image
        evidence.append(self.note(scene, "compare", medium.name,
                                  f"{kept(before, after)} blocks of what was there are still somewhere",
                                  before=before, after=after))
        return [*evidence, *self._with_the_secret(scene, before, after)] if self.open_chip else evidence

    def _with_the_secret(self, scene: Reach, before: bytes, after: bytes) -> list[Evidence]:
        chip = scene.open_chip()
        counters = counters_of(chip)
        evidence = [self.note(scene, "open the chip", "flash, the data sectors",
                              scene.loot.search(chip.data, "flash, the data sectors"), received=chip.data)]
        if counters is None:
            return evidence
        place = scene.medium(self.medium).name
        for image in dict.fromkeys((after, headed(before, after))):
            evidence += [self.note(scene, "open with the secret", f"{place}:{each.place}", f"{each.chunk.value}; "
                                   f"{scene.loot.search(each.content, place)}", sent=counters.secret,
                                   before=image[each.place:each.place + HEAD + len(each.content)],
                                   received=each.content) for each in open_all(image, counters.secret)]
        return evidence


def headed(before: bytes, after: bytes) -> bytes:
    """The newer image with the heads of records put back that the older one had."""
    image = bytearray(after)
    for at, head in records_in(before):
        image[at:at + HEAD] = head
    return bytes(image)


def kept(before: bytes, after: bytes, size: int = 64) -> str:
    """How many blocks of the older image that say anything occur, at a multiple of their size, in the newer one."""
    def blocks(image: bytes) -> set[bytes]:
        return {block for at in said(image, size) if len(set(block := image[at:at + size])) > size // 4}

    old = blocks(before)
    return f"{len(old & blocks(after))} of {len(old)}"
