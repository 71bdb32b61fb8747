# SPDX-License-Identifier: Apache-2.0
"""What found credentials open: an ordinary MQTT client tries them at the lab's broker, under two policies.

The owner's own server is never touched. His certificate is registered at a broker with the rules of AWS IoT Core, as
``RegisterCertificateWithoutCA`` does; what happens then is what would happen there under such a policy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchip.broker.client import MqttClient
from offchip.broker.events import CertificateRefused, Disconnected, PublishAccepted, PublishForbidden, TlsFailed
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC
from offchip.broker.world import NARROW, WIDE, commands_topic
from offchip.errors import OffchipError
from offchip.judge.find import FoundCertificate, FoundKey
from offchip.pki import Identity
from offchip.pki.own import OwnCredentials
from offchip.scene import HOST, PORT, Scene

NEIGHBOUR = "another-device"
_NAME = re.compile(r"[A-Za-z0-9:_-]{1,128}")
_FROM = "203.0.113.7"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing tried. ``done``: the server let it happen; ``told``: what it said, in the events of its log."""

    what: str
    done: bool
    told: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One identity under one policy."""

    thing: str
    policy: str
    acts: tuple[Act, ...]

    @property
    def opened(self) -> int:
        return sum(act.done for act in self.acts)


def try_identity(key: FoundKey, certificate: FoundCertificate) -> list[Trial]:
    """Be the device, under the policy every thing should have and under the one that many have.

    Raises:
        OffchipError: the broker can do nothing with this kind of key.
    """
    if not isinstance(key.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise OffchipError(f"AWS IoT Core takes no {key.kind}; it was not tried.")
    identity = Identity(certificate.certificate, key.key)
    thing = certificate.name if _NAME.fullmatch(certificate.name) and certificate.name != NEIGHBOUR else "the-device"
    return [_try(identity, thing, policy) for policy in (NARROW, WIDE)]


def _try(identity: Identity, thing: str, policy: str) -> Trial:
    scene = Scene(things=(thing, NEIGHBOUR), policy=policy, own=OwnCredentials(identity, identity.certificate))
    try:
        return Trial(thing, policy, tuple(_Attempt(scene, identity, thing).acts()))
    finally:
        scene.close()


class _Attempt:
    def __init__(self, scene: Scene, identity: Identity, thing: str) -> None:
        self._scene, self._identity, self._thing = scene, identity, thing

    def acts(self) -> list[Act]:
        first = self._client()
        if not first.connected:
            return [Act(f"connect as {self._thing}", False, self._refusal())]
        first.disconnect()
        return [Act(f"connect as {self._thing}", True),
                self._publish("publish data in its name", THING_TOPIC + self._thing),
                self._publish("publish false data to the feed that the owner's processor reads", FEED_TOPIC),
                self._publish(f"publish in the name of {NEIGHBOUR}", THING_TOPIC + NEIGHBOUR),
                self._publish(f"send commands to {NEIGHBOUR}", commands_topic(NEIGHBOUR)),
                self._subscribe(f"read the commands the owner sends to {self._thing}", commands_topic(self._thing)),
                self._subscribe("read everything every device says", "#")]

    def _client(self) -> MqttClient:
        client = MqttClient(self._thing, self._identity, (self._scene.authority.root.certificate,), HOST, seed="judge")
        client.connect(self._scene.internet.service(HOST, PORT), _FROM)
        return client

    def _publish(self, what: str, topic: str) -> Act:
        client, known = self._client(), len(self._scene.broker.events)
        payload = b'{"thing":"%s","seq":1,"temperature":99.0}' % self._thing.encode()
        taken = client.connected and client.publish(topic, payload) and any(
            isinstance(event, PublishAccepted) and event.topic == topic
            for event in list(self._scene.broker.events)[known:])
        told = "" if taken else self._ending(known)
        client.disconnect()
        return Act(f"{what} ({topic})", taken, told)

    def _subscribe(self, what: str, topic: str) -> Act:
        client, known = self._client(), len(self._scene.broker.events)
        taken = client.connected and client.subscribe(topic) and client.granted.get(topic, 0x80) < 0x80
        told = "" if taken else self._ending(known)
        client.disconnect()
        return Act(f"{what} ({topic})", taken, told)

    def _ending(self, known: int) -> str:
        events = list(self._scene.broker.events)[known:]
        for event in events:
            if isinstance(event, Disconnected):
                return f"disconnected at once, {event.reason}"
        return "refused" if any(isinstance(event, PublishForbidden) for event in events) else "no answer"

    def _refusal(self) -> str:
        for event in reversed(list(self._scene.broker.events)):
            if isinstance(event, CertificateRefused | TlsFailed):
                return event.reason
        return "refused"
