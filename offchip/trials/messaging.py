# SPDX-License-Identifier: Apache-2.0
"""Trials of what is not allowed, of messages on their way, and of limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from offchip.broker.client import MqttClient
from offchip.mqtt import (
    V5,
    Connack,
    Disconnect,
    Packet,
    Property,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
)
from offchip.trials.bench import BOTH, OTHER, THING, Bench, Raw, said, trial


# what is not allowed -----------------------------------------------------------------------------------------------
def _forbidden(bench: Bench, version: int, *packets: Packet) -> str:
    """What follows from the packets of one who may do nothing on the topic secret."""
    bench.allow_all_but(("iot:Publish", "topic/secret"), ("iot:Subscribe", "topicfilter/secret"))
    raw = bench.raw(version=version)
    answers = raw.send(*packets)
    told = [f"{type(each).__name__.upper()} 0x{_code(each):02x}" for each in answers]
    return f"{', '.join(told) or 'no answer'}; the connection {'ends' if raw.closed else 'stays'}"


@trial()
def forbidden_publish_closes(bench: Bench) -> str:
    """QoS 1, MQTT 3.1.1."""
    return _forbidden(bench, 4, Publish("secret", b"", 1, packet_id=1))


@trial()
def forbidden_subscribe_closes(bench: Bench) -> str:
    """MQTT 3.1.1."""
    return _forbidden(bench, 4, Subscribe(1, (Subscription("secret"),)))


@trial(protocol_levels=BOTH)
def mqtt5_forbidden_publish_closes(bench: Bench) -> str:
    """QoS 1, MQTT 5."""
    return _forbidden(bench, V5, Publish("secret", b"", 1, packet_id=1))


@trial(protocol_levels=BOTH)
def mqtt5_forbidden_subscribe_closes(bench: Bench) -> str:
    """MQTT 5."""
    return _forbidden(bench, V5, Subscribe(1, (Subscription("secret"),)))


@trial()
def unsupported_reserved_topics_close(bench: Bench) -> str:
    """A topic under $ that AWS does not have."""
    return _forbidden(bench, 4, Publish("$aws/no/such/thing", b""))


# retained ----------------------------------------------------------------------------------------------------------
@trial(retained_maximum=100, retained_bytes=1000)
def retained_messages(bench: Bench) -> str:
    """One is published; a subscriber comes later."""
    writer = bench.client("writer", OTHER)
    writer.publish("a", b"x", retain=True)
    reader = bench.client()
    reader.subscribe("a")
    return (f"who retains stays connected: {said(writer.connected)}, "
            f"{len(reader.messages)} of 1 comes to who subscribes later")


@trial(retained_messages=True)
def retained_on_wildcard(bench: Bench) -> str:
    """... with a wildcard."""
    bench.broker.publish("a/b", b"x", 1, retain=True)
    reader = bench.client()
    reader.subscribe("a/+")
    return f"{len(reader.messages)} of 1 retained message comes to a subscription with a wildcard"


@trial(retained_messages=True)
def retained_expiry_seconds(bench: Bench) -> str:
    """... a second before its end, and at it."""
    def there(seconds: int) -> bool:
        fresh = bench.again()
        fresh.broker.publish("a", b"x", 1, retain=True)
        fresh.time += timedelta(seconds=seconds)
        fresh.broker.tick()
        # certificates may have ended meanwhile; what is asked here is not who may connect
        return "a" in fresh.broker.retained
    limit = bench.profile.retained_expiry_seconds
    return f"retained after {limit - 1} s: {said(there(limit - 1))}, after {limit} s: {said(there(limit))}"


@trial(retained_messages=True)
def retained_maximum(bench: Bench) -> str:
    """As many topics as fit, and one more."""
    return _retained(bench, bench.beyond(bench.profile.retained_maximum), 1)


@trial(retained_messages=True)
def retained_bytes(bench: Bench) -> str:
    """Messages of 1,000 bytes."""
    return _retained(bench, bench.beyond(bench.profile.retained_bytes // 1000), 1000)


def _retained(bench: Bench, count: int, size: int) -> str:
    writer = bench.client()
    for number in range(count):
        writer.publish(f"r{number}", bytes(size), retain=True)
    found = 0
    reader = bench.client("reader", OTHER)
    for number in range(count):
        found += bool(reader.subscribe(f"r{number}") and reader.messages)
        reader.messages.clear()
        reader.unsubscribe(f"r{number}")
    return f"{found} of {count} messages of {size} bytes are retained"


# subscriptions -----------------------------------------------------------------------------------------------------
@trial()
def multilevel_wildcard_matches_parent(bench: Bench) -> str:
    """sensor/# and a message on sensor."""
    reader = bench.client()
    reader.subscribe("sensor/#")
    bench.broker.publish("sensor", b"x")
    return f"sensor/# gets what is published to sensor: {said(bool(reader.messages))}"


