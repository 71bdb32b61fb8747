# SPDX-License-Identifier: Apache-2.0
"""Probe firmwares on every engine there is: embedded always, Renode under the marker ``renode``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from offchip.engines.embedded.reflection import bind
from offchip.engines.protocol import Engine
from offchip.engines.renode.locate import need_renode
from offchip.engines.select import make_engine
from offchip.errors import EngineError

ROOT = Path(__file__).resolve().parent.parent
BOARD = ROOT / "platforms/offchip-board.repl"
PROBES = ROOT / "tests/conformance"
SEED = 0x0FFC
SLICE_NS = 5_000_000


def _why_not() -> str:
    try:
        need_renode()
    except EngineError as error:
        return str(error)
    return ""


needs_renode = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "Renode is here")
#: for ``pytest.mark.parametrize("engine_name", ENGINES)``
ENGINES = ["embedded", pytest.param("renode", marks=[pytest.mark.renode, needs_renode])]


def build(folder: Path, target: str, out: Path) -> Path:
    """Build a probe from source into ``out``."""
    subprocess.run(["make", "-s", "-C", folder, f"OUT={out}", f"{out}/{target}"], check=True)
    return out / target


def build_probe(name: str, out: Path, origin: int = 0x08000000) -> Path:
    """Build ``tests/probes/<name>.c`` for flash at ``origin`` into ``out``."""
    folder = ROOT / "tests/probes"
    script = (folder / "probe.ld").read_text().replace("ORIGIN_OF_CODE", f"0x{origin:08X}")
    (out / "probe.ld").write_text(script)
    elf = out / f"{name}.elf"
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O1",
                    "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter", "-ffreestanding",
                    "-fno-tree-loop-distribute-patterns", "-nostdlib", "-Wl,--build-id=none",
                    "-Wl,--no-warn-rwx-segments", "-Wl,-T", out / "probe.ld", "-o", elf, folder / f"{name}.c"],
                   check=True)
    return elf


class Bench:
    """One board with a probe firmware that talks on USART1.

    Args:
        elf: None when the platform file loads its firmware itself.
    """

    #: what the sd and rng probes ask of the world, by the line they print
    _REQUESTS = {
        "ask=remove": ("Present", False), "ask=insert": ("Present", True), "ask=seed_fault": ("Fault", "seed"),
        "ask=clock_fault": ("Fault", "clock"), "ask=stuck_fault": ("Fault", "stuck"),
        "ask=repeat_fault": ("Fault", "repeat"), "ask=no_fault": ("Fault", "none"),
    }

    def __init__(self, engine_name: str, elf: Path | None, platform: Path = BOARD) -> None:
        self.engine: Engine = make_engine(engine_name, platform, SEED, elf)
        self.engine.power_on()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.engine.close()

    def set(self, part: str, name: str, value: int | bool | str) -> None:
        """Turn a knob of a model on the system bus that the engine protocol does not name."""
        if self.engine.capabilities.name == "embedded":
            bind(self.engine.machine.find(part), name, [value])()
        else:
            self.engine.set_property(f"sysbus.{part}", name, value)

    def hear(self, end: str, limit_s: float) -> str:
        """What the probe says until ``end``, a fault, or ``limit_s`` virtual seconds; fulfils what it asks for."""
        engine, text, fulfilled = self.engine, "", 0
        deadline_ns = engine.now_ns + limit_s * 1e9
        while engine.now_ns < deadline_ns and end not in text and "FAULT" not in text:
            text += bytes(byte.value for byte in engine.run(SLICE_NS).uart).decode("latin-1")
            lines = text.split("\n")[:-1]
            for line in lines[fulfilled:]:
                self._fulfil(line)
            fulfilled = len(lines)
        return text

    def ask(self, command: str, end: str = "\n", limit_s: float = 0.5) -> list[str]:
        """Type one command letter; the lines of the answer."""
        self.engine.feed_uart("usart1", command.encode())
        return self.hear(end, limit_s).split("\n")[:-1]

    def _fulfil(self, line: str) -> None:
        if line not in self._REQUESTS:
            return
        name, value = self._REQUESTS[line]
        if name == "Present":
            self.engine.medium("sdcard").present = value
        else:
            self.set("rng", name, value)
