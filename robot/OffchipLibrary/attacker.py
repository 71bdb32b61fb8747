# SPDX-License-Identifier: Apache-2.0
"""One keyword per attack of the catalogue: its name, arguments, types, text and tags are the class's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from robot.api.deco import keyword

from offchip.attacks.base import Attack
from offchip.attacks.catalogue import ATTACKS
from OffchipLibrary.lab import Lab


def _keyword(attack: type[Attack]) -> Callable[..., None]:
    """A method that fires ``attack`` with the keyword's arguments."""
    hints = get_type_hints(attack)
    types = {each.name: hints[each.name] for each in fields(attack)}
    named = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    named += [inspect.Parameter(each.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=types[each.name],
                                default=each.default if each.default is not MISSING else inspect.Parameter.empty)
              for each in fields(attack)]

    def fire(self: AttackerBase, *arguments: Any, **options: Any) -> None:
        self.lab.fire(attack(*arguments, **options))

    fire.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    fire.__annotations__ = types
    fire.__doc__ = (f"{inspect.getdoc(attack)}\n\nAttack {attack.id}: {attack.title}. PSA {attack.psa}, "
                    f"EMB3D {attack.emb3d}. Needs {', '.join(need.value for need in attack.needs)}.")
    fire.__name__ = attack.keyword.lower().replace(" ", "_")
    named_so: Callable[..., None] = keyword(name=attack.keyword, tags=("attacker", *attack.tags()), types=types)(fire)
    return named_so


class AttackerBase:
    """Acting only; the keywords are derived from the catalogue."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab


#: named as the module's other classes would be, with one method per attack
AttackerKeywords: type[AttackerBase] = type("AttackerKeywords", (AttackerBase,), {
    method.__name__: method for method in map(_keyword, ATTACKS.values())})
