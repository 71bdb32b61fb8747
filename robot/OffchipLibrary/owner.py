# SPDX-License-Identifier: Apache-2.0
"""What the device's owner does: power, media, the lid, and the server's registry."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.vault import MediumKind
from OffchipLibrary.lab import Lab


class OwnerKeywords:
    """Power, media and server side actions that are not attacks."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("owner",))
    def power_on(self) -> None:
        """Switch the supply on; the chip starts when time runs."""
        self.lab.board.power_on()

    @keyword(tags=("owner",))
    def leave_power_on(self) -> None:
        """Switch the supply on unless it is on already."""
        if not self.lab.board.powered:
            self.lab.board.power_on()

    @keyword(tags=("owner",))
    def power_off(self) -> None:
        """Switch the supply off; volatile memory is lost."""
        self.lab.board.power_off()

    @keyword(tags=("owner",))
    def power_cycle(self) -> None:
        """Supply off for 100 ms of virtual time, then on."""
        self.lab.board.power_cycle()

    @keyword(tags=("owner",))
    def let_time_pass(self, seconds: float) -> None:
        """Run the board for ``seconds`` of virtual time."""
        self.lab.board.run(seconds)

    @keyword(tags=("owner",))
    def insert(self, medium: MediumKind) -> None:
        """Put the medium back in."""
        self.lab.medium(medium).insert()

    @keyword(tags=("owner",))
    def open_the_case(self) -> None:
        """The magnet leaves the hall sensor."""
        self.lab.board.hall.open_case()

    @keyword(tags=("owner",))
    def deactivate_the_device_certificate(self) -> None:
        """UpdateCertificate INACTIVE at the server, as a fleet owner does when a device is stolen."""
        self.lab.owner_acted_ns = self.lab.scene.now_ns
        self.lab.scene.deactivate(self.lab.device.identity)

    @keyword(tags=("owner",))
    def publish_to_the_device(self, topic: str, payload: str) -> None:
        """Publish from the cloud's side with QoS 1."""
        self.lab.scene.broker.publish(topic, payload.encode(), qos=1)
