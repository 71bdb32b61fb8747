# SPDX-License-Identifier: Apache-2.0
"""A suite in Renode's style runs unchanged, its failures are failures, and its times repeat."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from robot.api import ExecutionResult
from robot.result import TestCase as Outcome  # pytest would take TestCase for a test
from robot.utils import Matcher

from offchip.engines.renode.dotnet import HostError, Refused
from offchip.engines.renode.locate import find_renode, missing_packages
from offchip.engines.renode.monitor_host import MonitorHost
from RenodeKeywords.log_tester import Entry, parse_entry
from tests.fake_renode import Event, FakeLogging, FakeStepper, Part, install, modules, uninstall

ROOT = Path(__file__).resolve().parent.parent
STYLE = ROOT / "robot/renode-style"
FIRMWARE = ROOT / "firmware/build/offchip.elf"
GCC = "arm-none-eabi-gcc"
FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-ffreestanding", "-nostdlib", "-O1", "-Wall", "-Wextra", "-Werror",
         "-Wl,--section-start=.vectors=0x08000000", "-Wl,-Ttext=0x08000200", "-Wl,-Tbss=0x20000000",
         "-Wl,-e,Reset_Handler", "-Wl,--no-warn-rwx-segments"]

needs_compiler = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not installed")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    elf = tmp_path_factory.mktemp("shell") / "shell.elf"
    subprocess.run([GCC, *FLAGS, STYLE / "shell.c", "-o", elf], check=True)
    return elf


def run_robot(suite: Path, out: Path, shell: Path, engine: str = "embedded") -> dict[str, Outcome]:
    """Results by the name of the test."""
    done = subprocess.run(
        [sys.executable, "-m", "robot", "--pythonpath", ROOT, "--pythonpath", ROOT / "robot", "--outputdir", out,
         "--log", "NONE", "--report", "NONE", "--variable", f"ENGINE:{engine}", "--variable", f"SHELL:{shell}",
         "--variable", f"FIRMWARE:{FIRMWARE}", suite], capture_output=True, text=True, timeout=120)
    assert not done.stderr and done.returncode < 250, done.stderr
    return {test.name: test for test in ExecutionResult(out / "output.xml").suite.all_tests}


def messages(test: Outcome) -> list[str]:
    """Everything the test's own steps logged."""
    return [message.message for step in test.body for message in getattr(step, "messages", ())]


# the suite -----------------------------------------------------------------------------------------------------------
@needs_compiler
def test_suite_in_renodes_style_passes_and_its_times_repeat(shell: Path, tmp_path: Path) -> None:
    runs = [run_robot(STYLE / "lab_board.robot", tmp_path / name, shell) for name in ("first", "second")]
    for results in runs:
        assert len(results) == 15
        assert {name: test.message for name, test in results.items() if not test.passed} == {}
    first, second = (messages(results["Ticks Come In Order"]) for results in runs)
    assert first == second
    times = [float(word) for word in first[-1].split()]
    assert len(times) == 3 and times == sorted(times) and times[2] - times[1] == pytest.approx(10, abs=1e-6)


def test_only_the_settings_block_is_ours() -> None:
    rest = (STYLE / "lab_board.robot").read_text().partition("*** Settings ***")[2]
    settings, rest = rest[:rest.index("***")], rest[rest.index("***"):]
    assert "RenodeKeywords" in settings
    assert "Library" not in rest and "ENGINE" not in rest and "offchip." not in rest.replace("offchip-board.repl", "")


@pytest.mark.renode
@needs_compiler
@pytest.mark.skipif(find_renode() is None or bool(missing_packages()), reason="no Renode here; see scripts/get-renode")
def test_suite_passes_on_renode(shell: Path, tmp_path: Path) -> None:
    results = run_robot(STYLE / "lab_board.robot", tmp_path, shell, "renode")
    assert {name: test.message for name, test in results.items() if not test.passed} == {}


# what must fail ----------------------------------------------------------------------------------------------------
FAILING = """
*** Settings ***
Library           RenodeKeywords    engine=${ENGINE}
Suite Teardown    Teardown
Test Setup        Test Setup

*** Keywords ***
Boot
    [Arguments]    &{options}
    Execute Command    $bin=@${SHELL}
    Execute Script    %(board)s
    Execute Command    runMacro $flashit
    Create Terminal Tester    sysbus.usart1    timeout=0.25    &{options}
    Execute Command    emulation RunFor "0.01"

*** Test Cases ***
"""

