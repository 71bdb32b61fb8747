# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who is believed by the device, or stands on its line: firmware, forwarding, downgrades."""

from __future__ import annotations

from offchip import chip_map
from offchip.attacks.base import Attack
from offchip.attacks.fallback import PlantClearCredentials, Sealed
from offchip.attacks.impostor import SESSIONS, Downgrade, DowngradeTls, PushFirmware, StandBetween, Upstream
from offchip.attacks.medium import COMPLAINTS, ReadMedium
from offchip.attacks.reach import ADDRESS
from offchip.broker import events
from offchip.errors import MediumError
from offchip.scene.defence import Defence
from offchip.vault import NONE, PLAIN
from offchip.vault.records import Tag
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Undecided, either
from OffchipLibrary.goals.dissection import has_the_key
from OffchipLibrary.goals.impostor import Impostor, met
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.lab import Lab


class FailOpen(Impostor):
    """The sealed records are gone, and credentials in clear lie there instead."""

    attack, variant = "A24", "gone"
    after = "the device's data, by credentials in clear where its sealed ones are gone"
    sealed = Sealed.GONE

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (PlantClearCredentials(kept_on(defence), self.sealed),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        kind = lab.device.defence.medium
        try:
            planted = {value for tag, value in PLAIN.read(kind, lab.medium(kind)) if tag == Tag.TRUST_ANCHOR}
        except MediumError as error:
            raise Undecided(f"no credentials in clear lie on the medium: {error}") from error
        if lab.reach.authority.root.certificate_der not in planted:
            raise Undecided("the credentials in clear on the medium do not lead to the attacker's server")
        return super().measure(lab, see)


class FailOpenBeside(FailOpen):
    """The sealed records are broken, and credentials in clear lie beside them."""

    variant, after = "broken", "the device's data, by credentials in clear beside sealed ones that are broken"
    sealed = Sealed.BROKEN


class FailOpenBesideNothing(FailOpen):
    """The vault's file is blank, as if the device had never sealed anything, and credentials in clear lie beside it."""

    variant, after = "erased", "the device's data, by credentials in clear beside a blank store"
    sealed = Sealed.ERASED


class FailOpenBesideHalf(FailOpen):
    """The vault's file is cut short."""

    variant, after = "short", "the device's data, by credentials in clear beside a store that was cut short"
    sealed = Sealed.SHORT


class FailOpenBesideAnotherFormat(FailOpen):
    """The records say that they are of a newer format."""

    variant, after = "newer-format", "the device's data, by credentials in clear beside records of a newer format"
    sealed = Sealed.NEWER


class Firmware(Goal):
    """A firmware image of the attacker's is in the device's flash, or runs."""

    attack, variant, after = "A23", "push", "his own firmware in the device, sent by a server it believes"

    def __init__(self) -> None:
        self._before = b""

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (PushFirmware(defence.medium),)

    def prepare(self, lab: Lab) -> None:
        self._before = self._code(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        starts = len(lab.said_since("boot: "))

        def in_the_flash() -> None:
            if self._code(lab) == self._before and starts <= 1:
                raise AssertionError("the code is as it was")
            lab.saw(f"the code in flash changed, or the device started {starts} times")

        def as_it_was() -> None:
            if self._code(lab) != self._before or starts > 1:
                raise AssertionError(f"the code is not as it was, or the device started {starts} times")
            met(lab)
            took = lab.said_since("mqtt: message topic=")
            if lab.rogue and lab.rogue.clients and not took:
                raise AssertionError("the device was connected to the attacker's server, and nothing was pushed to it")
            lab.saw(f"code in flash as it was; {len(took)} pushed messages arrived, {starts} start")

        return either(lab, (in_the_flash, "the device takes firmware from the attacker's server"),
                      (as_it_was, "the device takes no firmware from the network, whoever sends it"))

    @staticmethod
    def _code(lab: Lab) -> bytes:
        """Everything in the flash but the sectors with data."""
        flash = lab.board.engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)
        start = chip_map.DATA.start - chip_map.FLASH.start
        return flash[:start] + flash[start + chip_map.DATA.size:]


class Forward(Goal):
    """What the device says passes through the attacker's hands and is taken by the server as the device's."""

    attack, variant = "A27", "mutual"
    after = "to stand between device and server unnoticed, reading and forwarding in the device's name"
    upstream = Upstream.MUTUAL

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        read = (ReadMedium(defence.medium),) if defence.off_chip else ()
        return (*read, StandBetween(defence.medium, self.upstream))

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def taken() -> None:
            if not self._taken(lab):
                raise AssertionError("the server took nothing from the imposter")
            lab.saw(f"server took from the imposter: {self._taken(lab)[0]}")

        def nothing() -> None:
            if self._taken(lab):
                raise AssertionError(f"the server took {self._taken(lab)[0]}")
            met(lab)
            lab.saw(f"server took nothing from the imposter; he heard {len(lab.rogue.messages) if lab.rogue else 0} "
                    "messages of the device")

        return either(lab, (taken, "the imposter reads what the device says and passes it on in its name"),
                      (nothing, "the imposter cannot be both: server to the device and device to the server"))

    @staticmethod
    def _taken(lab: Lab) -> list[str]:
        log = lab.scene.broker.events
        outside = {each.connection for each in log.of(events.ConnectionOpened) if each.peer_name == ADDRESS}
        return [str(each) for each in log.of(events.PublishAccepted) if each.connection in outside]


class ForwardToACarelessServer(Forward):
    """The same where the server asks nobody for a certificate."""

    variant, upstream = "server-only", Upstream.SERVER_ONLY
    after = "the same, at a server that asks its clients for no certificate"

    @staticmethod
    def _taken(lab: Lab) -> list[str]:
        careless = lab.reach.careless
        heard = {message for message in lab.rogue.messages} if lab.rogue else set()
        return [f"{topic} {payload!r}" for topic, payload in (careless.log.messages if careless else [])
                if (topic, payload) in heard]


class Worse(Goal):
    """Device and server, or device and attacker, agree on less than they could."""

    how: Downgrade

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        own_server = self.how is Downgrade.OLD_SERVER
        return (DowngradeTls(self.how, defence.medium if own_server else NONE),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        until = lab.evidence()[-1].time_ns
        words = [line.text for line in lab.board.console.lines[lab.begun.lines:] if line.time_ns <= until
                 and line.text.startswith(("tls: ", *COMPLAINTS))]

        def agreed() -> None:
            if not any(word.startswith("tls: connected") for word in words):
                raise AssertionError(f"no session came about: {words}")
            lab.saw(f"console: {words}")

        def refused() -> None:
            if not words or any(word.startswith("tls: connected") for word in words):
                raise AssertionError(f"not refused: {words}")
            lab.saw(f"console: {words[0]}")

        return either(lab, (agreed, "a session came about on worse terms"),
                      (refused, "no session comes about on worse terms"))


class NoNewest(Worse):
    """TLS 1.3 taken out of the offer."""

    attack, variant, how = "A28", "no-tls-1.3", Downgrade.NO_TLS_1_3
    after = "a session on TLS 1.2 where both could do 1.3"


class OldVersion(Worse):
    """TLS 1.0 put into the offer."""

    attack, variant, how, after = "A28", "old-version", Downgrade.OLD_VERSION, "a session on TLS 1.0"


class WeakSuite(Worse):
    """RSA key transport put into the offer."""

    attack, variant, how = "A28", "weak-suite", Downgrade.WEAK_SUITE
    after = "a session without forward secrecy"


class OldServer(Worse):
    """A server of the attacker's that speaks nothing newer than TLS 1.1."""

    attack, variant, how = "A28", "old-server", Downgrade.OLD_SERVER
    after = "a session of the device with a server that speaks TLS 1.1 at most"


class Signatures(Goal):
    """The private key follows from what the device has signed."""

    attack, variant = "A28", "signatures"
    after = "the private key, computed from what the device signs for a server of the attacker's"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DowngradeTls(Downgrade.SIGNATURES, defence.medium),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def follows_not() -> None:
            see.loot.attacker_should_not_have_the_device_key()
            met(lab)
            signed = [visit for visit in lab.rogue.visits if visit.client] if lab.rogue else []
            if signed and len(signed) < SESSIONS:
                raise AssertionError(f"{len(signed)} sessions in which the device signed, not {SESSIONS}")
            lab.saw(f"{len(signed)} sessions in which the device signed")

        return either(lab, (lambda: has_the_key(lab), "the private key follows from the signatures"),
                      (follows_not, "no private key follows from what is signed"))
