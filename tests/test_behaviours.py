# SPDX-License-Identifier: Apache-2.0
"""Every behaviour of a profile has a test, and switching it changes what happens; the table in docs/ is up to date."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from offchip.broker import events
from offchip.broker.behaviours import table
from offchip.broker.events import DisconnectReason
from offchip.broker.profile import Profile, load_profile, named_profile, profile_names
from offchip.broker.registry import Registry
from offchip.broker.session import Message
from offchip.broker.world import WIDE
from offchip.errors import BrokerError
from offchip.mqtt import V5, Property
from offchip.pki import EXPIRED
from offchip.trials import TRIALS, try_behaviour
from tests.broker_lab import OWN, THING, Lab

ROOT = Path(__file__).resolve().parent.parent
#: behaviour -> what is seen of it; another value, and what is seen then
SEEN = tomllib.loads((ROOT / "tests/behaviours.toml").read_text())
NOT_MODELLED = {"device_defender", "file_delivery", "commands", "device_location"}


def changed(**values: object) -> Profile:
    return load_profile().with_changes(**values)


@pytest.mark.parametrize("profile", profile_names())
def test_every_behaviour_names_a_test_that_exists(profile: str) -> None:
    evidence = load_profile(profile).evidence
    assert len(evidence) >= 60
    for behaviour, each in evidence.items():
        module, _, name = each.test.partition("::")
        path = ROOT / module
        assert path.is_file(), f"{behaviour}: {module}"
        assert hasattr(importlib.import_module(f"tests.{path.stem}"), name), f"{behaviour}: {each.test}"


def test_the_table_in_docs_is_up_to_date() -> None:
    """Otherwise: python -m offchip.broker.behaviours > docs/broker-behaviours.md"""
    assert (ROOT / "docs/broker-behaviours.md").read_text() == table()


def test_a_profile_extends_another_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "aws-2018"\n[jobs]\nvalue = true\nsource = ""\ndate = "2026"\nconfidence = "assumed"\n'
                    'test = "none"\n')
    mine = load_profile(path)
    assert mine.name == "mine" and mine.jobs and mine.tls_versions == ("TLSv1.2",) and mine.shadows
    for other in ("mine", "aws-1999", 7):
        path.write_text(f"extends = {json.dumps(other)}\n")
        with pytest.raises(BrokerError, match="extends must name one of aws-2018, aws-2026"):
            load_profile(path)


def mine(folder: Path, **values: object) -> Path:
    """A profile file of one's own."""
    path = folder / "x.toml"
    path.write_text('extends = "aws-2026"\n' + "".join(
        f'[{name}]\nvalue = {json.dumps(value)}\nsource = ""\ndate = "2026"\nconfidence = "assumed"\ntest = "none"\n'
        for name, value in values.items()))
    return path


# every one of them, at the wire ------------------------------------------------------------------------------------
def test_every_behaviour_is_tried() -> None:
    assert set(TRIALS) == set(SEEN) == set(load_profile().evidence)
    assert {each for each, seen in SEEN.items() if "other" not in seen} == NOT_MODELLED


@pytest.mark.parametrize("behaviour", SEEN)
def test_a_behaviour_is_seen_and_another_one_when_it_is_switched(behaviour: str, tmp_path: Path) -> None:
    """Whoever changes a value in aws-2026.toml sees this fail; whoever switches it in a file of his own, the other."""
    wanted = SEEN[behaviour]
    assert try_behaviour(behaviour, load_profile()) == wanted["seen"]
    if "other" in wanted:
        switched = named_profile(str(mine(tmp_path, **{behaviour: wanted["other"]})))
        assert try_behaviour(behaviour, switched) == wanted["then"] != wanted["seen"]


@pytest.mark.parametrize("behaviour", SEEN)
def test_each_can_be_tried_whatever_the_others_are(behaviour: str) -> None:
    """Under aws-2018, which has neither MQTT 5 nor retained messages nor provisioning."""
    assert try_behaviour(behaviour, load_profile("aws-2018"))


