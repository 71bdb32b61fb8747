# SPDX-License-Identifier: Apache-2.0
"""``offchip fleet``: fifty devices, three of them in wrong hands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from offchip.cli.terminal import console
from offchip.paths import FIRMWARE


def fleet(
    devices: Annotated[int, typer.Option(help="how many in all")] = 50,
    real: Annotated[int, typer.Option(help="how many of them are firmware on boards, the others peers")] = 3,
    seed: Annotated[int, typer.Option(help="of everything random")] = 1,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    record: Annotated[Path | None, typer.Option(help="write what happened here, as JSON")] = None,
) -> int:
    """A fleet of which one device is cloned, one rolled back, one stolen: who notices when, and who else suffers."""
    from offchip.files import replace_file
    from offchip.fleet import Plan, play

    outcome = play(Plan(devices, real, seed, engine, elf), lambda line: console.print(line, markup=False))
    if record:
        replace_file(record, (json.dumps(outcome.record(), indent=2) + "\n").encode())
    for attack in outcome.attacks:
        after = "never" if attack.detected_after_s is None else f"after {attack.detected_after_s:.3f} s"
        print(f"{attack.kind:<12} {attack.thing}  noticed {after}  {attack.rule}: {attack.reason}")
    for thing, what in outcome.lost.items():
        print(f"{thing} suffered: {what}")
    rest = devices - len(outcome.attacks)
    print(f"out: {', '.join(outcome.out) or 'nobody'}; of the other {rest}, {rest - len(outcome.lost)} lost nothing")
    return 0 if outcome.held else 1
