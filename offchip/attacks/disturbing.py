# SPDX-License-Identifier: Apache-2.0
"""Attacks that disturb the device at a moment of the attacker's choice: its noise source, its core, a pin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.dissection import open_medium
from offchip.attacks.medium import (
    REACTIONS,
    ReplaceTrustAnchor,
    await_contact,
    holds_credentials,
    start_and_listen,
    switch_off,
)
from offchip.attacks.reach import Reach
from offchip.attacks.unsealing import counters_of
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, MediumKind
from offchip.vault.vaulted import Vaulted

_WORD = 0x5A5A1234
_SEED = 0x0BAD5EED
_HEAD = 32
_FIRST_BOOT_S = 30.0
#: a start takes a tenth of this
_SKIPPED_S = 0.5


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
            guesses = [counters.secret] if counters else []
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


# A29 -----------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LiftTheLock(Attack):
    """Lift the medium's own write protection and do as if it had none: replace the trust anchor, answer as the server.

    On the EEPROM that is its WP pin, which a lifted leg or a wire to ground makes low (24LC256 data sheet, 2.4).
    """

    id, title, keyword = "A29", "the medium's own lock lifted", "Lift The Lock"
    needs = (Need.MEDIUM, Need.NETWORK)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108", (1231, 1233)
    medium: MediumKind = EEPROM

    def applies(self, defence: Defence) -> Applies:
        if self.medium is not EEPROM:
            return Applies(False, "the card has no lock here: CMD42 is not modelled, the notch is the reader's")
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        switch_off(scene)
        chip = scene.medium(self.medium)
        before = chip.counter("WriteProtect")
        if not before:
            raise AttackFailed(f"{chip.name}: its WP pin is low, there is no lock to lift")
        chip.set("WriteProtect", False)
        lifted = self.note(scene, "pull the WP pin low", f"{chip.name}, pin 7", "write protection lifted",
                           before=bytes([before]), after=bytes([chip.counter("WriteProtect")]))
        planted = replace(ReplaceTrustAnchor(self.medium)._plant(scene, scene.authority.root.certificate_der),
                          attack=self.id)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        told = start_and_listen(scene)
        if told.startswith("credentials: ok"):
            await_contact(scene)
        visits = b"".join(visit.received for visit in rogue.visits)
        return [lifted, planted, self.note(scene, "answer for the server", scene.address, told,
                                           sent=rogue.identity.certificate_der, received=visits)]
