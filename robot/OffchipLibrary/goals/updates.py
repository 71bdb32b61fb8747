# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who is there while the device replaces its key: the supply in one hand, the medium in the other."""

from __future__ import annotations

from collections import defaultdict

from offchip.attacks.base import Applies, Attack
from offchip.attacks.moving import RestoreOlderImage
from offchip.attacks.remains import SearchRemains
from offchip.attacks.updates import CutTheUpdate, Moment, ReuseNonces, Then
from offchip.broker.events import Banned, CertificateReplaced
from offchip.broker.registry import Status
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from offchip.vault import Chunk
from offchip.vault.vaulted import Vaulted
from OffchipLibrary.goals.base import SETTLE_S, Goal, Oracles, Outcome, Start, Undecided, either
from OffchipLibrary.goals.dissection import has_the_key
from OffchipLibrary.goals.moving import first_words, kept_on, refused, took
from OffchipLibrary.lab import Lab

_HEAD, _CHUNK_AT, _LENGTH_AT, _VERSION_AT, _NONCE_AT, _NONCE, _TAG = 32, 6, 8, 12, 16, 12, 16
_CERTIFICATE = 2
_RENEWAL_S = 60.0


def rotated(lab: Lab) -> None:
    """The device has replaced its key as its owner asked, and the owner knows: the certificate before is INACTIVE."""
    board, log = lab.board, lab.scene.broker.events
    if not board.powered:
        board.power_on()
    known = len(log.of(CertificateReplaced))
    board.run_until(lambda: len(log.of(CertificateReplaced)) > known or not board.powered, _RENEWAL_S,
                    "the owner hearing of the new certificate")


def works(lab: Lab) -> None:
    """The device has taken what it keeps, whose key fits, and which its server lets in; an oracle."""
    kept = lab.device.kept()
    if kept is None:
        raise AssertionError("the device keeps no key that fits a certificate")
    status = lab.scene.registry.certificate(kept.certificate_id).status
    if status is not Status.ACTIVE:
        raise AssertionError(f"the certificate the device keeps is {status}")
    took(lab, kept)
    lab.saw(f"kept: key and certificate {kept.certificate_id[:8]} fit, ACTIVE at the server")


def cut_before_its_end(lab: Lab) -> None:
    """The supply went before the device said that its update is complete; an oracle."""
    told = [line.text for line in lab.board.console.lines[lab.begun.lines:]]
    start = next((at for at, text in enumerate(told) if "boot: " in text), None)
    if start is None or any(text.startswith("rotation: complete") for text in told[:start]):
        raise AssertionError("the update was not cut: " + ("there was no start behind it" if start is None
                                                           else "it came to its end before the supply went"))


class Cut(Goal):
    """The device, cut in its update, has neither the old nor the new credentials."""

    attack, variant, start = "A11", "torn", Start.RENEWING
    after = "the device without credentials that work, by a power cut while it writes new ones"
    moment, then = Moment.WRITING, Then.TORN

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (CutTheUpdate(kept_on(defence), 1, self.then, self.moment),)

    def meanwhile(self, lab: Lab) -> None:
        rotated(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: refused(lab), "the device has neither the old nor the new credentials"),
                      (lambda: self._whole(lab), "the device has the old or the new credentials, whole"))

    @staticmethod
    def _whole(lab: Lab) -> None:
        cut_before_its_end(lab)
        works(lab)


class CutWhenReplaced(Cut):
    """The same when the new ones count and the old ones are being overwritten."""

    variant, moment = "torn-late", Moment.REPLACED
    after = "the device without credentials that work, by a power cut while it overwrites the old ones"


class CutAndRestore(Cut):
    """The cut comes when the new ones count, and the device finds the medium as it was before."""

    variant, moment, then = "older", Moment.REPLACED, Then.OLDER
    after = "the device with the credentials it was replacing, by a power cut and the image from before"

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        return either(lab, (lambda: took(lab, lab.device.identity), "the credentials that were replaced are in use"),
                      (lambda: refused(lab), "the image from before the update is refused"))


class CutAndMix(Cut):
    """The key from before the update, the certificate from behind it."""

    variant, moment, then = "mixed", Moment.REPLACED, Then.MIXED
    after = "the device with a key and a certificate that do not belong together, by a power cut and half an old image"

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def taken() -> None:
            good = [word for word in first_words(lab) if word.startswith("credentials: ok")]
            if not good or lab.device.kept() is not None:
                raise AssertionError("what the device keeps fits together" if good else "the device has taken nothing")
            lab.saw(f"console: {good[-1]}, and the key that is kept does not fit that certificate")

        return either(lab, (taken, "the device takes a key and a certificate that do not belong together"),
                      (lambda: refused(lab), "a mixture of old and new is refused"))


