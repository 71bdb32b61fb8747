# SPDX-License-Identifier: Apache-2.0
"""What the attacker ended up with: keys, sessions, dumps."""

from __future__ import annotations

import hashlib

from robot.api.deco import keyword

from offchip import chip_map
from offchip.attacks.carving import FoundKey
from offchip.attacks.debug import Memory
from offchip.attacks.reach import ADDRESS
from offchip.attacks.rogue import RogueBroker
from offchip.attacks.wire import BLOCK
from offchip.board.media import Eeprom, SdCard
from offchip.broker import events
from offchip.errors import MediumError
from offchip.evidence import Evidence
from offchip.scene.secrets import Secret
from offchip.scene.witness import DebugRequest
from offchip.vault import EEPROM, SD
from OffchipLibrary.lab import Lab

#: what the debug port is asked for, by the word of a claim
_REGIONS = {**dict(Memory.ALL.value), "uid": chip_map.UID}
CONSOLE = "usart1, the console"


class LootOracleKeywords:
    """Judging only: by the owner's knowledge of the true key, by reading back, by logs the attacker cannot write."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    # keys ------------------------------------------------------------------------------------------------------------
    @property
    def _secret(self) -> Secret:
        return Secret.of_key("the device's private key", self.lab.device.identity)

    def _proven(self, where: str = "") -> tuple[FoundKey, Evidence]:
        """The device's key among what was found, with the bytes it was found in, which are really at that place."""
        public = self.lab.device.identity.certificate.public_key()
        for key in self.lab.reach.loot.keys:
            if key.public_key != public or where not in key.where:
                continue
            for each in self.lab.record.fired:
                if each.place == key.where and self._secret.form_in(each.received) and self._is_real(each):
                    return key, each
        raise AssertionError(f"the device's key is not among {len(self.lab.reach.loot.keys)} keys found, "
                             "or was never where it is said to have been found")

    def _is_real(self, evidence: Evidence) -> bool:
        """The bytes came from the place: read back, or known from the debug port's own log."""
        place = evidence.place
        for kind in (SD, EEPROM):
            medium = self.lab.medium(kind)
            bus = "spi1" if kind is SD else "i2c1"
            if place.startswith((medium.name, bus)):
                return bool(self._secret.form_in(medium.image))
        digest = hashlib.sha256(evidence.received).hexdigest()
        return any(each.sha256 == digest for each in self._requests("read"))

    @keyword(tags=("oracle",))
    def attacker_should_have_the_device_key(self, where: str = "") -> None:
        """Among what was found is the device's own private key (found in ``where``, if given), and it was there."""
        key, evidence = self._proven(where)
        self.lab.saw(f"device key found in {key.where} at offset {key.offset} ({key.form}), {evidence.action}")

    @keyword(tags=("oracle",))
    def attacker_should_not_have_the_device_key(self) -> None:
        """Nothing the attacker has found or read holds the device's private key in any form."""
        public = self.lab.device.identity.certificate.public_key()
        found = [key for key in self.lab.reach.loot.keys if key.public_key == public]
        if found:
            raise AssertionError(f"the device's key was found in {found[0].where} at offset {found[0].offset}")
        read = [each for each in self.lab.record.fired if each.received]
        for each in read:
            form = self._secret.form_in(each.received)
            if form:
                raise AssertionError(f"the device's key is in what was got at {each.place}, as {form}")
        size = sum(len(each.received) for each in read)
        self.lab.saw(f"device key neither among {len(self.lab.reach.loot.keys)} keys found nor in {size} bytes read")

    @keyword(tags=("oracle",))
    def attacker_should_have_got_what_is_there(self, *places: str) -> None:
        """What the attack of this test says it has got is what lay there, or what the debug port's own log says.

        Without this, who reads nothing finds nothing, and a scheme would hold because its attacker was asleep.
        ``places``: something of each of them; none: something of any place.
        """
        own = self.lab.evidence()
        real = [each for each in own if self.came_from_there(each)]
        missing = [place for place in places if not any(each.place.startswith(place) for each in real)]
        if not real or missing:
            raise AssertionError(f"nothing of the {len(own)} things the attacker says he got is what is there"
                                 + (f" at {missing[0]}" if missing else ""))
        self.lab.saw(f"{len(real)} of {len(own)} things the attacker got are what is there: {real[-1].place}, "
                     f"{len(real[-1].received)} bytes")

    def came_from_there(self, evidence: Evidence) -> bool:
        """The bytes are at the place they are said to be from, or a log the attacker cannot write has them."""
        place = evidence.place
        got = evidence.before if evidence.action == "open with the secret" else evidence.received
        if place == CONSOLE:
            return bool(got) and got in bytes(self.lab.board.console.raw)
        for kind, bus, unit in ((SD, "spi1 block ", BLOCK), (EEPROM, "i2c1 byte ", 1)):
            medium = self.lab.medium(kind)
            if place == medium.name:
                return got == medium.image
            if place.startswith(f"{medium.name}:"):
                return bool(got) and got == _part(medium, place.partition(":")[2], len(got))
            if place.startswith(bus):
                start = int(place.removeprefix(bus)) * unit
                return bool(got) and medium.read(start, len(got)) == got
        if place.startswith("flash"):
            return self._was_in_a_flash(place, got)
        if place == "option bytes":
            return bool(self._requests("set-rdp"))
        return self._said_the_debug_port(place, got)

    def _said_the_debug_port(self, place: str, got: bytes) -> bool:
        digest = hashlib.sha256(got).hexdigest()
        return any(each.sha256 == digest if got else bool(each.refusal)
                   for each in self._requests("read") if f"0x{each.address:08X}" in place)

    def _was_in_a_flash(self, place: str, got: bytes) -> bool:
        """The data sectors of the device's chip, or the secret of another device whose chip was opened."""
        if place == "flash, the data sectors":
            return got == self.lab.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
        if place.startswith("flash of "):
            return any(got in device.secrets() for device in self.lab.scene.devices
                       if device.thing == place.removeprefix("flash of "))
        return self._said_the_debug_port(place, got)

    @keyword(tags=("oracle",))
    def attacker_should_have_been_let_in(self, topic: str) -> None:
        """With the key he had found, the attacker had a session of the device, and his publish was accepted."""
        self._proven()
        log = self.lab.scene.broker.events
        outside = {e.connection for e in log.of(events.ConnectionOpened) if e.peer_name == ADDRESS}
        sessions = [e for e in log.of(events.Connected) if e.connection in outside
                    and e.certificate_id == self.lab.device.identity.certificate_id]
        accepted = [e for e in log.of(events.PublishAccepted) if e.connection in outside and e.topic == topic]
        if not sessions or not accepted:
            raise AssertionError(f"sessions of the attacker: {sessions}; accepted publishes: {accepted}")
        self.lab.saw(f"broker: {sessions[0]}")
        self.lab.saw(f"broker: {accepted[0]}")

    def _outside(self) -> set[int]:
        """Connections that came from the attacker's address."""
        return {each.connection for each in self.lab.scene.broker.events.of(events.ConnectionOpened)
                if each.peer_name == ADDRESS}

    def _granted(self, publish: str = "", subscribe: str = "") -> list[events.Event]:
        """What the attacker asked of the server and got."""
        log, outside = self.lab.scene.broker.events, self._outside()
        found: list[events.Event] = [each for each in log.of(events.PublishAccepted) if each.topic == publish]
        found += [each for each in log.of(events.SubscribeAccepted) if each.topic_filter == subscribe]
        return [each for each in found if each.connection in outside]

    @keyword(tags=("oracle",))
    def attacker_should_have_been_granted(self, publish: str = "", subscribe: str = "") -> None:
        """The server took what the attacker published on a topic, or gave him what he subscribed to."""
        granted = self._granted(publish, subscribe)
        if not granted:
            raise AssertionError(f"the attacker's {len(self._outside())} connections were granted nothing of "
                                 f"'{publish or subscribe}'")
        self.lab.saw(f"broker: {granted[0]}")

    @keyword(tags=("oracle",))
    def attacker_should_have_been_turned_away(self, publish: str = "", subscribe: str = "") -> None:
        """The attacker turned to the server; it let him have no session, or refused him this: by ending the session,
        unless the server's rules are to go on in silence.
        """
        log, outside = self.lab.scene.broker.events, self._outside()
        if not outside:
            raise AssertionError("the attacker never turned to the server")
        granted = self._granted(publish, subscribe)
        sessions = [each for each in log.of(events.Connected) if each.connection in outside]
        refused = [each for each in (*log.of(events.PublishForbidden), *log.of(events.SubscribeForbidden))
                   if each.connection in outside and (publish or subscribe) in
                   (getattr(each, "topic", ""), getattr(each, "topic_filter", ""))]
        rules = self.lab.scene.broker.profile
        closes = rules.forbidden_publish_closes if publish else rules.forbidden_subscribe_closes
        ended = {each.connection for each in log.of(events.Disconnected)
                 if each.reason is events.DisconnectReason.FORBIDDEN_ACCESS} if closes else \
            {each.connection for each in refused}
        if granted or any(each.connection not in ended for each in sessions) or (sessions and not refused):
            words = "ended for" if closes else "refused"
            raise AssertionError(f"the attacker had {len(sessions)} sessions, of which "
                                 f"{sum(each.connection in ended for each in sessions)} were {words} a forbidden "
                                 f"request, and was granted {granted}")
        why = refused or [each for each in (*log.of(events.TlsFailed), *log.of(events.CertificateRefused),
                                            *log.of(events.ConnectRefused)) if each.connection in outside]
        if not why:
            raise AssertionError("nothing says why the attacker had no session")
        self.lab.saw(f"broker, to the attacker: {why[-1]}")

    # the rogue server ------------------------------------------------------------------------------------------------
    @property
    def _rogue(self) -> RogueBroker:
        rogue = self.lab.reach.rogue
        if rogue is None:
            raise AssertionError("the attacker has no server")
        if rogue.identity.certificate_id == self.lab.scene.world.server.certificate_id:
            raise AssertionError("the attacker's server shows the genuine server's certificate")
        return rogue

    @keyword(tags=("oracle",))
    def rogue_should_have_received_device_data(self) -> None:
        """The attacker's server has the device's telemetry, and the device says it has published."""
        rogue = self._rogue
        genuine = [m for m in rogue.messages if f'"thing":"{self.lab.device.thing}"'.encode() in m[1]]
        published = self.lab.board.console.find("^mqtt: published")
        if not genuine or not published:
            raise AssertionError(f"the rogue got {len(genuine)} packets, the device says it published {len(published)};"
                                 f" clients {rogue.clients}, failures {rogue.failures}")
        self.lab.saw(f"rogue broker received {genuine[0][0]}: {genuine[0][1].decode()}")

    @keyword(tags=("oracle",))
    def rogue_should_have_got_nothing(self, calls: int = 5, alert: int = 0) -> None:
        """The device called the rogue at least so many times and ended each handshake: no client id, no message.

        ``alert``: number of the TLS alert with which it did (0: any).
        """
        rogue = self._rogue
        if rogue.clients or rogue.messages or rogue.handshakes:
            raise AssertionError(f"the rogue got {rogue.handshakes} {rogue.clients} {rogue.messages[:1]}")
        ended = [visit.alert for visit in rogue.visits if visit.alert]
        if len(ended) < calls:
            raise AssertionError(f"the device called the rogue {len(rogue.visits)} times and refused it {len(ended)} "
                                 f"times, not {calls}")
        wrong = [each for each in ended if alert and each[0] != alert]
        if wrong:
            raise AssertionError(f"the device refused the rogue with alert {wrong[0]}, not {alert}")
        self.lab.saw(f"rogue broker: {len(ended)} handshakes ended with {set(ended) or 'nothing'}, nothing received")

    # debug port ------------------------------------------------------------------------------------------------------
    def _requests(self, what: str) -> list[DebugRequest]:
        return [each for each in self.lab.device.debug_port.requests if each.what == what]

    def _reads(self, region: str) -> list[DebugRequest]:
        if region not in _REGIONS:
            raise AssertionError(f"there is no region '{region}'; there are {', '.join(_REGIONS)}")
        return [each for each in self._requests("read") if each.address == _REGIONS[region].start]

    @keyword(tags=("oracle",))
    def debug_port_should_have_refused(self, region: str) -> None:
        """There were requests for this region (``flash``, ``sram``, ``ccm``), and the last one was refused."""
        reads = self._reads(region)
        if not reads or not reads[-1].refusal:
            raise AssertionError(f"requests for {region}: {reads}")
        self.lab.saw(f"debug port: {region} refused: {reads[-1].refusal}")

    @keyword(tags=("oracle",))
    def debug_port_should_have_given(self, region: str) -> None:
        """There were requests for this region, and the last one was answered."""
        reads = self._reads(region)
        if not reads or reads[-1].refusal:
            raise AssertionError(f"requests for {region}: {reads}")
        self.lab.saw(f"debug port: {region} given, SHA-256 {reads[-1].sha256[:16]}")

    @keyword(tags=("oracle",))
    def debug_port_should_have_refused_to(self, what: str, times: int = 1) -> None:
        """Requests of this kind (``set-rdp``, ``mass-erase``, ``write``) were made so many times, all refused."""
        requests = self._requests(what)
        if len(requests) < times or not all(each.refusal for each in requests):
            raise AssertionError(f"requests to {what}: {requests}")
        self.lab.saw(f"debug port: {len(requests)} requests to {what}, all refused")

    @keyword(tags=("oracle",))
    def flash_should_be_erased(self) -> None:
        """Every byte of the internal flash reads 0xFF (looked at through the back door)."""
        flash = self._flash()
        left = len(flash) - flash.count(b"\xff")
        if left:
            raise AssertionError(f"{left} bytes are left in the flash")
        self.lab.saw("flash: 1 MB of FF")

    @keyword(tags=("oracle",))
    def device_key_should_be_in_the_flash(self) -> None:
        """The internal flash still holds the device's private key (looked at through the back door)."""
        if not self._secret.form_in(self._flash()):
            raise AssertionError("the flash does not hold the device's private key")
        self.lab.saw("flash: holds the device's private key")

    def _flash(self) -> bytes:
        return self.lab.board.engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)

    @keyword(tags=("oracle",))
    def readout_protection_should_be(self, level: int) -> None:
        """The chip's present RDP level."""
        now = self.lab.board.debug_port.rdp_level
        if now != level:
            raise AssertionError(f"the readout protection is at level {now}")
        self.lab.saw(f"readout protection: level {now}")


def _part(medium: SdCard | Eeprom, name: str, length: int) -> bytes:
    """What a file of the medium holds, or so many bytes of it from an offset on; nothing: there is no such thing."""
    try:
        if name.isdecimal():
            return medium.read(int(name), length)
        return medium.read_file(name) if isinstance(medium, SdCard) else b""
    except MediumError:
        return b""
