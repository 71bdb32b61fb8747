# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who makes the core pass over one instruction."""

from __future__ import annotations

from offchip.attacks.base import Applies, Attack
from offchip.attacks.skipping import Offered, SkipTheCheck
from offchip.errors import MediumError, VaultError
from offchip.scene.defence import Defence
from offchip.scene.kept import stored_value
from offchip.scene.renewal import retire_authority
from offchip.vault import Chunk
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, either
from OffchipLibrary.goals.moving import first_words, kept_on
from OffchipLibrary.goals.thorough import path_without_gaps
from OffchipLibrary.lab import Lab

#: whose code others share, so that one of them stands for all
_SAME_CODE = {"split": "fresh", "fleet-key": "fresh"}
_FEWEST = 100
#: what becomes of a device of which an instruction is missing, now and then
_AMISS = ("crashed", "hung", "reset", "locked up", "refused otherwise")


class SkipForForged(Goal):
    """A forged CA certificate is in use after one skipped instruction."""

    attack, variant = "A12", "forged"
    after = "a forged CA certificate in use, by one skipped instruction of the path that checks its tag"
    offered = Offered.FORGED

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SkipTheCheck(kept_on(defence), self.offered),)

    def applies(self, defence: Defence) -> Applies:
        fits = super().applies(defence)
        same = _SAME_CODE.get(defence.scheme.name)
        return fits if not fits or same is None else Applies(
            False, f"{defence.scheme.name} opens its records by the code of {same}, where each instruction is skipped")

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        for each in lab.evidence():
            if each.action == "skip each instruction once":
                lab.saw(f"{each.place}: {each.detail}")
        skipped = {int.from_bytes(each.sent[at:at + 4], "big") for each in lab.evidence()
                   if each.action == "skip each instruction once" for at in range(0, len(each.sent), 4)}
        tried = len(skipped)
        words = first_words(lab)

        def opened() -> None:
            good = [word for word in words if word.startswith("credentials: ok")]
            if not good:
                raise AssertionError(f"{len(words)} starts, none of which took what was offered")
            self.offered_lies_there(lab, see)
            lab.saw(f"console: {good[0]}")

        def refused() -> None:
            if not any(word in each.detail for each in lab.evidence() for word in _AMISS):
                raise AssertionError(f"{tried} instructions skipped, and all went as without: nothing was skipped")
            if tried < _FEWEST or not words or any(word.startswith("credentials: ok") for word in words):
                raise AssertionError(f"{tried} instructions skipped; {words[:3]}")
            path_without_gaps(lab, skipped)
            lab.saw(f"{tried} instructions skipped, each once; console, {len(words)} starts: {sorted(set(words))[:3]}")

        return either(lab, (opened, "one skipped instruction lets it through"),
                      (refused, "no single skipped instruction of the path lets it through"))

    def offered_lies_there(self, lab: Lab, see: Oracles) -> None:
        """An oracle: what the medium holds is not what the owner has put there."""
        see.store.store_should_hold_a_false(Chunk.BROKER_CA)


class SkipForStale(SkipForForged):
    """A CA certificate its owner has retired is in use after one skipped instruction."""

    variant, offered = "stale", Offered.STALE
    after = "a retired CA certificate in use, by one skipped instruction of the path that checks its version"

    def __init__(self) -> None:
        self._trusted = b""

    def meanwhile(self, lab: Lab) -> None:
        self._trusted = retire_authority(lab.scene, lab.device)

    def offered_lies_there(self, lab: Lab, see: Oracles) -> None:
        try:
            held = stored_value(lab.board, lab.device.provisioning, Chunk.BROKER_CA)
        except (MediumError, VaultError) as error:
            held = str(error).encode()
        if not self._trusted or held == self._trusted:
            raise AssertionError("the medium holds the CA certificate that its owner has put there last")
        lab.saw("store: not the CA certificate that its owner has put there last")
