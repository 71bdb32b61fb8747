"""The monitor language, the backend of the embedded engine and the prompt."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from offchip.errors import EngineError, PlatformError
from offchip.platform.model import Location
from offchip.platform.resc import Monitor, MonitorExit

ROOT = Path(__file__).resolve().parent.parent


class Recorder:
    """A backend that writes down what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.memory: dict[int, int] = {}
        self.board = {"sysbus.spi1": "T.Spi", "sysbus.spi1.tap.sdcard": "T.Card", "sysbus.cpu": "T.Cpu",
                      "sysbus.usart1": "T.Uart"}
        self.names: list[str] = []
        self.running = False

    def create_machine(self, name: str) -> None:
        if name in self.names:
            raise EngineError("that machine exists")
        self.names.insert(0, name)

    def select_machine(self, name: str) -> None:
        self.calls.append(("select", name))

    def remove_machine(self, name: str) -> None:
        self.calls.append(("remove", name))

    def clear(self) -> None:
        self.calls.append(("clear",))

    def machines(self) -> list[str]:
        return self.names

    def load_platform(self, path: Path) -> None:
        self.calls.append(("platform", path))

    def load_platform_text(self, text: str, location: Location) -> None:
        self.calls.append(("text", text.strip(), location.line))

    def reset(self) -> None:
        self.calls.append(("reset",))

    def load_elf(self, path: Path) -> None:
        self.calls.append(("elf", path))

    def set_seed(self, seed: int) -> None:
        self.calls.append(("seed", seed))

    def start(self) -> None:
        self.running = True

    def pause(self) -> None:
        self.running = False

    def is_paused(self) -> bool:
        return not self.running

    def run_for(self, duration_ns: int) -> None:
        self.calls.append(("run", duration_ns))

    def peripherals(self) -> dict[str, str]:
        return self.board

    def members(self, path: str) -> list[str]:
        return ["PowerCut", "PowerOn", "TornBytes"]

    def perform(self, path: str, member: str, arguments: Sequence[Any]) -> Any:
        if member == "Explode":
            raise EngineError("it exploded")
        self.calls.append((path, member, *arguments))
        return {"TornBytes": 37, "TornFill": "old", "Busy": True, "Raw": b"\x01\xAB"}.get(member) \
            if not arguments else None

    def read_bus(self, address: int, width: int) -> int:
        return self.memory.get(address, 0)

    def write_bus(self, address: int, width: int, value: int) -> None:
        self.memory[address] = value

    def create_socket_terminal(self, port: int, name: str) -> None:
        self.calls.append(("terminal", port, name))

    def connect(self, path: str, terminal: str) -> None:
        self.calls.append(("connect", path, terminal))

    def show_analyzer(self, path: str) -> None:
        self.calls.append(("analyzer", path))

    def start_gdb_server(self, port: int) -> None:
        raise EngineError("no GDB here")

    def log_level(self, level: int, path: str | None) -> None:
        self.calls.append(("level", level, path))

    def log_file(self, path: Path) -> None:
        self.calls.append(("log", path))

    def version(self) -> str:
        return "recorder 1"


class Session:
    """A monitor on a recorder, with what it printed."""

    def __init__(self, folder: Path) -> None:
        self.backend, self.folder = Recorder(), folder
        self.output: list[str] = []
        self.monitor = Monitor(self.backend, self.output.append, folder)

    def run(self, text: str) -> list[str]:
        """Run a script of this text; returns what it printed."""
        self.output.clear()
        script = self.folder / "s.resc"
        script.write_text(text)
        self.monitor.run_script(script)
        return self.output

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.backend.calls


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


