# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who uses the device's identity at the server."""

from __future__ import annotations

import json
from typing import ClassVar

from offchip.attacks.base import Applies, Attack
from offchip.attacks.client import CloneIdentity, ExceedRights, ReturnAfterDeactivation, Who
from offchip.attacks.medium import COMPLAINTS, ReadMedium
from offchip.broker import events
from offchip.broker.registry import Status
from offchip.broker.services import Request
from offchip.broker.world import NARROW, WIDE
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from offchip.scene.scene import OTHER_THING, THING
from offchip.vault import EEPROM, SD
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Undecided, either, passes
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.lab import Lab


class GoOnDeactivated(Goal):
    """The device goes on after the owner has deactivated its certificate."""

    attack, variant, after = "A19", "device", "to go on as the device although its certificate was deactivated"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReturnAfterDeactivation(Who.DEVICE),)

    def prepare(self, lab: Lab) -> None:
        lab.deactivate()
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
_REACTIONS_S = 1.0
_WATCHED_S = 30.0


def given_away(defence: Defence, applies: Applies) -> Applies:
    """A measure at the server is asked only where somebody has the key: elsewhere there is nobody to notice."""
    if applies and defence.guard and not defence.clear_on(defence.medium):
        return Applies(False, "the medium gives no key away, so the server has nobody to notice")
    return applies


def banned(lab: Lab) -> None:
    """The owner's own rule has put the device's certificate out of use; an oracle."""
    registry, own = lab.scene.registry, lab.device.identity.certificate_id
    found = [each for each in lab.scene.broker.events.of(events.Banned) if each.certificate_id == own]
    if not found or registry.certificate(own).status is not Status.INACTIVE:
        raise AssertionError(f"the device's certificate is {registry.certificate(own).status}, bans: {found}")
    lab.saw(f"broker: {found[0]}; the device's certificate is INACTIVE")


def noticed(lab: Lab, outcome: Outcome) -> Outcome:
    """What is left of the attacker's success where the owner's server has reacted to it: he is out, and so is the
    device whose key he has."""
    watched = lab.device.defence.guard in (Guard.CLONES, Guard.ROGUE_DATA)
    if outcome.verdict is not Verdict.BROKEN or not watched or passes(lab, lambda: banned(lab)):
        return outcome
    return Outcome(Verdict.DEGRADED, "the server notices and bans the key: the attacker is out, and the genuine device "
                                     "with him")


class WithWhatTheMediumGives(Goal):
    """First the medium is read; who finds no key there turns to the server with one of his own."""

    def claim(self, who: Who) -> Attack:
        """What is done at the server."""
        raise NotImplementedError

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        media = (defence.medium,) if defence.off_chip else (SD, EEPROM)
        return (*(ReadMedium(medium) for medium in media), self.claim(Who.IMPOSTOR))

    def applies(self, defence: Defence) -> Applies:
        return given_away(defence, super().applies(defence))

    def fire(self, lab: Lab) -> None:
        *reads, _ = self.attacks(lab.device.defence)
        for read in reads:
            lab.fire(read)
        if lab.device.defence.guard is Guard.DEACTIVATION:
            lab.deactivate()
        lab.fire(self.claim(Who.THIEF if lab.reach.loot.identity is not None else Who.IMPOSTOR))


class Clone(WithWhatTheMediumGives):
    """A second device with the first one's identity; what it says is believed, and the first one is thrown out."""

    attack, variant = "A08", "clone"
    after = "to be the device at the server, with what its medium gives away, and to be believed"
    guards = (Guard.NONE, Guard.DEACTIVATION, Guard.CLONES, Guard.ROGUE_DATA)

    def claim(self, who: Who) -> Attack:
        return CloneIdentity(_FEED, who=who)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def believed() -> None:
            see.loot.attacker_should_have_been_let_in(_FEED)
            see.server.processor_should_have_believed_the_forgery()

        lab.board.run(_REACTIONS_S)  # the owner looks as time passes
        missed = "the key is out of use for whoever holds it" if lab.device.defence.guard is Guard.DEACTIVATION else \
            "without the private key nobody has a session in the device's name"
        return noticed(lab, either(lab, (believed, "the clone is taken for the device and its data is believed"), (
            lambda: see.loot.attacker_should_have_been_turned_away(_FEED), missed)))


