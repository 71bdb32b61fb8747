# SPDX-License-Identifier: Apache-2.0
"""Runs the tests against a candidate, one world for each, and says what came out as JSON and as a page."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from offchip import vault
from offchip.advisor.cases import CASES, NAMES, POLICY_CASE, Case, Judged, Phase, Verdict
from offchip.advisor.server import AdvisorServer
from offchip.broker.listener import Listener
from offchip.broker.profile import load_profile
from offchip.broker.registry import Registry
from offchip.broker.world import HOST, PORT, SERVER_NAMES
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.network.internet import Service
from offchip.paths import FIRMWARE
from offchip.pki import EXPIRED, Authority, Identity
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING

_LARGE_NAMES = 260
_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Result:
    """``seconds``: of the candidate's time."""

    name: str
    category: str
    verdict: Verdict
    reason: str
    seconds: float


#: builds the test's server, given the candidate's authority and clock
Make = Callable[[Authority, Callable[[], float]], AdvisorServer]


class Running(Protocol):
    """A candidate at work on one test."""

    server: AdvisorServer

    def now_s(self) -> float:
        """Its time."""

    def advance(self) -> None:
        """Let some of it pass. Raises OffchipError when it was interrupted."""


class Candidate(Protocol):
    """Something that can be tested. ``name``: what the page calls it."""

    name: str
    #: its account and certificate, for Security_Device_Policies
    registry: Registry
    certificate: str

    def at(self, case: Case, make: Make) -> AbstractContextManager[Running]:
        """Begin one test with a fresh start."""


def run(candidate: Candidate, names: Iterable[str] = NAMES, say: Callable[[Result], object] = print) -> list[Result]:
    """Raises OffchipError for a name there is not."""
    wanted, cases = list(names), {each.name: each for each in CASES}
    if unknown := set(wanted) - set(NAMES):
        raise OffchipError(f"there is no test '{min(unknown)}'; there are {', '.join(NAMES)}.")
    results = []
    for name in wanted:
        result = _policies(candidate) if name == POLICY_CASE else _run(candidate, cases[name])
        results.append(result)
        say(result)
    return results


def _run(candidate: Candidate, case: Case) -> Result:
    def make(authority: Authority, now_s: Callable[[], float]) -> AdvisorServer:
        return AdvisorServer(server_identity(case.server, authority), authority.certificates, load_profile(),
                             case.steps[0].script, now_s)

    with candidate.at(case, make) as running:
        start, verdict = running.now_s(), Verdict.PASS
        said: list[str] = []
        for phase in case.steps:
            if said:  # with the first one's script it was made
                running.server.begin(phase.script)
            one, reason = _judge(running, phase)
            said.append(f"{phase.name}: {reason}" if phase.name else reason)
            verdict = one if one is not Verdict.PASS else verdict
            if verdict is Verdict.FAIL:
                break
        return Result(case.name, case.category, verdict, "; ".join(said), round(running.now_s() - start, 3))


def _judge(running: Running, phase: Phase) -> tuple[Verdict, str]:
    start = running.now_s()
    judged: Judged = None
    while judged is None and running.now_s() - start < phase.limit_s:
        running.advance()
        if running.now_s() - start >= phase.lasts_s:
            judged = phase.judge(running.server.record)
    if judged is None:
        connected = running.server.record.has("tcp")
        judged = Verdict.FAIL, phase.at_end if connected else f"nobody connected; {phase.at_end}"
    return judged


def _policies(candidate: Candidate) -> Result:
    """No attached policy may hold a wildcard."""
    verdict, reason = Verdict.PASS, "no policy attached to its certificate holds a wildcard"
    for policy in candidate.registry.policies_of(candidate.certificate, candidate.registry.things.get(THING)):
        for statement in policy.statements:
            loose = [each for each in (*statement.actions, *statement.resources) if "*" in each or "?" in each]
            if loose:
                verdict, reason = Verdict.FAIL, f"{statement.label} holds '{loose[0]}'"
    return Result(POLICY_CASE, "Permissions and policies", verdict, reason, 0.0)


def server_identity(kind: str, authority: Authority) -> Identity:
    """What the server shows: see :class:`offchip.advisor.cases.Case`."""
    if kind == "foreign":
        return Authority("somebody else", "somebody else", keys="rsa").issue_server(SERVER_NAMES)
    if kind == "wrong-host":
        return authority.issue_server(["mail.offchip.test"])
    if kind == "expired":
        return authority.issue_server(SERVER_NAMES, *EXPIRED)
    more = [f"name-{number:04}.advisor.offchip.test" for number in range(_LARGE_NAMES)] if kind == "large" else []
    return authority.issue_server([*SERVER_NAMES, *more])


