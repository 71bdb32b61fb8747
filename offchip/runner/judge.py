# SPDX-License-Identifier: Apache-2.0
"""One run from its options to a published report."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offchip.broker.profile import DEFAULT_PROFILE, named_profile
from offchip.captures.keep import Wanted
from offchip.engines.elf import read_elf
from offchip.engines.renode.locate import need_renode
from offchip.engines.select import resolve_engine, standby
from offchip.errors import OffchipError
from offchip.matrix.cells import NoCell, cells, survey
from offchip.paths import OUTPUT, PACKAGES, SUITES
from offchip.pki.own import load_own_credentials
from offchip.report.build import Judged, RunFacts, build_report
from offchip.report.code_size import vault_objects
from offchip.report.matrix import NoCells, load_matrix
from offchip.runner.host import describe
from offchip.runner.inventory import Claim, Suite, read_inventory
from offchip.runner.pace import pace, processor_seconds
from offchip.runner.preflight import preflight
from offchip.runner.processes import Stopped, StopSignals, end_children
from offchip.runner.results import ResultsFolder
from offchip.runner.resume import INTERRUPTED, Earlier, earlier
from offchip.runner.robot_log import merge_logs
from offchip.runner.run import Outcomes, Run
from offchip.runner.suite_process import Order, Outcome

WHOLE_RESULTS, PARTIAL_RESULTS = "results", "results-partial"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose.

    Attributes:
        folder: of the ``.robot`` files.
        suites, tests, include, exclude: which claims, see :func:`read_inventory`.
        results: None for ``results`` beside the project, ``results-partial`` for some of them.
        seed: decides every random choice of the lab.
        limit_s: host seconds a claim may take before it counts as hung.
        own_credentials: folder of the credentials the device is to hold instead of made ones.
        captures: of which cells buses, network and media are kept: ``failed`` (and those the answer shows), ``all``,
            ``none``.
        against: the report of another run, to compare cell by cell.
        resume: go on with a run that was interrupted.
        profile: whose rules the server follows: a name, or a TOML file.
        each: say a line for each claim, for somebody who watches.
    """

    engine: str
    elf: Path
    folder: Path
    suites: list[str]
    tests: list[str]
    include: list[str]
    exclude: list[str]
    results: Path | None
    jobs: int
    seed: int
    limit_s: float
    own_credentials: Path | None = None
    captures: Wanted = Wanted.FAILED
    against: Path | None = None
    resume: bool = False
    profile: str = DEFAULT_PROFILE
    each: bool = False


