# SPDX-License-Identifier: Apache-2.0
"""Trials of TLS, certificates, policies and of what happens before and at CONNECT."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from offchip.broker.session import Message
from offchip.broker.world import NARROW, WIDE, temporary_claim
from offchip.errors import BrokerError
from offchip.mqtt import V3_1, V3_1_1, V5, Connack, Property, Subscribe, Subscription
from offchip.pki import EXPIRED, Authority
from offchip.trials.bench import BOTH, OTHER, THING, Bench, Raw, said, trial

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_SUITES = ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256",
           "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256")


# TLS ---------------------------------------------------------------------------------------------------------------
@trial()
def tls_versions(bench: Bench) -> str:
    """A client of each version alone."""
    served = []
    for name, version in _VERSIONS.items():
        context = bench.context()
        context.minimum_version = context.maximum_version = version
        if Raw(bench, context).tls.established:
            served.append(name)
    return f"served: {', '.join(served)}"


@trial(tls_versions=("TLSv1.2",))
def tls12_ciphers(bench: Bench) -> str:
    """A client of each suite alone; the laboratory's server has an RSA certificate."""
    served = []
    for suite in _SUITES:
        context = bench.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{suite}:@SECLEVEL=0")
        if Raw(bench, context).tls.established:
            served.append(suite)
    return f"served: {', '.join(served)}"


@trial()
def require_sni(bench: Bench) -> str:
    """A client that names no server."""
    context = bench.context()
    context.check_hostname = False
    raw = Raw(bench, context, None)
    return f"without a name: {'served' if not raw.alerts else raw.alerts[0]}"


@trial()
def alpn_protocols(bench: Bench) -> str:
    """A client that offers three."""
    context = bench.context()
    context.set_alpn_protocols(["x-amzn-http-ca", "mqtt", "x-amzn-mqtt-ca"])
    return f"selected: {Raw(bench, context).tls.protocol or 'nothing'}"


# certificates and policies -----------------------------------------------------------------------------------------
def _deactivate(bench: Bench) -> str:
    device = bench.client()
    bench.world.registry.update_certificate(bench.world.devices[THING].certificate_id, "INACTIVE")
    start = bench.time
    while device.connected and bench.time - start < timedelta(hours=1):
        bench.wait(1)
        if device.connected:
            device.ping()
    if device.connected:
        return "the session of a deactivated certificate goes on"
    return f"the session ends {(bench.time - start).seconds} s after the deactivation"


@trial()
def inactive_drops_sessions(bench: Bench) -> str:
    """A certificate is deactivated while its device is connected."""
    return _deactivate(bench)


@trial(inactive_drops_sessions=True)
def deactivation_delay_seconds(bench: Bench) -> str:
    """Likewise."""
    return _deactivate(bench)


@trial()
def certificate_validity_checked(bench: Bench) -> str:
    """A registered certificate that ended in 2020."""
    world = bench.world
    old = world.authority.issue_device("old", *EXPIRED)
    world.registry.attach_policy(world.registry.register_certificate(old), WIDE)
    return f"an expired certificate connects: {said(bench.client('old', identity=old).connected)}"


@trial()
def policies_per_certificate(bench: Bench) -> str:
    """Policies are attached until there are too many."""
    registry, count = bench.world.registry, bench.beyond(bench.profile.policies_per_certificate)
    identifier = registry.register_certificate(bench.world.authority.issue_device("many"))
    attached = 0
    for number in range(count):
        registry.create_policy(f"p{number}", _allow())
        attached += _accepted(partial(registry.attach_policy, identifier, f"p{number}"))
    return f"{attached} of {count} policies attached"


@trial()
def policy_versions(bench: Bench) -> str:
    """Versions are made until there are too many."""
    registry, count = bench.world.registry, bench.beyond(bench.profile.policy_versions)
    registry.create_policy("p", _allow())
    made = 1 + sum(_accepted(lambda: registry.create_policy_version("p", _allow())) for _ in range(count - 1))
    return f"{made} of {count} versions made"


@trial()
def policy_characters(bench: Bench) -> str:
    """A document as long as allowed, and one a character longer."""
    registry, longest = bench.world.registry, bench.profile.policy_characters
    empty = len("".join(json.dumps({**_allow(), "Id": ""}).split()))
    return _boundary(longest, "characters", lambda size: _accepted(
        lambda: registry.create_policy(f"of-{size}", {**_allow(), "Id": "x" * (size - empty)})))


@trial()
def policy_cache_seconds(bench: Bench) -> str:
    """A right is taken away; how long it still works."""
    device = bench.client()
    device.publish("a", b"")
    bench.allow_all_but(("iot:Publish", "topic/a"))
    start = bench.time
    while device.connected and device.publish("a", b"", 0) and (bench.time - start).seconds < 3600:
        bench.wait(1)
    return f"a right that was taken away works for {(bench.time - start).seconds} s"


