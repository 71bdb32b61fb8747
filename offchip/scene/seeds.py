# SPDX-License-Identifier: Apache-2.0
"""Every random choice of a scene follows from its one seed."""

from __future__ import annotations

import hashlib


def derive(seed: int, purpose: str) -> int:
    """A 31-bit seed for one purpose; different purposes get unrelated ones (the RNG models take 31 bits)."""
    digest = hashlib.sha256(f"offchip scene\0{seed}\0{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