# the lab's own script ------------------------------------------------------------------------------------------------
def test_the_board_script_unchanged(session: Session, tmp_path: Path) -> None:
    elf, card = tmp_path / "fw.elf", tmp_path / "card.img"
    elf.write_bytes(b"")
    card.write_bytes(b"")
    board = session.backend.board
    board |= {"sysbus.nvm": "", "sysbus.rng": "", "sysbus.flash": "", "sysbus.i2c1": "", "sysbus.i2c1.eeprom": "",
              "sysbus.sram": "", "sysbus.ccm": "", "sysbus.gpioc.hall": "", "sysbus.usart2": ""}
    script = ROOT / "platforms" / "offchip.resc"
    session.monitor.execute(f"$bin=@fw.elf; $sd=@card.img; include @{script}")
    assert session.backend.names == ["offchip"]
    assert session.calls == [
        ("platform", script.parent / "offchip-board.repl"), ("sysbus.spi1.tap.sdcard", "UseImage", card),
        ("sysbus.nvm", "UseImage", ""), ("sysbus.rng", "Seed", 0x0FFC)]
    session.calls.clear()
    for macro in ("sockets", "flashit", "powercut", "powerup", "lid_closed", "lid_open"):
        session.monitor.execute(f"runMacro ${macro}")
    assert session.calls == [
        ("terminal", 4401, "console"), ("connect", "sysbus.usart1", "console"), ("terminal", 4402, "modem"),
        ("connect", "sysbus.usart2", "modem"), ("elf", elf), ("sysbus.cpu", "VectorTableOffset", 0x08000000),
        ("sysbus.spi1.tap.sdcard", "PowerCut"), ("sysbus.flash", "PowerCut"), ("sysbus.i2c1", "PowerCutDevices"),
        ("sysbus.sram", "ZeroAll"), ("sysbus.ccm", "ZeroAll"), ("reset",), ("sysbus.spi1.tap.sdcard", "PowerOn"),
        ("sysbus.i2c1.eeprom", "Powered", True), ("sysbus.cpu", "IsHalted", False), ("sysbus.gpioc.hall", "Press"),
        ("sysbus.gpioc.hall", "Release")]


def test_given_variables_win_over_defaults_of_the_script(session: Session, tmp_path: Path) -> None:
    (tmp_path / "inner.resc").write_text('$name?="default"\n$other?="default"\nmach create $name\n')
    session.run('$name="mine"\ninclude @inner.resc\n$other\n')
    assert session.backend.names == ["mine"] and session.output == ["default"]


# single commands -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "calls"), [
    ("emulation RunFor \"0.1\"", [("run", 100_000_000)]),
    ("emulation RunFor 2", [("run", 2_000_000_000)]),
    ('emulation RunFor "00:01:30.5"', [("run", 90_500_000_000)]),
    ('emulation RunFor "0.000000001"', [("run", 1)]),
    ("emulation SetSeed 0x10", [("seed", 16)]),
    ("logLevel -1", [("level", -1, None)]),
    ("logLevel error spi1", [("level", 3, "sysbus.spi1")]),
    ("mach set \"a\"; mach rem b; mach clear", [("select", "a"), ("remove", "b"), ("clear",)]),
    ("sysbus.spi1.tap.sdcard TornBytes 0x1_0", [("sysbus.spi1.tap.sdcard", "TornBytes", 16)]),
    ("spi1.tap.sdcard TornFill 'zero'  # comment", [("sysbus.spi1.tap.sdcard", "TornFill", "zero")]),
    ("using sysbus.spi1\ntap.sdcard PowerCut", [("sysbus.spi1.tap.sdcard", "PowerCut")]),
    ("sa usart1 LoggingUartAnalyzer", [("analyzer", "sysbus.usart1")]),
    ("showAnalyzer sysbus.usart1", [("analyzer", "sysbus.usart1")]),
    (":name: A name, it's free text\n:description: \"anything\nmach clear", [("clear",)]),
    ('macro a """ mach clear\n emulation SetSeed 1 """\nrunMacro $a', [("clear",), ("seed", 1)]),
    ("macro a\n\n'''\nmach clear\n'''\nrunMacro $a; runMacro $a", [("clear",), ("clear",)]),
    ('macro reset\n"""\ncpu PC 5\n"""\nmachine Reset', [("reset",), ("sysbus.cpu", "PC", 5)]),
    ('machine LoadPlatformDescriptionFromString """\na: T.A @ none\n"""', [("text", "a: T.A @ none", 1)]),
    ('machine LoadPlatformDescriptionFromString "a: T.A @ none"', [("text", "a: T.A @ none", 1)]),
    ("$n=5; $m=$n; cpu Skip $m -3 1.5 true", [("sysbus.cpu", "Skip", 5, -3, 1.5, True)]),
    ("\r\nmach clear\r\n", [("clear",)]),
])
def test_commands(session: Session, text: str, calls: list[tuple[Any, ...]]) -> None:
    session.run(text + "\n")
    assert session.calls == calls


