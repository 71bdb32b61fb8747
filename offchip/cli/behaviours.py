# SPDX-License-Identifier: Apache-2.0
"""``offchip behaviours``: what the broker does, who says so, and what is seen when it is tried."""

from __future__ import annotations

from typing import Annotated

import typer

from offchip.broker.profile import DEFAULT_PROFILE, Profile, load_profile, named_profile
from offchip.errors import BrokerError

_SEEN = "seen: "


def behaviours(
    names: Annotated[list[str] | None, typer.Argument(help="Behaviours; without any: those that the profile switches, "
                                                           f"all of {DEFAULT_PROFILE}.")] = None,
    profile: Annotated[str, typer.Option(help="A profile by name, or a TOML file of your own.")] = DEFAULT_PROFILE,
) -> int:
    """Read where a behaviour of the server comes from, and see what it does: each is tried on a broker of its own.

    With --profile each is tried under aws-2026 too. Exit code 1 when a switched one is seen to make no difference.
    """
    from offchip.trials import TRIALS

    usual, mine = load_profile(), named_profile(profile)
    switched = [each for each in TRIALS if getattr(mine, each) != getattr(usual, each)]
    chosen = names or switched or list(TRIALS)
    if unknown := [each for each in chosen if each not in TRIALS]:
        raise BrokerError(f"there is no behaviour '{unknown[0]}'; offchip behaviours lists them all")
    seen_to = 0
    for each in chosen:
        seen = _seen(each, mine)
        print(f"{each} = {_text(getattr(mine, each))}\n  {_source(mine, each)}\n  {seen}")
        if each in switched:
            before = _seen(each, usual)
            differs = seen.startswith(_SEEN) and before != seen
            seen_to += differs
            print(f"  in {usual.name}, {_text(getattr(usual, each))}: {before.removeprefix(_SEEN)}"
                  f"{'' if differs else '   NO DIFFERENCE'}")
    asked = len(set(chosen) & set(switched))
    print(f"{len(chosen)} behaviours tried under {mine.name}; {len(switched)} differ from {usual.name}, {seen_to} of "
          f"them were seen to.")
    return 0 if seen_to == asked else 1


def _seen(name: str, profile: Profile) -> str:
    from offchip.trials import Untried, try_behaviour

    try:
        return _SEEN + try_behaviour(name, profile)
    except Untried as error:
        return str(error)


def _source(profile: Profile, name: str) -> str:
    said = profile.evidence[name]
    return f"{said.confidence}, {said.date}: {said.source or 'our own'}{said.note and f' ({said.note})'}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
