# SPDX-License-Identifier: Apache-2.0
"""The story: a healthy fleet, then one device is cloned, one rolled back, one stolen; the owner's rules do the rest.

The three in wrong hands are firmware on boards, and as many others as asked for; the rest are peers at the protocol.
All share one clock, one internet and one broker, and everything follows from one seed.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from offchip import vault
from offchip.board.board import Board
from offchip.board.media import SdCard
from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.broker.processor import THING_TOPIC
from offchip.broker.reactions import HOSTILE, Rules
from offchip.broker.world import HOST
from offchip.errors import OffchipError
from offchip.fleet.peer import Peer
from offchip.paths import FIRMWARE
from offchip.pki import Identity
from offchip.scene import Defence, Scene
from offchip.scene.renewal import storage
from offchip.scene.scene import Device
from offchip.vault.plain import FILES
from offchip.vault.records import Tag

#: what this owner reacts to
RULES = Rules(forbidden=True, rogue=HOSTILE, rogue_packets=3, takeovers=2, within_s=60.0, shared=True, sequences=2,
              retired=True)
CLONED, ROLLED_BACK, STOLEN = "cloned", "rolled back", "stolen"
_KEY_FILE = next(path for path, (tag, _) in FILES.items() if tag is Tag.DEVICE_PRIVATE_KEY)
_INTERVAL_S = 2.0
_STEP_S = 0.05
_START_S, _LIMIT_S, _KNOCKS_S, _AFTER_S = 30.0, 60.0, 1.0, 5.0
_VICTIMS = {CLONED: vault.scheme("plain"), ROLLED_BACK: vault.scheme("labelled"), STOLEN: vault.scheme("plain")}


@dataclass(frozen=True, slots=True)
class Plan:
    """``devices`` in all, ``real`` of them firmware on boards (at least the three); ``seed`` of everything; ``elf``:
    the firmware."""

    devices: int = 50
    real: int = 3
    seed: int = 1
    engine: str = "embedded"
    elf: Path = FIRMWARE

    def __post_init__(self) -> None:
        if not len(_VICTIMS) <= self.real <= self.devices <= 200:
            raise OffchipError(f"a fleet has {len(_VICTIMS)} to 200 devices, and {len(_VICTIMS)} or more of them are "
                               f"real; {self.real} of {self.devices} cannot be.")


@dataclass(slots=True)
class Attack:
    """Seconds of virtual time; ``evidence``: what happened on the way, each with its place. ``rule`` that banned."""

    kind: str
    thing: str
    fired_s: float = 0.0
    banned_s: float | None = None
    rule: str = ""
    reason: str = ""
    evidence: list[str] = field(default_factory=list)

    @property
    def detected_after_s(self) -> float | None:
        return None if self.banned_s is None else round(self.banned_s - self.fired_s, 6)


@dataclass(slots=True)
class Outcome:
    """``out``: things whose every certificate is out of use; ``lost``: things of the others -> what they lost, in
    words; ``packets``: believed ones of each thing."""

    plan: Plan
    attacks: list[Attack]
    out: list[str]
    lost: dict[str, str]
    packets: dict[str, int]
    virtual_s: float

    @property
    def held(self) -> bool:
        """Exactly those are out, and nobody else lost a thing."""
        return sorted(each.thing for each in self.attacks) == self.out and not self.lost

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        plan = self.plan
        return {"devices": plan.devices, "real": plan.real, "seed": plan.seed, "held": self.held,
                "out": self.out, "lost": self.lost,
                "virtual_s": round(self.virtual_s, 3), "packets": self.packets,
                "attacks": [{**asdict(each), "detected_after_s": each.detected_after_s} for each in self.attacks]}


def play(plan: Plan, say: Callable[[str], None] = lambda line: None, rules: Rules = RULES) -> Outcome:
    """Raises OffchipError when the fleet does not come to life or an attack cannot be made."""
    scene = _Fleet(plan, say, rules)
    try:
        return scene.play()
    finally:
        scene.close()


class _Fleet:
    def __init__(self, plan: Plan, say: Callable[[str], None], rules: Rules) -> None:
        self.plan, self.say = plan, say
        self.things = [f"thing-{number:02}" for number in range(1, plan.devices + 1)]
        self.scene = Scene(plan.seed, things=self.things, rules=rules)
        self.attacks = [Attack(kind, thing) for kind, thing in zip(_VICTIMS, self.things, strict=False)]
        schemes = {each.thing: _VICTIMS[each.kind] for each in self.attacks}
        self.real = {each: self._build(each, schemes.get(each, vault.scheme("fresh")))
                     for each in self.things[:plan.real]}
        chance = random.Random(plan.seed)
        self.peers = [Peer(thing, self.scene.world.devices[thing], self.scene.authority, f"10.1.0.{number}",
                           _INTERVAL_S, chance) for number, thing in enumerate(self.things[plan.real:], 1)]

    def _build(self, thing: str, scheme: vault.Scheme) -> Device:
        return self.scene.build(thing, Defence(scheme, vault.SD), engine=self.plan.engine, elf=self.plan.elf,
                                rotation=True)

    def play(self) -> Outcome:
        scene = self.scene
        for peer in self.peers:
            peer.start(scene.broker, 0.0)
        for device in self.real.values():
            device.board.power_on()
        self._until(lambda: all(self._believed()[thing] for thing in self.things), _START_S, "each one's first packet")
        self.say(f"{self._now():8.3f} s  {len(self.things)} devices publish, {len(self.real)} of them on boards")
        for attack, act in zip(self.attacks, (self._clone, self._roll_back, self._steal), strict=True):
            act(attack)
            self._await_ban(attack)
            self._retire(attack)
        self._for(_AFTER_S)
        return self._outcome()

    # the attacks ---------------------------------------------------------------------------------------------------
    def _clone(self, attack: Attack) -> None:
        """The card's image goes into a second board of the same type, which is switched on."""
        original = self.real[attack.thing]
        clone = self._build(attack.thing, original.defence.scheme)
        image = storage(original).image
        storage(clone).replace(image)
        attack.evidence.append(f"{len(image)} bytes of the card of '{attack.thing}' are in another board")
        self._fire(attack)
        clone.board.power_on()

    def _roll_back(self, attack: Attack) -> None:
        """The card is imaged, the owner has the key replaced, and the old image is put back."""
        device = self.real[attack.thing]
        old = storage(device).image
        self.scene.rotate(device)
        self._until(lambda: bool(self.scene.broker.events.of(events.CertificateReplaced)), _LIMIT_S, "the rotation")
        replaced, = self.scene.broker.events.of(events.CertificateReplaced)
        attack.evidence.append(f"'{attack.thing}' replaced {replaced.ended[0][:8]} by {replaced.certificate_id[:8]}")
        self._for(1.0)
        device.board.power_off()
        storage(device).replace(old)
        attack.evidence.append(f"{len(old)} bytes of the card as it was before are back")
        self._fire(attack)
        device.board.power_on()

    def _steal(self, attack: Attack) -> None:
        """The key is read off the card; the thief tries what it opens, from his own address."""
        device = self.real[attack.thing]
        card = storage(device)
        found = card.read_file(_KEY_FILE) if isinstance(card, SdCard) and _KEY_FILE in card.files() else b""
        place = card.image.find(found)
        if b"PRIVATE KEY" not in found or not _same_key(found, device.identity):
            raise OffchipError(f"the key of '{attack.thing}' is not on its card; there is nothing to steal.")
        attack.evidence.append(f"{len(found)} bytes of {_KEY_FILE}")
        attack.evidence.append(f"private key of '{attack.thing}' at offset {place} of its card's image")
        device.board.power_off()
        thief = MqttClient(attack.thing, device.identity, self.scene.authority.certificates, HOST, seed="thief")
        self._fire(attack)
        thief.connect(self.scene.broker, "10.66.0.1")
        attack.evidence.append(f"the thief's CONNACK: {thief.connack}")
        thief.subscribe(f"{THING_TOPIC}+")
        attack.evidence.append(f"the thief asked for '{THING_TOPIC}+' and got {thief.granted or 'nothing'}")

    def _fire(self, attack: Attack) -> None:
        attack.fired_s = self._now()
        self.say(f"{attack.fired_s:8.3f} s  {attack.thing} is {attack.kind}")

    def _await_ban(self, attack: Attack) -> None:
        """Until the owner's rules name the thing's certificate, or the time is over."""
        registry, end = self.scene.registry, self._now() + _LIMIT_S

        def bans() -> list[events.Banned]:
            own = set(registry.principals_of(attack.thing))
            return [each for each in self.scene.broker.events.of(events.Banned) if each.certificate_id in own]

        while not bans() and self._now() < end:
            self._step()
        for ban in bans()[:1]:
            start = self.scene.clock.start
            attack.banned_s = (ban.time - start).total_seconds()
            attack.rule, attack.reason = ban.rule, ban.reason
            self.say(f"{attack.banned_s:8.3f} s  {attack.thing} is out: {ban.rule}: {ban.reason}")

    def _retire(self, attack: Attack) -> None:
        """Who is out knocks for a while in vain; then its boards are switched off, as nobody waits for them."""
        if attack.banned_s is None:
            return
        self._for(_KNOCKS_S)
        refused = [each for each in self.scene.broker.events.of(events.CertificateRefused)
                   if each.certificate_id in self.scene.registry.principals_of(attack.thing)]
        attack.evidence.append(f"refused {len(refused)} times by the end")
        for device in self.scene.devices:
            if device.thing == attack.thing and device.board.powered:
                device.board.power_off()

    # time ----------------------------------------------------------------------------------------------------------
    def _now(self) -> float:
        return self.scene.now_ns / 1e9

    def _leader(self) -> Board:
        return next(iter(self.real.values())).board

    def _step(self) -> None:
        self._leader().run(_STEP_S)
        for peer in self.peers:
            peer.advance(self._now(), self.scene.utc())
        self.scene.advance(self.scene.now_ns)

    def _for(self, seconds: float) -> None:
        end = self._now() + seconds
        while self._now() < end:
            self._step()

    def _until(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        end = self._now() + limit_s
        while not condition():
            if self._now() > end:
                raise OffchipError(f"{what} did not come within {limit_s:g} s of virtual time.")
            self._step()

    # what came of it -----------------------------------------------------------------------------------------------
    def _believed(self) -> Counter[str]:
        return Counter(each.thing for each in self.scene.processor.accepted if each.topic == THING_TOPIC + each.thing)

    def _outcome(self) -> Outcome:
        registry, victims = self.scene.registry, {each.thing for each in self.attacks}
        out = sorted(thing for thing in self.things if all(
            registry.certificate(each).status != "ACTIVE" for each in registry.principals_of(thing)))
        believed = self._believed()
        lost = {thing: fault for thing in self.things if thing not in victims and (fault := self._lost(thing))}
        return Outcome(self.plan, self.attacks, out, lost, {thing: believed[thing] for thing in self.things},
                       self._now())

    def _lost(self, thing: str) -> str:
        """What a lawful device lost: its session, packets, or the owner's belief."""
        processor = self.scene.processor
        numbers: dict[str, list[int]] = defaultdict(list)
        for each in processor.accepted:
            if each.thing == thing:
                numbers[each.topic].append(each.seq)
        session = self.scene.broker.sessions.get(thing)
        if session is None or session.link is None:
            return "its session is gone"
        if any(THING_TOPIC + thing == each.topic for each in processor.rogue):
            return "a packet of its was not believed"
        wrong = [topic for topic, seqs in numbers.items() if seqs != list(range(1, len(seqs) + 1))]
        late = [topic for topic in numbers if self._silent(thing, topic)]
        return f"packets are missing on {wrong[0]}" if wrong else f"it fell silent on {late[0]}" if late else ""

    def _silent(self, thing: str, topic: str) -> bool:
        last = max(each.time for each in self.scene.processor.accepted if (each.thing, each.topic) == (thing, topic))
        return self.scene.utc().timestamp() - last > 2 * _INTERVAL_S + 1

    def close(self) -> None:
        self.scene.close()


def _same_key(pem: bytes, identity: Identity) -> bool:
    return load_pem_private_key(pem, None).public_key() == identity.certificate.public_key()
