# SPDX-License-Identifier: Apache-2.0
"""``offchip list``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from offchip.errors import OffchipError


def list_(what: Annotated[str, typer.Argument(help="schemes, attacks, cells or claims")] = "schemes") -> None:
    """Name the ways to keep credentials, the attacks, the cells of the matrix, or the claims, one line each."""
    if what not in _LISTS:
        raise OffchipError(f"there is no list of '{what}'; there are: {', '.join(_LISTS)}")
    for line in _LISTS[what]():
        print(line)


def _schemes() -> Iterator[str]:
    """Name, media it can use, what it shows."""
    from offchip.vault import SCHEMES

    width = max(map(len, SCHEMES))
    for scheme in SCHEMES.values():
        media = ", ".join(medium.name for medium in scheme.media)
        yield f"{scheme.name.ljust(width)}  {media.ljust(10)}  {scheme.shows}"


def _claims() -> Iterator[str]:
    """Suite, name, tags."""
    from offchip.paths import SUITES
    from offchip.runner.inventory import read_inventory

    for suite in read_inventory(SUITES):
        for claim in suite.claims:
            yield f"{suite.stem}: {claim.name}" + (f"  [{', '.join(claim.tags)}]" if claim.tags else "")


def _attacks() -> Iterator[str]:
    """Id, what it is, what the attacker needs."""
    from offchip.attacks.catalogue import ATTACKS

    width = max(len(attack.title) for attack in ATTACKS.values())
    for key, attack in ATTACKS.items():
        weaknesses = ", ".join(f"CWE-{number}" for number in attack.cwe)
        yield f"{key}  {attack.title.ljust(width)}  {'; '.join(need.value for need in attack.needs)}  [{weaknesses}]"


def _cells() -> Iterator[str]:
    """Id, what the attacker is after, who should win and why."""
    from offchip.matrix.cells import cells
    from offchip.matrix.predictions import predict

    found = [(cell, predict(cell)) for cell in cells()]
    width = max(len(cell.id) for cell, _ in found)
    for cell, prediction in found:
        yield f"{cell.id.ljust(width)}  {prediction.verdict.ljust(8)}  {cell.goal.after}: {prediction.why}"


_LISTS = {"schemes": _schemes, "attacks": _attacks, "cells": _cells, "claims": _claims}
