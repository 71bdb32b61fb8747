# SPDX-License-Identifier: Apache-2.0
"""The broker from outside: an in-laboratory client, raw bytes, and paho, mosquitto and openssl over real TCP."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offchip.attacks.rogue import RogueBroker
from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.broker.events import DisconnectReason
from offchip.broker.listener import Listener
from offchip.broker.processor import Processor, Rogue
from offchip.broker.profile import Confidence, load_profile
from offchip.broker.registry import Registry, Status
from offchip.broker.server import Broker
from offchip.broker.session import Message
from offchip.broker.tls import TlsStream, client_context
from offchip.broker.topics import matches
from offchip.broker.world import HOST, NARROW, WIDE, enrol
from offchip.errors import BrokerError, PkiError
from offchip.network.proxy import Direction, Proxy
from offchip.pki import EXPIRED, Authority, Identity, certificate_id
from tests.broker_lab import (
    COMMANDS,
    OWN,
    SESSION,
    START,
    THING,
    Clock,
    Lab,
    Raw,
    connect_bytes,
    packet,
    telemetry,
    text,
)


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def wide() -> Lab:
    return Lab(policy=WIDE)


# the standard laboratory -------------------------------------------------------------------------------------------
def test_a_device_does_its_work(lab: Lab) -> None:
    device = lab.client()
    assert device.connected and device.alerts == []
    assert device.subscribe(COMMANDS) and device.granted == {COMMANDS: 1}
    assert device.publish(OWN, telemetry(1, START)) and device.publish("offchip/feed", telemetry(1, START), qos=0)
    assert lab.broker.publish(COMMANDS, b"go", 1) == 1
    assert device.messages == [Message(COMMANDS, b"go", 1)]
    device.disconnect()
    assert [each.topic for each in lab.world.processor.accepted] == [OWN, "offchip/feed"]
    assert lab.world.processor.rogue == []
    established = lab.new(events.TlsEstablished)[0]
    assert (established.version, established.sni) == ("TLSv1.3", HOST)
    assert established.certificate_id == lab.world.devices[THING].certificate_id
    assert lab.reasons() == [DisconnectReason.CLIENT_INITIATED_DISCONNECT]


def test_every_run_is_the_same() -> None:
    def run() -> list[events.Event]:
        lab = Lab()
        device = lab.client()
        device.subscribe(COMMANDS)
        device.publish(OWN, telemetry(1, START))
        device.publish("offchip/secret", b"")
        return list(lab.broker.events)

    assert run() == run()


@pytest.mark.parametrize(("act", "event"), [
    (lambda c: c.publish("offchip/things/thing-2", b"x"),
     events.PublishForbidden(THING, "offchip/things/thing-2", "iot:Publish")),
    (lambda c: c.publish(OWN, b"x", qos=0, retain=True), events.PublishForbidden(THING, OWN, "iot:RetainPublish")),
    (lambda c: c.subscribe("offchip/feed"), events.SubscribeForbidden(THING, "offchip/feed")),
    (lambda c: c.subscribe(COMMANDS, "offchip/things/+/commands"),
     events.SubscribeForbidden(THING, "offchip/things/+/commands")),
])
def test_forbidden_acts_end_the_connection(lab: Lab, act: Callable[[MqttClient], bool], event: events.Event) -> None:
    device = lab.client()
    assert not act(device)
    assert not device.connected and event in lab.broker.events
    assert lab.reasons() == [DisconnectReason.FORBIDDEN_ACCESS]
    assert device.granted == {} and lab.world.processor.accepted == lab.world.processor.rogue == []


@pytest.mark.parametrize("client_id", ["thing-2", "+", "attacker"])
def test_a_certificate_connects_only_as_its_thing(lab: Lab, client_id: str) -> None:
    device = lab.client(client_id)
    assert not device.connected and device.connack is None
    assert lab.new(events.ConnectRefused)[0].code is None
    assert lab.reasons() == [DisconnectReason.FORBIDDEN_ACCESS]
    assert Lab(profile="aws-2018").client(client_id).connack == 7


def test_the_plus_trap_end_to_end(lab: Lab) -> None:
    """A policy on topicfilter/my/${iot:ClientId} and any client id: the client named + reads everybody's."""
    registry = lab.world.registry
    registry.update_policy(NARROW, {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iot:Connect", "iot:Receive", "iot:Publish"], "Resource": "*"},
        {"Effect": "Allow", "Action": "iot:Subscribe",
         "Resource": registry.arn("topicfilter", "my/${iot:ClientId}/topic")}]})
    spy = lab.client("+")
    assert spy.subscribe("my/+/topic")
    lab.client("thing-2", "thing-2").publish("my/thing-2/topic", b"secret")
    assert [each.payload for each in spy.messages] == [b"secret"]