@trial()
def shared_subscriptions(bench: Bench) -> str:
    """Two members of a group, four messages."""
    members = [bench.client(name, thing) for name, thing in ((THING, THING), (OTHER, OTHER))]
    for each in members:
        if not each.subscribe("$share/group/a"):
            return "a shared subscription is refused"
    for _ in range(4):
        bench.broker.publish("a", b"x", 1)
    return f"four messages for a group of two: {', '.join(str(len(each.messages)) for each in members)}"


@trial(protocol_levels=BOTH)
def subscription_identifiers(bench: Bench) -> str:
    """A subscription with the identifier 7."""
    reader = bench.client(version=V5)
    reader.subscribe("a", properties={Property.SUBSCRIPTION_IDENTIFIER: [7]})
    bench.broker.publish("a", b"x", 1)
    if reader.messages:
        return f"messages carry {reader.messages[0].properties.get(Property.SUBSCRIPTION_IDENTIFIER)}"
    return f"refused with 0x{reader.disconnect_code or 0:02x}"


# QoS 1 -------------------------------------------------------------------------------------------------------------
def _unacknowledged(bench: Bench) -> tuple[Raw, Publish]:
    raw = bench.raw(keep_alive=1200)
    raw.send(Subscribe(1, (Subscription("a", 1),)))
    bench.broker.publish("a", b"x", 1)
    first, = raw.read()
    assert isinstance(first, Publish)
    return raw, first


@trial()
def resend_sets_duplicate(bench: Bench) -> str:
    """Sent, and sent again."""
    raw, first = _unacknowledged(bench)
    bench.until(lambda: bool(_published(raw)[1:]))
    again = _published(raw)[1]
    return f"DUP is {int(first.duplicate)}, and {int(again.duplicate)} when it comes again"


@trial()
def retry_seconds(bench: Bench) -> str:
    """When it comes again."""
    raw, _ = _unacknowledged(bench)
    return f"a message without PUBACK comes again {bench.until(lambda: bool(_published(raw)[1:]))}"


@trial(keep_alive_minimum=30, keep_alive_maximum=65535, keep_alive_percent=10_000)
def retry_for_seconds(bench: Bench) -> str:
    """When it came for the last time."""
    raw = bench.raw(keep_alive=65535)
    raw.send(Subscribe(1, (Subscription("a", 1),)))
    bench.broker.publish("a", b"x", 1)
    start = last = bench.time
    seen = 1
    while (bench.time - last).total_seconds() <= 2 * bench.profile.retry_seconds:
        bench.wait(bench.profile.retry_seconds)
        if len(_published(raw)) > seen:
            seen, last = len(_published(raw)), bench.time
    return f"a message without PUBACK comes for the last time after {round((last - start).total_seconds())} s"


@trial()
def unacknowledged_messages(bench: Bench) -> str:
    """A client that acknowledges nothing."""
    count = bench.beyond(bench.profile.unacknowledged_messages)
    raw = bench.raw()
    raw.send(Subscribe(1, (Subscription("a", 1),)))
    for _ in range(count):
        bench.broker.publish("a", b"x", 1)
    return f"{len(_published(raw))} of {count} messages come to a client that acknowledges none"


@trial(protocol_levels=BOTH)
def unacknowledged_inbound(bench: Bench) -> str:
    """What CONNACK says."""
    return f"receive maximum in CONNACK: {_connack(bench, Property.RECEIVE_MAXIMUM)}"


