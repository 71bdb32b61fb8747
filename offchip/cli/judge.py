# SPDX-License-Identifier: Apache-2.0
"""``offchip judge``: what a foreign image of a card or EEPROM gives away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from offchip.files import replace_file


def judge(
    image: Annotated[Path, typer.Argument(help="dump of an SD card or EEPROM, also gzipped")],
    to_json: Annotated[Path | None, typer.Option("--json", metavar="FILE",
                                                 help="write what was found here, too, without the secrets")] = None,
) -> None:
    """Name the secrets in an image (keys, certificates, Wi-Fi passphrases, AWS endpoints) and show at the lab's broker
    what they open. Exit code 1 when a secret lies there in clear."""
    from offchip.judge.report import judge_image

    judgement = judge_image(image)
    for line in judgement.lines():
        print("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line))
    if to_json is not None:
        replace_file(to_json, json.dumps(judgement.record(), indent=1) + "\n")
    raise typer.Exit(1 if judgement.found.secrets else 0)
