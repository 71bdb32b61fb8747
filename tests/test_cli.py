# SPDX-License-Identifier: Apache-2.0
"""Bad input gives one sentence and exit code 2; never a traceback, and the previous report stays."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from offchip.runner.results import ResultsFolder
from tests.forked_cli import offchip

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "firmware/build/offchip.elf"


def one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def old_report(path: Path) -> Path:
    with ResultsFolder(path, whole=True) as folder:
        (folder.fresh / "index.html").write_text("old")
        return folder.publish()


def test_missing_elf_is_named() -> None:
    one_sentence(offchip("run", "--elf", "/nowhere/firmware.elf"), "/nowhere/firmware.elf")


def test_uarts_of_a_boot_have_names() -> None:
    lines = offchip("boot", ELF, "--seconds", "0.05").stdout.splitlines()
    assert lines[0].startswith("[usart1] boot: offchip") and all(line.startswith("[usart1] ") for line in lines)
    raw = offchip("boot", ELF, "--seconds", "0.05", "--uart", "usart1").stdout.splitlines()
    assert raw == [line.removeprefix("[usart1] ") for line in lines]
    assert offchip("boot", ELF, "--seconds", "0.05", "--uart", "usart2").stdout == ""
    one_sentence(offchip("boot", ELF, "--uart", "usart9"), "usart9")


def test_elf_for_another_machine_is_refused() -> None:
    one_sentence(offchip("boot", sys.executable), "Cortex-M4")


def test_elf_for_another_arm_core_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("void _start(void) { for (;;) ; }\n")
    for core in ("cortex-a7", "cortex-m33"):
        elf = tmp_path / f"{core}.elf"
        subprocess.run(["arm-none-eabi-gcc", f"-mcpu={core}", "-nostdlib", "-Ttext=0x08000000", "-o", elf, source],
                       check=True)
        one_sentence(offchip("boot", elf), str(elf), "another core")


def test_truncated_elf_is_refused(tmp_path: Path) -> None:
    raw = ELF.read_bytes()
    for length in (0, 10, 60, 2000, len(raw) // 2):
        damaged = tmp_path / f"{length}.elf"
        damaged.write_bytes(raw[:length])
        one_sentence(offchip("boot", damaged), str(damaged))


def test_elf_outside_the_flash_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("void _start(void) { for (;;) ; }\n")
    elf = tmp_path / "a.elf"
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-Ttext=0x90000000", "-o", elf,
                    source], check=True)
    one_sentence(offchip("boot", elf), str(elf), "0x90000000")


@pytest.mark.parametrize(("old", "new", "words"), [
    ("Offchip.SdCardSpi", "Offchip.SdCardSpj", ("E04", "SdCardSpi")),
    ("capacity: 0x1000000", "capacty: 0x1000000", ("E25", "capac")),
    ("@ i2c1 0x50", "@ i2c9 0x50", ("E20", "i2c9")),
    ("    capacity: 0x1000000", "  capacity: 0x1000000", ("E32",)),
    ("    capacity: 0x1000000", "    capacity: 12345", ("capacity",)),
])
def test_wrong_repl_is_named_with_line(tmp_path: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    shutil.copytree(ROOT / "platforms", tmp_path / "platforms")
    board = tmp_path / "platforms/offchip-board.repl"
    text = board.read_text()
    assert old in text
    board.write_text(text.replace(old, new))
    one_sentence(offchip("boot", ELF, "--platform", board), f"{board}:", *words)


@pytest.mark.parametrize(("arguments", "words"), [
    (("lab", "--sd", "SHORT"), ("SHORT", "1000 bytes", "512")),
    (("lab", "--eeprom", "/nowhere"), ("/nowhere",)),
    (("lab", "--certificate", "SHORT", "--key", "SHORT"), ("SHORT", "PEM")),
    (("lab", "--certificate", "/nowhere/a.pem", "--key", "/nowhere/a.key"), ("/nowhere/a.pem", "cannot be read")),
    (("lab", "--certificate", "SHORT"), ("give both",)),
    (("lab", "--scheme", "plain"), ("plain", "needs sd or eeprom")),
    (("lab", "--folder", "/proc/lab"), ("/proc/lab", "--folder")),
    (("boot", ELF, "--eeprom", "SHORT"), ("SHORT", "32768")),
    (("boot", ELF, "--seconds", "-1"), ("--seconds",)),
    (("run", "--suite", "99"), ("99", "01_baseline")),
    (("run", "--suites", "SHORT"), ("SHORT", "no suite", ".robot")),
    (("run", "--limit", "inf"), ("--limit", "less than")),
])
def test_unusable_images_certificates_and_options(tmp_path: Path, arguments: tuple, words: tuple[str, ...]) -> None:
    short = tmp_path / "SHORT"
    short.write_bytes(bytes(1000))
    given = [str(short) if each == "SHORT" else each for each in arguments]
    one_sentence(offchip(*given, *(("--port", "0") if given[0] == "lab" else ())), *words)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_everything_and_leaves_the_old_report(tmp_path: Path, number: signal.Signals, code: int) -> None:
    results = old_report(tmp_path / "results")
    run = subprocess.Popen([sys.executable, "-m", "offchip", "run", "--results", results], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                           # a shell's background jobs, hence perhaps this test, ignore SIGINT and pass that on
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for line in run.stderr:
        if "started" in line:
            break
    children = psutil.Process(run.pid).children(recursive=True)
    assert children
    run.send_signal(number)
    rest = run.stderr.read()
    assert run.wait(60) == code
    assert rest.strip().splitlines()[-1].startswith("interrupted") and "Traceback" not in rest
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert (results / "index.html").read_text() == "old"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_boot_with_its_number(number: signal.Signals, code: int) -> None:
    boot = subprocess.Popen([sys.executable, "-m", "offchip", "boot", ELF, "--seconds", "3600"], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert "boot: offchip" in boot.stdout.readline()
    boot.send_signal(number)
    assert boot.wait(60) == code
    assert "Traceback" not in boot.stderr.read()


def test_unknown_engine_and_option_are_one_sentence() -> None:
    one_sentence(offchip("run", "--engine", "qemu"), "qemu")
    one_sentence(offchip("run", "--engnie", "embedded"), "--engnie")


def test_a_suite_that_does_not_exist_leaves_the_old_report(tmp_path: Path) -> None:
    results = old_report(tmp_path / "results")
    one_sentence(offchip("run", "--suite", "99_nothing", "--results", results), "suite")
    assert (results / "index.html").read_text() == "old"
    assert list(tmp_path.iterdir()) == [results]
