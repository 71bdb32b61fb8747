# SPDX-License-Identifier: Apache-2.0
"""Where a cell is run: on a copy of a device that is warm already, or on one of its own where nothing can be copied."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offchip.attacks.carving import carve
from offchip.attacks.reach import AttackFailed
from offchip.broker.profile import DEFAULT_PROFILE, Profile
from offchip.broker.world import NARROW
from offchip.captures import Recorder
from offchip.captures.keep import Keeper
from offchip.engines.fork import forked
from offchip.errors import OffchipError
from offchip.matrix.cells import Cell
from offchip.report.record import Record, Unearned, Verdict
from offchip.scene import Scene
from offchip.scene.cost import measure_cost
from offchip.scene.guard import Guard
from offchip.scene.scene import OTHER_THING, THING
from offchip.scene.secrets import find
from OffchipLibrary.goals.base import Oracles, Start, Undecided
from OffchipLibrary.lab import Lab

#: host seconds after which a cell's process counts as hung
LIMIT_S = 300.0
_PUBLISHED = r"^mqtt: published topic=offchip/feed "
_ISSUED = r"^credentials: ok source=issued "


@dataclass
class Bench:
    """Runs cells of one column; :meth:`close` lets go of its devices.

    Args:
        engine, elf, seed, profile: as for any scene.
    """

    engine: str
    elf: Path | None
    seed: int
    profile: Profile | str = DEFAULT_PROFILE
    _warm: dict[tuple[str, Start, bool], Lab] = field(default_factory=dict)

    def run(self, cell: Cell, scenario: str, keeper: Keeper | None = None) -> dict[str, Any]:
        """Fire and measure; the record as in its file, without prediction.

        Args:
            keeper: where to save what was captured; None: nowhere.

        Raises:
            OffchipError: it could not be run for reasons that are not the device's.
        """
        lab = self._warm_up(cell)
        if lab.board.engine.capabilities.fork:
            return forked(lambda: run_cell(cell, lab, scenario, keeper), LIMIT_S)
        try:
            return run_cell(cell, lab, scenario, keeper)
        finally:
            self.close()

    def cost(self, cell: Cell) -> dict[str, Any] | None:
        """What a start of this column's device costs, as in a record; None where the device cannot be copied."""
        lab = self._warm_up(cell)
        if not lab.board.engine.capabilities.fork or not lab.board.powered:
            return None
        return forked(lambda: measure_cost(lab.scene, lab.device).record(), LIMIT_S)

    def _warm_up(self, cell: Cell) -> Lab:
        tamper = cell.defence.guard is Guard.TAMPER
        key = (cell.column, cell.goal.start, tamper)
        if key not in self._warm:
            earlier = (cell.column, Start.PUBLISHING, tamper)
            self._warm[key] = self._renewing(self._warm.pop(earlier)) if cell.goal.start is Start.RENEWING \
                and earlier in self._warm else self._build(cell)
        return self._warm[key]

    @classmethod
    def _renewing(cls, lab: Lab) -> Lab:
        """The owner asks for another key; the device comes to the point at which it has one and keeps the old one."""
        with lab.recorder.secrets() if lab.recorder else nullcontext():
            try:
                lab.scene.rotate(lab.device)
                lab.board.console.wait_for(_ISSUED, 60.0)
                lab.board.console.wait_for(r"^tls: connected", 60.0)
                cls._look_at(lab)
            except BaseException:
                lab.close()
                raise
        return lab

    def _build(self, cell: Cell) -> Lab:
        lab = Lab(self.engine, self.elf, self.seed, recorder=Recorder())
        with lab.recorder.secrets() if lab.recorder else nullcontext():
            return self._build_into(lab, cell)

    def _build_into(self, lab: Lab, cell: Cell) -> Lab:
        scene = Scene(self.seed, things=(THING, OTHER_THING), interval_s=2.0, profile=self.profile)
        try:
            defence = replace(cell.defence, rdp_level=0, policy=NARROW, guard=Guard.NONE)
            device, other = (scene.build(thing, defence, engine=self.engine, elf=self.elf, rotation=True,
                                         tamper=cell.defence.guard is Guard.TAMPER,
                                         enrol_lost=cell.goal.start is Start.ENROLLABLE)
                             for thing in (THING, OTHER_THING))
            lab.install(scene, device, (other,))
            if lab.recorder:
                for each in (device, other):
                    lab.recorder.watch(scene, each)
            lab.reach  # noqa: B018  (the attacker's authority, made once for all copies)
            if cell.goal.start is not Start.FACTORY:
                device.board.power_on()
                device.board.console.wait_for(_PUBLISHED, 60.0)
            self._look_at(lab)
        except BaseException:
            scene.close()
            raise
        return self._renewing(lab) if cell.goal.start is Start.RENEWING else lab

    @staticmethod
    def _look_at(lab: Lab) -> None:
        """What the copies would each find out again of what is the same for all: media, spellings, the firmware."""
        lab.measure()
        secrets = lab.scene.secrets()
        for device in lab.scene.devices:
            for medium in (device.board.sd, device.board.eeprom):
                carve(medium.image, medium.name)
                find(secrets, medium.image)

    def close(self) -> None:
        """Let go of every device."""
        for lab in self._warm.values():
            lab.close()
        self._warm.clear()


def run_cell(cell: Cell, lab: Lab, scenario: str, keeper: Keeper | None = None) -> dict[str, Any]:
    """One cell on this lab, which is used up by it; the record as in its file."""
    lab.record = Record(scenario, cell.id, attack=cell.attack.id, cell=cell.id, defence=cell.defence.record(),
                        seed=lab.seed, profile=lab.scene.broker.profile.name)
    if lab.recorder is None:
        _judge(cell, lab)
    else:
        with lab.recorder.secrets():
            _judge(cell, lab)
        lab.record.timeline = lab.recorder.timeline()
        lab.record.captures = keeper.save(cell.id, lab.recorder) if keeper else []
    lab.measure()
    return lab.record.plain()


def _judge(cell: Cell, lab: Lab) -> None:
    try:
        lab.protect(cell.defence.rdp_level)
        lab.grant(cell.defence.policy)
        lab.guard(cell.defence.guard)
        lab.reach.meanwhile = lambda: cell.goal.meanwhile(lab)
        cell.goal.prepare(lab)
        cell.goal.fire(lab)
        outcome = cell.goal.measure(lab, see := Oracles(lab))
        lab.measure()
        lab.record.judge(outcome.verdict, outcome.reason)
        out = cell.goal.seeks_secrets and outcome.verdict is Verdict.BROKEN
        see.secrets.nothing_should_be_wrong_besides(leaks=not out)
    except (AttackFailed, Undecided, Unearned, AssertionError) as error:
        lab.record.verdict, lab.record.reason = Verdict.NOT_RUN, str(error) or type(error).__name__
    except OffchipError as error:
        lab.record.verdict, lab.record.reason = Verdict.NOT_RUN, f"{type(error).__name__}: {error}"
