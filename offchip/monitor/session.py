# SPDX-License-Identifier: Apache-2.0
"""Opening a monitor session on a script with the firmware of choice, whichever engine is there.

Everything of a session listens on 127.0.0.1 only: console and modem line, and the broker of the world around the board.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from offchip.engines.renode.locate import FIX_RENODE, find_renode, start_command
from offchip.engines.select import resolve_engine
from offchip.errors import EngineError, OffchipError
from offchip.monitor.console import run_console
from offchip.paths import CACHE, ROOT

#: images and certificates of the session's device, where offchip.resc looks, too; a second session gets "session-2"
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
        stack.enter_context(_ended_by_signals())
        say(f"console: 127.0.0.1:{ports.console}, for example with: nc 127.0.0.1 {ports.console}")
        if world is not None:
            folder = stack.enter_context(_folder_of_ones_own())
            stack.enter_context(_world(ports, folder, world, say))
            commands += [f"${name}=@{_escaped(folder / image)}" for name, image in
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
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end every process of the session at once; images are written through as the board writes."""
    def leave(number: int, _frame: FrameType | None) -> None:
        # no exception: raised while a lock is taken or Unicorn calls back it would be lost, and nothing would end
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.terminate()
        for child in psutil.wait_procs(children, timeout=_END_S)[1]:
            with suppress(psutil.Error):
                child.kill()
        os._exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _folder_of_ones_own() -> Iterator[Path]:
    """The folder of the session's device: two boards must not write the same images."""
    for number in itertools.count(1):
        folder = FOLDER if number == 1 else FOLDER.with_name(f"{FOLDER.name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("w")
        except OSError as error:
            raise OffchipError(f"{folder} cannot be written ({error.strerror}).") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return


@contextmanager
def _world(ports: Ports, folder: Path, options: Sequence[str], say: Callable[[str], None]) -> Iterator[None]:
    """Factory images, modem, internet and broker, in a process of their own; ready when this is entered."""
    command = [sys.executable, "-m", "offchip", "attend", *options, "--folder", str(folder), "--port", "0",
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
            place = shlex.quote(str(folder))
            say(f"broker: mosquitto_sub -h localhost -p {ready['port']} --cafile {place}/ca.pem "
                f"--cert {place}/observer.crt --key {place}/observer.key -i observer -t 'offchip/#' -v")
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
