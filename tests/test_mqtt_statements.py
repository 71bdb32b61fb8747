# SPDX-License-Identifier: Apache-2.0
"""Normative statements of MQTT 3.1.1 and 5.0 by their numbers, each with raw bytes inside good TLS.

What AWS IoT Core documents otherwise wins and is tested elsewhere: QoS 2, retained messages on wildcards, DUP, ``a/#``.
"""

from __future__ import annotations

import pytest

from offchip.broker.profile import load_profile
from offchip.broker.world import NARROW, WIDE
from tests.broker_lab import THING, Lab, Raw, packet, text

#: CONNACK of MQTT 3.1.1, then of MQTT 5 up to its properties
ACCEPTED = b"\x20\x02\x00\x00"
SUBSCRIBE, UNSUBSCRIBE, PUBLISH, PINGREQ, PINGRESP, DISCONNECT = 0x82, 0xA2, 0x30, b"\xc0\x00", b"\xd0\x00", 0xE0


def connect(version: int = 5, client_id: bytes = THING.encode(), flags: int = 2, properties: bytes = b"",
            tail: bytes = b"", keep_alive: int = 1200) -> bytes:
    body = b"\x00\x04MQTT" + bytes([version, flags]) + keep_alive.to_bytes(2, "big")
    if version == 5:
        body += bytes([len(properties)]) + properties
    return packet(0x10, body + text(client_id) + tail)


def subscribe(topic: bytes, options: int = 1, version: int = 5, number: int = 1) -> bytes:
    return packet(SUBSCRIBE, number.to_bytes(2, "big") + bytes(version == 5) + text(topic) + bytes([options]))


def publish(topic: bytes, payload: bytes = b"x", flags: int = 0, properties: bytes = b"", version: int = 5,
            number: int = 1) -> bytes:
    body = text(topic) + (number.to_bytes(2, "big") if flags & 6 else b"")
    return packet(PUBLISH | flags, body + (bytes([len(properties)]) + properties if version == 5 else b"") + payload)


def will(topic: bytes, payload: bytes = b"gone", properties: bytes = b"") -> bytes:
    return bytes([len(properties)]) + properties + text(topic) + text(payload)


class Told(Raw):
    """A connection over which something was said at once; ``answer``: what came."""

    def __init__(self, lab: Lab, thing: str, *packets: bytes) -> None:
        super().__init__(lab, thing)
        self.answer = self.send(b"".join(packets))


class Wire:
    """A lab in which everything is allowed, and raw connections to it."""

    def __init__(self, policy: str = WIDE, **switched: object) -> None:
        self.lab = Lab(policy=policy, profile=load_profile().with_changes(**switched))

    def raw(self, *packets: bytes, thing: str = THING) -> Told:
        return Told(self.lab, thing, *packets)

    def said(self, *packets: bytes) -> tuple[bytes, bool]:
        """What came behind CONNACK, and whether the connection stands."""
        raw = self.raw(connect(), *packets)
        answer = raw.answer
        assert answer[0] == 0x20 and answer[3] == 0
        return answer[2 + answer[1]:], not raw.endpoint.closed


@pytest.fixture
def wire() -> Wire:
    return Wire()


def sleeper(wire: Wire, topic: bytes = b"a", properties: bytes = b"\x11\x00\x00\x02\x58") -> None:
    """A session that goes on for ten minutes, away."""
    raw = wire.raw(connect(flags=2, properties=properties), subscribe(topic))
    raw.endpoint.peer_closed()


