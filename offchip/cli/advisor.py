# SPDX-License-Identifier: Apache-2.0
"""``offchip advisor``: the tests of AWS IoT Device Advisor, offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offchip.cli.terminal import console
from offchip.interrupt import Interrupt
from offchip.paths import CACHE, FIRMWARE

if TYPE_CHECKING:
    from offchip.advisor.cases import Case
    from offchip.advisor.run import Candidate, Result


def advisor(
    tests: Annotated[list[str] | None, typer.Argument(help="ids such as TLS_Connect (default: all but "
                                                      "MQTT_Long_Duration)")] = None,
    listen: Annotated[int | None, typer.Option(help="test what connects to this TCP port instead of firmware")] = None,
    folder: Annotated[Path, typer.Option(help="with --listen: where the certificates to flash go")] = CACHE / "lab",
    patience: Annotated[float | None, typer.Option(help="with --listen: seconds to wait in each test")] = None,
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    scheme: Annotated[str, typer.Option(help="how it keeps its credentials: offchip list schemes")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom")] = "none",
    results: Annotated[Path | None, typer.Option(help="folder for advisor.json and advisor.html")] = None,
) -> int:
    """AWS IoT Device Advisor's tests by their ids, against firmware or whatever connects; exit code 1 if one fails."""
    from offchip.advisor import run as runs
    from offchip.advisor.cases import USUAL
    from offchip.files import replace_file

    with Interrupt() as stop:
        candidate: Candidate = runs.Firmware(elf, engine, scheme, medium) if listen is None \
            else _over_tcp(listen, folder, patience, stop)
        said = runs.run(candidate, tests or USUAL, _say)
    content = runs.record(candidate.name, said)
    if results:
        results.mkdir(parents=True, exist_ok=True)
        replace_file(results / "advisor.json", (json.dumps(content, indent=2) + "\n").encode())
        replace_file(results / "advisor.html", runs.page(content).encode())
        console.print(f"{results / 'advisor.html'}", markup=False)
    print(", ".join(f"{number} {verdict}" for verdict, number in content["counts"].items()))
    return 1 if content["counts"]["FAIL"] else 0


def _say(result: Result) -> None:
    print(f"{result.verdict:<18} {result.name:<54} {result.reason}", flush=True)


def _over_tcp(port: int, folder: Path, patience: float | None, stop: Interrupt) -> Candidate:
    from offchip.advisor.run import OverTcp
    from offchip.lab.flash import Flash
    from offchip.lab.live import Options, open_scene
    from offchip.scene.scene import THING

    scene, files = open_scene(Options(folder, real_time=True))
    flashed: set[int] = set()

    def prepare(case: Case, real_port: int) -> None:
        if not flashed:
            flash = Flash(folder, files.ca, "127.0.0.1", real_port)
            console.print(flash.text(THING, scene.world.devices[THING]), markup=False)
        flashed.add(real_port)
        console.print(f"{case.name}: start your device anew; it has {patience or case.limit_s:g} s", markup=False)

    return OverTcp(scene, port, stop, prepare, patience)
