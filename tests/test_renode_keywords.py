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

from offchip.engines.renode.dotnet import Answer, HostError, Refused
from offchip.engines.renode.locate import find_renode, missing_packages
from offchip.engines.renode.monitor_host import MonitorHost
from offchip.errors import EngineError
from RenodeKeywords import bench as bench_module
from RenodeKeywords.bench import Bench
from RenodeKeywords.log_tester import Entry, parse_entry
from tests.fake_renode import (
    DotNetError,
    Event,
    FakeInteraction,
    FakeLogging,
    FakeStepper,
    Part,
    install,
    modules,
    uninstall,
)

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
         "--variable", "FIRMWARE:" + str(FIRMWARE).replace(" ", "\\ "), suite],
        capture_output=True, text=True, timeout=120)
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
Test Teardown     Set Default Tester    ${None}

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
                         'Terminal tester failed!\n\nno line containing "no such line" came within 0.25 s of virtual '
                         'time\n\nFull report:\n*shell ready*'),
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
                       "    Wait For Line On Uart    never",
                       "Terminal tester failed!\n\nTest failing entry has been found on UART:\nERROR*"),
    "Not registered": ("Unregister Failing Uart String    x", "Unable to unregister failing string, entry not found*"),
    "Is on Uart": ("Should Not Be On Uart    shell",
                   "Terminal tester failed!\n\nUnexpected entry has been found on UART#:\nshell ready"),
    "Not idle": ("Write To Uart    x\n    Test If Uart Is Idle    1", "*the UART sent a byte*"),
    "Held bytes are not idle": ("Write Line To Uart    ticks\n    ${l}=    Create List    tick    tick    tick\n"
                                "    Wait For Lines On Uart    ${l}    pauseEmulation=true\n"
                                "    Test If Uart Is Idle    0.001", "*the UART sent a byte*"),
    "Too slow": ("Write Char Delay    0.01\n    Write To Uart    slow\n"
                 "    Wait For Prompt On Uart    slow    timeout=0.039", "*within 0.039 s*"),
    "Bad regular expression": ("Wait For Line On Uart    (    treatAsRegex=true", "*is no regular expression*"),
    "Bad timeout": ("Wait For Line On Uart    x    timeout=-1", "*seconds from 0 on"),
    "Bytes on text": ("Wait For Bytes On Uart    00",
                      "Attempt to wait for bytes on a tester configured in text mode. Please set binaryMode=True*"),
    "Text on bytes": ("${m}=    Create Terminal Tester    sysbus.usart2    binaryMode=true\n"
                      "    Wait For Line On Uart    x    testerId=${m}",
                      "Attempt to wait for text on a tester configured in binary mode. Please set binaryMode=False*"),
    "Unknown command": ("Execute Command    nonsense",
                        "Could not execute command 'nonsense': Execute Command:1:1: there is no command*"),
    "Wrong command in a script": ("Execute Command    include @%(wrong)s", "Could not execute command*wrong.resc:2:1*"),
    "Wrong script in a script": ("Execute Script    %(nested)s", "Could not execute script: *wrong.resc:2:1*"),
    "Quit": ("Execute Command    quit", "*in the middle of a test*"),
    "Unknown script": ("Execute Script    /nowhere.resc", "Could not execute script: *nowhere.resc*cannot be read*"),
    "Unknown machine": ("Execute Command    version    machine=x", "Could not find machine named x in the emulation"),
    "Unknown UART": ("Create Terminal Tester    sysbus.usart9",
                     "*Peripheral for machine '' not found or of wrong type: 'sysbus.usart9'. Available*usart1*"),
    "Not a UART": ("Create Terminal Tester    sysbus.nvic", "*not found or of wrong type: 'sysbus.nvic'*"),
    "UART of no machine": ("Create Terminal Tester    sysbus.usart1    machine=x",
                           "*Machine with name x not found. Available machines: [[]offchip]"),
    "Unknown tester": ("Wait For Line On Uart    x    testerId=5", "Tester for given ID=5 was not found.*"),
    "Unknown default tester": ("Set Default Tester    5", "Tester #5 was not found. Create a tester before*"),
    "Which tester": ("Create Terminal Tester    sysbus.usart2\n    Wait For Line On Uart    x",
                     "There is more than one tester available - please specify ID of the desired tester."),
    "Which tester after null": ("Create Terminal Tester    sysbus.usart2\n    Set Default Tester    1\n"
                                "    Set Default Tester    null\n    Wait For Line On Uart    x",
                                "There is more than one tester available*"),
    "No tester": ("Reset Emulation\n    Wait For Line On Uart    x", "There are no testers available."),
    "Default tester of a machine that is gone": ("Set Default Tester    0\n    Reset Emulation\n    Boot\n"
                                                 "    Wait For Line On Uart    ready",
                                                 "The default tester belongs to a machine that was removed*"),
    "No log tester": ("Wait For Log Entry    x", "Log tester is not available. Create it with the `CreateLogTester`*"),
    "No log entry": ("Create Log Tester    0.1\n    Wait For Log Entry    x",
                     'Expected pattern "x" did not appear in the log within 0.1 s*\nLast 0 buffered log messages*'),
    "Wrong level": ("Create Log Tester    0.1\n    Write Line To Uart    odd\n"
                    "    Wait For Log Entry    usart1    level=Error", "*did not appear in the log*usart1*"),
    "Log entry": ("Create Log Tester    0.1\n    Write Line To Uart    odd\n    Should Not Be In Log    usart1",
                  "*Unexpected line detected in the log: *usart1*"),
    "Failing log string": ("Create Log Tester    0.1\n    Register Failing Log String    usart1\n"
                           "    Write Line To Uart    odd\n    Wait For Log Entry    never",
                           "Log tester failed!\n\nTest failing entry has been found in log:\n*"),
    "No cached log": ("Save Cached Log    x", "Cannot save cached log, cached logging has not been enabled*"),
    "Wrong PC": ("PC Should Be Equal    0", "PC value assertion failed, actual: 0x8*, expected: 0x0"),
    "Wrong register": ("Register Should Be Equal    13    0", "Register 13 value assertion failed*"),
    "Wrong register with words": ("Register Should Be Equal    SP    0    message=stack",
                                  "stack: Register SP value assertion failed*"),
    "No such register": ("Register Should Be Equal    99    0", "*no core register 99*"),
    "No register of that name": ("Register Should Be Equal    Z80    0", "*Wrong register name: Z80"),
    "No such core": ("PC Should Be Equal    0    cpuName=cpu9", "*has no CPU named: cpu9, available are: cpu"),
    "Two machines": ('Execute Command    mach create "two"\n    PC Should Be Equal    0',
                     "*There is more than 1 machine and no machine name was specified*"),
    "No machine": ("Reset Emulation\n    PC Should Be Equal    0", "*There are no machines in the emulation*"),
    "Not a byte": ("Write To Uart    \\u20ac", "*does not fit into one byte*"),
}


