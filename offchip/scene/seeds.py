# SPDX-License-Identifier: Apache-2.0
"""Every random choice of a scene follows from its one seed."""

from __future__ import annotations

import hashlib


def derive(seed: int, purpose: str) -> int:
    """A 31-bit seed for one purpose; different purposes get unrelated ones (the RNG models take 31 bits)."""
    digest = hashlib.sha256(f"offchip scene\0{seed}\0{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def chip_noise(seed: int, number: int) -> int:
    """What the random generator of the scene's board ``number`` begins with."""
    return derive(seed, f"chip {number}")


def chip_identity(seed: int, number: int) -> bytes:
    """The unique device id of the scene's board ``number``: as on silicon 12 bytes that no two chips share.

    RM0090 39.1: X and Y on the wafer, wafer number, lot in ASCII; here all of it from the seed.
    """
    digest = hashlib.sha256(f"offchip unique id\0{seed}\0{number}".encode()).digest()
    lot = "".join(chr(ord("A") + byte % 26) for byte in digest[5:12])
    return digest[:5] + lot.encode()
