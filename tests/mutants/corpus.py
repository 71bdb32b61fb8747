# SPDX-License-Identifier: Apache-2.0
"""The corpus as data: deliberately wrong builds, what must turn red, and correct variants that must stay green."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parent


class CorpusError(Exception):
    """A sentence for the user: the corpus does not fit the tree, or is not well-formed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One exact replacement in one file; ``find`` stands there exactly once."""

    file: str
    find: str
    replace: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberately changed build.

    Attributes:
        red: what must fail, each ``<suite>: <claim>`` of the lab or a pytest node id. Empty for a correct variant.
        green: what must still pass, in the same form.
        fast: part of the subset that the test command runs.
    """

    id: str
    what: str
    edits: tuple[Edit, ...]
    red: tuple[str, ...]
    green: tuple[str, ...]
    fast: bool
    source: str

    @property
    def judges(self) -> tuple[str, ...]:
        return self.red + self.green


def load(folder: Path = CORPUS) -> list[Mutant]:
    """Every mutant of the folder's TOML files, in order. Raises CorpusError naming file and entry."""
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise CorpusError(f"{path.name}: {error}") from None
        for entry in entries.get("mutant", []):
            mutants.append(_mutant(path.name, entry))
    seen: set[str] = set()
    for mutant in mutants:
        if mutant.id in seen:
            raise CorpusError(f"{mutant.source}: there are two entries of the id {mutant.id}")
        seen.add(mutant.id)
    return mutants


def _mutant(source: str, entry: dict[str, Any]) -> Mutant:
    name = f"{source}: {entry.get('id', 'an entry without id')}"
    unknown = set(entry) - {"id", "what", "edit", "red", "green", "fast"}
    if unknown:
        raise CorpusError(f"{name}: unknown fields {', '.join(sorted(unknown))}")
    try:
        edits = tuple(Edit(each["file"], each["find"], each["replace"]) for each in entry["edit"])
        mutant = Mutant(entry["id"], entry["what"], edits, tuple(entry.get("red", ())),
                        tuple(entry.get("green", ())), bool(entry.get("fast", False)), source)
    except KeyError as error:
        raise CorpusError(f"{name}: the field {error} is missing") from None
    if not edits:
        raise CorpusError(f"{name}: give at least one edit")
    return mutant


def check(mutant: Mutant, tree: Path) -> dict[Path, str]:
    """What its files would hold. Raises CorpusError where an anchor is not there exactly once."""
    after: dict[Path, str] = {}
    for edit in mutant.edits:
        path = tree / edit.file
        try:
            text = after[path] if path in after else path.read_text(encoding="utf-8")
        except OSError as error:
            raise CorpusError(f"{mutant.source}: {mutant.id}: {edit.file}: {error.strerror}") from None
        if text.count(edit.find) != 1:
            raise CorpusError(f"{mutant.source}: {mutant.id}: the text to replace stands {text.count(edit.find)} times "
                              f"in {edit.file}, not once")
        after[path] = text.replace(edit.find, edit.replace)
    return after


def apply(mutant: Mutant, tree: Path) -> dict[Path, str]:
    """Change the tree; returns what the files held before. Raises CorpusError where an anchor is not there once."""
    after = check(mutant, tree)
    before = {path: path.read_text(encoding="utf-8") for path in after}
    for path, text in after.items():
        path.write_text(text, encoding="utf-8")
    return before


def restore(before: dict[Path, str]) -> None:
    """Undo :func:`apply`."""
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def judges_of(mutants: Iterable[Mutant]) -> list[str]:
    """Every claim and test that any of them names, each once, in order."""
    return list(dict.fromkeys(judge for mutant in mutants for judge in mutant.judges))