@pytest.mark.parametrize(("text", "output"), [
    ("sysbus WriteDoubleWord 0x20 0xCAFE; sysbus ReadDoubleWord 0x20; sysbus ReadByte 0x24", ["0x0000CAFE", "0x00"]),
    ("sysbus WriteWord 0 7; sysbus ReadWord 0", ["0x0007"]),
    ("spi1.tap.sdcard TornBytes; cpu TornFill; cpu Busy; cpu Raw", ["0x00000025", "old", "True", "01AB"]),
    ('$x="a b"; $x; echo $x "and" 7', ["a b", "a b and 0x00000007"]),
    ("version", ["recorder 1"]),
    ("mach create; mach create; mach", ["machine-1", "machine-0"]),
    ("start; machine IsPaused; pause; machine IsPaused", ["False", "True"]),
    ("help macro", ['macro NAME """COMMANDS"""']),
    ("cpu", ["PowerCut", "PowerOn", "TornBytes"]),
    ("using", ["sysbus"]),
])
def test_output(session: Session, text: str, output: list[str]) -> None:
    assert session.run(text) == output


def test_help_names_every_command(session: Session) -> None:
    shown = {line.split()[0] for line in session.run("help")}
    assert set(session.monitor.commands) <= shown
    for name in session.monitor.commands:
        assert session.run(f"help {name}")[0].startswith(name)


def test_peripherals_lists_paths_and_classes(session: Session) -> None:
    shown = [tuple(line.split()) for line in session.run("peripherals")]
    assert shown == sorted(session.backend.board.items())


