# SPDX-License-Identifier: Apache-2.0
"""Where and how credentials are kept: media, schemes and formats, the host's twin of ``firmware/src/vault``."""

from __future__ import annotations

from offchip.errors import VaultError
from offchip.vault.chunk import Chunk
from offchip.vault.credentials import NO_CREDENTIALS, Credentials
from offchip.vault.internal import Internal
from offchip.vault.medium import EEPROM, MEDIA, NONE, SD, MediumKind, medium
from offchip.vault.plain import Plain, SplitPlain
from offchip.vault.scheme import Chip, Scheme
from offchip.vault.vaulted import Encrypted, FleetKey, Fresh, Labelled, Sealed, Split

INTERNAL, PLAIN = Internal(), Plain()
#: by name, in the order of the ladder
SCHEMES: dict[str, Scheme] = {each.name: each for each in (
    INTERNAL, PLAIN, SplitPlain(), Encrypted(), Sealed(), Labelled(), Fresh(), Split(), FleetKey())}

__all__ = ["EEPROM", "INTERNAL", "MEDIA", "NONE", "NO_CREDENTIALS", "PLAIN", "SCHEMES", "SD", "Chip", "Chunk",
           "Credentials", "MediumKind", "Scheme", "medium", "scheme"]


def scheme(name: str) -> Scheme:
    """The scheme called ``name``. Raises VaultError naming those there are."""
    if name not in SCHEMES:
        raise VaultError(f"there is no scheme '{name}'; schemes are {', '.join(SCHEMES)}")
    return SCHEMES[name]
