# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who disturbs the device: its noise source at the first boot."""

from __future__ import annotations

from offchip.attacks.base import Attack
from offchip.attacks.disturbing import Noise, SpoilTheNoise
from offchip.scene.defence import Defence
from OffchipLibrary.goals.base import Oracles, Outcome, Start, either
from OffchipLibrary.goals.dissection import Opening, has_the_key
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.goals.thorough import dissected, first_boot
from OffchipLibrary.lab import Lab


class StuckNoise(Opening):
    """The noise source is stuck when the device makes its secret."""

    attack, variant, start = "A15", "stuck", Start.FACTORY
    after = "the private key, from the medium with a secret made of stuck noise"
    noise = Noise.STUCK

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SpoilTheNoise(kept_on(defence), self.noise),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        first_boot(lab)
        if self.noise is Noise.PREDICTABLE:
            dissected(lab)
        return either(lab, (lambda: has_the_key(lab), "the secret was guessed and opens the medium"),
                      (lambda: self._not_had(lab, see), self.missed))

    def _not_had(self, lab: Lab, see: Oracles) -> None:
        see.loot.attacker_should_not_have_the_device_key()
        complaints = lab.said_since("rng: error")
        if self.noise is not Noise.PREDICTABLE:  # good noise would be no secret to guess, however little it was touched
            if not complaints:
                raise AssertionError("the device has complained of no noise, so nobody has spoilt it")
            lab.saw(f"console: {complaints[0]}")


class AlternatingNoise(StuckNoise):
    """The noise source swings between two words."""

    variant, noise = "alternating", Noise.ALTERNATING
    after = "the private key, from the medium with a secret made of two words in turn"


class RepeatingNoise(StuckNoise):
    """The noise source gives each word twice, which the RNG itself does not notice."""

    variant, noise = "repeating", Noise.REPEATING
    after = "the private key, from the medium with a secret made of words that come twice"


class PredictableNoise(StuckNoise):
    """The noise looks good and is known."""

    variant, noise = "predictable", Noise.PREDICTABLE
    after = "the private key, from the medium with the secret another unit made of the same noise"
