# SPDX-License-Identifier: Apache-2.0
"""What a goal is. To add one: a class in a module of this folder; cells and tests are derived from it.

A goal lets its attack act and then measures, with the oracles of this library, whether the attacker got what he was
after. It knows nothing of what is expected of a defence; that stands in ``offchip.matrix.predictions``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import ClassVar

from offchip.attacks.base import Applies, Attack, AttackFailed
from offchip.errors import BoardError, OffchipError
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.lab import Lab
from OffchipLibrary.loot_oracle import LootOracleKeywords
from OffchipLibrary.secret_oracle import SecretOracleKeywords
from OffchipLibrary.server_oracle import ServerOracleKeywords
from OffchipLibrary.store_oracle import StoreOracleKeywords

#: virtual seconds a device gets to show what an attack has done to it
SETTLE_S = 120.0


class Start(Enum):
    """What the device has done before the attacker comes."""

    FACTORY = auto()
    PUBLISHING = auto()
    ENROLLABLE = auto()  # as PUBLISHING; credentials that are lost are given up and got anew
    RENEWING = auto()  # the owner asked for another key; its certificate is there, what replaces the old one comes next


class Undecided(OffchipError):
    """The oracles see neither that the goal was reached nor that it was missed; one sentence."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured."""

    verdict: Verdict
    reason: str


class Oracles:
    """The oracle keywords, for goals."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    @cached_property
    def device(self) -> DeviceOracleKeywords:
        return DeviceOracleKeywords(self._lab)

    @cached_property
    def loot(self) -> LootOracleKeywords:
        return LootOracleKeywords(self._lab)

    @cached_property
    def server(self) -> ServerOracleKeywords:
        return ServerOracleKeywords(self._lab)

    @cached_property
    def secrets(self) -> SecretOracleKeywords:
        return SecretOracleKeywords(self._lab)

    @cached_property
    def store(self) -> StoreOracleKeywords:
        return StoreOracleKeywords(self._lab)


class Goal(ABC):
    """One way to fire one attack, and what it is after.

    Attributes:
        attack: id in the catalogue.
        variant: a word; attack and variant name the row.
        after: what the attacker wants, in plain words.
        start: what the device has done before.
        rdp_levels, policies: the switches this goal is asked under; empty: as shipped.
        guards: measures it is asked under, each alone; ``NONE`` stands for the defence without one.
        seeks_secrets: it asks whether a secret is out. That it is out is then the verdict, not a fault of the run.
    """

    attack: ClassVar[str]
    variant: ClassVar[str]
    after: ClassVar[str]
    start: ClassVar[Start] = Start.PUBLISHING
    rdp_levels: ClassVar[tuple[int, ...]] = ()
    policies: ClassVar[tuple[str, ...]] = ()
    guards: ClassVar[tuple[Guard, ...]] = (Guard.NONE,)
    seeks_secrets: ClassVar[bool] = False

    @abstractmethod
    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        """What is fired, in this order; those of other ids are steps on the way."""

    @abstractmethod
    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        """Whether the attacker has what he was after. Time may run.

        Raises:
            Undecided: it cannot be told.
        """

    def applies(self, defence: Defence) -> Applies:
        """Whether there is a cell for this defence, and why (not)."""
        for attack in self.attacks(defence):
            if not (applies := attack.applies(defence)):
                return applies
        return Applies(True, self.after)

    def prepare(self, lab: Lab) -> None:  # noqa: B027  (most goals need nothing)
        """What the owner or the factory does before the attack."""

    def meanwhile(self, lab: Lab) -> None:
        """What the owner does while the attacker waits for it. Raises AttackFailed: nothing."""
        raise AttackFailed("the owner does nothing the attacker could wait for")

    def fire(self, lab: Lab) -> None:
        """Let the attacker act. Raises AttackFailed."""
        for attack in self.attacks(lab.device.defence):
            lab.fire(attack)


def passes(lab: Lab, *oracles: Callable[[], object]) -> str:
    """'' when all oracles agree, else why not; what the others of a failed set saw is not kept."""
    seen = len(lab.record.observations)
    try:
        for oracle in oracles:
            oracle()
    except (AssertionError, BoardError) as error:
        del lab.record.observations[seen:]
        return str(error) or type(error).__name__
    return ""


def either(lab: Lab, broken: tuple[Callable[[], object], str], held: tuple[Callable[[], object], str]) -> Outcome:
    """The verdict whose oracle agrees, while the other one does not.

    Raises:
        Undecided: both agree or none.
    """
    why_not_broken, why_not_held = passes(lab, broken[0]), passes(lab, held[0])
    if bool(why_not_broken) == bool(why_not_held):
        raise Undecided(f"not broken: {why_not_broken}; not held: {why_not_held}" if why_not_broken
                        else "the oracles see the goal both reached and missed")
    return Outcome(Verdict.HELD, held[1]) if why_not_broken else Outcome(Verdict.BROKEN, broken[1])


def settle(lab: Lab, reached: Callable[[], bool] = lambda: False, failures: int = 1) -> None:
    """Let the device run until ``reached``, until it has published, or until attempts have failed since the attack.

    One failed attempt is enough where a device refuses: that the fifth ends as the first is a claim of the suites.

    Raises:
        Undecided: it did none of them.
    """
    console, begun = lab.board.console, lab.begun

    def told() -> bool:
        lines = [line.text for line in console.lines[begun.lines:]]
        return (reached() or any(text.startswith("mqtt: published") for text in lines)
                or sum(text.startswith(("state: waiting", "state: fault")) for text in lines) >= failures)

    if not lab.board.powered:
        lab.board.power_on()
    try:
        lab.board.run_until(told, SETTLE_S, "a sign of the device behind the attack")
    except BoardError as error:
        raise Undecided(f"the device shows nothing behind the attack: {error}") from error
