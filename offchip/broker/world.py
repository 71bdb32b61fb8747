# SPDX-License-Identifier: Apache-2.0
"""The standard laboratory: one CA, one broker, things with narrow rights, the data processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from offchip.broker.jobs import Jobs
from offchip.broker.names import check_name
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC, Processor
from offchip.broker.profile import DEFAULT_PROFILE, Profile, load_profile
from offchip.broker.provisioning import FleetProvisioning, OwnersList
from offchip.broker.reactions import Reactions, Rules
from offchip.broker.registry import Registry
from offchip.broker.reserved import Family
from offchip.broker.rotation import CSR_FILTER, DONE_FILTER, Rotation, rotate_topic
from offchip.broker.server import Broker
from offchip.broker.services import Rule
from offchip.broker.shadows import Shadows
from offchip.pki import AWS_VALIDITY, Authority, Identity

HOST = "iot.offchip.test"
PORT = 8883
SERVER_NAMES = (HOST, "localhost", "127.0.0.1")
NARROW, WIDE, PROCESSOR, CLAIM = "narrow", "wide", "processor", "claim"
#: provisioning template of the laboratory; its parameter ThingName says who comes back
TEMPLATE = "offchip"

_THING = "${iot:Connection.Thing.ThingName}"


@dataclass(slots=True)
class World:
    """``devices``: thing name -> what the factory gives it. ``processor`` is connected. ``provisioning``, ``shadows``
    and ``jobs`` answer on reserved topics, ``rotation`` on the things'; ``reactions``: what the owner does himself."""

    authority: Authority
    server: Identity
    registry: Registry
    broker: Broker
    devices: dict[str, Identity]
    processor: Processor
    provisioning: FleetProvisioning
    claims: OwnersList
    shadows: Shadows
    jobs: Jobs
    rotation: Rotation
    reactions: Reactions

    def tick(self, now_ns: int = 0) -> int:
        """Let time take effect at broker, processor and owner; fits ``Board.on_slice``."""
        with self.broker.turns.step():
            self.reactions.look()
        return again_ns(now_ns, self.broker.now(), min(self.broker.tick(), self.processor.tick()))