@pytest.mark.parametrize("behaviour", sorted(NOT_MODELLED))
def test_what_is_not_modelled_cannot_be_switched_on(behaviour: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=rf"x.toml: \[{behaviour}\] cannot be true: nobody answers there"):
        load_profile(mine(tmp_path, **{behaviour: True}))
    with pytest.raises(BrokerError, match="cannot be true"):
        changed(**{behaviour: True})


def test_the_command_says_where_it_comes_from_and_what_it_does(tmp_path: Path) -> None:
    def said(*arguments: object) -> tuple[int, str]:
        done = subprocess.run([sys.executable, "-m", "offchip", "behaviours", *map(str, arguments)], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, text = said("--profile", mine(tmp_path, retry_seconds=3, retained_maximum=400))
    assert code == 1 and "assumed, 2026: our own" in text and "comes again after 3 s" in text
    assert "in aws-2026, 10: a message without PUBACK comes again after 10 s\n" in text
    assert text.count("NO DIFFERENCE") == 1 and "2 differ from aws-2026, 1 of them were seen to." in text
    code, text = said("--profile", mine(tmp_path, topic_bytes=3))  # so short that nobody can work with it
    assert code == 1 and "topic_bytes cannot be tried under x: the data processor may not subscribe" in text
    code, text = said("topic_slashes")
    assert code == 0 and "documented, 2023: https://docs.aws" in text and "7: taken, 8: refused" in text
    assert said("nonsense") == (2, "error: there is no behaviour 'nonsense'; offchip behaviours lists them all\n")


# switches without a test elsewhere ---------------------------------------------------------------------------------
def test_deactivation_delay_seconds() -> None:
    lab = Lab(profile=changed(deactivation_delay_seconds=120))
    device = lab.client()
    lab.world.registry.update_certificate(lab.world.devices[THING].certificate_id, "INACTIVE")
    lab.clock.advance(119)
    assert (lab.broker.tick() - lab.clock.now).total_seconds() <= 1
    assert device.connected and device.publish(OWN, b"x")
    lab.clock.advance(1)
    lab.broker.tick()
    assert not device.connected and lab.reasons() == [DisconnectReason.AUTH_ERROR]


def test_certificate_validity_checked() -> None:
    for checked, let_in in ((True, False), (False, True)):
        lab = Lab(profile=changed(certificate_validity_checked=checked))
        old = lab.world.authority.issue_device("old", *EXPIRED)
        identifier = lab.world.registry.register_certificate(old)
        lab.world.registry.create_thing("old")
        lab.world.registry.attach_thing(identifier, "old")
        lab.world.registry.attach_policy(identifier, "narrow")
        assert lab.client("old", identity=old).connected is let_in


def test_quotas_of_policies() -> None:
    registry = Registry(profile=changed(policies_per_certificate=2, policy_versions=2, policy_characters=150))
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}
    identifier = registry.register_certificate(Lab().world.devices[THING])
    for name in "abc":
        registry.create_policy(name, document)
    registry.attach_policy(identifier, "a")
    registry.attach_policy(identifier, "b")
    with pytest.raises(BrokerError, match="AWS allows 2 policies"):
        registry.attach_policy(identifier, "c")
    registry.create_policy_version("a", document)
    with pytest.raises(BrokerError, match="AWS allows 2 versions"):
        registry.create_policy_version("a", document)
    with pytest.raises(BrokerError, match="AWS allows 150"):
        registry.create_policy("long", {**document, "Id": "x" * 150})


