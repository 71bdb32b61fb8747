# SPDX-License-Identifier: Apache-2.0
"""How far an exploiter reaches into a scene.

He has the device, his own authority and servers, what he has found, and what everybody may know. There is no way from
here to the owner: not to the CA's key, nor to the registry, nor to the device's own identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from offchip import chip_map
from offchip.attacks.loot import Loot
from offchip.attacks.rogue import RogueBroker
from offchip.board.board import Board
from offchip.board.media import Eeprom, Lock, SdCard
from offchip.broker.events import Event
from offchip.engines.protocol import DebugPort
from offchip.errors import OffchipError
from offchip.network.internet import Endpoint, Service
from offchip.paths import FIRMWARE
from offchip.pki import Authority, Identity
from offchip.scene import HOST, PORT, Device, Scene
from offchip.scene.seeds import derive
from offchip.vault import EEPROM, SD, MediumKind

#: the attacker's address on the internet (RFC 5737)
ADDRESS = "203.0.113.7"


class AttackFailed(OffchipError):
    """The action could not be carried out, or did not reach its target (not: it brought nothing)."""


@dataclass(frozen=True, slots=True)
class OpenedChip:
    """What is inside a chip that a laboratory has opened. ``data``: the flash sectors behind the firmware."""

    data: bytes = field(repr=False)
    identity: bytes


@dataclass(frozen=True, slots=True)
class Careless:
    """A genuine server that takes any client. ``log``: what oracles read of it; no attacker does."""

    log: RogueBroker = field(repr=False)

    def connect(self, peer_name: str) -> Endpoint:
        """See :class:`offchip.network.internet.Service`."""
        return self.log.connect(peer_name)


@dataclass(slots=True)
class Reach:
    """An exploiter with one device in hand.

    Attributes:
        board: media, buses, console, power; its modem's network.
        debug_port: SWD.
        thing: the thing's name, as printed on the device and on its console.
        trusted: the owner's CA certificate, which is public.
        authority: the attacker's own.
        granted: server certificates with keys he may have come by, by kind (premises of A17 and A18).
        arrived: what the server received so far, only to know when an action has reached it.
        loot: what he has found.
        rogue: his server, once it stands.
        smuggled: an identity of his that was registered behind the owner's back (premise of an intruder).
        firmware: the device's, as its maker publishes it.
        careless: the genuine server as an owner runs it who asks no client for a certificate.
        others: devices of the same make that he owns himself.
        meanwhile: lets the owner's life go on until what the attacker waits for has happened: credentials renewed,
            settings changed, the device reset. None: nothing of the kind will happen.
    """

    board: Board
    debug_port: DebugPort
    thing: str
    trusted: x509.Certificate
    authority: Authority
    granted: Callable[[str], Identity]
    arrived: Callable[[], list[Event]] = field(repr=False)
    now: Callable[[], datetime] = field(repr=False)
    careless: Careless | None = field(default=None, repr=False)
    loot: Loot = field(default_factory=Loot)
    rogue: RogueBroker | None = None
    others: tuple[Reach, ...] = ()
    meanwhile: Callable[[], None] | None = field(default=None, repr=False)
    smuggled: Identity | None = None
    firmware: Path = FIRMWARE
    host: str = HOST
    port: int = PORT

    @classmethod
    def into(cls, scene: Scene, device: Device, others: Sequence[Device] = (),
             meanwhile: Callable[[], None] | None = None) -> Reach:
        """The exploiter of this scene with this device in hand, and those others he owns."""
        return cls(device.board, device.debug_port, device.thing, scene.authority.root.certificate,
                   Authority(derive(scene.seed, "attacker"), "rogue", keys="rsa"), scene.lost_server,
                   lambda: list(scene.broker.events), scene.utc, Careless(RogueBroker(scene.world.server)),
                   others=tuple(cls.into(scene, other) for other in others), meanwhile=meanwhile)

    @property
    def address(self) -> str:
        """Where the device believes its server to be."""
        return f"{self.host}:{self.port}"

    @property
    def server(self) -> Service:
        """The genuine server, reached from anywhere on the internet."""
        return self.board.internet.service(self.host, self.port)

    def medium(self, which: MediumKind) -> SdCard | Eeprom:
        """The medium in the attacker's reader. Raises AttackFailed for ``none``, and for a card that is locked."""
        if which not in (SD, EEPROM):
            raise AttackFailed(f"there is no medium '{which.name}'; name sd or eeprom")
        if which is SD and self.board.sd.locked:
            raise AttackFailed(f"{self.board.sd.name}: the card is locked, it answers no command that reads or writes")
        return self.board.sd if which is SD else self.board.eeprom

    def send_lock_command(self, what: Lock, password: bytes = b"") -> bool:
        """CMD42 to the card in the attacker's reader, which a locked card takes, too; whether it did."""
        return self.board.sd.lock_unlock(what, password)

    def start(self) -> None:
        """Let the device start anew: power on, or power cycle."""
        if self.board.powered:
            self.board.power_cycle()
        else:
            self.board.power_on()

    def wait_for_the_owner(self) -> None:
        """Do nothing until the owner has renewed, changed or reset something. Raises AttackFailed if he never does."""
        if self.meanwhile is None:
            raise AttackFailed("the owner does nothing the attacker could wait for")
        self.meanwhile()

    def open_chip(self) -> OpenedChip:
        """Take the memory out of the chip whatever its readout protection says.

        Instruction-level emulation has no glitches and no microscope; this stands for the published attacks that get
        past the protection of parts of this family (FIDELITY.md).
        """
        engine = self.board.engine
        return OpenedChip(engine.read_memory(chip_map.DATA.start, chip_map.DATA.size),
                          engine.read_memory(chip_map.UID.start, chip_map.UID.size))

    def set_up(self, page: bytes) -> None:
        """Give a device of the attacker's own another configuration page, as its factory did.

        Raises:
            AttackFailed: its chip is protected.
        """
        area = chip_map.CONFIGURATION
        if self.board.debug_port.rdp_level:
            raise AttackFailed(f"{self.thing}: its chip is protected and cannot be set up anew")
        self.board.engine.program(area.start, page.ljust(area.size, b"\xFF"))

    def disturb_rng(self, **knobs: int | str) -> None:
        """Act on the noise source of the chip's RNG, as heat, a carrier wave or a maker's defect would; see
        ``Engine.set_rng`` for the knobs.
        """
        for option, value in knobs.items():
            self.board.engine.set_rng(option, value)

    def another(self) -> Reach:
        """A unit of the same make that the attacker owns. Raises AttackFailed when he has none."""
        if not self.others:
            raise AttackFailed("the attacker has no other device of this make")
        return self.others[0]

    def answer_as_server(self, identity: Identity) -> RogueBroker:
        """Spoof the endpoint's name: from now on it leads to a server of the attacker's that shows ``identity``."""
        self.rogue = RogueBroker(identity)
        self.board.internet.redirect(self.host, self.port, self.rogue)
        return self.rogue
