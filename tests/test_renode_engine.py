# SPDX-License-Identifier: Apache-2.0
"""The engine on real Renode: finding one, the worker process, the host's rules on a fake .NET, and, marked ``renode``,
the start-up self-test on the real thing. The probes run on it in test_conformance.py."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offchip import doctor
from offchip.board.create import create_board
from offchip.engines import select
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.protocol import DebugPort, Engine, I2cTap, Medium, SpiTap, UartByte
from offchip.engines.renode import engine as engine_module
from offchip.engines.renode import locate, models
from offchip.engines.renode import standby as standby_module
from offchip.engines.renode import worker as worker_module
from offchip.engines.renode.dotnet import BadPlatform, DotNet, HostError, Refused, import_pyrenode3
from offchip.engines.renode.engine import RenodeEngine
from offchip.engines.renode.host import Host
from offchip.engines.renode.log import parse_log_line
from offchip.engines.renode.process import WorkerProcess
from offchip.engines.renode.scratch import Scratch, sweep
from offchip.engines.renode.selftest import BANNER, PROGRAM
from offchip.engines.renode.standby import RenodeStandby
from offchip.engines.renode.taps import I2cRecord, parse_fired, parse_spi
from offchip.engines.renode.worker import RefusedByEngine, Worker, board_command
from offchip.errors import DebugAccessRefused, EngineError, FirmwareError, MediumError, PlatformError
from offchip.paths import FIRMWARE
from tests.engines import needs_renode
from tests.fake_renode import FakeDotNet, FakeLogging, Part, install_fakes, uninstall

HERE = Path(__file__).parent
ROOT = HERE.parent
BOARD = ROOT / "platforms/offchip-board.repl"


# finding Renode ------------------------------------------------------------------------------------------------------
def portable(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "renode"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    (folder / "libhostfxr.so").touch()
    return program


def find(environment: dict[str, str], tmp_path: Path) -> locate.Renode | None:
    return locate.find_renode(environment, tmp_path / "cache", tmp_path / "opt")


def test_nothing_there(tmp_path: Path) -> None:
    assert find({"PATH": str(tmp_path)}, tmp_path) is None
    with pytest.raises(EngineError, match="scripts/get-renode"):
        locate.need_renode({"PATH": ""}, tmp_path / "cache", tmp_path / "opt")


def test_environment_comes_before_cache_and_path(tmp_path: Path) -> None:
    cached = portable(tmp_path / "cache/renode-1.16.1")
    on_path = portable(tmp_path / "bin")
    named = portable(tmp_path / "named")
    path = {"PATH": str(on_path.parent)}
    found = find({**path, "PYRENODE_BIN": str(named)}, tmp_path)
    assert found and found.path == named and found.how == "PYRENODE_BIN"
    assert found.variables == {"PYRENODE_BIN": str(named), "PYRENODE_RUNTIME": "coreclr"}
    found = find(path, tmp_path)
    assert found and found.path == cached
    cached.unlink()
    found = find(path, tmp_path)
    assert found and found.path == on_path and found.variables["PYRENODE_BIN"] == str(on_path)


def test_mono_renode_on_the_path_is_not_taken(tmp_path: Path) -> None:
    program = portable(tmp_path / "bin")
    (program.parent / "libhostfxr.so").unlink()
    assert find({"PATH": str(program.parent)}, tmp_path) is None


def dotnet(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "dotnet"
    program.touch(mode=0o755)
    return program


def test_installed_package_of_the_net_flavour(tmp_path: Path) -> None:
    (tmp_path / "opt/bin").mkdir(parents=True)
    (tmp_path / "opt/bin/Renode.runtimeconfig.json").touch()
    program = dotnet(tmp_path / "net")
    found = find({"PATH": str(program.parent)}, tmp_path)
    assert found and found.variables["PYRENODE_BUILD_OUTPUT"] == "bin"
    assert locate.start_command(found) == [str(program), str(tmp_path / "opt/bin/Renode.dll")]


def test_build_folder_keeps_its_output(tmp_path: Path) -> None:
    (tmp_path / "tree/out").mkdir(parents=True)
    environment = {"PYRENODE_BUILD_DIR": str(tmp_path / "tree"), "PYRENODE_BUILD_OUTPUT": "out"}
    with pytest.raises(EngineError, match="tree/out holds no Renode.runtimeconfig.json"):
        find(environment, tmp_path)
    (tmp_path / "tree/out/Renode.runtimeconfig.json").touch()
    program = dotnet(tmp_path / "net")
    found = find({**environment, "DOTNET_ROOT": str(program.parent)}, tmp_path)
    assert found and found.variables == {
        "PYRENODE_BUILD_DIR": str(tmp_path / "tree"), "PYRENODE_BUILD_OUTPUT": "out", "PYRENODE_RUNTIME": "coreclr"}
    assert locate.start_command(found) == [str(program), str(tmp_path / "tree/out/Renode.dll")]
    with pytest.raises(EngineError, match="PYRENODE_BUILD_OUTPUT"):
        find({"PYRENODE_BUILD_DIR": str(tmp_path / "tree")}, tmp_path)


def test_what_cannot_be_started_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = portable(tmp_path / "named")
    found = find({"PYRENODE_BIN": str(named)}, tmp_path)
    assert found and locate.start_command(found) == [str(named)]
    package = tmp_path / "renode.tar.gz"
    tarfile.open(package, "w:gz").close()
    found = find({"PYRENODE_PKG": str(package)}, tmp_path)
    assert found
    with pytest.raises(EngineError, match="an archive that cannot be started; unpack it"):
        locate.start_command(found)
    monkeypatch.setattr(locate, "_DOTNET_FOLDERS", ())
    (tmp_path / "opt/bin").mkdir(parents=True)
    (tmp_path / "opt/bin/Renode.runtimeconfig.json").touch()
    found = find({"PATH": str(tmp_path)}, tmp_path)
    assert found
    with pytest.raises(EngineError, match="no program 'dotnet' to start it"):
        locate.start_command(found)


def test_wrong_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="PYRENODE_PKG is .*no such file"):
        find({"PYRENODE_PKG": str(tmp_path / "none.tar.gz")}, tmp_path)
    with pytest.raises(EngineError, match="PYRENODE_BIN and PYRENODE_PKG are set"):
        find({"PYRENODE_BIN": "a", "PYRENODE_PKG": "b"}, tmp_path)
    plain = tmp_path / "plain"
    plain.touch(mode=stat.S_IRUSR)
    with pytest.raises(EngineError, match="not a program"):
        find({"PYRENODE_BIN": str(plain)}, tmp_path)
    with pytest.raises(EngineError, match="no tar archive"):
        find({"PYRENODE_PKG": str(plain)}, tmp_path)
    for other in ("/bin/true", "/bin/sh"):  # any program but the one of a portable Renode
        with pytest.raises(EngineError, match=f"PYRENODE_BIN is {other}, which is no portable .NET Renode"):
            find({"PYRENODE_BIN": other}, tmp_path)


def test_the_loaders_remarks_are_nobodys_last_words(tmp_path: Path) -> None:
    (tmp_path / "pyrenode3").mkdir()
    (tmp_path / "pyrenode3/__init__.py").write_text(
        "import logging, os, signal\nlogging.warning('libMono.Unix.so is not in the expected location.')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    with pytest.raises(EngineError) as lost:
        Worker(WorkerProcess(board_command(BOARD, 1), environment), 60)
    assert str(lost.value) == "Renode died in start (killed by SIGKILL)"


def test_what_pyrenode3_cannot_load_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYRENODE_BIN", "/opt/odd/renode")
    for name in ("PYRENODE_PKG", "PYRENODE_BUILD_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    for reason in ("None.group(1)", "import sys; sys.exit(1)"):
        (tmp_path / "pyrenode3.py").write_text(reason + "\n")
        with pytest.raises(HostError, match="PYRENODE_BIN is /opt/odd/renode.*run scripts/get-renode"):
            import_pyrenode3()


def test_worker_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    renode = locate.Renode(tmp_path, "test", {"PYRENODE_BIN": "x", "PYRENODE_RUNTIME": "coreclr"})
    made = locate.worker_environment(renode, {"HOME": "/nonexistent", "PYRENODE_PKG": "old", "A": "b"})
    assert "PYRENODE_PKG" not in made and made["PYRENODE_BIN"] == "x" and made["A"] == "b"
    assert os.access(made["DOTNET_BUNDLE_EXTRACT_BASE_DIR"], os.W_OK)
    assert str(ROOT) in made["PYTHONPATH"].split(os.pathsep)
    assert "DOTNET_BUNDLE_EXTRACT_BASE_DIR" not in locate.worker_environment(renode, {"HOME": str(tmp_path)})


def test_another_python_for_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "find_spec", lambda name: None)
    monkeypatch.delenv(locate.PYTHON, raising=False)
    assert locate.missing_packages() == ["pyrenode3", "pythonnet"]
    assert board_command(BOARD, 7)[0] == sys.executable
    monkeypatch.setenv(locate.PYTHON, "/bin/sh")
    assert locate.missing_packages() == [] and board_command(BOARD, 7)[0] == "/bin/sh"
    monkeypatch.setenv(locate.PYTHON, "/nonexistent/python")
    with pytest.raises(EngineError, match="OFFCHIP_RENODE_PYTHON is /nonexistent/python"):
        board_command(BOARD, 7)


def test_auto_takes_renode_only_when_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    renode = locate.Renode(Path("x"), "test", {})
    for found, missing, wanted in ((renode, [], "renode"), (renode, ["pyrenode3"], "embedded"), (None, [], "embedded")):
        monkeypatch.setattr(locate, "find_renode", lambda found=found: found)
        monkeypatch.setattr(locate, "missing_packages", lambda missing=missing: missing)
        assert select.resolve_engine("auto") == wanted
    with pytest.raises(EngineError, match="choose embedded, renode or auto"):
        select.make_engine("qemu", BOARD)


def test_choosing_imports_no_engine() -> None:
    code = ("import sys; from offchip.engines.select import resolve_engine; resolve_engine('embedded'); "
            "sys.exit(any(m in sys.modules for m in ('unicorn', 'offchip.engines.renode.engine')))")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


# a worker that is not Renode -----------------------------------------------------------------------------------------
_FAKE_WORKER = '''
import os, sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
number = 0
def answer(status, value):
    pipe.send((number, status, value))
behaviour = sys.argv[2]
if behaviour == "dies at start":
    print("cannot find libcoreclr.so", flush=True)
    os._exit(159)
if behaviour == "bad platform":
    answer("platform", "b.repl: Error E04: Could not resolve type")
    pipe.recv()
answer("ok", {"version": "fake"})
while True:
    number, method, arguments = pipe.recv()
    if method == "close":
        os._exit(0)
    elif method == "die":
        print("Unhandled exception. System.InvalidOperationException", flush=True)
        os._exit(134)
    elif method in ("hang", "abort"):
        word = "WARNING] i2c1: BUSY" if method == "hang" else "ERROR] cpu: CPU abort [PC=0x50000000]"
        open(sys.argv[3], "w").write(f"12:00:00.0000 [{word}\\n")
        time.sleep(600)
    elif method == "refuse":
        answer("refused", "outside the card")
    elif method == "fail":
        answer("failed", "failed in run: a callback failed")
    else:
        answer("ok", (arguments, 0, 0))
'''


@pytest.fixture
def start(tmp_path: Path):
    script = tmp_path / "fake_worker.py"
    script.write_text(_FAKE_WORKER)
    started: list[Worker] = []

    def make(behaviour: str = "works") -> Worker:
        command = [sys.executable, str(script), "{fd}", behaviour, "{log}"]
        worker = Worker(WorkerProcess(command, os.environ), 60)
        started.append(worker)
        return worker

    yield make
    for worker in started:
        worker.close()


def test_worker_answers_and_closes(start) -> None:
    worker = start()
    assert worker.about == {"version": "fake"}
    assert worker.call("echo", 1, b"\0\xFF", limit_s=60)[0] == (1, b"\0\xFF")
    worker.close()
    assert worker._process.status() == "exit status 0"
    with pytest.raises(EngineError, match="closed"):
        worker.call("echo", limit_s=60)


def test_refusal_leaves_the_board_alive(start) -> None:
    worker = start()
    with pytest.raises(RefusedByEngine, match="outside the card"):
        worker.call("refuse", limit_s=60)
    assert worker.call("echo", 2, limit_s=60)[0] == (2,)


@pytest.mark.parametrize(("method", "limit_s", "reason"), [
    ("die", 60, r"Renode died in die \(exit status 134\); its last words: Unhandled exception"),
    ("hang", 1.0, r"Renode did not finish hang within 1 s and was ended; its last words: .*i2c1: BUSY"),
    ("abort", 600, r"Renode was ended in abort, since the core left the memories: .*CPU abort \[PC=0x50000000\]$"),
    ("fail", 60, r"Renode failed in run: a callback failed"),
])
def test_a_lost_worker_is_ended_and_its_reason_stays(method: str, limit_s: float, reason: str, start) -> None:
    worker = start()
    with pytest.raises(EngineError, match=reason) as first:
        worker.call(method, limit_s=limit_s)
    assert worker._process.status()
    with pytest.raises(EngineError) as again:
        worker.call("echo", limit_s=60)
    assert str(again.value) == str(first.value)


def test_a_worker_that_does_not_start(start) -> None:
    with pytest.raises(EngineError, match=r"died in start \(exit status 159\); its last words: cannot find libcoreclr"):
        start("dies at start")
    with pytest.raises(PlatformError, match="Error E04"):
        start("bad platform")


def test_a_board_nobody_closed_is_cleaned_up(start) -> None:
    worker = start()
    process, folder = worker._process, worker._process.folder
    assert folder.is_dir()
    worker._clean_up()  # what the collector and the end of the interpreter call
    assert process.status() and not folder.exists()


def test_what_a_killed_run_left_is_removed_and_nothing_else(start, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); from offchip.engines.renode.scratch import Scratch; "
            "print(Scratch().path, flush=True); time.sleep(600)")
    killed = subprocess.Popen([sys.executable, "-c", code, str(ROOT)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "TMPDIR": str(tmp_path)})
    assert killed.stdout is not None
    left = Path(killed.stdout.readline().strip())
    assert left.parent == tmp_path
    alive = start()
    assert left.is_dir() and alive._process.folder.is_dir()  # its owner lives
    killed.kill()
    killed.wait()
    killed.stdout.close()
    (left / "renode.log").touch()
    others = [tmp_path / "renode-1234", tmp_path / "offchip-worker-mine", tmp_path / "offchip-session"]
    for other in others:  # nothing in them says that they are ours
        other.mkdir()
        (other / "kept").touch()
    another = start()
    assert not left.exists() and all((other / "kept").is_file() for other in others)
    assert alive.call("echo", 1, limit_s=60)[0] == (1,) and another._process.folder.is_dir()
    assert not any(worker._process.folder.name.startswith("renode-") for worker in (alive, another))


def test_a_worker_that_outlives_its_parent_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[scratch.descriptor]) as child:
        os.close(scratch.descriptor)
        sweep()
        assert scratch.path.is_dir()
        child.communicate()
    sweep()
    assert not scratch.path.exists()


def test_a_worker_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    code = f"""
import sys, os, threading, queue
from multiprocessing.connection import Pipe
sys.path.insert(0, {str(ROOT)!r})
from offchip.engines.renode.serve import _receive
near, far = Pipe()
if os.fork() == 0:
    near.close()
    threading.Thread(target=_receive, args=(far, queue.SimpleQueue()), daemon=True).start()
    threading.Event().wait()  # the main thread hangs as in a RunFor that never returns