# TLS ---------------------------------------------------------------------------------------------------------------
def test_foreign_certificates_die_in_tls(lab: Lab) -> None:
    for identity in (Authority(99).issue_device(THING), Authority("fake", name="offchip root CA").issue_device(THING)):
        device = lab.client(identity=identity)
        assert not device.connected
    alerts = [(each.direction, each.number) for each in lab.new(events.TlsAlert)]
    assert alerts[0] == ("sent", 48) and alerts[1][0] == "sent" and alerts[1][1] in (48, 51)
    assert events.TlsAlert("sent", 48, "unknown_ca") in lab.broker.events
    assert len(lab.new(events.TlsFailed)) == 2 and not lab.new(events.TlsEstablished)


def test_no_certificate_is_an_alert_by_version(lab: Lab) -> None:
    for version, alert in ((ssl.TLSVersion.TLSv1_3, events.TlsAlert("sent", 116, "certificate_required")),
                           (ssl.TLSVersion.TLSv1_2, events.TlsAlert("sent", 40, "handshake_failure"))):
        device = MqttClient(THING, None, lab.world.authority.certificates, HOST)
        device._context.maximum_version = version
        assert not device.connect(lab.broker)
        assert lab.new(events.TlsAlert)[-1] == alert
        assert ("received", alert.number, alert.name) in device.alerts


@pytest.mark.parametrize(("authority", "host", "number"), [(Authority(99), HOST, 48), (None, "other.test", 42)])
def test_alerts_of_a_client_that_refuses_the_server(lab: Lab, authority: Authority | None, host: str,
                                                    number: int) -> None:
    trusted = authority or lab.world.authority
    device = MqttClient(THING, lab.world.devices[THING], trusted.certificates, host)
    assert not device.connect(lab.broker) and device.failure
    assert [(each.direction, each.number) for each in lab.new(events.TlsAlert)] == [("received", number)]


def test_a_rogue_broker_deceives_only_who_trusts_its_authority(lab: Lab) -> None:
    foreign = Authority(99)
    rogue = RogueBroker(foreign.issue_server([HOST]))
    device = lab.world.devices[THING]
    assert not MqttClient(THING, device, lab.world.authority.certificates, HOST).connect(rogue)
    assert rogue.failures == ["TLSV1_ALERT_UNKNOWN_CA"] and not rogue.clients
    deceived = MqttClient(THING, device, foreign.certificates, HOST)
    assert deceived.connect(rogue) and deceived.publish(OWN, b"secret")
    assert rogue.messages == [(OWN, b"secret")]
    assert lab.world.processor.accepted == lab.world.processor.rogue == []


def test_sni_is_recorded_and_may_be_required() -> None:
    lab = Lab(profile=load_profile().with_changes(require_sni=True))
    context = client_context(lab.world.devices[THING], lab.world.authority.certificates)
    context.check_hostname = False
    endpoint, silent = lab.broker.connect("x"), TlsStream(context, lambda *alert: None)
    with pytest.raises(ssl.SSLError):
        while not silent.handshake():
            endpoint.receive(silent.take())
            silent.feed(endpoint.take())
    assert lab.new(events.TlsAlert) == [events.TlsAlert("sent", 112, "unrecognized_name")]
    assert lab.client().connected and lab.new(events.TlsEstablished)[0].sni == HOST


def test_keylog_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "keys.log"
    assert Lab(keylog_file=path).client().connected
    assert "CLIENT_TRAFFIC_SECRET_0" in path.read_text()
    with pytest.raises(BrokerError, match="cannot be written"):
        Lab(keylog_file=tmp_path / "absent" / "keys.log")


def test_garbage_instead_of_tls(lab: Lab) -> None:
    endpoint = lab.broker.connect("10.0.0.9")
    endpoint.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert endpoint.closed and len(lab.new(events.TlsFailed)) == 1
    endpoint.receive(b"more")
    half_open = lab.broker.connect("10.0.0.9")
    half_open.peer_closed()
    assert half_open.closed and len(lab.new(events.TlsFailed)) == 2


def test_versions_and_ciphers_follow_the_profile() -> None:
    lab = Lab(profile="aws-2018")
    assert lab.client().connected
    established = lab.new(events.TlsEstablished)[0]
    assert (established.version, established.cipher) == ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
    modern = MqttClient(THING, lab.world.devices[THING], lab.world.authority.certificates, HOST)
    modern._context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert not modern.connect(lab.broker)
    assert lab.new(events.TlsAlert)[-1] == events.TlsAlert("sent", 70, "protocol_version")


def test_a_proxy_sees_nothing_and_breaks_what_it_touches(lab: Lab) -> None:
    device = MqttClient(THING, lab.world.devices[THING], lab.world.authority.certificates, HOST)
    proxy = Proxy(lab.broker)
    assert device.connect(proxy) and device.publish(OWN, telemetry(1, START))
    for direction in Direction:
        recorded = proxy.recorded(direction)
        assert recorded and OWN.encode() not in recorded and b"thing-1" not in recorded
    proxy.rule = lambda direction, data: data[:-1] + bytes([data[-1] ^ 1])
    assert not device.publish(OWN, telemetry(2, START))
    assert events.TlsAlert("sent", 20, "bad_record_mac") in lab.broker.events
    assert lab.reasons() == [DisconnectReason.CONNECTION_LOST]


