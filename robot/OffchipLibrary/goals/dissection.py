# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who opens a chip, his own or the victim's, or who searches what should be gone."""

from __future__ import annotations

from offchip.attacks.base import Applies, Attack
from offchip.attacks.carving import COMPUTED
from offchip.attacks.client import CloneIdentity, ReturnAfterDeactivation, Who
from offchip.attacks.dissection import DissectAnotherUnit, Gain, OpenTheChip
from offchip.attacks.reach import ADDRESS
from offchip.attacks.remains import SearchRemains
from offchip.board.media import SdCard
from offchip.broker import events
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.scene.renewal import renew
from offchip.scene.secrets import Secret
from offchip.vault import SD
from offchip.vault.records import Tag
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Start, either, passes, settle
from OffchipLibrary.goals.impostor import Impostor
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.goals.thorough import dissected, earned
from OffchipLibrary.lab import Lab
from OffchipLibrary.loot_oracle import LootOracleKeywords

_FEED = "offchip/feed"
#: bytes of a record's magic in clear; seconds in which a device gives up
_MAGIC, _RESET_S = 4, 300.0


def has_the_key(lab: Lab) -> None:
    """What the attacker holds is the private half of the device's first certificate, and he has it from where it lies
    or has computed it; an oracle.
    """
    public = lab.device.identity.certificate.public_key()
    found = [key for key in lab.reach.loot.keys if key.public_key == public]
    if not found:
        raise AssertionError(f"the device's key is not among {len(lab.reach.loot.keys)} keys that were found")
    if found[0].form != COMPUTED and not any(_holds_the_key(lab, each) for each in lab.record.fired):
        raise AssertionError("the device's key was found, and is in nothing that was got where it lies: it was given")
    lab.saw(f"device key found in {found[0].where} ({found[0].form})")


def _holds_the_key(lab: Lab, evidence: Evidence) -> bool:
    secret = Secret.of_key("the device's private key", lab.device.identity)
    return earned(lab, evidence) and LootOracleKeywords(lab).came_from_there(evidence) \
        and bool(secret.form_in(evidence.received))


def was_let_in(lab: Lab) -> None:
    """A session of the device's certificate from the attacker's address, and a publish taken; an oracle."""
    log = lab.scene.broker.events
    outside = {each.connection for each in log.of(events.ConnectionOpened) if each.peer_name == ADDRESS}
    sessions = [each for each in log.of(events.Connected) if each.connection in outside
                and each.certificate_id == lab.device.identity.certificate_id]
    taken = [each for each in log.of(events.PublishAccepted) if each.connection in outside and each.topic == _FEED]
    if not sessions or not taken:
        raise AssertionError(f"sessions of the attacker: {sessions}; publishes accepted: {taken}")
    lab.saw(f"broker: {sessions[0]}; {taken[0]}")


class Opening(Goal):
    """The key is had when it was opened and lets the attacker in."""

    found = "the key was opened and lets the attacker in"
    missed = "neither the key nor eight bytes of it are in anything the attacker got"
    seeks_secrets = True

    #: the secret that is tried is another unit's
    dissects = False

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        if lab.reach.loot.identity is not None:
            lab.fire(CloneIdentity(_FEED))
        if self.dissects:
            dissected(lab)

        def had() -> None:
            has_the_key(lab)
            was_let_in(lab)

        def had_not() -> None:
            see.loot.attacker_should_not_have_the_device_key()
            see.loot.attacker_should_have_got_what_is_there("flash", *self._media(lab))

        return either(lab, (had, self.found), (had_not, self.missed))

    @staticmethod
    def _media(lab: Lab) -> tuple[str, ...]:
        defence = lab.device.defence
        return (lab.medium(defence.medium).name,) if defence.off_chip else ()


class AnotherUnit(Opening):
    """The secret of a unit the attacker bought, on the victim's medium."""

    attack, variant = "A20", "another-unit"
    after = "the private key, from the medium with the secret of another unit that was opened"
    dissects = True

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DissectAnotherUnit(kept_on(defence)),)


