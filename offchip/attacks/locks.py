# SPDX-License-Identifier: Apache-2.0
"""The lock a medium has of its own, lifted by whoever holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import ReplaceTrustAnchor, await_contact, holds_credentials, start_and_listen, switch_off
from offchip.attacks.reach import Reach
from offchip.attacks.wire import card_passwords
from offchip.board.media import TMP_WRITE_PROTECT, Lock, SdCard
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, PLAIN, SD, MediumKind
from offchip.vault.records import Tag


class Lifting(Enum):
    """How the lock is lifted."""

    PIN = "pin"
    PASSWORD = "password"
    ERASE = "erase"
    BIT = "bit"


@dataclass(frozen=True)
class LiftTheLock(Attack):
    """Lift the medium's own lock, and do as if it had none.

    | =how= | =Description= |
    | pin | the EEPROM's WP pin, which a lifted leg or a wire to ground makes low (24LC256 data sheet, 2.4); then the |
    | | trust anchor is replaced, and the attacker answers as the server |
    | bit | the card's bit TMP_WRITE_PROTECT, which anybody clears who can send CMD27; then as with the pin. (Nobody |
    | | clears PERM_WRITE_PROTECT; a card of the attacker's with a copy of everything else has neither) |
    | password | the card's password (CMD42) is heard on the bus when the device gives it; then the card is opened and |
    | | read in a reader |
    | erase | the card is erased by force (CMD42), which needs no password, and filled with a key, a certificate and a |
    | | trust anchor of the attacker's, who answers as the server |
    """

    id, title, keyword = "A29", "the medium's own lock lifted", "Lift The Lock"
    needs = (Need.MEDIUM, Need.NETWORK, Need.BUS)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108", (1231, 1233)
    medium: MediumKind = EEPROM
    how: Lifting = Lifting.PIN

    def applies(self, defence: Defence) -> Applies:
        if (self.medium is EEPROM) is not (self.how is Lifting.PIN):
            return Applies(False, "an EEPROM has a pin, a card a password and a bit")
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        switch_off(scene)
        if self.how is Lifting.PIN:
            return self._pull_the_pin(scene)
        if self.how is Lifting.BIT:
            return self._clear_the_bit(scene)
        try:
            scene.medium(SD)
        except AttackFailed as refused:
            met = self.note(scene, "read the locked card", scene.board.sd.name, str(refused), received=b"R1 04")
        else:
            raise AttackFailed(f"{scene.board.sd.name}: it has no password, there is no lock to lift")
        return [met, *(self._listen(scene) if self.how is Lifting.PASSWORD else self._erase(scene))]

    def _pull_the_pin(self, scene: Reach) -> list[Evidence]:
        chip = scene.medium(self.medium)
        before = chip.counter("WriteProtect")
        if not before:
            raise AttackFailed(f"{chip.name}: its WP pin is low, there is no lock to lift")
        chip.set("WriteProtect", False)
        lifted = self.note(scene, "pull the WP pin low", f"{chip.name}, pin 7", "write protection lifted",
                           before=bytes([before]), after=bytes([chip.counter("WriteProtect")]))
        return [lifted, self._plant(scene), self._answer(scene)]

    def _clear_the_bit(self, scene: Reach) -> list[Evidence]:
        card = scene.medium(self.medium)
        assert isinstance(card, SdCard)
        before = card.counter("CsdFlags")
        if not card.protected:
            raise AttackFailed(f"{card.name}: no bit of its CSD protects it, there is no lock to lift")
        if not card.program_csd(before & ~TMP_WRITE_PROTECT) or card.protected:
            raise AttackFailed(f"{card.name}: its protection cannot be lifted")
        lifted = self.note(scene, "clear the card's write protection", f"{card.name}, CSD byte 14", "by CMD27",
                           before=bytes([before]), after=bytes([card.counter("CsdFlags")]))
        return [lifted, self._plant(scene), self._answer(scene)]

    def _plant(self, scene: Reach) -> Evidence:
        return replace(ReplaceTrustAnchor(self.medium)._plant(scene, scene.authority.root.certificate_der),
                       attack=self.id)

    def _listen(self, scene: Reach) -> list[Evidence]:
        tap = scene.board.spi_tap
        tap.record()
        start_and_listen(scene)
        heard = card_passwords(tap.drain())
        switch_off(scene)
        if not heard:
            raise AttackFailed("the device has given no password to its card")
        listened = self.note(scene, "listen to the password", "spi1", f"{len(heard[-1])} bytes", received=heard[-1])
        if not scene.send_lock_command(Lock.UNLOCK, heard[-1]):
            raise AttackFailed(f"{scene.board.sd.name}: the card does not open with what was heard")
        card = scene.medium(SD)
        content = card.image
        return [listened, self.note(scene, "open the card", card.name, "in a reader", sent=heard[-1]),
                self.note(scene, "read", card.name, scene.loot.search(content, card.name), received=content)]

    def _erase(self, scene: Reach) -> list[Evidence]:
        if not scene.send_lock_command(Lock.FORCE_ERASE):
            raise AttackFailed(f"{scene.board.sd.name}: the card cannot be erased by force")
        card = scene.medium(SD)
        assert isinstance(card, SdCard)
        before, own = card.image, scene.authority.issue_device(scene.thing)
        anchor = scene.authority.root.certificate_der
        card.format()
        PLAIN.write(SD, card, [(Tag.TRUST_ANCHOR, anchor), (Tag.DEVICE_CERTIFICATE, own.certificate_der),
                               (Tag.DEVICE_PRIVATE_KEY, own.key_der)])
        return [self.note(scene, "erase the card by force", card.name, "no password is asked for",
                          sent=bytes((Lock.FORCE_ERASE,)), received=before[:512]),
                self.note(scene, "fill the card", card.name, "a key, its certificate and a CA of the attacker's",
                          before=before, after=card.image),
                self._answer(scene)]

    def _answer(self, scene: Reach) -> Evidence:
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        told = start_and_listen(scene)
        if told.startswith("credentials: ok"):
            await_contact(scene)
        visits = b"".join(visit.received for visit in rogue.visits)
        return self.note(scene, "answer for the server", scene.address, told, sent=rogue.identity.certificate_der,
                         received=visits)
