# SPDX-License-Identifier: Apache-2.0
"""What the device's owner does: power, media, the lid, and the server's registry."""

from __future__ import annotations

import json
from dataclasses import replace

from robot.api.deco import keyword

from offchip.attacks.wire import eeprom_content, sd_blocks
from offchip.board.factory import medium_image
from offchip.broker.client import MqttClient
from offchip.broker.world import TEMPLATE
from offchip.engines.protocol import StorageEvent
from offchip.pki import Identity
from offchip.scene import HOST
from offchip.vault import EEPROM, NO_CREDENTIALS, SD, MediumKind
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
    def let_go_of_the_bus(self) -> None:
        """Nobody holds a line of a medium any longer."""
        self.lab.board.spi_tap.stuck_miso(None)
        self.lab.board.i2c_tap.hold_sda(False)

    @keyword(tags=("owner",))
    def let_it_begin_to_write(self, timeout: float = 30) -> None:
        """Run the board until the device has begun to write to a medium."""
        board = self.lab.board
        kinds = (StorageEvent.SD_BLOCK, StorageEvent.EEPROM_PAGE)
        before = [board.faults.events(each) for each in kinds]
        board.run_until(lambda: [board.faults.events(each) for each in kinds] != before, timeout, "a write")

    @keyword(tags=("owner",))
    def let_it_begin_to_read(self, medium: MediumKind, size: int, timeout: float = 30) -> None:
        """Run the board until ``size`` bytes have come from a medium, as its bus shows them."""
        def come() -> int:
            heard = self.lab.heard(medium)
            return sum(len(each.data) for each in sd_blocks(heard) if not each.written) if medium is SD else \
                len(eeprom_content(heard))

        before = come()
        self.lab.board.run_until(lambda: come() - before >= size, timeout, f"a read of {size} bytes")

    @keyword(tags=("owner",))
    def note_what_is_secret(self) -> None:
        """Remember the keys there are now: the owner will look for them when they should be gone.

        And what crossed the buses so far: a tap keeps a limited number of events.
        """
        self.lab.noted += [each for each in self.lab.keys() if each not in self.lab.noted]
        for kind in (SD, EEPROM):
            self.lab.heard(kind)

    @keyword(tags=("owner",))
    def open_the_case(self) -> None:
        """The magnet leaves the hall sensor."""
        self.lab.board.hall.open_case()

    @keyword(tags=("owner",))
    def close_the_case(self) -> None:
        """The magnet is back at the hall sensor."""
        self.lab.board.hall.close_case()

    @keyword(tags=("owner",))
    def deactivate_the_device_certificate(self) -> None:
        """UpdateCertificate INACTIVE at the server, as a fleet owner does when a device is stolen."""
        self.lab.deactivate()

    @keyword(tags=("owner",))
    def keep_a_copy(self, medium: MediumKind) -> None:
        """Of what lies on a medium now."""
        self.lab.copies[medium.name] = self.lab.medium(medium).image

    @keyword(tags=("owner",))
    def put_the_copy_back(self, medium: MediumKind) -> None:
        """Write to the medium what `Keep A Copy` has kept of it."""
        self.lab.medium(medium).replace(self.lab.copies[medium.name])

    @keyword(tags=("owner",))
    def put_in_a_fresh_card(self) -> None:
        """A card as the factory prepares it for a device that makes its own records: nothing is in them yet."""
        device, card = self.lab.device, self.lab.board.sd
        newcomer = replace(device.provisioning, credentials=NO_CREDENTIALS)
        card.replace(medium_image(newcomer, SD, card.size))

    @keyword(tags=("owner",))
    def ask_for_another_key(self) -> None:
        """Ask the device to make another key and to replace its certificate; it answers when it is connected."""
        self.lab.owner_acted_ns = self.lab.scene.now_ns
        self.lab.scene.rotate(self.lab.device)

    @keyword(tags=("owner",))
    def present_the_factory_certificate(self) -> None:
        """Connect as the device, with the identity the factory gave it, as whoever kept a copy of it would."""
        self._present(self.lab.device.identity, self.lab.device.thing)

    @keyword(tags=("owner",))
    def present_the_claim(self, topic: str, payload: str = "{}") -> None:
        """Connect with the claim identity alone, and publish."""
        self._present(self.lab.scene.claim(self.lab.device.thing), "claimant", topic, payload)

    @keyword(tags=("owner",))
    def enrol_with_the_claim_as(self, thing: str) -> None:
        """Use the device's claim as whoever took it from the chip would: to become ``thing``."""
        scene = self.lab.scene
        create, register = "$aws/certificates/create/json", f"$aws/provisioning-templates/{TEMPLATE}/provision/json"
        client = MqttClient("claimant", scene.claim(self.lab.device.thing), scene.authority.certificates, HOST,
                            seed=scene.seed)
        client.connect(scene.broker)
        client.subscribe(f"{create}/accepted", f"{register}/accepted", f"{register}/rejected")
        client.publish(create, b"{}")
        made = json.loads(client.messages[-1].payload)
        client.publish(register, json.dumps({"certificateOwnershipToken": made["certificateOwnershipToken"],
                                             "parameters": {"ThingName": thing}}).encode())
        client.disconnect()

    def _present(self, identity: Identity, client_id: str, topic: str = "", payload: str = "") -> None:
        scene = self.lab.scene
        client = MqttClient(client_id, identity, scene.authority.certificates, HOST, seed=scene.seed)
        if client.connect(scene.broker) and topic:
            client.publish(topic, payload.encode())
        client.disconnect()

    @keyword(tags=("owner",))
    def publish_to_the_device(self, topic: str, payload: str) -> None:
        """Publish from the cloud's side with QoS 1."""
        self.lab.scene.broker.publish(topic, payload.encode(), qos=1)
