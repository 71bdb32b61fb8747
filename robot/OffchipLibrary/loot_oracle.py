# SPDX-License-Identifier: Apache-2.0
"""What the attacker ended up with: keys, sessions, dumps."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from robot.api.deco import keyword

from offchip import chip_map
from offchip.broker import events
from OffchipLibrary.lab import Lab


class LootOracleKeywords:
    """Judging only, by the owner's knowledge of the true key and by the broker's log; never by the attacker's word."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def _true_keys(self) -> list:
        wanted = self.lab.stage.device.key_der
        return [each for each in self.lab.loot.keys if each.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) == wanted]

    @keyword(tags=("oracle",))
    def attacker_should_have_the_device_key(self, where: str = "") -> None:
        """Among what was found is the device's own private key (found in ``where``, if given)."""
        found = [each for each in self._true_keys() if where in each.where]
        if not found:
            raise AssertionError(f"the device's key is not among {len(self.lab.loot.keys)} keys found")
        self.lab.saw(f"device key found in {found[0].where} at offset {found[0].offset} ({found[0].form})")

    @keyword(tags=("oracle",))
    def attacker_should_not_have_the_device_key(self) -> None:
        """Nothing that was found is the device's private key."""
        found = self._true_keys()
        if found:
            raise AssertionError(f"the device's key was found in {found[0].where} at offset {found[0].offset}")
        self.lab.saw(f"device key not among the {len(self.lab.loot.keys)} keys found")

    @keyword(tags=("oracle",))
    def attacker_should_have_been_let_in(self, topic: str) -> None:
        """A session with the device's certificate came from outside the device, and its publish was accepted."""
        log = self.lab.stage.broker.events
        outside = {e.connection for e in log.of(events.ConnectionOpened) if e.peer_name == "127.0.0.1"}
        sessions = [e for e in log.of(events.Connected) if e.connection in outside
                    and e.certificate_id == self.lab.stage.device.certificate_id]
        accepted = [e for e in log.of(events.PublishAccepted) if e.connection in outside and e.topic == topic]
        if not sessions or not accepted:
            raise AssertionError(f"sessions of the attacker: {sessions}; accepted publishes: {accepted}")
        self.lab.saw(f"broker: {sessions[0]}")
        self.lab.saw(f"broker: {accepted[0]}")

    @keyword(tags=("oracle",))
    def rogue_should_have_received_device_data(self) -> None:
        """The attacker's server has the device's telemetry."""
        rogue = self.lab.stage.rogue
        genuine = [m for m in rogue.messages if f'"thing":"{self.lab.stage.thing}"'.encode() in m[1]]
        if not genuine:
            raise AssertionError(f"the rogue got nothing; clients {rogue.clients}, failures {rogue.failures}")
        self.lab.saw(f"rogue broker received {genuine[0][0]}: {genuine[0][1].decode()}")

    @keyword(tags=("oracle",))
    def rogue_should_have_got_nothing(self) -> None:
        """The device reached the rogue and ended the handshake: no client id, no message."""
        rogue = self.lab.stage.rogue
        if not rogue.failures:
            raise AssertionError("the device never reached the rogue")
        if rogue.clients or rogue.messages:
            raise AssertionError(f"the rogue got {rogue.clients} {rogue.messages[:1]}")
        self.lab.saw(f"rogue broker: handshake ended with {rogue.failures[0]}, nothing received")

    # debug port ------------------------------------------------------------------------------------------------------
    def _dumps(self, region: str) -> list:
        return [e for e in self.lab.record.fired if e.what == "dump" and e.where.startswith(region)]

    @keyword(tags=("oracle",))
    def debug_port_should_have_refused(self, region: str) -> None:
        """Every request for this region was refused."""
        dumps = self._dumps(region)
        if not dumps or not all(e.detail.startswith("refused") for e in dumps):
            raise AssertionError(f"requests for {region}: {dumps}")
        self.lab.saw(f"debug port: {region} {dumps[-1].detail}")

    @keyword(tags=("oracle",))
    def debug_port_should_have_given(self, region: str) -> None:
        """The region was read."""
        dumps = self._dumps(region)
        if not dumps or any(e.detail.startswith("refused") for e in dumps):
            raise AssertionError(f"requests for {region}: {dumps}")
        self.lab.saw(f"debug port: {region}: {dumps[-1].detail}")

    @keyword(tags=("oracle",))
    def flash_should_be_erased(self) -> None:
        """Every byte of the internal flash reads 0xFF (looked at through the back door)."""
        flash = b"".join(self.lab.board.engine.read_memory(part.start, part.size)
                         for part in (chip_map.BOOT, chip_map.DATA, chip_map.CODE))
        if flash.strip(b"\xff"):
            raise AssertionError(f"{len(flash.strip(bytes([255])))} bytes are left in the flash")
        self.lab.saw("flash: 1 MB of FF")

    @keyword(tags=("oracle",))
    def readout_protection_should_be(self, level: int) -> None:
        """The chip's present RDP level."""
        now = self.lab.board.debug_port.rdp_level
        if now != level:
            raise AssertionError(f"the readout protection is at level {now}")
        self.lab.saw(f"readout protection: level {now}")