def again_ns(now_ns: int, now: datetime, due: datetime) -> int:
    """The virtual time of ``due``, rather too early than too late: the clock counts whole microseconds."""
    return now_ns + ((due - now) // timedelta(microseconds=1) - 1) * 1000


def build_world(clock: Callable[[], datetime], seed: int | str = 1, things: Sequence[str] = ("thing-1",),
                profile: Profile | str = DEFAULT_PROFILE, policy: str = NARROW, interval_s: float | None = None,
                keylog_file: Path | None = None, server: Identity | None = None, rules: Rules | None = None,
                kept: tuple[Registry, dict[str, Identity]] | None = None) -> World:
    """``policy``: what the things get, ``narrow`` or ``wide``; ``interval_s``: publish interval the processor expects;
    ``server``: what the broker shows instead of a certificate of its own authority (the processor then trusts it);
    ``rules``: what the owner reacts to (None: he only looks); ``kept``: registry and identities of a world of the same
    seed that goes on.

    Raises BrokerError or PkiError.
    """
    authority = Authority(seed, keys="rsa")
    server = server or authority.issue_server(SERVER_NAMES)
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    if kept:
        registry, identities = kept[0], dict(kept[1])
    else:
        registry, identities = Registry(profile=chosen), {}
        for name, document in policies(registry).items():
            registry.create_policy(name, document)
        registry.create_provisioning_template(TEMPLATE, template(policy))
    for thing in (*things, PROCESSOR):
        if thing not in identities:
            identities[thing] = enrol(authority, registry, thing, PROCESSOR if thing == PROCESSOR else policy)
    identity = identities.pop(PROCESSOR)
    devices = identities
    broker = Broker(server, authority.certificates, clock, chosen, registry, keylog_file, seed)
    claims = OwnersList()
    provisioning = FleetProvisioning(registry, authority, clock, broker.log, seed, claims)
    shadows, jobs = Shadows(clock), Jobs(clock, lambda told: broker.publish(told.topic, told.payload, told.qos))
    broker.hub.services |= {Family.FLEET_PROVISIONING: provisioning, Family.SHADOWS: shadows, Family.JOBS: jobs}
    trusted = (*authority.certificates, server.certificate)
    rotation = Rotation(registry, authority, broker.hub.route, broker.log)
    broker.hub.rules += [Rule(CSR_FILTER, rotation.on_request), Rule(DONE_FILTER, rotation.on_done)]
    processor = Processor(PROCESSOR, identity, trusted, HOST, devices, clock, interval_s, seed=seed)
    processor.connect(broker)
    reactions = Reactions(broker, processor, rules or Rules(), authority.certificates)
    return World(authority, server, registry, broker, devices, processor, provisioning, claims, shadows, jobs,
                 rotation, reactions)


def enrol(authority: Authority, registry: Registry, thing: str, policy: str) -> Identity:
    """Make a thing with an ACTIVE certificate of its own. Raises BrokerError or PkiError."""
    check_name("thing", thing, registry.things)
    registry.create_thing(thing)
    return register(registry, authority.issue_device(thing), thing, policy)


def register(registry: Registry, identity: Identity, thing: str, policy: str) -> Identity:
    """Make an identity's certificate one of a thing's, ACTIVE. Raises BrokerError."""
    identifier = registry.register_certificate(identity)
    registry.attach_thing(identifier, thing)
    registry.attach_policy(identifier, policy)
    return identity


def issue_claim(world: World, thing: str | None = None, not_after: datetime | None = None) -> Identity:
    """A claim certificate, good for nothing but to ask for an identity of one's own.

    Args:
        thing: whose it is: it enrols nobody else. None: one that a whole fleet shares, as AWS has it.
        not_after: the end of a temporary claim, see :func:`temporary_claim`.
    """
    name = f"claim-{thing}" if thing else "claim"
    identity = world.authority.issue_device(name, not_after=not_after or AWS_VALIDITY.not_after)
    identifier = world.registry.register_certificate(identity)
    world.registry.attach_policy(identifier, CLAIM)
    if thing:
        world.claims.bind(identifier, thing)
    return identity


def temporary_claim(world: World) -> Identity:
    """CreateProvisioningClaim: a claim for a trusted user's hands, over in minutes."""
    life = timedelta(seconds=world.broker.profile.claim_certificate_seconds)
    return issue_claim(world, not_after=world.broker.now() + life)


def template(policy: str) -> dict[str, Any]:
    """The provisioning template: a thing of the name the device gives, with ``policy``."""
    return {
        "Parameters": {"ThingName": {"Type": "String"}, "SerialNumber": {"Type": "String", "Default": "0"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {
                "ThingName": {"Ref": "ThingName"}, "AttributePayload": {"serial": {"Ref": "SerialNumber"}}}},
            "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}}},
    }


def commands_topic(thing: str) -> str:
    """Where a thing listens."""
    return f"{THING_TOPIC}{thing}/commands"


def policies(registry: Registry) -> dict[str, dict[str, Any]]:
    """The laboratory's policy documents by name."""

    def allow(action: str | list[str], *resources: tuple[str, str]) -> dict[str, Any]:
        return {"Effect": "Allow", "Action": action, "Resource": [registry.arn(*each) for each in resources]}

    rotate = rotate_topic(_THING)
    documents = {
        NARROW: [allow("iot:Connect", ("client", _THING)),
                 allow("iot:Publish", ("topic", THING_TOPIC + _THING), ("topic", FEED_TOPIC),
                       ("topic", f"{rotate}/csr"), ("topic", f"{rotate}/done")),
                 allow("iot:Subscribe", ("topicfilter", commands_topic(_THING)), ("topicfilter", rotate),
                       ("topicfilter", f"{rotate}/accepted"), ("topicfilter", f"{rotate}/rejected")),
                 allow("iot:Receive", ("topic", commands_topic(_THING)), ("topic", rotate),
                       ("topic", f"{rotate}/accepted"), ("topic", f"{rotate}/rejected"))],
        WIDE: [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}],
        CLAIM: [allow("iot:Connect", ("client", "*")),
                allow(["iot:Publish", "iot:Receive"], ("topic", "$aws/certificates/create*"),
                      ("topic", f"$aws/provisioning-templates/{TEMPLATE}/provision/*")),
                allow("iot:Subscribe", ("topicfilter", "$aws/certificates/create*"),
                      ("topicfilter", f"$aws/provisioning-templates/{TEMPLATE}/provision/*"))],
        PROCESSOR: [allow("iot:Connect", ("client", _THING)),
                    allow("iot:Subscribe", ("topicfilter", f"{THING_TOPIC}+"), ("topicfilter", FEED_TOPIC)),
                    allow("iot:Receive", ("topic", f"{THING_TOPIC}*"), ("topic", FEED_TOPIC))],
    }
    return {name: {"Version": "2012-10-17", "Statement": statements} for name, statements in documents.items()}
