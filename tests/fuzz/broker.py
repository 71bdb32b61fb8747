# SPDX-License-Identifier: Apache-2.0
"""The broker under packets, policies and shadow documents of nearly the right form.

    .venv/bin/python -m tests.fuzz.broker [INPUTS] [SEED]     (300,000 inputs, seed 1)

Each input is a conversation's stream: lawful packets of one version with bytes changed, cut, doubled or given other
lengths, or noise, on a connection whose CONNECT was lawful or not; one of eight is a policy document, one of eight a
request to shadows, jobs or provisioning. Whatever comes, the broker closes with an event or goes on; an exception ends
the run with the input that made it. Afterwards the memory must not have grown by more than a tenth.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psutil

from offchip.broker import events
from offchip.broker.conversation import Conversation
from offchip.broker.policy import Policy, Request, decide
from offchip.broker.world import WIDE, World, build_world, enrol
from offchip.errors import BrokerError
from offchip.mqtt import (
    V5,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Property,
    Puback,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
    encode,
)

_TEXTS = ("a/b", "a/+", "#", "$share/g/a", "$aws/things/t/shadow/get", "$aws/things/t/shadow/name/n/update", "", "\0",
          "\ufeff\u200b", "\U0010ffff", "/" * 9, "a" * 300, "$SYS/x", "$aws/rules/r/a", "a/#/b", "$share//a", "+" * 3,
          "$aws/certificates/create/json", "$aws/provisioning-templates/fleet/provision/json")
_JSON = ('{"state":{"reported":{"a":1}}}', '{"state":{"desired":{"a":null}},"version":1}', "{}", "[]", "nul", '"', "",
         '{"state":7}', "[" * 5000, '{"a":1e999}', '{"state":{"reported":' * 9 + "1" + "}}" * 9, '{"version":-1}',
         '{"clientToken":[],"state":{}}', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), '{"state":NaN}')
_PIECES: tuple[object, ...] = (
    "iot:*", "iot:Publish", "*", "arn:aws:iot:*", "arn:aws:iot:us-east-1:1:topic/${iot:ClientId}", "${", "${}",
           "${iot:Certificate.Subject.CommonName}", "Allow", "Deny", "Maybe", 7, None, [], {}, True, "2012-10-17",
           "10.0.0.0/33", "iot:ConnectAttributes", "aws:SourceIp", "ForAllValues:StringEquals", "StringLike", "Null")
#: inputs after which memory is measured first
_WARM = 20_000


class _Channel:
    """Takes what the broker says and counts it."""

    def __init__(self, number: int, certificate: str) -> None:
        self.number, self.peer_name, self.certificate_id = number, "10.0.0.9", certificate
        self.backlog = 0

    def send(self, data: bytes) -> None:
        """Nobody reads it."""

    def hang_up(self) -> None:
        """Nothing follows."""


def _packet(chance: random.Random, version: int) -> Packet:
    text, qos, number = chance.choice(_TEXTS), chance.randrange(3), chance.choice((0, 1, 2, 65535))
    payload = chance.choice(_JSON).encode() if chance.random() < 0.5 else chance.randbytes(chance.randrange(40))
    properties = {} if version < V5 else dict(chance.sample((
        (Property.TOPIC_ALIAS, chance.randrange(12)), (Property.MESSAGE_EXPIRY_INTERVAL, chance.randrange(1 << 32)),
        (Property.USER_PROPERTY, [(text, text)]), (Property.RESPONSE_TOPIC, text), (Property.CONTENT_TYPE, text),
        (Property.CORRELATION_DATA, payload)), chance.randrange(4)))
    make = chance.randrange(6)
    if make < 3:
        return Publish(text, payload, qos, chance.random() < 0.2, False, number or 1, properties)
    if make == 3:
        return Subscribe(number or 1, tuple(Subscription(chance.choice(_TEXTS), qos)
                                            for _ in range(chance.choice((1, 2, 9, 60)))))
    if make == 4:
        return Unsubscribe(number or 1, (text,))
    return chance.choice((Puback(number or 1), Pingreq(), Disconnect()))


def _damaged(chance: random.Random, data: bytes) -> bytes:
    raw, kind = bytearray(data), chance.randrange(8)
    at = chance.randrange(len(raw))
    if kind == 0:
        raw[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        raw[at] = chance.choice((0, 0x7F, 0x80, 0xFF))
    elif kind == 2:
        del raw[at:]
    elif kind == 3:
        raw[at:at] = chance.randbytes(chance.randrange(1, 9))
    elif kind == 4:
        raw[1:2] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x00", b"\x00"))
    elif kind == 5:
        raw *= 2
    elif kind == 6:
        raw[0] = chance.randrange(256)
    return bytes(raw)


def _stream(chance: random.Random) -> list[bytes]:
    version = chance.choice((3, 4, 5))
    will = Will(chance.choice(_TEXTS), b"w", chance.randrange(2)) if chance.random() < 0.3 else None
    name = chance.choice(("t", "u", "", "$x", "é", "a" * 200, chance.choice(_TEXTS)))
    hello = encode(Connect(name, version, chance.random() < 0.5, chance.choice((0, 5, 65535)), will))
    rest = [encode(_packet(chance, version), version) for _ in range(chance.randrange(1, 6))]
    if chance.random() < 0.3:
        hello = _damaged(chance, hello)
    else:
        at = chance.randrange(len(rest))
        rest[at] = _damaged(chance, rest[at]) if chance.random() < 0.8 else chance.randbytes(chance.randrange(1, 60))
    return [hello, *rest]


def _document(chance: random.Random, depth: int = 0) -> object:
    if depth > 3 or chance.random() < 0.3:
        return chance.choice(_PIECES)
    if chance.random() < 0.3:
        return [_document(chance, depth + 1) for _ in range(chance.randrange(3))]
    names = ("Version", "Statement", "Effect", "Action", "Resource", "Condition", "Sid", "StringEquals", "aws:SourceIp",
             "ForAnyValue:StringLike", "iot:ConnectAttributes", "IpAddress", "Bool")
    return {name: _document(chance, depth + 1) for name in chance.sample(names, chance.randrange(1, 6))}


def _policy(chance: random.Random) -> None:
    whole = {"Version": "2012-10-17", "Statement": [{
        "Effect": chance.choice(("Allow", "Deny")), "Action": "iot:*", "Resource": _document(chance, 3),
        "Condition": _document(chance, 1)}]}
    document = whole if chance.random() < 0.6 else _document(chance)
    try:
        policy = Policy.parse("p", _damaged(chance, json.dumps(document).encode()).decode("latin-1"))
    except BrokerError:
        return
    decide([policy], Request("iot:Publish", "arn:aws:iot:us-east-1:1:topic/a", {"iot:ClientId": "t*"}))


class Fuzz:
    """A world of its own; ``now`` moves a second an input."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = datetime(2026, 11, 27, tzinfo=UTC)
        self.world: World = build_world(lambda: self.now)
        self.certificate = enrol(self.world.authority, self.world.registry, "t", WIDE).certificate_id
        self.kinds: Counter[str] = Counter()

    def run(self, first: int, last: int) -> None:
        """Inputs number ``first`` to ``last`` - 1. Raises RuntimeError naming the one that broke something."""
        hub = self.world.broker.hub
        for number in range(first, last):
            if number % 1000 == 0:
                self.forget()
            chance = random.Random(f"{self.seed} {number}")
            self.now += timedelta(seconds=1)
            try:
                if number % 8 == 7:
                    _policy(chance)
                    continue
                conversation = Conversation(hub, _Channel(number, self.certificate))
                for piece in _stream(chance) if number % 8 < 6 else self._request(chance):
                    if conversation.over:
                        break
                    conversation.receive(piece)
                conversation.close(events.DisconnectReason.CONNECTION_LOST)
                hub.tick(self.now)
            except Exception as error:
                raise RuntimeError(f"input {number} of seed {self.seed}: {type(error).__name__}: {error}") from error

    def forget(self) -> None:
        """Count the kinds of events, then empty the log."""
        self.kinds.update(type(each).__name__ for each in self.world.broker.events)
        self.world.broker.events.clear()

    def _request(self, chance: random.Random) -> list[bytes]:
        """To shadows, jobs or provisioning: whatever answers JSON on reserved topics."""
        asked = chance.choice((
            "things/t/shadow/get", "things/t/shadow/update", "things/t/shadow/delete", "things/t/shadow/name/n/update",
            "things/t/jobs/get", "things/t/jobs/start-next", "things/t/jobs/j/update", "things/t/jobs/$next/get",
            "certificates/create-from-csr/json", "provisioning-templates/fleet/provision/json"))
        sound = chance.choice((*_JSON[:2], '{"status": "SUCCEEDED", "statusDetails": {"a": "b"}}'))
        return [encode(Connect("t", 4)), encode(Subscribe(1, (Subscription("$aws/things/t/#", 1),))),
                encode(Publish(f"$aws/{asked}", chance.choice(_JSON).encode("latin-1", "replace"), 1, packet_id=1)),
                encode(Publish(f"$aws/{asked}", _damaged(chance, sound.encode()), 1, packet_id=2))]


def main() -> None:
    """The command line."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    fuzz = Fuzz(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    start, memory = time.process_time(), psutil.Process().memory_info
    warm = min(_WARM, inputs // 2)
    fuzz.run(0, warm)
    before = memory().rss
    fuzz.run(warm, inputs)
    fuzz.forget()
    growth = memory().rss / before - 1
    print(f"{inputs} inputs in {time.process_time() - start:.0f} s of CPU, no exception; memory {growth:+.1%} "
          f"({before >> 20} MiB after {warm})")
    print(", ".join(f"{name} {count}" for name, count in fuzz.kinds.most_common(12)))
    if growth > 0.1:
        raise SystemExit("memory grew by more than a tenth")


if __name__ == "__main__":
    main()
