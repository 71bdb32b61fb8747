# SPDX-License-Identifier: Apache-2.0
"""``offchip init`` and ``offchip check``, and ``offchip run FILE.toml``: a stranger's firmware under attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from offchip.cli.boot import table_address
from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.files import replace_file


def init(
    images: Annotated[list[Path], typer.Argument(help="the firmware: ELF, Intel HEX or file.bin@0x08000000")],
    out: Annotated[Path | None, typer.Option(help="the file to write [default: the firmware's name with .toml]",
                                             show_default=False)] = None,
    vectors: Annotated[str, typer.Option(help="address of the vector table, as behind a bootloader; auto: where the "
                                              "image begins, when nothing lies where the chip starts")] = "auto",
    seconds: Annotated[float, typer.Option(help="virtual time that is looked at")] = 1.0,
) -> None:
    """Look at firmware and its first second, and write a scenario file with a comment on every line."""
    from offchip.engines.image import application_table, read_image, split_name
    from offchip.scenario.propose import propose
    from offchip.scenario.sight import look

    if not 0 < seconds <= 3600:
        raise OffchipError(f"--seconds {seconds:g} is not between 0 and 3600.")
    if vectors == "auto":
        table = application_table(read_image(each) for each in images)
    else:
        table = table_address(vectors)
    path = out or Path(split_name(images[0])[0].with_suffix(".toml").name)
    if path.exists():
        raise OffchipError(f"{path}: it exists; name another with --out, or take it away.")
    sight = look(images, table, seconds)
    replace_file(path, propose(images, table, sight, path.parent))
    heard = ", ".join(sight.said) or "nothing"
    print(f"{path}: {heard} heard, {len(sight.unexpected)} unexpected accesses; look through it, then: "
          f"offchip check {path}")


def check(scenario: Annotated[Path, typer.Argument(help="a scenario file, from `offchip init`")],
          engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded") -> None:
    """Say what will not work with a scenario, and the fix. Exit code 1 when there is anything."""
    from offchip.scenario.check import problems
    from offchip.scenario.model import read_scenario

    count = 0
    for each in problems(read_scenario(scenario), engine):
        count += 1
        print(f"{scenario}: {each}")
    if not count:
        print(f"{scenario}: nothing stands in the way; fire with: offchip run {scenario}")
    raise typer.Exit(1 if count else 0)


def fire(path: Path, engine: str) -> NoReturn:
    """Fire at a scenario, write its page and its JSON beside it; exit code 1 when anything is broken."""
    from offchip.scenario.fire import Verdict, fire_all
    from offchip.scenario.model import read_scenario
    from offchip.scenario.page import page, record, summary

    scenario = read_scenario(path)
    rows = fire_all(scenario, engine, lambda line: console.print(escape(line)))
    where = path.with_suffix(".report.html")
    replace_file(where, page(scenario, rows))
    replace_file(path.with_suffix(".report.json"), record(scenario, rows))
    print(f"{summary(rows)}: {where}")
    raise typer.Exit(1 if any(row.verdict is Verdict.BROKEN for row in rows) else 0)
