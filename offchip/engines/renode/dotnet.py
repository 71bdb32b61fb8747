# SPDX-License-Identifier: Apache-2.0
"""Renode in this process: loaded once, with a log of our own. What every host in a worker shares.

Set here and nowhere else, since the order matters (measured on Renode 1.16.1): logging is synchronous before the first
emulation is made, the monitor exists before the first machine, and the log is a backend under a name of ours.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from offchip.engines.renode.locate import FIX_RENODE, LOCK, VARIABLES
from offchip.engines.renode.log import LogReader

#: monitor commands such as ``logFile`` replace the backend "file"; nothing but this module knows this one
_BACKEND = "offchip"


class HostError(Exception):
    """Renode cannot go on; one sentence."""


class BadPlatform(HostError):
    """Renode does not accept the .repl."""


class Refused(Exception):
    """A model or Renode refused one request and is as it was before."""


class Answer(NamedTuple):
    """How a monitor command ended: was it carried out, what did it print, what did it complain about in one line."""

    done: bool
    printed: str
    complaint: str


class DotNet:
    """Renode, its monitor and its log.

    Args:
        log: file for the log; what it held before is lost.
        level: least level of a line that gets into it, "Info" or "Warning".

    Attributes:
        system: the .NET namespace ``System``.
        emulations: pyrenode3's ``Emulation``; the emulation itself is another object after every ``clear()``.
        interval: the .NET class ``TimeInterval``; its ticks are ns.
        to_class: the object behind a .NET interface, with all its members.
        version: of Renode, in words.

    Raises:
        HostError: Renode does not load.
    """

    def __init__(self, log: Path, level: str = "Info") -> None:
        pyrenode3 = import_pyrenode3()
        logs = namespace("Antmicro.Renode.Logging")
        utilities = namespace("Antmicro.Renode.Utilities")
        self.system = namespace("System")
        self.recoverable: type[Exception] = namespace("Antmicro.Renode.Exceptions").RecoverableException
        self.interval = namespace("Antmicro.Renode.Time").TimeInterval
        self.to_class: Callable[[Any], Any] = pyrenode3.interface_to_class
        # a thread of its own for the log would be ended by its first flush, and 10,000 lines later nothing moves
        utilities.ConfigurationManager.Instance.SetNonPersistent[self.system.Boolean](
            "general", "use-synchronous-logging", True)
        self.emulations = pyrenode3.wrappers.Emulation()
        self._monitor = pyrenode3.wrappers.Monitor()
        self._loader = pyrenode3.RenodeLoader()
        self.version = self._version()
        log.unlink(missing_ok=True)  # Renode would move it aside and write about that into a log that is not there yet
        self.log = LogReader(log)
        # every line is flushed: nothing may ever ask Renode to flush its logger
        backend = logs.FileBackend(utilities.SequencedFilePath(str(log)), True)
        backend.SetLogLevel(getattr(logs.LogLevel, level), -1)
        logs.Logger.AddBackend(backend, _BACKEND, True)

    def _version(self) -> str:
        """The monitor's "version" asks the entry assembly, and a hosted .NET has none."""
        information = namespace("System.Reflection").AssemblyInformationalVersionAttribute
        for assembly in self.system.AppDomain.CurrentDomain.GetAssemblies():
            name = assembly.GetName()
            if name.Name == "Renode":
                built = [each.InformationalVersion for each in assembly.GetCustomAttributes(information, False)]
                return f"Renode, version {name.Version.ToString(3)} ({''.join(built)})"
        return "Renode, version unknown"

    @property
    def emulation(self) -> Any:
        """The .NET emulation as it is now."""
        return self.emulations.internal

    @property
    def monitor(self) -> Any:
        """The .NET monitor."""
        return self._monitor.internal

    def execute(self, line: str) -> tuple[str, str]:
        """One monitor command: (what it printed, what it complained about in one line)."""
        return _texts(self._monitor.execute(line))

    def parse(self, line: str) -> Answer:
        """One monitor command as Renode's own keyword gives it; what a script inside it complains about is not lost."""
        return self._ask(lambda: self.monitor.Parse(line))

    def run_script(self, path: str) -> Answer:
        """A .resc by its absolute path; as :meth:`parse`."""
        return self._ask(lambda: self.monitor.TryExecuteScript(path))

    def _ask(self, action: Callable[[], Any]) -> Answer:
        # nested scripts write to the monitor's own interaction, whatever they were called with
        interaction = self.to_class(self.monitor.Interaction)
        interaction.Clear()
        try:
            with self._loader.in_root():
                done = bool(action())
        except self.system.Exception as error:  # not even the monitor's own kind; Renode's keyword fails as well
            return Answer(False, "", f"{type(error).__name__}: {message_of(error)}")
        return Answer(done, interaction.GetContents().replace("\r", "").strip(), one_line(interaction.GetError()))

    def peripheral(self, machine: Any, path: str) -> Any:
        """The .NET object of a peripheral. Raises Refused when there is none."""
        try:
            return self.to_class(machine[path])
        except Exception as error:
            raise Refused(f'the platform has no peripheral "{path}" ({message_of(error)})') from None


class Callbacks:
    """Python functions that Renode calls: an exception in one, on the CPU's thread, would end the process."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` for use as a callback: what it raises is kept for :meth:`check`."""
        def guarded(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except BaseException:
                self._errors.append(traceback.format_exc(limit=3))
                return None
        return guarded

    def check(self) -> None:
        """Raises HostError when a callback has failed."""
        if self._errors:
            raise HostError("a callback failed: " + one_line(self._errors[0]))


def import_pyrenode3() -> Any:
    """Renode, loaded into this process. Raises HostError."""
    # the loader writes files beside Renode's programs: parallel imports spoil each other
    with open(os.environ.get(LOCK) or os.path.join(tempfile.gettempdir(), "offchip-pyrenode3.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            pyrenode3 = importlib.import_module("pyrenode3")
            importlib.import_module("pyrenode3.wrappers")  # loads the rest while the lock is held
        except (Exception, SystemExit) as error:  # it also exits
            named = " and ".join(f"{name} is {os.environ[name]}" for name in VARIABLES if os.environ.get(name))
            raise HostError(f"pyrenode3 cannot load Renode ({named}): {type(error).__name__}: {message_of(error)}; "
                            f"{FIX_RENODE}") from error
    return pyrenode3


def namespace(name: str) -> Any:
    """A .NET namespace; there is none to import before Renode is loaded."""
    return importlib.import_module(name)


def message_of(error: BaseException) -> str:
    """The message of a .NET or Python exception without its trace."""
    return one_line(str(getattr(error, "Message", None) or error) or type(error).__name__)


def one_line(text: str) -> str:
    """``text`` with every run of white space as one space."""
    return " ".join(text.split())


def _texts(answer: tuple[str | None, str | None]) -> tuple[str, str]:
    out, err = answer
    return (out or "").replace("\r", "").strip(), one_line(err or "")
