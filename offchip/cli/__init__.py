# SPDX-License-Identifier: Apache-2.0
"""The command line: every command ends with one line that says what came out, or one line that says what is wrong."""

from __future__ import annotations

import errno
import sys

import typer
from typer.exceptions import TyperException

from offchip.cli.advisor import advisor
from offchip.cli.behaviours import behaviours
from offchip.cli.boot import boot
from offchip.cli.campaign import campaign
from offchip.cli.compare import compare
from offchip.cli.cuts import cuts
from offchip.cli.doctor import doctor
from offchip.cli.fleet import fleet
from offchip.cli.judge import judge
from offchip.cli.lab import app as lab
from offchip.cli.list import list_
from offchip.cli.matrix import attack, matrix, replay
from offchip.cli.monitor import attend, monitor
from offchip.cli.run import run
from offchip.cli.scenario import check, init
from offchip.cli.terminal import forgive_encodings
from offchip.errors import OffchipError
from offchip.paths import PACKAGES
from offchip.runner.processes import Stopped

_INTERRUPTED = (130, 143)

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
for _command in (run, init, check, matrix, attack, replay, compare, cuts, campaign, judge, boot, doctor, attend,
                 monitor, fleet, advisor, behaviours):
    app.command()(_command)
app.command("list")(list_)
app.add_typer(lab, name="lab")


@app.callback()
def _root() -> None:
    """offchip: may the keys leave the chip?"""


def main() -> None:
    """Entry point: what goes wrong becomes one line and exit code 2; a signal ends with 128 + its number."""
    forgive_encodings()
    # the keyword libraries are packages of their own, which a checkout has in a folder that nobody else looks into
    sys.path.extend(str(folder) for folder in PACKAGES if str(folder) not in sys.path)
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        code = app(standalone_mode=False)
    except Stopped as stopped:
        print(f"interrupted; {stopped.left}", file=sys.stderr)
        return stopped.exit_code
    except OffchipError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a file without permission
        print(f"error: {_sentence(error)}", file=sys.stderr)
        return 2
    except TyperException as error:  # wrong usage, which carries its own sentence
        print(f"error: {error.format_message()}", file=sys.stderr)
        return 2
    if code in _INTERRUPTED:  # typer's code for Ctrl-C, and ours
        print("interrupted; nothing was changed.", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOSPC:
        what = "the disk is full; make room and start again"
    return f"{where}{what[0].lower()}{what[1:]}."
