# SPDX-License-Identifier: Apache-2.0
"""Names of things, policies and the like in AWS IoT."""

from __future__ import annotations

import re
from collections.abc import Container

from offchip.errors import BrokerError

#: AWS IoT API reference, CreateThing, CreateThingGroup
_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}"), "1 to 128 of a-z, A-Z, 0-9, colon, _ and -"
#: CreatePolicy, CreateProvisioningTemplate, CreateJob
_OTHERS = {
    "policy": (re.compile(r"[\w+=,.@-]{1,128}", re.ASCII), "1 to 128 of a-z, A-Z, 0-9, _ + = , . @ and -"),
    "provisioning template": (re.compile(r"[a-zA-Z0-9_-]{1,36}"), "1 to 36 of a-z, A-Z, 0-9, _ and -"),
    "job": (re.compile(r"[a-zA-Z0-9_-]{1,64}"), "1 to 64 of a-z, A-Z, 0-9, _ and -"),
}


def check_name(kind: str, name: str, known: Container[str]) -> None:
    """Raises BrokerError for a name that nothing of this kind may have, or that something has."""
    pattern, said = _OTHERS.get(kind, _NAME)
    if not pattern.fullmatch(name):
        raise BrokerError(f"{kind} '{name}': a name has {said}")
    if name in known:
        raise BrokerError(f"{kind} '{name}': exists already")


def find_name(kind: str, name: str, known: Container[str]) -> None:
    """Raises BrokerError for a name that nothing has."""
    if name not in known:
        raise BrokerError(f"{kind} '{name}': does not exist")