# one packet, one answer --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("statement", "data", "code"), [
    ("1.5.4-1 surrogates are no UTF-8", publish(b"a\xed\xa0\x80"), 0x81),
    ("1.5.4-1 a longer form of a character is none either", publish(b"a\xc0\xaf"), 0x81),
    ("1.5.4-2 no null character", publish(b"a\x00b"), 0x81),
    ("1.5.5-1 the shortest form of a length", b"\x30\x84\x00" + publish(b"a")[2:], 0x81),
    ("1.5.5-1 the shortest form of a property's length", packet(PUBLISH, text(b"a") + b"\x80\x00x"), 0x81),
    ("2.1.3-1 PINGREQ's flags", b"\xc1\x00", 0x81),
    ("2.2.1-3 a packet id is not zero", publish(b"a", flags=2, number=0), 0x82),
    ("2.2.2.2 an unknown property", publish(b"a", properties=b"\x7f\x00"), 0x81),
    ("2.2.2.2 a property of another packet", publish(b"a", properties=b"\x11\x00\x00\x00\x01"), 0x82),
    ("3.1.0-2 a second CONNECT", connect(), 0x82),
    ("3.3.1-2 DUP with QoS 0", publish(b"a", flags=8), 0x81),
    ("3.3.1-4 QoS 3", publish(b"a", flags=6), 0x81),
    ("3.3.2-2 a wildcard in a topic", publish(b"a/+"), 0x90),
    ("3.3.2-8 topic alias 0", publish(b"a", properties=b"\x23\x00\x00"), 0x94),
    ("3.3.2-9 a higher alias than was offered", publish(b"a", properties=b"\x23\x00\x09"), 0x94),
    ("3.3.2.1 neither a topic nor an alias", publish(b""), 0x82),
    ("3.3.2.3.2 a payload format of 2", publish(b"a", properties=b"\x01\x02"), 0x82),
    ("3.3.2.3.2 a payload format twice", publish(b"a", properties=b"\x01\x00\x01\x00"), 0x82),
    ("3.3.2-13 a response topic that is no text", publish(b"a", properties=b"\x08" + text(b"\xff")), 0x81),
    ("3.3.2-14 a response topic with a wildcard", publish(b"a", properties=b"\x08" + text(b"b/#")), 0x90),
    ("3.3.2-19 a content type that is no text", publish(b"a", properties=b"\x03" + text(b"\xff")), 0x81),
    ("3.3.4-6 a client says no subscription identifier", publish(b"a", properties=b"\x0b\x01"), 0x82),
    ("3.4.2.1 a reason code PUBACK has not", packet(0x40, b"\x00\x01\x01"), 0x82),
    ("3.8.1-1 SUBSCRIBE's flags", b"\x80" + subscribe(b"a")[1:], 0x81),
    ("3.8.3-1 a filter that is no text", subscribe(b"\xff"), 0x81),
    ("3.8.3-2 no filter", packet(SUBSCRIBE, b"\x00\x01\x00"), 0x82),
    ("3.8.3-4 no local messages of a shared subscription", subscribe(b"$share/g/a", 5), 0x82),
    ("3.8.3-5 reserved options", subscribe(b"a", 0x41), 0x81),
    ("3.8.3.1 a retain handling of 3", subscribe(b"a", 0x31), 0x82),
    ("3.8.3.1 a maximum QoS of 3", subscribe(b"a", 3), 0x82),
    ("3.10.1-1 UNSUBSCRIBE's flags", packet(0xA0, b"\x00\x01\x00" + text(b"a")), 0x81),
    ("3.10.3-2 no filter", packet(UNSUBSCRIBE, b"\x00\x01\x00"), 0x82),
    ("3.14.1-1 DISCONNECT's flags", b"\xe1\x00", 0x81),
    ("3.14.2.2.2 an expiry where CONNECT had none", packet(DISCONNECT, b"\x00\x05\x11\x00\x00\x00\x01"), 0x82),
    ("3.15.1-1 AUTH's flags", b"\xf1\x00", 0x81),
    ("4.12.0-1 AUTH without a method in CONNECT", b"\xf0\x00", 0x82),
    ("4.7.1-1 # is the last", subscribe(b"a/#/b"), 0x8F),
    ("4.7.1-1 # is a level of its own", subscribe(b"a#"), 0x8F),
    ("4.7.1-2 + is a level of its own", subscribe(b"a+/b"), 0x8F),
    ("4.7.3-1 an empty filter", subscribe(b""), 0x8F),
    ("4.8.2-1 a group has a name", subscribe(b"$share//a"), 0x8F),
    ("4.8.2-2 a group's name has no wildcard", subscribe(b"$share/g+/a"), 0x8F),
    ("4.8.2-2 a group has a filter", subscribe(b"$share/g"), 0x8F),
    ("a packet only a server sends", b"\x90\x04\x00\x01\x00\x00", 0x82),
])
def test_a_violation_ends_the_connection_with_its_code(wire: Wire, statement: str, data: bytes, code: int) -> None:
    answer, stands = wire.said(data, PINGREQ)
    assert (answer.hex(), stands) == (bytes([DISCONNECT, 1, code]).hex(), False), statement  # 4.13.1-1, 4.13.2-1


