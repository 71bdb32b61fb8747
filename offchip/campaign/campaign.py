# SPDX-License-Identifier: Apache-2.0
"""A campaign of injections: which faults, who tries them, what was found. On this host's cores or on a Dask cluster.

A campaign is described by a :class:`Plan`, so that any process anywhere can bring a board to the same instruction and
try its share. Results are kept in a journal as they come; one that was interrupted goes on where it stood.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from offchip import vault
from offchip.campaign.injections import Fault, Kind, Outcome, Result, Stretch, arrive
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.engines.fork import forked_each
from offchip.errors import EngineError, OffchipError
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING, Device

#: faults one task tries at least and at most
_SMALLEST, _LARGEST = 25, 2000
_TASKS_PER_WORKER = 8
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the result.

    Attributes:
        elf, elf_sha256: the firmware.
        start, end: addresses; ``end`` None: where the function at ``start`` returns to.
        kind: what is done.
        occurrence: the stretch begins when ``start`` is reached for the so-manieth time.
        every: ``address``: each instruction of the code at its first execution; ``execution``: each execution;
            or a number: so many executions, drawn by ``seed``.
        registers, masks: what flips invert.
        scheme, medium, seed: the device and its scene.
        device: ``module:function`` that makes a device of this plan, powered or not; empty: provisioned by the factory.
        seconds: virtual time within which ``start`` is reached.
        limit: instructions after which a run is hung, in runs without a fault.
    """

    elf: str
    elf_sha256: str
    start: int
    end: int | None
    kind: Kind
    occurrence: int = 1
    every: str = "address"
    registers: tuple[str, ...] = ("r0",)
    masks: tuple[int, ...] = (1,)
    scheme: str = "fresh"
    medium: str = "sd"
    seed: int = 1
    device: str = ""
    seconds: float = 60.0
    limit: float = 2.0

    def record(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]  # an object for a dataclass


def elf_digest(elf: Path) -> str:
    """Raises OffchipError when the file cannot be read."""
    try:
        return hashlib.sha256(elf.read_bytes()).hexdigest()
    except OSError as error:
        raise OffchipError(f"{elf}: cannot be read: {error.strerror}.") from None


def standard_device(plan: Plan) -> Device:
    """As it leaves the factory."""
    defence = Defence(vault.scheme(plan.scheme), vault.medium(plan.medium))
    return Scene(plan.seed, things=(THING,)).build(THING, defence, elf=Path(plan.elf))


def prepare(plan: Plan) -> Stretch:
    """A machine that stands at the first instruction of the stretch. Raises EngineError, OffchipError."""
    if plan.device:
        module, _, name = plan.device.partition(":")
        device: Device = getattr(importlib.import_module(module), name)(plan)
    else:
        device = standard_device(plan)
    board = device.board
    if not isinstance(board.engine, EmbeddedEngine):
        raise EngineError("campaigns need the embedded engine")

    def perform() -> None:
        if not board.powered:
            board.power_on()
        board.run(plan.seconds)

    arrive(board.engine, plan.start, perform, plan.occurrence)
    return Stretch(board.engine, plan.end, plan.limit)


def faults(plan: Plan, stretch: Stretch) -> list[Fault]:
    """All of the plan, in ascending order of their places."""
    if plan.every == "address":
        indices = sorted(stretch.first_times().values())
    elif plan.every == "execution":
        indices = list(range(stretch.length))
    else:
        count = min(int(plan.every), stretch.length)
        indices = sorted(random.Random(plan.seed).sample(range(stretch.length), count))
    if plan.kind is Kind.SKIP:
        return [Fault(index, plan.kind) for index in indices]
    return [Fault(index, plan.kind, register, mask) for index in indices for register in plan.registers
            for mask in plan.masks]


@dataclass(slots=True)
class Findings:
    """What came out so far."""

    plan: Plan
    length: int
    value: int  # r0 at the end without a fault
    results: dict[Fault, Result] = field(default_factory=dict)
    missing: int = 0

    @property
    def ordered(self) -> list[Result]:
        return [self.results[fault] for fault in sorted(self.results, key=lambda each: (each.index, str(each)))]


