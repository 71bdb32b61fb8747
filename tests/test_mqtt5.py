# SPDX-License-Identifier: Apache-2.0
"""MQTT 5 beside 3.1.1 and 3.1: packets against other people's codecs, reason codes, properties, other versions."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from amqtt.adapters import BufferReader
from amqtt.mqtt import packet_class
from amqtt.mqtt.packet import MQTTFixedHeader
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from offchip import mqtt
from offchip.broker import events
from offchip.broker.client import MqttClient
from offchip.broker.events import DisconnectReason
from offchip.broker.listener import Listener
from offchip.broker.profile import load_profile
from offchip.broker.session import Message
from offchip.broker.world import WIDE
from offchip.mqtt import V3_1, V5, PacketReader, Property, Publish, Reason, Subscription, encode
from tests.broker_lab import OWN, START, THING, Lab, Raw, text
from tests.broker_lab import packet as framed

P = Property


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def wide() -> Lab:
    return Lab(policy=WIDE)


def five(lab: Lab, client_id: str = THING, thing: str = THING, **options: object) -> MqttClient:
    return lab.client(client_id, thing, version=V5, **options)


# the codec ---------------------------------------------------------------------------------------------------------
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
_id = st.integers(1, 65535)
_user = st.lists(st.tuples(_text, _text), min_size=1, max_size=3)
_message_properties = st.fixed_dictionaries({}, optional={
    P.PAYLOAD_FORMAT_INDICATOR: st.integers(0, 1), P.MESSAGE_EXPIRY_INTERVAL: st.integers(0, 2**32 - 1),
    P.CONTENT_TYPE: _text, P.RESPONSE_TOPIC: _text, P.CORRELATION_DATA: st.binary(max_size=20), P.USER_PROPERTY: _user})
_answer = st.fixed_dictionaries({}, optional={P.REASON_STRING: _text, P.USER_PROPERTY: _user})
_will = st.builds(mqtt.Will, _text, st.binary(max_size=20), st.integers(0, 2), st.booleans(), _message_properties)
_packets = st.one_of(
    st.builds(mqtt.Connect, _text, st.just(V5), st.booleans(), st.integers(0, 65535), st.none() | _will,
              st.none() | _text, st.none() | st.binary(max_size=9),
              st.fixed_dictionaries({}, optional={P.SESSION_EXPIRY_INTERVAL: st.integers(0, 2**32 - 1),
                                                  P.RECEIVE_MAXIMUM: _id, P.TOPIC_ALIAS_MAXIMUM: st.integers(0, 65535),
                                                  P.MAXIMUM_PACKET_SIZE: st.integers(1, 2**32 - 1)})),
    st.builds(Publish, _text, st.binary(max_size=200), st.integers(1, 2), st.booleans(), st.booleans(), _id,
              _message_properties),
    st.builds(mqtt.Puback, _id, st.sampled_from([0, 0x10, 0x87]), _answer),
    st.builds(mqtt.Qos2Ack, st.sampled_from(["PUBREC", "PUBREL", "PUBCOMP"]), _id, st.sampled_from([0, 0x92]), _answer),
    st.builds(mqtt.Subscribe, _id, st.lists(st.builds(Subscription, _text, st.integers(0, 2), st.booleans(),
                                                      st.booleans(), st.integers(0, 2)), min_size=1,
                                            max_size=3).map(tuple)),
    st.builds(mqtt.Suback, _id, st.lists(st.integers(0, 255), min_size=1, max_size=3).map(tuple), _answer),
    st.builds(mqtt.Unsubscribe, _id, st.lists(_text, min_size=1, max_size=3).map(tuple)),
    st.builds(mqtt.Unsuback, _id, st.lists(st.integers(0, 255), min_size=1, max_size=3).map(tuple), _answer),
    st.builds(mqtt.Disconnect, st.sampled_from([0, 4, 0x8E]), _answer), st.builds(mqtt.Auth, st.just(0x18), _answer),
    st.builds(mqtt.Connack, st.integers(0, 255), st.booleans(), _answer), st.just(mqtt.Pingreq()),
    st.just(mqtt.Pingresp()))


@given(_packets, st.integers(1, 7))
def test_packets_survive_the_wire_in_any_pieces(packet: mqtt.Packet, chunk: int) -> None:
    reader, data = PacketReader(1 << 20, V5), encode(packet, V5)
    for start in range(0, len(data), chunk):
        reader.feed(data[start:start + chunk])
    assert reader.next() == packet and reader.next() is None


@given(_packets, st.data())
def test_changed_bytes_are_malformed_or_another_packet(packet: mqtt.Packet, data: st.DataObject) -> None:
    damaged = bytearray(encode(packet, V5))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    reader = PacketReader(1 << 20, V5)
    reader.feed(bytes(damaged))
    try:
        again = reader.next()
    except (mqtt.Malformed, mqtt.UnsupportedVersion) as error:
        assert "\n" not in str(error)
    else:
        if again is not None:
            encode(again, V5)


@given(st.binary(max_size=64), st.sampled_from([3, 4, 5]))
def test_noise_raises_nothing_but_malformed(noise: bytes, version: int) -> None:
    reader = PacketReader(1 << 16, version)
    reader.feed(noise)
    try:
        while reader.next():
            pass
    except (mqtt.Malformed, mqtt.UnsupportedVersion):
        pass


def test_version_3_packets_are_amqtts() -> None:
    """The other codec reads what this one writes."""
    will = mqtt.Will("w/t", b"bye", 1, True)
    for packet, fields in (
            (mqtt.Connect("me", 4, False, 30, will, "user", b"pass"),
             lambda p: (p.client_id, p.will_topic, bytes(p.will_message), p.will_qos, p.username, p.keep_alive)
             == ("me", "w/t", b"bye", 1, "user", 30)),
            (Publish("a/b", b"x", 1, True, True, 7),
             lambda p: (p.topic_name, bytes(p.data), p.qos, p.retain_flag, p.dup_flag, p.packet_id)
             == ("a/b", b"x", 1, True, True, 7)),
            (mqtt.Subscribe(3, (Subscription("a/+", 1), Subscription("b", 0))),
             lambda p: p.payload.topics == [("a/+", 1), ("b", 0)]),
            (mqtt.Suback(3, (1, 128)), lambda p: list(p.payload.return_codes) == [1, 128]),
            (mqtt.Unsubscribe(4, ("a", "b")), lambda p: p.payload.topics == ["a", "b"]),
            (mqtt.Puback(9), lambda p: p.packet_id == 9)):
        data = encode(packet, 4)
        header = MQTTFixedHeader(data[0] >> 4, data[0] & 15, data[1])
        read = asyncio.run(packet_class(header).from_stream(BufferReader(data[2:]), fixed_header=header))
        assert fields(read), packet


# connecting --------------------------------------------------------------------------------------------------------
def test_connack_says_what_the_broker_can(wide: Lab) -> None:
    device = five(wide, keep_alive=5, properties={P.SESSION_EXPIRY_INTERVAL: 10_000_000})
    connack = device.packets[0]
    assert isinstance(connack, mqtt.Connack) and device.connected
    assert connack.properties[P.SERVER_KEEP_ALIVE] == 30 and connack.properties[P.MAXIMUM_QOS] == 1
    assert connack.properties[P.SESSION_EXPIRY_INTERVAL] == 604800 and connack.properties[P.TOPIC_ALIAS_MAXIMUM] == 8
    assert connack.properties[P.SUBSCRIPTION_IDENTIFIER_AVAILABLE] == 0
    assert connack.properties[P.SHARED_SUBSCRIPTION_AVAILABLE] == 1 == connack.properties[P.RETAIN_AVAILABLE]
    assert connack.properties[P.RECEIVE_MAXIMUM] == 100


@pytest.mark.parametrize(("client_id", "code"), [("thing-2", 0x87), ("", 0x85), ("$x", 0x85), ("x" * 129, 0x85)])
def test_refusals_have_reason_codes(lab: Lab, client_id: str, code: int) -> None:
    assert five(lab, client_id).connack == code
    assert lab.new(events.ConnectRefused)[0].code == code


def test_enhanced_authentication_is_refused_and_said(wide: Lab) -> None:
    assert five(wide, properties={P.AUTHENTICATION_METHOD: "x"}).connack == 0x8C
    assert wide.new(events.NotModelled)[0].what == "enhanced authentication"


def test_mqtt_3_1_is_let_in(wide: Lab) -> None:
    device = wide.client(version=V3_1)
    assert device.connected and device.publish("a", b"x")
    assert wide.client("two", "thing-2", version=V5).connected
    old = Lab(policy=WIDE, profile="aws-2018")
    for version in (V3_1, V5):
        assert old.client(version=version).connack == 1


def test_sessions_expire_as_the_client_asked(wide: Lab) -> None:
    device = five(wide, clean=False, properties={P.SESSION_EXPIRY_INTERVAL: 60})
    device.subscribe("a/b")
    device.drop()
    wide.broker.publish("a/b", b"kept", 1)
    wide.clock.advance(59)
    wide.broker.tick()
    again = five(wide, clean=False, properties={P.SESSION_EXPIRY_INTERVAL: 60})
    assert again.session_present and [each.payload for each in again.messages] == [b"kept"]
    again.drop()
    wide.clock.advance(60)
    wide.broker.tick()
    assert THING not in wide.broker.sessions
    short = five(wide, clean=False)  # no interval: it ends with the connection
    short.drop()
    assert THING not in wide.broker.sessions


def test_disconnect_may_change_the_expiry_and_ask_for_the_will(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("will/x")
    device = five(wide, will=Message("will/x", b"bye", 1), properties={P.SESSION_EXPIRY_INTERVAL: 60})
    device._send(mqtt.Disconnect(4, {P.SESSION_EXPIRY_INTERVAL: 5}))
    assert watcher.messages == [Message("will/x", b"bye", 1)] and wide.broker.sessions[THING].keep_seconds == 5
    bad = five(wide, "other", "thing-2")
    bad._send(mqtt.Disconnect(0, {P.SESSION_EXPIRY_INTERVAL: 5}))
    assert bad.disconnect_code == Reason.PROTOCOL_ERROR


def test_a_will_may_wait(wide: Lab) -> None:
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("will/x")
    will = Message("will/x", b"bye", 1, properties={P.WILL_DELAY_INTERVAL: 30})
    options = {"will": will, "clean": False, "properties": {P.SESSION_EXPIRY_INTERVAL: 100}}
    five(wide, **options).drop()
    wide.clock.advance(29)
    wide.broker.tick()
    back = five(wide, **options)  # in time: nobody is told
    wide.clock.advance(60)
    wide.broker.tick()
    assert watcher.messages == []
    back.drop()
    wide.clock.advance(30)
    wide.broker.tick()
    assert [each.payload for each in watcher.messages] == [b"bye"]


# publishing and subscribing ----------------------------------------------------------------------------------------
def test_what_is_forbidden_gets_a_code_and_the_connection_stays(lab: Lab) -> None:
    device = five(lab)
    assert not device.publish("offchip/secret", b"x") and device._acknowledged[1] == Reason.NOT_AUTHORIZED
    assert not device.publish("offchip/secret", b"x", qos=0) or device.connected
    assert device.subscribe("offchip/secret", "offchip/things/thing-1/commands")
    assert device.granted == {"offchip/secret": 0x87, "offchip/things/thing-1/commands": 1} and device.connected
    assert lab.broker.sessions[THING].subscriptions.keys() == {"offchip/things/thing-1/commands"}
    strict = Lab(profile=load_profile().with_changes(mqtt5_forbidden_publish_closes=True,
                                                    mqtt5_forbidden_subscribe_closes=True))
    for act in (lambda c: c.publish("offchip/secret", b"x"), lambda c: c.subscribe("offchip/secret")):
        client = five(strict)
        assert not act(client) and client.disconnect_code == Reason.NOT_AUTHORIZED


def test_a_publish_nobody_wants_says_so_if_the_profile_does() -> None:
    device = five(Lab(policy=WIDE, profile=load_profile().with_changes(mqtt5_nobody_there_codes=True)))
    assert device.publish("nobody/listens", b"") and device._acknowledged[1] == Reason.NO_MATCHING_SUBSCRIBERS
    device.subscribe("a")
    assert device.publish("a", b"") and device._acknowledged[3] == 0


def test_properties_cross_versions(wide: Lab) -> None:
    old, new = wide.client("old", "thing-2"), five(wide)
    for each in (old, new):
        each.subscribe("a/#")
    properties = {P.CONTENT_TYPE: "text/plain", P.RESPONSE_TOPIC: "answers/1", P.CORRELATION_DATA: b"\1\2",
                  P.USER_PROPERTY: [("k", "v"), ("k", "w")], P.PAYLOAD_FORMAT_INDICATOR: 1,
                  P.MESSAGE_EXPIRY_INTERVAL: 9}
    assert new.publish("a/b", b"hello", properties=properties)
    assert new.messages == [Message("a/b", b"hello", 1, properties=properties)]
    assert old.messages == [Message("a/b", b"hello", 1)]
    assert old.publish("a/c", b"3") and new.messages[-1] == Message("a/c", b"3", 1)


def test_messages_expire_in_the_queue(wide: Lab) -> None:
    options = {"clean": False, "properties": {P.SESSION_EXPIRY_INTERVAL: 1000}}
    sleeper = five(wide, **options)
    sleeper.subscribe("a")
    sleeper.drop()
    writer = five(wide, "writer", "thing-2")
    for seconds in (10, 100):
        writer.publish("a", b"%d" % seconds, properties={P.MESSAGE_EXPIRY_INTERVAL: seconds})
    wide.clock.advance(30)
    again = five(wide, **options)
    assert [each.payload for each in again.messages] == [b"100"]
    assert again.messages[0].properties[P.MESSAGE_EXPIRY_INTERVAL] == 70
    assert "expiry" in wide.new(events.MessageDropped)[0].reason


def test_topic_aliases_both_ways(wide: Lab) -> None:
    reader = five(wide, properties={P.TOPIC_ALIAS_MAXIMUM: 1})
    reader.subscribe("a", "b")
    writer = five(wide, "writer", "thing-2")
    assert writer.publish("a", b"1", properties={P.TOPIC_ALIAS: 8})
    assert writer.publish("", b"2", properties={P.TOPIC_ALIAS: 8})
    assert writer.publish("b", b"3")
    assert [(each.topic, each.payload) for each in reader.messages] == [("a", b"1"), ("a", b"2"), ("b", b"3")]
    for topic, alias, code in (("a", 9, 0x94), ("a", 0, 0x94), ("", 3, 0x82)):
        client = five(wide, "writer", "thing-2")
        client.publish(topic, b"", properties={P.TOPIC_ALIAS: alias})
        assert client.disconnect_code == code and not client.connected


@pytest.mark.parametrize(("act", "code"), [
    (lambda c: c.publish("a", b"", qos=2), 0x9B), (lambda c: c.publish("a/#", b""), 0x90),
    (lambda c: c.publish("$aws/x", b""), 0x90), (lambda c: c.subscribe("a/#/b"), 0x8F),
    (lambda c: c.subscribe("$SYS/#"), 0x8F), (lambda c: c.publish("a", bytes(131073)), 0x95),
    (lambda c: c.subscribe("a", properties={P.SUBSCRIPTION_IDENTIFIER: [5]}), 0xA1),
    (lambda c: c.publish("a", b"", properties={P.SUBSCRIPTION_IDENTIFIER: [5]}), 0x82),
    (lambda c: c.publish("a", b"", properties={P.RESPONSE_TOPIC: "x/+"}), 0x90),
    (lambda c: c.publish("a", b"", properties={P.USER_PROPERTY: [("k", "v" * 9000)]}), 0x97),
    (lambda c: c.subscribe(*"abcdefghi"), 0x97), (lambda c: c._send(mqtt.Auth(0x18)), 0x82),
    (lambda c: c._send(mqtt.Qos2Ack("PUBREL", 1)), 0x82),
    (lambda c: c.subscribe(Subscription("$share/g/t", 1, no_local=True)), 0x82),
])
def test_violations_are_told_in_disconnect(wide: Lab, act: object, code: int) -> None:
    client = five(wide)
    act(client)  # type: ignore[operator]
    assert client.disconnect_code == code and not client.connected
    assert wide.reasons() == [DisconnectReason.CLIENT_ERROR]


_HEAD5 = text(b"MQTT") + b"\x05"


def connect5(flags: int = 2, properties: bytes = b"", tail: bytes = b"") -> bytes:
    return framed(0x10, _HEAD5 + bytes([flags, 0, 60, len(properties)]) + properties + text(THING.encode()) + tail)


@pytest.mark.parametrize(("data", "answer"), [
    (connect5(properties=b"\x16\x00\x01x"), 0x82),                     # authentication data without a method
    (connect5(properties=b"\x21\x00\x00"), 0x82),                     # receive maximum 0
    (connect5(properties=b"\x27\x00\x00\x00\x00"), 0x82),             # maximum packet size 0
    (connect5(properties=b"\x21\x00\x01" * 2), 0x82),                 # twice
    (connect5(properties=b"\x23\x00\x01"), 0x82),                     # a PUBLISH's property
    (connect5(properties=b"\x17\x02"), 0x82),                         # neither 0 nor 1
    (connect5(0x16, tail=b"\0" + text(b"w") + text(b"x")), 0x9B),       # will of QoS 2
    (connect5(6, tail=b"\0" + text(b"w/#") + text(b"x")), 0x90),
    (connect5(6, tail=b"\x06\x08" + text(b"a/+") + text(b"w") + text(b"x")), 0x90),  # the will's response topic
    (connect5(6, tail=b"\0" + text(b"$aws/events/x") + text(b"x")), 0x90),
])
def test_connects_of_version_5_that_are_none(wide: Lab, data: bytes, answer: int) -> None:
    raw = Raw(wide)
    assert raw.send(data) == bytes([0x20, 3, 0, answer, 0]) and raw.endpoint.closed
    assert len(wide.new(events.ProtocolViolated)) + len(wide.new(events.ConnectRefused)) == 1


@pytest.mark.parametrize(("data", "code"), [
    (b"\xc0\x80\x00", 0x81),                                          # a length longer than it needs to be
    (framed(0x40, b"\x00\x01\x01"), 0x82), (framed(0xE0, b"\x8c"), 0x82), (framed(0xE0, b"\x01"), 0x82),  # codes
    (framed(0x30, text(b"") + b"\0"), 0x82),                           # neither topic nor alias
    (framed(0x30, text(b"") + b"\x03\x23\x00\x01"), 0x82),            # an alias that stands for nothing
    (framed(0x30, text(b"a") + b"\x03\x23\x00\x00"), 0x94),
    (framed(0x30, text(b"a") + b"\x06\x23\x00\x01\x23\x00\x01"), 0x82),
    (framed(0x82, b"\0\1\0" + text(b"a") + b"\x31"), 0x82),            # retain handling 3
    (framed(0x82, b"\0\1\0" + text(b"a") + b"\x41"), 0x81),            # reserved bits
    (framed(0x82, b"\0\1\0" + text(b"$share/g/a") + b"\x05"), 0x82),   # shared, no local
    (framed(0x82, b"\0\1\0" + text(b"$share/+/a") + b"\x01"), 0x8F), (framed(0x82, b"\0\1\0"), 0x82),
    (framed(0xF0, b"\x18\x00"), 0x82), (framed(0x30, text(b"a") + b"\x7f"), 0x81),
    (framed(0x30, text(b"a") + b"\x80\x00"), 0x81),
])
def test_packets_of_version_5_that_are_none(wide: Lab, data: bytes, code: int) -> None:
    raw = Raw(wide)
    assert raw.send(connect5())[3] == 0
    assert raw.send(data)[:1] == b"\xe0" and raw.endpoint.closed
    assert wide.reasons() == [DisconnectReason.CLIENT_ERROR]
    raw = Raw(wide)
    raw.send(connect5())
    assert raw.send(data)[2] == code


def test_a_disconnect_that_is_not_normal_leaves_the_will(wide: Lab) -> None:
    """MQTT 5.0, 3.1.2.5: only reason code 0 takes it away."""
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("will/#")
    for code, sent in ((0x00, 0), (0x04, 1), (0x80, 2), (0x98, 3)):
        client = five(wide, will=Message("will/x", b"x"))
        client._send(mqtt.Disconnect(code))
        client.drop()
        assert len(watcher.messages) == sent


def test_a_clean_start_ends_a_session_whose_will_waits(wide: Lab) -> None:
    """MQTT 5.0, 3.1.2.5: the will is due when the session ends, whatever its delay."""
    watcher = wide.client("watcher", "thing-2")
    watcher.subscribe("will/#")
    will = Message("will/x", b"x", properties={P.WILL_DELAY_INTERVAL: 600})
    five(wide, will=will, clean=False, properties={P.SESSION_EXPIRY_INTERVAL: 900}).drop()
    assert not watcher.messages
    five(wide)
    assert len(watcher.messages) == 1


def test_subscription_options(wide: Lab) -> None:
    wide.broker.publish("kept", b"old", 1, retain=True)
    device = five(wide)
    assert device.subscribe(Subscription("kept", 1, retain_handling=2)) and device.messages == []
    assert device.subscribe(Subscription("kept", 1, retain_handling=1)) and device.messages == []  # not new
    assert device.subscribe(Subscription("kept", 1, retain_as_published=True)) and len(device.messages) == 1
    device.publish("kept", b"new", retain=True)
    assert device.messages[-1] == Message("kept", b"new", 1, True)
    device.subscribe(Subscription("own", 1, no_local=True), qos=1)
    device.publish("own", b"mine")
    wide.broker.publish("own", b"theirs", 1)
    assert [each.payload for each in device.messages if each.topic == "own"] == [b"theirs"]
    assert device.subscribe("two", qos=2) and device.granted["two"] == 1
    assert device.unsubscribe("two", "never") and device.packets[-1].codes == (0, 0)


def test_windows_and_sizes_of_the_client(wide: Lab) -> None:
    raw = Raw(wide)
    raw.send(encode(mqtt.Connect(THING, V5, properties={P.RECEIVE_MAXIMUM: 2, P.MAXIMUM_PACKET_SIZE: 60})))
    raw.send(encode(mqtt.Subscribe(1, (Subscription("a", 1),)), V5))
    for size in (10, 100, 11, 12):
        wide.broker.publish("a", bytes([65] * size), 1)
    reader, got = PacketReader(1000, V5), []
    reader.feed(raw.read())
    while packet := reader.next():
        got.append(packet)
    sizes = [len(each.payload) for each in got if isinstance(each, Publish)]
    assert sizes == [10, 11] and "maximum packet size" in wide.new(events.MessageDropped)[0].reason
    reader.feed(raw.send(encode(mqtt.Puback(got[-1].packet_id), V5)))
    last = reader.next()
    assert isinstance(last, Publish) and len(last.payload) == 12
    wide.clock.advance(100)
    wide.broker.tick()
    assert raw.read() == b""  # never again on a connection that stands (MQTT 5.0, 4.4)


@pytest.mark.parametrize(("end", "code"), [
    (lambda lab: five(lab), 0x8E), (lambda lab: (lab.clock.advance(1801), lab.broker.tick()), 0x8D),
    (lambda lab: lab.world.registry.update_certificate(lab.world.devices[THING].certificate_id, "INACTIVE"), 0x87)])
def test_the_server_says_why_it_hangs_up(wide: Lab, end: object, code: int) -> None:
    device = five(wide)
    end(wide)  # type: ignore[operator]
    assert device.disconnect_code == code
    silent = Lab(policy=WIDE, profile=load_profile().with_changes(mqtt5_disconnect_says_why=False))
    device = five(silent)
    end(silent)  # type: ignore[operator]
    assert device.disconnect_code is None and not device.connected


# judged by paho ----------------------------------------------------------------------------------------------------
def test_paho_speaks_mqtt_5_to_the_listener(lab: Lab, tmp_path: Path) -> None:
    world, device = lab.world, lab.world.devices[THING]
    for name, content in (("ca", world.authority.root.certificate_pem), ("crt", device.chain_pem),
                          ("key", device.key_pem)):
        (tmp_path / name).write_bytes(content)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, THING, protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.tls_set(str(tmp_path / "ca"), str(tmp_path / "crt"), str(tmp_path / "key"))
    said: dict[str, object] = {}
    done = threading.Event()

    def on_connect(client: paho.Client, data: object, flags: object, reason: object, properties: object) -> None:
        said["connack"] = properties.MaximumQoS, properties.TopicAliasMaximum  # type: ignore[attr-defined]
        client.subscribe([("offchip/things/thing-1/commands", paho.SubscribeOptions(1)),
                          ("offchip/secret", paho.SubscribeOptions(1))])

    def on_subscribe(client: paho.Client, data: object, mid: int, reasons: list, properties: object) -> None:
        said["suback"] = [each.value for each in reasons]
        user = PahoProperties(PacketTypes.PUBLISH)
        user.UserProperty = ("k", "v")
        client.publish("offchip/secret", b"x", 1, properties=user)

    def on_publish(client: paho.Client, data: object, mid: int, reason: object, properties: object) -> None:
        said["puback"] = reason.value  # type: ignore[attr-defined]
        lab.broker.publish("offchip/things/thing-1/commands", b"go", 1)

    def on_message(client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        said["message"] = message.payload
        done.set()

    client.on_connect, client.on_subscribe, client.on_publish, client.on_message = (on_connect, on_subscribe,
                                                                                   on_publish, on_message)
    with Listener(lab.broker) as listener:
        client.connect("localhost", listener.port)
        client.loop_start()
        assert done.wait(10), said
        client.disconnect()
        client.loop_stop()
    assert said == {"connack": (1, 8), "suback": [1, 0x87], "puback": 0x87, "message": b"go"}
    assert OWN and START
