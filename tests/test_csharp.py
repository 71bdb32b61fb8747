# SPDX-License-Identifier: Apache-2.0
"""The C# for Renode compiles against both interfaces of Renode; its virtual time and its terminal do their work.

What the models do is compared with their Python twins in test_twins.py.

Compiled with Mono's compiler against ``tests/csharp/RenodeStubs.cs``, which holds the few signatures of Renode that the
models use; so a typo, or a use of something the stubs do not know, is found without Renode.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from offchip.engines.renode.models import STEPPER
from twins import HERE, MODELS, RENODES, Bench, build, compile_cs, needs_mcs, needs_mono

SOURCES = [*sorted(MODELS.glob("*.cs")), STEPPER]


@needs_mcs
@pytest.mark.parametrize("renode", RENODES)
def test_all_of_it_compiles(renode: str, tmp_path: Path) -> None:
    assert len(SOURCES) >= 12
    done = compile_cs(tmp_path / "models.dll", *SOURCES, renode=renode)
    assert done.returncode == 0, done.stdout + done.stderr


#: what Renode's own style and the compiler leave open, or let pass
_BLOCKS = "if|for|foreach|while|switch|catch|using|lock"
FORMAT = {
    "a tab": r"\t",
    "space at the end": r" $",
    "more than 150 columns": r".{151}",
    "indentation not by fours": r"^(?: {4})* {1,3}[^ /*]",
    "space before (": rf"\b(?:{_BLOCKS}) +\((?!.*//)",
    "{ not on a line of its own": rf"^ *(?:{_BLOCKS}|else|try|public|private|internal|protected)\b[^{{=]*\{{$",
}


@pytest.mark.parametrize("source", [*SOURCES, *sorted((HERE / "csharp").glob("*.cs"))], ids=lambda source: source.name)
def test_format(source: Path) -> None:
    text = source.read_text()
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n") and text.endswith("}\n")
    wrong = [f"{source.name}:{number}: {what}: {line}" for number, line in enumerate(text.splitlines(), 1)
             for what, pattern in FORMAT.items() if re.search(pattern, line)]
    assert not wrong, "\n".join(wrong)


@needs_mcs
@pytest.mark.parametrize(("model", "good", "bad"), [
    ("SpiTap.cs", "var child = RegisteredPeripheral;", "var child = RegisteredPeripherals;"),  # a typo
    ("SpiTap.cs", "public byte Transmit(byte data)", "public byte Transmit(int data)"),  # not the interface any more
    ("Stm32F4I2c.cs", "machine.RegisterAsAChildOf(", "machine.RegisterAsChildOf("),  # a method Renode does not have
])
def test_a_broken_model_does_not_compile(model: str, good: str, bad: str, tmp_path: Path) -> None:
    text = (MODELS / model).read_text()
    assert good in text
    broken = tmp_path / model
    broken.write_text(text.replace(good, bad))
    others = [source for source in SOURCES if source.name != model]
    done = compile_cs(tmp_path / "models.dll", broken, *others)
    assert done.returncode != 0
    assert f"{model}(" in done.stdout + done.stderr


# virtual time ----------------------------------------------------------------------------------------------------
MS, CELL = 1_000_000, 500_000


@needs_mono
@pytest.mark.parametrize("renode", RENODES)
def test_stepper_ends_where_something_happened_and_sleeps_over_the_rest(renode: str, tmp_path: Path) -> None:
    bench = Bench(build(tmp_path, HERE / "csharp/StepperBench.cs", STEPPER, renode=renode))

    def run(duration: int, cell: int = CELL) -> list[int]:
        return [int(word) for word in bench("run", duration, cell).split()]

    bench("wake", 0, 200_000)
    now, executed, points = run(20 * MS)
    assert (now, executed) == (CELL, 33_600)  # awake: one cell
    now, executed, more = run(20 * MS)
    assert (now, executed) == (CELL + 20 * MS, 33_600) and more - points < 10  # asleep: all of it, at a stretch
    assert run(123_456)[0] == now + 123_456  # any duration, to the nanosecond

    now = run(376_544)[0]
    for tick in range(20):  # a tick that only counts is no reason to stop
        bench("wake", now + tick * MS, 1_000)
    assert run(20 * MS)[:2] == [now + 20 * MS, executed + 20 * 168]

    now, executed, _ = run(CELL)
    bench("byte", now + 7 * MS + 300_000, 0x41)
    assert run(20 * MS)[3:] == [7, 0x41, now + 7 * MS + 300_000]
    assert run(1)[0] == now + 7 * MS + CELL + 1  # the cell of the byte was the last

    now, executed, _ = run(CELL - 1)
    bench("wake", now, 100_000)
    bench("reset", now + 90_000)
    bench("wake", now + 200_000, 50_000)
    assert run(CELL)[:2] == [now + CELL, executed + 16_800 + 8_400]  # instructions go on over a reset
    bench("stop")
    bench("stop")
    bench("halt", now + 2 * CELL + 10)
    assert run(CELL)[0] == now + 2 * CELL
    assert run(20 * MS)[0] == now + 3 * CELL  # it halted in there
    assert run(20 * MS)[0] == now + 3 * CELL + 20 * MS  # and time goes on without it
    bench.close()


# the terminal ----------------------------------------------------------------------------------------------------
def listening(pid: int) -> set[str]:
    """Addresses, as /proc writes them, on which a process listens for TCP connections."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        if handle.is_symlink() and (found := re.fullmatch(r"socket:\[(\d+)\]", str(handle.readlink()))):
            inodes.add(found[1])
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}


def terminal_bench(folder: Path) -> Bench:
    sources = ("OffchipTerminal.cs", "OffchipSession.cs")
    return Bench(build(folder, HERE / "csharp/TerminalBench.cs", *(MODELS / name for name in sources)))


@needs_mono
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc/PID/net/tcp of Linux")
def test_terminal_is_reached_from_this_computer_only(tmp_path: Path) -> None:
    bench = terminal_bench(tmp_path)
    port = int(bench.hello)
    assert listening(bench.pid) == {f"0100007F:{port:04X}"}  # 127.0.0.1
    assert "already in use" in bench("name")
    assert f"port {port}" in bench("taken")  # and the emulation goes on

    bench("uart", b"boot: ".hex())  # nobody there yet
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        bench("uart", b"\xFF\0ok".hex())  # no telnet escapes
        got = b""
        while len(got) < 10:
            got += client.recv(100)
        assert got == b"boot: \xFF\0ok"
        client.sendall(bytes(range(256)))  # the bench's UART answers each byte with the next
        got = b""
        while len(got) < 256:
            got += client.recv(1000)
        assert got == bytes(range(1, 256)) + b"\0"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:  # the first has gone
        client.sendall(b"a")
        assert client.recv(10) == b"b"
        bench("clear")
        assert client.recv(10) == b""  # the emulation ended: so did the terminal
    assert listening(bench.pid) == set()
    bench.close()


@needs_mono
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc/PID/net/tcp of Linux")
def test_a_script_asks_for_files_and_takes_an_earlier_board_away(tmp_path: Path) -> None:
    bench = terminal_bench(tmp_path)
    (tmp_path / "there").write_bytes(b"")
    assert bench("require", tmp_path / "there") == "" == bench("require")
    assert bench("require", tmp_path / "not") == f"There is no file {tmp_path / 'not'}; type this"
    assert bench("discard", "nobody") == "0" and listening(bench.pid)
    assert bench("discard", "offchip") == "1" and listening(bench.pid) == set()
    assert bench("name") == "" and listening(bench.pid)  # the name is free again
    bench.close()