class Campaign:
    """Args:
        plan: what is tried.
        workers: processes of this host at a time.
        scheduler: address of a Dask scheduler that does it instead (``tcp://host:8786``).
        journal: results are added to this file as they come, and those in it are not tried again.
        say: told how many faults are done, and of how many.
    """

    def __init__(self, plan: Plan, workers: int = 1, scheduler: str = "", journal: Path | None = None,
                 say: Say = lambda done, total: None) -> None:
        self._plan = plan
        self._workers = max(1, workers)
        self._scheduler = scheduler
        self._journal = _Journal(journal, plan) if journal is not None else None
        self._say = say

    def run(self) -> Findings:
        """Raises OffchipError; what was found before is in the journal."""
        stretch = prepare(self._plan)
        wanted = faults(self._plan, stretch)
        stretch.rewind()
        findings = Findings(self._plan, stretch.length, stretch.value)
        if self._journal is not None:
            known = self._journal.read()
            findings.results = {fault: known[fault] for fault in wanted if fault in known}
        todo = [fault for fault in wanted if fault not in findings.results]
        self._say(len(wanted) - len(todo), len(wanted))
        for results in self._try(stretch, todo):
            findings.results.update((result.fault, result) for result in results)
            if self._journal is not None:
                self._journal.add(results)
            self._say(len(findings.results), len(wanted))
        findings.missing = len(wanted) - len(findings.results)
        return findings

    def _try(self, stretch: Stretch, todo: Sequence[Fault]) -> Iterator[list[Result]]:
        size = max(_SMALLEST, min(_LARGEST, -(-len(todo) // (self._workers * _TASKS_PER_WORKER))))
        parts = [todo[start:start + size] for start in range(0, len(todo), size)]
        if self._scheduler:
            yield from _on_cluster(self._scheduler, self._plan, parts)
        else:
            tasks = [partial(_all_of, stretch, part) for part in parts]
            for _, results in forked_each(tasks, self._workers):
                yield results


def _all_of(stretch: Stretch, part: Sequence[Fault]) -> list[Result]:
    return list(stretch.results(part))


# on a cluster --------------------------------------------------------------------------------------------------------
def _on_cluster(scheduler: str, plan: Plan, parts: Sequence[Sequence[Fault]]) -> Iterator[list[Result]]:
    """Dask gives what a lost worker had to another one."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise OffchipError("--scheduler needs Dask; install it with: .venv/bin/pip install -r requirements-cluster.txt"
                           ) from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise OffchipError(f"{scheduler}: no Dask scheduler answers there ({error}).") from None
    with client:
        elf = client.scatter(Path(plan.elf).read_bytes(), broadcast=True)
        futures = client.map(partial(try_remotely, plan), parts, [elf] * len(parts), pure=False, retries=2)
        for future in as_completed(futures):
            yield future.result()


_held: dict[Plan, Stretch] = {}
_lock = threading.Lock()


def try_remotely(plan: Plan, part: Sequence[Fault], elf: bytes) -> list[Result]:
    """One share, on a worker of a cluster, which keeps the board for the next share of the same plan."""
    with _lock:
        if plan not in _held:
            _held.clear()
            _held[plan] = prepare(_with_elf(plan, elf))
        return list(_held[plan].results(part))


def _with_elf(plan: Plan, content: bytes) -> Plan:
    """The plan, with a file of this host that holds the firmware."""
    path = Path(plan.elf)
    if path.is_file() and elf_digest(path) == plan.elf_sha256:
        return plan
    copy = Path(tempfile.gettempdir()) / f"offchip-{os.getuid()}-{plan.elf_sha256}.elf"
    if not copy.is_file() or elf_digest(copy) != plan.elf_sha256:
        partial_copy = copy.with_suffix(f".{os.getpid()}")
        partial_copy.write_bytes(content)
        partial_copy.replace(copy)
    return replace(plan, elf=str(copy))


# the journal ---------------------------------------------------------------------------------------------------------
class _Journal:
    """A file of JSON lines: the plan, then results. A line a crash left unfinished is passed over."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._plan = plan.record()

    def read(self) -> dict[Fault, Result]:
        """Raises OffchipError when the file belongs to another plan."""
        if not self._path.exists():
            self._write(json.dumps({"plan": self._plan}) + "\n")
            return {}
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        try:
            plan = json.loads(lines[0])["plan"]
        except (ValueError, KeyError, IndexError):
            raise OffchipError(f"{self._path}:1: is no journal of a campaign; give another folder.") from None
        if plan != self._plan:
            changed = ", ".join(sorted(key for key in self._plan if plan.get(key) != self._plan[key]))
            raise OffchipError(f"{self._path}: belongs to another campaign (its {changed}); give another folder.")
        if not lines[-1].endswith("\n"):
            self._write("\n")
        results = [_result(entry) for line in lines[1:] for entry in _entries(line)]
        return {result.fault: result for result in results}

    def add(self, results: Sequence[Result]) -> None:
        entries = [[each.fault.index, each.fault.kind, each.fault.register, each.fault.mask, each.pc, each.outcome,
                    each.value, each.instructions] for each in results]
        self._write(json.dumps(entries) + "\n")

    def _write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)


def _entries(line: str) -> list[list[Any]]:
    try:
        found = json.loads(line)
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _result(entry: Sequence[Any]) -> Result:
    index, kind, register, mask, pc, outcome, value, instructions = entry
    return Result(Fault(index, Kind(kind), register, mask), pc, Outcome(outcome), value, instructions)
