# SPDX-License-Identifier: Apache-2.0
"""The owner's reactions, each on and off, and how often they cry wolf; the audit's findings and its delay."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from offchip.broker import events
from offchip.broker.audit import Severity, audit
from offchip.broker.client import MqttClient
from offchip.broker.false_alarms import Network, measure
from offchip.broker.profile import load_profile
from offchip.broker.reactions import HOSTILE, Reactions, Rules, Spacing
from offchip.broker.registry import Status
from offchip.broker.session import Message
from offchip.broker.world import HOST, NARROW, PROCESSOR, WIDE
from offchip.pki import EXPIRED, Authority
from tests.broker_lab import OWN, START, THING, Lab, telemetry


def watched(lab: Lab, **rules: object) -> Reactions:
    return Reactions(lab.broker, lab.world.processor, Rules(**rules))  # type: ignore[arg-type]


def status(lab: Lab, thing: str = THING) -> Status:
    return lab.world.registry.certificate(lab.world.devices[thing].certificate_id).status


@pytest.mark.parametrize("act", [
    lambda lab: lab.client().publish("offchip/secret", b"x"), lambda lab: lab.client().subscribe("#"),
    lambda lab: lab.client(will=Message("offchip/secret", b"x"))])
def test_a_forbidden_topic_destroys_the_keyset(act: Callable[[Lab], object]) -> None:
    for on, left in ((True, Status.INACTIVE), (False, Status.ACTIVE)):
        lab = Lab()
        reactions = watched(lab, forbidden=on)
        other = lab.client("thing-2", "thing-2")
        act(lab)
        assert reactions.look() == ([lab.world.devices[THING].certificate_id] if on else [])
        assert status(lab) is left and status(lab, "thing-2") is Status.ACTIVE and other.connected
        assert bool(lab.new(events.Banned)) is on
        assert lab.client().connected is not on


def test_rogue_data_is_pinned_on_who_sent_it() -> None:
    """thing-2's holder lies in the name of thing-1: the connection counts, not what the packet says of itself."""
    lab = Lab(policy=WIDE)
    reactions = watched(lab, rogue=HOSTILE)
    honest, liar = lab.client(), lab.client("thing-2", "thing-2")
    honest.publish(OWN, telemetry(1, START))
    liar.publish(OWN, telemetry(1, START))
    honest.publish(OWN, telemetry(2, START))  # the newest on this topic is not the lie
    reactions.look()
    assert status(lab) is Status.ACTIVE and status(lab, "thing-2") is Status.INACTIVE
    assert honest.connected and not liar.connected
    banned, = lab.new(events.Banned)
    assert (banned.certificate_id, banned.rule) == (lab.world.devices["thing-2"].certificate_id, "rogue")


@pytest.mark.parametrize(("payload", "reason"), [
    (b"{", "not-json"), (b'{"thing":"thing-1"}', "fields"),
    (telemetry(1, START, temperature=-400.0), "type"), (telemetry(1, START, thing="thing-9"), "unknown-thing")])
def test_schema_and_range(payload: bytes, reason: str) -> None:
    lab = Lab(policy=WIDE)
    reactions = watched(lab, rogue=HOSTILE, rogue_packets=2)
    device = lab.client()
    device.publish(OWN, payload)
    assert reactions.look() == [] and device.connected
    device.publish(OWN, payload)
    assert len(reactions.look()) == 1 and not device.connected
    assert reason in lab.new(events.Banned)[0].reason


def test_a_rule_looks_only_at_what_it_is_asked_for() -> None:
    lab = Lab(policy=WIDE)
    reactions = watched(lab, rogue=frozenset())
    lab.client().publish(OWN, b"{")
    assert reactions.look() == [] and status(lab) is Status.ACTIVE


def test_clones_that_throw_each_other_out() -> None:
    lab = Lab()
    reactions = watched(lab, takeovers=2)
    identity = lab.world.devices[THING]
    for number in range(3):
        MqttClient(THING, identity, lab.world.authority.certificates, HOST).connect(lab.broker, f"10.0.0.{number}")
        lab.clock.advance(5)
    assert reactions.look() == [identity.certificate_id] and lab.new(events.Banned)[0].rule == "takeovers"
    alone = Lab()
    reactions = watched(alone, takeovers=2)
    for _ in range(9):  # a device that reboots without a word, from one address
        alone.client()
        alone.clock.advance(5)
    assert reactions.look() == []


