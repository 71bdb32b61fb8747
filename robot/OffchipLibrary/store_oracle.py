# SPDX-License-Identifier: Apache-2.0
"""What lies in the store now, by the owner's knowledge of its secret, and what the device makes of it."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.attacks.medium import COMPLAINTS
from offchip.board.console import ConsoleLine
from offchip.errors import MediumError, VaultError
from offchip.scene.kept import stored_value
from offchip.vault import Chunk
from offchip.vault.chunk import CREDENTIAL_TAGS
from OffchipLibrary.lab import Lab

_GOOD = "credentials: ok"


class StoreOracleKeywords:
    """Judging only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def store_should_hold_a_false(self, chunk: Chunk) -> None:
        """What is kept as a chunk is not what the factory gave the device."""
        given = self.lab.device.provisioning
        genuine = dict(given.credentials.entries())[CREDENTIAL_TAGS[chunk]]
        try:
            held = stored_value(self.lab.board, given, chunk)
        except (MediumError, VaultError) as error:
            self.lab.saw(f"store: no {chunk.value} can be had from it: {error}")
            return
        if held == genuine:
            raise AssertionError(f"the store holds the genuine {chunk.value}")
        different = sum(a != b for a, b in zip(held, genuine, strict=False)) + abs(len(held) - len(genuine))
        self.lab.saw(f"store: {different} of {len(genuine)} bytes of the {chunk.value} are not the genuine ones")

    def _words(self) -> list[ConsoleLine]:
        """What the device has said of its credentials since the attack."""
        told = self.lab.board.console.lines[self.lab.begun.lines:]
        return [line for line in told if line.text.startswith((*COMPLAINTS, _GOOD))]

    @keyword(tags=("oracle",))
    def device_should_have_taken_its_credentials(self) -> None:
        """Since the attack, the device has said of what it has read that it is good, and has complained of nothing."""
        words = self._words()
        bad = [line.text for line in words if not line.text.startswith(_GOOD)]
        if bad or not words:
            raise AssertionError(f"the device has said since the attack: {bad or 'nothing'}")
        self.lab.saw(f"console {words[-1].time_ns / 1e9:.3f} s: {words[-1].text}")

    @keyword(tags=("oracle",))
    def device_should_have_refused_its_credentials(self) -> None:
        """Since the attack, the device has complained of what it has read, each time."""
        words = self._words()
        good = [line.text for line in words if line.text.startswith(_GOOD)]
        if good or not words:
            raise AssertionError(f"the device has said since the attack: {good or 'nothing'}")
        self.lab.saw(f"console {words[0].time_ns / 1e9:.3f} s, {len(words)} times: {words[0].text}")