CASES = {
    "Line never comes": ("Wait For Line On Uart    no such line",
                         'no line containing "no such line" came within 0.25 s of virtual time; full report:*ready*'),
    "Own timeout": ("Wait For Line On Uart    no such line    timeout=0.125", "*within 0.125 s of virtual time*"),
    "Used up": ("Wait For Line On Uart    ready\n    Wait For Line On Uart    ready", "*no line containing*"),
    "Unfinished line is no line": ("Wait For Line On Uart    >", "*no line containing*"),
    "Another next line": ("Wait For Line On Uart    never    matchNextLine=true", "*no line containing*"),
    "No next line": ("Wait For Next Line On Uart\n    Wait For Next Line On Uart", "*no next line came*"),
    "Lines apart": ("Write Line To Uart    ticks\n    ${l}=    Create List    ready    tick\n"
                    "    Wait For Lines On Uart    ${l}", "*lines starting with*"),
    "No prompt": ("Wait For Prompt On Uart    login:", "*no line containing*"),
    "No echo": ("Write Line To Uart    ${{'x' * 70}}", "*no echo of*"),
    "Failing string": ("Register Failing Uart String    ER+OR    treatAsRegex=true\n    Write Line To Uart    fail\n"
                       "    Wait For Line On Uart    never", "*Test failing entry has been found on UART: ERROR*"),
    "Not registered": ("Unregister Failing Uart String    x", "*not registered*"),
    "Is on Uart": ("Should Not Be On Uart    shell", "*Unexpected entry has been found on UART: shell ready"),
    "Not idle": ("Write To Uart    x\n    Test If Uart Is Idle    1", "*the UART sent a byte*"),
    "Held bytes are not idle": ("Write Line To Uart    ticks\n    ${l}=    Create List    tick    tick    tick\n"
                                "    Wait For Lines On Uart    ${l}    pauseEmulation=true\n"
                                "    Test If Uart Is Idle    0.001", "*the UART sent a byte*"),
    "Too slow": ("Write Char Delay    0.01\n    Write To Uart    slow\n"
                 "    Wait For Prompt On Uart    slow    timeout=0.039", "*within 0.039 s*"),
    "Bad regular expression": ("Wait For Line On Uart    (    treatAsRegex=true", "*is no regular expression*"),
    "Bad timeout": ("Wait For Line On Uart    x    timeout=-1", "*seconds from 0 on"),
    "Bytes on text": ("Wait For Bytes On Uart    00", "*binaryMode=true*"),
    "Unknown command": ("Execute Command    nonsense", "*Execute Command:1:1: there is no command*"),
    "Quit": ("Execute Command    quit", "*in the middle of a test*"),
    "Unknown script": ("Execute Script    /nowhere.resc", "*nowhere.resc*cannot be read*"),
    "Unknown machine": ("Execute Command    version    machine=x", "*there is no machine*"),
    "Unknown UART": ("Create Terminal Tester    sysbus.usart9", "*there is no peripheral*usart9*"),
    "Not a UART": ("Create Terminal Tester    sysbus.nvic", "*is no UART*"),
    "Unknown tester": ("Wait For Line On Uart    x    testerId=5", "*there is no terminal tester 5*"),
    "Which tester": ("Create Terminal Tester    sysbus.usart2\n    Wait For Line On Uart    x",
                     "*several terminal testers*"),
    "No log tester": ("Wait For Log Entry    x", "*Create Log Tester first"),
    "No log entry": ("Create Log Tester    0.1\n    Wait For Log Entry    x",
                     '*"x" did not appear in the log within 0.1 s*'),
    "Wrong level": ("Create Log Tester    0.1\n    Write Line To Uart    odd\n"
                    "    Wait For Log Entry    usart1    level=Error", "*did not appear in the log*usart1*"),
    "Log entry": ("Create Log Tester    0.1\n    Write Line To Uart    odd\n    Should Not Be In Log    usart1",
                  "*Unexpected line detected in the log: *usart1*"),
    "Failing log string": ("Create Log Tester    0.1\n    Register Failing Log String    usart1\n"
                           "    Write Line To Uart    odd\n    Wait For Log Entry    never",
                           "*Test failing entry has been found in log*"),
    "Wrong PC": ("PC Should Be Equal    0", "PC value assertion failed, actual: 0x8*, expected: 0x0"),
    "Wrong register": ("Register Should Be Equal    13    0", "Register 13 value assertion failed*"),
    "No such register": ("Register Should Be Equal    99    0", "*no core register 99*"),
    "Two machines": ('Execute Command    mach create "two"\n    PC Should Be Equal    0', "*there are 2 machines*"),
    "No machine": ("Reset Emulation\n    PC Should Be Equal    0", "*there is no machine*"),
    "Not a byte": ("Write To Uart    \\u20ac", "*does not fit into one byte*"),
}


