# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who uses the device's identity at the server."""

from __future__ import annotations

from typing import ClassVar

from offchip.attacks.base import Attack
from offchip.attacks.client import CloneIdentity, ExceedRights, ReturnAfterDeactivation, Who
from offchip.attacks.medium import ReadMedium
from offchip.broker import events
from offchip.broker.reactions import HOSTILE, Rules
from offchip.broker.registry import Status
from offchip.broker.world import NARROW, WIDE
from offchip.scene.defence import Defence
from offchip.scene.scene import OTHER_THING, THING
from offchip.vault import EEPROM, SD
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, either
from OffchipLibrary.lab import Lab


class GoOnDeactivated(Goal):
    """The device goes on after the owner has deactivated its certificate."""

    attack, variant, after = "A19", "device", "to go on as the device although its certificate was deactivated"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReturnAfterDeactivation(Who.DEVICE),)

    def prepare(self, lab: Lab) -> None:
        lab.owner_acted_ns = lab.scene.now_ns
        lab.scene.deactivate(lab.device.identity)
        lab.board.power_cycle()

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def connected() -> None:
            later = [each for each in lab.scene.broker.events.since(lab.begun.events)
                     if isinstance(each, events.Connected) and each.client_id == lab.device.thing]
            if not later:
                raise AssertionError("no session came about since the certificate was deactivated")
            lab.saw(f"broker: {later[0]}")

        return either(lab, (connected, "the certificate still opens a session"),
                      (lambda: see.server.broker_should_have_refused_the_certificate("INACTIVE"),
                       "the server refuses the certificate at once, whoever holds it"))


_FEED = "offchip/feed"


class WithWhatTheMediumGives(Goal):
    """First the medium is read; who finds no key there turns to the server with one of his own."""

    def claim(self, who: Who) -> Attack:
        """What is done at the server."""
        raise NotImplementedError

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        media = (defence.medium,) if defence.off_chip else (SD, EEPROM)
        return (*(ReadMedium(medium) for medium in media), self.claim(Who.IMPOSTOR))

    def fire(self, lab: Lab) -> None:
        *reads, _ = self.attacks(lab.device.defence)
        for read in reads:
            lab.fire(read)
        lab.fire(self.claim(Who.THIEF if lab.reach.loot.identity is not None else Who.IMPOSTOR))


class Clone(WithWhatTheMediumGives):
    """A second device with the first one's identity; what it says is believed, and the first one is thrown out."""

    attack, variant = "A08", "clone"
    after = "to be the device at the server, with what its medium gives away, and to be believed"

    def claim(self, who: Who) -> Attack:
        return CloneIdentity(_FEED, who=who)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def believed() -> None:
            see.loot.attacker_should_have_been_let_in(_FEED)
            see.server.processor_should_have_believed_the_forgery()

        return either(lab, (believed, "the clone is taken for the device and its data is believed"),
                      (lambda: see.loot.attacker_should_have_been_turned_away(_FEED),
                       "without the private key nobody has a session in the device's name"))


class PublishForOthers(WithWhatTheMediumGives):
    """A topic that is another thing's."""

    attack, variant, policies = "A21", "publish", (NARROW, WIDE)
    after = "to speak for another device, with the identity this one's medium gives away"
    topic = f"offchip/things/{OTHER_THING}"

    def claim(self, who: Who) -> Attack:
        return ExceedRights(who, publish=self.topic)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: see.loot.attacker_should_have_been_granted(publish=self.topic),
                            "one stolen key speaks for the whole fleet"),
                      (lambda: see.loot.attacker_should_have_been_turned_away(publish=self.topic),
                       "the server ends the session at the first forbidden request, or lets none come about"))


class SpeakFalsely(WithWhatTheMediumGives):
    """False data where the device itself may speak: no policy forbids it."""

    attack, variant = "A21", "false-data"
    policies: ClassVar[tuple[str, ...]] = (NARROW, WIDE)
    after = "to be believed with false data on the device's own topic, with the identity its medium gives away"
    topic = f"offchip/things/{THING}"

    def claim(self, who: Who) -> Attack:
        return ExceedRights(who, publish=self.topic)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: see.loot.attacker_should_have_been_granted(publish=self.topic),
                            "the server takes it as the device's own"),
                      (lambda: see.loot.attacker_should_have_been_turned_away(publish=self.topic),
                       "without the private key nobody speaks in the device's name"))


class HaveItBanned(SpeakFalsely):
    """The owner's server takes a certificate out of use whose data is nonsense; the attacker sends nonsense."""

    variant, policies = "banned", ()
    after = "the genuine device banned, by nonsense in its name at a server that reacts to rogue data"

    def prepare(self, lab: Lab) -> None:
        lab.scene.world.reactions.rules = Rules(rogue=HOSTILE)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        lab.board.run(1.0)  # the owner looks as time passes
        registry, own = lab.scene.registry, lab.device.identity.certificate_id

        def banned() -> None:
            found = [each for each in lab.scene.broker.events.of(events.Banned) if each.certificate_id == own]
            if not found or registry.certificate(own).status is not Status.INACTIVE:
                raise AssertionError(f"the device's certificate is {registry.certificate(own).status}, bans: {found}")
            lab.saw(f"broker: {found[0]}; the device's certificate is INACTIVE")

        def goes_on() -> None:
            see.loot.attacker_should_have_been_turned_away(publish=self.topic)
            if registry.certificate(own).status is not Status.ACTIVE:
                raise AssertionError("the device's certificate is out of use")
            lab.saw("the device's certificate is ACTIVE")

        return either(lab, (banned, "the owner's own rule puts the genuine device out of service"),
                      (goes_on, "nobody without the key can have the device banned"))


class ListenToOthers(WithWhatTheMediumGives):
    """Everything the fleet says."""

    attack, variant, policies = "A21", "subscribe", (NARROW, WIDE)
    after = "to hear what all devices say, with the identity this one's medium gives away"
    filter = "offchip/#"

    def claim(self, who: Who) -> Attack:
        return ExceedRights(who, subscribe=self.filter)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: see.loot.attacker_should_have_been_granted(subscribe=self.filter),
                            "one stolen key hears the whole fleet"),
                      (lambda: see.loot.attacker_should_have_been_turned_away(subscribe=self.filter),
                       "the server ends the session at the first forbidden request, or lets none come about"))
