# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who wants a device to take what was sealed for another place, another device or another time."""

from __future__ import annotations

from offchip.attacks.base import Attack
from offchip.attacks.medium import COMPLAINTS, REACTIONS
from offchip.attacks.moving import Part, RestoreOlderImage, SwapChunks, TransplantMedium
from offchip.attacks.server import StaleServer, UseStaleServer
from offchip.pki import Identity
from offchip.scene.defence import Defence
from offchip.scene.renewal import renew, retire_authority
from offchip.vault import SD, MediumKind
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Undecided, either
from OffchipLibrary.goals.impostor import Impostor
from OffchipLibrary.goals.thorough import all_swaps_tried, renumbered
from OffchipLibrary.lab import Lab


def kept_on(defence: Defence) -> MediumKind:
    """The medium to attack; where there is none, any: the attack says that it does not apply."""
    return defence.medium if defence.off_chip else SD


def first_words(lab: Lab) -> list[str]:
    """What the device said first of its credentials, in each start since the attack began."""
    found: list[str] = []
    fresh = False
    for line in lab.board.console.lines[lab.begun.lines:]:
        fresh = fresh or "boot: " in line.text  # a power cut leaves half a line before it
        if fresh and line.text.startswith(REACTIONS):
            found.append(line.text)
            fresh = False
    return found


def took(lab: Lab, identity: Identity) -> None:
    """The device has taken credentials with this certificate since the attack began; an oracle."""
    wanted = f"certificate={identity.certificate_id[:8]}"
    good = [word for word in first_words(lab) if word.startswith("credentials: ok") and word.endswith(wanted)]
    if not good:
        raise AssertionError(f"the device did not take {wanted}: {first_words(lab)[-3:]}")
    lab.saw(f"console: {good[0]}")


def refused(lab: Lab, starts: int = 1) -> None:
    """In each of at least so many starts since the attack began the device refused what it found; an oracle."""
    words = first_words(lab)
    if len(words) < starts or not all(word.startswith(COMPLAINTS) for word in words):
        raise AssertionError(f"{len(words)} starts, not all refused: {words[:3]}")
    lab.saw(f"console, {len(words)} starts: {sorted(set(words))[:3]}")


class Swap(Goal):
    """A piece is taken for another one when the vault lets it through, whatever becomes of it then."""

    attack, variant = "A05", "swap"
    after = "one stored piece taken for another, for instance a certificate for the CA's"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SwapChunks(kept_on(defence)),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        starts = len(lab.evidence())

        def let_through() -> None:
            passed = [word for word in first_words(lab) if not word.startswith("storage: error")]
            if not passed:
                raise AssertionError("no piece got past the vault")
            lab.saw(f"console: {len(passed)} of {starts} moved pieces got past the vault: {passed[0]}")

        def all_noticed() -> None:
            words = first_words(lab)
            if len(words) < starts or any(not word.startswith("storage: error") for word in words):
                raise AssertionError(f"{len(words)} starts, not each with a complaint of the vault: {words[:3]}")
            all_swaps_tried(lab)
            lab.saw(f"console: each of {starts} moved pieces was named: {sorted(set(words))[:3]}")

        return either(lab, (let_through, "a piece is taken for another one"),
                      (all_noticed, "no piece is taken for another one, in either slot"))


class Transplant(Goal):
    """The device works with another device's credentials."""

    attack, variant, after = "A06", "transplant", "the device working with the credentials on another device's medium"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (TransplantMedium(kept_on(defence)),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: took(lab, lab.others[0].identity), "the device takes another one's credentials"),
                      (lambda: refused(lab), "the device refuses another one's medium"))


class TransplantDisguised(Transplant):
    """The other device was set up under this one's name, and its records name this one's chip."""

    variant = "disguised"
    after = "the device working with another one's credentials, whose records claim to be of this chip"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (TransplantMedium(kept_on(defence), disguised=True),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        other = lab.others[0].board.console.find(f"^config: .* thing={lab.device.thing} ")
        seen = {line for line in first_words(lab) if "record-foreign" in line}
        if not other or seen:
            raise Undecided(f"the disguise was not worn: the device says {sorted(seen)}" if seen else
                            f"the other device never called itself {lab.device.thing}")
        return super().measure(lab, see)


class Restore(Goal):
    """The device works again with credentials its owner has replaced."""

    attack, variant, after = "A07", "whole", "the device working with credentials its owner has replaced"
    part = Part.WHOLE

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (RestoreOlderImage(kept_on(defence), self.part),)

    def meanwhile(self, lab: Lab) -> None:
        renewed = renew(lab.scene, lab.device)
        lab.board.power_on()
        lab.board.console.skip()
        lab.board.console.wait_for(f"^credentials: ok .*certificate={renewed.certificate_id[:8]}", 30)
        lab.board.power_off()

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        if self.part is Part.RENUMBERED:
            renumbered(lab)

        def stale_refused() -> None:
            # the first start is that with the renewed credentials
            words = first_words(lab)[1:]
            if not words or not all(word.startswith(COMPLAINTS) for word in words):
                raise AssertionError(f"not every start with the older image was refused: {words[:3]}")
            lab.saw(f"console, with the older image: {sorted(set(words))[:3]}")

        return either(lab, (lambda: took(lab, lab.device.identity), "the replaced credentials are in use again"),
                      (stale_refused, "the older image is refused"))


class RestoreRenumbered(Restore):
    """The older records with the numbers of those that replaced them."""

    variant, part = "renumbered", Part.RENUMBERED
    after = "the device working with credentials its owner has replaced, in records that say they are the newest"


class RestoreTheRetiredAuthority(Impostor):
    """The owner trusts another CA since the old one's key leaked; the attacker has that key and the older image."""

    attack, variant = "A07", "retired-ca"
    after = "the device's data, by the image from before its CA was retired and that CA's leaked key"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return RestoreOlderImage(kept_on(defence)), UseStaleServer(StaleServer.RETIRED)

    def fire(self, lab: Lab) -> None:
        restore, answer = self.attacks(lab.device.defence)
        *_, told = lab.fire(restore)
        if "credentials: ok" in told.detail:
            lab.fire(answer)
        else:  # it will not call; he stands ready all the same
            lab.reach.answer_as_server(lab.reach.granted(StaleServer.RETIRED.value))

    def meanwhile(self, lab: Lab) -> None:
        retire_authority(lab.scene, lab.device)
