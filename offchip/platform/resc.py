# SPDX-License-Identifier: Apache-2.0
"""Renode's monitor language: scripts (.resc) and single commands, carried out by whatever backend is behind them.

What is understood is listed by ``help``; anything else is an error with its place. Variables, macros, ``$ORIGIN``,
``using`` and the search path are handled here; everything that touches an emulation goes to :class:`MonitorBackend`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn, Protocol

from offchip.errors import OffchipError, PlatformError
from offchip.platform.command import Argument, Assignment, Block, FileName, Inner, Variable, Word, split_commands
from offchip.platform.model import BUS, Location, Range

LOG_LEVELS = {"noisy": -1, "debug": 0, "info": 1, "warning": 2, "error": 3}
WIDTHS = {"Byte": 1, "Word": 2, "DoubleWord": 4}
#: known to Renode 1.16.1 only
RENODES_OWN = frozenset((
    "EnsureTypeIsLoaded", "Load", "Save", "alias", "allowPrivates", "analyzers", "autoSave", "createPlatform",
    "currentTime", "displayImage", "execute", "lastLog", "numbersMode", "python", "require", "resd", "reverseExecMode",
    "set", "string", "verboseMode", "watch"))
MAX_DEPTH = 50  # of scripts and macros that call each other


class MonitorBackend(Protocol):
    """One emulation under the monitor. Every method may raise an OffchipError; the monitor adds the place."""

    def create_machine(self, name: str) -> None:
        """Make a machine and select it."""

    def select_machine(self, name: str | None) -> None:
        """Select that machine; None: no machine."""

    def remove_machine(self, name: str) -> None: ...
    def clear(self) -> None:
        """Remove every machine and terminal."""

    def machines(self) -> list[str]:
        """Names of all machines, the selected one first."""

    def machines_in_order(self) -> list[str]:
        """Names of all machines as they were made."""

    def load_platform(self, path: Path, folders: Sequence[Path] = ()) -> None:
        """Add a .repl to the selected machine; the files it uses may be in ``folders``, too."""

    def load_platform_text(self, text: str, location: Location, folders: Sequence[Path] = ()) -> None:
        """Add the text of a .repl that stands at ``location`` of a script."""

    def reset(self) -> None: ...
    def load_elf(self, path: Path) -> None: ...
    def set_seed(self, seed: int) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def is_paused(self) -> bool: ...
    def run_for(self, duration_ns: int) -> None:
        """Let virtual time pass in every machine."""

    def peripherals(self) -> dict[str, str]:
        """Path -> class of everything registered in the selected machine."""

    def members(self, path: str) -> list[str]:
        """What :meth:`perform` accepts for this peripheral."""

    def perform(self, path: str, member: str, arguments: Sequence[Any]) -> Any:
        """Read or set a property, or call a method; None when there is nothing to show."""

    def read_bus(self, address: int, width: int) -> int: ...
    def write_bus(self, address: int, width: int, value: int) -> None: ...
    def create_socket_terminal(self, port: int, name: str) -> None: ...
    def connect(self, path: str, terminal: str) -> None: ...
    def show_analyzer(self, path: str) -> None: ...
    def start_gdb_server(self, port: int) -> None: ...
    def log_level(self, level: int, path: str | None) -> None: ...
    def log_file(self, path: Path) -> None: ...
    def log(self, text: str, level: int) -> None:
        """Write a line of one's own."""

    def version(self) -> str: ...


class MonitorExit(Exception):
    """``quit`` was given."""


@dataclass(frozen=True, slots=True)
class _Command:
    run: Callable[[Location, list[Any]], None]
    usage: str
    text: str


