# SPDX-License-Identifier: Apache-2.0
"""Attacks by somebody who opens a chip: what falls with one unit, and what with the next one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import await_contact, contents, holds_credentials, start_and_listen, switch_off
from offchip.attacks.moving import apart
from offchip.attacks.pieces import Slots
from offchip.attacks.reach import OpenedChip, Reach
from offchip.attacks.unsealing import counters_of, open_all
from offchip.errors import MediumError, VaultError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, SCHEMES, SD, Chip, Chunk, MediumKind, Scheme
from offchip.vault.records import CONFIGURATION_MAGIC, Tag, decode_record
from offchip.vault.vaulted import Vaulted


def open_medium(attack: Attack, scene: Reach, kind: MediumKind, secret: bytes, whose: str) -> list[Evidence]:
    """Try a secret on everything a medium holds and keep what comes out; evidence of each place that was tried."""
    evidence = []
    for place, content in contents(scene.medium(kind)):
        opened = open_all(content, secret)
        for each in opened:
            scene.loot.search(each.content, place)
        what = ", ".join(f"{each.chunk.value} at {each.place}" for each in opened) or "nothing here"
        evidence.append(attack.note(scene, "open with the secret", place, f"{whose} opens {what}", before=content,
                                    sent=secret, received=b"".join(each.content for each in opened)))
    return evidence


@dataclass(frozen=True)
class DissectAnotherUnit(Attack):
    """Open the chip of a device of the same make that the attacker owns, and try its secret on this one's medium.

    His device is started first, so that it has made its secret, if it makes one.
    """

    id, title, keyword = "A20", "one secret for the whole fleet", "Dissect Another Unit"
    needs = (Need.UNIT, Need.LABORATORY, Need.MEDIUM)
    psa, emb3d, cwe = "T.DIRECT_READ", "TID-317, TID-328, TID-214", (321, 798)
    medium: MediumKind

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and not isinstance(defence.scheme, Vaulted):
            return Applies(False, f"under {defence.scheme.name} nothing is sealed, so no secret is needed to read it")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        own = scene.another()
        start_and_listen(own)
        switch_off(own)
        chip = own.open_chip()
        counters = counters_of(chip)
        if counters is None:
            raise AttackFailed("the attacker's own device has made no secret")
        opened = self.note(scene, "open the chip", f"flash of {own.thing}", "another unit's device secret",
                           received=counters.secret)
        return [opened, *open_medium(self, scene, self.medium, counters.secret, f"the secret of {own.thing}")]


class Gain(Enum):
    """What the opened chip is used for."""

    READ = "read"
    FORGE = "forge"


@dataclass(frozen=True)
class OpenTheChip(Attack):
    """Get past the readout protection of this device's chip, as published attacks on such parts do.

    | =gain= | =Description= |
    | read | search flash and media, and open with the secret whatever is sealed on them |
    | forge | seal the attacker's CA certificate with it, as the version that counts, and answer as the server |
    """

    id, title, keyword = "A30", "the on-chip secret itself extracted", "Open The Chip"
    needs = (Need.LABORATORY, Need.MEDIUM)
    psa, emb3d, cwe = "T.DIRECT_READ ~", "TID-214, TID-110, TID-105", (1243, 1247)
    gain: Gain = Gain.READ

    def applies(self, defence: Defence) -> Applies:
        if self.gain is Gain.READ:
            return Applies(True, "every scheme rests on what the chip keeps")
        if isinstance(defence.scheme, Vaulted):
            return Applies(True, "who has the secret can seal as well")
        return Applies(False, f"under {defence.scheme.name} nothing is sealed, so there is nothing to forge")

    def fire(self, scene: Reach) -> list[Evidence]:
        start_and_listen(scene)
        switch_off(scene)
        chip = scene.open_chip()
        evidence = [self.note(scene, "open the chip", "flash, the data sectors",
                              scene.loot.search(chip.data, "flash, the data sectors"), received=chip.data)]
        if self.gain is Gain.FORGE:
            return [*evidence, *self._forge(scene, chip)]
        counters = counters_of(chip)
        for kind in (SD, EEPROM):
            evidence += [self.note(scene, "read", place, scene.loot.search(content, place), received=content)
                         for place, content in contents(scene.medium(kind)) if content]
            if counters is not None:
                evidence += open_medium(self, scene, kind, counters.secret, "the chip's own secret")
        return evidence

    def _forge(self, scene: Reach, chip: OpenedChip) -> list[Evidence]:
        scheme, kind = _configured(chip)
        counters, pieces = counters_of(chip), apart(scene, kind)
        if counters is None or not isinstance(scheme, Vaulted) or not isinstance(pieces, Slots):
            raise AttackFailed("there is no secret in the opened chip, or nothing sealed on the medium")
        anchor = scene.authority.root.certificate_der
        version = counters.versions.get(Chunk.BROKER_CA, 1)
        record = scheme.sealer(Chip(counters.secret, chip.identity)).seal(
            Chunk.BROKER_CA, version, counters.seals, 0, len(anchor).to_bytes(2, "little") + anchor)
        first, second = (piece for piece in pieces.all() if piece.group == Chunk.BROKER_CA.value)
        before = pieces.read(first) + pieces.read(second)
        pieces.put({first: record, second: b""})
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        forged = self.note(scene, "forge", f"{scene.medium(kind).name}:{first.name}",
                           f"the attacker's CA certificate as version {version}", before=before, after=record)
        scene.start()
        await_contact(scene)
        return [forged, self.note(scene, "answer for the server", scene.address, "the device called",
                                  sent=rogue.identity.certificate_der, received=rogue.visits[0].received)]


def _configured(chip: OpenedChip) -> tuple[Scheme, MediumKind]:
    """Scheme and medium, as the configuration page of an opened chip says. Raises AttackFailed."""
    try:
        entries = dict(decode_record(chip.data, CONFIGURATION_MAGIC))
        scheme = next(each for each in SCHEMES.values() if bytes([each.code]) == entries[Tag.SCHEME])
        kind = next(each for each in (SD, EEPROM) if bytes([each.code]) == entries[Tag.MEDIUM])
    except (MediumError, VaultError, KeyError, StopIteration) as error:
        raise AttackFailed(f"the configuration page of the opened chip says nothing of use: {error}") from error
    return scheme, kind
