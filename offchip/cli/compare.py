# SPDX-License-Identifier: Apache-2.0
"""``offchip compare``: where two reports differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.files import replace_file


def compare(
    a: Annotated[Path, typer.Argument(help="folder of a report")],
    b: Annotated[Path, typer.Argument(help="folder of another: of another engine, commit or seed")],
    markdown: Annotated[Path | None, typer.Option(help="write the table here, too, as Markdown")] = None,
) -> None:
    """Say where two reports differ: claims, verdicts, evidence, observations. Exit code 1 when they do."""
    from offchip.report import compare as reports

    left, right = reports.load_report(a), reports.load_report(b)
    differences = reports.compare(left, right)
    console.print(f"A: {escape(left.name)}: {escape(left.facts)}\nB: {escape(right.name)}: {escape(right.facts)}")
    claim = ""
    for each in differences:
        if each.claim != claim:
            claim = each.claim
            print(claim)
        print(f"  {each.what}")
        print(f"    A: {reports.shorten(each.left)}\n    B: {reports.shorten(each.right)}")
    if markdown is not None:
        replace_file(markdown, reports.markdown(left, right, differences))
    print(reports.in_words(left, differences))
    raise typer.Exit(1 if differences else 0)