@needs_compiler
def test_what_must_fail_fails_with_one_reason(shell: Path, tmp_path: Path) -> None:
    text = FAILING % {"board": ROOT / "platforms/board.resc"}
    for name, (steps, _) in CASES.items():
        text += f"{name}\n    Boot\n    {steps}\n"
    suite = tmp_path / "failing.robot"
    suite.write_text(text)
    results = run_robot(suite, tmp_path, shell)
    assert set(results) == set(CASES)
    for name, (steps, expected) in CASES.items():
        test = results[name]
        last = steps.splitlines()[-1].strip().split("    ")[0]
        failed = [step.name for step in test.body if step.status == "FAIL"]
        assert failed and failed[0].split(".")[-1].lower() == last.lower(), f"{name}: {failed}, {test.message}"
        assert matches(test.message, expected), f"{name}: {test.message}"


def matches(text: str, pattern: str) -> bool:
    """Whether ``text`` ends as ``pattern`` says; ``*`` stands for anything."""
    return Matcher(f"*{pattern}").match(text)


# names --------------------------------------------------------------------------------------------------------------
#: argument names in Renode's order
ARGUMENTS = {
    "Execute Command": "command machine",
    "Execute Script": "path",
    "Set Default Uart Timeout": "timeout",
    "Set Default Tester": "id",
    "Create Terminal Tester": "uart timeout machine endLineOption defaultPauseEmulation defaultWaitForEcho "
                              "defaultMatchNextLine binaryMode",
    "Wait For Line On Uart": "content timeout testerId treatAsRegex includeUnfinishedLine pauseEmulation matchNextLine",
    "Wait For Lines On Uart": "content timeout testerId treatAsRegex includeUnfinishedLine pauseEmulation "
                              "matchFromNextLine",
    "Wait For Next Line On Uart": "timeout testerId pauseEmulation",
    "Wait For Prompt On Uart": "prompt testerId timeout treatAsRegex pauseEmulation",
    "Wait For Bytes On Uart": "content timeout testerId treatAsRegex pauseEmulation matchStart",
    "Should Not Be On Uart": "content timeout testerId treatAsRegex includeUnfinishedLine",
    "Write To Uart": "content testerId",
    "Write Line To Uart": "content testerId waitForEcho pauseEmulation",
    "Write Char On Uart": "c testerId",
    "Send Key To Uart": "c testerId",
    "Write Char Delay": "delay testerId",
    "Test If Uart Is Idle": "timeout testerId pauseEmulation",
    "Get Terminal Tester Report": "testerId",
    "Clear Terminal Tester Report": "testerId",
    "Register Failing Uart String": "pattern treatAsRegex testerId",
    "Unregister Failing Uart String": "pattern treatAsRegex testerId",
    "Create Log Tester": "timeout defaultPauseEmulation",
    "Wait For Log Entry": "pattern timeout keep treatAsRegex pauseEmulation level",
    "Should Not Be In Log": "pattern timeout treatAsRegex pauseEmulation level",
    "Log To File": "filePath flushAfterEveryWrite",
    "Save Cached Log": "filePath",
    "Pc Should Be Equal": "value machine cpuName",
    "Register Should Be Equal": "register value machine cpuName",
    **dict.fromkeys(("Reset Emulation", "Start Emulation", "Clear Log Tester History", "Enable Logging To Cache",
                     "Clear Cached Log", "Allocate Temporary File", "Setup", "Teardown", "Test Setup",
                     "Test Teardown"), ""),
    "Register Failing Log String": "pattern treatAsRegex",
    "Unregister Failing Log String": "pattern treatAsRegex",
}
REFUSED = {"Provides", "Requires", "Execute Python", "Run Until Breakpoint", "Wait For Pause",
           "Wait For Gdb Connection", "Create Led Tester", "Assert Led State", "Download File", "Stop Remote Server",
           "Start Profiler", "Hot Spot"}


