# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Core's rules where they are easily got wrong: deliveries, wills, reserved topics, bounds, names, retries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from offchip.broker import events
from offchip.broker.events import DisconnectReason, EventLog
from offchip.broker.profile import load_profile
from offchip.broker.server import Busy
from offchip.broker.session import Message
from offchip.broker.tls import TlsStream, client_context, server_name_of
from offchip.broker.world import NARROW, WIDE, enrol
from tests.broker_lab import HOST, OWN, SESSION, START, THING, Lab, Raw, connect_bytes, packet, text


def everything_but(lab: Lab, *denied: tuple[str, str]) -> dict:
    """A policy document: iot:* without some actions on some topics."""
    return {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
        *({"Effect": "Deny", "Action": action, "Resource": lab.world.registry.arn("topic", topic)}
          for action, topic in denied)]}


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def wide() -> Lab:
    return Lab(policy=WIDE)


# iot:Receive on every delivery -------------------------------------------------------------------------------------
def connect_only(lab: Lab) -> None:
    """The next holder of thing-1's client id may connect, and nothing else."""
    lab.world.registry.update_policy(WIDE, {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]})


def test_queued_messages_are_for_who_may_receive(wide: Lab) -> None:
    sleeper = wide.client(clean=False)
    sleeper.subscribe("secret/a")
    sleeper.drop()
    assert wide.broker.publish("secret/a", b"queued", 1) == 1
    connect_only(wide)
    thief = wide.client(clean=False)
    assert thief.session_present and thief.messages == []
    assert events.ReceiveForbidden(THING, "secret/a") in wide.broker.events
    assert not wide.broker.sessions[THING].queue


def test_messages_in_flight_are_for_who_may_receive(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes(flags=0) + packet(0x82, b"\x00\x01" + text(b"secret/a") + b"\x01"))
    wide.broker.publish("secret/a", b"in flight", 1)
    raw.endpoint.peer_closed()
    connect_only(wide)
    thief = wide.client(clean=False)
    assert thief.session_present and thief.messages == [] and not wide.broker.sessions[THING].inflight
    assert events.ReceiveForbidden(THING, "secret/a") in wide.broker.events


def test_a_session_is_judged_by_the_certificate_that_holds_it_now(wide: Lab) -> None:
    """Not by the one that began it, whose rights and thing it does not inherit."""
    owner = wide.client(clean=False)
    owner.subscribe("secret/a")
    owner.drop()
    wide.broker.publish("secret/a", b"queued", 1)
    registry = wide.world.registry
    other = wide.world.devices["thing-2"].certificate_id
    registry.create_policy("connect", {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]})
    registry.detach_policy(other, WIDE)
    registry.attach_policy(other, "connect")
    heir = wide.client(THING, "thing-2", clean=False)
    assert heir.session_present and heir.messages == []
    assert wide.broker.publish("secret/a", b"live", 1) == 0 and heir.messages == []
    assert [each.thing for each in wide.new(events.Connected)] == [THING, ""]
    assert wide.broker.sessions[THING].certificate_id == other


def test_a_session_that_ran_out_is_gone_before_anybody_looked(wide: Lab) -> None:
    wide.client(clean=False).drop()
    wide.clock.advance(3600)
    assert not wide.client(clean=False).session_present


