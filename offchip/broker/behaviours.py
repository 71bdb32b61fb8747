# SPDX-License-Identifier: Apache-2.0
"""The profiles as one table: ``python -m offchip.broker.behaviours > docs/broker-behaviours.md``."""

from __future__ import annotations

from offchip.broker.profile import DEFAULT_PROFILE, Profile, load_profile, profile_names

_HEAD = """\
# What the broker does, and who says so

Generated from `offchip/broker/profiles/*.toml` by `python -m offchip.broker.behaviours`; do not edit.

Confidence: *documented* (AWS says so), *reported* (users did, in public), *assumed* (ours). The date is that of the
text or report. Where another profile has another value, it stands beside the name of that profile. Every behaviour is a
switch: a TOML file that says `extends = "{default}"` and what differs, or `load_profile().with_changes(name=value)`.
`offchip behaviours NAME` tries one on a broker and says what was seen; with `--profile mine.toml` what your file
switches, before and after; `offchip run`, `replay`, `matrix` and `lab` take the same `--profile`. What is seen of each,
and with another value, is a test (`tests/behaviours.toml`).

| behaviour | value in {default} | elsewhere | confidence | date | source | test | note |
|---|---|---|---|---|---|---|---|
"""


def table() -> str:
    """Markdown, one row a behaviour."""
    default = load_profile(DEFAULT_PROFILE)
    others = [load_profile(name) for name in profile_names() if name != DEFAULT_PROFILE]
    rows = [_row(behaviour, default, others) for behaviour in default.evidence]
    return _HEAD.format(default=DEFAULT_PROFILE) + "".join(rows)


def _row(behaviour: str, default: Profile, others: list[Profile]) -> str:
    evidence = default.evidence[behaviour]
    value = getattr(default, behaviour)
    elsewhere = "; ".join(f"{each.name}: {_text(getattr(each, behaviour))} ({each.evidence[behaviour].confidence})"
                          for each in others if getattr(each, behaviour) != value)
    source = f"[{evidence.source.rsplit('/', 1)[-1] or evidence.source}]({evidence.source})" if evidence.source else ""
    cells = (f"`{behaviour}`", _text(value), elsewhere, evidence.confidence, evidence.date, source,
             f"`{evidence.test.removeprefix('tests/')}`", evidence.note)
    return "| " + " | ".join(each.replace("|", r"\|") for each in cells) + " |\n"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(table(), end="")
