# SPDX-License-Identifier: Apache-2.0
"""Names of things, policies and the like in AWS IoT."""

from __future__ import annotations

import re
from collections.abc import Container

from offchip.errors import BrokerError

_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


def check_name(kind: str, name: str, known: Container[str]) -> None:
    """Raises BrokerError for a name that nothing may have, or that something has."""
    if not _NAME.fullmatch(name):
        raise BrokerError(f"{kind} '{name}': a name has 1 to 128 of a-z, A-Z, 0-9, colon, _ and -")
    if name in known:
        raise BrokerError(f"{kind} '{name}': exists already")


def find_name(kind: str, name: str, known: Container[str]) -> None:
    """Raises BrokerError for a name that nothing has."""
    if name not in known:
        raise BrokerError(f"{kind} '{name}': does not exist")
