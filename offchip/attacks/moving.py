# SPDX-License-Identifier: Apache-2.0
"""Attacks that change nothing of what was sealed: they move it to another place, another device, another time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from offchip import chip_map
from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import holds_credentials, start_and_listen, switch_off
from offchip.attacks.pieces import Piece, Pieces, taken_apart
from offchip.attacks.reach import Reach
from offchip.attacks.record_head import HEAD, At, records_in
from offchip.errors import DebugAccessRefused, MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import MediumKind
from offchip.vault.records import CONFIGURATION_MAGIC, Tag, decode_record, encode_record
from offchip.vault.vaulted import Vaulted

_VERSION = slice(At.VERSION, At.NONCE)


def apart(scene: Reach, kind: MediumKind) -> Pieces:
    """The victim's medium, piece by piece. Raises AttackFailed when there is nothing to move."""
    try:
        return taken_apart(scene.medium(kind))
    except MediumError as error:
        raise AttackFailed(f"there is nothing to move: {error}") from error


@dataclass(frozen=True)
class SwapChunks(Attack):
    """Let what is stored pass for something else that is stored: exchange and copy pieces of one medium.

    All pairs that fit are tried, into either slot: exchanged, and copied with the genuine one taken away. After each
    the device is started and its word on its credentials awaited; then the medium is put back as it was.
    """

    id, title, keyword = "A05", "swap two chunks", "Swap The Chunks"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108 ~", (345, 354)
    medium: MediumKind

    def applies(self, defence: Defence) -> Applies:
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        medium, pieces = scene.medium(self.medium), apart(scene, self.medium)
        image, evidence = medium.image, []
        for words, contents in list(pieces.moves()):
            switch_off(scene)
            before = b"".join(pieces.read(piece) for piece in contents)
            pieces.put(contents)
            told = start_and_listen(scene)
            evidence.append(self.note(scene, "swap", f"{medium.name}:{', '.join(piece.name for piece in contents)}",
                                      f"{words}; {told}", before=before, after=b"".join(contents.values())))
            switch_off(scene)
            medium.replace(image)
            pieces = apart(scene, self.medium)
        if not evidence:
            raise AttackFailed(f"{medium.name}: no two pieces there could pass for each other")
        return evidence


@dataclass(frozen=True)
class TransplantMedium(Attack):
    """Put the medium of another device of the same make, which the attacker owns, into this one.

    His own device is started first, so that its medium is as complete as can be; then this one, until it has said what
    it thinks of it. ``disguised``: before, his device is given this one's name in its configuration page; and what its
    records say of the chip they belong to becomes what this one's records say.
    """

    id, title, keyword = "A06", "transplant another device's medium", "Transplant A Medium"
    needs = (Need.MEDIUM, Need.UNIT)
    psa, emb3d, cwe = "T.REPLACE", "TID-108, TID-111 ~", (345, 294)
    medium: MediumKind
    disguised: bool = False

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and self.disguised and not isinstance(defence.scheme, Vaulted):
            return Applies(False, f"under {defence.scheme.name} nothing says whose the medium is, so there is nothing "
                                  "to disguise")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        own = scene.another()
        evidence = [self.note(scene, "set up his own device", f"configuration page of {own.thing}",
                              f"it calls itself {scene.thing} now", after=named_as(own, scene.thing))
                    ] if self.disguised else []
        told = start_and_listen(own)
        if not told.startswith("credentials: ok"):
            raise AttackFailed(f"the attacker's own device does not take its own medium: {told}")
        switch_off(own)
        switch_off(scene)
        medium, before = scene.medium(self.medium), scene.medium(self.medium).image
        foreign = own.medium(self.medium).image
        if before == foreign:
            raise AttackFailed(f"{medium.name}: both devices have the same medium")
        if self.disguised:
            foreign = _of_this_chip(foreign, before)
        medium.replace(foreign)
        reaction = start_and_listen(scene)
        return [*evidence, self.note(scene, "transplant", medium.name,
                                     f"the medium of {own.thing} in {scene.thing}; {reaction}", before=before,
                                     after=foreign)]


def _of_this_chip(foreign: bytes, own: bytes) -> bytes:
    """A medium whose records name the chip that ``own``'s name (SPEC.md section 9); where none names one, as it is."""
    named = next((own[at + At.DEVICE:at + HEAD] for at, _ in records_in(own)), b"")
    changed = bytearray(foreign)
    for at, _ in records_in(foreign):
        changed[at + At.DEVICE:at + HEAD] = named or changed[at + At.DEVICE:at + HEAD]
    return bytes(changed)


