# SPDX-License-Identifier: Apache-2.0
"""``offchip run``: the suites, their report, an exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.markup import escape

from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE, ROOT
from offchip.report.build import build_report

SUITES = ROOT / "robot/suites"


def run(
    engine: Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    suite: Annotated[list[str] | None, typer.Option(help="only these suites, e.g. 06_plain")] = None,
    test: Annotated[list[str] | None, typer.Option(help="only the tests of this name (Robot pattern)")] = None,
    results: Annotated[Path, typer.Option(help="where the report goes")] = ROOT / "results",
    jobs: Annotated[int, typer.Option(help="suites at a time")] = os.cpu_count() or 1,
    summary: Annotated[bool, typer.Option(help="print the table of claims")] = True,
) -> None:
    """Run the suites and write the report; exit code 1 when a claim is refuted."""
    from offchip.engines.elf import read_elf
    from offchip.engines.renode.locate import need_renode
    from offchip.engines.select import resolve_engine

    engine = resolve_engine(engine)
    if engine == "renode":
        need_renode()
    read_elf(elf)
    known = sorted(path.stem for path in SUITES.glob("*.robot"))
    for name in suite or []:
        if not any(name in stem for stem in known):
            raise OffchipError(f'there is no suite "{name}"; there are {", ".join(known)}.')
    results = results.resolve()
    fresh = results.with_name(results.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
    except OSError as error:
        raise OffchipError(f"{results}: the report cannot be written here ({error.strerror}); give another "
                           "--results.") from None
    try:
        code = _run_suites(fresh, engine, elf.resolve(), suite or [], test or [], max(1, jobs))
        if not (fresh / "output.xml").exists():
            raise OffchipError(f"no suite was run: {_last_error(fresh / 'pabot.log')}")
        outcome = build_report(fresh)
        shutil.rmtree(results, ignore_errors=True)
        fresh.rename(results)
    finally:  # a report is whole or it is the old one
        shutil.rmtree(fresh, ignore_errors=True)
    if summary:
        _print(outcome)
    failed = outcome["refuted"] + outcome["not_run"] or code
    colour = "red" if failed else "green"
    console.print(f"[{colour}]{outcome['proven']} of {outcome['total']} claims proven, {outcome['refuted']} refuted, "
                  f"{outcome['not_run']} not run[/]")
    print(results / "index.html")
    raise typer.Exit(1 if failed else 0)


def _run_suites(results: Path, engine: str, elf: Path, suites: list[str], tests: list[str], jobs: int) -> int:
    command = [sys.executable, "-m", "pabot.pabot", "--processes", str(jobs), "--no-pabotlib",
               "--command", sys.executable, "-m", "robot", "--end-command"]
    command += ["--outputdir", str(results), "--pythonpath", str(ROOT / "robot"), "--pythonpath", str(ROOT),
                "--variable", f"ENGINE:{engine}", "--variable", f"ELF:{elf}",
                "--variable", f"RECORDS:{results / 'records'}",
                "--tagstatlink", "CWE-*:https://cwe.mitre.org/data/definitions/%1.html:CWE-%1",
                "--name", "offchip"]
    for name in suites:
        command += ["--suite", f"*{name}*"]
    for name in tests:
        command += ["--test", name]
    command.append(str(SUITES))
    with (results / "pabot.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=results, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            for line in process.stdout:
                log.write(line)
                if any(word in line for word in ("PASSED", "FAILED", "EXECUTING")):
                    console.print(escape(line.rstrip()))
            return process.wait()
        except KeyboardInterrupt:
            # pabot gives each suite a session of its own, so the whole tree is ended, not one process group
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for each in tree:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
            raise


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if "ERROR" in line or "contains no tests" in line] or lines or ["pabot said nothing"]
    return said[-1].replace("[ ERROR ]", "").strip()


def _print(outcome: dict[str, Any]) -> None:
    suite = None
    for row in outcome["claims"]:
        if row["suite"] != suite:
            suite = row["suite"]
            console.print(f"\n[bold]{escape(suite)}[/]")
        mark = {"proven": "[green]✓[/]", "refuted": "[red]✗[/]"}.get(row["status"], "[yellow]-[/]")
        verdict = f"  [dim]({row['verdict']})[/]" if row["verdict"] else ""
        console.print(f"  {mark} {escape(row['claim'])}{verdict}")
        if row["status"] == "refuted":
            console.print(f"      [red]{escape(row['message'])}[/]")
