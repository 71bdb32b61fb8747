# SPDX-License-Identifier: Apache-2.0
"""The options that say where a device keeps its credentials."""

from __future__ import annotations

from offchip.board.factory import MediumKind, Scheme
from offchip.errors import OffchipError


def storage(scheme: str, medium: str) -> tuple[Scheme, MediumKind]:
    """Scheme and medium by name. Raises OffchipError naming what there is."""
    try:
        return Scheme(scheme), MediumKind(medium)
    except ValueError as error:
        raise OffchipError(f"{error}; schemes are internal and plain, media none, sd and eeprom.") from None