@pytest.mark.parametrize(("seconds", "banned"), [(60, True), (61, False)])
def test_what_is_long_past_does_not_count(seconds: float, banned: bool) -> None:
    lab = Lab(policy=WIDE)
    reactions = watched(lab, rogue=HOSTILE, rogue_packets=2)
    device = lab.client(keep_alive=1200)
    for _ in range(2):
        device.publish(OWN, b"{")
        reactions.look()
        lab.clock.advance(seconds)
    assert bool(reactions.banned) is banned
    lab = Lab()
    reactions, identity = watched(lab, takeovers=2), lab.world.devices[THING]
    for number in range(3):
        MqttClient(THING, identity, lab.world.authority.certificates, HOST).connect(lab.broker, f"10.0.0.{number}")
        lab.clock.advance(seconds)
    assert bool(reactions.look()) is banned


def test_one_lie_is_not_another() -> None:
    """Data that make no sense are no sequence number twice, and not each notice is that of a lid."""
    lab = Lab(policy=WIDE)
    reactions = watched(lab, sequences=1, lid=True)
    device = lab.client()
    for payload in (b"{", b'{"thing":"thing-1"}', b'{"event":"open"}', b'{"event":"tampered"}', b'["tamper"]'):
        device.publish(OWN, payload)
    assert reactions.look() == [] and len(lab.world.processor.rogue) == 5
    device.publish(OWN, telemetry(2, START))
    device.publish(OWN, telemetry(2, START))
    assert reactions.look() and lab.new(events.Banned)[0].rule == "sequences"


def test_a_certificate_that_comes_again_is_not_in_two_places() -> None:
    lab = Lab(policy=WIDE)
    reactions = watched(lab, shared=True)
    for name in ("one", "two", "three"):
        lab.client(name).disconnect()
    assert reactions.look() == []


def test_one_certificate_in_two_connections() -> None:
    lab = Lab(policy=WIDE)
    reactions = watched(lab, shared=True)
    lab.client()
    assert reactions.look() == []
    lab.client("other name")
    assert reactions.look() == [lab.world.devices[THING].certificate_id]
    assert not lab.broker.sessions.keys() - {PROCESSOR}


def test_uneven_intervals() -> None:
    lab = Lab()
    reactions = watched(lab, interval_s=5.0, tolerance_s=0.5, uneven_intervals=3)
    device, seq = lab.client(), 0

    def after(seconds: float) -> None:
        nonlocal seq
        seq += 1
        lab.clock.advance(seconds)
        device.publish(OWN, telemetry(seq, lab.clock.now))

    for seconds in (1, 5, 5.4, 4.6, 15, 2, 7.5, 5, 5):  # an outage, two odd ones, then good again
        after(seconds)
    assert reactions.look() == []
    for _ in range(3):
        after(1.5)
    assert len(reactions.look()) == 1 and lab.new(events.Banned)[0].rule == "intervals"


@pytest.mark.parametrize(("sigma_s", "tolerance_s", "in_a_row", "most"), [
    (0.05, 0.5, 1, 0.0), (0.2, 0.5, 1, 0.03), (0.2, 0.5, 3, 0.0003)])
def test_how_often_honest_jitter_is_taken_for_an_attack(sigma_s: float, tolerance_s: float, in_a_row: int,
                                                        most: float) -> None:
    """20,000 intervals of 5 s with Gaussian jitter; the rate of reactions per interval is the false-alarm rate."""
    chance, spacing, now, alarms = random.Random(12), Spacing(5.0, tolerance_s), START, 0
    for _ in range(20_000):
        now += timedelta(seconds=5.0 + chance.gauss(0, sigma_s))
        spacing.see(now)
        alarms += spacing.uneven >= in_a_row
    assert alarms / 20_000 <= most, f"{alarms / 20_000:.4%} false alarms"
    thief = Spacing(5.0, tolerance_s)
    caught = 0
    for _ in range(20_000):  # a thief who publishes when it suits him
        now += timedelta(seconds=chance.uniform(0.5, 9.5))
        thief.see(now)
        caught += thief.uneven >= in_a_row
    assert caught / 20_000 >= 0.7 ** in_a_row


