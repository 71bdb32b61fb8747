# SPDX-License-Identifier: Apache-2.0
"""A broker that stops and goes on: persistent sessions, what waits for them, retained messages."""

from __future__ import annotations

import json

import pytest

from offchip.broker import memory
from offchip.broker.session import Message
from offchip.broker.world import WIDE
from offchip.errors import BrokerError
from offchip.mqtt import V5, Property, Subscription
from tests.broker_lab import SESSION, THING, Lab, Raw, connect_bytes, packet, text

PROPERTIES = {Property.CORRELATION_DATA: b"\xff\x00", Property.USER_PROPERTY: [("k", "v"), ("k", "w")],
              Property.CONTENT_TYPE: "text"}


def stopped(lab: Lab, later_s: float = 0) -> Lab:
    """Another broker of the same owner that begins where the first one ended, ``later_s`` seconds later."""
    content = json.loads(json.dumps(memory.dump(lab.broker.hub)))
    again = Lab(policy=WIDE)
    again.clock.now = lab.clock.now
    again.clock.advance(later_s)
    memory.restore(again.broker.hub, content)
    return again


def test_a_sleeping_session_finds_what_waited_for_it() -> None:
    lab = Lab(policy=WIDE)
    sleeper = lab.client(version=V5, clean=False, properties={Property.SESSION_EXPIRY_INTERVAL: 3600})
    sleeper.subscribe(Subscription("a/#", 1, retain_as_published=True), Subscription("$share/g/b", 1))
    sleeper.drop()
    writer = lab.client("writer", "thing-2", version=V5)
    writer.publish("a/b", b"\x00\xff", properties=PROPERTIES)
    writer.publish("a/short", b"lived", properties={Property.MESSAGE_EXPIRY_INTERVAL: 60})
    writer.publish("kept", b"k", retain=True)
    again = stopped(lab, 61)
    assert again.broker.publish("b", b"while it slept here", 1) == 1
    back = again.client(version=V5, clean=False, properties={Property.SESSION_EXPIRY_INTERVAL: 3600})
    assert back.session_present
    assert [each.topic for each in back.messages] == ["a/b", "b"]
    assert back.messages[0] == Message("a/b", b"\x00\xff", 1, False, PROPERTIES)
    assert back.subscribe("kept") and back.messages[-1] == Message("kept", b"k", 1, True)
    assert again.broker.sessions[THING].number == lab.broker.sessions[THING].number + 1


def test_what_was_not_acknowledged_comes_again_under_its_number() -> None:
    lab = Lab(policy=WIDE)
    raw = Raw(lab)
    raw.send(connect_bytes(flags=0) + packet(0x82, b"\x00\x01" + text(b"a") + b"\x01"))
    lab.broker.publish("a", b"x", 1)
    again = stopped(lab)  # the client was connected
    assert packet(0x32, text(b"a") + b"\x00\x01x") in Raw(again).send(connect_bytes(flags=0))


def test_what_is_over_is_not_kept() -> None:
    lab = Lab(policy=WIDE)
    lab.client(clean=False).drop()
    lab.client("clean", "thing-2")
    assert set(stopped(lab, 3599).broker.sessions) == {THING, "processor"}
    assert set(stopped(lab, 3600).broker.sessions) == {"processor"}
    assert Raw(stopped(lab)).send(SESSION) == b"\x20\x02\x00\x00"  # clean: the session is gone


def test_a_damaged_memory_is_one_sentence() -> None:
    lab = Lab(policy=WIDE)
    for content in ({"sessions": [{}]}, {"retained": 7}, {"retained": [{"topic": "a", "payload": "%"}]}, []):
        with pytest.raises(BrokerError, match="these are no sessions of a broker"):
            memory.restore(lab.broker.hub, content)  # type: ignore[arg-type]
