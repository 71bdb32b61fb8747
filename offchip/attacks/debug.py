# SPDX-License-Identifier: Apache-2.0
"""Attacks through the debug port, as far as readout protection lets them (RM0090 3.7.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from offchip import chip_map
from offchip.attacks.base import Applies, Attack, Need
from offchip.attacks.reach import Reach
from offchip.errors import DebugAccessRefused
from offchip.evidence import Evidence
from offchip.scene.defence import Defence

REFUSED = "refused"
#: until a probe is on the pads
_PROBE_S = 1.0


class Memory(Enum):
    """What is asked for through the debug port."""

    FLASH = (("flash", chip_map.FLASH),)
    RAM = (("sram", chip_map.SRAM), ("ccm", chip_map.CCM))
    ALL = FLASH + RAM


class Lid(Enum):
    """How the attacker gets at the pads of the debug port."""

    CLOSED = "closed"
    OPENED = "opened"
    MAGNET = "magnet"


@dataclass(frozen=True)
class DumpMemory(Attack):
    """Ask SWD for memory and search what it gives.

    | =lid= | =Description= |
    | closed | the pads can be reached from outside |
    | opened | the lid comes off while the device works; a second later the probe is on |
    | magnet | the same, with a magnet of the attacker's held to the sensor, which is to be found with a compass |

    RAM is also searched for the bare scalar of each certificate found in it: there lies what the device works with.
    """

    id, title, keyword = "A13", "read through the debug port", "Dump Through The Debug Port"
    needs = (Need.DEBUG,)
    psa, emb3d, cwe = "T.DIRECT_READ ~", "TID-115, TID-119, TID-223", (1191, 1263)
    memory: Memory = Memory.ALL
    lid: Lid = Lid.CLOSED

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, f"SWD is there at every level; this chip is at {defence.rdp_level}")

    def fire(self, scene: Reach) -> list[Evidence]:
        port = scene.debug_port
        evidence, given = self._open(scene), []
        for name, region in self.memory.value:
            place = f"{name} 0x{region.start:08X}"
            request = region.start.to_bytes(4, "little") + region.size.to_bytes(4, "little")
            try:
                data = port.read(region.start, region.size)
            except DebugAccessRefused as refusal:
                evidence.append(self.note(scene, "dump", place, f"{REFUSED}: {refusal}", sent=request))
                continue
            given.append((place, data))
            evidence.append(self.note(scene, "dump", place, scene.loot.search(data, place), sent=request,
                                      received=data))
        for place, data in given:  # only now: a certificate may lie in one region and its key in another
            if not place.startswith("flash"):
                scene.loot.search_numbers(data, place)
        return evidence

    def _open(self, scene: Reach) -> list[Evidence]:
        if self.lid is Lid.CLOSED:
            return []
        if self.lid is Lid.OPENED:
            scene.board.hall.open_case()
        level = "low" if self.lid is Lid.MAGNET else "high"
        opened = self.note(scene, "open the lid", "hall sensor", f"lid {self.lid.value}, its pin is {level}",
                           after=level.encode())
        scene.board.run(_PROBE_S)
        return [opened]


class Lowering(Enum):
    """What is asked of the debug port."""

    LEVEL_0 = "level-0"
    LEVEL_1 = "level-1"
    MASS_ERASE = "mass-erase"
    WRITE_FLASH = "write-flash"
    WRITE_RAM = "write-ram"


@dataclass(frozen=True)
class LowerProtection(Attack):
    """Ask the debug port to give up the readout protection, to erase, or to write."""

    id, title, keyword = "A14", "lower the readout protection", "Lower The Readout Protection"
    needs = (Need.DEBUG,)
    psa, emb3d, cwe = "T.DIRECT_READ ~", "TID-105, TID-214", (1247, 1231)
    how: Lowering = Lowering.LEVEL_0

    def applies(self, defence: Defence) -> Applies:
        if defence.rdp_level:
            return Applies(True, f"the chip is at level {defence.rdp_level}")
        return Applies(False, "level 0 protects nothing that could be lowered")

    def fire(self, scene: Reach) -> list[Evidence]:
        port = scene.debug_port
        payload = b"offchip was here"
        flash, ram = chip_map.FLASH.start, chip_map.SRAM.start
        actions: dict[Lowering, tuple[str, bytes, Callable[[], None]]] = {
            Lowering.LEVEL_0: ("option bytes", b"\xAA", lambda: port.set_rdp(0)),
            Lowering.LEVEL_1: ("option bytes", b"\x55", lambda: port.set_rdp(1)),
            Lowering.MASS_ERASE: (f"flash 0x{flash:08X}", b"MER", port.mass_erase),
            Lowering.WRITE_FLASH: (f"flash 0x{flash:08X}", payload, lambda: port.write(flash, payload)),
            Lowering.WRITE_RAM: (f"sram 0x{ram:08X}", payload, lambda: port.write(ram, payload)),
        }
        place, sent, act = actions[self.how]
        before = port.rdp_level
        try:
            act()
        except DebugAccessRefused as refusal:
            detail = f"{REFUSED}: {refusal}"
        else:
            detail = f"done; level {before} became {port.rdp_level}"
        return [self.note(scene, self.how.value, place, detail, sent=sent)]