@pytest.mark.parametrize(("statement", "data", "code"), [
    ("3.1.0-1 PINGREQ before CONNECT", PINGREQ, None),
    ("3.1.2-1 another protocol's name", packet(0x10, text(b"MQTT+") + b"\x05\x02\x00\x3c\x00" + text(b"thing-1")), 1),
    ("3.1.2.1 no protocol's name", packet(0x10, b"\x00"), None),
    ("3.1.2-2 a version nobody has", packet(0x10, text(b"MQTT") + b"\x06\x02\x00\x3c\x00" + text(b"thing-1")), 1),
    ("3.1.2-3 the reserved flag", connect(flags=3), 0x81),
    ("3.1.2-9 a will without its topic", connect(flags=6), 0x81),
    ("3.1.2-11 a will's QoS without a will", connect(flags=0x0A), 0x81),
    ("3.1.2-12 a will of QoS 3", connect(flags=0x1E, tail=will(b"w")), 0x81),
    ("3.1.2-13 a will to be retained without a will", connect(flags=0x22), 0x81),
    ("3.1.2-16 a user name without its flag", connect(tail=text(b"user")), 0x81),
    ("3.1.2-17 the flag of a user name without one", connect(flags=0x82), 0x81),
    ("3.1.2-19 the flag of a password without one", connect(flags=0x42), 0x81),
    ("3.1.2.11.3 a receive maximum of 0", connect(properties=b"\x21\x00\x00"), 0x82),
    ("3.1.2.11.4 a maximum packet size of 0", connect(properties=b"\x27\x00\x00\x00\x00"), 0x82),
    ("3.1.2.11.6 a request for response information of 2", connect(properties=b"\x19\x02"), 0x82),
    ("3.1.2.11.7 a request for problem information twice", connect(properties=b"\x17\x01\x17\x01"), 0x82),
    ("3.1.2.11.10 authentication data without a method", connect(properties=b"\x16\x00\x01x"), 0x82),
    ("4.12.0-1 a method nobody knows", connect(properties=b"\x15" + text(b"SCRAM")), 0x8C),
    ("3.1.3-3 no client id at all", connect()[:-9].replace(b"\x10\x14", b"\x10\x0b", 1), 0x81),
    ("3.1.3-4 a client id that is no text", connect(client_id=b"\xff"), 0x81),
    ("3.1.3-11 a will's topic that is no text", connect(flags=6, tail=will(b"\xff")), 0x81),
    ("3.1.3-12 a user name that is no text", connect(flags=0x82, tail=text(b"\xff")), 0x81),
    ("3.1.3-12 a user name with a null", connect(flags=0x82, tail=text(b"a\0")), 0x81),
])
def test_a_connect_that_is_none(wire: Wire, statement: str, data: bytes, code: int | None) -> None:
    raw = wire.raw(data, PINGREQ)  # 3.1.4-6: nothing behind it is looked at
    answer = raw.answer
    assert raw.endpoint.closed, statement
    if code is None:
        assert answer == b"", statement
    else:
        assert answer[0] == 0x20 and answer[2:4] == bytes([0, code]), f"{statement}: {answer.hex()}"  # 3.2.2-6
        assert len(answer) == 2 + answer[1], statement


