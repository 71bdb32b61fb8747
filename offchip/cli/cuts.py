# SPDX-License-Identifier: Apache-2.0
"""``offchip cuts``: every power cut of an operation."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from offchip.cli.terminal import console
from offchip.engines.protocol import StorageEvent
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE

if TYPE_CHECKING:
    from offchip.campaign.crowd import Point
    from offchip.campaign.cuts import Case, Report
    from offchip.scene import Defence

#: the firmware held; it lost a device; the tool failed its own check
HELD, LOST, TOOL_FAILED = 0, 1, 3


class Second(StrEnum):
    """Which recoveries are cut again."""

    NONE = "none"
    PATHS = "paths"
    ALL = "all"


class Connect(StrEnum):
    """Which devices go on to their next publish."""

    NONE = "none"
    CLASSES = "classes"
    ALL = "all"


def cuts(
    scheme: Annotated[str | None, typer.Option(help="see `offchip list schemes` [default: fresh; with --all every one]",
                                               show_default=False)] = None,
    medium: Annotated[str | None, typer.Option(help="sd, eeprom or none [default: sd; with --all every one]",
                                               show_default=False)] = None,
    operation: Annotated[list[str] | None, typer.Option(help="what is cut [default: every one there is]",
                                                        show_default=False)] = None,
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    seed: Annotated[int, typer.Option(help="of the scene", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="processes at a time", min=1)] = os.cpu_count() or 1,
    second: Annotated[Second, typer.Option(help="cut recoveries again: all, one of each path, or none")] = Second.ALL,
    connect: Annotated[Connect, typer.Option(help="go on to the next publish: one device of each class, one of each "
                                                  "distinct final state, or none")] = Connect.CLASSES,
    shape: Annotated[list[str] | None, typer.Option(help="only these torn shapes, e.g. complete [default: all]",
                                                    show_default=False)] = None,
    event: Annotated[list[StorageEvent] | None, typer.Option(help="only steps of these kinds [default: all]",
                                                             show_default=False)] = None,
    check_every: Annotated[int, typer.Option(help="really cut each so-manieth point and compare byte for byte",
                                             min=1)] = 10,
    check_most: Annotated[int, typer.Option(help="but no more of first, and of second, cuts", min=1)] = 20,
    json_file: Annotated[Path | None, typer.Option("--json", help="write every distinct state and its result")] = None,
    everything: Annotated[Path | None, typer.Option(
        "--all", metavar="FOLDER", help="every scheme on every medium; keeps each result in FOLDER, does not do again "
        "what is there, and prints the table of all (--scheme, --medium and --operation choose)",
        show_default=False)] = None,
) -> None:
    """Lose the supply at every step of writing, in every torn shape, and again while the device recovers.

    Exit code 1: a device was lost; 3: a computed state is not what really happens, so nothing here counts.
    """
    from offchip import vault
    from offchip.campaign.ledger import record
    from offchip.campaign.operations import OPERATIONS
    from offchip.engines.elf import read_elf
    from offchip.files import replace_file
    from offchip.scene import Defence

    unknown = [name for name in operation or () if name not in OPERATIONS]
    if unknown:
        raise OffchipError(f"there is no operation '{unknown[0]}'; there are {', '.join(OPERATIONS)}")

    def cut(defence: Defence, name: str) -> Report:
        from offchip.campaign.cuts import Cuts

        console.print(f"[bold]{name}[/], scheme {defence.scheme.name}, medium {defence.medium.name}")
        report = Cuts(OPERATIONS[name](defence, elf.resolve(), seed), jobs, check_every, second.value, connect.value,
                      lambda text: console.print(f"  [dim]{escape(text)}[/]"), shape or (), check_most,
                      event or ()).run()
        _print(report)
        return report

    # whatever is wrong with the choice is said before --all finds nothing to do
    chosen = vault.scheme(scheme or "fresh"), vault.medium(medium or "sd")
    if (scheme and medium or everything is None) and not chosen[0].goes_with(chosen[1]):
        raise OffchipError(f"scheme '{chosen[0].name}' does not go with medium '{chosen[1].name}'; it needs "
                           f"{' or '.join(each.name for each in chosen[0].media)}")
    if everything is not None:
        if json_file is not None:
            raise OffchipError("--json is of one scheme and medium; --all keeps every result in its folder as JSON")
        settings = {"elf": read_elf(elf).sha256, "seed": seed, "second": second.value,
                    "shapes": shape or [], "events": [str(each) for each in event or ()]}
        _all(everything, settings, lambda names: scheme in (None, names[0]) and medium in (None, names[1]) and
             names[2] in (operation or names), cut)
    defence = Defence(*chosen)
    wanted = [name for name in operation or OPERATIONS if OPERATIONS[name].goes_with(defence)]
    if left_out := sorted({*(operation or OPERATIONS)} - {*wanted}):
        console.print(f"[dim]scheme {chosen[0].name} on {chosen[1].name} knows no {', '.join(left_out)}[/]")
    with _tool_failures():
        reports = [cut(defence, name) for name in wanted]
    if json_file is not None:
        content = {"scheme": chosen[0].name, "medium": chosen[1].name, "seed": seed,
                   "operations": [record(each) for each in reports]}
        replace_file(json_file, (json.dumps(content, indent=1) + "\n").encode())
    _end(sum(report.points for report in reports), all(report.good for report in reports))


def _all(folder: Path, settings: dict[str, Any], chosen: Callable[[tuple[str, str, str]], bool],
         cut: Callable[[Defence, str], Report]) -> NoReturn:
    """Every scheme on every medium. Raises typer.Exit."""
    from offchip import vault
    from offchip.campaign.ledger import Ledger, record, table
    from offchip.campaign.operations import OPERATIONS
    from offchip.files import replace_file
    from offchip.scene import Defence

    ledger = Ledger(folder, settings)
    rows: dict[tuple[str, str, str], dict[str, Any] | None] = {}
    for scheme in vault.SCHEMES.values():
        for medium in scheme.media:
            defence = Defence(scheme, medium)
            for name in (each for each in OPERATIONS if OPERATIONS[each].goes_with(defence)):
                rows[scheme.name, medium.name, name] = ledger.found(scheme.name, medium.name, name)
    with _tool_failures():
        for (scheme_name, medium_name, name), found in rows.items():
            if found is None and chosen((scheme_name, medium_name, name)):
                found = record(cut(Defence(vault.scheme(scheme_name), vault.medium(medium_name)), name))
                ledger.keep(scheme_name, medium_name, name, found)
                rows[scheme_name, medium_name, name] = found
                replace_file(folder / "table.md", table(rows))
    text = table(rows)
    replace_file(folder / "table.md", text)
    typer.echo(text)
    results = [found for found in rows.values() if found is not None]
    _end(sum(found["cuts"] for found in results), all(found["good"] for found in results))


def _end(total: int, good: bool) -> NoReturn:
    console.print(f"[{'green' if good else 'red'}]{total} cuts, "
                  f"{'every device came back' if good else 'some devices were lost'}[/]")
    raise typer.Exit(HELD if good else LOST)


@contextmanager
def _tool_failures() -> Iterator[None]:
    from offchip.campaign.cuts import ToolFailed

    try:
        yield
    except ToolFailed as error:
        console.print(f"[red]the tool failed: {escape(str(error))}[/]")
        raise typer.Exit(TOOL_FAILED) from None


def _print(report: Report) -> None:
    table = Table(box=None, pad_edge=False)
    verdicts = sorted({case.verdict.split(":")[0] for case in (*report.first, *report.second)})
    for title in ("what is cut", "what it leaves", "cuts", "distinct", *verdicts):
        table.add_column(title, justify="left" if title.startswith("what") else "right")
    firsts, seconds = _classes(report.first, lambda case: case.points), _classes(
        [*report.first, *report.second], lambda case: [*(case.points if case.first else []), *case.again])
    for group, rows in (("", firsts), ("second: ", seconds)):
        for (event, shape), row in rows.items():
            table.add_row(group + event, shape, str(row["cuts"]), str(row["distinct"]),
                          *(str(row.get(verdict, 0)) for verdict in verdicts))
    console.print(table)
    steps = ", ".join(f"{count} {name}" for name, count in report.steps.items()) or "nothing is written"
    console.print(f"  steps of writing: {steps}")
    console.print(f"  N = {report.points} cuts, D = {report.distinct} distinct states, judged in {report.runs} "
                  f"recoveries, which {report.joined} others joined; second cuts in {report.second_from} of those from "
                  f"first cuts ({report.paths} paths)")
    console.print(f"  self-check: {report.checked} points really cut, each byte for byte as computed; "
                  f"{report.connected} devices connected again")
    console.print(f"  {report.rate:.0f} cuts/s/core ({report.cpu_s - report.check_s:.1f} s of CPU; "
                  f"{report.check_s:.1f} s more for the self-check)")
    for case in report.lost:
        console.print(f"  [red]{escape(case.story())}: {escape(case.verdict)}[/]")
    for failure in report.failures:
        console.print(f"  [red]{escape(failure)}[/]")


def _classes(cases: list[Case], points: Callable[[Case], list[Point]]) -> dict[tuple[str, str], Counter[str]]:
    """These points of each case. A distinct state counts for the point it was met at first."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for case in cases:
        for number, point in enumerate(points(case)):
            row = rows.setdefault((str(point.event), point.shape), Counter())
            row["cuts"] += 1
            row["distinct"] += number == 0 and point is case.points[0]
            row[case.verdict.split(":")[0]] += 1
    return rows