def named_as(own: Reach, thing: str) -> bytes:
    """Set up the attacker's own board as another thing, by the programmer its maker uses; returns the page.

    Raises:
        AttackFailed: his board's page cannot be read.
    """
    area = chip_map.CONFIGURATION
    try:
        entries = decode_record(own.debug_port.read(area.start, area.size), CONFIGURATION_MAGIC)
    except (MediumError, DebugAccessRefused) as error:
        raise AttackFailed(f"the configuration page of the attacker's own board: {error}") from error
    old = own.thing.encode()
    renamed = [(tag, thing.encode() if tag == Tag.THING_NAME else
                value[:-len(old)] + thing.encode() if tag == Tag.PUBLISH_TOPIC and value.endswith(old) else value)
               for tag, value in entries]
    page = encode_record(CONFIGURATION_MAGIC, renamed)
    own.set_up(page)
    return page


class Part(Enum):
    """How much of the older image comes back."""

    WHOLE = "whole"
    EACH = "each"
    RENUMBERED = "renumbered"


@dataclass(frozen=True)
class RestoreOlderImage(Attack):
    """Take an image of the medium, wait until the owner has renewed what is on it, and put the image back.

    | =part= | =Description= |
    | whole | the whole medium as it was |
    | each | one piece after the other as it was, the others as they are now; the device is started each time |
    | renumbered | each record as it was, with the number of the one that replaced it, and in its place |
    """

    id, title, keyword = "A07", "restore an older image", "Restore An Older Image"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108 ~", (294, 1328)
    medium: MediumKind
    part: Part = Part.WHOLE

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and self.part is Part.RENUMBERED and not (isinstance(defence.scheme, Vaulted)
                                                          and defence.scheme.name != "encrypted"):
            return Applies(False, f"under {defence.scheme.name} no record shows a number")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        medium, old_pieces = scene.medium(self.medium), apart(scene, self.medium)
        old = medium.image
        groups = {piece: old_pieces.read(piece) for piece in old_pieces.all()}
        scene.wait_for_the_owner()
        switch_off(scene)
        new = medium.image
        if new == old:
            raise AttackFailed(f"{medium.name}: nothing on it was renewed, there is nothing older than it holds")
        if self.part is Part.WHOLE:
            medium.replace(old)
            told = start_and_listen(scene)
            return [self.note(scene, "restore", medium.name, f"the older image; {told}", before=new, after=old)]
        if self.part is Part.RENUMBERED:
            return self._renumbered(scene, new, groups)
        return self._piece_by_piece(scene, new, groups)

    def _renumbered(self, scene: Reach, new: bytes, old: dict[Piece, bytes]) -> list[Evidence]:
        medium, pieces, forged = scene.medium(self.medium), apart(scene, self.medium), {}
        for now in pieces.filled():
            before = next((each for piece, each in old.items() if piece.group == now.group and each), b"")
            number = pieces.read(now)[_VERSION]
            if before and before[_VERSION] != number:
                forged[now] = before[:_VERSION.start] + number + before[_VERSION.stop:]
        if not forged:
            raise AttackFailed(f"{medium.name}: no record of it was renewed")
        pieces.put(forged)
        told = start_and_listen(scene)
        return [self.note(scene, "restore", f"{medium.name}:{', '.join(piece.name for piece in forged)}",
                          f"older records with the numbers of today; {told}", before=new, after=medium.image)]

    def _piece_by_piece(self, scene: Reach, new: bytes, old: dict[Piece, bytes]) -> list[Evidence]:
        medium, evidence = scene.medium(self.medium), []
        for group in dict.fromkeys(piece.group for piece in old):
            pieces = apart(scene, self.medium)
            there = [piece for piece in pieces.all() if piece.group == group]
            older = {piece: old.get(piece, b"") for piece in there}
            before = {piece: pieces.read(piece) for piece in there}
            if older == before or not any(older.values()):
                continue
            pieces.put(older)
            told = start_and_listen(scene)
            evidence.append(self.note(scene, "restore", f"{medium.name}:{group}", f"only {group} as it was; {told}",
                                      before=b"".join(before.values()), after=b"".join(older.values())))
            switch_off(scene)
            medium.replace(new)
        if not evidence:
            raise AttackFailed(f"{medium.name}: no piece of it was renewed")
        return evidence