class Monitor:
    """The interpreter.

    Args:
        backend: what carries the commands out.
        write: receives each line of output.
        folder: what ``@file`` is relative to first; then come the folders of ``path add``.
    """

    def __init__(self, backend: MonitorBackend, write: Callable[[str], None], folder: Path | None = None) -> None:
        self.backend = backend
        self.variables: dict[str, Any] = {}
        self.macros: dict[str, Block] = {}
        self.usings: list[str] = [BUS]
        self._write = write
        self._folders = [folder or Path.cwd()]
        self._scripts: list[Path] = []
        self._depth = 0
        self.commands: dict[str, _Command] = {
            "Clear": _Command(self._clear, "Clear", "remove every machine and terminal, forget variables and macros"),
            "connector": _Command(self._connector, "connector Connect PERIPHERAL TERMINAL",
                                  "wire a UART to a terminal"),
            "echo": _Command(self._echo, 'echo "TEXT"', "print a text"),
            "emulation": _Command(self._emulation, 'emulation RunFor "SECONDS" | SetSeed N | '
                                  'CreateOffchipTerminal PORT "NAME" | CreateServerSocketTerminal PORT "NAME" false | '
                                  'RequireFile @FILE "ADVICE" | DiscardMachine "NAME"', "time, randomness, terminals"),
            "help": _Command(self._help, "help [COMMAND]", "what the monitor understands"),
            "include": _Command(self._include, "include @FILE.resc", "run a script"),
            "log": _Command(self._log, 'log "TEXT" [LEVEL]', "write a line into the log"),
            "logFile": _Command(self._log_file, "logFile @FILE", "write the log to a file as well"),
            "logLevel": _Command(self._log_level, "logLevel LEVEL [PERIPHERAL]",
                                 "show what is at least so grave: -1 noisy, 0 debug, 1 info, 2 warning, 3 error"),
            "mach": _Command(self._mach, "mach [create [NAME] | set NAME|NUMBER | rem NAME | clear]",
                             "machines; clear selects none"),
            "machine": _Command(self._machine, "machine LoadPlatformDescription @FILE | "
                                'LoadPlatformDescriptionFromString "TEXT" | Reset | IsPaused | '
                                "StartGdbServer PORT", "the selected machine"),
            "macro": _Command(self._macro, 'macro NAME """COMMANDS"""', "name a block of commands"),
            "path": _Command(self._path, "path [add @FOLDER]", "where @files are looked for"),
            "pause": _Command(self._pause, "pause", "stop the flow of time"),
            "peripherals": _Command(self._peripherals, "peripherals", "everything on the board"),
            "quit": _Command(self._quit, "quit", "leave"),
            "runMacro": _Command(self._run_macro, "runMacro $NAME", "run a named block"),
            "showAnalyzer": _Command(self._show_analyzer, "showAnalyzer PERIPHERAL [LoggingUartAnalyzer]",
                                     "print what a UART sends"),
            "start": _Command(self._start, "start", "let time flow"),
            "sysbus": _Command(self._sysbus, "sysbus LoadELF @FILE | ReadByte|ReadWord|ReadDoubleWord ADDRESS | "
                               "WriteByte|WriteWord|WriteDoubleWord ADDRESS VALUE", "the bus"),
            "using": _Command(self._using, "using [PATH | -]", "leave a prefix of peripheral names out"),
            "version": _Command(self._version, "version", "which engine this is"),
        }
        self._short = {"i": "include", "q": "quit", "s": "start", "p": "pause", "sa": "showAnalyzer"}

    # running -----------------------------------------------------------------------------------------------------
    def run_script(self, path: Path, asked_at: Location | None = None) -> None:
        """Run a .resc file; the first wrong command ends it. Raises PlatformError, MonitorExit."""
        at = asked_at or Location(path, 1, 1)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise _wrong(at, f"the script {path} cannot be read ({reason})") from None
        if path.resolve() in self._scripts:
            raise _wrong(at, f"the script {path} includes itself; remove one of the include lines")
        self._scripts.append(path.resolve())
        try:
            self._run(text, Location(path, 1, 1))
        finally:
            self._scripts.pop()

    def execute(self, text: str, name: str = "monitor", line: int = 1) -> None:
        """Run what was typed; ``name`` and ``line`` appear in errors. Raises PlatformError, MonitorExit."""
        self._run(text, Location(Path(name), line, 1), one_piece=True)

    def _run(self, text: str, start: Location, one_piece: bool = False) -> None:
        if self._depth == MAX_DEPTH:
            raise _wrong(start, f"scripts and macros call each other more than {MAX_DEPTH} deep")
        self._depth += 1
        try:
            for command in _with_blocks(split_commands(text.replace("\r\n", "\n"), start, one_piece)):
                self._command(command)
        finally:
            self._depth -= 1

    def _command(self, command: list[Argument]) -> None:
        head, *rest = command
        at = head.location
        if isinstance(head.value, Variable):
            self._assign_or_show(head.value, at, rest)
            return
        word = self._short.get(head.word, head.word)
        try:
            known = self.commands.get(word)
            if known is not None and (word != BUS or rest):
                values = [a.value if word in ("macro", "runMacro") else self._expand(a) for a in rest]
                known.run(at, values)
                return
            path = self._peripheral(head)
            if path is None:
                self._unknown(head)
            self._member(at, path, rest)
        except PlatformError:
            raise
        except OffchipError as error:
            raise _wrong(at, str(error)) from error

    def _unknown(self, head: Argument) -> NoReturn:
        name = head.word or str(head.value)
        if name in RENODES_OWN:
            raise _wrong(head.location, f"{name} is a command of Renode's monitor that this one does not have; "
                                        "run this on Renode")
        close = difflib.get_close_matches(name, [*self.commands, *self.backend.peripherals()], 1, 0.7)
        hint = f"; did you mean {close[0]}?" if close else "; help lists the commands, peripherals the board"
        raise _wrong(head.location, f'there is no command or peripheral "{name}"{hint}')

    # values ------------------------------------------------------------------------------------------------------
    def _assign_or_show(self, variable: Variable, at: Location, rest: list[Argument]) -> None:
        match [a.value for a in rest]:
            case []:
                self._write(_shown(self._variable(variable, at)))
            case [Assignment(only_if_unset=keep), _]:
                value = self._expand(rest[1])
                if isinstance(value, Word | Range):
                    raise _wrong(rest[1].location, f"a variable holds a number, a text or an @file; write "
                                                   f'${variable.name}="..."')
                if not (keep and variable.name in self.variables):
                    self.variables[variable.name] = value
            case _:
                raise _wrong(at, f"a variable is set with ${variable.name}=VALUE or ${variable.name}?=VALUE")

    def _variable(self, variable: Variable, at: Location) -> Any:
        if variable.name in self.variables:
            return self.variables[variable.name]
        close = difflib.get_close_matches(variable.name, self.variables, 1, 0.7)
        hint = f" (did you mean ${close[0]}?)" if close else ""
        raise _wrong(at, f"${variable.name} is not set{hint}; set it with ${variable.name}=VALUE before")

    def _expand(self, argument: Argument) -> Any:
        value = argument.value
        if isinstance(value, Variable):
            return self._variable(value, argument.location)
        if isinstance(value, Inner):
            return self._output_of(value, argument.location)
        if isinstance(value, Assignment):
            raise _wrong(argument.location, "= can only follow a $variable")
        if isinstance(value, FileName) and value.name.startswith("$ORIGIN"):
            if not self._scripts:
                raise _wrong(argument.location, "$ORIGIN is the folder of a script; there is none at the prompt")
            return self._scripts[-1].parent / value.name[len("$ORIGIN"):].lstrip("/")
        return value

    def _output_of(self, inner: Inner, at: Location) -> Any:
        """What a command in backticks prints, as the word it would be in its place."""
        printed: list[str] = []
        write, self._write = self._write, printed.append
        try:
            self._run(inner.text, at)
        finally:
            self._write = write
        text = "\n".join(printed).strip()
        commands = split_commands(text, at, one_piece=True)
        alone = len(commands) == 1 and len(commands[0]) == 1
        value = self._expand(commands[0][0]) if alone else text
        return value.text if isinstance(value, Word) else value

    def _file(self, value: FileName | Path | str) -> Path:
        """Where a file is: the first folder that has it, or the first folder."""
        name = Path(value.name if isinstance(value, FileName) else value)
        return next((f / name for f in self._folders if (f / name).exists()), self._folders[0] / name)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, FileName):
            return self._file(value)
        return value.text if isinstance(value, Word | Block) else value

    # peripherals -------------------------------------------------------------------------------------------------
    def _peripheral(self, argument: Argument) -> str | None:
        return self._find(argument.word) if argument.word else None

    def _find(self, name: str) -> str | None:
        if name == BUS:
            return BUS
        known = self.backend.peripherals()
        return next((p for p in (name, *(f"{u}.{name}" for u in self.usings)) if p in known), None)

    def _path_of(self, at: Location, value: Any) -> str:
        name = value.text if isinstance(value, Word) else str(value)
        found = self._find(name)
        if found is None or found == BUS:
            close = difflib.get_close_matches(name, list(self.backend.peripherals()), 1, 0.6)
            raise _wrong(at, f'there is no peripheral "{name}"' + (f"; did you mean {close[0]}?" if close else ""))
        return found

    def _member(self, at: Location, path: str, rest: list[Argument]) -> None:
        if path == BUS or not rest:
            if path == BUS:
                self._write(self.commands[BUS].usage)
            for member in [] if path == BUS else self.backend.members(path):
                self._write(member)
            return
        name, *arguments = rest
        if not name.word:
            raise _wrong(name.location, f"the name of a property or a method of {path} is expected")
        result = self.backend.perform(path, name.word, [self._plain(self._expand(a)) for a in arguments])
        if result is not None:
            self._write(_shown(result))

    # commands ----------------------------------------------------------------------------------------------------
    def _misused(self, at: Location, name: str) -> PlatformError:
        return _wrong(at, f"{name} is used so: {self.commands[name].usage}")

    def _include(self, at: Location, values: list[Any]) -> None:
        match values:
            case [FileName() | Path() | str() as file]:
                path = self._file(file)
                if path.suffix == ".cs":
                    # Renode compiles it here; an engine with its own models has the class already
                    if not path.is_file():
                        raise _wrong(at, f"there is no file {path}")
                elif path.suffix in (".resc", ""):
                    self.run_script(path, at)
                else:
                    raise _wrong(at, f'include runs .resc scripts; it cannot use "{path.name}"')
            case _:
                raise self._misused(at, "include")

    def _macro(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Word(text=name), Block() as block]:
                self.macros[name] = block
            case _:
                raise self._misused(at, "macro")

    def _run_macro(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Variable(name=name)] | [Word(text=name)]:
                block = self.macros.get(name)
                if block is None:
                    raise _wrong(at, f"there is no macro {name}; defined: {', '.join(sorted(self.macros)) or 'none'}")
                self._run(block.text, block.location)
            case _:
                raise self._misused(at, "runMacro")

    def _path(self, at: Location, values: list[Any]) -> None:
        match values:
            case []:
                for folder in self._folders:
                    self._write(str(folder))
            case [Word(text="add"), FileName() | Path() | str() as folder]:
                path = self._file(folder)
                if not path.is_dir():
                    raise _wrong(at, f"there is no folder {path}")
                self._folders.append(path)
            case _:
                raise self._misused(at, "path")

    def _using(self, at: Location, values: list[Any]) -> None:
        match values:
            case []:
                for prefix in self.usings:
                    self._write(prefix)
            case [Word(text="-")]:
                self.usings.clear()
            case [Word(text=prefix)]:
                if prefix != BUS:
                    prefix = self._path_of(at, Word(prefix))
                if prefix not in self.usings:
                    self.usings.append(prefix)
            case _:
                raise self._misused(at, "using")

    def _mach(self, at: Location, values: list[Any]) -> None:
        match [self._plain(v) for v in values]:
            case []:
                for name in self.backend.machines():
                    self._write(name)
            case ["create"]:
                taken = self.backend.machines()
                free = (f"machine-{i}" for i in range(len(taken) + 1))
                self.backend.create_machine(next(name for name in free if name not in taken))
            case ["create", str(name)]:
                self.backend.create_machine(name)
            case ["set", str(name)]:
                self.backend.select_machine(name)
            case ["set", int(number)]:
                names = self.backend.machines_in_order()
                if number not in range(len(names)):
                    raise _wrong(at, f"there is no machine number {number}; mach lists {len(names)}")
                self.backend.select_machine(names[number])
            case ["rem", str(name)]:
                self.backend.remove_machine(name)
            case ["clear"]:
                self.backend.select_machine(None)
            case _:
                raise self._misused(at, "mach")

    def _machine(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Word(text="LoadPlatformDescription"), FileName() | Path() | str() as file]:
                self.backend.load_platform(self._file(file), self._folders)
            case [Word(text="LoadPlatformDescriptionFromString"), Block(text=text, location=place)]:
                self.backend.load_platform_text(text, place, self._folders)
            case [Word(text="LoadPlatformDescriptionFromString"), str(text)]:
                self.backend.load_platform_text(text, at, self._folders)
            case [Word(text="Reset")]:
                self.backend.reset()
                if "reset" in self.macros:
                    self._run_macro(at, [Variable("reset")])
            case [Word(text="IsPaused")]:
                self._write(str(self.backend.is_paused()))
            case [Word(text="StartGdbServer"), int(port), *_]:
                self.backend.start_gdb_server(_port(at, port))
            case _:
                raise self._misused(at, "machine")

    def _sysbus(self, at: Location, values: list[Any]) -> None:
        if any(isinstance(v, bool) for v in values):
            raise self._misused(at, BUS)
        match values:
            case [Word(text="LoadELF"), FileName() | Path() | str() as file]:
                path = self._file(file)
                if not path.is_file():
                    raise _wrong(at, f"there is no file {path}; build the firmware or give its path as @FILE")
                self.backend.load_elf(path)
            case [Word(text=name), int(address)] if (width := WIDTHS.get(name.removeprefix("Read"))) and name[0] == "R":
                self._write(f"0x{self.backend.read_bus(address, width):0{2 * width}X}")
            case [Word(text=name), int(address), int(value)] if (
                    width := WIDTHS.get(name.removeprefix("Write"))) and name[0] == "W":
                if not 0 <= value < 1 << 8 * width:
                    raise _wrong(at, f"{name} takes a value of {width} byte(s), not 0x{value:X}")
                self.backend.write_bus(address, width, value)
            case _:
                raise self._misused(at, BUS)

    def _clear(self, at: Location, values: list[Any]) -> None:
        self._nothing(at, "Clear", values)
        self.backend.clear()
        self.variables.clear()
        self.macros.clear()

    def _emulation(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Word(text="CreateOffchipTerminal"), int(port), str(name)]:
                self.backend.create_socket_terminal(_port(at, port, least=0), name)
            case [Word(text="RequireFile"), FileName() | Path() | str() as file, str(advice)]:
                path = self._file(file)
                if file != "" and not path.is_file():
                    raise _wrong(at, f"there is no file {path}; {advice}")
            case [Word(text="DiscardMachine"), str(name)]:
                if name in self.backend.machines():
                    self.backend.pause()
                    self.backend.remove_machine(name)
            case [Word(text="RunFor"), str() | int() | float() as span]:
                self.backend.run_for(_nanoseconds(at, span))
            case [Word(text="SetSeed"), int(seed)]:
                self.backend.set_seed(seed)
            case [Word(text="CreateServerSocketTerminal"), int(port), str(name)] | [
                    Word(text="CreateServerSocketTerminal"), int(port), str(name), False]:
                self.backend.create_socket_terminal(_port(at, port), name)
            case [Word(text="CreateServerSocketTerminal"), int(), str(), True]:
                raise _wrong(at, "telnet negotiation is not offered; end the command with false and use a raw client")
            case _:
                raise self._misused(at, "emulation")

    def _connector(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Word(text="Connect"), Word() | str() as peripheral, Word() | str() as terminal]:
                self.backend.connect(self._path_of(at, peripheral), self._plain(terminal))
            case _:
                raise self._misused(at, "connector")

    def _show_analyzer(self, at: Location, values: list[Any]) -> None:
        match values:
            case [Word() as peripheral] | [Word() as peripheral, Word()]:
                if len(values) == 2 and values[1].text.rpartition(".")[2] != "LoggingUartAnalyzer":
                    raise _wrong(at, f"there is no analyzer {values[1].text}; leave it out or use LoggingUartAnalyzer")
                self.backend.show_analyzer(self._path_of(at, peripheral))
            case _:
                raise self._misused(at, "showAnalyzer")

    def _log_level(self, at: Location, values: list[Any]) -> None:
        match values:
            case [int() | Word() as level, *rest] if len(rest) < 2:
                number = self._level(at, "logLevel", level)
                self.backend.log_level(number, self._path_of(at, rest[0]) if rest else None)
            case _:
                raise self._misused(at, "logLevel")

    def _level(self, at: Location, command: str, level: Any) -> int:
        number = LOG_LEVELS.get(level.text.lower()) if isinstance(level, Word) else level
        if number is None or number not in LOG_LEVELS.values():
            raise self._misused(at, command)
        return int(number)

    def _log(self, at: Location, values: list[Any]) -> None:
        match values:
            case [str(text), *rest] if len(rest) < 2:
                self.backend.log(text, self._level(at, "log", rest[0]) if rest else LOG_LEVELS["info"])
            case _:
                raise self._misused(at, "log")

    def _log_file(self, at: Location, values: list[Any]) -> None:
        match values:
            case [FileName() | Path() | str() as file] | [FileName() | Path() | str() as file, bool()]:
                self.backend.log_file(self._file(file))
            case _:
                raise self._misused(at, "logFile")

    def _help(self, at: Location, values: list[Any]) -> None:
        match values:
            case []:
                for name, command in sorted(self.commands.items(), key=lambda item: item[0].lower()):
                    self._write(f"{name:<14}{command.text}")
                self._write("$NAME=VALUE   set a variable; $NAME?=VALUE only when it is not set; $NAME shows it")
                self._write("PERIPHERAL    list its members; PERIPHERAL MEMBER [VALUES] reads, sets or calls one")
            case [Word(text=name)] if self._short.get(name, name) in self.commands:
                self._write(self.commands[self._short.get(name, name)].usage)
            case _:
                raise self._misused(at, "help")

    def _echo(self, at: Location, values: list[Any]) -> None:
        self._write(" ".join(_shown(self._plain(v)) if not isinstance(v, str) else v for v in values))

    def _nothing(self, at: Location, name: str, values: list[Any]) -> None:
        if values:
            raise self._misused(at, name)

    def _start(self, at: Location, values: list[Any]) -> None:
        match values:
            case []:
                pass
            case [FileName()]:
                self._include(at, values)
            case _:
                raise self._misused(at, "start")
        self.backend.start()

    def _pause(self, at: Location, values: list[Any]) -> None:
        self._nothing(at, "pause", values)
        self.backend.pause()

    def _peripherals(self, at: Location, values: list[Any]) -> None:
        self._nothing(at, "peripherals", values)
        for path, kind in sorted(self.backend.peripherals().items()):
            self._write(f"{path:<32} {kind}")

    def _version(self, at: Location, values: list[Any]) -> None:
        self._nothing(at, "version", values)
        self._write(self.backend.version())

    def _quit(self, at: Location, values: list[Any]) -> None:
        self._nothing(at, "quit", values)
        raise MonitorExit

    # for the prompt ----------------------------------------------------------------------------------------------
    def completions(self, line: str) -> list[str]:
        """Whole words that may stand where ``line`` ends."""
        head, _, word = line.rpartition(" ")
        head = head.strip()
        if word.startswith("$"):
            return sorted(f"${n}" for n in {**self.variables, **self.macros} if f"${n}".startswith(word))
        known = self.backend.peripherals()
        if not head:
            short = [p.removeprefix(f"{u}.") for p in known for u in self.usings if p.startswith(f"{u}.")]
            return sorted(_starting(word, [*self.commands, *known, *short]))
        path = self._find(head)
        if path is not None and path != BUS:
            return _starting(word, self.backend.members(path))
        command = self.commands.get(head.split()[0])
        if command is None:
            return []
        words = [w for w in command.usage.replace("|", " ").split()[1:] if w[0].isalpha() and not w.isupper()]
        return sorted(set(_starting(word, [*words, *known])))