class RestoreBehindARotation(Goal):
    """The owner has replaced the key over the air, and the medium is put back as it was before."""

    attack, variant, start = "A07", "rotated", Start.RENEWING
    guards = (Guard.NONE, Guard.ROLLBACK)
    after = "the device working with the credentials it has itself replaced when its owner asked"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (RestoreOlderImage(kept_on(defence)),)

    def meanwhile(self, lab: Lab) -> None:
        rotated(lab)

    def applies(self, defence: Defence) -> Applies:
        fits = super().applies(defence)
        if fits and defence.guard and (isinstance(defence.scheme, Vaulted) and defence.scheme.format.fresh
                                       or Chunk.DEVICE_KEY in defence.scheme.on_chip):
            return Applies(False, "the device itself refuses what is older; nothing of it reaches the server")
        return fits

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        outcome = either(lab, (lambda: took(lab, lab.device.identity), "the replaced credentials are in use again"),
                         (lambda: refused(lab), "the older image is refused"))
        if lab.device.defence.guard is not Guard.ROLLBACK:
            return outcome
        lab.board.run_until(lambda: any(each.rule == "retired" for each in lab.scene.broker.events.of(Banned)),
                            SETTLE_S, "the owner noticing")
        bans = lab.scene.broker.events.of(Banned)
        states = {lab.scene.registry.certificate(each.certificate_id).status for each in bans}
        if outcome.verdict is not Verdict.BROKEN or states != {Status.INACTIVE}:
            raise Undecided(f"{outcome.reason}; bans {bans}, now {states}")
        lab.saw(f"broker: {bans[0]}; nothing of the device's opens a session any more")
        return Outcome(Verdict.DEGRADED, "the rolled back device is noticed and out of service, its good key with it")


class RemainsOfARotation(Goal):
    """What the device itself leaves of the key it replaces."""

    attack, variant, start, seeks_secrets = "A26", "rotated", Start.RENEWING, True
    after = "the private key the device has itself replaced, from what was left of it on the medium and in the chip"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SearchRemains(kept_on(defence), True),)

    def meanwhile(self, lab: Lab) -> None:
        rotated(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def gone() -> None:
            see.loot.attacker_should_not_have_the_device_key()
            kept = lab.device.kept()
            if kept is None or not any(key.public_key == kept.certificate.public_key()
                                       for key in lab.reach.loot.keys):
                raise AssertionError("whoever opens the chip has the key of today; it was not found, so he is asleep")
            lab.saw("the key of today was found where it lies")

        return either(lab, (lambda: has_the_key(lab), "what was replaced can still be had"),
                      (gone, "nothing is left of the old key, nor of what opens it"))


class NonceTwice(Goal):
    """Two contents under one nonce."""

    attack, variant, start = "A16", "cut", Start.RENEWING
    after = "two records of one nonce, by a power cut, the image from before and another update"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ReuseNonces(kept_on(defence), cut=True),)

    def meanwhile(self, lab: Lab) -> None:
        rotated(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        scheme = lab.device.defence.scheme
        own_keys = isinstance(scheme, Vaulted) and scheme.format.labelled  # else all chunks have one
        contents: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
        of_version: dict[int, set[bytes]] = defaultdict(set)
        for image in (each.received for each in lab.evidence() if each.action == "collect records"):
            for chunk, version, nonce, content in sealed_in(image):
                contents[chunk if own_keys else 0, nonce].add(content)
                if chunk == _CERTIFICATE:
                    of_version[version].add(nonce + content)

        def twice() -> None:
            found = [(chunk, nonce) for (chunk, nonce), each in contents.items() if len(each) > 1]
            if not found:
                raise AssertionError(f"{len(contents)} nonces, none for two contents")
            lab.saw(f"chunk {found[0][0]}: nonce {found[0][1].hex()} for two contents")

        def never() -> None:
            seals = {each[:_NONCE] for sealed in of_version.values() for each in sealed}
            if len(seals) < 3 or any(len(each) > 1 for each in contents.values()):
                raise AssertionError(f"{len(seals)} seals of the certificate, {len(contents)} nonces")
            if all(len(each) == 1 for each in of_version.values()):
                raise AssertionError("no version of the certificate was sealed twice: nothing was put back in between")
            lab.saw(f"{len(seals)} seals of the certificate, the last two from one state; {len(contents)} nonces, each "
                    "for one content")

        return either(lab, (twice, "one nonce serves two contents: they reveal each other"),
                      (never, "no nonce serves twice, however often the medium is put back"))


def sealed_in(records: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """(chunk, version, nonce, encrypted content) of records in a row; SPEC.md section 9."""
    found, at = [], 0
    while at + _HEAD <= len(records):
        head = records[at:at + _HEAD]
        size = int.from_bytes(head[_LENGTH_AT:_LENGTH_AT + 4], "little")
        found.append((head[_CHUNK_AT], int.from_bytes(head[_VERSION_AT:_VERSION_AT + 4], "little"),
                      head[_NONCE_AT:_NONCE_AT + _NONCE], records[at + _HEAD:at + _HEAD + size]))
        at += _HEAD + size + _TAG
    return found
