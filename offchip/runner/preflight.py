# SPDX-License-Identifier: Apache-2.0
"""Does the firmware come up at all? A device that never lives cannot hold or break anything.

A process of its own (``python -m offchip.runner.preflight ENGINE ELF SEED``): what takes an engine down takes no run
down. It prints one line, empty when the device says who it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from offchip.board.create import create_board
from offchip.engines.select import Standby
from offchip.errors import BoardError, OffchipError
from offchip.paths import ROOT
from offchip.runner.processes import die_with_parent

#: virtual time; the device says ``boot:`` after 4 ms (SPEC section 6)
_BOOT_S = 2.0
_LIVES = "^boot: "


def preflight(engine: str, elf: Path, seed: int, limit_s: float, standby: Standby) -> str:
    """Why claims cannot be judged with this firmware; empty when it boots.

    Args:
        limit_s: host seconds after which it counts as hung.
        standby: the engine, held ready.
    """
    variables, lent = standby.lend()
    clean = False
    try:
        done = subprocess.run([sys.executable, "-m", "offchip.runner.preflight", engine, str(elf), str(seed)], cwd=ROOT,
                              capture_output=True, text=True, errors="replace", timeout=limit_s,
                              stdin=subprocess.DEVNULL, pass_fds=lent, env={**os.environ, **variables})
        clean = done.returncode in (0, 2)
    except subprocess.TimeoutExpired:
        return f"the firmware hung the engine at boot for {limit_s:.0f} s of host time"
    finally:
        standby.take_back(clean)
    if done.returncode == 0:
        return done.stdout.strip()
    if done.returncode == 2:  # the board or the engine cannot be had
        raise OffchipError(done.stderr.strip())
    return f"the firmware ended the engine at boot (exit code {done.returncode})"


def why_not(engine: str, elf: Path, seed: int) -> str:
    """Boot a board straight from the reel, without credentials, until it says something."""
    with create_board(engine, elf=elf, seed=seed) as board:
        board.power_on()
        try:
            board.console.wait_for(_LIVES, _BOOT_S)
        except BoardError:
            pass
        else:
            return ""
        crashes = [each for each in board.diagnostics() if each.kind in ("fault", "lockup")]
        if crashes:
            first = crashes[0]
            return (f"the firmware crashed at boot: {first.where}: {first.message} "
                    f"(PC 0x{first.pc:08X}, {first.time_ns / 1e9:.6f} s)")
        said = board.console.tail(1)
        return (f'the firmware did not say "boot: ..." on its console in {_BOOT_S:g} s, so it is not one the claims '
                "are about" + (f'; it said "{said[-1][:60]}"' if said else ""))


if __name__ == "__main__":
    die_with_parent()
    try:
        print(why_not(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    except OffchipError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