@trial()
def receive_asked_on_delivery(bench: Bench) -> str:
    """A message in flight, and who comes for it may not receive it any more."""
    raw = bench.raw(clean=False)
    raw.send(Subscribe(1, (Subscription("a", 1),)))
    bench.broker.publish("a", b"secret", 1)
    raw.endpoint.peer_closed()
    bench.allow_all_but(("iot:Receive", "topic/a"))
    again = bench.client(clean=False)
    return f"{len(again.messages)} of 1 message in flight comes to who may not receive it"


@trial(fleet_provisioning=True, duplicate_client_id_takes_over=True)
def ownership_token_seconds(bench: Bench) -> str:
    """Two tokens: one used a second before its end, one at it."""
    def good(seconds: int) -> bool:
        fresh = bench.again()
        made = _ask(fresh, "$aws/certificates/create/json", {})
        fresh.wait(seconds)
        told = _ask(fresh, "$aws/provisioning-templates/offchip/provision/json", {
            "certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"ThingName": "thing-3"}})
        return "thingName" in told
    return _ends(bench.profile.ownership_token_seconds, "a token is good", good)


@trial(certificate_validity_checked=True)
def claim_certificate_seconds(bench: Bench) -> str:
    """A temporary claim, a second before its end and behind it."""
    def good(seconds: int) -> bool:
        fresh = bench.again()
        claim = temporary_claim(fresh.world)
        fresh.wait(seconds)
        return fresh.client("claimant", identity=claim).connected
    life = bench.profile.claim_certificate_seconds
    return f"a claim is good after {life} s: {said(good(life))}, after {life + 1} s: {said(good(life + 1))}"


@trial(duplicate_client_id_takes_over=True)
def fleet_provisioning(bench: Bench) -> str:
    """A claim asks for a certificate."""
    answer = _ask(bench, "$aws/certificates/create/json", {})
    return f"CreateKeysAndCertificate is answered: {said('certificateId' in answer)}"


@trial()
def just_in_time_registration(bench: Bench) -> str:
    """An unknown certificate of a registered CA."""
    foreign = Authority("foreign")
    bench.world.registry.register_ca_certificate(foreign.certificates[0], auto_registration=True)
    device = foreign.issue_device("unknown")
    bench.client("unknown", identity=device)
    record = bench.world.registry.certificates.get(device.certificate_id)
    return f"an unknown certificate of a registered CA is {record.status if record else 'not registered'}"


@trial()
def exclusive_things(bench: Bench) -> str:
    """A certificate that belongs to one thing alone comes under another client id."""
    registry = bench.world.registry
    registry.create_thing("alone")
    identity = bench.world.authority.issue_device("alone")
    identifier = registry.register_certificate(identity)
    registry.attach_thing(identifier, "alone", exclusive=True)
    registry.create_policy("as-alone", {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "iot:Connect", "Resource": "*",
        "Condition": {"StringEquals": {"iot:Connection.Thing.ThingName": "alone"}}}})
    registry.attach_policy(identifier, "as-alone")
    return f"it speaks for its thing under any client id: {said(bench.client('any', identity=identity).connected)}"


# connecting --------------------------------------------------------------------------------------------------------
@trial()
def protocol_levels(bench: Bench) -> str:
    """A client of each."""
    levels = {"3.1": V3_1, "3.1.1": V3_1_1, "5.0": V5}
    served = [name for name, version in levels.items() if bench.client(name, version=version).connected]
    return f"served: {', '.join(served)}"


@trial()
def forbidden_connect_code(bench: Bench) -> str:
    """A client id that the certificate may not use, in MQTT 3.1.1."""
    return f"CONNACK {bench.again(NARROW).client('stranger').connack}"


@trial()
def connect_timeout_seconds(bench: Bench) -> str:
    """TLS, and then silence."""
    raw = Raw(bench, bench.context())
    return f"hung up {bench.until(lambda: raw.closed)}"


@trial()
def connections_maximum(bench: Bench) -> str:
    """Silent connections; the processor's is one of those that count."""
    count = bench.beyond(bench.profile.connections_maximum)
    opened = [bench.broker.connect(f"10.0.1.{number}") for number in range(count)]
    return f"{sum(not each.closed for each in opened)} of {count} silent connections stand"


def _silence(bench: Bench, keep_alive: int) -> str:
    raw = bench.raw(keep_alive=keep_alive)
    return f"keep-alive {keep_alive} s, then silence: hung up {bench.until(lambda: raw.closed)}"


@trial()
def keep_alive_minimum(bench: Bench) -> str:
    """The shortest."""
    return _silence(bench, 1)


@trial()
def keep_alive_maximum(bench: Bench) -> str:
    """None at all."""
    return _silence(bench, 0)


@trial()
def keep_alive_percent(bench: Bench) -> str:
    """An ordinary one."""
    return _silence(bench, 100)


@trial()
def client_id_bytes(bench: Bench) -> str:
    """One as long as allowed, and a longer one."""
    return _boundary(bench.profile.client_id_bytes, "bytes of a client id",
                     lambda size: bench.client("x" * size).connected)


@trial()
def duplicate_client_id_takes_over(bench: Bench) -> str:
    """Two of a name."""
    first, second = bench.client(), bench.client()
    return f"the first stays: {said(first.connected)}, the second is let in: {said(second.connected)}"


@trial()
def forbidden_will_refuses_connect(bench: Bench) -> str:
    """A last will where the client may not publish."""
    bench.allow_all_but(("iot:Publish", "topic/secret"))
    return f"connected with a will on a forbidden topic: {said(bench.client(will=Message('secret', b'')).connected)}"


@trial()
def session_expiry_seconds(bench: Bench) -> str:
    """A persistent session of MQTT 3.1.1, a second before its end and at it."""
    def kept(seconds: int) -> bool:
        fresh = bench.again()
        fresh.client(clean=False).drop()
        fresh.wait(seconds)
        return fresh.client(clean=False).session_present
    return _ends(bench.profile.session_expiry_seconds, "a session is there", kept)


@trial(protocol_levels=BOTH)
def session_expiry_maximum_seconds(bench: Bench) -> str:
    """An MQTT 5 client that never wants its session to end."""
    client = bench.client(version=V5, properties={Property.SESSION_EXPIRY_INTERVAL: 0xFFFFFFFF})
    return f"asked for ever, CONNACK says {_connack(client.packets[0]).properties[Property.SESSION_EXPIRY_INTERVAL]} s"


def _presence(bench: Bench, what: str) -> list[dict[str, object]]:
    """Lifecycle events of a device that comes, goes, and is then refused."""
    watcher = bench.client("watcher", OTHER)
    watcher.subscribe(f"$aws/events/presence/{what}/{THING}")
    bench.client().disconnect()
    bench.allow_all_but(("iot:Connect", f"client/{THING}"))
    bench.client()
    return [json.loads(each.payload) for each in watcher.messages]


@trial()
def lifecycle_events(bench: Bench) -> str:
    """Who comes and goes."""
    return f"told: {', '.join(str(each['eventType']) for each in _presence(bench, '+')[:2]) or 'nothing'}"


@trial(lifecycle_events=True, rate_limits_enforced=False)
def connect_failed_events(bench: Bench) -> str:
    """A CONNECT that is refused."""
    return f"{len(_presence(bench, 'connect_failed'))} of 1 refused CONNECT is told"


@trial(lifecycle_events=True, rate_limits_enforced=False)
def disconnect_reason_in_events(bench: Bench) -> str:
    """The event of a disconnection."""
    event, = _presence(bench, "disconnected")
    return f"disconnectReason: {event.get('disconnectReason', 'is not there')}"


@trial(lifecycle_events=True, rate_limits_enforced=False)
def version_number_reset_seconds(bench: Bench) -> str:
    """A client id that was away for a second less than that, and as long."""
    def number(seconds: int) -> object:
        fresh = bench.again()
        fresh.client().disconnect()
        fresh.wait(seconds)
        watcher = fresh.client("watcher", OTHER)
        watcher.subscribe(f"$aws/events/presence/connected/{THING}")
        fresh.client()
        return json.loads(watcher.messages[0].payload)["versionNumber"]
    reset = bench.profile.version_number_reset_seconds
    return f"versionNumber {number(reset - 1)} after {reset - 1} s, {number(reset)} after {reset} s"


# inside ------------------------------------------------------------------------------------------------------------
def _allow() -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}


def _accepted(act: Callable[[], object]) -> bool:
    try:
        act()
    except BrokerError:
        return False
    return True


def _boundary(limit: int, what: str, taken: Callable[[int], bool]) -> str:
    return f"{limit} {what}: {_word(taken(limit))}, {limit + 1}: {_word(taken(limit + 1))}"


def _ends(limit: int, what: str, good: Callable[[int], bool]) -> str:
    return f"{what} after {limit - 1} s: {said(good(limit - 1))}, after {limit} s: {said(good(limit))}"


def _word(taken: bool) -> str:
    return "taken" if taken else "refused"


def _connack(packet: object) -> Connack:
    assert isinstance(packet, Connack)
    return packet


def _ask(bench: Bench, topic: str, content: object) -> dict[str, object]:
    """A claim's request; empty without an answer."""
    client = bench.client("claimant", identity=bench.claim)
    client.subscribe(f"{topic}/accepted", f"{topic}/rejected")
    client.publish(topic, json.dumps(content).encode())
    return dict(json.loads(client.messages[0].payload)) if client.messages else {}