def test_names_and_arguments_are_renodes(tmp_path: Path) -> None:
    out = tmp_path / "library.json"
    done = subprocess.run([sys.executable, "-m", "robot.libdoc", "--pythonpath", ROOT, "--pythonpath", ROOT / "robot",
                           "RenodeKeywords", out], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    keywords = {k["name"]: k for k in json.loads(out.read_text())["keywords"]}
    refused = {name for name, keyword in keywords.items() if "refused" in keyword["tags"]}
    assert refused == REFUSED
    assert all(keyword["shortdoc"] for keyword in keywords.values())
    found = {name: " ".join(a["name"] for a in k["args"]) for name, k in keywords.items() if name not in refused}
    assert found == ARGUMENTS


def test_refused_keywords_fail_whatever_their_arguments(tmp_path: Path) -> None:
    suite = tmp_path / "refused.robot"
    suite.write_text("*** Settings ***\nLibrary    RenodeKeywords\n*** Test Cases ***\n" + "".join(
        f"{name}\n    {name}    a    b    timeout=1\n" for name in sorted(REFUSED)))
    for name, test in run_robot(suite, tmp_path, Path("unused")).items():
        assert test.status == "FAIL" and test.message.startswith(f"{name} cannot be used with RenodeKeywords: ")
        assert "\n" not in test.message


def test_an_engine_that_is_not_there_fails_the_setup(tmp_path: Path) -> None:
    suite = tmp_path / "engine.robot"
    suite.write_text("*** Settings ***\nLibrary    RenodeKeywords    engine=qemu\n"
                     "*** Test Cases ***\nStarts\n    Setup\n")
    test = run_robot(suite, tmp_path, Path("unused"))["Starts"]
    assert test.status == "FAIL" and test.message.endswith("choose embedded, renode or auto.")


# Renode's side on a fake .NET --------------------------------------------------------------------------------------
class FakeUart:
    """Notes what it is given and when."""

    def __init__(self) -> None:
        self.CharReceived = Event()
        self.BaudRate = 115200
        self.given: list[tuple[int, int]] = []


class FakeRenode:
    """The corner of Renode that MonitorHost uses; it echoes the last byte in each slice."""

    def __init__(self) -> None:
        self.time, self.IsStarted, self.machines = 0, False, ["board"]
        self.uart, self.slices, self.commands = FakeUart(), [], []
        self.uart.WriteChar = lambda value: self.uart.given.append((value, self.time))
        self.MachineReset, self.in_step, self.pauses = Event(), False, False
        self.AdvanceImmediately = False
        self.cpu = types.SimpleNamespace(ExecutedInstructions=0, PC=types.SimpleNamespace(RawValue=0x8000100),
                                         GetRegister=lambda n: types.SimpleNamespace(RawValue=n * 16))
        self.logging = FakeLogging()

    internal = MasterTimeSource = SystemBus = property(lambda self: self)
    ElapsedVirtualTime = property(lambda self: types.SimpleNamespace(
        Ticks=self.time, TimeElapsed=types.SimpleNamespace(Ticks=self.time)))

    def GetType(self) -> Part:
        return Part(GetField=lambda name, flags: None)

    def GetCPUs(self) -> list[Any]:
        return [self.cpu]

    def SetSeed(self, seed: int) -> None:
        self.seed = seed

    def PauseAll(self) -> None:
        self.IsStarted = False

    def RunFor(self, ticks: int) -> None:
        assert not self.IsStarted, "Renode refuses RunFor while it runs freely"
        self.slices.append(ticks)
        self.time += ticks
        for value, _ in self.uart.given[-1:]:
            self.uart.CharReceived.fire(value)

    def __iter__(self) -> Any:
        return iter([self] * len(self.machines))

    def get_mach(self, name: str) -> FakeRenode | None:
        return self if name in self.machines else None

    def __getitem__(self, path: str) -> Any:
        return {"sysbus.usart1": self.uart, "sysbus.cpu": self.cpu}[path]

    def clear(self) -> None:
        assert not FakeStepper.moving
        self.machines = []
        self.logging.emulation_made()

    def execute(self, line: str) -> tuple[str, str]:
        assert not FakeStepper.moving, "a command would find the machine running"
        self.commands.append(line)
        if line == "runMacro $boot":
            self.IsStarted = True
        if line.startswith("logFile @"):
            self.logging.log_to_file(Path(line.partition("@")[2]))
        return "", "No such command" if line == "bad" else ""

    def execute_script(self, path: str) -> tuple[str, str]:
        assert not FakeStepper.moving, "a script would find the machine running"
        return "", f"{path}: it stops here\r\n"


@pytest.fixture
def renode(tmp_path: Path) -> Iterator[tuple[MonitorHost, FakeRenode]]:
    fake = FakeRenode()
    install(modules(fake.logging, lambda: fake, lambda: fake))
    yield MonitorHost(3, tmp_path / "log"), fake
    uninstall()


def test_renode_time_flows_in_slices_and_bytes_at_line_rate(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    wire = host.attach("sysbus.usart1", None)
    assert host.run(25_000_000) == [] and fake.slices == [10_000_000, 10_000_000, 5_000_000]
    assert fake.seed == 3 and len(FakeStepper.moving) == 1  # the machine is started once, not in each slice
    host.write(wire, b"ab", 0)
    received = host.run(1_000_000)
    assert [value for value, _ in fake.uart.given] == list(b"ab")
    assert received == [(wire, ord("b"), 26_000_000)] and host.take() == []
    host.write(wire, b"cd", 2_000_000)
    host.run(5_000_000)
    assert [(value, at) for value, at in fake.uart.given[2:]] == [(ord("c"), 28_000_000), (ord("d"), 30_000_000)]


def test_several_machines_run_by_renodes_own_clock(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    host.run(1_000_000)
    assert FakeStepper.moving and fake.AdvanceImmediately is False
    fake.machines.append("second")
    host.run(1_000_000)
    assert not FakeStepper.moving and fake.AdvanceImmediately is True and fake.Quantum == 100_000


def test_a_pause_from_inside_ends_the_run(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    host.attach("sysbus.usart1", None)
    fake.uart.WriteChar(0x41)
    fake.pauses = True
    with pytest.raises(Refused, match=r"a hook or a model paused the emulation at 0.010000000 s"):
        host.run(1_000_000_000)
    fake.pauses = False
    assert [value for _, value, _ in host.run(1_000_000)] == [0x41] * 2  # nothing was lost, and it goes on


def test_renode_never_runs_freely_between_keywords(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    assert host.command("start") == "" and "start" not in fake.commands
    host.command("runMacro $boot")
    assert not fake.IsStarted
    host.run(1_000_000)


def test_renodes_refusals_reach_the_test(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    for refused, reason in ((lambda: host.command("bad"), "No such command"),
                            (lambda: host.script("/x.resc"), "it stops here"),
                            (lambda: host.attach("sysbus.nope", None), 'no peripheral "sysbus.nope"'),
                            (lambda: host.attach("sysbus.cpu", None), "is no UART"),
                            (lambda: host.register("sysbus.cpu", None, "other"), 'no machine "other"')):
        with pytest.raises(Refused, match=reason):
            refused()
    assert host.register("sysbus.cpu", None, "board") == 0x8000100 and host.register("sysbus.cpu", 13, None) == 208
    fake.machines.append("second")
    with pytest.raises(Refused, match="there are 2 machines"):
        host.attach("sysbus.usart1", None)
    host.clear()
    with pytest.raises(Refused, match="no machine to run"):
        host.run(1)


def test_renodes_log_is_read_in_whole_lines(renode: tuple[MonitorHost, FakeRenode], tmp_path: Path) -> None:
    host, fake = renode
    assert host.log_lines() == [] and host.version == "Renode, version 1.16.1 (d66b0c2a)"
    fake.logging.write("Warning", "usart1: Unhandled read")
    with (tmp_path / "log").open("a") as log:
        log.write("12:00:00.0001 [ERR")
    assert [parse_entry(line) for line in host.log_lines()] == [Entry("WARNING", "usart1: Unhandled read")]
    with (tmp_path / "log").open("a") as log:
        log.write("OR] cpu: abort\n")
    assert [parse_entry(line) for line in host.log_lines()] == [Entry("ERROR", "cpu: abort")]


def test_a_log_of_the_suite_leaves_ours(renode: tuple[MonitorHost, FakeRenode], tmp_path: Path) -> None:
    host, fake = renode
    for _ in range(2):  # the second time it exists
        host.command(f"logFile @{tmp_path / 'mine'}")
    for _ in range(FakeLogging.QUEUE + 1):
        fake.logging.write("Info", "usart1: x")
    assert len(host.log_lines()) == FakeLogging.QUEUE + 1
    host.clear()
    for _ in range(FakeLogging.QUEUE + 1):
        fake.logging.write("Info", "usart1: y")
    assert len(host.log_lines()) == FakeLogging.QUEUE + 1


def test_a_failing_callback_is_not_lost(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    host.attach("sysbus.usart1", None)
    fake.uart.CharReceived.fire("not a byte")
    with pytest.raises(HostError, match="a callback failed: .*ValueError"):
        host.run(1_000_000)
