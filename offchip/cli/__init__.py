# SPDX-License-Identifier: Apache-2.0
"""The command line: every command ends with one line that says what came out, or one line that says what is wrong."""

from __future__ import annotations

import sys

import typer

from offchip.cli.boot import boot
from offchip.cli.doctor import doctor
from offchip.cli.lab import lab
from offchip.cli.monitor import attend, monitor
from offchip.cli.run import run
from offchip.errors import OffchipError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
for _command in (run, boot, doctor, attend, monitor, lab):
    app.command()(_command)


@app.callback()
def _root() -> None:
    """offchip: may the keys leave the chip?"""


def main() -> None:
    """Entry point: errors of the lab become one line and exit code 2, Ctrl-C becomes 130."""
    try:
        code = app(standalone_mode=False) or 0
    except OffchipError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except Exception as error:  # noqa: BLE001 - typer's usage errors, which carry their own sentence
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        print(f"error: {message()}", file=sys.stderr)
        code = 2
    if code == 130:  # typer's code for Ctrl-C
        print("interrupted; nothing was changed.", file=sys.stderr)
    sys.exit(code)
