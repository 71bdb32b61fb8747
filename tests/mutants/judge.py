# SPDX-License-Identifier: Apache-2.0
"""A tree of its own for each worker, and what the lab's claims and tests say in it."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode

from robot.api import TestSuite

from tests.mutants.corpus import CorpusError

ROOT = Path(__file__).resolve().parents[2]
#: host seconds; ends what hangs, decides nothing else
LIMIT_S = 900
#: host seconds a judge has to end by itself once it is told to
_GRACE_S = 10
#: what runs at this moment, each with a process group of its own
_RUNNING: set[subprocess.Popen[str]] = set()
_STOPPED = threading.Event()


class Tree:
    """A copy of the checkout: changed, built and judged without touching the original."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, check=True).stdout.decode().split("\0")
        for name in filter(None, listed):
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for shared in (".cache", ".venv"):
            (folder / shared).symlink_to(ROOT / shared)
        if (ROOT / "firmware/build").is_dir():  # object files with their times: only what changed is compiled
            shutil.copytree(ROOT / "firmware/build", folder / "firmware/build", dirs_exist_ok=True)
        for code in ("offchip", "robot"):  # byte code that is looked up by the text it was made of, see below
            compileall.compile_dir(folder / code, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)

    @property
    def _environment(self) -> dict[str, str]:
        # no byte code by time and size: two edits of one size within a second would leave the older one in force
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{self.folder}:{self.folder / 'robot'}",
                "OFFCHIP_MUTANT": "1"}

    def build(self) -> None:
        """Raises CorpusError with the compiler's first complaint."""
        # a wrong build may leave things unused; that is not what is to be noticed here
        done = self._run(["make", "-s", "-C", "firmware", "WARNINGS="])
        if done.returncode:
            complaint = next((line for line in done.stderr.splitlines() if "error" in line.lower()), done.stderr[-200:])
            raise CorpusError(f"the firmware does not build: {complaint}")

    def verdicts(self, judges: Iterable[str]) -> dict[str, str]:
        """Judge -> ``green``, ``red`` or a word why there is no verdict (which counts as neither)."""
        judges = list(judges)
        tests = [each for each in judges if is_test(each)]
        claims = [each for each in judges if not is_test(each)]
        found: dict[str, str] = {}
        if claims:
            found |= self._claims(claims)
        if tests:
            found |= self._tests(tests)
        return found

    def _claims(self, claims: list[str]) -> dict[str, str]:
        results = self.folder / "mutant-results"
        shutil.rmtree(results, ignore_errors=True)
        command = [sys.executable, "-m", "offchip", "run", "--jobs", "1", "--no-summary", "--results", str(results)]
        for suite in dict.fromkeys(each.split(": ", 1)[0] for each in claims):
            command += ["--suite", suite]
        for claim in claims:
            command += ["--test", claim.split(": ", 1)[1]]
        done = self._run(command)
        try:
            rows = json.loads((results / "results.json").read_text(encoding="utf-8"))["claims"]
        except (OSError, ValueError, KeyError):
            said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            return dict.fromkeys(claims, f"no results: {said}")
        names = {f"{row['suite']}: {row['claim']}".casefold(): row["status"] for row in rows}
        statuses = {each: names.get(_spoken(each), "there is no such claim") for each in claims}
        return {each: {"proven": "green", "refuted": "red"}.get(status, status) for each, status in statuses.items()}

    def _tests(self, tests: list[str]) -> dict[str, str]:
        report = self.folder / "mutant-tests.xml"
        report.unlink(missing_ok=True)
        done = self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
                          *tests])
        if not report.exists():
            said = (done.stdout.strip().splitlines() or ["pytest said nothing"])[-1]
            return dict.fromkeys(tests, f"no verdict: {said}")
        found: dict[str, str] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            node = case.get("classname", ""), case.get("name", "")
            outcome = {child.tag for child in case}
            word = "red" if outcome & {"failure", "error"} else "skipped" if "skipped" in outcome else "green"
            for test in tests:
                # a node without parameters stands for all of its cases: red when one is
                if _junit(test) in (node, (node[0], node[1].split("[")[0])) and found.get(test) != "red":
                    found[test] = word
        return {test: found.get(test, "there is no such test") for test in tests}

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        if _STOPPED.is_set():
            raise CorpusError("interrupted")
        with subprocess.Popen(command, cwd=self.folder, env=self._environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
            _RUNNING.add(process)
            try:
                output, errors = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                _kill(process)
                process.communicate()
                return subprocess.CompletedProcess(command, 1, "", f"ended after {LIMIT_S} s")
            finally:
                _RUNNING.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def end_all() -> None:
    """Kill every judge that runs, and let none begin."""
    _STOPPED.set()
    for process in tuple(_RUNNING):
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)  # a run of claims ends its suites
        process.wait(_GRACE_S)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_test(judge: str) -> bool:
    """A pytest node id; a claim of the lab otherwise."""
    return "::" in judge


def claims() -> tuple[str, ...]:
    """Every claim of the lab's suites."""
    return tuple(f"{path.stem}: {test.name}" for path in sorted((ROOT / "robot/suites").glob("*.robot"))
                 for test in TestSuite.from_file_system(path).tests)


def _junit(node: str) -> tuple[str, str]:
    """``tests/test_x.py::TestY::test_z`` as JUnit's class name and name: ``tests.test_x.TestY``, ``test_z``."""
    path, *classes, name = node.split("::")
    return ".".join([*path.removesuffix(".py").split("/"), *classes]), name


def _spoken(claim: str) -> str:
    """``03_server_identity: X`` as Robot names it: ``03 server identity: x``."""
    suite, name = claim.split(": ", 1)
    return f"{suite.replace('_', ' ')}: {name}".casefold()
