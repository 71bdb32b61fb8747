# SPDX-License-Identifier: Apache-2.0
"""Campaigns of injections: restored, forked and straight runs are one and the same; nothing is lost on the way."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from offchip.campaign import campaign as campaigns
from offchip.campaign.campaign import Campaign, Plan, elf_digest, faults, prepare
from offchip.campaign.injections import Fault, Kind, Outcome, Result, Stretch
from offchip.campaign.sources import Sources
from offchip.campaign.table import write
from offchip.engines.embedded.machine import EmbeddedMachine
from offchip.engines.embedded.unicorn_core import REGISTERS
from offchip.engines.fork import forked, forked_each
from offchip.errors import EngineError, FirmwareError, OffchipError
from offchip.paths import FIRMWARE, ROOT

SEEN = ("r0", "r1", "r4", "r7", "sp", "lr", "pc", "cpsr", "primask", "control")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(FIRMWARE)


def plan_of(sources: Sources, start: str, **changes: object) -> Plan:
    plan = Plan(str(FIRMWARE), elf_digest(FIRMWARE), sources.address(start), None, Kind.SKIP, medium="eeprom",
                seconds=2.0)
    return replace(plan, **changes)  # type: ignore[arg-type]


def fingerprint(machine: EmbeddedMachine) -> str:
    """Everything a run may have changed: registers, memories, time, interrupts, what left the chip."""
    content = hashlib.sha256()
    for _, buffer in machine.memories():
        content.update(buffer)
    nvic = machine.nvic
    return repr((content.hexdigest(), machine.core.get(*SEEN), machine.clock.cycles, machine.cpu.executed_instructions,
                 sorted(nvic.pending), nvic.active, [(each.uart, each.value) for each in machine.uart],
                 [each.message for each in machine.diagnostics]))


def straight(plan: Plan, fault: Fault, limit: int) -> str:
    """The same by the injector's own rules, on a board of its own that never went back."""
    stretch = prepare(plan)
    machine, injector = stretch._machine, stretch._injector
    machine.injector.flip_register(fault.register, fault.mask, machine.cpu.executed_instructions + fault.index)
    injector.stop_before(stretch.end)
    machine.run_until_cycle(machine.clock.cycles + limit)
    injector.arrived = None
    return fingerprint(machine)


def some_flips(stretch: Stretch, count: int) -> list[Fault]:
    chance = random.Random(5)
    names = [name for name in REGISTERS if name in ("r0", "r3", "r5", "r8", "lr", "nzcv", "s3")]
    places = sorted(chance.randrange(stretch.length) for _ in range(count))
    return [Fault(index, Kind.FLIP, chance.choice(names), 1 << chance.randrange(28, 32)) for index in places]


# one and the same ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("start", ["counters_open", "record_open"])
def test_restored_forked_and_straight_runs_are_equal(sources: Sources, start: str) -> None:
    plan = plan_of(sources, start, kind=Kind.FLIP, limit=1.0, occurrence=2 if start == "counters_open" else 1)
    stretch = prepare(plan)
    chosen = some_flips(stretch, 48)
    restored = [stretch.examine(fault, fingerprint) for fault in chosen]
    assert len(set(restored)) > 5
    assert [stretch.examine(fault, fingerprint) for fault in chosen] == restored  # also after going back and forth
    fresh = prepare(plan)
    for fault, seen in list(zip(chosen, restored, strict=True))[::8]:
        assert forked(lambda fault=fault: fresh.examine(fault, fingerprint)) == seen, fault  # type: ignore[misc]
    ended = [(fault, seen) for fault, seen, result in zip(chosen, restored, stretch.results(chosen), strict=True)
             if result.outcome in (Outcome.SAME, Outcome.OTHER)]
    for fault, seen in ended[::12]:
        assert straight(plan, fault, 3 * stretch.length) == seen, fault


def test_a_skip_is_what_the_injector_skips(sources: Sources) -> None:
    """In and outside IT blocks."""
    plan = plan_of(sources, "config_load")
    stretch = prepare(plan)
    first = stretch.first_times()
    stretch.rewind()
    chosen = random.Random(3).sample(sorted(first.items(), key=lambda each: each[1]), 12)
    for address, index in sorted(chosen, key=lambda each: each[1]):
        (result,) = stretch.results([Fault(index, Kind.SKIP)])
        assert result.pc == address
        if result.outcome not in (Outcome.SAME, Outcome.OTHER):
            continue
        other = prepare(plan)
        other._injector.skip_instruction(address)
        other._injector.stop_before(other.end)
        before = other._executed
        other._machine.run_until_cycle(other._machine.clock.cycles + 4 * stretch.length)
        assert (other._core.get("r0")[0], other._executed - before) == (result.value, result.instructions + index)


