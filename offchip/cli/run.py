# SPDX-License-Identifier: Apache-2.0
"""``offchip run``: the suites, their report, an exit code."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from offchip.broker.profile import DEFAULT_PROFILE, named_profile
from offchip.captures.keep import Wanted
from offchip.cli.scenario import fire
from offchip.cli.terminal import console, mark
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE, IN_CHECKOUT, ROOT, SUITES
from offchip.runner.processes import Stopped

_DEFAULT_SEED = 1
HANG_LIMIT_S, MONTH_S = 900.0, 30 * 86400.0
#: claims that are not proven, of those without the table of all
_SAID = 20


def run(
    scenario: Annotated[Path | None, typer.Argument(
        help="a scenario file of your own firmware, from `offchip init`: the attacks that need no knowledge of its "
             "formats, instead of the suites")] = None,
    *,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    suites: Annotated[Path, typer.Option(help="folder of the suites")] = SUITES,
    suite: Annotated[list[str] | None, typer.Option(help="only these suites, e.g. 06_plain")] = None,
    test: Annotated[list[str] | None, typer.Option(help="only the tests of this name (Robot pattern)")] = None,
    include: Annotated[list[str] | None, typer.Option(help="only tests with this tag, e.g. A01 or CWE-312")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="no tests with this tag")] = None,
    results: Annotated[Path | None, typer.Option(
        help="folder of the report: new, empty, or holding a report [default: results; results-partial for some "
             "of the claims]", show_default=False)] = None,
    jobs: Annotated[int, typer.Option(help="suites at a time", min=1)] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="decides every random choice; one seed, one results.json", min=0,
                                      max=0xFFFFFFFF)] = _DEFAULT_SEED,
    limit: Annotated[float, typer.Option(help="host seconds after which a claim counts as hung and is not run",
                                         min=1, max=MONTH_S)] = HANG_LIMIT_S,
    xunit: Annotated[Path | None, typer.Option(help="write a copy of the report's JUnit file here")] = None,
    own_credentials: Annotated[Path | None, typer.Option(
        help="folder with the certificate, key and CA that AWS IoT handed out: the device holds these", metavar="DIR",
        )] = None,
    captures: Annotated[Wanted, typer.Option(
        help="of which cells buses (VCD), network (pcapng) and media are kept; failed: and those the answer shows",
        )] = Wanted.FAILED,
    against: Annotated[Path | None, typer.Option(
        help="folder of another report, of another engine for instance: the page says cell by cell whether they agree",
        )] = None,
    profile: Annotated[str, typer.Option(
        help="whose rules the server follows: aws-2026, aws-2018, or a TOML file that says what is otherwise",
        )] = DEFAULT_PROFILE,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was interrupted")] = False,
    summary: Annotated[bool, typer.Option(help="print the table of claims, not only those that are not proven")] = True,
) -> None:
    """Run the suites and write the report; exit code 1 when a claim is refuted or was not run."""
    from offchip.runner.judge import Options, judge

    if scenario is not None:
        fire(scenario, engine)
    options = Options(engine, elf.resolve(), suites.resolve(), suite or [], test or [], include or [], exclude or [],
                      results, jobs, seed, limit, own_credentials.resolve() if own_credentials else None, captures,
                      against, resume, known_profile(profile), each=console.is_terminal)
    place, outcome, stopped = judge(options, lambda line: console.print(escape(line)))
    if xunit is not None:
        try:
            shutil.copyfile(place / "xunit.xml", xunit)
        except OSError as error:
            raise OffchipError(f"{xunit}: the JUnit file cannot be written ({error.strerror}); it is also at "
                               f"{place / 'xunit.xml'}.") from None
    finish(place, outcome, summary, stopped)


def known_profile(text: str) -> str:
    """A profile's name or file, as every process of a run finds it. Raises OffchipError where it is none."""
    named_profile(text)
    return str(Path(text).resolve()) if text.endswith(".toml") else text


def finish(place: Path, outcome: dict[str, Any], summary: bool, stopped: Stopped | None = None) -> None:
    """Print what came out and the report's path, and end with the exit code that says so, or as the signal has it."""
    if summary:
        _print(outcome["claims"])
    elif outcome["proven"] or outcome["refuted"]:  # where nothing was run, why was said before
        _print([row for row in outcome["claims"] if row["status"] != "proven"][:_SAID])
    wrong = outcome.get("answer_wrong", 0)
    failed = outcome["refuted"] + outcome["not_run"] + wrong
    colour = "red" if failed else "green"
    part = "" if not outcome["scope"] else " (partial run)"
    console.print(f"[{colour}]{outcome['proven']} of {outcome['total']} claims proven, {outcome['refuted']} refuted, "
                  f"{outcome['not_run']} not run{part}[/]")
    if wrong:
        console.print(f"[red]{wrong} sentence{'s' * (wrong != 1)} of the answer no longer hold{'s' * (wrong == 1)}: "
                      f"{escape(str(place / 'ANSWER.md'))}[/]")
    elif not outcome["scope"] and _answer_is_another(place / "ANSWER.md"):
        console.print(f"ANSWER.md is of another run; cp {escape(shlex.quote(str(place / 'ANSWER.md')))} "
                      f"{escape(shlex.quote(str(ROOT / 'ANSWER.md')))}")
    print(place / "index.html")
    if stopped is not None:
        raise stopped
    raise typer.Exit(1 if failed else 0)


def _answer_is_another(fresh: Path) -> bool:
    """A checkout keeps the answer of its last whole run."""
    kept = ROOT / "ANSWER.md"
    return IN_CHECKOUT and fresh.is_file() and (not kept.is_file() or kept.read_bytes() != fresh.read_bytes())


def _print(claims: list[dict[str, Any]]) -> None:
    suite = None
    for row in claims:
        if row["suite"] != suite:
            suite = row["suite"]
            console.print(f"\n[bold]{escape(suite)}[/]")
        verdict = f"  [dim]({row['verdict']})[/]" if row["verdict"] else ""
        console.print(f"  {mark(row['status'])} {escape(row['claim'])}{verdict}")
        if row["status"] != "proven" and row["message"]:
            console.print(f"      [red]{escape(row['message'])}[/]")
