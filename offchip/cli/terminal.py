# SPDX-License-Identifier: Apache-2.0
"""Where commands write: facts and progress on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
_MARKS = {"proven": ("[green]\N{CHECK MARK}[/]", "[green]ok[/]"), "refuted": ("[red]\N{BALLOT X}[/]", "[red]NO[/]")}


def mark(status: str) -> str:
    """The sign of a claim's status, in ASCII for terminals that know no more."""
    return _MARKS.get(status, ("[yellow]-[/]", "[yellow]--[/]"))[not _speaks_unicode()]


def forgive_encodings() -> None:
    """A character the terminal cannot show becomes a question mark, never an exception."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _speaks_unicode() -> bool:
    # in the C locale Python writes UTF-8 all the same (PEP 538, PEP 540); the terminal may not read it
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    return "utf" in locale.lower().replace("-", "") and "utf" in (sys.stderr.encoding or "").lower()