def test_two_devices_count_one_sequence() -> None:
    """A clone takes turns with the original: each comes with numbers the other one has used up."""
    lab = Lab()
    reactions = watched(lab, sequences=2)
    original = lab.client()
    for seq in range(1, 6):
        original.publish(OWN, telemetry(seq, lab.clock.now))
        lab.clock.advance(2)
    clone = lab.client()
    clone.publish(OWN, telemetry(1, lab.clock.now))  # as a device that has booted
    lab.clock.advance(2)
    original = lab.client()
    original.publish(OWN, telemetry(6, lab.clock.now))
    clone = lab.client()
    for seq in (2, 3):
        assert reactions.look() == [] and status(lab) is Status.ACTIVE
        lab.clock.advance(2)
        clone.publish(OWN, telemetry(seq, lab.clock.now))
    assert reactions.look() and lab.new(events.Banned)[0].rule == "sequences" and not clone.connected


@pytest.mark.parametrize("on", [True, False])
def test_the_lid_and_whose_keys_are_taken(on: bool) -> None:
    lab = Lab(rules=Rules(lid=on, rogue=HOSTILE))
    device = lab.client()
    device.publish(OWN, b'{"thing":"thing-1","event":"tamper"}')
    lab.world.tick()
    assert device.connected is not on and [each.rule for each in lab.new(events.Banned)] == ["lid"] * on

    lab = Lab(rules=Rules(owner_signed=on))
    stranger = Authority("somebody", "somebody").issue_device("thing-9")
    lab.world.registry.create_thing("thing-9")
    identifier = lab.world.registry.register_certificate_without_ca(stranger)
    lab.world.registry.attach_thing(identifier, "thing-9")
    lab.world.registry.attach_policy(identifier, NARROW)
    client = lab.client("thing-9", identity=stranger)
    lab.client()
    lab.world.tick()
    assert client.connected is not on and [each.certificate_id for each in lab.new(events.Banned)] == [identifier] * on


@pytest.mark.parametrize("on", [True, False])
def test_a_replaced_certificate_that_comes_back(on: bool) -> None:
    lab = Lab(rules=Rules(retired=on))
    registry, old = lab.world.registry, lab.world.devices[THING]
    new = lab.world.authority.issue_device(THING)
    registry.attach_thing(registry.register_certificate(new), THING)
    registry.attach_policy(new.certificate_id, NARROW)
    registry.update_certificate(old.certificate_id, Status.INACTIVE)
    lab.broker.log(events.CertificateReplaced(THING, new.certificate_id, (old.certificate_id,)))
    device = lab.client(identity=new)
    lab.world.tick()
    assert device.connected
    lab.client(identity=old)
    lab.world.tick()
    assert device.connected is not on


def test_who_only_looks_counts_and_bans_nobody() -> None:
    lab = Lab(rules=Rules(forbidden=True, act=False))
    for _ in range(2):
        lab.client().publish("offchip/secret", b"x")
        lab.world.tick()
    assert lab.world.reactions.alarms == {"forbidden": 2} and status(lab) is Status.ACTIVE


def test_no_rule_cries_wolf_on_a_bad_network() -> None:
    """All rules at once, on honest devices that jitter, reboot, move and repeat; docs/reactions.md has 20,000."""
    assert measure(600) == Counter()
    assert measure(300, network=Network(jitter_s=2.0))["intervals"] > 0, "the measurement can find alarms"


# audits ------------------------------------------------------------------------------------------------------------
def test_audits_find_clones_open_policies_and_weak_certificates() -> None:
    lab = Lab(policy=WIDE)
    registry = lab.world.registry
    old = lab.world.authority.issue_device("old", *EXPIRED)
    registry.register_certificate(old)
    registry.create_policy("any-topic", {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "iot:Publish", "Resource": registry.arn("topic", "*")}})
    registry.attach_policy(old.certificate_id, "any-topic")
    lab.client()
    lab.client()
    lab.client("other")
    identifier = lab.world.devices[THING].certificate_id
    findings = {(each.check, each.resource): each.severity for each in audit(lab.broker)}
    assert findings == {
        ("DEVICE_CERTIFICATE_SHARED_CHECK", identifier): Severity.CRITICAL,
        ("CONFLICTING_CLIENT_IDS_CHECK", THING): Severity.HIGH,
        ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", WIDE): Severity.CRITICAL,
        ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "any-topic"): Severity.CRITICAL,
        ("DEVICE_CERTIFICATE_EXPIRING_CHECK", old.certificate_id): Severity.MEDIUM}
    assert NARROW not in {resource for _, resource in findings}


