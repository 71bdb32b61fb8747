# SPDX-License-Identifier: Apache-2.0
"""Which claims a run owes an answer for, known before anything runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robot.api import TestSuite
from robot.errors import DataError

from offchip.errors import OffchipError
from offchip.runner.tags import AttackTags

#: name of the run's top suite; the full name of every claim begins with it
ROOT_NAME = "offchip"
#: of the files that choose cells of the matrix
PARSER = "offchip.matrix.parser.CellsParser"
#: libraries that write a record per test
_RECORDING = ("OffchipLibrary", "OffchipMatrix")


@dataclass(frozen=True, slots=True)
class Claim:
    """One test of a suite.

    Attributes:
        suite: name of its suite, e.g. ``06 Plain``.
        name: the claim in words.
        full_name: with all parent suites, as Robot's ``--test`` takes it.
        doc: first line of its documentation.
        tags: its attack's id and weaknesses, and its own.
    """

    suite: str
    name: str
    full_name: str
    doc: str
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Joins claim and verdict record (``Record.scenario``)."""
        return f"{self.suite}.{self.name}"


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of claims.

    Attributes:
        stem: file name without suffix, or a column of the matrix: what ``--suite`` takes.
        closes: the suite, or one above it, ends with a check of its own, which also decides about its claims.
        recorded: it uses a library of the lab, so each of its claims leaves a verdict record.
    """

    stem: str
    full_name: str
    claims: tuple[Claim, ...]
    closes: bool
    recorded: bool


def read_inventory(folder: Path, suites: Sequence[str] = (), tests: Sequence[str] = (), include: Sequence[str] = (),
                   exclude: Sequence[str] = ()) -> tuple[Suite, ...]:
    """The suites in ``folder`` with their claims, in the order of the files.

    Args:
        suites: parts of file names; empty for all.
        tests: names or Robot patterns of claims; empty for all.
        include, exclude: tags or Robot's patterns of tags, e.g. ``A01`` or ``CWE-312``; empty for all and none.

    Raises:
        OffchipError: a suite does not parse, a choice fits nothing, or two claims share one name.
    """
    root = _read(folder)
    stems = [_stem(suite) for suite in _leaves(root)]
    for name in suites:
        if not any(name in stem for stem in stems):
            raise OffchipError(f'there is no suite "{name}"; there are {", ".join(stems)}.')
    for pattern in tests:
        _need_claims(root, f'there is no test "{pattern}"', included_tests=pattern)
    for pattern in (*include, *exclude):
        _need_claims(root, f'no test has a tag "{pattern}"', included_tags=pattern)
    root.filter(included_tests=tests or None, included_tags=include or None, excluded_tags=exclude or None)
    chosen = tuple(
        Suite(_stem(suite), suite.full_name, _claims(suite), _closes(suite), _recorded(suite))
        for suite in _leaves(root) if not suites or any(name in _stem(suite) for name in suites))
    if not chosen:
        raise OffchipError("--suite, --test, --include and --exclude together choose nothing.")
    twice = [key for key, n in Counter(claim.key for suite in chosen for claim in suite.claims).items() if n > 1]
    if twice:
        raise OffchipError(f'{folder}: two tests are called "{twice[0]}"; a claim needs a name of its own.')
    return chosen


def _read(folder: Path) -> TestSuite:
    if folder.is_file() and folder.suffix != ".robot":
        raise OffchipError(f"{folder}: this is no suite; give the folder of the .robot files as --suites.")
    try:
        root = TestSuite.from_file_system(str(folder), custom_parsers=[PARSER])
    except DataError as error:
        raise OffchipError(f"{folder}: {str(error).splitlines()[0]}") from None
    root.name = ROOT_NAME
    root.visit(AttackTags())
    return root


def _need_claims(root: TestSuite, complaint: str, **chosen: str) -> None:
    trial = root.deepcopy()
    trial.filter(**chosen)
    if not trial.test_count:
        raise OffchipError(f'{complaint}; "offchip list claims" names them all.')


def robot_pattern(name: str) -> str:
    """``name`` as a pattern of Robot that fits nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _stem(suite: TestSuite) -> str:
    """What a person calls it: the name of its file; suites that share one are called by their own name."""
    return Path(suite.source).stem if suite.source is not None else suite.name.lower().replace(" ", "_")


def _leaves(suite: TestSuite) -> list[TestSuite]:
    if suite.tests:
        return [suite, *(leaf for child in suite.suites for leaf in _leaves(child))]
    return [leaf for child in suite.suites for leaf in _leaves(child)]


def _claims(suite: TestSuite) -> tuple[Claim, ...]:
    return tuple(Claim(suite.name, test.name, test.full_name, str(test.doc).split("\n")[0], tuple(test.tags))
                 for test in suite.tests)


def _closes(suite: TestSuite) -> bool:
    each: TestSuite | None = suite
    while each is not None:
        if each.has_teardown:
            return True
        each = each.parent
    return False


def _recorded(suite: TestSuite) -> bool:
    return any(each.type == "LIBRARY" and each.name in _RECORDING for each in suite.resource.imports)
