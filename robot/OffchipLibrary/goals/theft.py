# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who wants the device's private key."""

from __future__ import annotations

from offchip.attacks.base import Applies, Attack
from offchip.attacks.bus import SniffBus
from offchip.attacks.client import CloneIdentity
from offchip.attacks.debug import DumpMemory, Lid, Lowering, LowerProtection, Memory
from offchip.attacks.medium import ReadMedium
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from offchip.vault import EEPROM, INTERNAL, SD, scheme
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Start, Undecided, either, passes
from OffchipLibrary.goals.thorough import first_boot
from OffchipLibrary.lab import Lab

_FEED = "offchip/feed"
_FRESH = scheme("fresh")


class Theft(Goal):
    """The key is had when it is among what was found, was really there, and opens a session of the device."""

    found = "the key was found and opens a session in the device's name"
    missed = "neither the key nor eight bytes of it are in anything the attacker got"
    seeks_secrets = True

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

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        first_boot(lab)
        return super().measure(lab, see)


class DumpTheChip(Theft):
    """Flash and RAM through SWD, while the device works."""

    attack, variant, after = "A13", "dump", "the private key, from flash and RAM through the debug port"
    rdp_levels = (0, 1, 2)
    guards = (Guard.NONE, Guard.TAMPER)

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DumpMemory(Memory.ALL, Lid.OPENED if defence.guard is Guard.TAMPER else Lid.CLOSED),)

    def prepare(self, lab: Lab) -> None:
        if lab.device.defence.guard is Guard.TAMPER:
            lab.noted += lab.keys()  # to look for when they should be gone

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        outcome = super().measure(lab, see)
        if lab.device.defence.guard is not Guard.TAMPER or outcome.verdict is not Verdict.HELD:
            return outcome
        erased = lab.said_since("tamper: erased", "state: fault reason=tamper")
        left = passes(lab, see.secrets.chip_should_hold_no_key)
        if not erased or left:
            raise Undecided(f"the lid is open, and the device says {erased or 'nothing'} of it; {left}")
        lab.saw(f"console: {erased[0]}; no key is left in the chip")
        return Outcome(Verdict.DEGRADED, "the open lid has destroyed what was sought, and the device's service with it")


class DumpPastTheLid(Theft):
    """The same by somebody who knows where the sensor is."""

    attack, variant, guards = "A13", "past-the-lid", (Guard.TAMPER,)
    after = "the private key, from RAM through the debug port of an opened device whose lid sensor a magnet deceives"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DumpMemory(Memory.ALL, Lid.MAGNET),)

    def applies(self, defence: Defence) -> Applies:
        if defence.scheme in (INTERNAL, _FRESH):
            return super().applies(defence)
        return Applies(False, "the sensor knows nothing of how the credentials are stored; asked of internal and fresh")


class LowerAndDump(Theft):
    """Ask for level 0, then read the flash."""

    attack, variant, after = "A14", "lower", "the private key, from the flash after the protection was lowered"
    rdp_levels = (1, 2)

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return LowerProtection(Lowering.LEVEL_0), DumpMemory(Memory.FLASH)
