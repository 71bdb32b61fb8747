# SPDX-License-Identifier: Apache-2.0
"""Where and how credentials are kept: media, schemes and formats, the host's twin of ``firmware/src/vault``."""

from __future__ import annotations

from offchip.errors import VaultError
from offchip.vault.credentials import Credentials
from offchip.vault.internal import Internal
from offchip.vault.medium import EEPROM, MEDIA, NONE, SD, MediumKind, medium
from offchip.vault.plain import Plain
from offchip.vault.scheme import Chunk, Scheme

INTERNAL, PLAIN = Internal(), Plain()
#: by name, in the order of the ladder
SCHEMES: dict[str, Scheme] = {each.name: each for each in (INTERNAL, PLAIN)}

__all__ = ["EEPROM", "INTERNAL", "MEDIA", "NONE", "PLAIN", "SCHEMES", "SD", "Chunk", "Credentials", "MediumKind",
           "Scheme", "medium", "scheme"]


def scheme(name: str) -> Scheme:
    """The scheme called ``name``. Raises VaultError naming those there are."""
    if name not in SCHEMES:
        raise VaultError(f"there is no scheme '{name}'; schemes are {', '.join(SCHEMES)}")
    return SCHEMES[name]
