# SPDX-License-Identifier: Apache-2.0
"""Where two reports differ: two engines, two commits, two seeds. Times are not compared, their order is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offchip.errors import OffchipError

#: of a record: not what was tried or seen, but where, when and at what pace
_NOT_COMPARED = {"schema", "scenario", "claim", "engine", "elf_sha256", "seed", "instructions", "cost"}
#: a time with its unit inside a sentence, e.g. ``console 2.120 s:``
_TIME = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|us|ns)\b")
_NAMES = {"fired": "evidence", "observations": "observation", "proven": "status"}
_WIDTH = 160
#: of a claim that one side does not have: nothing is known of its verdict there
_MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Report:
    """One side. ``facts``: engine, ELF and seed, which may differ without being a difference."""

    name: str
    facts: str
    claims: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about one claim that the sides do not agree on."""

    claim: str
    what: str
    left: str
    right: str


def load_report(path: Path) -> Report:
    """The ``results.json`` at ``path`` or in that folder. Raises OffchipError when it is none."""
    file = path / "results.json" if path.is_dir() else path
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        claims = {f"{row['suite']}.{row['claim']}": row for row in summary["claims"]}
        facts = f"{summary['engine']}, ELF {summary['elf_sha256'][:16]}, seed {summary.get('seed', '?')}"
    except OSError as error:
        raise OffchipError(f"{file}: cannot be read ({error.strerror}); give the folder of a report.") from None
    except (ValueError, KeyError, TypeError):
        raise OffchipError(f"{file}: not the results.json of a report.") from None
    return Report(str(path), facts, claims)


def compare(left: Report, right: Report) -> list[Difference]:
    """Every difference: claims both sides have, in the order of the left one, then those one of them has not."""
    found: list[Difference] = []
    for key in left.claims:
        if key in right.claims:
            found += _claim(key, left.claims[key], right.claims[key])
    for key in dict.fromkeys([*left.claims, *right.claims]):
        if key not in left.claims or key not in right.claims:
            found.append(Difference(key, _MISSING, *("there" if key in side.claims else "missing"
                                                     for side in (left, right))))
    return found


def _claim(key: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    for what in ("status", "verdict", "message"):
        yield from _field(key, what, _timeless(left.get(what)), _timeless(right.get(what)))
    first, second = left.get("record") or {}, right.get("record") or {}
    if bool(first) != bool(second):
        yield Difference(key, "record", *("there" if each else "missing" for each in (first, second)))
        return
    for name in dict.fromkeys([*first, *second]):
        if name not in _NOT_COMPARED and name not in ("verdict", "proven") and not name.endswith("_ns"):
            yield from _field(key, _NAMES.get(name, name), _timeless(first.get(name)), _timeless(second.get(name)))


def _field(key: str, what: str, left: Any, right: Any) -> Iterator[Difference]:
    if left == right:
        return
    if not isinstance(left, list) or not isinstance(right, list):
        yield Difference(key, what, _text(left), _text(right))
        return
    if len(left) != len(right):
        yield Difference(key, what, f"{len(left)} in all", f"{len(right)} in all")
    for number in range(max(len(left), len(right))):  # the first that differs; what follows is often only shifted
        pair = [_text(side[number]) if number < len(side) else "nothing" for side in (left, right)]
        if pair[0] != pair[1]:
            yield Difference(key, f"{what} {number + 1}", *pair)
            return


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(each) for name, each in value.items() if not name.endswith("_ns")}
    if isinstance(value, list):
        return [_timeless(each) for each in value]
    return _TIME.sub("(time)", value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items() if each not in ("", 0, None))
    return str(value)


def markdown(left: Report, right: Report, differences: list[Difference]) -> str:
    """For a job summary."""
    lines = [f"## offchip: {in_words(left, differences)}", "", f"A: `{left.name}` ({left.facts})  ",
             f"B: `{right.name}` ({right.facts})", ""]
    if differences:
        lines += ["| claim | what | A | B |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_cell(each) for each in (d.claim, d.what, d.left, d.right))} |" for d in differences]
        lines.append("")
    return "\n".join(lines)


def in_words(left: Report, differences: list[Difference]) -> str:
    """The one line at the end."""
    if not differences:
        return f"no difference in {len(left.claims)} claims"
    changed = [each for each in differences if each.what != _MISSING]
    verdicts = len({each.claim for each in changed if each.what in ("status", "verdict")})
    told = [f"{_count(len(changed), 'difference')} in {_count(len({each.claim for each in changed}), 'claim')}, "
            f"{verdicts or 'none'} of them in the verdict"] if changed else []
    for side, missing in (("A", [each for each in differences if each.left == each.what == _MISSING]),
                          ("B", [each for each in differences if each.right == each.what == _MISSING])):
        told += [f"{_count(len(missing), 'claim')} missing in {side}"] if missing else []
    return "; ".join(told)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def shorten(text: str) -> str:
    """One line of at most a screen's width; the reports have the rest."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else flat[:_WIDTH - 3] + "..."


def _cell(text: str) -> str:
    return shorten(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