def _checks(lab: Lab) -> set[tuple[str, str]]:
    return {(each.check, each.resource) for each in audit(lab.broker)}


@pytest.mark.parametrize(("days", "found"), [(30, True), (31, False)])
def test_audits_of_certificates_and_authorities_that_end(days: int, found: bool) -> None:
    lab = Lab()
    registry, ends = lab.world.registry, START + timedelta(days=days)
    young = lab.world.authority.issue_device("young", START - timedelta(days=1), ends)
    identifier = registry.register_certificate(young)
    other = registry.register_ca_certificate(young.certificate)
    assert _checks(lab) == ({("DEVICE_CERTIFICATE_EXPIRING_CHECK", identifier),
                             ("CA_CERTIFICATE_EXPIRING_CHECK", other)} if found else set())
    registry.update_certificate(identifier, "INACTIVE")
    assert _checks(lab) == ({("CA_CERTIFICATE_EXPIRING_CHECK", other)} if found else set())


@pytest.mark.parametrize(("key", "weak"), [
    (rsa.generate_private_key(65537, 1024), True), (rsa.generate_private_key(65537, 2048), False),
    (ec.generate_private_key(ec.SECP224R1()), True), (ec.generate_private_key(ec.SECP384R1()), False)],
    ids=["RSA-1024", "RSA-2048", "P-224", "P-384"])
def test_audits_of_weak_keys(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, weak: bool) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1).public_key(key.public_key())
            .not_valid_before(START).not_valid_after(START + timedelta(days=900)).sign(key, hashes.SHA256()))
    lab = Lab()
    identifier = lab.world.registry.register_certificate(made)
    lab.world.registry.register_ca_certificate(made)
    assert _checks(lab) == ({(f"{kind}_CERTIFICATE_KEY_QUALITY_CHECK", identifier) for kind in ("DEVICE", "CA")}
                            if weak else set())


@pytest.mark.parametrize(("action", "resource", "broad"), [
    ("iot:Publish", "topic/*", True), ("iot:Publish", "topic/a/*", False), (["iot:Connect", "iot:Publish"], "*", True),
    ("iot:Connect", "client/*", False), (["iot:GetThingShadow"], "*", False), ("*", "topic/a", False),
    ("iot:Subscribe", "topicfilter/*", True), ("iot:receive", "topic/*", True)])
@pytest.mark.parametrize("by_group", [True, False])
def test_audits_of_policies_however_they_are_carried(action: str, resource: str, broad: bool, by_group: bool) -> None:
    lab = Lab()
    registry = lab.world.registry
    statement = {"Effect": "Allow", "Action": action,
                 "Resource": resource if resource == "*" else registry.arn(*resource.split("/", 1))}
    registry.create_policy("asked", {"Version": "2012-10-17", "Statement": statement})
    assert _checks(lab) == set()  # nobody carries it
    if by_group:
        registry.create_thing_group("all")
        registry.attach_policy_to_group("all", "asked")
    else:
        registry.attach_policy(lab.world.devices[THING].certificate_id, "asked")
    assert _checks(lab) == ({("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "asked")} if broad else set())
    registry.update_policy("asked", {"Version": "2012-10-17", "Statement": statement | {
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}})
    assert _checks(lab) == set()


def test_audit_of_an_account_that_is_told_nothing() -> None:
    lab = Lab(profile=load_profile().with_changes(lifecycle_events=False))
    assert _checks(lab) == {("LOGGING_DISABLED_CHECK", lab.world.registry.account)}


def test_audits_look_back_as_far_as_the_profile_says() -> None:
    for delay, found in ((7200, False), (9000, True)):
        lab = Lab(profile=load_profile().with_changes(audit_delay_seconds=delay))
        lab.client()
        lab.client()
        assert len(audit(lab.broker)) == 1
        lab.clock.advance(8000)
        assert bool(audit(lab.broker)) is found


def test_a_deactivation_that_has_not_come_through_is_found() -> None:
    lab = Lab(profile=load_profile().with_changes(deactivation_delay_seconds=300))
    device, identifier = lab.client(), lab.world.devices[THING].certificate_id
    lab.world.registry.update_certificate(identifier, Status.REVOKED)
    assert [each.check for each in audit(lab.broker)] == ["REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK"]
    lab.clock.advance(301)
    lab.world.tick()
    assert audit(lab.broker) == [] and not device.connected