@pytest.mark.parametrize(("statement", "data"), [
    ("1.5.3-1", publish(b"a\xed\xa0\x80", version=4)), ("1.5.3-2", subscribe(b"a\0", 0, 4)),
    ("2.2.2-2", b"\xc1\x00"), ("2.3.1-1", publish(b"a", flags=2, number=0, version=4)), ("3.1.0-2", connect(4)),
    ("3.3.1-4", publish(b"a", flags=6, version=4)), ("3.3.2-2", publish(b"#", version=4)),
    ("3.8.1-1", b"\x80" + subscribe(b"a", 0, 4)[1:]), ("3.8.3-3", packet(SUBSCRIBE, b"\x00\x01")),
    ("3-8.3-4", subscribe(b"a", 4, 4)), ("3.10.1-1", packet(0xA0, b"\x00\x01" + text(b"a"))),
    ("3.10.3-2", packet(UNSUBSCRIBE, b"\x00\x01")), ("3.14.1-1", b"\xe1\x00"), ("4.7.3-1", publish(b"", version=4)),
    ("4.8.0-1", b"\xf0\x00")])
def test_a_violation_of_3_1_1_ends_the_connection_in_silence(wire: Wire, statement: str, data: bytes) -> None:
    raw = wire.raw(connect(4), data, PINGREQ)
    assert (raw.answer, raw.endpoint.closed) == (ACCEPTED, True), statement


# CONNECT -----------------------------------------------------------------------------------------------------------
def test_3_1_3_8_an_empty_client_id(wire: Wire) -> None:
    """3.1.1: with a session that is to be kept it is refused with code 2; AWS gives nobody a name."""
    for flags in (0, 2):
        raw = wire.raw(connect(4, b"", flags))
        assert (raw.answer, raw.endpoint.closed) == (b"\x20\x02\x00\x02", True)


@pytest.mark.parametrize("name", [b"0", b"abcdefghijklmnopqrstuvw", b"ABCXYZ0123456789"])
def test_3_1_3_5_ordinary_client_ids(wire: Wire, name: bytes) -> None:
    assert wire.raw(connect(4, name)).answer == ACCEPTED


def test_3_1_2_4_and_3_2_2_2_clean_start(wire: Wire) -> None:
    present = []
    for flags in (0, 0, 2, 0):
        raw = wire.raw(connect(flags=flags, properties=b"\x11\x00\x00\x02\x58"))
        present.append(raw.answer[2])
        raw.endpoint.peer_closed()
    assert present == [0, 1, 0, 1]


def test_3_1_2_24_nothing_larger_than_the_client_takes(wire: Wire) -> None:
    """... is sent, and the broker goes on as if it had been (3.1.2-25)."""
    raw = wire.raw(connect(properties=b"\x27\x00\x00\x00\x20"), subscribe(b"a"))
    wire.lab.broker.publish("a", bytes(40), 1)
    wire.lab.broker.publish("a", b"small", 1)
    answer = raw.read()
    assert b"small" in answer and len(answer) < 0x20 and not wire.lab.broker.sessions[THING].queue


def test_3_1_2_26_no_alias_for_who_wants_none(wire: Wire) -> None:
    for properties, aliases in ((b"", [0, 0, 0]), (b"\x22\x00\x01", [1, 1, 0])):
        raw = wire.raw(connect(properties=properties), subscribe(b"#", 0))
        for topic in ("a", "a", "b"):
            wire.lab.broker.publish(topic, b"x")
        found, data = [], raw.read()
        while data:
            one, data = data[2:2 + data[1]], data[2 + data[1]:]
            at = 2 + one[1]
            found.append(one[at + 3] if one[at] else 0)
        assert found == aliases
        raw.endpoint.peer_closed()


