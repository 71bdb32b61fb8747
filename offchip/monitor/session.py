# SPDX-License-Identifier: Apache-2.0
"""Opening a monitor session on a script with the firmware of choice, whichever engine is there.

Everything of a session listens on 127.0.0.1 only: console and modem line, and the broker of the world around the board.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from offchip.engines.renode.locate import FIX_RENODE, find_renode, start_command
from offchip.engines.select import resolve_engine
from offchip.errors import EngineError, OffchipError
from offchip.monitor.console import run_console
from offchip.paths import CACHE, ROOT

#: images and certificates of the session's device; offchip.resc looks here, too
FOLDER = CACHE / "session"
_READY = re.compile(r"broker on \S+:(?P<port>\d+)")
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1 for the two UARTs."""

    console: int
    modem: int


def run_session(script: Path, engine: str, elf: Path, world: Sequence[str] | None, say: Callable[[str], None]) -> int:
    """A prompt on ``script``. Returns the exit status.

    Args:
        script: the .resc.
        engine: ``embedded``, ``renode`` or ``auto``.
        elf: the firmware, ``$bin`` of the script.
        world: options of ``offchip attend`` (scheme, medium); None: nobody is at the other end of the modem line.
        say: takes a line about where things are.

    Raises:
        EngineError: the engine is not there or does not start.
        OffchipError: the world does not start.
    """
    session = _renode if resolve_engine(engine) == "renode" else _embedded
    ports = Ports(*_free_ports(2))
    commands = [f"$bin=@{_escaped(elf)}", f"$console={ports.console}", f"$modem={ports.modem}"]
    with ExitStack() as stack:
        say(f"console: 127.0.0.1:{ports.console}, for example with: nc 127.0.0.1 {ports.console}")
        if world is not None:
            stack.enter_context(_world(ports, world, say))
            commands += [f"${name}=@{_escaped(FOLDER / image)}" for name, image in
                         (("nvm", "nvm.img"), ("sd", "card.img"), ("eeprom", "eeprom.img"))]
        else:
            say(f"modem line: 127.0.0.1:{ports.modem}, with nobody at its other end")
        say("prompt: help, peripherals, runMacro $powercut, $powerup, $eject, $insert, $tamper, $lid_open; quit")
        return session([*commands, f"include @{_escaped(script)}"])


def _embedded(commands: list[str]) -> int:
    return run_console(commands)


def _renode(commands: list[str]) -> int:
    """Renode's own monitor in this terminal."""
    renode = find_renode()
    if renode is None:
        raise EngineError(f"There is no Renode here; {FIX_RENODE}.")
    # without --console it would open a telnet monitor on every interface
    try:
        return subprocess.call([*start_command(renode), "--disable-xwt", "--console", "-e", "; ".join(commands)])
    except OSError as error:
        raise EngineError(f"{renode.path} cannot be started ({error.strerror}); run `offchip doctor`") from None


@contextmanager
def _world(ports: Ports, options: Sequence[str], say: Callable[[str], None]) -> Iterator[None]:
    """Factory images, modem, internet and broker, in a process of their own; ready when this is entered."""
    command = [sys.executable, "-m", "offchip", "attend", *options, "--folder", str(FOLDER), "--port", "0",
               "--modem", f"127.0.0.1:{ports.modem}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, start_new_session=True) as world:
        assert world.stderr is not None
        try:
            first = world.stderr.readline()
            ready = _READY.match(first)
            if ready is None:
                said = " ".join((first + world.stderr.read()).split())
                raise OffchipError(said or "the world around the board ended without a word")
            say(f"broker: mosquitto_sub -h localhost -p {ready['port']} --cafile {FOLDER}/ca.pem "
                f"--cert {FOLDER}/observer.crt --key {FOLDER}/observer.key -i observer -t 'offchip/#' -v")
            # what it says later would fill the pipe one day
            threading.Thread(target=world.stderr.read, name="world", daemon=True).start()
            yield
        finally:
            world.terminate()
            try:
                world.wait(_END_S)
            except subprocess.TimeoutExpired:
                world.kill()


def _free_ports(count: int) -> list[int]:
    """TCP ports nobody uses now."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _escaped(path: Path) -> str:
    """A path as the monitor reads it after ``@``."""
    return re.sub(r"(\s)", r"\\\1", str(path))