class CloneBoard(Goal):
    """Another board of the same make becomes the device, with nothing but a copy of its medium."""

    attack, variant = "A08", "board"
    after = "two devices under one name: a copy of the medium at work in another board of the same make"
    guards = (Guard.NONE, Guard.DEACTIVATION, Guard.CLONES)

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (CloneIdentity(_FEED, who=Who.BOARD, medium=kept_on(defence)),)

    def applies(self, defence: Defence) -> Applies:
        return given_away(defence, super().applies(defence))

    def fire(self, lab: Lab) -> None:
        if lab.device.defence.guard is Guard.DEACTIVATION:
            lab.deactivate()
        super().fire(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        if lab.device.defence.guard is Guard.CLONES:  # both stay on until the owner's rule has had its time
            passes(lab, lambda: lab.board.run_until(lambda: bool(lab.scene.broker.events.of(events.Banned)), _WATCHED_S,
                                                    "the owner noticing the second board"))
        double = lab.others[0].board
        copied = double.sd if lab.device.defence.medium is SD else double.eeprom
        lines = [line.text for line in double.console.lines]
        started = max((at for at, text in enumerate(lines) if text.startswith("boot: ")), default=0)
        words = [text for text in lines[started:] if text.startswith(("config: scheme", "credentials: ",
                                                                      "storage: error", "mqtt: published"))]
        if not any(f" thing={lab.device.thing} " in word for word in words):
            raise Undecided(f"the second board does not call itself {lab.device.thing}: {words[:1]}")

        def two() -> None:
            topic = f"mqtt: published topic=offchip/things/{lab.device.thing} "
            said = [word for word in words if word.startswith(topic)]
            own = lab.said_since(topic)
            if not said:
                raise AssertionError(f"the second board has published nothing as {lab.device.thing}: {words[-2:]}")
            taken = lab.scene.accepted_publishes(f"offchip/things/{lab.device.thing}", lab.device.thing)
            sent = [each for each in taken if lab.event_ns(each) >= lab.begun.time_ns]
            if len(sent) <= len(own):
                raise AssertionError(f"the first board has published {len(own)} times, the server took {len(sent)}")
            lab.saw(f"second board: {len(said)} publishes, {said[0]}; the first one: {len(own)}; server: {len(sent)}")

        def one() -> None:
            if not copied.image.strip(b"\xff\0") or any(word.startswith("mqtt: published") for word in words):
                raise AssertionError(f"the second board has published, or has no copy: {words}")
            refused = [word for word in words if word.startswith(COMPLAINTS)]
            if refused:
                lab.saw(f"second board: {refused[0]}")
            else:
                see.server.broker_should_have_refused_the_certificate("INACTIVE", times=2)

        missed = "the key is out of use for both boards" if lab.device.defence.guard is Guard.DEACTIVATION else \
            "the copy does not work in another board: what opens it, or the key itself, is in the first one's chip"
        return noticed(lab, either(lab, (two, "the copy works in another board, under the first one's name"),
                                   (one, missed)))


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
                       "the server refuses what is forbidden, or lets no session come about"))


class SpeakFalsely(WithWhatTheMediumGives):
    """False data where the device itself may speak: no policy forbids it."""

    attack, variant = "A21", "false-data"
    policies: ClassVar[tuple[str, ...]] = (NARROW, WIDE)
    after = "to be believed with false data on the device's own topic, with the identity its medium gives away"
    guards: ClassVar[tuple[Guard, ...]] = (Guard.NONE, Guard.ROGUE_DATA)
    topic = f"offchip/things/{THING}"

    def claim(self, who: Who) -> Attack:
        return ExceedRights(who, publish=self.topic)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        lab.board.run(_REACTIONS_S)
        return noticed(lab, either(lab, (lambda: see.loot.attacker_should_have_been_granted(publish=self.topic),
                                         "the server takes it as the device's own"),
                                   (lambda: see.loot.attacker_should_have_been_turned_away(publish=self.topic),
                                    "without the private key nobody speaks in the device's name")))


class HaveItBanned(SpeakFalsely):
    """The owner's server takes a certificate out of use whose data is nonsense; the attacker sends nonsense."""

    variant, policies, guards = "banned", (), (Guard.NONE,)
    after = "the genuine device banned, by nonsense in its name at a server that reacts to rogue data"

    def prepare(self, lab: Lab) -> None:
        lab.scene.world.reactions.rules = Guard.ROGUE_DATA.rules

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        lab.board.run(_REACTIONS_S)  # the owner looks as time passes
        registry, own = lab.scene.registry, lab.device.identity.certificate_id

        def goes_on() -> None:
            see.loot.attacker_should_have_been_turned_away(publish=self.topic)
            if registry.certificate(own).status is not Status.ACTIVE:
                raise AssertionError("the device's certificate is out of use")
            lab.saw("the device's certificate is ACTIVE")

        return either(lab, (lambda: banned(lab), "the owner's own rule puts the genuine device out of service"),
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
                       "the server refuses what is forbidden, or lets no session come about"))


