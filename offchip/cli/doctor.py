# SPDX-License-Identifier: Apache-2.0
"""``offchip doctor``: what is here, what is missing, what fixes it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console


def doctor(
    engine: Annotated[str, typer.Option(help="renode: Renode must be there, too")] = "embedded",
) -> None:
    """Look at everything the lab needs; one line each, with what fixes it. Exit code 1 when something is missing."""
    from offchip.doctor import doctor as look

    checks = look()
    everything = engine == "renode"
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[yellow]--[/]" if check.optional else "[red]no[/]"
        console.print(f"{mark}  {escape(check.name)}: {escape(check.found)}"
                      + (f"  -> {escape(check.fix)}" if check.fix else ""), soft_wrap=True)
    raise typer.Exit(1 if any(not check.ok and (everything or not check.optional) for check in checks) else 0)