def test_3_1_2_28_and_29_nothing_that_was_not_asked_for(wire: Wire) -> None:
    raw = wire.raw(connect(properties=b"\x17\x00"), subscribe(b"a"), publish(b"a", flags=2),
                   packet(UNSUBSCRIBE, b"\x00\x02\x00" + text(b"a")))
    answer = raw.answer
    assert b"\x1a\x00" not in answer[:answer[1] + 2]  # no response information
    for bare in (b"\x90\x04\x00\x01\x00\x01", b"\x40\x02\x00\x01", b"\xb0\x04\x00\x02\x00\x00"):
        assert bare in answer


def test_3_1_3_9_a_will_that_waits_is_not_sent_when_the_client_is_back(wire: Wire) -> None:
    watcher = wire.raw(connect(client_id=b"watcher"), subscribe(b"w", 0), thing="thing-2")
    late = connect(flags=4, properties=b"\x11\x00\x00\x02\x58", tail=will(b"w", properties=b"\x18\x00\x00\x00\x0a"))
    wire.raw(late).endpoint.peer_closed()
    wire.lab.clock.advance(9)
    wire.lab.broker.tick()
    again = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58"))
    wire.lab.clock.advance(60)
    wire.lab.broker.tick()
    assert again.answer[2] == 1 and watcher.read() == b""


def test_3_1_4_6_nothing_behind_a_refused_connect_is_done() -> None:
    wire = Wire(NARROW)
    wire.raw(connect(client_id=b"stranger"), publish(b"offchip/things/thing-1", b"{}", 2))
    assert not wire.lab.world.processor.accepted and not wire.lab.world.processor.rogue


# messages ----------------------------------------------------------------------------------------------------------
def test_1_5_4_3_a_mark_of_byte_order_is_a_character(wire: Wire) -> None:
    topic = "\ufeffa".encode()
    raw = wire.raw(connect(4), subscribe(topic, 0, 4), publish(topic, version=4), publish(b"a", version=4))
    assert raw.answer.endswith(b"\x90\x03\x00\x01\x00" + publish(topic, version=4))


def test_3_3_1_5_to_8_what_is_retained(wire: Wire) -> None:
    def kept() -> bytes:
        raw = wire.raw(connect(4, b"reader"), subscribe(b"a", 0, 4), thing="thing-2")
        raw.endpoint.peer_closed()
        return raw.answer[len(ACCEPTED) + 5:]

    writer = wire.raw(connect(4), publish(b"a", b"1", 1, version=4))
    assert kept() == publish(b"a", b"1", 1, version=4)
    writer.send(publish(b"a", b"2", 0, version=4))
    assert kept() == publish(b"a", b"1", 1, version=4)          # 3.3.1-8
    writer.send(publish(b"a", b"3", 1, version=4))
    assert kept() == publish(b"a", b"3", 1, version=4)          # 3.3.1-5
    writer.send(publish(b"a", b"", 1, version=4))
    assert kept() == b""                                        # 3.3.1-6, 3.3.1-7


def test_3_3_1_9_to_13_retain_as_the_subscription_wants_it(wire: Wire) -> None:
    wire.raw(connect(4, b"writer"), publish(b"a", b"kept", 1, version=4), thing="thing-2")
    for options, came in ((0x00, [1, 0]), (0x10, [1, 0]), (0x20, [0]), (0x08, [1, 1])):
        raw = wire.raw(connect(), subscribe(b"a", options))
        wire.lab.broker.publish("a", b"live", 0, True)
        answer = raw.answer + raw.read()
        answer = answer[2 + answer[1]:][6:]
        assert [answer[at] & 1 for at in range(0, len(answer), 2 + answer[1])] == came if answer else not came, options
        raw.endpoint.peer_closed()
    raw = wire.raw(connect(), subscribe(b"a", 0), subscribe(b"a", 0x10, number=2), subscribe(b"a", 0, number=3))
    assert raw.answer.count(b"live") == 2  # 3.3.1-10: the second one was there already


