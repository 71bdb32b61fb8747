# SPDX-License-Identifier: Apache-2.0
"""The standard laboratory: one CA, one broker, things with narrow rights, the data processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from offchip.broker.processor import FEED_TOPIC, THING_TOPIC, Processor
from offchip.broker.profile import DEFAULT_PROFILE, Profile, load_profile
from offchip.broker.registry import Registry
from offchip.broker.server import Broker
from offchip.pki import Authority, Identity

HOST = "iot.offchip.test"
PORT = 8883
SERVER_NAMES = (HOST, "localhost", "127.0.0.1")
NARROW, WIDE, PROCESSOR = "narrow", "wide", "processor"

_THING = "${iot:Connection.Thing.ThingName}"


@dataclass(slots=True)
class World:
    """``devices``: thing name -> what the factory gives it. ``processor`` is connected."""

    authority: Authority
    server: Identity
    registry: Registry
    broker: Broker
    devices: dict[str, Identity]
    processor: Processor

    def tick(self, now_ns: int = 0) -> int:
        """Let time take effect at broker and processor; fits ``Board.on_slice``."""
        return again_ns(now_ns, self.broker.now(), min(self.broker.tick(), self.processor.tick()))


def again_ns(now_ns: int, now: datetime, due: datetime) -> int:
    """The virtual time of ``due``, rather too early than too late: the clock counts whole microseconds."""
    return now_ns + ((due - now) // timedelta(microseconds=1) - 1) * 1000


def build_world(clock: Callable[[], datetime], seed: int | str = 1, things: Sequence[str] = ("thing-1",),
                profile: Profile | str = DEFAULT_PROFILE, policy: str = NARROW, interval_s: float | None = None,
                keylog_file: Path | None = None, server: Identity | None = None) -> World:
    """``policy``: what the things get, ``narrow`` or ``wide``; ``interval_s``: publish interval the processor expects;
    ``server``: what the broker shows instead of a certificate of its own authority (the processor then trusts it).

    Raises BrokerError or PkiError.
    """
    authority = Authority(seed)
    server = server or authority.issue_server(SERVER_NAMES)
    registry = Registry()
    for name, document in policies(registry).items():
        registry.create_policy(name, document)
    devices = {thing: enrol(authority, registry, thing, policy) for thing in things}
    identity = enrol(authority, registry, PROCESSOR, PROCESSOR)
    broker = Broker(server, authority.certificates, clock,
                    profile if isinstance(profile, Profile) else load_profile(profile), registry, keylog_file, seed)
    trusted = (*authority.certificates, server.certificate)
    processor = Processor(PROCESSOR, identity, trusted, HOST, things, clock, interval_s, seed=seed)
    processor.connect(broker)
    return World(authority, server, registry, broker, devices, processor)


def enrol(authority: Authority, registry: Registry, thing: str, policy: str) -> Identity:
    """Make a thing with an ACTIVE certificate of its own. Raises BrokerError or PkiError."""
    registry.create_thing(thing)
    identity = authority.issue_device(thing)
    identifier = registry.register_certificate(identity)
    registry.attach_thing(identifier, thing)
    registry.attach_policy(identifier, policy)
    return identity


def commands_topic(thing: str) -> str:
    """Where a thing listens."""
    return f"{THING_TOPIC}{thing}/commands"


def policies(registry: Registry) -> dict[str, dict[str, Any]]:
    """The laboratory's policy documents by name."""

    def allow(action: str | list[str], *resources: tuple[str, str]) -> dict[str, Any]:
        return {"Effect": "Allow", "Action": action, "Resource": [registry.arn(*each) for each in resources]}

    documents = {
        NARROW: [allow("iot:Connect", ("client", _THING)),
                 allow("iot:Publish", ("topic", THING_TOPIC + _THING), ("topic", FEED_TOPIC)),
                 allow("iot:Subscribe", ("topicfilter", commands_topic(_THING))),
                 allow("iot:Receive", ("topic", commands_topic(_THING)))],
        WIDE: [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}],
        PROCESSOR: [allow("iot:Connect", ("client", _THING)),
                    allow("iot:Subscribe", ("topicfilter", f"{THING_TOPIC}+"), ("topicfilter", FEED_TOPIC)),
                    allow("iot:Receive", ("topic", f"{THING_TOPIC}*"), ("topic", FEED_TOPIC))],
    }
    return {name: {"Version": "2012-10-17", "Statement": statements} for name, statements in documents.items()}