def test_waiting_messages_are_for_who_may_receive_when_their_turn_comes(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(SESSION + packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x01"))
    for _ in range(101):
        wide.broker.publish("a/b", b"x", 1)
    raw.send(b"\xc0\x00")
    connect_only(wide)
    assert raw.send(packet(0x40, b"\x00\x01")).count(b"a/b") == 0
    assert wide.new(events.ReceiveForbidden) == [events.ReceiveForbidden(THING, "a/b")]


def test_retained_messages_are_for_who_may_receive(wide: Lab) -> None:
    wide.client("writer", "thing-2").publish("secret/a", b"kept", retain=True)
    wide.world.registry.update_policy(WIDE, everything_but(wide, ("iot:Receive", "secret/*")))
    reader = wide.client()
    assert reader.subscribe("secret/a") and reader.messages == []
    assert events.ReceiveForbidden(THING, "secret/a") in wide.broker.events


# wills and refused connections -------------------------------------------------------------------------------------
def test_a_will_on_a_forbidden_topic_refuses_the_connection() -> None:
    lab = Lab()
    watcher = lab.client("watcher", identity=enrol(lab.world.authority, lab.world.registry, "watcher", WIDE))
    watcher.subscribe("$aws/events/presence/#")
    refused = lab.client(will=Message("offchip/things/thing-2", b"lie"))
    assert not refused.connected and refused.connack is None
    assert events.PublishForbidden(THING, "offchip/things/thing-2", "iot:Publish") in lab.broker.events
    assert lab.reasons() == [DisconnectReason.FORBIDDEN_ACCESS]
    not_allowed = lab.client("thing-2")  # with thing-1's certificate
    assert not not_allowed.connected
    contents = [json.loads(each.payload) for each in watcher.messages]
    assert [each.topic for each in watcher.messages] == ["$aws/events/presence/connect_failed/thing-1",
                                                         "$aws/events/presence/connect_failed/thing-2"]
    assert contents[0] == {"clientId": THING, "timestamp": int(START.timestamp() * 1000),
                           "eventType": "connect_failed", "connectFailureReason": "AUTHORIZATION_FAILED",
                           "principalIdentifier": lab.world.devices[THING].certificate_id}
    assert lab.client(will=Message(OWN, b"gone")).connected


def test_a_retained_will_needs_both_rights(wide: Lab) -> None:
    wide.world.registry.update_policy(WIDE, everything_but(wide, ("iot:RetainPublish", "will/x")))
    assert wide.client(will=Message("will/x", b"x")).connected
    assert not wide.client(will=Message("will/x", b"x", 1, True)).connected
    assert events.PublishForbidden(THING, "will/x", "iot:RetainPublish") in wide.broker.events


def test_in_2018_the_will_was_withheld_when_it_was_due() -> None:
    lab = Lab(profile="aws-2018")
    lab.client(will=Message("offchip/things/thing-2", b"lie")).drop()
    assert events.PublishForbidden(THING, "offchip/things/thing-2", "iot:Publish") in lab.broker.events
    assert lab.world.processor.accepted == lab.world.processor.rogue == []


# reserved topics ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("topic", [
    "$aws/things/thing-1/defender/metrics/json", "$aws/things/thing-1/streams/s/get/json",
    "$aws/commands/things/thing-1/executions/7/response/json", "$aws/device_location/thing-1/get_position_estimate",
])
def test_what_is_not_modelled_says_so_and_stays_connected(wide: Lab, topic: str) -> None:
    device = wide.client()
    assert device.subscribe(f"{topic}/accepted", f"{topic}/rejected")
    assert device.publish(topic, b"{}") and device.connected
    assert [each.topic for each in wide.new(events.NotModelled)] == [topic] and not wide.reasons()


FORGERIES = ["$aws/things/thing-1/shadow/update/accepted", "$aws/events/presence/connected/x", "$aws/foo", "$SYS/x",
             "$aws/things/thing-1/jobs/notify", "$share/g/t", "$x", "$aws/certificates/create/json/accepted",
             "$aws/things/thing-1/tunnels/notify", "$aws/things/thing-1/shadow/name/n/update/delta", "$",
             "$aws/commands/things/thing-1/executions/7/request/json", "$aws/things//shadow/update", "$aws/rules/",
             "$aws/things/thing-1/shadow/name//get", "$aws/sitewise/asset-models/m/assets/a/properties/p"]


@pytest.mark.parametrize("topic", FORGERIES)
def test_unsupported_reserved_topics_close_with_an_event(wide: Lab, topic: str) -> None:
    device = wide.client()
    assert not device.publish(topic, b"{}") and not device.connected
    assert wide.reasons() == [DisconnectReason.CLIENT_ERROR]
    assert [each.topic for each in wide.new(events.NotModelled)] == [topic]
    tolerant = Lab(policy=WIDE, profile=load_profile().with_changes(unsupported_reserved_topics_close=False))
    assert tolerant.client().publish(topic, b"{}") and not tolerant.reasons()