def test_3_3_2_4_to_20_properties_go_on_unaltered(wire: Wire) -> None:
    said = (b"\x01\x01" + b"\x03" + text(b"text/plain") + b"\x08" + text(b"answer/here") + b"\x09" + text(b"\x00\xff")
            + b"\x26" + text(b"b") + text(b"1") + b"\x26" + text(b"a") + text(b"2") + b"\x26" + text(b"b") + text(b"3"))
    answer, _ = wire.said(subscribe(b"a", 0), publish(b"a", properties=said))
    assert answer[6:] == publish(b"a", properties=said)


def test_3_3_2_6_what_is_left_of_a_message_s_life(wire: Wire) -> None:
    sleeper(wire)
    wire.raw(connect(client_id=b"writer"), publish(b"a", b"x", 2, b"\x02\x00\x00\x00\x3c"), thing="thing-2")
    wire.lab.clock.advance(20)
    raw = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58"))
    assert raw.answer.endswith(publish(b"a", b"x", 2, b"\x02\x00\x00\x00\x28"))


def test_3_3_2_5_a_message_past_its_life_is_not_sent(wire: Wire) -> None:
    sleeper(wire)
    wire.raw(connect(client_id=b"writer"), publish(b"a", b"x", 2, b"\x02\x00\x00\x00\x3c"), thing="thing-2")
    wire.lab.clock.advance(60)
    raw = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58"))
    assert raw.answer[2] == 1 and len(raw.answer) == 2 + raw.answer[1]


def test_3_3_2_7_an_alias_ends_with_its_connection(wire: Wire) -> None:
    alias = b"\x23\x00\x01"
    assert wire.said(publish(b"a", properties=alias), publish(b"", properties=alias), PINGREQ) == (PINGRESP, True)
    assert wire.said(publish(b"", properties=alias)) == (b"\xe0\x01\x82", False)


def test_3_3_2_12_an_alias_may_be_given_anew(wire: Wire) -> None:
    alias = b"\x23\x00\x01"
    answer, _ = wire.said(subscribe(b"b", 0), publish(b"a", b"1", properties=alias),
                          publish(b"b", b"2", properties=alias), publish(b"", b"3", properties=alias))
    assert answer[6:] == publish(b"b", b"2") + publish(b"b", b"3")


def test_3_3_4_9_not_more_than_the_client_s_receive_maximum(wire: Wire) -> None:
    raw = wire.raw(connect(properties=b"\x21\x00\x02"), subscribe(b"a"))
    for number in range(5):
        wire.lab.broker.publish("a", b"%d" % number, 1)
    assert raw.read() == publish(b"a", b"0", 2) + publish(b"a", b"1", 2, number=2)
    assert raw.send(packet(0x40, b"\x00\x01")) == publish(b"a", b"2", 2, number=3)
    assert raw.send(packet(0x40, b"\x00\x02\x80")) == publish(b"a", b"3", 2, number=4)  # a failure counts, too


def test_the_receive_maximum_holds_for_what_waited() -> None:
    wire = Wire(rate_limits_enforced=True, connects_per_second_per_client=10)
    sleeper(wire)
    for number in range(5):
        wire.lab.broker.publish("a", b"%d" % number, 1)
    raw = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58\x21\x00\x02"))
    wire.lab.broker.tick()
    assert raw.read().count(b"\x32") == 2