# queues ------------------------------------------------------------------------------------------------------------
def _asleep(bench: Bench, count: int, size: int, sleepers: int = 1) -> str:
    names = [f"sleeper-{number}" for number in range(sleepers)]
    for each in names:
        sleeper = bench.client(each, clean=False)
        sleeper.subscribe("a")
        sleeper.drop()
    for _ in range(count):
        bench.broker.publish("a", bytes(size), 1)
    came = sum(len(bench.client(each, clean=False).messages) for each in names)
    return f"{came} of {count * sleepers} messages of {size} bytes wait for who is away"


@trial(rate_limits_enforced=False)
def queued_messages(bench: Bench) -> str:
    """A session that sleeps."""
    return _asleep(bench, bench.beyond(bench.profile.queued_messages), 1)


@trial(rate_limits_enforced=False)
def queued_bytes(bench: Bench) -> str:
    """... and messages of 1,000 bytes."""
    return _asleep(bench, bench.beyond(bench.profile.queued_bytes // 1000), 1000)


@trial(rate_limits_enforced=False)
def queued_bytes_total(bench: Bench) -> str:
    """Three sessions that sleep."""
    return _asleep(bench, bench.beyond(bench.profile.queued_bytes_total // 3000), 1000, 3)


@trial()
def sessions_maximum(bench: Bench) -> str:
    """Sessions that sleep; the processor's is one of those that count."""
    count = bench.beyond(bench.profile.sessions_maximum, 40)
    names = [f"sleeper-{number}" for number in range(count)]
    for each in names:
        bench.client(each, clean=False).drop()
        bench.wait(1)
    left = sum(each in bench.broker.sessions for each in names)
    return f"{left} of {count} sleeping sessions are kept"


@trial()
def write_buffer_bytes(bench: Bench) -> str:
    """A client that does not read, and messages of QoS 0 and 10,000 bytes."""
    count = bench.beyond(bench.profile.write_buffer_bytes // 10_000 + 1)
    raw = bench.raw()
    raw.send(Subscribe(1, (Subscription("a", 0),)))
    for _ in range(count):
        bench.broker.publish("a", bytes(10_000))
    return f"{len(_published(raw))} of {count} messages of 10,000 bytes are kept for who does not read"


@trial(rate_limits_enforced=True, connects_per_second_per_client=100)
def replay_per_second(bench: Bench) -> str:
    """What waited, when the client is back."""
    sleeper = bench.client(clean=False)
    sleeper.subscribe("a")
    sleeper.drop()
    for _ in range(MANY := 100):
        bench.broker.publish("a", b"x", 1)
    again = bench.client(clean=False)
    counts = []
    for _ in range(3):
        bench.wait(1)
        counts.append(str(len(again.messages)))
    return f"of {MANY} messages that waited, after 1, 2, 3 s: {', '.join(counts)}"


# MQTT 5 ------------------------------------------------------------------------------------------------------------
@trial(protocol_levels=BOTH)
def mqtt5_qos2_disconnects(bench: Bench) -> str:
    """A PUBLISH of QoS 2."""
    return _forbidden(bench, V5, Publish("a", b"", 2, packet_id=1))


@trial(protocol_levels=BOTH)
def mqtt5_nobody_there_codes(bench: Bench) -> str:
    """A message nobody subscribes to."""
    return _forbidden(bench, V5, Publish("a", b"", 1, packet_id=1))


@trial(protocol_levels=BOTH, duplicate_client_id_takes_over=True)
def mqtt5_disconnect_says_why(bench: Bench) -> str:
    """Two of a name."""
    first = bench.client(version=V5)
    bench.client(version=V5)
    told = first.disconnect_code
    return "the connection ends without a word" if told is None else f"DISCONNECT 0x{told:02x}"


@trial(protocol_levels=BOTH)
def topic_alias_maximum(bench: Bench) -> str:
    """The highest alias, and one above."""
    def taken(alias: int) -> bool:
        return bench.client(version=V5).publish("a", b"", properties={Property.TOPIC_ALIAS: alias})
    most = bench.profile.topic_alias_maximum
    return (f"CONNACK says {_connack(bench, Property.TOPIC_ALIAS_MAXIMUM)}; alias {most}: {_word(taken(most))}, "
            f"{most + 1}: {_word(taken(most + 1))}")


@trial(protocol_levels=BOTH)
def user_property_bytes(bench: Bench) -> str:
    """One as long as allowed, and a longer one."""
    return _boundary(bench, bench.profile.user_property_bytes, "bytes of user properties", lambda client, size:
                     client.publish("a", b"", properties={Property.USER_PROPERTY: [("n", "x" * (size - 1))]}), V5)


# limits ------------------------------------------------------------------------------------------------------------
@trial(rate_limits_enforced=False)
def payload_bytes(bench: Bench) -> str:
    """As long as allowed, and longer."""
    return _boundary(bench, bench.profile.payload_bytes, "bytes of payload",
                     lambda client, size: client.publish("a", bytes(size)))


@trial()
def topic_bytes(bench: Bench) -> str:
    """Likewise."""
    return _boundary(bench, bench.profile.topic_bytes, "bytes of a topic",
                     lambda client, size: client.publish("x" * size, b""))


@trial()
def topic_slashes(bench: Bench) -> str:
    """Likewise."""
    return _boundary(bench, bench.profile.topic_slashes, "slashes of a topic",
                     lambda client, count: client.publish("/".join("x" * (count + 1)), b""))


@trial(subscriptions_per_connection=10_000)
def filters_per_subscribe(bench: Bench) -> str:
    """Likewise."""
    return _boundary(bench, bench.profile.filters_per_subscribe, "filters of a SUBSCRIBE",
                     lambda client, count: client.subscribe(*(f"f{number}" for number in range(count))))


@trial()
def subscriptions_per_connection(bench: Bench) -> str:
    """Likewise."""
    return _boundary(bench, bench.profile.subscriptions_per_connection, "subscriptions",
                     lambda client, count: all(client.connected and client.subscribe(f"f{number}")
                                               for number in range(count)))


@trial(publishes_per_second=100)
def rate_limits_enforced(bench: Bench) -> str:
    """150 messages at once."""
    return _burst(bench, 150, 1)


@trial(rate_limits_enforced=True, bytes_per_second=1 << 40)
def publishes_per_second(bench: Bench) -> str:
    """As many as allowed and one more, at once."""
    return _burst(bench, bench.beyond(bench.profile.publishes_per_second), 1)


@trial(rate_limits_enforced=True, publishes_per_second=1 << 20, payload_bytes=131072)
def bytes_per_second(bench: Bench) -> str:
    """Messages of 10,000 bytes at once."""
    return _burst(bench, bench.beyond(bench.profile.bytes_per_second // 10_000), 10_000)


@trial(rate_limits_enforced=True, connects_per_second=10_000)
def connects_per_second_per_client(bench: Bench) -> str:
    """One client id, as often as allowed and once more."""
    count = bench.beyond(bench.profile.connects_per_second_per_client, 40)
    return f"{sum(bench.client().connected for _ in range(count))} of {count} CONNECTs of a client id within a second"


@trial(rate_limits_enforced=True)
def connects_per_second(bench: Bench) -> str:
    """As many client ids; the processor's counts."""
    count = bench.beyond(bench.profile.connects_per_second, 40)
    came = sum(bench.client(f"c{number}").connected for number in range(count))
    return f"{came} of {count} CONNECTs of an account within a second"


# inside ------------------------------------------------------------------------------------------------------------
def _burst(bench: Bench, count: int, size: int) -> str:
    reader = bench.client("reader", OTHER)
    reader.subscribe("a")
    writer = bench.client()
    for _ in range(count):
        writer.publish("a", bytes(size), 0)
    return f"{len(reader.messages)} of {count} messages of {size} bytes within a second"


def _boundary(bench: Bench, limit: int, what: str, act: Callable[[MqttClient, int], bool], version: int = 4) -> str:
    """Who goes too far is hung up on, so there is a client for each side."""
    words = [f"{size}: {_word(act(bench.client(f'c{size}', version=version), size))}" for size in (limit, limit + 1)]
    return f"{what}, {', '.join(words)}"


def _published(raw: Raw) -> list[Publish]:
    raw.read()
    return [each for each in raw.packets if isinstance(each, Publish)]


def _connack(bench: Bench, name: Property) -> object:
    first, *_ = bench.raw("asker", version=V5).packets
    assert isinstance(first, Connack)
    return first.properties.get(name)


def _code(packet: Packet) -> int:
    if isinstance(packet, Suback | Unsuback):
        return packet.codes[0]
    return packet.code if isinstance(packet, Puback | Disconnect | Connack) else 0


def _word(taken: bool) -> str:
    return "taken" if taken else "refused"