# the registry's word -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", sorted(set(Status) - {Status.ACTIVE}))
def test_only_active_certificates_authenticate(lab: Lab, status: Status) -> None:
    identifier = lab.world.devices[THING].certificate_id
    lab.world.registry.certificate(identifier).status = status  # some of them AWS alone sets
    device = lab.client()
    assert device.connack is None and not device.connected
    assert lab.new(events.CertificateRefused) == [events.CertificateRefused(f"status {status}", identifier)]
    assert lab.reasons() == [DisconnectReason.AUTH_ERROR] and lab.new(events.TlsEstablished)


def test_unknown_and_outdated_certificates(lab: Lab) -> None:
    registry, authority = lab.world.registry, lab.world.authority
    unknown, old = authority.issue_device("nobody"), authority.issue_device("old", *EXPIRED)
    registry.register_certificate(old)
    young = authority.issue_device("young", START + timedelta(hours=1), START + timedelta(hours=2))
    registry.register_certificate(young)
    for identity in (unknown, old, young):
        assert not lab.client(identity=identity).connected
    reasons = [each.reason for each in lab.new(events.CertificateRefused)]
    assert reasons == ["not registered", "expired", "not yet valid"]
    lab.clock.now = EXPIRED.not_before + timedelta(days=1)  # the broker's clock counts, not the host's
    lab.client(identity=old)
    assert len(lab.new(events.CertificateRefused)) == 3 and lab.new(events.ConnectRefused)


def test_deactivation_drops_live_sessions_by_profile() -> None:
    for profile, stays in (("aws-2026", False), ("aws-2018", True)):
        lab = Lab(profile=profile)
        device, other = lab.client(), lab.client("thing-2", "thing-2")
        lab.world.registry.update_certificate(lab.world.devices[THING].certificate_id, "INACTIVE")
        assert device.connected is stays and other.connected
        device.drop()
        assert not lab.client().connected


def test_policy_edits_revoke_live_rights(lab: Lab) -> None:
    device, registry = lab.client(), lab.world.registry
    device.subscribe(COMMANDS)
    identifier = lab.world.devices[THING].certificate_id
    registry.detach_policy(identifier, NARROW)
    assert lab.broker.publish(COMMANDS, b"x") == 0 and device.messages == []
    assert events.ReceiveForbidden(THING, COMMANDS) in lab.broker.events and device.connected
    assert not device.publish(OWN, b"x")


def test_a_policy_cache_keeps_revoked_rights_alive() -> None:
    lab = Lab(profile=load_profile().with_changes(policy_cache_seconds=300))
    device = lab.client()
    lab.world.registry.detach_policy(lab.world.devices[THING].certificate_id, NARROW)
    assert device.publish(OWN, b"x")
    lab.clock.advance(300)
    assert not device.publish(OWN, b"x")


# MQTT --------------------------------------------------------------------------------------------------------------
def test_the_second_of_a_client_id_wins(lab: Lab) -> None:
    first, second = lab.client(), lab.client()
    assert not first.connected and second.connected
    assert events.Disconnected(DisconnectReason.DUPLICATE_CLIENTID, THING) in lab.broker.events
    assert second.publish(OWN, telemetry(1, START))


def test_answers_from_within_a_callback(wide: Lab) -> None:
    echo = wide.client("echo", "thing-2", on_message=lambda message: echo.publish("answer", message.payload))
    echo.subscribe("question")
    asker = wide.client()
    asker.subscribe("answer")
    assert asker.publish("question", b"42") and asker.messages == [Message("answer", b"42", 1)]
    assert wide.broker.publish("question", b"43") == 1 and len(asker.messages) == 2


