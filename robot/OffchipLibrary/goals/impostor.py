# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who wants the device to take his server for the owner's."""

from __future__ import annotations

import re

from offchip.attacks.base import Attack
from offchip.attacks.bus import Handed, ReplaceOnTheBus
from offchip.attacks.medium import COMPLAINTS, ReplaceTrustAnchor, contents
from offchip.attacks.server import ImpersonateServer, StaleServer, UseStaleServer, WrongServer
from offchip.engines.protocol import Tap
from offchip.scene.defence import Defence
from offchip.scene.kept import stored_value
from offchip.scene.renewal import retire_authority
from offchip.vault import SD, Chunk
from offchip.vault.credentials import pem
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, either, settle
from OffchipLibrary.lab import Lab

_BLOCK = 512
#: where a tap says that it has changed something
_ON_SPI = re.compile(r"spi1 block (\d+) offset (\d+)")
_ON_I2C = re.compile(r"i2c1 address 0x[0-9A-F]+ memory byte (\d+) to (\d+)")
#: what the device says of what is stored
_STORED = (*COMPLAINTS, "credentials: ok")


def met(lab: Lab) -> None:
    """The device has called the attacker's server, or did not come so far because it refused what is stored; an oracle.

    Who changes nothing and answers nowhere would be refused by every device.
    """
    rogue = lab.rogue
    if rogue is not None and rogue.visits:
        lab.saw(f"the device called the attacker's server {len(rogue.visits)} times")
        return
    words = lab.said_since(*_STORED)
    if not words or words[-1].startswith("credentials: ok"):
        raise AssertionError(f"the device never called, and says of what is stored: {words or 'nothing'}")
    lab.saw(f"console: {words[-1]}")


class Impostor(Goal):
    """The device has been had when its telemetry arrives at the rogue; not when all its calls end in the handshake."""

    had = "the device publishes to the attacker's server"
    refused = "the device ends every call to the attacker's server, or does not call; it gets nothing"
    #: so many attempts have to fail
    failures = 1
    #: what the device says when it refuses him for what he is; '': it may have several reasons
    because = ""

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        settle(lab, lambda: bool(lab.rogue and lab.rogue.messages), self.failures)
        return either(lab, (see.loot.rogue_should_have_received_device_data, self.had),
                      (lambda: self.kept_away(lab, see), self.refused))

    def kept_away(self, lab: Lab, see: Oracles) -> None:
        """An oracle: the device was reached, and refused him for what he is."""
        kept_away(lab, see)
        if self.because:
            words = lab.said_since(self.because)
            if not words:  # another fault of his would be refused by a device that overlooks this one
                raise AssertionError(f"the device has refused him, and not for this: it never said '{self.because}'")
            lab.saw(f"console: {words[0]}")


def kept_away(lab: Lab, see: Oracles) -> None:
    """An oracle: the server's name leads to the attacker, and the device has hung up on him or says why it cannot call.
    """
    see.loot.rogue_should_have_got_nothing(calls=0)
    rogue, reach = lab.reach.rogue, lab.reach
    assert rogue is not None, "the oracle before has looked"
    alerts = [visit.alert for visit in rogue.visits if visit.alert]
    complaints = lab.said_since(*COMPLAINTS)
    if not alerts and not complaints:
        raise AssertionError(f"the device has refused none of {len(rogue.visits)} calls and complained of nothing")
    calls = len(rogue.visits)
    lab.board.internet.connect(reach.host, reach.port, "judge").close()
    if len(rogue.visits) != calls + 1:
        raise AssertionError("the attacker's server does not stand where the device calls")
    lab.saw(f"the device ended a call with {alerts[-1]}" if alerts else f"console: {complaints[-1]}")


def false_anchor_lies_there(lab: Lab) -> None:
    """An oracle: the attacker's CA certificate is on the medium, in the bytes or the text a device would read."""
    der = lab.reach.authority.root.certificate_der
    medium = lab.medium(lab.device.defence.medium if lab.device.defence.off_chip else SD)
    found = [place for place, content in contents(medium) if der in content or pem("CERTIFICATE", der) in content]
    if not found:
        raise AssertionError(f"{medium.name}: the attacker's CA certificate is nowhere on it")
    lab.saw(f"{found[0]}: the attacker's CA certificate lies there")


def changed_on_its_way(lab: Lab) -> None:
    """An oracle: where the evidence says that the bus showed something else, the medium itself holds what was there."""
    image = lab.medium(lab.device.defence.medium if lab.device.defence.off_chip else SD).image
    places = 0
    for each in lab.evidence():
        on_spi, on_i2c = _ON_SPI.match(each.place), _ON_I2C.match(each.place)
        if on_spi:
            first = int(on_spi[1]) * _BLOCK + int(on_spi[2])
            last = first + len(each.before) - 1
        elif on_i2c:  # those that differ, from the first to the last
            first, last = int(on_i2c[1]), int(on_i2c[2])
        else:
            continue
        lies = image[first:last + 1]
        if not lies or (lies[0], lies[-1]) != (each.before[0], each.before[-1]) or \
                (len(lies) == len(each.before) and lies != each.before):
            raise AssertionError(f"{each.place}: the medium holds other bytes than are said to have been changed there")
        places += 1
    if not places:
        raise AssertionError("no evidence says where on the medium the bus showed something else")
    lab.saw(f"the medium holds in {places} places what it held; there the bus showed something else")


