# SPDX-License-Identifier: Apache-2.0
"""Attacks by somebody who is, or claims to be, the device."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import await_or_fail, holds_credentials, start_and_listen, switch_off
from offchip.attacks.moving import named_as
from offchip.attacks.reach import ADDRESS, Reach
from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.evidence import Evidence
from offchip.network.proxy import Direction, Proxy
from offchip.pki import Identity
from offchip.scene.defence import Defence
from offchip.vault import NONE, MediumKind

#: so often a double is let in or turned away while the device is on as well; seconds it gets for that
_TURNS, _TOGETHER_S = 3, 20.0
_TURN = ("mqtt: published", "state: waiting")


@dataclass(slots=True)
class Session:
    """What an ordinary MQTT client of the attacker's met. ``sent``, ``received``: on the level of MQTT and alerts."""

    sent: bytes = b""
    received: bytes = b""
    story: list[str] = field(default_factory=list)


def use_identity(scene: Reach, identity: Identity | None, client_id: str, publish: tuple[str, bytes] | None = None,
                 subscribe: str = "") -> Session:
    """Connect from anywhere on the internet with this identity (None: without a certificate), then leave."""
    client = MqttClient(client_id, identity, (scene.trusted,), scene.host, seed=f"attacker {scene.thing}")
    session = Session(sent=b"CONNECT " + client_id.encode())
    client.connect(scene.server, ADDRESS)
    session.received += b"" if client.connack is None else b"CONNACK %d " % client.connack
    session.received += b"".join(b"alert %d %s " % (number, name.encode()) for way, number, name in client.alerts
                                 if way == "received")
    if client.connected and subscribe:
        session.sent += b" SUBSCRIBE " + subscribe.encode()
        session.received += b"SUBACK " if client.subscribe(subscribe) else b"closed "
    if client.connected and publish:
        topic, payload = publish
        session.sent += b" PUBLISH " + topic.encode() + b" " + payload
        session.received += b"PUBACK " if client.publish(topic, payload) else b"closed "
    session.received += b"".join(b"PUBLISH " + each.topic.encode() + b" " + each.payload for each in client.messages)
    client.disconnect()
    return session


def stolen_identity(scene: Reach) -> Identity:
    """What the attacker has found. Raises AttackFailed when it is no usable pair."""
    identity = scene.loot.identity
    if identity is None:
        raise AttackFailed("the attacker has found no private key with its certificate; he cannot be the device")
    return identity


def device_run(attack: Attack, scene: Reach, what: str, arrived: Callable[[events.Event], bool]) -> list[Evidence]:
    """Let the device run, its line to the server recorded, until the server has ``arrived`` in its log."""
    line = Proxy(scene.server)
    scene.board.internet.redirect(scene.host, scene.port, line)
    known = len(scene.arrived())
    if not scene.board.powered:
        scene.board.power_on()
    await_or_fail(scene, lambda: any(arrived(event) for event in scene.arrived()[known:]), what)
    scene.board.internet.restore(scene.host, scene.port)
    return [attack.note(scene, what, scene.address, "as seen on the device's line", sent=line.recorded(
        Direction.TO_SERVER), received=line.recorded(Direction.TO_DEVICE))]


class Who(Enum):
    """Who turns to the server."""

    DEVICE = "device"
    THIEF = "thief"
    IMPOSTOR = "impostor"
    NOBODY = "nobody"
    BOARD = "board"
    INTRUDER = "intruder"


def identity_of(scene: Reach, who: Who) -> Identity | None:
    """What somebody who is not the device shows. Raises AttackFailed for a thief who has found no usable pair, and for
    an intruder who was never in the owner's account."""
    if who is Who.THIEF:
        return stolen_identity(scene)
    if who is Who.INTRUDER:
        if scene.smuggled is None:
            raise AttackFailed("nothing of the attacker's is registered in the owner's account")
        return scene.smuggled
    return scene.authority.issue_device(scene.thing) if who is Who.IMPOSTOR else None


class Forgery(Enum):
    """How well the attacker's data is made."""

    CARELESS = "careless"
    PLAUSIBLE = "plausible"


