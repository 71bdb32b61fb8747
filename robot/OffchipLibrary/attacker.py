# SPDX-License-Identifier: Apache-2.0
"""What an exploiter does with the device in hand. These keywords act and leave evidence; they never judge."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.attacks import bus, debug, medium, network
from offchip.attacks.evidence import Evidence
from offchip.broker import events
from OffchipLibrary.lab import Lab, Medium
from OffchipLibrary.stage import HOST, PORT


class AttackerKeywords:
    """Acting only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @property
    def _now(self) -> int:
        return self.lab.board.now_ns

    # media -----------------------------------------------------------------------------------------------------------
    @keyword(tags=("attacker", "A01"))
    def read_the_credentials_from(self, which: Medium) -> None:
        """Read the whole medium in the attacker's own reader and search it for certificates and keys."""
        self._take(medium.steal_credentials(self.lab.medium(which), self._now))

    @keyword(tags=("attacker", "A04"))
    def replace_the_trust_anchor_on(self, which: Medium) -> None:
        """Put the rogue's CA certificate on the medium in place of the owner's."""
        rogue_ca = self.lab.stage.rogue_authority.root.certificate_der
        self.lab.fired(medium.replace_trust_anchor(self.lab.medium(which), rogue_ca, self._now))

    @keyword(tags=("attacker", "A09"))
    def damage(self, which: Medium, how: str = "wipe", offset: int = 0) -> None:
        """Damage the medium's content.

        | =Argument= | =Description= |
        | how | ``wipe``: all erased; ``bit``: one bit at ``offset``; ``noise``: the whole medium |
        | | on SD also ``file``: the device key deleted; ``boot-sector`` overwritten; ``pem``: certificate cut short |
        """
        target, now = self.lab.medium(which), self._now
        if how == "wipe":
            self.lab.fired(medium.wipe(target, now))
        elif how == "bit":
            self.lab.fired(medium.flip_bit(target, offset, 0, now))
        elif how == "noise":
            self.lab.fired(medium.overwrite(target, 0, medium.noise(target.size), now))
        elif how == "boot-sector":
            self.lab.fired(medium.overwrite(target, 0, medium.noise(512), now))
        elif how == "file":
            self.lab.fired(medium.delete_device_key(target, now))
        elif how == "pem":
            self.lab.fired(medium.spoil_certificate(target, now))
        else:
            raise ValueError(f"there is no damage '{how}'")

    # buses -----------------------------------------------------------------------------------------------------------
    @keyword(tags=("attacker", "A02"))
    def clip_probes_on_the_buses(self) -> None:
        """Record every transaction on SPI and I2C from now on."""
        self.lab.board.spi_tap.record()
        self.lab.board.i2c_tap.record()

    @keyword(tags=("attacker", "A02"))
    def search_the_recorded_traffic(self) -> None:
        """Rebuild what crossed the buses and search it for certificates and keys."""
        board = self.lab.board
        self._take(bus.sniff_credentials([*board.spi_tap.drain(), *board.i2c_tap.drain()]))

    @keyword(tags=("attacker", "A09"))
    def hold_the_card_output_at(self, value: int) -> None:
        """Force the card's data line to one level for good: 0 (shorted to ground) or 255 (pulled up)."""
        self.lab.board.spi_tap.stuck_miso(value)

    @keyword(tags=("attacker", "A10"))
    def change_the_card_block_on_the_bus(self, block: int, offset: int, data: bytes, repair_crc: bool = False) -> None:
        """Sit between card and chip and change a block each time it is read.

        | =Argument= | =Description= |
        | block, offset | which bytes: 512-byte block, offset inside it |
        | data | what the chip gets to see instead |
        | repair_crc | also put the block's CRC16 right |
        """
        self.lab.board.spi_tap.replace_on_read(block, offset, data, fix_crc=repair_crc)

    @keyword(tags=("attacker", "A10"))
    def collect_what_the_probe_changed(self) -> None:
        """Take over the SPI probe's own record of what it really changed."""
        for fired in self.lab.board.spi_tap.fired():
            self.lab.fired(Evidence(fired.rule, f"{fired.bus} {fired.place}", fired.time_ns, "changed on the bus",
                                    fired.before, fired.after))

    # debug port ----------------------------------------------------------------------------------------------------
    @keyword(tags=("attacker", "A13"))
    def dump_everything_through_the_debug_port(self) -> None:
        """Ask SWD for flash, SRAM and CCM; search what it gives for the device's key."""
        public = self.lab.stage.device_public_key
        self._take(debug.steal_credentials(self.lab.board.debug_port, self._now, public))

    @keyword(tags=("attacker", "A13"))
    def dump_through_the_debug_port(self, region: str) -> None:
        """Ask SWD for one region (``flash``, ``sram``, ``ccm``) and search it for the device's key."""
        data, evidence = debug.dump(self.lab.board.debug_port, region, self._now)
        self._take(debug.search(data, region, evidence, self.lab.stage.device_public_key))

    @keyword(tags=("attacker", "A14"))
    def lower_the_readout_protection(self, level: int = 0) -> None:
        """Ask the debug port for a lower readout protection."""
        self.lab.fired(debug.set_protection(self.lab.board.debug_port, level, self._now))

    # network ---------------------------------------------------------------------------------------------------------
    @keyword(tags=("attacker", "A08"))
    def connect_as_the_device(self, client_id: str | None = None, publish: str | None = None,
                              payload: str = "forged", subscribe: str | None = None, identity: str = "stolen") -> None:
        """Connect to the broker over real TCP with an ordinary MQTT client (paho-mqtt).

        | =Argument= | =Description= |
        | client_id | default: the device's |
        | publish, subscribe | a topic to publish ``payload`` to with QoS 1, a filter to subscribe to |
        | identity | ``stolen``: what the attacker found; ``none``: no client certificate |
        """
        stage = self.lab.stage
        pair = self.lab.loot.identity if identity == "stolen" else None
        host, port = stage.listen()
        outcome = network.impersonate(
            host, port, stage.authority.root.certificate_pem, client_id or stage.thing,
            pair[1].pem if pair else None, pair[0].pem if pair else None,
            publish=[(publish, payload.encode())] if publish else None,
            subscribe=[subscribe] if subscribe else None, server_name=HOST)
        stage.hang_up()
        self.lab.fired(Evidence("connect over TCP", f"{host}:{port}", self._now,
                                f"paho-mqtt as {client_id or stage.thing}, identity {identity}: CONNACK "
                                f"{outcome.connack}, {outcome.error or 'no error'}"))

    @keyword(tags=("attacker", "A04"))
    def lead_the_name_to_a_rogue_broker(self) -> None:
        """Spoof DNS: the endpoint's name leads to the attacker's server, which shows a certificate of the rogue CA."""
        board = self.lab.board
        self.lab.fired(network.spoof_name(board.internet, HOST, PORT, self.lab.stage.rogue, self._now))

    @keyword(tags=("attacker", "A09"))
    def drop_the_connection(self) -> None:
        """Jam the radio for 100 ms of virtual time: the connection is gone, the network comes back."""
        board = self.lab.board
        start = self._now
        board.modem.network_up = False
        board.run(0.1)
        board.modem.network_up = True
        self.lab.fired(Evidence("jam the radio", "modem", start, "for 100 ms"))

    @keyword(tags=("attacker", "A09"))
    def pull(self, which: Medium) -> None:
        """Take the medium out, at once; whatever it was doing is cut."""
        self.lab.medium(which).eject()
        self.lab.fired(Evidence("pull", self.lab.medium(which).name, self._now, "medium out of its socket"))

    # a device whose configuration goes beyond its rights -------------------------------------------------------------
    @keyword(tags=("attacker", "A21"))
    def let_the_device_publish_on(self, topic: str) -> None:
        """Run until a publish of the device on ``topic`` has reached the broker, whatever the broker makes of it."""
        self._until_broker_saw(f"publish on {topic}", (events.PublishAccepted, events.PublishForbidden),
                               lambda event: event.topic == topic)

    @keyword(tags=("attacker", "A21"))
    def let_the_device_subscribe_to(self, topic_filter: str) -> None:
        """Run until a subscription of the device to ``topic_filter`` has reached the broker."""
        self._until_broker_saw(f"subscribe to {topic_filter}", (events.SubscribeAccepted, events.SubscribeForbidden),
                               lambda event: event.topic_filter == topic_filter)

    @keyword(tags=("attacker", "A21"))
    def present_the_client_id(self, client_id: str) -> None:
        """Run until a CONNECT with this client id has reached the broker."""
        self._until_broker_saw(f"CONNECT as {client_id}", (events.Connected, events.ConnectRefused),
                               lambda event: event.client_id == client_id)

    @keyword(tags=("attacker", "A19", "A21"))
    def present_the_certificate(self) -> None:
        """Run (powered on if it is off) until the device has shown its certificate to the broker from now on."""
        if not self.lab.board.powered:
            self.lab.board.power_on()
        self._until_broker_saw("present the device certificate",
                               (events.TlsEstablished, events.TlsFailed, events.CertificateRefused), lambda event: True,
                               since=len(self.lab.stage.broker.events))

    def _until_broker_saw(self, what, kinds, matches, since=0) -> None:  # noqa: ANN001
        log = self.lab.stage.broker.events

        def seen() -> bool:
            return any(isinstance(event, kinds) and matches(event) for event in log.since(since))

        self.lab.board.run_until(seen, 60.0, what)
        self.lab.fired(Evidence(what, f"{HOST}:{PORT}", self._now, "it reached the broker"))

    def _take(self, loot) -> None:  # noqa: ANN001
        self.lab.loot.keys += loot.keys
        self.lab.loot.certificates += loot.certificates
        self.lab.fired(*loot.evidence)
