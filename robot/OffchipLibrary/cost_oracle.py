# SPDX-License-Identifier: Apache-2.0
"""What it costs to store credentials one way or another."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.scene import Defence, Device, Scene
from offchip.scene.cost import Cost, measure_cost
from offchip.scene.scene import THING
from offchip.vault import NONE, PLAIN, SD, MediumKind, Scheme
from OffchipLibrary.lab import Lab


class CostOracleKeywords:
    """Measures on devices of its own; nobody attacks them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._plain: dict[MediumKind, Cost] = {}

    @keyword(tags=("oracle",))
    def connecting_should_cost_at_most(self, percent: float, scheme: Scheme, medium: MediumKind = NONE) -> None:
        """From power-on to CONNACK, in instructions: so much more than ``plain`` on the same medium, at the most.

        The record gets the figures, for the report's table of costs.

        | =Argument= | =Description= |
        | percent | more than ``plain`` (on the SD card, for a scheme without a medium) |
        """
        scene, device = self._device(scheme, medium)
        self.lab.install(scene, device)
        cost = measure_cost(scene, device)
        self.lab.record.cost = cost.record()
        base = self._of_plain(SD if medium is NONE else medium)
        more = 100 * (cost.instructions / base.instructions - 1)
        self.lab.saw(f"{cost.instructions} instructions from power-on to CONNACK, {more:+.1f} % against plain")
        if more > percent:
            raise AssertionError(f"{scheme.name} on {medium.name}: {cost.instructions} instructions from power-on to "
                                 f"CONNACK are {more:.1f} % more than the {base.instructions} of plain, allowed are "
                                 f"{percent:g} %")

    def _of_plain(self, medium: MediumKind) -> Cost:
        if medium not in self._plain:
            scene, device = self._device(PLAIN, medium)
            try:
                self._plain[medium] = measure_cost(scene, device)
            finally:
                scene.close()
        return self._plain[medium]

    def _device(self, scheme: Scheme, medium: MediumKind) -> tuple[Scene, Device]:
        scene = Scene(self.lab.seed, things=(THING,), profile=self.lab.profile)
        try:
            return scene, scene.build(THING, Defence(scheme, medium), engine=self.lab.engine, elf=self.lab.elf)
        except BaseException:
            scene.close()
            raise