def test_files_are_looked_for_along_the_path(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.elf").write_bytes(b"")
    session.run("path add @lib\nsysbus LoadELF @x.elf\n")
    assert session.calls == [("elf", tmp_path / "lib" / "x.elf")]


def test_origin_is_the_folder_of_the_innermost_script(session: Session, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "in.resc").write_text("machine LoadPlatformDescription $ORIGIN/b.repl\n")
    session.run("include @sub/in.resc\nmachine LoadPlatformDescription @$ORIGIN/b.repl\n")
    assert session.calls == [("platform", tmp_path / "sub" / "b.repl"), ("platform", tmp_path / "b.repl")]


def test_quit_ends_every_script(session: Session, tmp_path: Path) -> None:
    (tmp_path / "q.resc").write_text("quit\nmach clear\n")
    with pytest.raises(MonitorExit):
        session.run("include @q.resc\nmach clear\n")
    assert session.calls == []


# bad input -----------------------------------------------------------------------------------------------------------
BAD = [
    # text, line, column, part of the sentence
    ("\n  strat\n", 2, 3, "did you mean start?"),
    ("frobnicate 1\n", 1, 1, 'no command or peripheral "frobnicate"'),
    ("sysbus.spi1.tap.sdcrad PowerCut\n", 1, 1, "did you mean sysbus.spi1.tap.sdcard?"),
    ("sysbus.cpu 5\n", 1, 12, "name of a property"),
    ("cpu Explode\n", 1, 1, "it exploded"),
    ("$y\n", 1, 1, "$y is not set"),
    ("$board=1\ncpu PC $bord\n", 2, 8, "did you mean $board?"),
    ("$x 5\n", 1, 1, "$x=VALUE"),
    ("$x=\n", 1, 1, "$x=VALUE"),
    ("$x=foo\n", 1, 4, '$x="..."'),
    ("cpu PC = 5\n", 1, 8, "= can only follow"),
    ('echo "open\n', 1, 6, "close every quote"),
    ("macro a\nmach clear\n", 1, 1, "macro is used so"),
    ("runMacro $a\n", 1, 1, "no macro a"),
    ('macro a """runMacro $a"""\nrunMacro $a\n', 1, 12, "deep"),
    ('macro a\n"""\n\n  strat\n"""\nrunMacro $a\n', 4, 3, "did you mean start?"),
    ("include @none.resc\n", 1, 1, "cannot be read"),
    ("include @s.resc\n", 1, 1, "includes itself"),
    ("include @x.py\n", 1, 1, 'cannot use "x.py"'),
    ("include @x.cs\n", 1, 1, "no file"),
    ("include\n", 1, 1, "include is used so"),
    ("sysbus LoadELF @none.elf\n", 1, 1, "no file"),
    ("sysbus LoadELF $bin\n", 1, 16, "$bin is not set"),
    ("sysbus LoadHEX @a\n", 1, 1, "sysbus is used so"),
    ("sysbus WriteByte 0 256\n", 1, 1, "1 byte(s)"),
    ("sysbus ReadByte true\n", 1, 1, "sysbus is used so"),
    ('emulation RunFor "soon"\n', 1, 1, "no span of time"),
    ("emulation RunFor -1\n", 1, 1, "no span of time"),
    ('emulation RunFor "nan"\n', 1, 1, "no span of time"),
    ('emulation CreateServerSocketTerminal 70000 "a" false\n', 1, 1, "no TCP port"),
    ('emulation CreateServerSocketTerminal 4401 "a" true\n', 1, 1, "telnet"),
    ("emulation Sing\n", 1, 1, "emulation is used so"),
    ("connector Connect sysbus.usart9 console\n", 1, 1, "did you mean sysbus.usart1?"),
    ("showAnalyzer usart1 Fancy\n", 1, 1, "no analyzer Fancy"),
    ("machine StartGdbServer 3333\n", 1, 1, "no GDB here"),
    ("machine Fly\n", 1, 1, "machine is used so"),
    ("mach create a; mach create a\n", 1, 16, "that machine exists"),
    ("logLevel 7\n", 1, 1, "logLevel is used so"),
    ("pause now\n", 1, 1, "pause is used so"),
    ("path add @none\n", 1, 1, "no folder"),
    ("cpu Range <5, 1>\n", 1, 11, "range is empty"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), BAD)
def test_a_wrong_script_is_named_with_its_place(session: Session, text: str, line: int, column: int, part: str) -> None:
    with pytest.raises(PlatformError) as caught:
        session.run(text)
    message = str(caught.value)
    assert message.startswith(f"{session.folder / 's.resc'}:{line}:{column}: "), message
    assert part in message and "\n" not in message


def test_the_first_wrong_command_ends_a_script(session: Session) -> None:
    with pytest.raises(PlatformError):
        session.run("mach clear\nstrat\nmach clear\n")
    assert session.calls == [("clear",)]


def test_origin_at_the_prompt(session: Session) -> None:
    with pytest.raises(PlatformError, match=r"^monitor:3:3: \$ORIGIN is the folder of a script"):
        session.monitor.execute("i $ORIGIN/x.resc", line=3)


# completion ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("line", "expected"), [
    ("ver", ["version"]), ("spi1.t", ["spi1.tap.sdcard"]), ("sysbus.usa", ["sysbus.usart1"]),
    ("spi1.tap.sdcard Pow", ["PowerCut", "PowerOn"]), ("machine Res", ["Reset"]), ("runMacro $fl", ["$flashit"]),
    ("connector Connect sysbus.us", ["sysbus.usart1"]), ("zzz", []),
])
def test_completion(session: Session, line: str, expected: list[str]) -> None:
    session.run('macro flashit """mach clear"""')
    assert session.monitor.completions(line) == expected


# terminals -----------------------------------------------------------------------------------------------------------
def test_socket_terminal_keeps_early_output_and_carries_both_ways() -> None:
    from offchip.monitor.terminal import SocketTerminal

    terminal = SocketTerminal(0)
    try:
        terminal.send(b"early ")
        with socket.create_connection(("127.0.0.1", terminal.port), 5) as client:
            client.sendall(b"AT\r\n")
            assert terminal.take() == b"AT\r\n"  # loopback: what was sent is there
            terminal.send(b"late")
            answer = b""
            while answer != b"early late":
                answer += client.recv(100)
        assert terminal.take() == b""
        terminal.send(b"nobody listens")
        with pytest.raises(EngineError, match="cannot be opened"):
            SocketTerminal(terminal.port)
    finally:
        terminal.close()


def test_line_printer_escapes_and_waits_for_the_line_end() -> None:
    from offchip.monitor.terminal import LinePrinter

    lines: list[str] = []
    printer = LinePrinter("usart1", lines.append)
    printer.send(b"bo")
    assert lines == []
    printer.send(b"ot\r\n\xff\nrest")
    assert lines == ["[usart1] boot", "[usart1] \\xff"]
    printer.close()
    assert lines[-1] == "[usart1] rest"
