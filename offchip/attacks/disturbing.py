# SPDX-License-Identifier: Apache-2.0
"""Attacks that disturb the device at a moment of the attacker's choice: its noise source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.dissection import open_medium
from offchip.attacks.medium import REACTIONS, holds_credentials, start_and_listen, switch_off
from offchip.attacks.reach import Reach
from offchip.attacks.unsealing import counters_of
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import MediumKind
from offchip.vault.vaulted import Vaulted

_WORD = 0x5A5A1234
_SEED = 0x0BAD5EED
_FIRST_BOOT_S = 30.0


# A15 -----------------------------------------------------------------------------------------------------------------
class Noise(Enum):
    """What becomes of the noise source."""

    STUCK = "stuck"
    ALTERNATING = "alternate"
    REPEATING = "repeat"
    PREDICTABLE = "predictable"


@dataclass(frozen=True)
class SpoilTheNoise(Attack):
    """Disturb the RNG's noise source at the device's first boot, when it makes its secret; guess the secret from it.

    | =noise= | =Description= |
    | stuck | the same word over and over |
    | alternate | a word and its complement in turn |
    | repeat | each word twice |
    | predictable | good-looking words from a seed the attacker knows, as of a batch that begins alike: he gives the |
    | | same to a device of his own, opens that chip, and tries its secret on this one's medium |
    """

    id, title, keyword = "A15", "RNG stuck, alternating, predictable at first boot", "Spoil The Noise At First Boot"
    needs = (Need.LABORATORY, Need.MEDIUM, Need.UNIT)
    psa, emb3d, cwe = "-", "TID-317", (331, 338, 1241)
    medium: MediumKind
    noise: Noise = Noise.STUCK

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and not isinstance(defence.scheme, Vaulted):
            return Applies(False, f"under {defence.scheme.name} the device makes no secret")
        if fits and defence.scheme.fleet_secret is not None:
            return Applies(False, f"under {defence.scheme.name} the factory injects the secret")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        told = self._first_boot(scene)
        knobs = self._knobs()
        sent = repr(sorted(knobs.items())).encode()
        evidence = [self.note(scene, "disturb the noise source", "rng", f"{self.noise.value}; {told}", sent=sent,
                              received=told.encode())]
        if self.noise is Noise.PREDICTABLE:
            own = scene.another()
            self._first_boot(own)
            counters = counters_of(own.open_chip())
            if counters is None:
                raise AttackFailed("the attacker's own device has made no secret")
            guesses = [counters.secret]
            evidence.append(self.note(scene, "open the chip", f"flash of {own.thing}", "a secret of the same noise",
                                      received=counters.secret))
        else:
            both = (_WORD.to_bytes(4, "little"), (~_WORD & 0xFFFFFFFF).to_bytes(4, "little"))
            guesses = [(both[a] + both[b]) * 4 for a, b in ((0, 0), (0, 1), (1, 0), (1, 1))]
        for guess in guesses:
            evidence += open_medium(self, scene, self.medium, guess, "a guessed secret")
        return evidence

    def _knobs(self) -> dict[str, int | str]:
        if self.noise is Noise.PREDICTABLE:
            return {"Seed": _SEED}
        return {"FaultWord": _WORD, "Fault": self.noise.value}

    def _first_boot(self, scene: Reach) -> str:
        """What the device says of its generator, or of its credentials when it goes on."""
        if counters_of(scene.open_chip()) is not None and self.noise is not Noise.PREDICTABLE:
            raise AttackFailed("the device has a secret already; its first boot is over")
        switch_off(scene)
        scene.disturb_rng(**self._knobs())
        told = start_and_listen(scene, ("rng: error", *REACTIONS, "state: fault"), _FIRST_BOOT_S)
        switch_off(scene)
        return told