class ReadWhatIsPrivate(WithWhatTheMediumGives):
    """What the owner keeps at the server for another device: its shadow."""

    attack, variant, policies = "A21", "private", (NARROW, WIDE)
    after = "what the owner keeps for another device at the server, with the identity this one's medium gives away"
    topic = f"$aws/things/{OTHER_THING}/shadow/get"
    answer = f"{topic}/accepted"
    private = b"the alarm code is 4711"

    def claim(self, who: Who) -> Attack:
        return ExceedRights(who, publish=self.topic, subscribe=self.answer, payload="{}")

    def prepare(self, lab: Lab) -> None:
        state = {"state": {"desired": {"note": self.private.decode()}}}
        lab.scene.world.shadows.answer(Request("owner", "", f"$aws/things/{OTHER_THING}/shadow/update",
                                               json.dumps(state).encode()))

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        if lab.scene.world.shadows.state(OTHER_THING).get("desired") != {"note": self.private.decode()}:
            raise Undecided("the owner keeps nothing at the server that could be read")
        got = [each for each in lab.evidence() if self.private in each.received]

        def read() -> None:
            see.loot.attacker_should_have_been_granted(subscribe=self.answer)
            if not got:
                raise AssertionError("what is private is not in anything the attacker got")
            lab.saw(f"the attacker received {self.private.decode()!r}")

        def unread() -> None:
            see.loot.attacker_should_have_been_turned_away(subscribe=self.answer)
            if got:
                raise AssertionError("the attacker has what is private")

        return either(lab, (read, "one stolen key reads what the owner keeps for every device"),
                      (unread, "the server refuses what is forbidden, or lets no session come about"))


class Registered(Goal):
    """Somebody inside the owner's account has registered a key of the attacker's as the device's."""

    attack, variant, guards = "A21", "registered", (Guard.NONE, Guard.OWNER_SIGNED)
    after = "to be believed as the device with a key of his own that was registered behind the owner's back"
    topic = f"offchip/things/{THING}"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ExceedRights(Who.INTRUDER, publish=self.topic),)

    def applies(self, defence: Defence) -> Applies:
        if defence.scheme.name in ("internal", "fresh"):
            return super().applies(defence)
        return Applies(False, "the device's store has no part in it; asked of internal and fresh")

    def prepare(self, lab: Lab) -> None:
        smuggled = lab.reach.authority.issue_device(lab.device.thing)
        registry = lab.scene.registry
        identifier = registry.register_certificate_without_ca(smuggled)
        registry.attach_thing(identifier, lab.device.thing)
        registry.attach_policy(identifier, lab.device.defence.policy)
        lab.reach.smuggled = smuggled

    def fire(self, lab: Lab) -> None:
        super().fire(lab)
        lab.board.run(_REACTIONS_S)  # the owner looks as time passes
        super().fire(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        smuggled = lab.reach.smuggled
        assert smuggled is not None, "prepared above"
        refused = [each for each in lab.scene.broker.events.of(events.CertificateRefused)
                   if each.certificate_id == smuggled.certificate_id and "INACTIVE" in each.reason]

        def goes_on() -> None:
            see.loot.attacker_should_have_been_granted(publish=self.topic)
            if refused:
                raise AssertionError(f"the server has refused him: {refused[0]}")

        def out() -> None:
            if not refused:
                raise AssertionError("the server has refused nobody")
            bans = [each for each in lab.scene.broker.events.of(events.Banned)
                    if each.certificate_id == smuggled.certificate_id]
            own = lab.scene.registry.certificate(lab.device.identity.certificate_id).status
            if not bans or own is not Status.ACTIVE:
                raise AssertionError(f"bans: {bans}; the device's own certificate is {own}")
            lab.saw(f"broker: {bans[0]}; {refused[0]}; the device's certificate is ACTIVE")

        return either(lab, (goes_on, "the server takes a key its owner never signed"),
                      (out, "the key is banned as soon as it is shown, and the genuine device goes on"))