def _starting(word: str, names: Iterable[str]) -> list[str]:
    return [n for n in names if n.startswith(word)]


def _with_blocks(commands: list[list[Argument]]) -> list[list[Argument]]:
    """``macro NAME`` may have its block on the following line."""
    joined: list[list[Argument]] = []
    for command in commands:
        alone = len(command) == 1 and isinstance(command[0].value, Block)
        if alone and joined and len(joined[-1]) == 2 and joined[-1][0].word == "macro":
            joined[-1] = [*joined[-1], *command]
        else:
            joined.append(command)
    return joined


def _wrong(at: Location, sentence: str) -> PlatformError:
    return PlatformError(f"{at}: {sentence}")


def _port(at: Location, port: int, least: int = 1) -> int:
    if not least <= port < 65536:
        raise _wrong(at, f"{port} is no TCP port; give one from {least} to 65535")
    return port


def _nanoseconds(at: Location, span: str | int | float) -> int:
    """Seconds, or HH:MM:SS with any fraction of a second."""
    parts = str(span).split(":")
    try:
        seconds = Decimal(parts[-1])
        for part, unit in zip(reversed(parts[:-1]), (60, 3600), strict=False):
            seconds += Decimal(int(part) * unit)
        if len(parts) > 3 or not seconds.is_finite() or seconds < 0:
            raise ValueError
    except (ValueError, InvalidOperation):
        raise _wrong(at, f'"{span}" is no span of time; write "0.5" for half a second, or "00:01:30"') from None
    return int(seconds * 1_000_000_000)


def _shown(value: Any) -> str:
    """A value as Renode's monitor prints it: whole numbers in hexadecimal."""
    if isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return f"0x{value:08X}" if value >= 0 else str(value)
    if isinstance(value, bytes | bytearray):
        return value.hex().upper()
    if isinstance(value, FileName):
        return f"@{value.name}"
    if isinstance(value, Block | Word):
        return value.text
    if isinstance(value, list | tuple):
        return "\n".join(_shown(v) for v in value)
    return str(value)