# candidates --------------------------------------------------------------------------------------------------------
class Firmware:
    """Firmware on an emulated board; virtual time."""

    def __init__(self, elf: Path = FIRMWARE, engine: str = "embedded", scheme: str = "internal", medium: str = "none",
                 seed: int = 1) -> None:
        self.name = f"{elf.name}, {scheme}/{medium}"
        self._elf, self._engine, self._seed = elf, engine, seed
        self._defence = Defence(vault.scheme(scheme), vault.medium(medium))
        scene = Scene(seed, things=(THING,))
        self.registry, self.certificate = scene.registry, scene.world.devices[THING].certificate_id
        scene.close()

    @contextmanager
    def at(self, case: Case, make: Make) -> Any:
        scene = Scene(self._seed, things=(THING,))
        try:
            yield _OnBoard(scene, case, make, self._defence, self._engine, self._elf)
        finally:
            scene.close()


class _OnBoard:
    def __init__(self, scene: Scene, case: Case, make: Make, defence: Defence, engine: str, elf: Path) -> None:
        self._scene = scene
        self.server = make(scene.authority, self.now_s)
        service: Service = self.server
        scene.internet.register(HOST, PORT, service)
        self._board = scene.build(THING, defence, engine=engine, elf=elf, **case.device).board
        self._board.power_on()

    def now_s(self) -> float:
        return self._scene.now_ns / 1e9

    def advance(self) -> None:
        self._board.run(_STEP_S)


class OverTcp:
    """Whatever connects to a port of this host; real time. ``prepare`` is told each test before it begins."""

    def __init__(self, scene: Scene, port: int, stop: Interrupt, prepare: Callable[[Case, int], object],
                 limit_s: float | None = None) -> None:
        self.name = "what connects"
        self.registry, self.certificate = scene.registry, scene.world.devices[THING].certificate_id
        self._scene, self._port, self._stop, self._prepare, self._limit_s = scene, port, stop, prepare, limit_s

    @contextmanager
    def at(self, case: Case, make: Make) -> Any:
        server = make(self._scene.authority, time.monotonic)
        with Listener(server, port=self._port) as listener:
            self._prepare(case, listener.port)
            yield _Waiting(server, self._stop, case.limit_s, self._limit_s)


class _Waiting:
    def __init__(self, server: AdvisorServer, stop: Interrupt, case_s: float, limit_s: float | None) -> None:
        self.server, self._stop = server, stop
        # a shorter patience makes this clock run faster, so that the test's own limit is reached sooner
        self._pace = case_s / limit_s if limit_s else 1.0

    def now_s(self) -> float:
        return time.monotonic() * self._pace

    def advance(self) -> None:
        if self._stop:
            raise OffchipError("interrupted; the tests so far were printed.")
        time.sleep(_STEP_S)


# what comes out ----------------------------------------------------------------------------------------------------
def record(candidate: str, results: Iterable[Result]) -> dict[str, Any]:
    """As JSON has it."""
    listed = [asdict(each) for each in results]
    counts = {verdict.value: sum(each["verdict"] is verdict for each in listed) for verdict in Verdict}
    return {"candidate": candidate, "counts": counts, "tests": listed}


def page(content: Mapping[str, Any]) -> str:
    """One file without a network."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(each["name"])}</th><td>{html.escape(each["category"])}</td>'
        f'<td class="{each["verdict"].lower()}">{each["verdict"]}</td><td>{html.escape(each["reason"])}</td>'
        f'<td>{each["seconds"]:g} s</td></tr>\n' for each in content["tests"])
    counts = ", ".join(f"{number} {verdict}" for verdict, number in content["counts"].items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Device Advisor tests</title><link rel="icon" href="data:,"><style>
:root {{ color-scheme: light dark; --good: #17672b; --bad: #a8201a; --warn: #6a3d00 }}
@media (prefers-color-scheme: dark) {{ :root {{ --good: #7fd494; --bad: #ff9d96; --warn: #f0bf75 }} }}
body {{ font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8885;
  font-weight: 400 }}
.pass {{ color: var(--good) }} .fail {{ color: var(--bad) }} .pass_with_warnings {{ color: var(--warn) }}
</style></head><body><main><h1>Device Advisor tests: {html.escape(content["candidate"])}</h1><p>{counts}</p>
<div class="scroll" tabindex="0" role="region" aria-label="results"><table><thead><tr><th scope="col">Test</th>
<th scope="col">Category</th><th scope="col">Verdict</th><th scope="col">Why</th><th scope="col">Time</th></tr></thead>
<tbody>
{rows}</tbody></table></div></main></body></html>
"""
