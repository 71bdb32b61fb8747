# SPDX-License-Identifier: Apache-2.0
"""Attacks that hope for a device which goes on when what it trusts is gone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import COMPLAINTS, await_or_fail, switch_off
from offchip.attacks.moving import apart
from offchip.attacks.reach import Reach
from offchip.attacks.record_head import At
from offchip.board.media import SdCard
from offchip.errors import MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import PLAIN, Chunk, Credentials, MediumKind
from offchip.vault.chunk import VAULT_FILE
from offchip.vault.plain import files
from offchip.vault.vaulted import Vaulted

#: what a device says of credentials it does not take
_REACTIONS = (*COMPLAINTS, "state: fault")


class Sealed(Enum):
    """What becomes of the sealed records."""

    GONE = "gone"
    BROKEN = "broken"
    ERASED = "erased"
    SHORT = "short"
    NEWER = "newer-format"


@dataclass(frozen=True)
class PlantClearCredentials(Attack):
    """Take the sealed records away, or break them, and put credentials in clear where `plain` has them.

    They are the attacker's own: his CA, a certificate for the device's name and its key. Then the server's name is
    spoofed, the device started, and its call or its complaint awaited.

    | =sealed= | =Description= |
    | gone | nothing else lies on the medium: a card of the attacker's, the whole chip written anew |
    | broken | on a card the vault's file stays, each of its records with one bit wrong |
    | erased | ... blank |
    | short | ... cut behind its first record |
    | newer-format | ... each record saying that it is of a format this device cannot know |
    """

    id, title, keyword = "A24", "fail-open fallback", "Plant Clear Credentials"
    needs = (Need.MEDIUM, Need.NETWORK)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-318 ~", (636, 757)
    medium: MediumKind
    sealed: Sealed = Sealed.GONE

    def applies(self, defence: Defence) -> Applies:
        if not isinstance(defence.scheme, Vaulted) or defence.medium is not self.medium:
            return Applies(False, f"under {defence.scheme.name} nothing sealed lies on the {self.medium.name} medium")
        if self.sealed is not Sealed.GONE and not self.medium.has_files:
            return Applies(False, "clear and sealed credentials would lie in the same cells")
        return Applies(True, f"{defence.scheme.name} must not fall back to what lies there in clear")

    def fire(self, scene: Reach) -> list[Evidence]:
        switch_off(scene)
        medium = scene.medium(self.medium)
        before = medium.image
        own = scene.authority.issue_device(scene.thing)
        credentials = Credentials((scene.authority.root.certificate_der,), own.certificate_der, own.key_der)
        try:
            self._plant(scene, credentials)
        except MediumError as error:
            raise AttackFailed(f"{medium.name}: nothing can be planted: {error}") from error
        evidence = [self.note(scene, "plant clear credentials", medium.name, f"sealed records {self.sealed.value}",
                              before=before, after=medium.image)]
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        scene.start()
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: bool(rogue.clients or rogue.failures) or any(
            line.text.startswith(_REACTIONS) for line in scene.board.console.lines[said:]),
            "the device's reaction")
        visits = b"".join(visit.received for visit in rogue.visits)
        return [*evidence, self.note(scene, "answer for the server", scene.address, f"{len(rogue.visits)} calls",
                                     sent=rogue.identity.certificate_der, received=visits)]

    def _plant(self, scene: Reach, credentials: Credentials) -> None:
        medium = scene.medium(self.medium)
        if self.sealed is Sealed.GONE or not isinstance(medium, SdCard):
            medium.replace(PLAIN.image(self.medium, medium.size, credentials).ljust(medium.size, b"\0"))
            return
        self._spoil(scene, medium)
        for path, content_ in files(credentials.entries()).items():
            medium.write_file(path, content_)

    def _spoil(self, scene: Reach, card: SdCard) -> None:
        """What lies in the vault's file is of no use any more."""
        if self.sealed is Sealed.SHORT:
            card.write_file(VAULT_FILE, card.read_file(VAULT_FILE)[:Chunk.DEVICE_KEY.slot_size])
            return
        pieces = apart(scene, self.medium)
        spoilt = {}
        for piece in pieces.filled():
            content = bytearray(b"" if self.sealed is Sealed.ERASED else pieces.read(piece))
            if self.sealed is Sealed.NEWER:
                content[At.FORMAT] += 1
            elif content:
                content[len(content) // 2] ^= 1
            spoilt[piece] = bytes(content)
        pieces.put(spoilt)