def test_3_3_5_1_subscriptions_that_overlap(wire: Wire) -> None:
    """One copy at the highest QoS."""
    answer, _ = wire.said(subscribe(b"a/+", 0), subscribe(b"a/b", 1, number=2), publish(b"a/b"), PINGREQ)
    assert answer[12:] == publish(b"a/b") + PINGRESP
    answer, _ = wire.said(subscribe(b"a/+", 0), subscribe(b"a/b", 1, number=2), publish(b"a/b", flags=2), PINGREQ)
    assert answer[12:].count(publish(b"a/b", flags=2)) == 1 and answer.count(b"a/b") == 1


# SUBSCRIBE and UNSUBSCRIBE -----------------------------------------------------------------------------------------
def test_3_8_4_a_suback_for_each_with_its_codes_in_order(wire: Wire) -> None:
    many = packet(SUBSCRIBE, b"\x12\x34\x00" + text(b"a") + b"\x01" + text(b"b") + b"\x00" + text(b"c") + b"\x02")
    assert wire.said(many) == (b"\x90\x06\x12\x34\x00\x01\x00\x01", True)  # 3.2.2-10, 3.8.4-1, 3.8.4-2, 3.9.3-1


def test_3_8_4_3_a_subscription_is_replaced(wire: Wire) -> None:
    answer, _ = wire.said(subscribe(b"a", 1), subscribe(b"a", 0, number=2), publish(b"a", flags=2))
    assert publish(b"a") in answer and answer.count(b"\x01ax") + answer.count(b"a\x00x") == 1


def test_3_10_4_unsubscribe(wire: Wire) -> None:
    """Compared letter by letter (1), nothing new comes (2), what is on its way is finished (3), one answer (4 to 6)."""
    raw = wire.raw(connect(4), subscribe(b"a/B", 1, 4))
    wire.lab.broker.publish("a/B", b"1", 1)
    first = publish(b"a/B", b"1", 2, version=4)
    assert raw.read() == first
    assert raw.send(packet(UNSUBSCRIBE, b"\x00\x07" + text(b"a/b"))) == b"\xb0\x02\x00\x07"
    assert wire.lab.broker.publish("a/B", b"2", 1) == 1
    raw.read()
    assert raw.send(packet(UNSUBSCRIBE, b"\x00\x08" + text(b"a/B") + text(b"never"))) == b"\xb0\x02\x00\x08"
    assert wire.lab.broker.publish("a/B", b"3", 1) == 0
    raw.send(packet(0x40, b"\x00\x02"))
    wire.lab.clock.advance(10)
    wire.lab.broker.tick()
    assert raw.read() == first


def test_4_3_2_a_puback_for_each_with_its_packet_id(wire: Wire) -> None:
    answer, _ = wire.said(publish(b"a", flags=2, number=0x1234), publish(b"a", flags=10, number=0x1234))
    assert answer == b"\x40\x02\x12\x34" * 2


def test_4_4_0_1_what_was_not_acknowledged_comes_again_in_its_order(wire: Wire) -> None:
    raw = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58"), subscribe(b"a"))
    for number in range(4):
        wire.lab.broker.publish("a", b"%d" % number, 1)
    raw.send(packet(0x40, b"\x00\x02"))
    raw.endpoint.peer_closed()
    wire.lab.broker.publish("a", b"4", 1)
    again = wire.raw(connect(flags=0, properties=b"\x11\x00\x00\x02\x58"))
    sent = b"".join(publish(b"a", b"%d" % number, 2, number=number + 1) for number in (0, 2, 3, 4))
    assert again.answer.endswith(sent) and again.answer[2] == 1


def test_4_6_0_6_messages_stay_in_order(wire: Wire) -> None:
    answer, _ = wire.said(subscribe(b"a", 1), *(publish(b"a", b"%d" % each, 2, number=each + 1) for each in range(9)))
    assert [bytes([each]) for each in answer if chr(each) in "012345678" and each != 0x32] \
        == [b"%d" % each for each in (0, 1, 3, 4, 5, 6, 7, 8)]
    puback = [answer[at + 3] for at in range(len(answer) - 3) if answer[at:at + 2] == b"\x40\x02"]
    assert puback == list(range(1, 10))


