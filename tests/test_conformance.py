"""Probe firmwares print on this engine what a real Renode 1.16.1 printed (tests/conformance/*/expected*.txt)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.embedded.reflection import bind

HERE = Path(__file__).parent
PROBES = HERE / "conformance"
BOARD = HERE.parent / "platforms/offchip-board.repl"
SLICE_NS = 5_000_000

#: what the sd and rng probes ask the host to do, by the line they print
ANSWERS = {
    "ask=remove": ("sdcard", "Present", False), "ask=insert": ("sdcard", "Present", True),
    "ask=seed_fault": ("rng", "Fault", "seed"), "ask=clock_fault": ("rng", "Fault", "clock"),
    "ask=stuck_fault": ("rng", "Fault", "stuck"), "ask=repeat_fault": ("rng", "Fault", "repeat"),
    "ask=no_fault": ("rng", "Fault", "none"),
}


def build(folder: Path, target: str, out: Path) -> Path:
    """Build a probe from source into ``out``."""
    subprocess.run(["make", "-s", "-C", folder, f"OUT={out}", f"{out}/{target}"], check=True)
    return out / target


def transcript(platform: Path, elf: Path | None, end: str, limit_s: float = 4.0) -> tuple[str, EmbeddedEngine]:
    """Run until the probe prints ``end``; answer what it asks on the way."""
    engine = EmbeddedEngine(platform, seed=0x0FFC)
    if elf is not None:
        engine.load_elf(elf)
    engine.power_on()
    text, seen = "", 0
    while engine.now_ns < limit_s * 1e9 and end not in text and "FAULT" not in text:
        text += bytes(b.value for b in engine.run(SLICE_NS).uart).decode("latin-1")
        lines = text.split("\n")
        for line in lines[seen:-1]:
            if line in ANSWERS:
                name, member, value = ANSWERS[line]
                bind(engine.machine.find(name), member, [value])()
        seen = len(lines) - 1
    return text, engine


@pytest.mark.parametrize(("probe", "platform", "expected"), [
    ("sd", BOARD, "expected.txt"),
    ("sd", PROBES / "sd/sdhc.repl", "expected-sdhc.txt"),
    ("flash", BOARD, "expected.txt"),
    ("rng", BOARD, "expected.txt"),
])
def test_probe_prints_what_renode_printed(probe: str, platform: Path, expected: str, tmp_path: Path) -> None:
    elf = build(PROBES / probe, f"{probe}_probe.elf", tmp_path)
    text, engine = transcript(platform, elf, "end=probe\n", limit_s=60)
    assert text == (PROBES / probe / expected).read_text()
    assert not [d for d in engine.diagnostics() if d.kind == "unmodelled"]


def test_i2c_probe_prints_what_renode_printed(tmp_path: Path) -> None:
    folder = tmp_path / "tests/conformance/i2c"  # its .repl names files relative to itself
    shutil.copytree(PROBES / "i2c", folder)
    shutil.copytree(HERE.parent / "platforms/peripherals", tmp_path / "platforms/peripherals")
    subprocess.run(["make", "-s", "-C", folder, "probe.elf"], check=True)
    text, engine = transcript(folder / "probe-i2c.repl", None, "\nend=")
    assert text == (PROBES / "i2c/expected.txt").read_text()
    assert not [d for d in engine.diagnostics() if d.kind == "unmodelled"]


def test_exception_model_is_the_architecture_s(tmp_path: Path) -> None:
    elf = build(HERE / "core", "core_probe.elf", tmp_path)
    text, engine = transcript(BOARD, elf, "end=probe\n")
    assert text == (HERE / "core/expected.txt").read_text()
    faults = [d.message.split(":")[0] for d in engine.diagnostics() if d.kind == "fault"]
    assert faults == ["BusFault", "BusFault", "UsageFault", "UsageFault"]
