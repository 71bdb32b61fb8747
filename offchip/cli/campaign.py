# SPDX-License-Identifier: Apache-2.0
"""``offchip campaign``: one fault at every place of a stretch of code."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offchip.campaign.injections import Kind
from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE


def campaign(
    kind: Annotated[Kind, typer.Argument(help="skip an instruction, or flip bits of registers")],
    from_: Annotated[str, typer.Option("--from", help="function (`record_open`), `function+0x10` or address")],
    to: Annotated[str, typer.Option(help="likewise; `return`: where the function returns to")] = "return",
    scheme: Annotated[str, typer.Option(help="see `offchip list schemes`")] = "fresh",
    medium: Annotated[str, typer.Option(help="sd, eeprom or none")] = "sd",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    occurrence: Annotated[int, typer.Option(help="begin when --from is reached for the so-manieth time", min=1)] = 1,
    every: Annotated[str, typer.Option(help="address: each instruction at its first execution; execution: each time; "
                                            "a number: so many executions, drawn by the seed")] = "address",
    register: Annotated[list[str] | None, typer.Option(help="what flips hit [default: r0]", show_default=False)] = None,
    bit: Annotated[list[int] | None, typer.Option(help="bits that flips invert, one at a time [default: 0]", min=0,
                                                  max=31, show_default=False)] = None,
    seconds: Annotated[float, typer.Option(help="virtual time within which --from is reached")] = 60.0,
    limit: Annotated[float, typer.Option(help="a run is hung after so many times the instructions of the one without "
                                              "a fault", min=1.0)] = 2.0,
    seed: Annotated[int, typer.Option(help="of scene and sample", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="processes at a time", min=1)] = os.cpu_count() or 1,
    scheduler: Annotated[str, typer.Option(help="a Dask scheduler that does it instead: tcp://host:8786")] = "",
    results: Annotated[Path, typer.Option(help="folder of table, page and journal; an interrupted campaign goes on "
                                               "there")] = Path("results-campaign"),
) -> None:
    """Try each fault on a board that stands at --from, and write what came of it by line of the source.

    Writes index.html, campaign.json and campaign.sarif. Exit code 0 however many faults change the result.
    """
    from offchip.campaign.campaign import Campaign, Plan, elf_digest
    from offchip.campaign.sources import Sources
    from offchip.campaign.table import rows, totals, write
    from offchip.engines.embedded.unicorn_core import REGISTERS

    if every not in ("address", "execution") and not every.isdigit():
        raise OffchipError(f"--every {every} is not address, execution or a number")
    unknown = [name for name in register or () if name not in REGISTERS]
    if unknown:
        raise OffchipError(f"there is no register '{unknown[0]}'; there are {', '.join(sorted(REGISTERS))}")
    sources = Sources(elf)
    end = None if to == "return" else sources.address(to)
    plan = Plan(str(elf.resolve()), elf_digest(elf), sources.address(from_), end, kind, occurrence, every,
                tuple(register or ("r0",)), tuple(1 << number for number in bit or (0,)), scheme, medium, seed,
                seconds=seconds, limit=limit)
    results.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    columns = (TextColumn("  faults"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("faults")
        findings = Campaign(plan, jobs, scheduler, results / "campaign.jsonl",
                            lambda done, total: progress.update(task, completed=done, total=total)).run()
    taken = time.monotonic() - begin
    page = write(findings, sources, results)
    table = rows(findings, sources)
    for row in table:
        if row.values:
            values = ", ".join(f"0x{value:X} x{count}" for value, count in row.values.most_common(3))
            console.print(escape(f"  {row.line}: {row.values.total()} of {row.total}: r0 = {values}"), soft_wrap=True)
    spread = ", ".join(f"{count} {name}" for name, count in sorted(totals(table).items()))
    console.print(f"{len(findings.results)} faults in {findings.length} instructions, {taken:.1f} s: {spread}",
                  soft_wrap=True)
    print(page)