@pytest.mark.parametrize(("text_", "topic", "fits"), [
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True), ("#", "a", True), ("#", "/", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False), ("sport/+", "sport", False),
    ("sport/+", "sport/", True), ("+/+", "/finance", True), ("/+", "/finance", True), ("+", "/finance", False),
    ("ACCOUNTS", "Accounts", False), ("/finance", "finance", False), ("a//b", "a/b", False), ("a//b", "a//b", True),
    ("a b", "a b", True)])
def test_4_7_how_filters_match(wire: Wire, text_: str, topic: str, fits: bool) -> None:
    answer, stands = wire.said(subscribe(text_.encode(), 0), publish(topic.encode()))
    assert stands and (answer[6:] == publish(topic.encode())) is fits


def test_4_7_2_1_wildcards_do_not_match_what_begins_with_a_dollar(wire: Wire) -> None:
    raw = wire.raw(connect(4, b"watcher"), subscribe(b"#", 0, 4),
                   subscribe(b"+/events/presence/connected/thing-1", 0, 4), thing="thing-2")
    wire.raw(connect(4))
    assert raw.read() == b""


# DISCONNECT --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("data", "sent"), [(b"\xe0\x00", False), (b"\xe0\x01\x00", False), (b"\xe0\x01\x04", True),
                                            (b"\xe0\x01\x80", True), (b"", True), (b"\xe0\x01\x01", True)])
def test_3_14_4_3_the_will_goes_with_an_ordinary_farewell(wire: Wire, data: bytes, sent: bool) -> None:
    watcher = wire.raw(connect(client_id=b"watcher"), subscribe(b"w", 0), thing="thing-2")
    raw = wire.raw(connect(flags=6, tail=will(b"w")))
    raw.send(data + PINGREQ)
    raw.endpoint.peer_closed()
    assert raw.read() == b"" or not data  # 3.14.4-1: nothing behind it is answered
    assert (watcher.read() == publish(b"w", b"gone")) is sent


def test_3_14_2_an_expiry_that_is_changed_with_the_farewell(wire: Wire) -> None:
    wire.raw(connect(properties=b"\x11\x00\x00\x02\x58"), b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00")
    raw = wire.raw(connect(flags=0))
    assert raw.answer[2] == 0


def test_4_1_0_1_a_session_is_kept_while_its_connection_stands(wire: Wire) -> None:
    raw = wire.raw(connect(), subscribe(b"a", 0))
    for _ in range(10):
        wire.lab.clock.advance(1000)
        wire.lab.broker.tick()
        assert raw.send(PINGREQ) == PINGRESP
    wire.lab.broker.publish("a", b"x")
    assert raw.read() == publish(b"a")


def test_3_1_4_3_who_is_taken_over_is_told(wire: Wire) -> None:
    first = wire.raw(connect())
    wire.raw(connect())
    assert first.read() == b"\xe0\x01\x8e" and first.endpoint.closed


def test_4_8_2_shared_subscriptions(wire: Wire) -> None:
    """The QoS of each member (3); what one did not acknowledge waits for it (5); the group is its name (4.8.2)."""
    one = wire.raw(connect(client_id=b"one"), subscribe(b"$share/g/a", 1), thing="thing-1")
    two = wire.raw(connect(client_id=b"two"), subscribe(b"$share/g/a", 0), thing="thing-2")
    alone = wire.raw(connect(client_id=b"alone"), subscribe(b"$share/h/a", 0), thing="thing-2")
    for number in range(4):
        wire.lab.broker.publish("a", b"%d" % number, 1)
    got = one.read(), two.read()
    assert got[0] == publish(b"a", b"0", 2) + publish(b"a", b"2", 2, number=2)
    assert got[1] == publish(b"a", b"1") + publish(b"a", b"3")
    assert alone.read().count(b"\x30") == 4 + 1  # the payload "0" is one of them
