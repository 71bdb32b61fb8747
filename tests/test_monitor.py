# SPDX-License-Identifier: Apache-2.0
"""The monitor language, the backend of the embedded engine and the prompt."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from offchip.errors import EngineError, PlatformError
from offchip.platform.model import Location
from offchip.platform.resc import Monitor, MonitorExit

ROOT = Path(__file__).resolve().parent.parent


def typed(path: Path) -> str:
    """As it is typed in a monitor, where a space ends a path."""
    return str(path).replace(" ", "\\ ")


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

    def select_machine(self, name: str | None) -> None:
        self.calls.append(("select", name))

    def remove_machine(self, name: str) -> None:
        self.calls.append(("remove", name))

    def clear(self) -> None:
        self.calls.append(("clear",))

    def machines(self) -> list[str]:
        return self.names

    def machines_in_order(self) -> list[str]:
        return self.names[::-1]

    def load_platform(self, path: Path, folders: Sequence[Path] = ()) -> None:
        self.calls.append(("platform", path))

    def load_platform_text(self, text: str, location: Location, folders: Sequence[Path] = ()) -> None:
        self.calls.append(("text", text.strip(), location.line))

    def reset(self) -> None:
        self.calls.append(("reset",))

    def load_elf(self, path: Path) -> None:
        self.calls.append(("elf", path))

    def set_seed(self, seed: int) -> None:
        self.calls.append(("seed", seed))

    def start(self) -> None:
        self.calls.append(("start",))
        self.running = True

    def pause(self) -> None:
        self.calls.append(("pause",))
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

    def log(self, text: str, level: int) -> None:
        self.calls.append(("log", text, level))

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


# the lab's own script ----------------------------------------------------------------------------------------------
def test_the_board_script_unchanged(session: Session, tmp_path: Path) -> None:
    elf, card = tmp_path / "fw.elf", tmp_path / "card.img"
    elf.write_bytes(b"")
    card.write_bytes(b"")
    board = session.backend.board
    board |= {"sysbus.nvm": "", "sysbus.rng": "", "sysbus.flash": "", "sysbus.i2c1": "", "sysbus.i2c1.eeprom": "",
              "sysbus.sram": "", "sysbus.ccm": "", "sysbus.gpioc.hall": "", "sysbus.usart2": ""}
    script = ROOT / "platforms" / "board.resc"
    session.monitor.execute(f"$bin=@fw.elf; $sd=@card.img; include @{typed(script)}")
    assert session.backend.names == ["offchip"]
    assert session.calls == [
        ("platform", script.parent / "offchip-board.repl"), ("sysbus.spi1.tap.sdcard", "UseImage", card),
        ("sysbus.nvm", "UseImage", ""), ("sysbus.i2c1.eeprom", "UseImage", ""), ("sysbus.rng", "Seed", 0x0FFC),
        ("sysbus.gpioc.hall", "ReleaseOnReset", False)]
    session.calls.clear()
    for macro in ("sockets", "flashit", "powercut", "powerup", "lid_closed", "lid_open"):
        session.monitor.execute(f"runMacro ${macro}")
    assert session.calls == [
        ("terminal", 4401, "console"), ("connect", "sysbus.usart1", "console"), ("terminal", 4402, "modem"),
        ("connect", "sysbus.usart2", "modem"), ("elf", elf), ("sysbus.cpu", "VectorTableOffset", 0x08000000),
        ("pause",), ("sysbus.cpu", "IsHalted", True), ("sysbus.spi1.tap.sdcard", "PowerCut"),
        ("sysbus.flash", "PowerCut"), ("sysbus.i2c1", "PowerCutDevices"), ("reset",), ("sysbus.cpu", "IsHalted", True),
        ("sysbus.sram", "ZeroAll"), ("sysbus.ccm", "ZeroAll"), ("reset",), ("sysbus.spi1.tap.sdcard", "PowerOn"),
        ("sysbus.i2c1.eeprom", "Powered", True), ("sysbus.cpu", "IsHalted", False), ("start",),
        ("sysbus.gpioc.hall", "Press"),
        ("sysbus.gpioc.hall", "Release")]


def test_no_script_opens_a_port_to_other_computers() -> None:
    scripts = {path: path.read_text() for path in (ROOT / "platforms").glob("*.resc")}
    assert len(scripts) == 3
    for text in scripts.values():
        assert "ServerSocketTerminal" not in text and "runMacro $gdb" not in text  # Renode's own listen everywhere
    (board,) = (text for path, text in scripts.items() if path.name == "board.resc")
    before, _, after = board.partition("machine StartGdbServer")
    assert "StartGdbServer" not in after and before.rpartition("macro ")[2].startswith("gdb\n")
    assert before.rstrip().splitlines()[-1].strip().startswith('echo "Warning: ')


def test_a_board_left_by_an_earlier_try_is_replaced(session: Session) -> None:
    session.backend.names = ["other", "offchip"]
    session.run('emulation DiscardMachine "offchip"; emulation DiscardMachine "nobody"')
    assert session.calls == [("pause",), ("remove", "offchip")]


@pytest.mark.parametrize("missing", ["bin", "nvm", "sd", "eeprom"])
def test_the_booted_script_asks_for_its_files_before_it_makes_anything(session: Session, tmp_path: Path,
                                                                       missing: str) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"")
    for name in ("bin", "nvm", "sd", "eeprom"):
        session.monitor.execute(f"${name}=@{'no/' if name == missing else ''}there")
    with pytest.raises(PlatformError) as caught:
        session.monitor.run_script(ROOT / "platforms/offchip.resc")
    advice = "./scripts/setup" if missing == "bin" else "./scripts/monitor"
    assert f"there is no file {tmp_path / 'no/there'}; type {advice}" in str(caught.value)
    assert "\n" not in str(caught.value) and session.calls == [] and session.backend.names == []


def test_given_variables_win_over_defaults_of_the_script(session: Session, tmp_path: Path) -> None:
    (tmp_path / "inner.resc").write_text('$name?="default"\n$other?="default"\nmach create $name\n')
    session.run('$name="mine"\ninclude @inner.resc\n$other\n')
    assert session.backend.names == ["mine"] and session.output == ["default"]


# single commands ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "calls"), [
    ("emulation RunFor \"0.1\"", [("run", 100_000_000)]),
    ("emulation RunFor 2", [("run", 2_000_000_000)]),
    ('emulation RunFor "00:01:30.5"', [("run", 90_500_000_000)]),
    ('emulation RunFor "0.000000001"', [("run", 1)]),
    ("emulation SetSeed 0x10", [("seed", 16)]),
    ("logLevel -1", [("level", -1, None)]),
    ("logLevel error spi1", [("level", 3, "sysbus.spi1")]),
    ("mach set \"a\"; mach rem b; mach clear; Clear", [("select", "a"), ("remove", "b"), ("select", None), ("clear",)]),
    ("sysbus.spi1.tap.sdcard TornBytes 0x1_0", [("sysbus.spi1.tap.sdcard", "TornBytes", 16)]),
    ("spi1.tap.sdcard TornFill 'zero'  # comment", [("sysbus.spi1.tap.sdcard", "TornFill", "zero")]),
    ("using sysbus.spi1\ntap.sdcard PowerCut", [("sysbus.spi1.tap.sdcard", "PowerCut")]),
    ("sa usart1 LoggingUartAnalyzer", [("analyzer", "sysbus.usart1")]),
    ("showAnalyzer sysbus.usart1", [("analyzer", "sysbus.usart1")]),
    (":name: A name, it's free text\n:description: \"anything\nClear", [("clear",)]),
    ('macro a """ Clear\n emulation SetSeed 1 """\nrunMacro $a', [("clear",), ("seed", 1)]),
    ("macro a\n\n'''\npath add @.\nemulation SetSeed 2\n'''\nrunMacro $a; runMacro $a", [("seed", 2), ("seed", 2)]),
    ('macro reset\n"""\ncpu PC 5\n"""\nmachine Reset', [("reset",), ("sysbus.cpu", "PC", 5)]),
    ('machine LoadPlatformDescriptionFromString """\na: T.A @ none\n"""', [("text", "a: T.A @ none", 1)]),
    ('machine LoadPlatformDescriptionFromString "a: T.A @ none"', [("text", "a: T.A @ none", 1)]),
    ("$n=5; $m=$n; cpu Skip $m -3 1.5 true", [("sysbus.cpu", "Skip", 5, -3, 1.5, True)]),
    ("\r\nClear\r\n", [("clear",)]),
    ('mach create "a"; mach create "b"; mach set 0', [("select", "a")]),
    ("cpu AddHook `cpu TornBytes` \"x\"", [("sysbus.cpu", "TornBytes"), ("sysbus.cpu", "AddHook", 37, "x")]),
    ("$n=`cpu TornFill`; cpu Name $n", [("sysbus.cpu", "TornFill"), ("sysbus.cpu", "Name", "old")]),
    ('log "now \\"here\\""; log "x" error', [("log", 'now "here"', 1), ("log", "x", 3)]),
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


def test_a_text_given_in_one_piece_may_have_lines(session: Session) -> None:
    session.monitor.execute('machine LoadPlatformDescriptionFromString "a: T.A @ none\nb: T.B { c: \\"d\\" }"')
    assert session.calls == [("text", 'a: T.A @ none\nb: T.B { c: "d" }', 1)]


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
    (tmp_path / "q.resc").write_text("quit\nClear\n")
    with pytest.raises(MonitorExit):
        session.run("include @q.resc\nClear\n")
    assert session.calls == []


# bad input ---------------------------------------------------------------------------------------------------------
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
    ("macro a\nClear\n", 1, 1, "macro is used so"),
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
    ('emulation CreateOffchipTerminal 65536 "a"\n', 1, 1, "no TCP port"),
    ('emulation RequireFile @none "type this"\n', 1, 1, "none; type this"),
    ("emulation Sing\n", 1, 1, "emulation is used so"),
    ("connector Connect sysbus.usart9 console\n", 1, 1, "did you mean sysbus.usart1?"),
    ("showAnalyzer usart1 Fancy\n", 1, 1, "no analyzer Fancy"),
    ("machine StartGdbServer 3333\n", 1, 1, "no GDB here"),
    ("machine Fly\n", 1, 1, "machine is used so"),
    ("mach create a; mach create a\n", 1, 16, "that machine exists"),
    ("logLevel 7\n", 1, 1, "logLevel is used so"),
    ('log "x" 7\n', 1, 1, "log is used so"),
    ("mach set 3\n", 1, 1, "no machine number 3"),
    ('python "print 1"\n', 1, 1, "python is a command of Renode's monitor"),
    ("cpu PC `strat`\n", 1, 8, "did you mean start?"),
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
        session.run("Clear\nstrat\nClear\n")
    assert session.calls == [("clear",)]


def test_origin_at_the_prompt(session: Session) -> None:
    with pytest.raises(PlatformError, match=r"^monitor:3:3: \$ORIGIN is the folder of a script"):
        session.monitor.execute("i $ORIGIN/x.resc", line=3)


# completion --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("line", "expected"), [
    ("ver", ["version"]), ("spi1.t", ["spi1.tap.sdcard"]), ("sysbus.usa", ["sysbus.usart1"]),
    ("spi1.tap.sdcard Pow", ["PowerCut", "PowerOn"]), ("machine Res", ["Reset"]), ("runMacro $fl", ["$flashit"]),
    ("connector Connect sysbus.us", ["sysbus.usart1"]), ("zzz", []),
])
def test_completion(session: Session, line: str, expected: list[str]) -> None:
    session.run('macro flashit """Clear"""')
    assert session.monitor.completions(line) == expected


# terminals ---------------------------------------------------------------------------------------------------------
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


# the embedded engine -------------------------------------------------------------------------------------------------
#: sends ">" on USART1, then echoes what arrives: movw/movt r0, 0x40011000; BRR = 729; CR1 = UE|TE|RE; DR = '>';
#: 1: ldr r2, [r0]; lsls r2, #26; bpl 1b; ldr r1, [r0, #4]; str r1, [r0, #4]; b 1b
ECHO = (0x20001000, 0x00000009, 0x0000F241, 0x0001F2C4, 0x21D9F240, 0xF2426081, 0x60C1010C, 0x6041213E, 0x06926802,
        0x6841D5FC, 0xE7F96041)
SMALL_BOARD = '''
rom: Memory.MappedMemory @ sysbus 0x0 { size: 0x1000 }
ram: Memory.MappedMemory @ sysbus 0x20000000 { size: 0x1000 }
nvic: IRQControllers.NVIC @ sysbus 0xE000E000 { priorityMask: 0xF0; systickFrequency: 168000000; IRQ -> cpu@0 }
cpu: CPU.CortexM @ sysbus { cpuType: "cortex-m4f"; nvic: nvic; PerformanceInMips: 168 }
usart1: UART.STM32_UART @ sysbus <0x40011000, +0x400> { frequency: 84000000; -> nvic@37 }
'''


class Bench:
    """A monitor on the embedded engine with a small board that echoes."""

    def __init__(self, folder: Path) -> None:
        from offchip.monitor.embedded_backend import EmbeddedBackend

        self.output: list[str] = []
        self.backend = EmbeddedBackend(self.output.append)
        self.monitor = Monitor(self.backend, self.output.append, folder)

    def run(self, text: str) -> list[str]:
        self.output.clear()
        self.monitor.execute(text)
        return list(self.output)

    def echo_board(self) -> Bench:
        self.run(f'mach create "small"; machine LoadPlatformDescriptionFromString """{SMALL_BOARD}"""')
        for i, word in enumerate(ECHO):
            self.run(f"sysbus WriteDoubleWord {4 * i} 0x{word:X}")
        return self


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.backend.close()


def test_firmware_talks_to_analyzer_and_file(bench: Bench, tmp_path: Path) -> None:
    bench.echo_board()
    bench.run('showAnalyzer usart1; usart1 CreateFileBackend @uart.txt true; emulation RunFor "0.001"')
    assert bench.output == []
    assert bench.run('usart1 WriteChar 0x41; usart1 WriteChar 10; emulation RunFor "0.01"') == ["[usart1] >A"]
    assert (tmp_path / "uart.txt").read_bytes() == b">A\n"


def test_time_moves_exactly_and_one_instruction_is_one_cycle(bench: Bench) -> None:
    bench.echo_board()
    bench.run("emulation RunFor 0.001")
    assert bench.run("cpu ExecutedInstructions") == [f"0x{168_000:08X}"]
    bench.run("cpu IsHalted true; emulation RunFor 0.0015")
    assert bench.run("cpu ExecutedInstructions") == [f"0x{168_000:08X}"]
    bench.run("cpu IsHalted false; emulation RunFor 0.0005")
    assert bench.run("cpu ExecutedInstructions") == [f"0x{168_000 + 84_000:08X}"]


def test_reset_is_immediate_and_starts_over(bench: Bench) -> None:
    bench.echo_board()
    bench.run("showAnalyzer usart1; emulation RunFor 0.001; machine Reset")
    assert bench.run("cpu PC") in (["0x00000008"], ["0x00000009"])
    assert bench.run('usart1 WriteChar 10; emulation RunFor "0.01"') == ["[usart1] >>"]


def test_uart_on_a_tcp_port(bench: Bench) -> None:
    from offchip.monitor.terminal import SocketTerminal

    bench.echo_board()
    bench.backend._terminals["net"] = terminal = SocketTerminal(0)
    bench.run("connector Connect usart1 net; emulation RunFor 0.001")
    with socket.create_connection(("127.0.0.1", terminal.port), 5) as client:
        client.sendall(b"hello")
        bench.run("emulation RunFor 0.05")
        assert client.recv(100) == b">hello"


def test_two_machines_share_time(bench: Bench) -> None:
    bench.echo_board()
    bench.run("mach create \"other\"")
    assert bench.run("mach") == ["other", "small"]
    bench.run("emulation RunFor 0.001; mach set small")
    assert bench.run("cpu ExecutedInstructions") == [f"0x{168_000:08X}"]


def test_diagnostics_reach_screen_and_file_by_level(bench: Bench, tmp_path: Path) -> None:
    bench.echo_board()
    # ldr r1, [r0, #0x7C]: a register no USART has
    bench.run("sysbus WriteWord 0x10 0x6FC1; logFile @log.txt; emulation RunFor 0.0001")
    assert len(bench.output) == 1 and "[WARNING] small/sysbus.usart1: unmodelled: " in bench.output[0]
    assert (tmp_path / "log.txt").read_text().rstrip("\n") == bench.output[0]
    other = Bench(tmp_path).echo_board()
    assert other.run("sysbus WriteWord 0x10 0x6FC1; logLevel 3 usart1; emulation RunFor 0.0001") == []


@pytest.mark.parametrize(("text", "part"), [
    ("mach create small", "already a machine"), ("mach set nobody", "no machine"),
    ('machine LoadPlatformDescriptionFromString "x: T.X @ none"', "in use already"),
    ("emulation SetSeed 1", "before the board"), ("usart1 WriteChar 256", "WriteChar 0..255"),
    ("usart1 CreateFileBackend @no/such/folder true", "cannot be written"), ("logFile @no/such/folder", "cannot be"),
    ("showAnalyzer ram", "is no UART"), ("connector Connect usart1 nobody", "no terminal"),
    ("sysbus ReadDoubleWord 0x60000000", "nothing of this platform answers"),
    ("sysbus ReadDoubleWord 2", "not aligned"), ("sysbus WriteByte 0x1000 1", "nothing of this platform"),
    ("usart1 Frequenzy", "did you mean Frequency?"), ("cpu ExecutedInstructions \"x\"", "a whole number"),
    ("machine StartGdbServer 3333", "no GDB server"),
])
def test_wrong_requests_to_the_embedded_engine(bench: Bench, text: str, part: str) -> None:
    bench.echo_board()
    with pytest.raises(PlatformError) as caught:
        bench.monitor.execute(text)
    assert str(caught.value).startswith("monitor:1:1: ") and part in str(caught.value)


def test_nothing_works_before_there_is_a_board(bench: Bench) -> None:
    for text, part in (("sysbus ReadByte 0", "mach create"), ("emulation RunFor 1", "no board"), ("start", "no board"),
                       ("mach create a; machine Reset", "the machine is empty")):
        with pytest.raises(PlatformError, match=part):
            bench.monitor.execute(text)


def test_a_wrong_description_in_a_script_is_named_by_the_line_of_the_script(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "s.resc"
    board = f"{SMALL_BOARD}oops: No.Class @ none"
    script.write_text(f'mach create\nmachine LoadPlatformDescriptionFromString """{board}\n"""\n')
    with pytest.raises(PlatformError, match=r'^\S*s\.resc:8:7: E04 there is no class "No\.Class"'):
        bench.monitor.run_script(script)


def test_the_lab_board_through_its_script(bench: Bench) -> None:
    bench.run(f'$name="lab"; include @{typed(ROOT / "platforms/board.resc")}')
    assert bench.run("mach") == ["lab"]
    assert "sysbus.spi1.tap.sdcard" in bench.backend.peripherals()
    for macro in ("powercut", "powerup", "lid_closed", "lid_open", "eject", "insert", "tamper"):
        assert bench.run(f"runMacro ${macro}") == []
    assert bench.run("sysbus ReadDoubleWord 0x1FFF7A10") == ["0x00330042"]
    (dump,) = bench.run("runMacro $dump_eeprom")
    assert dump == "FF" * 100 + "00" + "FF" * 155
    assert bench.run("sysbus ReadDoubleWord 0xE0042000") == ["0x10076413"]


FIRMWARE = ROOT / "firmware/build/offchip.elf"
FLASH_WORDS = range(0, 0x100000, 0x1000)


def test_no_word_of_flash_changes_while_the_supply_is_cut(bench: Bench) -> None:
    bench.run(f'$bin=@{typed(FIRMWARE)}; include @{typed(ROOT / "platforms/board.resc")}; runMacro $lid_closed; '
              "runMacro $flashit")
    bench.run('showAnalyzer usart1; emulation RunFor "0.02"')
    assert any("boot:" in line for line in bench.output)
    before = [bench.backend.read_bus(0x08000000 + offset, 4) for offset in FLASH_WORDS]
    bench.run("start; runMacro $powercut")
    executed, paused = bench.run("cpu ExecutedInstructions; machine IsPaused")
    assert paused == "True"
    bench.run('emulation RunFor "60"')  # longer than the watchdog waits
    assert bench.run("cpu ExecutedInstructions") == [executed]
    assert [bench.backend.read_bus(0x08000000 + offset, 4) for offset in FLASH_WORDS] == before
    assert bench.run("sysbus ReadDoubleWord 0x20000000") == ["0x00000000"]
    bench.run("runMacro $powerup")
    assert not bench.backend.is_paused() and bench.run("sysbus.gpioc.hall Pressed") == ["True"]
    bench.output.clear()
    bench.monitor.execute('emulation RunFor "0.02"')
    assert any("boot:" in line for line in bench.output)


def test_a_blank_board_boots_and_says_what_it_lacks(bench: Bench) -> None:
    bench.run(f'$bin=@{typed(FIRMWARE)}; $console=0; $modem=0; include @{typed(ROOT / "platforms/blank.resc")}')
    bench.run('emulation RunFor "0.1"')
    assert any("config: error missing" in line for line in bench.output)
    # again, over the running one
    bench.run(f'$bin=@{typed(FIRMWARE)}; include @{typed(ROOT / "platforms/blank.resc")}')
    assert bench.run("mach") == ["offchip"]


# the prompt ----------------------------------------------------------------------------------------------------------
def session_of(lines: list[str], backend: Any) -> tuple[list[str], int]:
    from offchip.monitor.console import Console, Flow

    output: list[str] = []
    asked = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(asked)
        except StopIteration:
            raise EOFError from None

    flow = Flow(backend, output.append)
    console = Console(Monitor(backend, output.append), flow, read, output.append)
    console.run()
    flow.close()
    return output, console.failed


def test_prompt_goes_on_after_an_error_and_joins_blocks() -> None:
    lines = ["strat", 'macro a """', 'echo "one"', 'echo "two" """', "runMacro $a", "quit", "strat"]
    output, failed = session_of(lines, Recorder())
    assert output == ["monitor:1:1: there is no command or peripheral \"strat\"; did you mean start?", "one", "two"]
    assert failed == 1


class Ticking(Recorder):
    """Counts the slices of time it is given; breaks in the one numbered ``breaks_at``."""

    def __init__(self, breaks_at: int = 0) -> None:
        super().__init__()
        self.steps, self.breaks_at, self.third = 0, breaks_at, threading.Event()

    def step(self, duration_ns: int = 0) -> None:
        self.steps += 1
        if self.steps == self.breaks_at:
            raise EngineError("the engine broke")
        if self.steps == 3:
            self.third.set()


def test_time_flows_between_start_and_pause() -> None:
    from offchip.monitor.console import Flow

    backend = Ticking()
    flow = Flow(backend, print)
    with flow.lock:
        backend.start()
    flow.notice()
    assert backend.third.wait(10)
    with flow.lock:
        backend.pause()
        steps = backend.steps
    flow.notice()
    flow.close()
    assert backend.steps == steps >= 3


def test_an_engine_that_breaks_while_time_flows_says_so_and_pauses() -> None:
    from offchip.monitor.console import Flow

    said = threading.Event()
    lines: list[str] = []

    def on_error(line: str) -> None:
        lines.append(line)
        said.set()

    backend = Ticking(breaks_at=1)
    backend.start()
    flow = Flow(backend, on_error)
    assert said.wait(10)
    flow.close()
    assert lines == ["the engine broke"] and backend.is_paused() and backend.steps == 1
