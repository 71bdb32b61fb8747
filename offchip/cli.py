# SPDX-License-Identifier: Apache-2.0
"""The command line: every command ends with one line that says what came out, or one line that says what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.paths import BOARD, CACHE, FIRMWARE, ROOT
from offchip.report.build import build_report

if TYPE_CHECKING:
    from offchip.board.factory import MediumKind, Scheme
    from offchip.live import LiveLab

SUITES = ROOT / "robot/suites"
app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False)


@app.callback()
def _root() -> None:
    """offchip: may the keys leave the chip?"""


@app.command()
def run(
    engine: Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    suite: Annotated[list[str] | None, typer.Option(help="only these suites, e.g. 06_plain")] = None,
    test: Annotated[list[str] | None, typer.Option(help="only the tests of this name (Robot pattern)")] = None,
    results: Annotated[Path, typer.Option(help="where the report goes")] = ROOT / "results",
    jobs: Annotated[int, typer.Option(help="suites at a time")] = os.cpu_count() or 1,
    summary: Annotated[bool, typer.Option(help="print the table of claims")] = True,
) -> None:
    """Run the suites and write the report; exit code 1 when a claim is refuted."""
    from offchip.engines.elf import read_elf
    from offchip.engines.renode.locate import need_renode
    from offchip.engines.select import resolve_engine

    engine = resolve_engine(engine)
    if engine == "renode":
        need_renode()
    read_elf(elf)
    known = sorted(path.stem for path in SUITES.glob("*.robot"))
    for name in suite or []:
        if not any(name in stem for stem in known):
            raise OffchipError(f'there is no suite "{name}"; there are {", ".join(known)}.')
    results = results.resolve()
    fresh = results.with_name(results.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
    except OSError as error:
        raise OffchipError(f"{results}: the report cannot be written here ({error.strerror}); give another "
                           "--results.") from None
    try:
        code = _run_suites(fresh, engine, elf.resolve(), suite or [], test or [], max(1, jobs))
        if not (fresh / "output.xml").exists():
            raise OffchipError(f"no suite was run: {_last_error(fresh / 'pabot.log')}")
        outcome = build_report(fresh)
        shutil.rmtree(results, ignore_errors=True)
        fresh.rename(results)
    finally:  # a report is whole or it is the old one
        shutil.rmtree(fresh, ignore_errors=True)
    if summary:
        _print(outcome)
    failed = outcome["refuted"] + outcome["not_run"] or code
    colour = "red" if failed else "green"
    console.print(f"[{colour}]{outcome['proven']} of {outcome['total']} claims proven, {outcome['refuted']} refuted, "
                  f"{outcome['not_run']} not run[/]")
    print(results / "index.html")
    raise typer.Exit(1 if failed else 0)


@app.command()
def boot(
    elf: Annotated[Path, typer.Argument(help="any ELF for the STM32F405/407")],
    seconds: Annotated[float, typer.Option(help="virtual time to run")] = 1.0,
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    platform: Annotated[Path, typer.Option(help="the board")] = BOARD,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card, exactly its size")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM, exactly its size")] = None,
) -> None:
    """Run an ELF on the bare board: its UARTs on standard output, what the models did not expect on standard error."""
    from offchip.board.create import create_board
    from offchip.board.images import load_images

    if not 0 < seconds <= 3600:
        raise OffchipError(f"--seconds {seconds:g} is not between 0 and 3600.")
    with Interrupt() as stop, create_board(engine, platform, elf, with_modem=False) as board:
        load_images(board, sd, eeprom)
        device = board.engine
        device.power_on()
        while device.now_ns < seconds * 1e9 and not stop:
            for byte in device.run(min(10_000_000, round(seconds * 1e9) - device.now_ns + 1)).uart:
                sys.stdout.buffer.write(bytes([byte.value]))
            sys.stdout.buffer.flush()
        unexpected = device.diagnostics()
        for each in unexpected:
            console.print(f"{each.kind}: {escape(each.where)}: {escape(each.message)} "
                          f"(PC 0x{each.pc:08X}, {each.time_ns / 1e9:.6f} s)")
        console.print(f"{device.instructions} instructions in {device.now_ns / 1e9:.3f} s of virtual time, "
                      f"{len(unexpected)} unexpected accesses or faults")
    raise typer.Exit(1 if unexpected else 0)


@app.command()
def doctor(
    engine: Annotated[str, typer.Option(help="renode: Renode must be there, too")] = "embedded",
) -> None:
    """Look at everything the lab needs; one line each, with what fixes it. Exit code 1 when something is missing."""
    from offchip.doctor import doctor as look

    checks = look()
    everything = engine == "renode"
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[yellow]--[/]" if check.optional else "[red]no[/]"
        console.print(f"{mark}  {escape(check.name)}: {escape(check.found)}"
                      + (f"  -> {escape(check.fix)}" if check.fix else ""), soft_wrap=True)
    raise typer.Exit(1 if any(not check.ok and (everything or not check.optional) for check in checks) else 0)


@app.command()
def attend(
    modem: Annotated[str, typer.Option(help="host:port of the monitor session's modem terminal")] = "127.0.0.1:4402",
    scheme: Annotated[str, typer.Option(help="internal or plain")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom (for plain)")] = "none",
    folder: Annotated[Path, typer.Option(help="where the images and certificates go")] = CACHE / "session",
    port: Annotated[int, typer.Option(help="TCP port of the broker on 127.0.0.1, 0 for any")] = 8883,
    prepare: Annotated[bool, typer.Option("--prepare", help="only write the images, then leave")] = False,
) -> None:
    """Be the world around a board in a monitor session: its factory, its modem, its internet, its broker."""
    from offchip.attend import Session

    session = Session(folder, *_storage(scheme, medium))
    if prepare:
        return
    host, _, number = modem.rpartition(":")
    if not host or not number.isdigit():
        raise OffchipError(f'--modem "{modem}" is not host:port.')
    with Interrupt() as stop:
        session.serve(host, int(number), port, lambda line: console.print(escape(line), soft_wrap=True), stop)


@app.command()
def monitor(
    script: Annotated[Path, typer.Argument(help="the .resc to open")] = ROOT / "platforms/offchip.resc",
    engine: Annotated[str, typer.Option(help="embedded, renode or auto (renode when it is installed)")] = "auto",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    scheme: Annotated[str, typer.Option(help="internal or plain")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom (for plain)")] = "none",
    attended: Annotated[bool, typer.Option(help="give the board its modem, internet and broker")] = True,
) -> None:
    """Sit at the board: Renode's monitor where Renode is installed, else the embedded engine's, on the same script."""
    from offchip.engines.elf import read_elf
    from offchip.engines.select import resolve_engine
    from offchip.monitor.session import embedded_session, free_ports, renode_session

    read_elf(elf)
    session = renode_session if resolve_engine(engine) == "renode" else embedded_session
    ports = free_ports(2)
    world = None
    if attended:  # factory images first: the script loads them
        attend_command = [sys.executable, "-m", "offchip", "attend", "--scheme", scheme, "--medium", medium, "--port",
                          "0", "--modem", f"127.0.0.1:{ports[1]}"]
        if subprocess.run([*attend_command, "--prepare"], cwd=ROOT).returncode:
            raise typer.Exit(2)
        world = subprocess.Popen(attend_command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        raise typer.Exit(session(script.resolve(), elf.resolve(), *ports))
    finally:
        if world is not None:
            world.terminate()
            world.wait()


@app.command()
def lab(
    scheme: Annotated[str, typer.Option(help="internal or plain")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom (for plain)")] = "none",
    port: Annotated[int, typer.Option(help="TCP port of the broker on 127.0.0.1, 0 for any")] = 8883,
    seconds: Annotated[float | None, typer.Option(help="stop after so many seconds (default: Ctrl-C)")] = None,
    folder: Annotated[Path, typer.Option(help="where the certificates go")] = CACHE / "lab",
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    keylog: Annotated[Path | None, typer.Option(help="write TLS keys here (NSS format, for Wireshark)")] = None,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card instead of the factory's")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM instead of the factory's")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM the broker shows, with --key")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM private key of --certificate")] = None,
) -> None:
    """Keep a device publishing to a broker on a real TCP port, for mosquitto_sub, openssl s_client and curiosity."""
    from offchip.board.images import load_images
    from offchip.live import OBSERVER, LiveLab

    with Interrupt() as stop:
        live = LiveLab(folder, engine, elf, *_storage(scheme, medium), port, keylog, (certificate, key))
        load_images(live.board, sd, eeprom)
        _look_at(live, stop, seconds, OBSERVER)


def _storage(scheme: str, medium: str) -> tuple[Scheme, MediumKind]:
    from offchip.board.factory import MediumKind, Scheme

    try:
        return Scheme(scheme), MediumKind(medium)
    except ValueError as error:
        raise OffchipError(f"{error}; schemes are internal and plain, media none, sd and eeprom.") from None


def _look_at(live: LiveLab, stop: Interrupt, seconds: float | None, observer: str) -> None:
    files, address = live.files, f"{live.listener.host}:{live.listener.port}"
    console.print(f"broker on {address}; watch it with:", soft_wrap=True)
    console.print(f"  mosquitto_sub -h localhost -p {live.listener.port} --cafile {files.ca} "
                  f"--cert {files.observer_certificate} --key {files.observer_key} -i {observer} -t 'offchip/#' -v",
                  soft_wrap=True)
    console.print(f"  openssl s_client -connect {address} -servername iot.offchip.test -CAfile {files.ca}",
                  soft_wrap=True)
    try:
        live.run(seconds, print, stop)
    finally:
        live.close()
    if stop:
        console.print("stopped.")


def _run_suites(results: Path, engine: str, elf: Path, suites: list[str], tests: list[str], jobs: int) -> int:
    command = [sys.executable, "-m", "pabot.pabot", "--processes", str(jobs), "--no-pabotlib",
               "--command", sys.executable, "-m", "robot", "--end-command"]
    command += ["--outputdir", str(results), "--pythonpath", str(ROOT / "robot"), "--pythonpath", str(ROOT),
                "--variable", f"ENGINE:{engine}", "--variable", f"ELF:{elf}",
                "--variable", f"RECORDS:{results / 'records'}",
                "--tagstatlink", "CWE-*:https://cwe.mitre.org/data/definitions/%1.html:CWE-%1",
                "--name", "offchip"]
    for name in suites:
        command += ["--suite", "*" + name.replace("_", "?") + "*"]
    for name in tests:
        command += ["--test", name]
    command.append(str(SUITES))
    with (results / "pabot.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=results, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            for line in process.stdout:
                log.write(line)
                if any(word in line for word in ("PASSED", "FAILED", "EXECUTING")):
                    console.print(escape(line.rstrip()))
            return process.wait()
        except KeyboardInterrupt:
            # pabot gives each suite a session of its own, so the whole tree is ended, not one process group
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for each in tree:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
            raise


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if "ERROR" in line or "contains no tests" in line] or lines or ["pabot said nothing"]
    return said[-1].replace("[ ERROR ]", "").strip()


def _print(outcome: dict) -> None:
    suite = None
    for row in outcome["claims"]:
        if row["suite"] != suite:
            suite = row["suite"]
            console.print(f"\n[bold]{escape(suite)}[/]")
        mark = {"proven": "[green]✓[/]", "refuted": "[red]✗[/]"}.get(row["status"], "[yellow]-[/]")
        verdict = f"  [dim]({row['verdict']})[/]" if row["verdict"] else ""
        console.print(f"  {mark} {escape(row['claim'])}{verdict}")
        if row["status"] == "refuted":
            console.print(f"      [red]{escape(row['message'])}[/]")


def main() -> None:
    """Entry point: errors of the lab become one line and exit code 2, Ctrl-C becomes 130."""
    try:
        code = app(standalone_mode=False) or 0
    except OffchipError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except Exception as error:  # noqa: BLE001 - typer's usage errors, which carry their own sentence
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        print(f"error: {message()}", file=sys.stderr)
        code = 2
    if code == 130:  # typer's code for Ctrl-C
        print("interrupted; nothing was changed.", file=sys.stderr)
    sys.exit(code)