def test_unsubscribing(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(SESSION + packet(0x82, b"\x00\x01" + text(b"a") + b"\x01"))
    assert raw.send(packet(0xA2, b"\x00\x02" + text(b"a"))) == b"\xb0\x02\x00\x02"
    assert wide.broker.publish("a", b"x") == 0 and wide.new(events.Unsubscribed) == [events.Unsubscribed(THING, "a")]


def test_lifecycle_events_carry_aws_fields(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("$aws/events/presence/+/thing-1", "$aws/events/subscriptions/+/thing-1")
    device = wide.client()
    device.subscribe("a/b")
    wide.client()
    contents = [json.loads(each.payload) for each in watcher.messages]
    assert [each["eventType"] for each in contents] == ["connected", "subscribed", "disconnected", "connected"]
    connected, subscribed, disconnected, again = contents
    assert connected["clientId"] == THING and connected["ipAddress"] == "10.0.0.2"
    assert connected["principalIdentifier"] == wide.world.devices[THING].certificate_id
    assert connected["timestamp"] == int(START.timestamp() * 1000)
    assert (connected["versionNumber"], again["versionNumber"]) == (0, 1)
    assert subscribed["topics"] == ["a/b"] and subscribed["sessionIdentifier"] == connected["sessionIdentifier"]
    assert disconnected["disconnectReason"] == "DUPLICATE_CLIENTID"
    assert disconnected["clientInitiatedDisconnect"] is False
    count = len(watcher.messages)
    watcher.subscribe("$aws/events/presence/#")
    wide.client("with+plus")
    assert len(watcher.messages) == count


@pytest.mark.parametrize(("asked", "granted"), [(60, 60), (5, 30), (0, 1200), (4000, 1200)])
def test_keep_alive_is_clamped_and_enforced(lab: Lab, asked: int, granted: int) -> None:
    device = lab.client(keep_alive=asked)
    lab.clock.advance(granted * 1.5)
    lab.broker.tick()
    assert device.connected
    device.ping()
    lab.clock.advance(granted * 1.5 + 0.001)
    lab.broker.tick()
    assert not device.connected
    assert events.Disconnected(DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT, THING) in lab.broker.events


def test_wills_follow_every_end_but_a_clean_one(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("will/x")
    will = Message("will/x", b"gone", 1)
    wide.client(will=will).disconnect()
    assert watcher.messages == []
    wide.client(will=will).drop()
    wide.client(will=will)
    wide.client()  # takes over
    wide.client(will=will)
    wide.world.registry.update_certificate(wide.world.devices[THING].certificate_id, "REVOKED")
    assert watcher.messages == [will] * 3


def test_a_will_needs_the_right_to_publish(lab: Lab) -> None:
    lab.client(will=Message("offchip/things/thing-2", b"lie")).drop()
    assert events.PublishForbidden(THING, "offchip/things/thing-2", "iot:Publish") in lab.broker.events
    assert lab.world.processor.accepted == lab.world.processor.rogue == []


def test_persistent_sessions(wide: Lab) -> None:
    sleeper = wide.client(clean=False)
    assert not sleeper.session_present
    sleeper.subscribe("a/b")
    sleeper.drop()
    writer = wide.client("writer", "thing-2")
    for number in range(3):
        writer.publish("a/b", b"%d" % number)
    writer.publish("a/b", b"qos0", qos=0)
    wide.clock.advance(3599)
    wide.broker.tick()
    again = wide.client(clean=False)
    assert again.session_present and [each.payload for each in again.messages] == [b"0", b"1", b"2"]
    again.disconnect()
    wide.clock.advance(3600)
    assert not wide.client(clean=False).session_present
    wide.client(clean=True).disconnect()
    assert not wide.client(clean=False).session_present


def test_unacknowledged_messages_come_again_and_are_limited(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes(flags=0))
    raw.send(packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x01"))
    for _ in range(101):
        wide.broker.publish("a/b", b"x", 1)
    first = raw.send(b"\xc0\x00")
    assert first.count(b"a/b") == 100  # the 101st waits for a PUBACK
    assert raw.send(packet(0x40, b"\x00\x01")).count(b"a/b") == 1
    raw.endpoint.peer_closed()
    again = Raw(wide)
    answer = again.send(connect_bytes(flags=0))
    assert answer.startswith(b"\x20\x02\x01\x00") and answer.count(b"\x32\x08\x00\x03a/b") == 100  # AWS sets no DUP


def test_retained_messages(wide: Lab) -> None:
    writer = wide.client("writer", "thing-2")
    writer.publish("a/b", b"old", retain=True)
    writer.publish("a/b", b"kept", retain=True)
    reader = wide.client()
    reader.subscribe("a/+", "a/b")
    assert reader.messages == [Message("a/b", b"kept", 1, True)]  # exact filters only
    writer.publish("a/b", b"", retain=True)
    assert reader.messages[-1] == Message("a/b", b"", 1, False)
    reader.subscribe("a/b")
    assert len(reader.messages) == 2
    old = Lab(policy=WIDE, profile="aws-2018")
    assert not old.client().publish("a/b", b"x", retain=True)
    assert old.reasons() == [DisconnectReason.CLIENT_ERROR]


def test_qos_2_gets_no_answer(wide: Lab) -> None:
    device = wide.client()
    device.subscribe("a/b")
    assert device.publish("a/b", b"x", qos=2) is False and not device.subscribe("c/d", qos=2)
    assert device.connected and device.messages == [] and device.granted == {"a/b": 1}
    assert wide.new(events.QosUnsupported) == [events.QosUnsupported(THING, "PUBLISH", "a/b"),
                                              events.QosUnsupported(THING, "SUBSCRIBE", "c/d")]


@pytest.mark.parametrize(("act", "fine"), [
    (lambda c: c.publish("t", bytes(131072)), True), (lambda c: c.publish("t", bytes(131073)), False),
    (lambda c: c.publish("t", bytes(200_000)), False),
    (lambda c: c.publish("x" * 256, b""), True), (lambda c: c.publish("x" * 257, b""), False),
    (lambda c: c.publish("1/2/3/4/5/6/7/8", b""), True), (lambda c: c.publish("1/2/3/4/5/6/7/8/9", b""), False),
    (lambda c: c.publish("$aws/things/x/shadow", b""), False), (lambda c: c.subscribe("$SYS/#"), False),
    (lambda c: c.subscribe(*"abcdefgh"), True), (lambda c: c.subscribe(*"abcdefghi"), False),
    (lambda c: c.subscribe("a/b#"), False), (lambda c: c.subscribe("a/#/b"), False), (lambda c: c.subscribe(""), False),
    (lambda c: all([c.subscribe(f"t{n}") for n in range(50)]), True),
    (lambda c: all([c.subscribe(f"t{n}") for n in range(50)]) and c.subscribe("t0") and not c.subscribe("more"), True),
])
def test_limits(wide: Lab, act: Callable[[MqttClient], bool], fine: bool) -> None:
    device = wide.client()
    assert act(device) is fine
    if not fine:
        assert wide.reasons() == [DisconnectReason.CLIENT_ERROR] and len(wide.new(events.ProtocolViolated)) == 1


@pytest.mark.parametrize("client_id", ["", "$aws", "x" * 129])
def test_client_ids_nobody_may_have(wide: Lab, client_id: str) -> None:
    assert wide.client(client_id).connack == 2
    assert wide.client("x" * 128).connected


@pytest.mark.parametrize(("pattern", "topic", "fits"), [
    ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/#", "a/b/c", True), ("a/#", "a", False),
    ("#", "a/b", True), ("#", "$aws/x", False), ("+/x", "$aws/x", False), ("$aws/#", "$aws/x", True),
    ("+", "", True), ("a/+", "a/", True), ("a", "a/", False), ("+/+", "/a", True), ("a/b/c", "a/b", False),
])
def test_filters(pattern: str, topic: str, fits: bool) -> None:
    assert matches(pattern, topic, False) is fits
    assert matches("sensor/#", "sensor", True)


MALFORMED = {
    "not connected": packet(0xC0, b""),
    "second connect": SESSION + SESSION,
    "reserved packet type": SESSION + packet(0x00, b""),
    "type 15": SESSION + packet(0xF0, b""),
    "server's packet": SESSION + packet(0x20, b"\x00\x00"),
    "subscribe flags": SESSION + packet(0x80, b"\x00\x01" + text(b"a") + b"\x00"),
    "ping with body": SESSION + packet(0xC0, b"x"),
    "length of five bytes": SESSION + b"\x30\xff\xff\xff\xff\x01",
    "announces 256 MB": SESSION + b"\x30\xff\xff\xff\x7f",
    "empty publish": SESSION + packet(0x30, b""),
    "publish topic too short": SESSION + packet(0x30, b"\x00\x09a"),
    "publish without packet id": SESSION + packet(0x32, text(b"a")),
    "publish packet id 0": SESSION + packet(0x32, text(b"a") + b"\0\0"),
    "publish QoS 3": SESSION + packet(0x36, text(b"a") + b"\0\1"),
    "publish wildcard": SESSION + packet(0x30, text(b"a/#")),
    "publish not UTF-8": SESSION + packet(0x30, text(b"\xff\xfe")),
    "publish with zero": SESSION + packet(0x30, text(b"a\0b")),
    "subscribe to nothing": SESSION + packet(0x82, b"\x00\x01"),
    "subscribe cut": SESSION + packet(0x82, b"\x00\x01\x00\x05ab"),
    "subscribe QoS 3": SESSION + packet(0x82, b"\x00\x01" + text(b"a") + b"\x03"),
    "subscribe without QoS": SESSION + packet(0x82, b"\x00\x01" + text(b"a")),
    "subscribe packet id 0": SESSION + packet(0x82, b"\x00\x00" + text(b"a") + b"\x00"),
    "unsubscribe from nothing": SESSION + packet(0xA2, b"\x00\x01"),
    "puback cut": SESSION + packet(0x40, b"\x00"),
    "connect empty": packet(0x10, b""),
    "connect cut": packet(0x10, b"\x00\x04MQTT\x04\x02\x00"),
    "connect reserved flag": connect_bytes(flags=3),
    "connect will missing": connect_bytes(flags=6),
    "connect will QoS without will": connect_bytes(flags=10),
    "connect will topic wildcard": connect_bytes(flags=6, tail=text(b"#") + text(b"x")),
    "connect user missing": connect_bytes(flags=0x82),
    "connect password without user": connect_bytes(flags=0x42, tail=text(b"x")),
    "connect with a tail": connect_bytes(tail=b"x"),
    "connect id not UTF-8": connect_bytes(b"\xff\xff"),
    "connect id with a null": connect_bytes(b"a\0b"),
    "connect user name with a null": connect_bytes(flags=0x82, tail=text(b"a\0b")),
    "connect user name not UTF-8": connect_bytes(flags=0x82, tail=text(b"\xff")),
    "publish DUP with QoS 0": SESSION + packet(0x38, text(b"a")),
    "publish surrogate": SESSION + packet(0x30, text(b"a\xed\xa0\x80")),
    "publish to nowhere": SESSION + packet(0x30, text(b"")),
    "subscribe reserved bits": SESSION + packet(0x82, b"\x00\x01" + text(b"a") + b"\x04"),
    "subscribe to nowhere": SESSION + packet(0x82, b"\x00\x01" + text(b"") + b"\x00"),
    "unsubscribe from nowhere": SESSION + packet(0xA2, b"\x00\x01" + text(b"")),
    "unsubscribe wildcard out of place": SESSION + packet(0xA2, b"\x00\x01" + text(b"a/#/b")),
    "unsubscribe flags": SESSION + packet(0xA0, b"\x00\x01" + text(b"a")),
    "pubrel flags": SESSION + packet(0x60, b"\x00\x01"),
    "pubrel": SESSION + packet(0x62, b"\x00\x01"),
    "disconnect flags": SESSION + packet(0xE1, b""),
    "disconnect with a body": SESSION + packet(0xE0, b"\x00"),
    "puback packet id 0": SESSION + packet(0x40, b"\x00\x00"),
    "connect will QoS 3": connect_bytes(flags=0x1E, tail=text(b"a") + text(b"x")),
    "connect will retain without will": connect_bytes(flags=0x22),
    "connect will topic empty": connect_bytes(flags=6, tail=text(b"") + text(b"x")),
    "connect will not UTF-8": connect_bytes(flags=6, tail=text(b"\xff") + text(b"x")),
    "connect id with a surrogate": connect_bytes(b"\xed\xbf\xbf"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_packets_are_client_errors(wide: Lab, data: bytes) -> None:
    raw = Raw(wide)
    raw.send(data)
    assert raw.endpoint.closed
    assert wide.reasons() == [DisconnectReason.CLIENT_ERROR] and len(wide.new(events.ProtocolViolated)) == 1
    assert wide.client("other", "thing-2").connected


@pytest.mark.parametrize("version", [b"\x00\x06MQIsdp\x04", b"\x00\x04MQTT\x06", b"\x00\x04MQTT\x84"])
def test_other_versions_are_refused_with_code_1(wide: Lab, version: bytes) -> None:
    raw = Raw(wide)
    assert raw.send(packet(0x10, version + b"\x02\x00\x3c\x00" + text(b"x"))) == b"\x20\x02\x00\x01"
    assert raw.endpoint.closed and wide.new(events.ConnectRefused)[0].code == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=4), st.integers(1, 30))
def test_no_bytes_break_the_broker(wide: Lab, packets: list[tuple[int, bytes]], chunk: int) -> None:
    raw = Raw(wide)
    data = SESSION + b"".join(packet(first, body) for first, body in packets)
    with contextlib.suppress(ssl.SSLError):  # writing after the broker hung up
        for start in range(0, len(data), chunk):
            raw.send(data[start:start + chunk])
    raw.endpoint.peer_closed()
    assert raw.endpoint.closed and THING not in wide.broker.sessions


# processor ---------------------------------------------------------------------------------------------------------
def test_processor_counts_rogue_packets_by_reason() -> None:
    lab = Lab(policy=WIDE, interval_s=5.0)
    processor, device = lab.world.processor, lab.client()
    now = START

    def tell(payload: bytes, topic: str = OWN) -> None:
        device.publish(topic, payload)

    tell(telemetry(1, now))
    tell(telemetry(1, now))                                             # replay
    tell(telemetry(2, now))                                             # no time passed
    lab.clock.advance(5)
    tell(telemetry(2, now + timedelta(seconds=5)))
    tell(telemetry(3, now + timedelta(seconds=4)))                      # runs backwards
    tell(telemetry(3, now + timedelta(seconds=60)))                     # from the future
    tell(telemetry(1, now, "thing-2"))                                  # another thing's topic
    tell(telemetry(1, now, "thing-9"), "offchip/feed")
    tell(b"{")
    tell(b"[" * 5000)
    tell(b"[]")
    tell(b'{"thing":"thing-1","seq":3,"time":1,"temperature":NaN}')
    tell(b'{"thing":"thing-1","thing":"thing-1","seq":3,"time":1,"temperature":1}')
    tell(b'{"thing":"thing-1","seq":3,"time":1,"temperature":1,"more":1}')
    tell(b'{"thing":"thing-1","seq":true,"time":1,"temperature":1}')
    tell(b'{"thing":"thing-1","seq":1e3,"time":1,"temperature":1}')
    tell(b'{"thing":"thing-1","seq":1,"time":1,"temperature":1' + b"0" * 400 + b"}")
    lab.clock.advance(60)
    tell(telemetry(3, lab.clock.now))                                   # after an outage
    lab.clock.advance(2)
    tell(telemetry(1, lab.clock.now))                                   # a new boot
    assert [each.seq for each in processor.accepted] == [1, 2, 3, 1] and processor.gaps == 1
    assert processor.rogue_reasons == {
        Rogue.SEQUENCE: 1, Rogue.SPACING: 1, Rogue.TIME: 2, Rogue.TOPIC: 1, Rogue.UNKNOWN_THING: 1, Rogue.NOT_JSON: 4,
        Rogue.FIELDS: 2, Rogue.TYPE: 3}


def test_processor_outlives_its_keep_alive(lab: Lab) -> None:
    for _ in range(5):
        lab.clock.advance(601)
        lab.world.tick()
    assert lab.world.processor.client.connected


def test_processor_without_rights_says_so(lab: Lab) -> None:
    world = lab.world
    impostor = enrol(world.authority, world.registry, "thing-3", NARROW)
    with pytest.raises(BrokerError, match="may not subscribe"):
        Processor("thing-3", impostor, world.authority.certificates, HOST, [], lab.clock).connect(world.broker)
    with pytest.raises(BrokerError, match="cannot connect"):
        Processor("thing-9", impostor, world.authority.certificates, HOST, [], lab.clock).connect(world.broker)


# profiles ----------------------------------------------------------------------------------------------------------
def test_profiles_name_their_sources(tmp_path: Path) -> None:
    for name in ("aws-2026", "aws-2018"):
        for behaviour, evidence in load_profile(name).evidence.items():
            assert evidence.date, behaviour
            assert evidence.source.startswith("https://") or evidence.confidence is Confidence.ASSUMED, behaviour
    good = (Path(events.__file__).parent / "profiles" / "aws-2026.toml").read_text()
    for broken, part in ((good.replace("[require_sni]", "[require_snow]"), "require_sn"), ("x", "unreadable"),
                         (good.replace('confidence = "documented"', 'confidence = "sure"', 1), "confidence"),
                         (good.replace("value = 30\n", 'value = "30"\n'), "connect_timeout_seconds"),
                         (good.replace('date = "2023"\n', "", 1), "tls_versions")):
        path = tmp_path / "mine.toml"
        path.write_text(broken)
        with pytest.raises(BrokerError, match=part):
            load_profile(path)
    with pytest.raises(BrokerError, match="aws-2018"):
        load_profile("aws-1999")


def test_unusable_server_identities(tmp_path: Path) -> None:
    authority = Authority(1)
    server, device = authority.issue_server([HOST]), authority.issue_device("x")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    certificate.write_bytes(server.chain_pem)
    key.write_bytes(server.key_pem)
    assert Identity.load(certificate, key).certificate_id == certificate_id(server.certificate)
    key.write_bytes(device.key_pem)
    for wrong in (key, tmp_path / "absent"):
        with pytest.raises(PkiError):
            Identity.load(certificate, wrong)
        with pytest.raises(PkiError):
            Identity.load(wrong, key)
    with pytest.raises(BrokerError):
        Broker(Identity(server.certificate, device.key), authority.certificates, Clock())
    with pytest.raises(BrokerError):
        Broker(server, [], Clock())
    with pytest.raises(BrokerError):
        Broker(server, authority.certificates, Clock(), load_profile().with_changes(tls12_ciphers=("NONSENSE",)))


# real TCP, judged by others ----------------------------------------------------------------------------------------
@pytest.fixture
def listener(lab: Lab) -> Iterator[Listener]:
    with Listener(lab.broker) as listening:
        yield listening


@pytest.fixture
def files(lab: Lab, tmp_path: Path) -> Path:
    world = lab.world
    (tmp_path / "ca.pem").write_bytes(world.authority.root.certificate_pem)
    for name, identity in (*world.devices.items(), ("foreign", Authority(99).issue_device(THING))):
        (tmp_path / f"{name}.pem").write_bytes(identity.certificate_pem)
        (tmp_path / f"{name}.key").write_bytes(identity.key_pem)
    return tmp_path


def mosquitto(tool: str, listener: Listener, files: Path, *arguments: str, who: str = THING) -> list[str]:
    return [tool, "-h", "localhost", "-p", str(listener.port), "--cafile", str(files / "ca.pem"),
            "--cert", str(files / f"{who}.pem"), "--key", str(files / f"{who}.key"), *arguments]


def test_mosquitto_publishes(lab: Lab, listener: Listener, files: Path) -> None:
    good = mosquitto("mosquitto_pub", listener, files, "-i", THING, "-q", "1", "-t", OWN, "-m",
                     telemetry(1, START).decode())
    assert subprocess.run(good, capture_output=True, timeout=10, check=False).returncode == 0
    bad = mosquitto("mosquitto_pub", listener, files, "-i", THING, "-q", "1", "-t", "offchip/secret", "-m", "x")
    assert subprocess.run(bad, capture_output=True, timeout=10, check=False).returncode != 0
    foreign = mosquitto("mosquitto_pub", listener, files, "-i", THING, "-t", OWN, "-m", "x", who="foreign")
    assert subprocess.run(foreign, capture_output=True, timeout=10, check=False).returncode != 0
    assert [each.seq for each in lab.world.processor.accepted] == [1]
    assert events.PublishForbidden(THING, "offchip/secret", "iot:Publish") in lab.broker.events
    assert events.TlsAlert("sent", 48, "unknown_ca") in lab.broker.events


def test_mosquitto_subscribes(lab: Lab, listener: Listener, files: Path) -> None:
    lab.broker.publish(COMMANDS, b"open the gate", 1, retain=True)  # waits there, so nobody has to wait for mosquitto
    command = mosquitto("mosquitto_sub", listener, files, "-i", THING, "-q", "1", "-t", COMMANDS, "-C", "1")
    done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    assert done.stdout == b"open the gate\n", done.stderr


@pytest.mark.parametrize(("option", "number", "name"), [
    ("-tls1_3", 116, "certificate_required"), ("-tls1_2", 40, "handshake_failure")])
def test_openssl_without_a_certificate(lab: Lab, listener: Listener, files: Path, option: str, number: int,
                                       name: str) -> None:
    command = ["openssl", "s_client", option, "-connect", f"127.0.0.1:{listener.port}", "-servername", HOST,
               "-CAfile", str(files / "ca.pem"), "-verify_return_error", "-ign_eof"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=10, check=False)
    assert f"SSL alert number {number}" in done.stdout + done.stderr
    assert events.TlsAlert("sent", number, name) in lab.broker.events


@pytest.mark.parametrize("option", ["-tls1_3", "-tls1_2"])
def test_openssl_with_a_certificate(lab: Lab, listener: Listener, files: Path, option: str) -> None:
    command = ["openssl", "s_client", option, "-connect", f"127.0.0.1:{listener.port}", "-servername", HOST,
               "-CAfile", str(files / "ca.pem"), "-verify_return_error", "-verify_hostname", HOST, "-ign_eof", "-quiet",
               "-cert", str(files / f"{THING}.pem"), "-key", str(files / f"{THING}.key")]
    done = subprocess.run(command, input=connect_bytes() + b"\xe0\x00", capture_output=True, timeout=10, check=False)
    assert done.stdout == b"\x20\x02\x00\x00", done.stderr
    assert lab.new(events.TlsEstablished)[0].sni == HOST
    assert lab.reasons() == [DisconnectReason.CLIENT_INITIATED_DISCONNECT]


def paho_client(listener: Listener, files: Path, client_id: str, who: str) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv311,
                         reconnect_on_failure=False)
    client.tls_set(str(files / "ca.pem"), str(files / f"{who}.pem"), str(files / f"{who}.key"))
    client.connect("localhost", listener.port)
    return client


def run_until(client: paho.Client, reached: threading.Event, limit_s: float = 10) -> bool:
    client.loop_start()
    try:
        return reached.wait(limit_s)
    finally:
        client.disconnect()
        client.loop_stop()


def test_paho_does_a_devices_work(lab: Lab, listener: Listener, files: Path) -> None:
    client, done, received = paho_client(listener, files, THING, THING), threading.Event(), []
    client.on_connect = lambda *_: client.subscribe(COMMANDS, 1)
    client.on_subscribe = lambda *_: client.publish(OWN, telemetry(1, START), 1)
    client.on_publish = lambda *_: lab.broker.publish(COMMANDS, b"thanks", 1)

    def on_message(client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        received.append((message.topic, message.payload))
        done.set()

    client.on_message = on_message
    assert run_until(client, done) and received == [(COMMANDS, b"thanks")]
    assert [each.topic for each in lab.world.processor.accepted] == [OWN]


def test_paho_is_taken_over_and_cut_off(lab: Lab, listener: Listener, files: Path) -> None:
    client, connected, lost = paho_client(listener, files, THING, THING), threading.Event(), threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_disconnect = lambda *_: lost.set()
    client.loop_start()
    assert connected.wait(10)
    clone = lab.client()
    assert lost.wait(10)
    client.loop_stop()
    assert events.Disconnected(DisconnectReason.DUPLICATE_CLIENTID, THING) in lab.broker.events

    second, connected, lost = paho_client(listener, files, "thing-2", "thing-2"), threading.Event(), threading.Event()
    second.on_connect = lambda *_: connected.set()
    second.on_disconnect = lambda *_: lost.set()
    second.loop_start()
    assert connected.wait(10)
    lab.world.registry.update_certificate(lab.world.devices["thing-2"].certificate_id, "INACTIVE")
    assert lost.wait(10)
    second.loop_stop()
    assert events.Disconnected(DisconnectReason.AUTH_ERROR, "thing-2") in lab.broker.events and clone.connected


def test_listeners_stop_cleanly_and_refuse_taken_ports(lab: Lab) -> None:
    listener = Listener(lab.broker)
    with pytest.raises(BrokerError, match=f"127.0.0.1:{listener.port}"):
        Listener(lab.broker, port=listener.port)
    for host, port in (("192.0.2.1", 0), ("127.0.0.1", 70_000)):
        with pytest.raises(BrokerError):
            Listener(lab.broker, host, port)
    with socket.create_connection((listener.host, listener.port)) as client:
        client.settimeout(10)
        client.sendall(b"\x16\x03\x01")
        listener.stop()
        listener.stop()
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""
    with Listener(lab.broker, port=listener.port) as again:
        assert again.port == listener.port


def test_an_empty_registry_refuses_everybody() -> None:
    authority = Authority(1)
    broker = Broker(authority.issue_server([HOST]), authority.certificates, Clock(), registry=Registry())
    assert not MqttClient(THING, authority.issue_device(THING), authority.certificates, HOST).connect(broker)
    assert broker.events.of(events.CertificateRefused)[0].reason == "not registered"
