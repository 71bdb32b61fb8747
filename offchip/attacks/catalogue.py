# SPDX-License-Identifier: Apache-2.0
"""All attacks of the lab by id, found in the modules of this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import offchip.attacks
from offchip.attacks.base import Attack


def _classes(parent: type[Attack]) -> Iterator[type[Attack]]:
    for child in parent.__subclasses__():
        if "id" in child.__dict__:
            yield child
        yield from _classes(child)


def load() -> dict[str, type[Attack]]:
    """Import every module of the folder and collect what they define, ordered by id.

    Raises:
        ValueError: two attacks have one id or one keyword.
    """
    for module in pkgutil.iter_modules(offchip.attacks.__path__, "offchip.attacks."):
        import_module(module.name)
    found = sorted(_classes(Attack), key=lambda each: each.id)  # type: ignore[type-abstract]
    for attribute in ("id", "keyword"):
        names = [getattr(each, attribute) for each in found]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two attacks have the same {attribute}: {', '.join(sorted(twice))}")
    return {each.id: each for each in found}


ATTACKS = load()