def judge(options: Options, say: Callable[[str], None]) -> tuple[Path, dict[str, Any], Stopped | None]:
    """Run the claims and publish their report.

    Returns:
        The report's folder, its summary, and the signal that ended the run before its time: the report is then of the
        claims that were decided by then.

    Raises:
        OffchipError: nothing could be judged, or the report cannot be written; the old one is untouched.
        Stopped: a signal came before anything was decided; every process is gone and the old report untouched.
    """
    engine = resolve_engine(options.engine)
    if engine == "renode":
        need_renode()
    firmware = read_elf(options.elf)
    if options.own_credentials is not None:
        load_own_credentials(options.own_credentials)
    if options.against is not None:
        load_matrix(options.against)
    inventory = read_inventory(options.folder, options.suites, options.tests, options.include, options.exclude)
    profile = named_profile(options.profile).name
    own = options.folder == SUITES
    scope = _scope(options, own, profile)
    whole = not scope
    place = options.results or OUTPUT / (WHOLE_RESULTS if whole else PARTIAL_RESULTS)
    with StopSignals(), ResultsFolder(place, whole) as folder:
        for each in folder.left_over():
            say(f"{each}: left over from a run that was killed; delete it when you like")
        host = describe(options.elf, options.jobs)
        elf = folder.fresh / "firmware.elf"  # a build during the run must not change what is judged
        shutil.copyfile(options.elf, elf)
        if read_elf(elf).sha256 != firmware.sha256:
            raise OffchipError(f"{options.elf}: it changed while it was read; start again.")
        # what is left of an interrupted run never takes the place of a whole report
        part = folder.path.with_name(f"{folder.path.name}-partial") if whole else folder.path
        before = earlier(part, engine, firmware.sha256, options.seed, host.commit, scope) if options.resume \
            else Earlier()
        carried = before.carry(folder.fresh)
        begun, cpu_before = time.monotonic(), processor_seconds()
        outcomes = _outcomes(options, engine, elf, folder.fresh, before.left(inventory), say)
        told = [] if outcomes.refused else list(pace(
            outcomes.claims, {each.id for each in cells()}, time.monotonic() - begun,
            processor_seconds() - cpu_before))
        for line in told:
            say(line)
        outcomes.claims = before.outcomes | outcomes.claims
        claims = [_judged(claim, outcomes.claims[claim.key], own or suite.recorded)
                  for suite in inventory for claim in suite.claims]
        if all(claim.status == "LOST" for claim in claims) and not outcomes.refused:
            raise outcomes.stopped or OffchipError(f"no claim was run: {claims[0].message}")
        if outcomes.stopped:
            folder.turn_to(part)
            scope = (*scope, INTERRUPTED)
        log_ids = merge_logs([*carried, *outcomes.outputs], folder.fresh)
        (folder.fresh / "earlier.xml").unlink(missing_ok=True)
        shutil.rmtree(folder.fresh / "suites", ignore_errors=True)
        host.finish(outcomes.claims, told)
        facts = RunFacts(engine, firmware.sha256, options.seed, scope, _no_cells(), vault_objects(options.elf),
                         profile)
        summary = build_report(folder.fresh, facts, claims, asdict(host), log_ids, options.against)
        if outcomes.stopped:
            outcomes.stopped.left = (f"{summary['total'] - summary['not_run']} of {summary['total']} claims are kept, "
                                     "the same command with --resume goes on.")
        return folder.publish(), summary, outcomes.stopped


def _no_cells() -> tuple[NoCells, ...]:
    return tuple(NoCells(each.row, each.column, each.reason) for each in survey() if isinstance(each, NoCell))


def _scope(options: Options, own: bool, profile: str) -> tuple[str, ...]:
    """What makes this run one of a part of the claims, or of others; empty: it is a whole one."""
    return (*([] if own else [options.folder.name]), *options.suites, *options.tests,
            *(f"tag {each}" for each in options.include), *(f"not tag {each}" for each in options.exclude),
            *(["own credentials"] if options.own_credentials else []),
            *([f"profile {profile}"] if options.profile != DEFAULT_PROFILE else []))


def _judged(claim: Claim, outcome: Outcome, recorded: bool) -> Judged:
    return Judged(claim.suite, claim.name, claim.doc, outcome.status, outcome.message, recorded)


def _outcomes(options: Options, engine: str, elf: Path, fresh: Path, inventory: tuple[Suite, ...],
              say: Callable[[str], None]) -> Outcomes:
    temporary = Path(tempfile.mkdtemp(prefix="offchip-"))
    standbys = [standby(engine) for _ in range(min(options.jobs, len(inventory) or 1))]
    try:
        if reason := preflight(engine, elf, options.seed, options.limit_s, standbys[0]):
            say(f"no claim is run: {reason}")
            lost = {claim.key: Outcome("LOST", reason) for suite in inventory for claim in suite.claims}
            return Outcomes(lost, refused=True)
        variables = {"ENGINE": engine, "ELF": str(elf), "RECORDS": str(fresh / "records"), "SEED": str(options.seed),
                     "CAPTURES": str(options.captures), "PROFILE": options.profile}
        if options.own_credentials is not None:
            variables["OWN_CREDENTIALS"] = str(options.own_credentials)
        order = Order(options.folder, variables, PACKAGES, fresh / "suites", temporary, options.limit_s)
        return Run(order, inventory, standbys, say, options.each).finish()
    finally:
        for each in standbys:
            each.close()
        end_children()
        shutil.rmtree(temporary, ignore_errors=True)
