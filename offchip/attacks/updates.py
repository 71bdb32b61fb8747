# SPDX-License-Identifier: Apache-2.0
"""Attacks on the moment in which the device replaces what it keeps: the supply is cut, the medium is put back."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import await_or_fail, holds_credentials, start_and_listen, switch_off
from offchip.attacks.moving import apart
from offchip.attacks.pieces import Fields, Piece
from offchip.attacks.reach import Reach
from offchip.attacks.record_head import HEAD, TAG, At, length_of, nonce_of, records_in
from offchip.board.media import Eeprom
from offchip.engines.protocol import StorageEvent
from offchip.errors import BoardError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import SD, Chunk, MediumKind
from offchip.vault.plain import record_place
from offchip.vault.records import EEPROM_MAGIC
from offchip.vault.vaulted import Vaulted

_UPDATE_S = 60.0


# A11 -----------------------------------------------------------------------------------------------------------------
class Moment(Enum):
    """When the supply goes."""

    WRITING = "writing"
    REPLACED = "replaced"


class Then(Enum):
    """What the medium holds at the next boot."""

    TORN = "torn"
    OLDER = "older"
    MIXED = "mixed"
    BLANK = "blank"


@dataclass(frozen=True)
class CutTheUpdate(Attack):
    """Cut the supply in the middle of an update, and choose what the medium holds when the device starts again.

    | =moment= | =Description= |
    | writing | the cut hits the ``nth`` block or page that the update writes to the medium; half of it gets there |
    | replaced | the device begins to overwrite the certificate that was: the new one counts by then |

    | =then= | =Description= |
    | torn | whatever the cut has left |
    | older | the image from before the update |
    | mixed | the private key from before the update beside the certificate that the update has brought |
    | blank | nothing |
    """

    id, title, keyword = "A11", "power cut in an update", "Cut The Update"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.GLITCH_WRITE", "~", (703, 354)
    medium: MediumKind
    nth: int = 1
    then: Then = Then.TORN
    moment: Moment = Moment.WRITING

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and self.then is Then.MIXED and Chunk.DEVICE_KEY in defence.scheme.on_chip:
            return Applies(False, f"under {defence.scheme.name} the private key is not on the medium, there is nothing "
                                  "to mix")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        medium = scene.medium(self.medium)
        older = medium.image
        keys, record = self._keys(scene) if self.then is Then.MIXED else ({}, None)
        cut = self._while_writing(scene) if self.moment is Moment.WRITING else self._when_replaced(scene)
        switch_off(scene)
        torn = medium.image
        if self.then is Then.OLDER:
            medium.replace(older)
        elif self.then is Then.MIXED:
            self._mix(scene, keys, record)
        elif self.then is Then.BLANK:
            medium.wipe()
        told = start_and_listen(scene)
        return [*cut, self.note(scene, "choose what it finds", medium.name, f"{self.then.value}; {told}",
                                before=torn, after=medium.image)]

    def _keys(self, scene: Reach) -> tuple[dict[Piece, bytes], int | None]:
        """What the places of the private key hold, and where the record lies if one record in clear holds all."""
        medium, pieces = scene.medium(self.medium), apart(scene, self.medium)
        keys = {piece: pieces.read(piece) for piece in pieces.all() if pieces.chunk(piece) is Chunk.DEVICE_KEY}
        return keys, record_place(medium) if isinstance(medium, Eeprom) and isinstance(pieces, Fields) else None

    def _mix(self, scene: Reach, keys: dict[Piece, bytes], record: int | None) -> None:
        medium = scene.medium(self.medium)
        if record is not None:  # one record holds all: what is left of the old one would hide the new one
            medium.write(record, bytes(len(EEPROM_MAGIC)))
            keys = {piece: next(iter(keys.values())) for piece in apart(scene, self.medium).of(Chunk.DEVICE_KEY)}
        pieces = apart(scene, self.medium)
        pieces.put({piece: keys.get(piece, b"") for piece in pieces.all() if pieces.chunk(piece) is Chunk.DEVICE_KEY})

    def _while_writing(self, scene: Reach) -> list[Evidence]:
        faults = scene.board.faults
        faults.cut_power(StorageEvent.SD_BLOCK if self.medium is SD else StorageEvent.EEPROM_PAGE, self.nth)
        with suppress(BoardError):  # the update does not come to its end
            scene.wait_for_the_owner()
        fired = Evidence.of_tap(self.id, faults.fired())
        faults.clear()
        if not fired:
            raise AttackFailed(f"the update wrote fewer than {self.nth} times to the {self.medium.name} medium")
        return fired

    def _when_replaced(self, scene: Reach) -> list[Evidence]:
        medium, pieces = scene.medium(self.medium), apart(scene, self.medium)
        stored = next(pieces.read(piece) for piece in pieces.of(Chunk.DEVICE_CERTIFICATE))
        at = medium.image.find(stored)
        if at < 0:
            raise AttackFailed(f"{medium.name}: the certificate does not lie in one piece")
        await_or_fail(scene, lambda: medium.read(at, len(stored)) != stored, "the old certificate being overwritten",
                      _UPDATE_S)
        scene.board.power_off()
        return [self.note(scene, "cut power", f"{medium.name}:{at}", "as the old certificate is overwritten",
                          before=stored, after=medium.read(at, len(stored)))]


# A16 -----------------------------------------------------------------------------------------------------------------
#: flash words an update programs before its records are on the medium: one entry, which takes the numbers of its seals
_NUMBERS_WORDS = 4


@dataclass(frozen=True)
class ReuseNonces(Attack):
    """Put the medium back between two renewals, so that the device seals twice from one state; look for one nonce.

    ``cut``: the first renewal is cut when its records are on the medium and do not count yet, so that even a device
    that knows the version which counts takes the older image and renews again. All records that ever lay on the medium
    are collected. Two with one nonce and different contents give away, without any key, the difference of what they
    hold, and with it the power to forge (NIST SP 800-38D, appendix A).
    """

    id, title, keyword = "A16", "nonce reuse after rollback", "Make The Device Reuse A Nonce"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-318", (323,)
    medium: MediumKind
    cut: bool = False

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and not (isinstance(defence.scheme, Vaulted) and defence.scheme.format.authenticated):
            return Applies(False, f"under {defence.scheme.name} there is no nonce")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        medium = scene.medium(self.medium)
        images = [medium.image]
        for number in range(2):
            self._renewed(scene, self.cut and number == 0)
            images.append(medium.image)
            medium.replace(images[0])
        medium.replace(images[-1])
        told = start_and_listen(scene)
        seen: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
        for image in images:
            for at, head in records_in(image):
                seen[(head[At.CHUNK], nonce_of(head))].add(image[at + HEAD:at + HEAD + length_of(head)])
        first = {(head[At.CHUNK], nonce_of(head)): images[0][at + HEAD:at + HEAD + length_of(head)]
                 for at, head in records_in(images[0])}
        if all(texts == {first.get(name)} for name, texts in seen.items()):
            raise AttackFailed(f"{medium.name}: no record was sealed anew")
        twice = [(chunk, sorted(texts)) for (chunk, _), texts in seen.items() if len(texts) > 1]
        evidence = [self.note(scene, "put back between two renewals", medium.name, told, before=images[1],
                              after=images[0])]
        evidence += [self.note(scene, "collect records", medium.name, words, received=_records(image))
                     for words, image in zip(("before", "after the first renewal", "after the second"), images,
                                             strict=True)]
        if not twice:
            return [*evidence, self.note(scene, "collect nonces", medium.name, f"{len(seen)} nonces, none twice",
                                         received=b"".join(sorted(nonce for _, nonce in seen)))]
        return evidence + [self.note(scene, "add two ciphertexts", medium.name, f"one nonce for two contents of chunk "
                                     f"{chunk}", before=texts[0], after=texts[1],
                                     received=bytes(a ^ b for a, b in zip(*texts[:2], strict=False)))
                           for chunk, texts in twice]

    @staticmethod
    def _renewed(scene: Reach, cut: bool) -> None:
        """A renewal, or one that was cut right before it counted. The device is off behind it."""
        faults = scene.board.faults
        if cut:
            faults.cut_power(StorageEvent.FLASH_WORD, _NUMBERS_WORDS + 1)
        try:
            scene.wait_for_the_owner()
        except BoardError:
            if not cut or not faults.fired():
                raise
        faults.clear()
        switch_off(scene)


def _records(image: bytes) -> bytes:
    """Head, content and tag of everything on a medium that begins as a record does."""
    return b"".join(image[at:at + HEAD + length_of(head) + TAG] for at, head in records_in(image))
