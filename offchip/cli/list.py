# SPDX-License-Identifier: Apache-2.0
"""``offchip list``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from offchip.cli.terminal import console
from offchip.errors import OffchipError


def list_(what: Annotated[str, typer.Argument(help="schemes")] = "schemes") -> None:
    """Name the ways to keep credentials, one line each: name, media it can use, what it shows."""
    from offchip.vault import SCHEMES

    if what != "schemes":
        raise OffchipError(f"there is no list of '{what}'; there is: schemes")
    width = max(map(len, SCHEMES))
    for scheme in SCHEMES.values():
        media = ", ".join(medium.name for medium in scheme.media)
        console.print(f"{scheme.name.ljust(width)}  {media.ljust(10)}  {scheme.shows}", markup=False, highlight=False,
                      soft_wrap=True)