class ReplaceTheAnchor(Impostor):
    """The CA certificate on the medium is replaced by the attacker's."""

    attack, variant = "A04", "redirect"
    after = "the device's data, by a CA certificate of his own on the medium and a server behind it"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReplaceTrustAnchor(defence.medium if defence.off_chip else SD),)

    def kept_away(self, lab: Lab, see: Oracles) -> None:
        false_anchor_lies_there(lab)
        super().kept_away(lab, see)


class Configure(ReplaceTheAnchor):
    """The rogue gives the device a certificate of his own making: the genuine server will not take it any more."""

    attack, variant = "A04", "configuration"
    after = "the device with a key and a certificate he has had it make, asked for by his own server"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReplaceTrustAnchor(defence.medium if defence.off_chip else SD, configure=True),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def configured() -> None:
            kept = lab.device.kept()
            if kept is None or kept.certificate_id in lab.scene.registry.certificates:
                raise AssertionError("the device keeps a certificate of its owner's, or none")
            kept.certificate.verify_directly_issued_by(lab.reach.authority.root.certificate)
            lab.saw(f"kept: certificate {kept.certificate_id[:8]}, issued by the attacker, unknown to the registry")

        return either(lab, (configured, "the attacker's server has replaced the device's own key and certificate"),
                      (lambda: self.kept_away(lab, see), self.refused))


class ReplaceTheAnchorOnTheBus(Impostor):
    """The medium stays as it is; what the chip reads is replaced on the wire, checksums put right."""

    attack, variant = "A10", "on-the-bus"
    after = "the device's data, by a CA certificate of his own that exists on the bus only"
    from_read = 1

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReplaceOnTheBus(from_read=self.from_read, medium=defence.medium if defence.off_chip else SD),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        changed_on_its_way(lab)
        return super().measure(lab, see)


class ReplaceTheAnchorAtTheSecondRead(ReplaceTheAnchorOnTheBus):
    """What is read first is genuine and may be checked; what is read again is not."""

    variant, from_read, failures = "second-read", 2, 2
    after = "the device's data, by a CA certificate of his own that the bus shows from the second reading on"


class OlderOnTheBus(Impostor):
    """The medium holds what its owner has put there last; the wire shows what lay there before, seal and all."""

    attack, variant = "A10", "older"
    after = "the device's data, by the records from before its CA was retired, on the bus, and that CA's leaked key"

    def __init__(self) -> None:
        self._trusted = b""

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReplaceOnTheBus(medium=defence.medium if defence.off_chip else SD, handed=Handed.OLDER),)

    def meanwhile(self, lab: Lab) -> None:
        self._trusted = retire_authority(lab.scene, lab.device)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        self._newest_lies_there(lab)
        changed_on_its_way(lab)
        return super().measure(lab, see)

    def _newest_lies_there(self, lab: Lab) -> None:
        """An oracle: the medium itself was left as its owner had it, and the bus showed something else."""
        defence = lab.device.defence
        tap: Tap = lab.board.spi_tap if defence.medium is SD else lab.board.i2c_tap
        shown = {(each.time_ns, each.after) for each in lab.evidence()}
        crossed = [each for each in tap.fired() if each.before != each.after]
        if not crossed or not shown or min(time for time, _ in shown) < min(each.time_ns for each in crossed):
            raise AssertionError("nothing else crossed the bus than what lies on the medium")
        if not self._trusted or stored_value(lab.board, lab.device.provisioning, Chunk.BROKER_CA) != self._trusted:
            raise AssertionError("the medium does not hold the CA certificate that its owner has put there last")
        lab.saw(f"the medium holds its owner's last CA certificate; the bus showed something else {len(crossed)} times")


class AnotherAuthority(Impostor):
    """A certificate of the attacker's own authority."""

    attack, variant, after = "A17", "untrusted", "the device's data, by a certificate of an authority of his own"
    because = "tls: refused reason=untrusted-ca"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ImpersonateServer(WrongServer.UNTRUSTED),)


class AnotherHost(Impostor):
    """The right authority, another host's certificate."""

    attack, variant, after = "A17", "wrong-host", "the device's data, by another host's certificate of the right CA"
    because = "tls: refused reason=host-name"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ImpersonateServer(WrongServer.WRONG_HOST),)


class LeafAsAuthority(Impostor):
    """A certificate for the right host, signed with the key of a certificate that is no CA's."""

    attack, variant = "A17", "leaf-as-ca"
    after = "the device's data, by a certificate for its host that he has signed with another host's leaked key"
    because = "tls: refused reason=untrusted-ca"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ImpersonateServer(WrongServer.LEAF_AS_CA),)


class Stale(Impostor):
    """A certificate of the server's own past whose key leaked."""

    attack, variant, after = "A18", "expired", "the device's data, by a leaked certificate that is over"
    because = "tls: refused reason=expired"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (UseStaleServer(StaleServer.EXPIRED),)


class StaleWithClock(Impostor):
    """The same, with the device's clock set back by a spoofed time server."""

    attack, variant = "A18", "clock-back"
    after = "the device's data, by a leaked certificate that is over and a spoofed answer for the time"
    because = "clock: refused"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (UseStaleServer(StaleServer.EXPIRED, 330),)
