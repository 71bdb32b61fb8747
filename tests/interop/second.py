# SPDX-License-Identifier: Apache-2.0
"""Our broker and an independent one, asked the same questions about registry and policies.

    .venv/bin/python -m tests.interop.second [PART OF A NAME]

Installs ``ministack`` (PyPI) into a folder of its own the first time. Prints where the two answer differently. Every
such difference is judged in ``differences.toml``: whom we hold to be right, and where it should stand. Exit code 1 when
one is not judged there, or is none any more.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.interop import guide
from tests.interop.__main__ import FOLDER, HERE, install
from tests.interop.brokers import Broker, Refused, ministack, ours
from tests.interop.questions import QUESTIONS, Asker, Question

DIFFERENCES = HERE / "differences.toml"
#: it serves mutual TLS only with cryptography beside it
PACKAGES = ("ministack==1.5.33", "cryptography==50.0.2")


def python() -> str | None:
    """The one that has ministack, when it is there."""
    program = FOLDER / PACKAGES[0] / "bin" / "python"
    return str(program) if (FOLDER / PACKAGES[0] / "installed").exists() else None


def answers(broker: Broker, questions: list[Question], folder: Path) -> dict[str, str]:
    """Question -> what it answered."""
    found = {}
    for number, each in enumerate(questions):
        asker = Asker(broker, folder, number)
        try:
            found[each.name] = each.ask(asker)
        except Refused:
            found[each.name] = "the owner is refused"
        finally:
            asker.close()
    return found


def compare(program: str, part: str = "") -> dict[str, tuple[str, str]]:
    """Question -> our answer, the other's."""
    questions = [each for each in (*QUESTIONS, *guide.questions()) if part in each.name]
    with tempfile.TemporaryDirectory(prefix="offchip-") as name:
        folder = Path(name)
        with ours(folder) as own, ministack(program, folder) as other:
            mine, theirs = (answers(each, questions, folder) for each in (own, other))
    return {each.name: (mine[each.name], theirs[each.name]) for each in questions}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reason why the two differ, and the questions it shows in with both answers. ``right``: whom we hold to be it;
    ``unknown`` where we know of nothing AWS published. ``source``: the page where the rule belongs."""

    right: str
    why: str
    source: str
    questions: dict[str, list[str]]


def judgements() -> list[Judgement]:
    """Those of ``differences.toml``."""
    return [Judgement(**each) for each in tomllib.loads(DIFFERENCES.read_text("utf-8"))["judgement"]]


def unjudged(found: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What is not as ``differences.toml`` has it: differences it does not know, and answers it has otherwise."""
    known = {name: tuple(both) for each in judgements() for name, both in each.questions.items()}
    return {name: both for name, both in found.items()
            if (name in known or both[0] != both[1]) and known.get(name) != both}


def main() -> int:
    """The command line."""
    ready = install(*PACKAGES)
    if isinstance(ready, str):
        print(f"second: {PACKAGES[0]} cannot be installed here: {ready}", file=sys.stderr)
        return 2
    found = compare(ready[0][0], " ".join(sys.argv[1:]))
    wrong = unjudged(found)
    for name, (mine, theirs) in wrong.items():
        print(f"not judged: {name}\n    offchip: {mine}\n    ministack: {theirs}")
    print("| what | questions | who is right | source |\n|---|---|---|---|")
    for each in judgements():
        print(f"| {each.why} | {len(each.questions)} | {each.right} | {each.source} |")
    differ = sum(mine != theirs for mine, theirs in found.values())
    print(f"\n{len(found)} questions, {differ} answered differently, {len(wrong)} not judged in {DIFFERENCES.name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
