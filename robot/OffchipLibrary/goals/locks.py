# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who lifts the lock a medium has of its own."""

from __future__ import annotations

from dataclasses import replace

from offchip import chip_map
from offchip.attacks.base import Attack
from offchip.attacks.locks import Lifting, LiftTheLock
from offchip.board.factory import configuration_page
from offchip.board.media import TMP_WRITE_PROTECT, Lock
from offchip.errors import OffchipError
from offchip.scene.defence import Defence
from offchip.scene.seeds import derive
from offchip.vault import SD
from OffchipLibrary.goals.base import Oracles, Outcome
from OffchipLibrary.goals.impostor import ReplaceTheAnchor
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.goals.theft import Theft
from OffchipLibrary.lab import Lab


def lock_the_card(lab: Lab) -> None:
    """As the factory would have: the password in the device's configuration page and in its card."""
    password = f"{derive(lab.seed, 'card password'):08x}".encode()  # in nobody's code: whoever has it has heard it
    page = configuration_page(replace(lab.device.provisioning, card_password=password))
    lab.board.engine.program(chip_map.CONFIGURATION.start, page.ljust(chip_map.CONFIGURATION.size, b"\xFF"))
    if not lab.board.sd.lock_unlock(Lock.SET_PASSWORD, password):
        raise OffchipError("the card takes no password")


def lock_was_lifted(lab: Lab) -> None:
    """An oracle: the card had its lock when the attacker came, and has none."""
    met = [each for each in lab.evidence() if each.action == "read the locked card"]
    if not met or lab.board.sd.locked:
        raise AssertionError("the card was not locked" if not met else "the card is locked: nobody has lifted its lock")
    lab.saw(f"{met[0].detail}; now it is open")


def pin_was_pulled(lab: Lab) -> None:
    """An oracle: the EEPROM was protected when the attacker came, and was not when he wrote to it. (Later the device
    itself drives the pin again.)"""
    met = [each for each in lab.evidence() if each.action == "pull the WP pin low" and any(each.before)]
    if not met or any(met[0].after):
        raise AssertionError("the WP pin was not high" if not met else "the WP pin stayed high: nobody pulled it low")
    lab.saw(f"{met[0].place}: {met[0].detail}; it was low")


class LiftedLock(ReplaceTheAnchor):
    """The EEPROM's WP pin pulled low."""

    attack, variant = "A29", "write-protect"
    after = "the device's data, by a CA certificate of his own behind the EEPROM's lifted write protection"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (LiftTheLock(kept_on(defence)),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        pin_was_pulled(lab)
        return super().measure(lab, see)


def bit_was_cleared(lab: Lab) -> None:
    """An oracle: the card's write protection was on when the attacker came, and is off."""
    met = [each for each in lab.evidence() if each.action == "clear the card's write protection"
           and each.before and each.before[0] & TMP_WRITE_PROTECT]
    if not met or lab.board.sd.protected:
        raise AssertionError("the card was not protected" if not met else
                             "the card is protected: nobody has cleared its bit")
    lab.saw(f"{met[0].place}: was {met[0].before.hex()}, now the card can be written")


class ClearedBit(ReplaceTheAnchor):
    """The card's own write protection cleared."""

    attack, variant = "A29", "card-protect"
    after = "the device's data, by a CA certificate of his own on a card whose write protection he has cleared"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (LiftTheLock(SD, Lifting.BIT),)

    def prepare(self, lab: Lab) -> None:
        if not lab.board.sd.program_csd(lab.board.sd.counter("CsdFlags") | TMP_WRITE_PROTECT):
            raise OffchipError("the card cannot be protected")

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        bit_was_cleared(lab)
        return super().measure(lab, see)


class HeardPassword(Theft):
    """The card's password heard on the bus."""

    attack, variant = "A29", "card-lock"
    after = "the private key, from a card that is locked with a password"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (LiftTheLock(SD, Lifting.PASSWORD),)

    def prepare(self, lab: Lab) -> None:
        lock_the_card(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        lock_was_lifted(lab)
        return super().measure(lab, see)


class ErasedByForce(ReplaceTheAnchor):
    """A card that is locked, erased and filled anew."""

    attack, variant = "A29", "force-erase"
    after = "the device's data, by a locked card erased by force and filled with everything of his own"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (LiftTheLock(SD, Lifting.ERASE),)

    def prepare(self, lab: Lab) -> None:
        lock_the_card(lab)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        lock_was_lifted(lab)
        return super().measure(lab, see)