def test_receive_asked_on_delivery() -> None:
    """Before, a message in flight came again whoever had the client id."""
    for asked, resent in ((True, 0), (False, 1)):
        lab = Lab(policy=WIDE, profile=changed(receive_asked_on_delivery=asked))
        device = lab.client(clean=False)
        device.subscribe("a")
        lab.broker.sessions[THING].link.deliver = lambda *_: True  # type: ignore[union-attr, method-assign]
        lab.broker.publish("a", b"x", 1)
        device.drop()
        lab.world.registry.update_policy(WIDE, {"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}})
        assert len(lab.client(clean=False).messages) == resent


@pytest.mark.parametrize(("takes_over", "first", "second"), [(True, False, True), (False, True, False)])
def test_duplicate_client_id_takes_over(takes_over: bool, first: bool, second: bool) -> None:
    lab = Lab(profile=changed(duplicate_client_id_takes_over=takes_over))
    one, two = lab.client(), lab.client()
    assert (one.connected, two.connected) == (first, second)


def test_forbidden_acts_that_do_not_close() -> None:
    lab = Lab(profile=changed(forbidden_publish_closes=False, forbidden_subscribe_closes=False))
    device = lab.client()
    assert device.publish("offchip/secret", b"x") and device.subscribe("offchip/secret") and device.connected
    assert device.granted == {"offchip/secret": 0x80}
    assert events.PublishForbidden(THING, "offchip/secret", "iot:Publish") in lab.broker.events


def test_lifecycle_events_can_be_silent_or_old() -> None:
    for values, told in ((({}), ["connected", "disconnected"]), ({"lifecycle_events": False}, [])):
        lab = Lab(policy=WIDE, profile=changed(**values))
        watcher = lab.client("watcher", "thing-2")
        watcher.subscribe("$aws/events/presence/#")
        lab.client().disconnect()
        contents = [json.loads(each.payload) for each in watcher.messages]
        assert [each["eventType"] for each in contents] == told
    old = Lab(policy=WIDE, profile="aws-2018")
    watcher = old.client("watcher", "thing-2")
    watcher.subscribe("$aws/events/presence/#")
    old.client().disconnect()
    assert "disconnectReason" not in json.loads(watcher.messages[-1].payload)


def test_keep_alive_percent() -> None:
    lab = Lab(profile=changed(keep_alive_percent=100))
    device = lab.client(keep_alive=60)
    lab.clock.advance(60.001)
    lab.broker.tick()
    assert not device.connected


def test_resend_sets_duplicate_and_retry_seconds() -> None:
    lab = Lab(policy=WIDE, profile=changed(resend_sets_duplicate=True, retry_seconds=3))
    device = lab.client()
    device.subscribe("a")
    lab.broker.sessions[THING].link.deliver = lambda *_: True  # type: ignore[union-attr, method-assign]
    lab.broker.publish("a", b"x", 1)
    del lab.broker.sessions[THING].link.deliver  # type: ignore[union-attr]
    lab.clock.advance(3)
    lab.broker.tick()
    assert [each.duplicate for each in device.packets if isinstance(each, type(device.packets[-1]))
            and hasattr(each, "duplicate")] == [True]


def test_retained_on_wildcard() -> None:
    for value, count in ((True, 1), (False, 0)):
        lab = Lab(policy=WIDE, profile=changed(retained_on_wildcard=value))
        lab.broker.publish("a/b", b"x", 1, retain=True)
        device = lab.client()
        device.subscribe("a/+")
        assert len(device.messages) == count


def test_multilevel_wildcard_matches_parent() -> None:
    for value, count in ((True, 1), (False, 0)):
        lab = Lab(policy=WIDE, profile=changed(multilevel_wildcard_matches_parent=value))
        device = lab.client()
        device.subscribe("sensor/#")
        assert lab.broker.publish("sensor", b"x") == count


def test_mqtt5_switches() -> None:
    lab = Lab(policy=WIDE, profile=changed(mqtt5_qos2_disconnects=False, subscription_identifiers=True,
                                           topic_alias_maximum=2, unacknowledged_inbound=5, user_property_bytes=4))
    device = lab.client(version=V5)
    connack = device.packets[0].properties  # type: ignore[union-attr]
    assert (connack[Property.TOPIC_ALIAS_MAXIMUM], connack[Property.RECEIVE_MAXIMUM]) == (2, 5)
    device.publish("a", b"", qos=2)
    assert device.connected and device.subscribe("a", properties={Property.SUBSCRIPTION_IDENTIFIER: [1]})
    assert device.subscribe("+", properties={Property.SUBSCRIPTION_IDENTIFIER: [300]})
    lab.broker.publish("a", b"x", 1)
    assert sorted(device.messages[-1].properties[Property.SUBSCRIPTION_IDENTIFIER]) == [1, 300]
    device.publish("a", b"", properties={Property.TOPIC_ALIAS: 3})
    assert device.disconnect_code == 0x94
    device = lab.client(version=V5)
    device.publish("a", b"", properties={Property.CONTENT_TYPE: "12345"})
    assert device.disconnect_code == 0x97


def test_mqtt5_nobody_there_codes() -> None:
    for says, codes in ((False, (0, 0)), (True, (0x10, 0x11))):
        device = Lab(policy=WIDE, profile=changed(mqtt5_nobody_there_codes=says)).client(version=V5)
        device.publish("nobody/listens", b"", 1)
        puback = device.packets[-1].code  # type: ignore[union-attr]
        assert device.unsubscribe("never")
        assert (puback, device.packets[-1].codes[0]) == codes  # type: ignore[union-attr]


def test_small_limits() -> None:
    limits = {"client_id_bytes": (7, None), "topic_bytes": (3, lambda c: c.publish("1234", b"")),
              "topic_slashes": (1, lambda c: c.publish("1/2/3", b"")), "payload_bytes": (9, lambda c:
              c.publish("t", bytes(10))), "filters_per_subscribe": (1, lambda c: c.subscribe("a", "b")),
              "subscriptions_per_connection": (1, lambda c: c.subscribe("a") and c.subscribe("b"))}
    for name, (value, act) in limits.items():
        lab = Lab(policy=WIDE)
        assert act is None or act(lab.client()), name
        # the processor's own subscriptions are longer: only what comes after it is limited
        profile = lab.broker.profile.with_changes(**{name: value})
        object.__setattr__(lab.broker.hub, "profile", profile)
        client = lab.client("longer-id", "thing-2") if act is None else lab.client()
        assert (client.connack == 2) if act is None else not act(client), name


def test_connects_per_second() -> None:
    lab = Lab(policy=WIDE, profile=changed(rate_limits_enforced=True, connects_per_second=3))
    clients = [lab.client(f"c{number}") for number in range(4)]  # the processor was the first
    assert [each.connack for each in clients] == [0, 0, 3, 3]


def test_alpn_protocols() -> None:
    lab = Lab(profile=changed(alpn_protocols=("mqtt",)))
    from tests.broker_lab import Raw

    assert Raw(lab, alpn=["mqtt"]).tls._tls.selected_alpn_protocol() == "mqtt"


def test_services_can_be_off() -> None:
    lab = Lab(policy=WIDE, profile=changed(shadows=False, fleet_provisioning=False, basic_ingest=False,
                                                jobs=False))
    device = lab.client()
    for topic in ("$aws/things/thing-1/shadow/get", "$aws/certificates/create/json", "$aws/rules/r/t",
                  "$aws/things/thing-1/jobs/get"):
        assert device.publish(topic, b"{}"), topic
    assert len(lab.new(events.NotModelled)) == 4 and not lab.new(events.RuleInvoked)


def test_session_expiry_seconds() -> None:
    lab = Lab(policy=WIDE, profile=changed(session_expiry_seconds=10))
    lab.client(clean=False, will=Message("w", b"")).disconnect()
    lab.clock.advance(10)
    lab.broker.tick()
    assert THING not in lab.broker.sessions


def test_retained_expiry_seconds() -> None:
    lab = Lab(policy=WIDE, profile=changed(retained_expiry_seconds=5))
    lab.broker.publish("a", b"x", 1, retain=True)
    lab.clock.advance(5)
    lab.broker.tick()
    assert not lab.broker.retained
