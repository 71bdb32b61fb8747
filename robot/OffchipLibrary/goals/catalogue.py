# SPDX-License-Identifier: Apache-2.0
"""All goals by row, ``A07/whole``, found in the modules of this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import OffchipLibrary.goals
from offchip.attacks.catalogue import ATTACKS
from OffchipLibrary.goals.base import Goal


def _classes(parent: type[Goal]) -> Iterator[type[Goal]]:
    for child in parent.__subclasses__():
        if "variant" in child.__dict__:
            yield child
        yield from _classes(child)


def load() -> dict[str, Goal]:
    """Import every module of the folder and collect what they define, in the order of the attacks' ids.

    Raises:
        ValueError: two goals are one row, or one names an attack that is not there.
    """
    for module in pkgutil.iter_modules(OffchipLibrary.goals.__path__, "OffchipLibrary.goals."):
        import_module(module.name)
    found: dict[str, Goal] = {}
    for kind in sorted(_classes(Goal), key=lambda each: (each.attack, each.variant)):  # type: ignore[type-abstract]
        row = f"{kind.attack}/{kind.variant}"
        if row in found or kind.attack not in ATTACKS:
            raise ValueError(f"{row}: {'there are two goals of this name' if row in found else 'no such attack'}")
        found[row] = kind()
    return found


GOALS = load()
