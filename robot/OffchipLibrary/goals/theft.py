# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who wants the device's private key."""

from __future__ import annotations

from offchip.attacks.base import Attack
from offchip.attacks.bus import SniffBus
from offchip.attacks.client import CloneIdentity
from offchip.attacks.debug import DumpMemory, Lowering, LowerProtection, Memory
from offchip.attacks.medium import ReadMedium
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, SD
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Start, either
from OffchipLibrary.lab import Lab

_FEED = "offchip/feed"


class Theft(Goal):
    """The key is had when it is among what was found, was really there, and opens a session of the device."""

    found = "the key was found and opens a session in the device's name"
    missed = "neither the key nor eight bytes of it are in anything the attacker got"

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        if lab.reach.loot.identity is not None:
            lab.fire(CloneIdentity(_FEED))
        return either(lab, (lambda: self._has(see), self.found), (lambda: self._has_not(see), self.missed))

    @staticmethod
    def _has(see: Oracles) -> None:
        see.loot.attacker_should_have_the_device_key()
        see.loot.attacker_should_have_been_let_in(_FEED)

    @staticmethod
    def _has_not(see: Oracles) -> None:
        see.loot.attacker_should_not_have_the_device_key()
        see.loot.attacker_should_have_got_what_is_there()


class ReadTheMedium(Theft):
    """Everything the device keeps outside its chip, in a reader."""

    attack, variant, after = "A01", "read", "the private key, from the medium in a reader"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        media = (defence.medium,) if defence.off_chip else (SD, EEPROM)
        return tuple(ReadMedium(medium) for medium in media)


class SniffABoot(Theft):
    """What crosses the buses at an ordinary boot."""

    attack, variant, after = "A02", "boot", "the private key, from the bus while the device boots"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (SniffBus(),)


class SniffTheFirstBoot(SniffABoot):
    """What crosses the buses while the device makes its store."""

    variant, after = "first-boot", "the private key, from the bus while the device first fills its medium"
    start = Start.FACTORY


class DumpTheChip(Theft):
    """Flash and RAM through SWD, while the device works."""

    attack, variant, after = "A13", "dump", "the private key, from flash and RAM through the debug port"
    rdp_levels = (0, 1, 2)

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DumpMemory(Memory.ALL),)


class LowerAndDump(Theft):
    """Ask for level 0, then read the flash."""

    attack, variant, after = "A14", "lower", "the private key, from the flash after the protection was lowered"
    rdp_levels = (1, 2)

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return LowerProtection(Lowering.LEVEL_0), DumpMemory(Memory.FLASH)