class OpenedChip(Opening):
    """Whatever the chip keeps, and whatever it opens."""

    attack, variant = "A30", "read"
    after = "the private key, from the chip itself or from the medium with the chip's own secret"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (OpenTheChip(),)


class ForgedWithTheSecret(Impostor):
    """The attacker's CA certificate, sealed as the device would."""

    attack, variant = "A30", "forge"
    after = "the device's data, by a CA certificate sealed with the chip's own secret"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (OpenTheChip(Gain.FORGE),)


class OpenedAndDeactivated(Goal):
    """What still limits the damage: one device's key, until its owner deactivates it."""

    attack, variant = "A30", "deactivated"
    after = "to go on as the device with the key from its opened chip after the owner has deactivated it"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (OpenTheChip(),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        has_the_key(lab)
        lab.deactivate()
        lab.fire(ReturnAfterDeactivation(Who.THIEF))
        return either(lab, (lambda: was_let_in(lab), "the key still lets the attacker in"),
                      (lambda: see.server.broker_should_have_refused_the_certificate("INACTIVE"),
                       "one device's key is lost, and useless once its owner has deactivated it"))


class Remains(Goal):
    """The superseded key is found on the medium or in the chip."""

    attack, variant, after = "A26", "renewed", "the private key its owner has replaced, from what was left of it"
    open_chip, seeks_secrets = True, True

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SearchRemains(kept_on(defence), self.open_chip),)

    def meanwhile(self, lab: Lab) -> None:
        renew(lab.scene, lab.device)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        searched = passes(lab, lambda: see.loot.attacker_should_have_got_what_is_there(
            "flash", lab.medium(lab.device.defence.medium).name))
        given = passes(lab, lambda: has_the_key(lab))  # before the device runs on and changes what lies there
        settle(lab)

        def had() -> None:
            if given:
                raise AssertionError(given)

        def gone() -> None:
            see.loot.attacker_should_not_have_the_device_key()
            if searched:
                raise AssertionError(searched)

        return either(lab, (had, "what was replaced can still be had"),
                      (gone, "nothing of it is left, nor of what opens it"))


class RemainsOfAReset(Remains):
    """The device gives its credentials up, as its owner has it do before it changes hands."""

    variant, start = "reset", Start.ENROLLABLE
    after = "the private key the device had before a reset, from what was left of it on the medium and in the chip"

    def applies(self, defence: Defence) -> Applies:
        if defence.scheme.name not in ("plain", "split", "fresh"):
            return Applies(False, "a reset is the same for all; asked of plain, split and fresh")
        return super().applies(defence)

    def meanwhile(self, lab: Lab) -> None:
        """The owner blanks one piece of it, and waits until the device has given up the rest."""
        board, medium = lab.board, lab.medium(lab.device.defence.medium)
        board.power_off()
        place = lab.device.provisioning.scheme.place(medium.kind, Tag.DEVICE_CERTIFICATE)
        if isinstance(medium, SdCard):
            content = medium.read_file(place.path)
            blank = b"\xFF" * (place.length or len(content))
            medium.write_file(place.path, content[:place.offset] + blank + content[place.offset + len(blank):])
        else:
            medium.write(place.offset, b"\xFF" * (place.length or _MAGIC))
        board.console.skip()
        board.power_on()
        board.console.wait_for("^vault: reset", _RESET_S)
        board.power_off()  # before anything new can have overwritten what is left


class Deleted(Remains):
    """The owner deletes the files with a PC and passes the card on."""

    variant, after = "deleted", "the private key, from a card whose files were deleted"
    open_chip = False

    def applies(self, defence: Defence) -> Applies:
        fits = super().applies(defence)
        return fits if not fits or defence.medium is SD else Applies(False, "an EEPROM has no files")

    def meanwhile(self, lab: Lab) -> None:
        lab.board.power_off()
        card = lab.board.sd
        for path in card.files():
            card.delete_file(path)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def gone() -> None:
            see.loot.attacker_should_not_have_the_device_key()
            see.loot.attacker_should_have_got_what_is_there(lab.medium(SD).name)

        return either(lab, (lambda: has_the_key(lab), "a deleted file is all there"),
                      (gone, "what lies on in free clusters is sealed, or no key"))