@pytest.mark.parametrize("topic", FORGERIES)
def test_no_will_forges_what_aws_says(wide: Lab, topic: str) -> None:
    """Neither at CONNECT nor, where the profile lets it pass there, when it is due."""
    assert not wide.client(will=Message(topic, b"{}")).connected
    assert [each.topic for each in wide.new(events.NotModelled)] == [topic]
    tolerant = Lab(policy=WIDE, profile=load_profile().with_changes(unsupported_reserved_topics_close=False))
    tolerant.client(will=Message(topic, b"{}")).drop()
    assert len(tolerant.new(events.NotModelled)) == 2 and not tolerant.new(events.WillSent)


def test_a_will_on_a_shadows_topic_reaches_subscribers_and_no_service(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    topic = "$aws/things/thing-1/shadow/update"
    watcher.subscribe(f"{topic}/accepted", topic)
    wide.client(will=Message(topic, b'{"state": {"reported": {"on": false}}}')).drop()
    assert [each.topic for each in watcher.messages] == [topic] and wide.world.shadows.state(THING) == {}


def test_reserved_topics_need_rights_too(lab: Lab) -> None:
    device = lab.client()
    assert not device.publish("$aws/things/thing-2/shadow/update", b"{}")
    assert events.PublishForbidden(THING, "$aws/things/thing-2/shadow/update", "iot:Publish") in lab.broker.events


def test_basic_ingest_reaches_a_rule_and_nobody_else(wide: Lab) -> None:
    spy, device = wide.client("spy", "thing-2"), wide.client()
    spy.subscribe("a/#", "#")
    assert device.publish("$aws/rules/store/a/b", b"22")
    assert wide.new(events.RuleInvoked) == [events.RuleInvoked(THING, "store", "a/b", b"22")]
    assert spy.messages == []
    assert device.publish("$aws/rules/store/1/2/3/4/5/6/7/8", b"")       # the prefix is not counted
    assert not device.publish("$aws/rules/store/1/2/3/4/5/6/7/8/9", b"")


def test_shared_subscriptions_take_turns(wide: Lab) -> None:
    first, second = wide.client("one", "thing-1"), wide.client("two", "thing-2")
    assert first.subscribe("$share/crew/job/+") and second.subscribe("$share/crew/job/+")
    for number in range(4):
        assert wide.broker.publish(f"job/{number}", b"", 1) == 1
    assert [each.topic for each in first.messages] == ["job/0", "job/2"]
    assert [each.topic for each in second.messages] == ["job/1", "job/3"]
    second.disconnect()
    wide.broker.publish("job/5", b"", 1)
    assert first.messages[-1].topic == "job/5"
    for bad in ("$share/crew", "$share//t", "$share/a+b/t", "$share/g/"):
        assert not wide.client().subscribe(bad)
    assert not Lab(policy=WIDE, profile="aws-2018").client().subscribe("$share/crew/job/+")


# bounds ------------------------------------------------------------------------------------------------------------
def test_who_does_not_connect_is_hung_up(lab: Lab) -> None:
    silent, talker = lab.broker.connect("10.0.0.9"), Raw(lab)
    lab.clock.advance(30)
    lab.broker.tick()
    assert not silent.closed and not talker.endpoint.closed
    lab.clock.advance(0.001)
    lab.broker.tick()
    assert silent.closed and talker.endpoint.closed and lab.broker.connections == 1  # the processor
    assert lab.new(events.ConnectTimedOut) == [events.ConnectTimedOut(30)] * 2


def test_a_full_broker_gives_up_silent_connections_first() -> None:
    lab = Lab(profile=load_profile().with_changes(connections_maximum=4))
    device = lab.client()
    silent = [lab.broker.connect(f"10.9.0.{number}") for number in range(10)]
    assert [each.closed for each in silent] == [True] * 8 + [False] * 2 and lab.broker.connections == 4
    other = lab.client("thing-2", "thing-2")
    assert other.connected and device.connected and silent[8].closed
    lab.client("third", identity=enrol(lab.world.authority, lab.world.registry, "third", NARROW))
    with pytest.raises(Busy, match="connection refused: there are 4"):
        lab.broker.connect("10.9.0.99")
    assert device.connected and other.connected
    assert len(lab.new(events.ConnectionRefused)) == 11


def test_the_log_forgets_the_oldest_and_says_so() -> None:
    log = EventLog(most=10, most_payload=3 * 4096)
    for number in range(25):
        log.append(events.Throttled(str(number), "x"), START, 0)
    assert len(log) == 25 and log.dropped == 15 and next(iter(log)) == events.LogTruncated(15)
    mark = len(log)
    log.append(events.PublishAccepted("c", "t", bytes(100_000), 0, 0, 100_000), START, 3)
    kept = log.of(events.PublishAccepted, 3)[0]
    assert len(kept.payload) == events.PAYLOAD_KEPT and kept.size == 100_000 and log.since(mark) == [kept]
    for _ in range(5):
        log.append(events.RuleInvoked("c", "r", "t", bytes(5000)), START, 0)
    assert log.dropped > 16 and isinstance(log.since(0)[0], events.LogTruncated)
    log.clear()
    assert len(log) == 31 and list(log) == [events.LogTruncated(31)]


def test_a_sleeping_queue_is_bounded() -> None:
    lab = Lab(policy=WIDE, profile=load_profile().with_changes(queued_messages=3, queued_bytes=1000))
    sleeper = lab.client(clean=False)
    sleeper.subscribe("a/b")
    sleeper.drop()
    assert [lab.broker.publish("a/b", b"x" * size, 1) for size in (100, 100, 900, 100, 100)] == [1, 1, 0, 1, 0]
    assert {each.reason for each in lab.new(events.MessageDropped)} == {
        "its queue is full (2 messages, 200 bytes)", "its queue is full (3 messages, 300 bytes)"}
    assert [len(each.payload) for each in lab.client(clean=False).messages] == [100, 100, 100]


def test_all_queues_together_are_bounded() -> None:
    lab = Lab(policy=WIDE, profile=load_profile().with_changes(queued_bytes_total=1000))
    for name in ("one", "two"):
        sleeper = lab.client(name, clean=False)
        sleeper.subscribe("a/b")
        sleeper.drop()
    assert [lab.broker.publish("a/b", bytes(400), 1) for _ in range(2)] == [2, 0]
    assert {each.reason for each in lab.new(events.MessageDropped)} == {"all queues together are full (800 bytes)"}
    lab.client("one")  # a clean session: the queue is gone
    assert lab.broker.publish("a/b", bytes(400), 1) == 1


def test_sleeping_sessions_are_bounded() -> None:
    lab = Lab(policy=WIDE, profile=load_profile().with_changes(sessions_maximum=4))  # the processor has one
    awake = lab.client("awake")
    for name in ("one", "two", "three", "four"):
        lab.client(name, clean=False).drop()
        lab.clock.advance(1)
    assert [each.client_id for each in lab.new(events.SessionGivenUp)] == ["one", "two"] and awake.connected
    assert [lab.client(name, clean=False).session_present for name in ("three", "one")] == [True, False]


def test_retained_messages_are_bounded() -> None:
    for limits, kept in (({"retained_maximum": 2}, {"a", "b"}), ({"retained_bytes": 250}, {"a", "b", "d"})):
        lab = Lab(policy=WIDE, profile=load_profile().with_changes(**limits))
        device = lab.client()
        for topic, size in (("a", 100), ("b", 100), ("c", 100), ("d", 10)):
            assert device.publish(topic, bytes(size), retain=True)
        assert set(lab.broker.retained) == kept
        assert lab.new(events.MessageDropped)[0].topic == "c"
        device.publish("a", b"", retain=True)
        assert device.publish("c", bytes(100), retain=True) and "c" in lab.broker.retained


def test_long_names_do_not_fill_the_log(wide: Lab) -> None:
    """A refused CONNECT may carry 64 kB in each of its texts, and 200,000 events are kept."""
    for data in (connect_bytes(b"x" * 65535), connect_bytes(flags=6, tail=text(b"+" * 65535) + text(b"x")),
                 packet(0x10, text(b"y" * 65535) + b"\x04\x02\x00\x00")):
        Raw(wide).send(data)
    quoted = [value for event in wide.new(events.Event) for value in vars(event).values() if isinstance(value, str)]
    assert max(map(len, quoted)) < 700 and any("65" in each and "characters" in each for each in quoted)


def test_a_client_that_does_not_read_is_bounded(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(SESSION + packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x00"))
    for _ in range(100):
        wide.broker.publish("a/b", bytes(100_000))
    assert raw.endpoint.backlog < 1_300_000
    assert len(wide.new(events.MessageDropped)) >= 85
    assert "does not read" in wide.new(events.MessageDropped)[0].reason
    raw.send(b"\xc0\x00")
    assert wide.broker.publish("a/b", b"again") == 1


def test_a_client_that_asks_and_does_not_read_is_closed(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(SESSION)
    for _ in range(20):
        raw.write(b"\xc0\x00" * 100_000)
        raw.endpoint.receive(raw.tls.take())
    assert raw.endpoint.closed and wide.reasons() == [DisconnectReason.THROTTLED]


def test_rate_limits_by_the_brokers_clock() -> None:
    lab = Lab(policy=WIDE, profile=load_profile().with_changes(rate_limits_enforced=True, publishes_per_second=3,
                                                              bytes_per_second=1000))
    device = lab.client()
    assert lab.client().connack == 3 and device.connected  # one CONNECT a second for one client id
    assert [device.publish("t", b"") for _ in range(4)] == [True] * 3 + [False] and device.connected
    lab.clock.advance(1)
    assert device.publish("t", bytes(900)) and not device.publish("t", bytes(200))
    assert [each.limit for each in lab.new(events.Throttled)] == ["connects_per_second_per_client",
                                                                  "publishes_per_second", "bytes_per_second"]
    lab.clock.advance(1)
    assert lab.client().connected


def test_stored_messages_come_ten_a_second() -> None:
    lab = Lab(policy=WIDE, profile=load_profile().with_changes(rate_limits_enforced=True))
    sleeper = lab.client(clean=False)
    sleeper.subscribe("a/b")
    sleeper.drop()
    for number in range(25):
        lab.broker.publish("a/b", b"%d" % number, 1)
    lab.clock.advance(1)
    again, seen = lab.client(clean=False), []
    for _ in range(4):
        lab.broker.tick()
        seen.append(len(again.messages))
        lab.clock.advance(1)
    assert seen == [10, 20, 25, 25]
    assert [each.payload for each in again.messages] == [b"%d" % number for number in range(25)]


# names, passwords, ALPN --------------------------------------------------------------------------------------------
def hello(lab: Lab, change: Callable[[bytes], bytes]) -> events.Event:
    context = client_context(lab.world.devices[THING], lab.world.authority.certificates)
    context.check_hostname = False
    stream, endpoint = TlsStream(context, lambda *alert: None, "iot.offchip.test"), lab.broker.connect("10.0.0.9")
    assert not stream.handshake()
    endpoint.receive(change(stream.take()))
    answer = endpoint.take()
    assert endpoint.closed and answer == b"\x15\x03\x03\x00\x02\x02\x70"
    return lab.new(events.TlsAlert)[-1]


@pytest.mark.parametrize("name", [b"iot.\xc3\xb6ffchip.tes", b"\xff\xfet.offchip.test", b"iot.offchip.tes\0"])
def test_a_name_that_is_none_is_refused_in_one_alert(lab: Lab, name: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(name) == len(HOST)
    alert = hello(lab, lambda data: data.replace(HOST.encode(), name))
    assert alert == events.TlsAlert("sent", 112, "unrecognized_name")
    assert capfd.readouterr() == ("", "")


def test_server_names_are_read_from_any_hello() -> None:
    for cut in range(200):
        assert server_name_of(bytes(cut)) in (None, b"")
    assert server_name_of(b"\x01\x00\x00\x00" + b"\x03\x03" + bytes(32) + b"\xff" * 40) is None


def test_alpn_is_selected_when_it_is_offered(lab: Lab) -> None:
    for offered, selected in ((["x-amzn-mqtt-ca"], "x-amzn-mqtt-ca"), (["h2", "x-amzn-mqtt-ca"], "x-amzn-mqtt-ca"),
                              (["mqtt"], None)):
        raw = Raw(lab, alpn=offered)
        assert raw.tls._tls.selected_alpn_protocol() == selected
        assert raw.send(SESSION).startswith(b"\x20\x02\x00\x00")
        raw.endpoint.peer_closed()
    assert [each.what for each in lab.new(events.NotModelled)] == [
        "ALPN offers mqtt and nothing that is spoken here; MQTT with certificates is spoken all the same"]


def test_passwords_may_be_any_bytes(wide: Lab) -> None:
    raw = Raw(wide)
    assert raw.send(connect_bytes(flags=0xC2, tail=text(b"?SDK=x") + text(b"\xff\x00\x80"))) == b"\x20\x02\x00\x00"


# retries and numbers -----------------------------------------------------------------------------------------------
def test_an_unacknowledged_message_comes_again_on_the_live_connection(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes(keep_alive=1200) + packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x01"))
    wide.broker.publish("a/b", b"x", 1)
    sent = b"\x32\x08\x00\x03a/b\x00\x01x"
    assert raw.read() == sent
    wide.clock.advance(9.9)
    wide.broker.tick()
    assert raw.read() == b""
    wide.clock.advance(0.1)
    assert wide.broker.tick() <= wide.clock.now + (wide.clock.now - START)
    assert raw.read() == sent                                   # without DUP, as AWS has it
    raw.send(packet(0x40, b"\x00\x01"))
    wide.clock.advance(10)
    wide.broker.tick()
    assert raw.read() == b""


def test_retries_end_after_an_hour(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes(keep_alive=1200) + packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x01"))
    wide.broker.publish("a/b", b"x", 1)
    for _ in range(361):
        wide.clock.advance(10)
        raw.send(b"\xc0\x00")
        wide.broker.tick()
    assert wide.new(events.MessageDropped) == [events.MessageDropped(THING, "a/b", "no PUBACK for 3600 s")]
    assert not wide.broker.sessions[THING].inflight


def test_the_hour_of_retries_begins_anew_with_each_connection(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes(flags=0, keep_alive=1200) + packet(0x82, b"\x00\x01" + text(b"a/b") + b"\x01"))
    wide.broker.publish("a/b", b"x", 1)
    raw.endpoint.peer_closed()
    wide.clock.advance(3590)
    again = Raw(wide)
    assert b"a/b" in again.send(connect_bytes(flags=0, keep_alive=1200))
    wide.clock.advance(20)
    wide.broker.tick()
    assert b"a/b" in again.read() and not wide.new(events.MessageDropped)


def test_a_packet_id_in_flight_is_not_given_again(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(connect_bytes() + packet(0x82, b"\x00\x01" + text(b"a") + b"\x01"))
    wide.broker.publish("a", b"x", 1)
    wide.broker.sessions[THING]._last_packet_id = 65534
    for _ in range(2):
        wide.broker.publish("a", b"x", 1)
    assert [data[:2] for data in raw.read().split(b"\x32\x06\x00\x01a")[1:]] == [b"\0\1", b"\xff\xff", b"\0\2"]


def test_version_numbers_begin_again_after_an_hour(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("$aws/events/presence/+/thing-1")

    def number() -> int:
        wide.client().disconnect()
        seen = [json.loads(each.payload)["versionNumber"] for each in watcher.messages[-2:]]
        assert seen[0] == seen[1]  # of connection and disconnection
        return int(seen[0])

    assert [number(), number()] == [0, 1]
    wide.clock.advance(3599)
    watcher.ping()
    assert number() == 2
    wide.clock.advance(3600)
    wide.broker.tick()
    watcher.connect(wide.broker)
    watcher.subscribe("$aws/events/presence/+/thing-1")
    assert number() == 0


def test_retained_messages_last_three_years(wide: Lab) -> None:
    wide.broker.publish("a/b", b"x", 1, retain=True)
    wide.clock.advance(94608000 - 1)
    wide.broker.tick()
    assert "a/b" in wide.broker.retained
    wide.clock.advance(1)
    wide.broker.tick()
    assert "a/b" not in wide.broker.retained


# real sockets ------------------------------------------------------------------------------------------------------
def test_two_thousand_silent_sockets_disturb_nobody() -> None:
    """In a process that may open 1,024 files; what it says on stderr is the point."""
    done = subprocess.run([sys.executable, Path(__file__).parent / "silent_sockets.py"], capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert done.stderr == "" and done.returncode == 0, done.stderr[:2000]
    assert "lawful client served" in done.stdout
