# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who is believed by the device, or stands on its line: firmware, forwarding, downgrades."""

from __future__ import annotations

from offchip import chip_map
from offchip.attacks.base import Attack
from offchip.attacks.fallback import PlantClearCredentials, Sealed
from offchip.attacks.impostor import SESSIONS, Downgrade, DowngradeTls, PushFirmware, StandBetween, Upstream
from offchip.attacks.medium import COMPLAINTS, ReadMedium
from offchip.attacks.reach import ADDRESS
from offchip.attacks.signatures import signatures_of
from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.errors import MediumError
from offchip.scene.defence import Defence
from offchip.vault import NONE, PLAIN, Chunk
from offchip.vault.records import Tag
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Undecided, either
from OffchipLibrary.goals.dissection import has_the_key
from OffchipLibrary.goals.impostor import Impostor, met
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.lab import Lab

#: how a TLS record with a handshake begins (RFC 8446, 5.1)
_HANDSHAKE = b"\x16\x03"
#: session_ticket, empty where one is only asked for (RFC 5077, 3.2), and of RFC 8446 4.2 pre_shared_key and what a
#: client sends that would take one
_TICKET, _PSK, _PSK_MODES = 35, 41, 45
_RESUMING = {_TICKET, _PSK, _PSK_MODES}


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
            self._stood_there(lab)
            lab.saw(f"server took nothing from the imposter; he heard {len(lab.rogue.messages) if lab.rogue else 0} "
                    "messages of the device")

        return either(lab, (taken, "the imposter reads what the device says and passes it on in its name"),
                      (nothing, "the imposter cannot be both: server to the device and device to the server"))

    @staticmethod
    def _taken(lab: Lab) -> list[str]:
        log = lab.scene.broker.events
        outside = {each.connection for each in log.of(events.ConnectionOpened) if each.peer_name == ADDRESS}
        return [str(each) for each in log.of(events.PublishAccepted) if each.connection in outside]


    @staticmethod
    def _stood_there(lab: Lab) -> None:
        """An oracle: before he answered himself, what the device said to the genuine server went through his hands."""
        recorded = [each for each in lab.evidence() if each.action == "record"]
        if not any(each.sent.startswith(_HANDSHAKE) for each in recorded):
            raise AssertionError("nothing the device says to its server went through the imposter's hands")
        lab.saw(f"{len(recorded[0].sent)} bytes of the device's went through his hands")


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
        return (DowngradeTls(self.how),)

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


class NoSafeRenegotiation(Worse):
    """The sign of safe renegotiation taken out of the offer."""

    attack, variant, how = "A28", "no-safe-renegotiation", Downgrade.NO_SAFE_RENEGOTIATION
    after = "a session that could be continued behind a stranger's: both ends told that the other knows no better"


class OldServer(Worse):
    """A server of the attacker's that speaks nothing newer than TLS 1.1.

    Where a CA certificate of his is believed, his is there; elsewhere the device calls all the same, and the terms are
    agreed before any certificate is looked at.
    """

    attack, variant, how = "A28", "old-server", Downgrade.OLD_SERVER
    after = "a session of the device with a server that speaks TLS 1.1 at most"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DowngradeTls(self.how, defence.medium if Chunk.BROKER_CA in defence.scheme.clear else NONE),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        speaks_nothing_better(lab)
        return super().measure(lab, see)


def speaks_nothing_better(lab: Lab) -> None:
    """An oracle: the device has called, and a client of today that believes the attacker's server gets no session."""
    reach = lab.reach
    if reach.rogue is None or not reach.rogue.visits:
        raise AssertionError("the device never called the attacker's server")
    modern = MqttClient("judge", None, (reach.authority.root.certificate,), reach.host, seed="judge")
    if modern.connect(reach.rogue, "judge") or "CERTIFICATE" in modern.failure:
        raise AssertionError("the attacker's server speaks as any other: that nobody agreed on worse says nothing")
    lab.saw(f"a client of today gets no session with it: {modern.failure or 'refused'}")


class WeakCurve(OldServer):
    """A server of the attacker's that knows a weak curve only."""

    variant, how = "weak-curve", Downgrade.WEAK_CURVE
    after = "a session of the device whose keys are agreed on P-192"


class Resumption(Goal):
    """A ticket of a session is as good as its certificates."""

    attack, variant = "A28", "resumption"
    after = "a session that is taken up again with what an earlier one left, without any certificate"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DowngradeTls(Downgrade.RESUMPTION),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        offers = [offered(each.received) for each in lab.evidence() if each.action == "record a ClientHello"]
        sessions = len(lab.said_since("tls: connected"))

        def taken_up() -> None:
            again = [each for each in offers[1:] if each.get(_TICKET) or _PSK in each]
            if not again:
                raise AssertionError("no ClientHello offers to go on with an earlier session")
            lab.saw(f"a later ClientHello has the extensions {sorted(again[0])}")

        def anew() -> None:
            if len(offers) < 2 or sessions < 2 or any(_RESUMING & each.keys() or not each for each in offers):
                raise AssertionError(f"{len(offers)} ClientHellos, {sessions} sessions: {offers}")
            lab.saw(f"{sessions} sessions of one life of the device, each from the beginning: no ClientHello has a "
                    "ticket or a pre-shared key, or asks for one")

        return either(lab, (taken_up, "a session goes on without anybody showing a certificate"),
                      (anew, "each session begins anew, with both certificates"))


def offered(record: bytes) -> dict[int, int]:
    """The extensions in a record that holds a ClientHello (RFC 8446, 4.1.2), and their bytes; none: it is no such."""
    if record[:2] != b"\x16\x03" or record[5:6] != b"\x01":
        return {}
    at = 5 + 4 + 2 + 32
    at += 1 + record[at]
    at += 2 + int.from_bytes(record[at:at + 2], "big")
    at += 1 + record[at] + 2
    found = {}
    while at + 4 <= len(record):
        kind, size = int.from_bytes(record[at:at + 2], "big"), int.from_bytes(record[at + 2:at + 4], "big")
        found[kind] = size
        at += 4 + size
    return found


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
            sessions = [visit for visit in lab.rogue.visits if visit.client] if lab.rogue else []
            signed = [visit for visit in sessions if signatures_of(visit)]
            if sessions and len(signed) < SESSIONS:
                raise AssertionError(f"{len(sessions)} sessions, in {len(signed)} of which the device signed, not "
                                     f"{SESSIONS}")
            lab.saw(f"{len(signed)} sessions in which the device signed")

        return either(lab, (lambda: has_the_key(lab), "the private key follows from the signatures"),
                      (follows_not, "no private key follows from what is signed"))