"""
    subprocess.run([sys.executable, "-c", code], pass_fds=[theirs], timeout=60, check=True)
    os.close(theirs)
    with open(ours, "rb") as stream:
        assert stream.read() == b""  # returns only when the grandchild, the last holder of the other end, is gone


def test_killed_worker_is_reported(start) -> None:
    worker = start()
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="killed by SIGKILL"):
        worker.call("echo", limit_s=60)


# the host on a fake .NET ---------------------------------------------------------------------------------------------
@pytest.fixture
def net() -> Iterator[FakeDotNet]:
    yield install_fakes()
    uninstall()


@pytest.fixture
def host(net: FakeDotNet, tmp_path: Path) -> Host:
    return Host(BOARD, 0x0FFC, tmp_path / "renode.log")


def test_board_is_built_as_measured(host: Host, net: FakeDotNet) -> None:
    assert host.version == "Renode, version 1.16.1 (d66b0c2a)"
    loaded = [line for line in net.commands if line.startswith("machine LoadPlatformDescription @")]
    assert len(loaded) == 1 and loaded[0].endswith("/platforms/offchip-board.repl") and loaded[0].count(" ") == 2
    assert host._stepper.quantum == 100_000
    assert f"include @{models.STEPPER}" in net.commands  # this monitor does not say what it has compiled
    assert net["sysbus.rng"].Seed == 0x0FFC
    assert net["sysbus.gpioc.hall"].ReleaseOnReset is False and net["sysbus.spi1.tap"].Record is False
    assert net.cpu.IsHalted and not host.powered


def test_models_are_compiled_once(net: FakeDotNet, tmp_path: Path) -> None:
    files = models.included(BOARD)
    assert {file.name for file in files} >= {"SpiTap.cs", "Stm32F4I2c.cs", "Stm32F4Flash.cs"}
    renode = DotNet(tmp_path / "log")
    compiled = Part(Add=lambda hash_: hashes.append(hash_))
    net.compiled = Part(GetValue=lambda monitor: compiled)
    hashes: list[str] = []
    for _ in range(2):  # two workers
        hashes.clear()
        models._loaded.clear()
        models.load(renode, BOARD, tmp_path)
        assert hashes == [hashlib.sha256(file.read_bytes()).hexdigest().upper() for file in (models.STEPPER, *files)]
    assert net.compilations == [[str(file) for file in (models.STEPPER, *files)]]
    (kept,) = (tmp_path / "renode-models").iterdir()
    assert kept.read_bytes() == b"assembly" and net.commands == [f"load {kept}"] * 2
    renode.version = "another"
    models.load(renode, BOARD, tmp_path)
    assert len(net.compilations) == 2


def test_models_that_do_not_compile_are_left_to_renode(net: FakeDotNet, tmp_path: Path) -> None:
    net.compiled = Part(GetValue=lambda monitor: [])
    renode = DotNet(tmp_path / "log")
    missing = tmp_path / "missing.repl"
    missing.write_text("sysbus:\n    preinit:\n        include @missing.cs\n")
    models._loaded.clear()
    models.load(renode, missing, tmp_path)
    net.compile = net.refuse("There were compilation errors")
    models.load(renode, BOARD, tmp_path)
    assert net.commands == [f"include @{models.STEPPER}"] * 2


def test_platform_with_a_space_in_its_path(net: FakeDotNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "my board"
    folder.mkdir()
    (folder / "b.repl").touch()
    Host(folder / "b.repl", 1, tmp_path / "log")
    (line,) = [c for c in net.commands if "LoadPlatformDescription" in c]
    path = Path(line.partition("@")[2])
    assert " " not in str(path) and path.resolve() == (folder / "b.repl").resolve()


def test_bad_platform_is_one_sentence(net: FakeDotNet, tmp_path: Path) -> None:
    with pytest.raises(BadPlatform, match="bad.repl: There was an error executing command Error E32: indentation$"):
        Host(tmp_path / "bad.repl", 1, tmp_path / "log")


def test_reset_restores_vtor_and_the_magnet(host: Host, net: FakeDotNet) -> None:
    host.set_hall(True)
    host.power_on()
    host.run(1_000_000)
    host.reset()
    assert net.cpu.VectorTableOffset == 0x08000000
    assert net["sysbus.gpioc"].calls[-1] == ("OnGPIO", 13, False)
    assert host.run(1000).resets == 1
    assert host.run(1000).resets == 0


def test_instructions_go_on_over_resets(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    host.run(1_000_000)
    host.reset()
    host.run(1_000_000)
    assert host.instructions == 2 * 168_000
    net.program = lambda: net.Reset() if net.time == 3_000_000 else None  # the firmware resets itself
    host.run(1_000_000)
    host.run(1_000_000)
    assert host.instructions >= 3 * 168_000


def test_bytes_arrive_at_line_rate(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    arrived: list[int] = []
    uart = net["sysbus.usart2"]
    net.program = lambda: arrived.append(len(uart.calls))
    host.feed_uart("usart2", bytes(range(30)))
    for _ in range(6):
        host.run(500_000)
    assert [c[1] for c in uart.calls] == list(range(30))
    assert arrived[:4] == [6, 12, 18, 24]  # 5.76 bytes in 500 us at 115200 baud, the start bit counts
    host.feed_uart("usart2", b"lost")
    host.power_off()
    host.run(1_000_000)
    assert len(uart.calls) == 30
    with pytest.raises(Refused, match="not a USART"):
        host.feed_uart("usart6", b"")


def test_sent_bytes_carry_time_and_name(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    net.program = lambda: net["sysbus.usart1"].CharReceived.fire(0x41)
    assert host.run(20_000_000).uart == [UartByte("usart1", 0x41, 10_000_000), UartByte("usart1", 0x41, 20_000_000)]
    assert host.run(0).uart == []


def test_power_off_tears_and_forgets(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    host.power_off()
    for path, call in (("sysbus.spi1.tap.sdcard", "PowerCut"), ("sysbus.flash", "PowerCut"),
                       ("sysbus.i2c1", "PowerOffDevices")):
        assert (call,) in net[path].calls
    assert host.read_memory(0x20000000, 0x20000) == random.Random("4092/sysbus.sram").randbytes(0x20000)
    assert net.cpu.IsHalted and host.run(1_000_000).halted
    net["sysbus.i2c1.eeprom"].Powered = False
    host.power_on()
    assert net["sysbus.i2c1.eeprom"].Powered and not net.cpu.IsHalted
    assert host.run(1000).resets == 0  # coming up is not a reset of the running chip


def test_programming_crosses_from_code_into_the_policed_sectors(host: Host, net: FakeDotNet) -> None:
    host.program(0x08004000, b"\1\2\3")
    assert host.read_memory(0x08004000, 4) == b"\1\2\3\xFF"
    host.program(0x20000010, b"abc")
    assert host.read_memory(0x20000010, 3) == b"abc"
    with pytest.raises(Refused, match="nothing keeps 2 bytes at 0x40000000"):
        host.program(0x40000000, b"xy")


def test_members_by_name(host: Host, net: FakeDotNet) -> None:
    host.put("sysbus.spi1.tap.sdcard", "TornBytes", 5)
    assert host.get("sysbus.spi1.tap.sdcard", "TornBytes") == 5
    for path, member in (("sysbus.spi1.tap.sdcard", "TornByte"), ("sysbus.nothing", "X"), ("sysbus.cpu", "__class__")):
        with pytest.raises(Refused):
            host.put(path, member, 1)
    with pytest.raises(Refused, match="can only be read"):
        host.put("sysbus.spi1.tap.sdcard", "BlocksRead", 0)
    with pytest.raises(Refused, match="^outside the card$"):
        host.call("sysbus.spi1.tap.sdcard", "WriteRaw", 1 << 40, b"x")


def test_a_failing_callback_surfaces(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    net["sysbus.usart1"].CharReceived += host.guard(lambda value: 1 // 0)
    net.program = lambda: net["sysbus.usart1"].CharReceived.fire(1)
    with pytest.raises(HostError, match="ZeroDivisionError"):
        host.run(1000)


def test_core_stops_when_its_flash_is_erased(host: Host, net: FakeDotNet) -> None:
    net.memory[0x08000000][:8] = b"\0" * 8
    host.power_on()
    host.debug("DebugMassErase")
    assert not net.cpu.IsHalted
    net.memory[0x08000000][:8] = b"\xFF" * 8
    host.debug("DebugMassErase")
    assert net.cpu.IsHalted and [d.kind for d in host.diagnostics()] == ["lockup"]


@pytest.mark.parametrize(("line", "wanted"), [
    ("sysbus: [cpu: 0x8000420] ReadDoubleWord from non existing peripheral at 0x40001234.",
     ("unmodelled", "sysbus", "ReadDoubleWord from non existing peripheral at 0x40001234.", 0x8000420, 0x40001234)),
    ("sysbus: [cpu: 0x8000420] WriteByte to non existing peripheral at 0x50000000, value 0x1. (12)",
     ("unmodelled", "sysbus", "WriteByte to non existing peripheral at 0x50000000, value 0x1. (12)", 0x8000420,
      0x50000000)),
    ("sysbus: ReadDoubleWord from non existing peripheral at 0x40001234.", None),  # the lab itself looked there
    ("sysbus: [cpu: 0x8] (tag: 'DBGMCU_IDCODE') ReadDoubleWord from non existing peripheral at 0xE0042000", None),
    ("rcc: Unhandled read from offset 0xC.", None),  # RCC_CIR exists; Renode's model lacks it
    ("rcc: Unhandled read from offset 0x200.", ("unmodelled", "rcc", "Unhandled read from offset 0x200.", 0, 0x200)),
    ("syscfg: Unhandled write to offset 0x0, value 0x3.",  # SYSCFG_MEMRMP: SRAM at address 0
     ("unmodelled", "syscfg", "Unhandled write to offset 0x0, value 0x3.", 0, 0)),
    ("syscfg: Unhandled write to offset 0x0, value 0x0.", None),
    ("syscfg: Unhandled read from offset 0x0.", None),
    ("usart1: Unhandled write to offset 0x20. Unhandled bits: [3] when writing value 0x8.", None),
    ("i2c1: read of unknown register 0x30", ("unmodelled", "i2c1", "read of unknown register 0x30", 0, 0)),
    ("i2c1: PE cleared during a transfer", ("violation", "i2c1", "PE cleared during a transfer", 0, 0)),
    ("cpu: CPU abort [PC=0x50000000]: Trying to execute code outside RAM",
     ("lockup", "cpu", "CPU abort [PC=0x50000000]: Trying to execute code outside RAM", 0, 0)),
])
def test_log_lines(line: str, wanted: tuple[Any, ...] | None) -> None:
    for stamp in ("12:34:56.7890", "[12:34:56.7890] ", "[host: 12:34:56.7890 | virt: 00:00:01.5] ", ""):
        assert parse_log_line(f"{stamp} [WARNING] {line}") == wanted
        assert parse_log_line(f"{stamp} [INFO] {line}") is None


def test_diagnostics_come_once(host: Host, net: FakeDotNet, tmp_path: Path) -> None:
    net.logging.write("Info", "offchip: Machine resumed.")
    for _ in range(2):
        net.logging.write("Warning", "sysbus: [cpu: 0x8000420] ReadByte from non existing peripheral at 0x4000.")
    log = tmp_path / "renode.log"
    with log.open("a") as stream:
        stream.write("12:34:57.0 [WARN")
    assert [d.kind for d in host.diagnostics()] == ["unmodelled"]
    with log.open("a") as stream:
        stream.write("ING] i2c1: STOP requested while not master\n")
    assert [d.kind for d in host.diagnostics()] == ["unmodelled", "violation"]
    assert len(host.diagnostics()) == 2
    assert "Machine" not in log.read_text()  # 0.2 MB of that in each virtual second


def test_many_lines_after_diagnostics_do_not_hang(host: Host, net: FakeDotNet) -> None:
    host.power_on()
    net.program = lambda: [net.logging.write("Warning", "i2c1: STOP requested while not master")
                           for _ in range(FakeLogging.QUEUE + 1)]
    for _ in range(3):
        host.run(1_000_000)
        assert [d.kind for d in host.diagnostics()] == ["violation"]


def test_the_log_is_ours_alone(net: FakeDotNet, tmp_path: Path) -> None:
    log = tmp_path / "renode.log"
    log.write_text("12:34:56.7890 [WARNING] i2c1: of another board\n")
    host = Host(BOARD, 1, log)
    for user in (tmp_path / "mine.log", tmp_path / "mine.log"):  # the second one is in the way
        host.command(f"logFile @{user}")
    net.logging.write("Warning", "i2c1: STOP requested while not master")
    assert [d.message for d in host.diagnostics()] == ["STOP requested while not master"]
    host.close()
    again = Host(BOARD, 1, tmp_path / "renode-2.log")
    net.logging.write("Warning", "i2c1: another")
    assert [d.message for d in again.diagnostics()] == ["another"]


def test_the_program_of_the_self_test_is_sound() -> None:
    board = EmbeddedEngine(BOARD)
    board.program(0x08000000, PROGRAM)
    board.spi_tap().stuck_miso(0x5A)
    board.power_on()
    sent = [b.value for b in board.run(1_000_000).uart]
    assert sent[0] == BANNER and set(sent[1:]) == {0x5A} and len(sent) > 10
    assert board.diagnostics() == []


# texts of the taps ---------------------------------------------------------------------------------------------------
def test_texts_of_the_taps() -> None:
    (fired,) = parse_fired("spi1", "12;replace_on_read;block 7 offset 3 read 2;0304;BAD1\n")
    assert (fired.time_ns, fired.place) == (12, "block 7 offset 3 read 2")
    assert (fired.before, fired.after) == (b"\3\4", b"\xBA\xD1")
    (transfer,) = parse_spi("7;4000;FF01\n")
    assert (transfer.mosi, transfer.miso) == (b"\x40\0", b"\xFF\1")
    record = I2cRecord()
    assert record.feed("1 P\n2 S\n3 A 50 A0 ACK\n4 W 50 12 ACK\n") == []
    (transfer,) = record.feed("5 s\n6 A 50 A1 ACK\n7 R 50 5A NACK\n8 P\n")
    assert transfer.text == "S A0+ 12+ Sr A1+ 5A- P" and transfer.time_ns == 2
    assert (transfer.mosi, transfer.miso) == (b"\x12", b"\x5A")


# the engine through its pipe, on the fake .NET -----------------------------------------------------------------------
_FAKED_WORKER = '''
import sys, time
sys.path[:0] = [{root!r}]
import tests.fake_renode, offchip.engines.renode.serve as serve
net = tests.fake_renode.install_fakes()
def program():
    if net.time >= 1_000_000_000_000:
        time.sleep(600)
    net["sysbus.usart1"].CharReceived.fire(0x41)
net.program = program
serve.main()
'''


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "faked_worker.py"
    script.write_text(_FAKED_WORKER.format(root=str(ROOT)))
    monkeypatch.setattr(engine_module, "need_renode", lambda: locate.Renode(tmp_path, "test", {}))
    monkeypatch.setattr(worker_module, "board_command",
                        lambda path, seed: [sys.executable, str(script), *board_command(path, seed)[3:]])
    monkeypatch.setattr(worker_module, "_spare", {})
    made = RenodeEngine(BOARD, 0x0FFC)
    yield made
    made.close()
    for spare in worker_module._spare.values():
        spare.close()


def test_the_process_of_a_closed_board_serves_the_next(engine: RenodeEngine) -> None:
    process = engine._worker._process
    engine.program(0x20000000, b"old")
    engine.close()
    with pytest.raises(EngineError, match="the board was closed"):
        engine.run(1000)
    again = RenodeEngine(BOARD, 7)
    assert again._worker._process is process and not process.status()
    assert again._worker._log != process.log
    process.kill()
    again.close()
    assert not worker_module._spare
    fresh = RenodeEngine(BOARD, 7)
    assert fresh._worker._process is not process
    fresh.close()


# A borrower: a process of a run that builds a board on what it was lent, and says which process served it.
_BORROWER = '''
import os, sys
sys.path.insert(0, {root!r})
from offchip.engines.renode import engine, locate, worker
engine.need_renode = lambda: locate.Renode({root!r}, "test", {{}})
worker.board_command = lambda path, seed: {command!r}
board = engine.RenodeEngine(engine.Path({board!r}), 7)
board.power_on()
print(board._worker._process.pid, [each.value for each in board.run(1_000_000).uart], board.now_ns, flush=True)
if "dies" in sys.argv:
    board._worker._pipe.send((1, "run", (1, 0)))  # its answer comes when nobody waits for it any more
    os._exit(1)
board.close()
'''


def test_a_run_lends_one_worker_to_its_processes_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "faked_worker.py"
    script.write_text(_FAKED_WORKER.format(root=str(ROOT)))
    command = [sys.executable, str(script), *board_command(BOARD, 1)[3:]]
    monkeypatch.setattr(standby_module, "need_renode", lambda: locate.Renode(tmp_path, "test", {}))
    monkeypatch.setattr(standby_module, "board_command", lambda path, seed: command)
    borrower = _BORROWER.format(root=str(ROOT), command=command, board=str(BOARD))
    standby = RenodeStandby()

    def borrow(*options: str, temporary: Path = tmp_path) -> tuple[int, str]:
        variables, descriptors = standby.lend()
        done = subprocess.run([sys.executable, "-c", borrower, *options], pass_fds=descriptors, capture_output=True,
                              env={**os.environ, **variables, "TMPDIR": str(temporary)}, text=True, timeout=120)
        assert not done.stderr, done.stderr
        pid, _, seen = done.stdout.strip().partition(" ")
        return int(pid), seen

    first = standby._process
    seen = {borrow() for _ in range(2)}
    assert seen == {(first.pid, "[65] 1000000")}  # another board each time, from time 0
    borrow("dies")
    assert borrow() == (first.pid, "[65] 1000000")  # what the dead one asked is not taken for an answer
    standby.take_back(clean=False)
    assert first.status() and not first.folder.exists()
    second = standby._process
    assert borrow() == (second.pid, "[65] 1000000") and second.pid != first.pid
    second.kill()
    third = borrow()[0]
    assert third == standby._process.pid and third != second.pid
    monkeypatch.setenv("RENODE_SOMETHING", "else")  # not what it was started with: the borrower starts its own
    assert borrow()[0] != third and not standby._process.status()
    standby.close()
    assert standby._process.status()


# Programs that say 'S', start SysTick at 1 kHz and sleep. One says 'R' in the fifth tick and asks for a reset
# (SYSRESETREQ); the other says something in each seventh and lets a watchdog of 21.75 ms bite.
RESETS_ITSELF = bytes.fromhex(
    "001000205100000800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000041000008024a136801331360704700bf00000020204b00221a60204bd3f8302842f00102c3f83028d3f8442842f01002"
    "c3f84428a3f540531a681a60a3f570438b229a6042f20c02da601a46136813f0800ffbd0124b53225a604ff0e023114a5a6100229a61"
    "07221a610b4b1b68042b04d8094a30bf1368042bfbd9084a136813f0800ffbd0064b52225a604ff0e023054ac3f80c2dfee700000020"
    "00300240001001403f9002000400fa05")
WATCHDOG_BITES = bytes.fromhex(
    "001000205100000800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000041000008024a136801331360704700bf000000202b4b00221a602b4bd3f8302842f00102c3f83028d3f8442842f01002"
    "c3f84428a3f540531a681a60a3f570438b229a6042f20c02da601a46136813f0800ffbd01d4b53225a604ff0e0231c4a5a6100229a61"
    "072119611a4b45f2555119605a60ad229a604af6aa221a604cf6cc421a600f48144e144d104930bf0268a6fb0243d41a03eb54039b08"
    "c3ebc3039a42f3d10368a5fb0342d20802eb8202a3eb42023032d2b20b6813f0800ffbd04a60e3e70000002000300240001001403f90"
    "02000030004025499224cdcccccc")


@pytest.mark.renode
@needs_renode
@pytest.mark.parametrize("program", [RESETS_ITSELF, WATCHDOG_BITES], ids=["resets itself", "watchdog bites"])
def test_sleep_has_the_same_events_as_single_quanta(program: bytes) -> None:
    lives = []
    for longest_ns, cell_ns in ((100_000, 0), (1 << 62, 500_000)):
        board = RenodeEngine(BOARD, 0x0FFC)
        board.program(0x08000000, program)
        board.power_on()
        sent: list[UartByte] = []
        resets = 0
        while board.now_ns < 100_000_000:
            result = board.run(min(longest_ns, 100_000_000 - board.now_ns), cell_ns)
            sent += result.uart
            resets += result.resets
        lives.append((sent, resets))
        board.close()
    assert lives[0] == lives[1] and lives[0][1] >= 4


@pytest.mark.renode
@needs_renode
@pytest.mark.skipif(not FIRMWARE.is_file(), reason="the firmware is not built")
def test_sleep_in_one_request_and_a_second_board_change_nothing() -> None:
    lives = []
    for longest_ns, cell_ns in ((500_000, 0), (1 << 62, 500_000)):
        board = RenodeEngine(BOARD, 0x0FFC)
        board.load_elf(FIRMWARE)
        board.power_on()
        sent: list[UartByte] = []
        requests = 0
        while board.now_ns < 1_000_000_000:
            sent += board.run(min(longest_ns, 1_000_000_000 - board.now_ns), cell_ns).uart
            requests += 1
        lives.append((sent, board.instructions, board.read_memory(0x20000000, 0x20000)))
        board.close()
    assert lives[0] == lives[1] and lives[0][0] and requests < 200


def members(protocol: type) -> set[str]:
    return {name for kind in protocol.__mro__ for name in (*vars(kind), *getattr(kind, "__annotations__", {}))
            if not name.startswith("_")}


def test_engine_has_every_member_of_the_protocol(engine: RenodeEngine) -> None:
    for protocol, made in ((Engine, engine), (Medium, engine.medium("sdcard")), (SpiTap, engine.spi_tap()),
                           (I2cTap, engine.i2c_tap()), (DebugPort, engine.debug_port())):
        wanted = members(protocol)
        assert wanted and not {name for name in wanted if not hasattr(made, name)}
    assert members(Engine) >= {"run", "capabilities", "now_ns", "debug_port"}


def test_engine_end_to_end(engine: RenodeEngine) -> None:
    assert engine.capabilities.name == "renode" and "1.16.1" in engine.capabilities.version
    engine.power_on()
    result = engine.run(1_000_000)
    assert [b.value for b in result.uart] == [0x41] and not result.halted
    assert engine.now_ns == 1_000_000 and engine.instructions == 168_000
    card = engine.medium("sdcard")
    assert card.size == 1 << 20 and card.counter("BlocksRead") == 7 and card.read(0, 4) == bytes(4)
    card.present = False
    assert card.present is False
    with pytest.raises(MediumError, match="Renode: outside the card"):
        card.write(0, b"x")
    with pytest.raises(DebugAccessRefused, match="RDP level 1"):
        engine.debug_port().read(0x08000000, 4)
    with pytest.raises(EngineError, match='no medium "floppy"'):
        engine.medium("floppy")
    with pytest.raises(FirmwareError):
        engine.load_elf(BOARD)
    (transfer,) = engine.spi_tap().drain()
    assert transfer.mosi == b"\xFF\0"
    for rule in (lambda t: t.stuck_miso(256), lambda t: t.cut_power_at_block_write(0), lambda t: t.redirect_read(1, 2),
                 lambda t: t.replace_on_read(7, 511, b"ab")):
        with pytest.raises(MediumError):
            rule(engine.spi_tap())
    assert engine.diagnostics() == []


def test_a_hanging_run_is_ended(engine: RenodeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.power_on()
    monkeypatch.setattr(engine_module, "RUN_S", 0.5)
    monkeypatch.setattr(engine_module, "RUN_FACTOR", 0.0)
    engine._worker.call("run", 0, limit_s=60)
    with pytest.raises(EngineError, match="did not finish run within 0.5 s"):
        engine.run(1_000_000_000_000)
    with pytest.raises(EngineError, match="did not finish run within 0.5 s"):
        engine.power_off()


def test_an_elf_is_checked_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("Renode was started")

    monkeypatch.setattr(engine_module, "need_renode", started)
    monkeypatch.setattr(select, "resolve_engine", lambda name: "renode")
    script = tmp_path / "not.elf"
    script.write_text("#!/bin/sh\n")
    beyond = tmp_path / "beyond.elf"
    write_elf(beyond, 0x60000000)
    for elf, reason in ((script, "not a usable ELF"), (tmp_path / "none.elf", "no such file|cannot read"),
                        (beyond, "segment at 0x60000000 .* lies outside the memories")):
        with pytest.raises(FirmwareError, match=reason):
            RenodeEngine(BOARD, 1, elf)
        with pytest.raises(FirmwareError, match=reason):
            create_board("renode", elf=elf)


def write_elf(path: Path, address: int) -> None:
    """The smallest linked program for Arm: eight bytes to load at ``address``."""
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01",
                         2, 40, 1, address, 52, 0, 0x5000000, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<8I", 1, 84, address, address, 8, 8, 5, 4)
    path.write_bytes(header + segment + bytes(8))


def test_missing_files_of_a_platform_are_named(tmp_path: Path) -> None:
    platform = tmp_path / "b.repl"
    for line in ('using "./nowhere.repl"', "        include @peripherals/nowhere.cs"):
        platform.write_text(f"// a board\n{line}\n")
        with pytest.raises(PlatformError, match=r"b.repl:2: there is no file .*nowhere"):
            RenodeEngine(platform)


def test_missing_platform_is_one_sentence() -> None:
    with pytest.raises(PlatformError, match="no such platform file"):
        RenodeEngine(ROOT / "nowhere.repl")


# doctor --------------------------------------------------------------------------------------------------------------
def test_doctor_names_each_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(locate, "find_renode", lambda: None)
    monkeypatch.setattr(locate, "missing_packages", lambda: ["pyrenode3"])
    monkeypatch.setattr(doctor, "MBEDTLS", tmp_path)
    monkeypatch.setattr(doctor, "FIRMWARE", tmp_path / "none.elf")
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check.name: check for check in doctor.doctor()}
    assert checks["python"].ok and checks["unicorn"].ok and checks["unicorn"].found == "2.1.4"
    for name, fix in (("toolchain", "apt-get install gcc-arm-none-eabi"), ("Mbed TLS source", "scripts/fetch-mbedtls"),
                      ("firmware", "scripts/setup"), ("Renode", "scripts/get-renode"),
                      ("pyrenode3", "requirements-renode.txt")):
        assert not checks[name].ok and fix in checks[name].fix and "\n" not in checks[name].found
    assert checks["Renode"].optional and not checks["firmware"].optional
    assert capsys.readouterr() == ("", "")


def test_doctor_tries_renode_in_a_worker(engine: RenodeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "find_renode", lambda: locate.Renode(BOARD, "test", {}))
    monkeypatch.setattr(locate, "missing_packages", list)
    checks = {check.name: check for check in doctor.doctor()}
    assert checks["Renode starts"].ok and "1.16.1" in checks["Renode starts"].found
    assert not checks["Renode's monitor"].ok and checks["Renode's monitor"].fix.startswith("install the .NET runtime")
    # the fake executes nothing, so some checks must fail, and say what was seen
    failed = [check for check in checks.values() if check.fix and "1.16.1" in check.fix]
    assert failed and all(check.found for check in failed)
    assert checks["RunFor executes exactly the instructions of its time"].ok


# on the real thing ---------------------------------------------------------------------------------------------------
@pytest.mark.renode
@needs_renode
def test_selftest_on_renode() -> None:
    engine = RenodeEngine(BOARD)
    try:
        outcomes = engine.selftest()
    finally:
        engine.close()
    assert len(outcomes) == 4 and all(good for _, good, _ in outcomes), outcomes
