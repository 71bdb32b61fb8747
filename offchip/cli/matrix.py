# SPDX-License-Identifier: Apache-2.0
"""``offchip matrix``, ``attack`` and ``replay``: all cells, one attack's cells, one cell with its whole story."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from offchip.broker.profile import DEFAULT_PROFILE, named_profile
from offchip.captures.keep import Keeper, Wanted
from offchip.cli.run import HANG_LIMIT_S, finish, known_profile
from offchip.cli.terminal import console, mark
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE, SUITES

_ENGINE = Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")]
_ELF = Annotated[Path, typer.Option(help="the firmware")]
_PROFILE = Annotated[str, typer.Option(help="whose rules the server follows: aws-2026, aws-2018, or a TOML file")]
_SEED = Annotated[int, typer.Option(help="decides every random choice", min=0, max=0xFFFFFFFF)]


def matrix(
    include: Annotated[list[str] | None, typer.Option(help="only cells with this tag, e.g. A07, fresh, sd")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="no cells with this tag")] = None,
    engine: _ENGINE = "embedded", elf: _ELF = FIRMWARE, seed: _SEED = 1,
    results: Annotated[Path | None, typer.Option(help="folder of the report", show_default="results-partial")] = None,
    jobs: Annotated[int, typer.Option(help="columns at a time", min=1)] = os.cpu_count() or 1,
    captures: Annotated[Wanted, typer.Option(help="of which cells buses, network and media are kept")] = Wanted.FAILED,
    against: Annotated[Path | None, typer.Option(help="another report to compare with, cell by cell")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was interrupted")] = False,
    profile: _PROFILE = DEFAULT_PROFILE,
) -> None:
    """Run the cells of the matrix and write their page; exit code 1 when one comes out otherwise than predicted."""
    from offchip.runner.judge import Options, judge

    chosen = [f"matrix AND {each}" for each in include or []] or ["matrix"]
    options = Options(engine, elf.resolve(), SUITES, [], [], chosen, exclude or [], results, jobs, seed, HANG_LIMIT_S,
                      captures=captures, against=against, resume=resume, profile=known_profile(profile),
                      each=console.is_terminal)
    place, outcome, stopped = judge(options, lambda line: console.print(escape(line)))
    finish(place, outcome, True, stopped)


def attack(
    attack: Annotated[str, typer.Argument(help="id of the catalogue, e.g. A07")],
    scheme: Annotated[str, typer.Option(help="only against this scheme")] = "",
    medium: Annotated[str, typer.Option(help="only on this medium")] = "",
    engine: _ENGINE = "embedded", elf: _ELF = FIRMWARE, seed: _SEED = 1, profile: _PROFILE = DEFAULT_PROFILE,
) -> None:
    """Fire one attack, show what it did, what was seen, and the verdict; exit code 1 when it is not as predicted."""
    from offchip.matrix.cells import cells

    chosen = [each for each in cells() if attack in (each.attack.id, each.row)
              and scheme in ("", each.defence.scheme.name) and medium in ("", each.defence.medium.name)]
    if not chosen:
        raise OffchipError(f"there is no cell of '{attack}'" + (f" against {scheme}" if scheme else "")
                           + (f" on {medium}" if medium else "") + '; "offchip list cells" names all cells.')
    _show([each.id for each in chosen], engine, elf, seed, profile)


def replay(
    cell: Annotated[str, typer.Argument(help="id of a cell, e.g. A07/whole/fresh/sd")],
    engine: _ENGINE = "embedded", elf: _ELF = FIRMWARE, seed: _SEED = 1, profile: _PROFILE = DEFAULT_PROFILE,
    captures: Annotated[Path | None, typer.Option(
        help="write buses (VCD), network (pcapng) and media before and after into this folder", metavar="FOLDER",
        )] = None,
) -> None:
    """Run one cell alone and tell its story; exit code 1 when it comes out otherwise than predicted."""
    _show([cell], engine, elf, seed, profile, Keeper(captures) if captures else None)


def _show(names: list[str], engine: str, elf: Path, seed: int, profile: str, keeper: Keeper | None = None) -> None:
    from offchip.engines.elf import read_elf
    from offchip.engines.select import resolve_engine
    from offchip.matrix.bench import Bench
    from offchip.matrix.cells import cell
    from offchip.matrix.predictions import predict

    chosen = [cell(name) for name in names]
    read_elf(elf)
    bench, wrong = Bench(resolve_engine(engine), elf, seed, named_profile(profile)), 0
    try:
        for each in chosen:
            prediction = predict(each)
            record = bench.run(each, each.id, keeper)
            wrong += record["verdict"] != prediction.verdict
            _tell(record, prediction.verdict, prediction.why)
    finally:
        bench.close()
    colour = "red" if wrong else "green"
    console.print(f"[{colour}]{len(chosen) - wrong} of {len(chosen)} as predicted[/]")
    raise typer.Exit(1 if wrong else 0)


def _tell(record: dict[str, Any], predicted: str, why: str) -> None:
    good = record["verdict"] == predicted
    console.print(f"{mark('proven' if good else 'refuted')} [bold]{escape(record['cell'])}[/]  {record['verdict']}: "
                  f"{escape(record['reason'])}")
    for each in record["fired"]:
        console.print(f"  {each['time_ns'] / 1e9:9.3f} s  {each['attack']} {escape(each['action'])} at "
                      f"{escape(each['place'])}  {escape(each['detail'])}")
    for line in record["observations"]:
        console.print(f"               {escape(line)}")
    for name in record["captures"]:
        console.print(f"  captured: {escape(name)}")
    console.print(f"  predicted {predicted}: {escape(why)}")
    console.print(f"  server's rules: {escape(record['profile'])}")
    console.print(f"  again: offchip replay {escape(record['cell'])} --seed {record['seed']}")