@needs_compiler
def test_what_must_fail_fails_with_one_reason(shell: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.resc").write_text("version\nstrat\n")
    (tmp_path / "nested.resc").write_text("include @wrong.resc\n".replace("@", f"@{tmp_path}/"))
    paths = {"board": ROOT / "platforms/board.resc", "wrong": tmp_path / "wrong.resc",
             "nested": tmp_path / "nested.resc"}
    text = FAILING % paths
    for name, (steps, _) in CASES.items():
        text += f"{name}\n    Boot\n    {steps % paths}\n"
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


ODD = """
Same tester for the same UART
    Boot
    ${again}=    Create Terminal Tester    sysbus.usart1    timeout=9    machine=offchip
    Should Be Equal As Integers    ${again}    0
    ${other}=    Create Terminal Tester    sysbus.usart2
    Should Be Equal As Integers    ${other}    1
    Set Default Tester    ${again}
    Wait For Line On Uart    shell ready
    Test If Uart Is Idle    0.01    testerId=1
Registers have names
    Boot
    Execute Command    cpu PC 0x08000100
    Register Should Be Equal    PC    0x08000100
    Register Should Be Equal    pc    0x08000100
    Register Should Be Equal    0xF    134217984
Groups as Renode gives them
    Boot
    ${line}=    Wait For Line On Uart    (never)?shell (\\\\w+)    treatAsRegex=true
    Should Be Equal    ${line.Groups}    ${{['', 'ready']}}
    Write Line To Uart    ticks
    ${patterns}=    Create List    tick (.*)    tick (.*)
    ${line}=    Wait For Lines On Uart    ${patterns}    treatAsRegex=true
    Should Be Empty    ${line.Groups}
    ${line}=    Wait For Line On Uart    tick (.*)    treatAsRegex=true    matchNextLine=true
    Should Be Empty    ${line.Groups}
    ${one}=    Create List    (>)
    ${line}=    Wait For Lines On Uart    ${one}    treatAsRegex=true    includeUnfinishedLine=true
    Should Be Equal    ${line.Groups}    ${{['>']}}
    ${nothing}=    Create List
    ${line}=    Wait For Lines On Uart    ${nothing}
    Should Be Empty    ${line.Line}
Bytes have no time
    Boot    binaryMode=true
    ${found}=    Wait For Bytes On Uart    r(x)?eady    treatAsRegex=true
    Should Be Equal    ${found.Content}    ${{b'ready'}}
    Should Be Equal    ${found.Groups}    ${{[b'']}}
    Should Be Equal As Numbers    ${found.Timestamp}    0
Report is written once
    Boot
    Wait For Line On Uart    shell ready
    ${report}=    Get Terminal Tester Report
    Should Contain    ${report}    shell ready
    Should Contain    ${report}    Current line buffer contains 2 characters: >>> <<
    Write Line To Uart    hello
    ${later}=    Get Terminal Tester Report
    Should Be Equal    ${later}    ${report}
    Clear Terminal Tester Report
    Write Line To Uart    more
    ${report}=    Get Terminal Tester Report
    Should Contain    ${report}    more
    Should Not Contain    ${report}    ready
A failing string ends a wait for any line and for an echo
    Boot
    Register Failing Uart String    shell
    ${line}=    Wait For Next Line On Uart
    Should Be True    ${line.IsFailingString}
Commands in pieces and caches that are not kept
    Boot
    ${pieces}=    Create List    echo    "a"    "b"
    ${out}=    Execute Command    ${pieces}
    Should Be Equal    ${out.strip()}    a b
    Clear Cached Log
The log is kept between Setup and Test Teardown
    Setup
    Boot
    Execute Command    log "kept"
    ${path}=    Allocate Temporary File
    Save Cached Log    ${path}
    ${kept}=    Evaluate    pathlib.Path($path).read_text()    modules=pathlib
    Should Contain    ${kept}    kept
    Test Teardown
    Save Cached Log    ${path}
    ${kept}=    Evaluate    pathlib.Path($path).read_text()    modules=pathlib
    Should Be Empty    ${kept}
Renode deletes folders and files of its own name
    ${path}=    Allocate Temporary File
    Should Not Contain    ${path}    /renode-
"""


@needs_compiler
def test_where_renode_is_odd_its_keywords_are_odd(shell: Path, tmp_path: Path) -> None:
    suite = tmp_path / "odd.robot"
    suite.write_text(FAILING % {"board": ROOT / "platforms/board.resc"} + ODD.lstrip())
    results = run_robot(suite, tmp_path, shell)
    assert {name: test.message for name, test in results.items() if not test.passed} == {} and len(results) == 9


class LostSession:
    """A session whose engine died in the middle of a test."""

    def __init__(self) -> None:
        self.closed = self.lost = False

    def reset(self) -> None:
        if self.lost:
            raise EngineError("Renode died in command")

    def close(self) -> None:
        self.closed = True


def test_an_engine_that_was_lost_costs_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[LostSession] = []
    monkeypatch.setattr(bench_module, "open_session", lambda engine: made.append(LostSession()) or made[-1])
    bench = Bench("renode")
    bench.session.reset()
    bench.reset()
    assert len(made) == 1
    made[0].lost = True
    bench.reset()  # Test Teardown
    bench.reset()  # Test Setup of the next
    assert bench.session is made[1] and made[0].closed and not made[1].closed


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
    "Register Should Be Equal": "register value machine cpuName message",
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
        self.Interaction = FakeInteraction()
        self.RegisteredCommands = [Part(Name="include"), Part(Name="start")]
        self.aliases: dict[str, str] = {}
        self.has_aliases, self.free_runs = True, 0

    def UnregisterCommand(self, command: Part) -> None:
        self.RegisteredCommands.remove(command)

    def RegisterCommand(self, command: Part) -> None:
        self.RegisteredCommands.append(command)

    def start(self, told: FakeInteraction) -> bool:
        if any(command.Name == "start" for command in self.RegisteredCommands):
            self.IsStarted = True
        elif "start" not in self.aliases:
            told.WriteError("No such command or device: start")
            return False
        return True

    Names = property(lambda self: list(self.machines))

    def GetAllNames(self) -> list[str]:
        return ["sysbus", "sysbus.usart1", "sysbus.cpu"]

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
        self.aliases.clear()
        self.logging.emulation_made()

    # monitor: a script inside a command writes to the monitor's own interaction, whatever the command was given
    def Parse(self, line: str, writer: FakeInteraction | None = None) -> bool:
        assert not FakeStepper.moving, "a command would find the machine running"
        self.commands.append(line)
        told = writer or self.Interaction
        if line.startswith("logFile @"):
            self.logging.log_to_file(Path(line.partition("@")[2]))
        match line:
            case "start" | "runMacro $boot":
                self.free_runs += any(command.Name == "start" for command in self.RegisteredCommands)
                return self.start(told)
            case "Clear":
                self.clear()
            case 'alias start "$offchip_started=1"' if self.has_aliases:
                self.aliases["start"] = "$offchip_started=1"
            case "version":
                told.Write("Renode 1.16.1\r\n")
            case "bad":
                told.WriteError("No such command")
                return False
            case "mach set nobody":
                told.WriteError("Machine nobody not found.")
            case "include @/nested.resc":
                return self.TryExecuteScript("/nested.resc")
            case "explode":
                raise DotNetError("Object reference not set")
        return True

    def execute(self, line: str) -> tuple[str, str]:  # pyrenode3's, with an interaction of its own
        writer = FakeInteraction()
        self.Parse(line, writer)
        return writer.GetContents(), writer.GetError()

    def TryExecuteScript(self, path: str, writer: FakeInteraction | None = None) -> bool:
        assert not FakeStepper.moving, "a script would find the machine running"
        if path == "/good.resc":
            self.Interaction.Write("done\r\n")
            self.Interaction.WriteError("Machine nobody not found.")
            return True
        self.Interaction.WriteError(f"{path}: it stops here")
        return False


def register_by_name(core: Any, name: str) -> int:
    """An extension method, which pythonnet does not show as a member."""
    if name != "SP":
        raise DotNetError(f"Wrong register name: {name}")
    return int(core.GetRegister(13).RawValue)


@pytest.fixture
def renode(tmp_path: Path) -> Iterator[tuple[MonitorHost, FakeRenode]]:
    fake = FakeRenode()
    install({**modules(fake.logging, lambda: fake, lambda: fake),
             "Antmicro.Renode.Peripherals": {}, "Antmicro.Renode.Peripherals.CPU": {
                 "ICPUWithRegistersExtensions": Part(GetRegisterUlong=register_by_name)}})
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


def test_run_for_is_a_step_that_a_pause_ends(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    for command, ticks in (('emulation RunFor "0.0025"', 2_500_000), ("emulation RunFor 0.001", 1_000_000),
                           ("emulation RunFor '00:00:00.001'", 1_000_000)):
        assert host.command(command) == Answer(True, "", "") and fake.slices.pop() == ticks
    fake.pauses = True
    answer = host.command('emulation RunFor "10"')
    assert not answer.done and "paused the emulation" in answer.complaint
    host.command("emulation RunFor $span")  # Renode's business
    assert [line for line in fake.commands if "RunFor" in line] == ["emulation RunFor $span"]


def test_renode_never_runs_freely_between_keywords(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    for _ in range(2):
        assert host.command("start").done and host.command("runMacro $boot").done
        assert not fake.IsStarted and fake.free_runs == 0
        assert host.command("Clear").done  # which forgets aliases
        fake.machines.append("board")
    host.clear()
    assert host.command("runMacro $boot").done and fake.free_runs == 0


def test_a_start_that_cannot_be_held_is_ended(tmp_path: Path) -> None:
    fake = FakeRenode()
    fake.has_aliases = False
    install(modules(fake.logging, lambda: fake, lambda: fake))
    try:
        host = MonitorHost(3, tmp_path / "log")
        assert host.command("runMacro $boot").done and fake.free_runs == 1 and not fake.IsStarted
        host.run(1_000_000)
    finally:
        uninstall()


def test_what_a_nested_script_complains_about_is_not_swallowed(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, _ = renode
    assert host.command("version") == Answer(True, "Renode 1.16.1", "")
    assert host.command("bad") == Answer(False, "", "No such command")
    assert host.command("include @/nested.resc") == Answer(False, "", "/nested.resc: it stops here")
    assert host.command("mach set nobody") == Answer(True, "", "Machine nobody not found.")
    assert host.script("/x.resc") == Answer(False, "", "/x.resc: it stops here")
    assert host.script("/good.resc") == Answer(True, "done", "Machine nobody not found.")
    assert host.command("version").complaint == ""  # of the last command only


def test_a_dotnet_exception_in_a_command_fails_that_command_only(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, _ = renode
    assert host.command("explode") == Answer(False, "", "DotNetError: Object reference not set")
    assert host.command("version").done


def test_renodes_refusals_reach_the_test(renode: tuple[MonitorHost, FakeRenode]) -> None:
    host, fake = renode
    for refused, reason in ((lambda: host.attach("sysbus.nope", None), r"not found or of wrong type: 'sysbus.nope'. "
                             r"Available peripherals: \[sysbus, sysbus.usart1, sysbus.cpu\]"),
                            (lambda: host.attach("sysbus.cpu", None), "not found or of wrong type"),
                            (lambda: host.register("sysbus.nope", None, None), 'no peripheral "sysbus.nope"'),
                            (lambda: host.register("sysbus.cpu", "XX", None), "Wrong register name: XX"),
                            (lambda: host.register("sysbus.cpu", None, "other"),
                             r"Machine with name other not found. Available machines: \[board\]")):
        with pytest.raises(Refused, match=reason):
            refused()
    assert host.register("sysbus.cpu", None, "board") == 0x8000100 and host.register("sysbus.cpu", 13, None) == 208
    assert host.register("sysbus.cpu", "SP", None) == 208
    assert host.attach("sysbus.usart1", None) == host.attach("sysbus.usart1", "board") == 0
    assert len(fake.uart.CharReceived.handlers) == 1
    fake.machines.append("second")
    with pytest.raises(Refused, match=r"more than 1 machine.* which one to choose. Available.*\[board, second"):
        host.attach("sysbus.usart1", None)
    host.clear()
    with pytest.raises(Refused, match="no machine to run"):
        host.run(1)
    with pytest.raises(Refused, match="no machines in the emulation"):
        host.attach("sysbus.usart1", None)


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