@dataclass(frozen=True)
class CloneIdentity(Attack):
    """Be the device, and publish in its name.

    ``forgery``: ``careless`` data has a time of 1970; ``plausible`` data looks like the first packet after a reboot.

    | =who= | =Description= |
    | thief | with the key he has found |
    | impostor | with a key of his own and a certificate in the device's name, issued by his own CA |
    | nobody | without a certificate |
    | board | with another device of the same make, set up as this one, with a copy of its ``medium`` in it; both work |
    | | at the same time |
    """

    id, title, keyword = "A08", "clone the credentials to a second client", "Connect As The Device"
    needs = (Need.INTERNET,)
    psa, emb3d, cwe = "T.DIRECT_READ", "TID-108, TID-214", (522, 294)
    topic: str = "offchip/feed"
    forgery: Forgery = Forgery.PLAUSIBLE
    who: Who = Who.THIEF
    medium: MediumKind = NONE

    def applies(self, defence: Defence) -> Applies:
        if self.who is Who.BOARD:
            return holds_credentials(defence, self.medium)
        return Applies(True, "the server cannot tell who holds a key")

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.who is Who.BOARD:
            return self._on_a_board(scene)
        time = int(scene.now().timestamp()) if self.forgery is Forgery.PLAUSIBLE else 1
        payload = json.dumps({"thing": scene.thing, "seq": 1, "time": time, "temperature": 99.0}).encode()
        session = use_identity(scene, identity_of(scene, self.who), scene.thing, (self.topic, payload))
        return [self.note(scene, "connect as the device", scene.address, f"{self.forgery.value} data",
                          sent=session.sent, received=session.received or b"nothing")]

    def _on_a_board(self, scene: Reach) -> list[Evidence]:
        """The medium is copied while the device is off; then its copy is started, and if it is taken, the device too.
        """
        own, what = scene.another(), scene.medium(self.medium)
        start_and_listen(own)  # what its factory left to be done is done on its own medium
        for each in (scene, own):
            switch_off(each)
        before, content = own.medium(self.medium).image, what.image
        page = named_as(own, scene.thing)
        own.medium(self.medium).replace(content)
        evidence = [self.note(scene, "set up a second board", f"configuration page of {own.thing}",
                              f"it calls itself {scene.thing} now", after=page),
                    self.note(scene, "copy the medium", f"{own.medium(self.medium).name} of {own.thing}",
                              f"that of {scene.thing}", before=before, after=content)]
        told = start_and_listen(own)
        if told.startswith("credentials: ok"):
            start_and_listen(scene)
            said = len(own.board.console.lines)
            await_or_fail(scene, lambda: sum(line.text.startswith(_TURN) for line in own.board.console.lines[said:])
                          >= _TURNS, "the second board being let in or turned away", _TOGETHER_S)
        heard = bytes(own.board.console.raw)
        return [*evidence, self.note(scene, "run both", f"console of {own.thing}", told, received=heard)]


@dataclass(frozen=True)
class ReturnAfterDeactivation(Attack):
    """Go on with a certificate the owner has deactivated: the device itself, the thief of its key, or an impostor."""

    id, title, keyword = "A19", "deactivated device goes on", "Return After Deactivation"
    needs = (Need.INTERNET,)
    psa, emb3d, cwe = "-", "TID-316 ~", (299,)
    who: Who = Who.DEVICE

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "a certificate lies with its device until that is destroyed")

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.who is Who.DEVICE:
            return device_run(self, scene, "present the certificate", lambda event: isinstance(
                event, events.TlsFailed | events.CertificateRefused | events.Connected))
        session = use_identity(scene, identity_of(scene, self.who), scene.thing, ("offchip/feed", b"forged"))
        return [self.note(scene, "connect as the device", scene.address, sent=session.sent,
                          received=session.received or b"nothing")]


@dataclass(frozen=True)
class ExceedRights(Attack):
    """Turn to the server with an identity, a client id, a topic or a filter that one has no right to.

    | =Argument= | =Description= |
    | who | ``device``: altered, it runs until its request has reached the server; |
    | | ``thief``: with the key he has found; ``impostor``: with a certificate in the device's name from his own CA; |
    | | ``intruder``: with a key of his own that somebody inside the owner's account has registered as the device's; |
    | | ``nobody``: without a certificate |
    | publish | topic to publish on |
    | subscribe | filter to subscribe to |
    | client_id | name to connect under, default the device's |
    | payload | what is published by somebody who is not the device |
    """

    id, title, keyword = "A21", "stolen or foreign identity against the policy", "Exceed The Rights"
    needs = (Need.DEVICE, Need.INTERNET)
    psa, emb3d, cwe = "-", "~ TID-406", (284,)
    who: Who = Who.DEVICE
    publish: str = ""
    subscribe: str = ""
    client_id: str = ""
    payload: str = "forged"

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, f"the server decides, here by the {defence.policy} policy")

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.who is Who.DEVICE:
            return device_run(self, scene, f"request {self._goal}", self._arrived)
        identity = identity_of(scene, self.who)
        publish = (self.publish, self.payload.encode()) if self.publish else None
        session = use_identity(scene, identity, self.client_id or scene.thing, publish, self.subscribe)
        return [self.note(scene, f"request {self._goal}", scene.address, f"by the {self.who.value}", sent=session.sent,
                          received=session.received or b"nothing")]

    @property
    def _goal(self) -> str:
        if self.publish:
            return f"publish on {self.publish}"
        if self.subscribe:
            return f"subscribe to {self.subscribe}"
        return f"session as {self.client_id}" if self.client_id else "session"

    def _arrived(self, event: events.Event) -> bool:
        if self.publish:
            return isinstance(event, events.PublishAccepted | events.PublishForbidden) and event.topic == self.publish
        if self.subscribe:
            return isinstance(event, events.SubscribeAccepted | events.SubscribeForbidden) \
                and event.topic_filter == self.subscribe
        if self.client_id:
            return isinstance(event, events.Connected | events.ConnectRefused) and event.client_id == self.client_id
        return isinstance(event, events.TlsFailed | events.CertificateRefused | events.Connected)