# the campaign --------------------------------------------------------------------------------------------------------
def test_a_campaign_says_what_each_line_lets_through_and_goes_on_where_it_stood(
        sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(sources, "config_load", every="90")
    whole = Campaign(plan, workers=2).run()
    assert len(whole.results) == 90 and whole.missing == 0
    assert {each.outcome for each in whole.results.values()} >= {Outcome.SAME, Outcome.OTHER}
    # interrupted after the first share, and in the middle of a line
    journal = tmp_path / "campaign.jsonl"
    seen: list[int] = []

    def interrupt(done: int, total: int) -> None:
        seen.append(done)
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Campaign(plan, journal=journal, say=interrupt).run()
    with journal.open("a") as file:
        file.write('[[5, "ski')
    tried: list[Fault] = []
    plain = campaigns._all_of

    def counted(stretch: Stretch, part: list[Fault]) -> list[Result]:
        tried.extend(part)
        return plain(stretch, part)

    monkeypatch.setattr(campaigns, "forked_each",
                        lambda tasks, workers: ((number, task()) for number, task in enumerate(tasks)))
    monkeypatch.setattr(campaigns, "_all_of", counted)
    again = Campaign(plan, journal=journal).run()
    assert again.results == whole.results and len(tried) == 90 - seen[-1]
    page = write(again, sources, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "campaign.json").read_text())
    assert sum(sum(line["outcomes"].values()) for line in content["lines"]) == 90
    named = {(line["file"], line["function"]) for line in content["lines"]}
    assert ("firmware/src/vault/config.c", "parse_area") in named
    report = json.loads((tmp_path / "out" / "campaign.sarif").read_text())
    first = report["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert (ROOT / first["artifactLocation"]["uri"]).is_file() and first["region"]["startLine"] > 0
    assert "firmware/src/vault/config.c" in page.read_text()
    with pytest.raises(OffchipError, match="another campaign .its every"):
        Campaign(replace(plan, every="10"), journal=journal).run()


def test_what_cannot_be_is_said(sources: Sources) -> None:
    with pytest.raises(FirmwareError, match="did you mean record_open"):
        sources.address("record_opn")
    with pytest.raises(EngineError, match="never came to"):
        prepare(plan_of(sources, "vault_reset", seconds=0.01))
    with pytest.raises(EngineError, match="does not lead to"):
        board = SimpleNamespace(machine=prepare(plan_of(sources, "config_load"))._machine)
        Stretch(board, 0x080F0000, longest=100_000)  # type: ignore[arg-type]


def test_a_process_that_dies_loses_nothing(tmp_path: Path) -> None:
    first = tmp_path / "first"

    def dies_once() -> int:
        if not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 7

    results = dict(forked_each([lambda: 1, dies_once, lambda: 3], 2))
    assert results == {0: 1, 1: 7, 2: 3}
    with pytest.raises(EngineError, match="without a result"):
        dict(forked_each([lambda: os.kill(os.getpid(), signal.SIGKILL)]))


# a cluster -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, processes of their own."""
    pytest.importorskip("distributed", reason="Dask is not installed (requirements-cluster.txt)")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'robot'}",
                   "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"}
    place = tmp_path / "scheduler.json"

    def start(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, env=environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    processes = [start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                       "--scheduler-file", str(place))]
    try:
        while not place.exists():
            assert processes[0].poll() is None
            time.sleep(0.1)
        for _ in range(2):
            processes.append(start("distributed.cli.dask_worker", "--scheduler-file", str(place), "--nthreads", "1",
                                   "--no-dashboard", "--no-nanny"))
        yield json.loads(place.read_text())["address"], processes
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def test_a_cluster_finds_the_same_and_survives_the_loss_of_a_worker(
        sources: Sources, cluster: tuple[str, list[subprocess.Popen[bytes]]]) -> None:
    address, processes = cluster
    plan = plan_of(sources, "config_load", every="150")
    here = Campaign(plan).run()
    killed: list[int] = []

    def say(done: int, total: int) -> None:
        if done and not killed:
            killed.append(done)
            processes[1].kill()

    there = Campaign(plan, scheduler=address, say=say).run()
    assert there.results == here.results and killed and there.missing == 0
    assert Counter(each.outcome for each in there.results.values())[Outcome.SAME] > 0


def test_the_faults_of_a_plan(sources: Sources) -> None:
    plan = plan_of(sources, "config_load", kind=Kind.FLIP, every="20", registers=("r0", "r1"), masks=(1, 2))
    stretch = prepare(plan)
    chosen = faults(plan, stretch)
    assert len(chosen) == 80 and [each.index for each in chosen] == sorted(each.index for each in chosen)
