# SPDX-License-Identifier: Apache-2.0
"""The policy engine against a table of requests, and the registry around it."""

from __future__ import annotations

import json
from datetime import datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from offchip.broker import events
from offchip.broker.conditions import OPERATORS
from offchip.broker.names import check_name, find_name
from offchip.broker.policy import Policy, Request, decide
from offchip.broker.registry import Registry, Status
from offchip.broker.topics import matches
from offchip.broker.variables import certificate_variables
from offchip.broker.world import WIDE
from offchip.errors import BrokerError
from offchip.pki import Authority
from tests.broker_lab import Lab

ARN = "arn:aws:iot:us-east-1:123456789012:"
ATTACHED = {"iot:ClientId": "thing-1", "iot:Connection.Thing.ThingName": "thing-1",
            "iot:Connection.Thing.IsAttached": True, "aws:SourceIp": "10.0.0.7",
            "iot:Certificate.Subject.CommonName": "thing-1"}
NOW = {"aws:CurrentTime": "2026-06-01T00:00:00+00:00", "aws:EpochTime": "1780272000"}
STRANGER = {"iot:ClientId": "thing-1", "iot:Connection.Thing.IsAttached": False, "aws:SourceIp": "192.0.2.1"}


def statement(effect: str, action: str, resource: str, condition: dict | None = None) -> dict:
    content = {"Effect": effect, "Action": action, "Resource": resource}
    return content if condition is None else content | {"Condition": condition}


def policy(*statements: dict, name: str = "p") -> Policy:
    return Policy.parse(name, {"Version": "2012-10-17", "Statement": list(statements)})


def allow(resource: str, action: str = "iot:Publish", condition: dict | None = None) -> Policy:
    return policy(statement("Allow", action, resource, condition))


@pytest.mark.parametrize(("resource", "asked", "context", "allowed"), [
    ("topic/a/b", "topic/a/b", {}, True),
    ("topic/a/b", "topic/a/B", {}, False),
    ("topic/a", "topicfilter/a", {}, False),
    ("topic/*", "topic/a/b/c", {}, True),                       # * crosses topic levels
    ("topic/a/*/c", "topic/a/x/y/c", {}, True),
    ("topic/a?c", "topic/abc", {}, True),
    ("topic/a?c", "topic/ac", {}, False),
    ("topic/a?c", "topic/a/c", {}, True),                       # so does ?
    ("topicfilter/a/+", "topicfilter/a/+", {}, True),           # + and # are plain characters
    ("topicfilter/a/+", "topicfilter/a/b", {}, False),
    ("topicfilter/a/#", "topicfilter/a/b", {}, False),
    ("topicfilter/a/*", "topicfilter/a/#", {}, True),
    ("topic/${iot:ClientId}", "topic/thing-1", ATTACHED, True),
    ("topic/${iot:ClientId}", "topic/thing-2", ATTACHED, False),
    ("topic/${iot:Connection.Thing.ThingName}", "topic/thing-1", ATTACHED, True),
    ("topic/${iot:Connection.Thing.ThingName}", "topic/thing-1", STRANGER, False),   # no value: no match
    ("topic/${iot:Connection.Thing.ThingName}", "topic/", STRANGER, False),
    ("topic/${iot:Certificate.Subject.CommonName}/x", "topic/thing-1/x", ATTACHED, True),
    ("topic/${iot:Connection.Thing.IsAttached}", "topic/true", ATTACHED, True),
    ("topic/${aws:SourceIp}", "topic/10.0.0.7", ATTACHED, True),
    ("topic/${no:Such}", "topic/${no:Such}", ATTACHED, False),
    ("topic/${*}", "topic/*", {}, True),
    ("topic/${*}", "topic/x", {}, False),
    ("topic/${iot:ClientId}", "topic/anything", {"iot:ClientId": "*"}, False),       # what a variable brings is plain
])
def test_resources(resource: str, asked: str, context: dict, allowed: bool) -> None:
    assert decide([allow(ARN + resource)], Request("iot:Publish", ARN + asked, context)).allowed is allowed


@pytest.mark.parametrize(("action", "asked", "allowed"), [
    ("iot:Publish", "iot:Publish", True), ("iot:publish", "iot:Publish", True), ("iot:*", "iot:Receive", True),
    ("*", "iot:Connect", True), ("iot:Pub*", "iot:Subscribe", False), ("iot:Publish", "iot:RetainPublish", False),
])
def test_actions(action: str, asked: str, allowed: bool) -> None:
    assert decide([allow("*", action)], Request(asked, ARN + "topic/a", {})).allowed is allowed


def test_client_id_plus_opens_a_filter_unless_connect_is_restricted() -> None:
    """The trap AWS documents: in a filter made from the client id, a client named + reads everybody's topics."""
    subscribe = statement("Allow", "iot:Subscribe", ARN + "topicfilter/my/${iot:ClientId}/topic")
    plus = {"iot:ClientId": "+"}
    request = Request("iot:Subscribe", ARN + "topicfilter/my/+/topic", plus)
    careless = policy(subscribe, statement("Allow", "iot:Connect", ARN + "client/*"))
    assert decide([careless], request).allowed
    assert matches("my/+/topic", "my/somebody-else/topic", False)
    careful = policy(subscribe, statement("Allow", "iot:Connect", ARN + "client/${iot:Connection.Thing.ThingName}"))
    assert not decide([careful], Request("iot:Connect", ARN + "client/+", plus)).allowed


def test_deny_wins_in_any_order_and_over_policies() -> None:
    deny, yes = statement("Deny", "iot:*", ARN + "topic/secret/*"), statement("Allow", "iot:*", "*")
    request = Request("iot:Publish", ARN + "topic/secret/x", {})
    for policies in ([policy(deny, yes)], [policy(yes, deny)], [policy(yes), policy(deny, name="q")]):
        assert not decide(policies, request).allowed
    assert decide([policy(yes, deny)], Request("iot:Publish", ARN + "topic/open", {})).allowed
    assert not decide([], request).allowed
    assert "q[0]" in decide([policy(yes), policy(deny, name="q")], request).reason


@pytest.mark.parametrize(("condition", "context", "holds"), [
    ({"Bool": {"iot:Connection.Thing.IsAttached": "true"}}, ATTACHED, True),
    ({"Bool": {"iot:Connection.Thing.IsAttached": [True]}}, ATTACHED, True),
    ({"Bool": {"iot:Connection.Thing.IsAttached": "yes"}}, ATTACHED, None),
    ({"Bool": {"iot:Connection.Thing.IsAttached": True}}, STRANGER, False),
    ({"StringEquals": {"iot:ClientId": ["x", "thing-1"]}}, ATTACHED, True),
    ({"StringEquals": {"iot:ClientId": "thing-?"}}, ATTACHED, False),
    ({"StringLike": {"iot:ClientId": "thing-?"}}, ATTACHED, True),
    ({"StringNotEquals": {"iot:ClientId": ["x", "thing-1"]}}, ATTACHED, False),
    ({"StringNotEquals": {"iot:ClientId": "x"}}, {}, True),
    ({"StringEquals": {"iot:ClientId": "x"}}, {}, False),
    ({"StringEqualsIfExists": {"iot:ClientId": "x"}}, {}, True),
    ({"StringEqualsIgnoreCase": {"iot:ClientId": "THING-1"}}, ATTACHED, True),
    ({"StringEquals": {"iot:ClientId": "${iot:Certificate.Subject.CommonName}"}}, ATTACHED, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, ATTACHED, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, STRANGER, False),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, STRANGER, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:SourceIp": "device"}, False),
    ({"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}, {"iot:ConnectAttributes": []}, True),
    ({"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}},
     {"iot:ConnectAttributes": ["LastWill", "PersistentConnect"]}, False),
    ({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}},
     {"iot:ConnectAttributes": ["LastWill", "PersistentConnect"]}, True),
    ({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}, {"iot:ConnectAttributes": []}, False),
    ({"ArnLike": {"iot:LastWillTopic": ARN + "topic/will/*"}}, {"iot:LastWillTopic": ARN + "topic/will/x"}, True),
    ({"Null": {"iot:LastWillTopic": "true"}}, {}, True),
    ({"Null": {"iot:LastWillTopic": "true"}}, {"iot:LastWillTopic": "x"}, False),
    ({"StringEquals": {"iot:ClientId": "thing-1"}, "IpAddress": {"aws:SourceIp": "172.16.0.0/12"}}, ATTACHED, False),
    # a list without members is no value: nothing positive holds of it
    ({"StringEquals": {"iot:ConnectAttributes": "LastWill"}}, {"iot:ConnectAttributes": []}, False),
    ({"Null": {"iot:ConnectAttributes": True}}, {"iot:ConnectAttributes": []}, True),
    ({"ForAnyValue:StringNotEquals": {"iot:ConnectAttributes": "LastWill"}}, {}, False),
    ({"ForAllValues:StringNotEquals": {"iot:ConnectAttributes": "LastWill"}}, {}, True),
    ({"Null": {"iot:LastWillTopic": "perhaps"}}, {}, None),
    ({"NullIfExists": {"iot:LastWillTopic": "true"}}, {}, None),
    ({"ForSomeValues:StringEquals": {"iot:ClientId": "x"}}, {}, None),
    ({"StringMatches": {"iot:ClientId": "x"}}, {}, None),
    ({"StringEquals": {"iot:ClientID2": "x"}}, {}, None),
    ({"StringEquals": {"iot:ClientId": {"x": 1}}}, {}, None),
    ({"StringEquals": {"iot:ClientId": None}}, {}, None),
    ({"STRINGequals": {"iot:ClientId": "x"}}, {}, None),
    # numbers, dates, bytes
    ({"NumericLessThan": {"aws:EpochTime": 1780272001}}, NOW, True),
    ({"NumericLessThan": {"aws:EpochTime": 1780272000}}, NOW, False),
    ({"NumericLessThanEquals": {"aws:EpochTime": ["1", "1780272000"]}}, NOW, True),
    ({"NumericGreaterThan": {"aws:epochtime": "1.5e3"}}, NOW, True),
    ({"NumericEquals": {"aws:EpochTime": "+1780272000.0"}}, NOW, True),
    ({"NumericNotEquals": {"aws:EpochTime": 7}}, NOW, True),
    ({"NumericNotEquals": {"aws:EpochTime": 7}}, {}, True),
    ({"NumericEquals": {"aws:EpochTime": 7}}, {"aws:EpochTime": "seven"}, False),
    ({"NumericEquals": {"aws:EpochTime": "seven"}}, NOW, None),
    ({"NumericEquals": {"aws:EpochTime": "nan"}}, NOW, None),
    ({"DateGreaterThan": {"aws:CurrentTime": "2026-05-31T23:59:59Z"}}, NOW, True),
    ({"DateLessThan": {"aws:CurrentTime": "2026-06-01T02:00:00+02:00"}}, NOW, False),
    ({"DateEquals": {"aws:CurrentTime": "2026-06-01T02:00:00+02:00"}}, NOW, True),
    ({"DateLessThanEquals": {"aws:CurrentTime": "2026-06-01"}}, NOW, True),
    ({"DateGreaterThanEquals": {"aws:EpochTime": "2026-06-02"}}, NOW, False),
    ({"DateNotEquals": {"aws:EpochTime": "2026-06-02"}}, NOW, True),
    ({"DateGreaterThanIfExists": {"aws:CurrentTime": "2030-01-01"}}, {}, True),
    ({"DateGreaterThan": {"aws:CurrentTime": "tomorrow"}}, NOW, None),
    ({"BinaryEquals": {"iot:ClientId": "dGhpbmc="}}, {"iot:ClientId": "dGhpbmc="}, True),
    ({"BinaryEquals": {"iot:ClientId": "%"}}, {}, None),
    ({"IpAddress": {"aws:SourceIp": ["2001:db8::/32", "10.0.0.7"]}}, ATTACHED, True),
    ({"IpAddress": {"aws:SourceIp": "2001:DB8::/32"}}, {"aws:SourceIp": "2001:db8::1"}, True),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, True),
    ({"StringNotEqualsIgnoreCase": {"iot:ClientId": "THING-1"}}, ATTACHED, False),
    ({"StringNotLike": {"iot:ClientId": "thing-*"}}, ATTACHED, False),
    # each operator on either side of what it says, and on its edge
    *(({family + operator: {key: text}}, {key: given}, holds) for family, key, lower, text, higher in (
        ("Numeric", "aws:MultiFactorAuthAge", "9", "10", "11"),
        ("Date", "aws:CurrentTime", "2026-05-31T23:59:59Z", "2026-06-01T00:00:00Z", "2026-06-01T00:00:01Z"))
      for operator, answers in (("Equals", "-+-"), ("NotEquals", "+-+"), ("LessThan", "+--"), ("LessThanEquals", "++-"),
                                ("GreaterThan", "--+"), ("GreaterThanEquals", "-++"))
      for given, holds in zip((lower, text, higher), (each == "+" for each in answers), strict=True)),
    *(({operator: {"iot:ClientId": wanted}}, ATTACHED, holds) for operator, wanted, holds in (
        ("StringLike", "thing-??", False), ("StringNotLike", "thing-??", True), ("StringLike", "Thing-?", False),
        ("StringEqualsIgnoreCase", "THING", False), ("StringNotEqualsIgnoreCase", "THING", True),
        ("BinaryEquals", "dGhpbmctMg==", False))),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, ATTACHED, False),
    ({"ArnNotEquals": {"iot:LastWillTopic": ARN + "topic/*"}}, {"iot:LastWillTopic": ARN + "topic/a"}, False),
    ({"ArnNotLike": {"iot:LastWillTopic": ARN + "topic/*"}}, {"iot:LastWillTopic": ARN + "topic/a"}, False),
    # each part of an ARN by itself
    ({"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/will/*"}}, {"iot:LastWillTopic": ARN + "topic/will/x"},
     True),
    ({"ArnEquals": {"iot:LastWillTopic": "arn:*/x"}}, {"iot:LastWillTopic": ARN + "topic/will/x"}, False),
    ({"ArnLike": {"iot:LastWillTopic": "arn:*/x"}}, {"iot:LastWillTopic": ARN + "topic/will/x"}, False),
    ({"ArnNotEquals": {"iot:LastWillTopic": "arn:*/x"}}, {"iot:LastWillTopic": ARN + "topic/will/x"}, True),
    ({"ArnNotLike": {"iot:LastWillTopic": "arn:*/x"}}, {"iot:LastWillTopic": ARN + "topic/will/x"}, True),
    ({"ArnNotLike": {"iot:LastWillTopic": ARN + "topic/will/*"}}, {"iot:LastWillTopic": ARN + "topic/a:b"}, True),
    # a default where there is no value
    ({"StringEquals": {"iot:ClientId": "${aws:UserName, 'thing-1'}"}}, ATTACHED, True),
])
def test_conditions(condition: dict, context: dict, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(BrokerError):
            allow("*", condition=condition)
    else:
        request = Request("iot:Publish", ARN + "topic/a", context)
        assert decide([allow("*", condition=condition)], request).allowed is holds


def test_every_operator_is_seen_to_hold_and_not_to() -> None:
    cases = test_conditions.pytestmark[0].args[1]  # type: ignore[attr-defined]
    seen = {(name.rpartition(":")[2], holds) for condition, _, holds in cases for name in condition
            if len(condition) == 1}
    assert {(name, holds) for name in OPERATORS for holds in (True, False)} <= seen


GOOD = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}


@pytest.mark.parametrize(("document", "part"), [
    ("{", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "no JSON object"),
    ({"Version": "2008-10-17", "Statement": GOOD}, "Version"),
    ({"Version": "2012-10-17"}, "Statement"), ({"Version": "2012-10-17", "Statement": []}, "Statement"),
    ({"Version": "2012-10-17", "Statement": GOOD, "Extra": 1}, "Extra"),
    ({"Version": "2012-10-17", "Statement": ["x"]}, "statement 0"),
    ({"Version": "2012-10-17", "Statement": [GOOD, GOOD | {"Effect": "allow"}]}, "statement 1: Effect"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Action": []}}, "statement 0: Action"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Action": "Connect"}}, "statement 0: Action 'Connect'"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Resource": 7}}, "statement 0: Resource"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Resource": "topic/a"}}, "statement 0: Resource 'topic/a'"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Resource": "arn:x${iot:ClientId"}}, "statement 0: Resource"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"NotAction": "x"}}, "statement 0: unknown field 'NotAction'"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Condition": {"Equals": {}}}}, "operator 'Equals'"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Condition": {"Bool": "x"}}}, "Condition Bool"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Condition": {"IpAddress": {"aws:SourceIp": "x"}}}}, "no IP"),
    ({"Version": "2012-10-17", "Statement": GOOD | {"Resource": "arn:" + "x" * 2048}}, "2048"),
    ('{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Effect": "Allow"}}', "'Effect' occurs twice"),
])
def test_malformed_policies_name_the_culprit(document: object, part: str) -> None:
    with pytest.raises(BrokerError) as refusal:
        Policy.parse("mine", document)  # type: ignore[arg-type]
    assert "policy 'mine'" in str(refusal.value) and part in str(refusal.value) and "\n" not in str(refusal.value)


@given(st.text("ab*?/", max_size=12), st.text("ab/", max_size=12))
def test_wildcards_agree_with_the_definition(pattern: str, text: str) -> None:
    def match(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return match(p[1:], t) or bool(t) and match(p, t[1:])
        return bool(t) and p[0] in ("?", t[0]) and match(p[1:], t[1:])

    found = decide([allow("arn:" + pattern)], Request("iot:Publish", "arn:" + text, {})).allowed
    assert found is match(pattern, text)


# registry ----------------------------------------------------------------------------------------------------------
def test_update_certificate_rules() -> None:
    registry, told = Registry(), []
    identifier = registry.register_certificate(Authority(1).issue_device("a"))
    registry.on_status.append(told.append)
    for status in (Status.INACTIVE, Status.INACTIVE, Status.REVOKED, Status.REGISTER_INACTIVE, Status.ACTIVE):
        registry.update_certificate(identifier, status)
    assert len(told) == 4  # idempotent: the same status again is no change
    for status in ("PENDING_TRANSFER", "PENDING_ACTIVATION", "active"):
        with pytest.raises(BrokerError):
            registry.update_certificate(identifier, status)
    assert registry.certificate(identifier).status is Status.ACTIVE


def test_thing_variables_need_client_id_and_attachment() -> None:
    registry = Registry()
    registry.create_thing("thing-1", "sensor", {"site": "north"})
    registry.create_thing("thing-2")
    identifier = registry.register_certificate(Authority(1).issue_device("thing-1"))
    assert "iot:Connection.Thing.ThingName" not in registry.context(identifier, "thing-1")
    registry.attach_thing(identifier, "thing-1")
    context = registry.context(identifier, "thing-1")
    assert context["iot:Connection.Thing.ThingName"] == "thing-1"
    assert context["iot:Connection.Thing.ThingTypeName"] == "sensor"
    assert context["iot:Connection.Thing.Attributes[site]"] == "north"
    assert context["iot:Certificate.Subject.CommonName"] == "thing-1"
    assert context["iot:Certificate.Issuer.CommonName"] == "offchip root CA"
    assert registry.context(identifier, "thing-2")["iot:Connection.Thing.IsAttached"] is False


def test_registry_refuses_nonsense() -> None:
    registry = Registry()
    identity = Authority(1).issue_device("a")
    identifier = registry.register_certificate(identity)
    for number in range(10):
        registry.create_policy(f"p{number}", {"Version": "2012-10-17", "Statement": GOOD})
        registry.attach_policy(identifier, f"p{number}")
    registry.create_policy("p10", {"Version": "2012-10-17", "Statement": GOOD})
    for attempt in (lambda: registry.register_certificate(identity), lambda: registry.create_thing("a b"),
                    lambda: registry.attach_thing(identifier, "nobody"), lambda: registry.certificate("00"),
                    lambda: registry.create_policy("p0", "{}"), lambda: registry.attach_policy(identifier, "p10")):
        with pytest.raises(BrokerError):
            attempt()


# keys, variables, values -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["aws:sourceIp", "AWS:SourceIp", "aws:SOURCEIP", "aws:SourceIp"])
def test_condition_keys_are_not_case_sensitive(key: str) -> None:
    policies = [allow("*"), policy(statement("Deny", "iot:Publish", "*", {"IpAddress": {key: "192.0.2.0/24"}}))]
    assert not decide(policies, Request("iot:Publish", ARN + "topic/a", STRANGER)).allowed
    assert decide(policies, Request("iot:Publish", ARN + "topic/a", ATTACHED)).allowed


def test_variables_are_not_case_sensitive_but_for_an_attributes_name() -> None:
    context = ATTACHED | {"iot:Connection.Thing.Attributes[Hall]": "east", "iot:Connection.Thing.Attributes[hall]": "w"}
    for text in ("topic/${IOT:clientID}/east", "topic/thing-1/${iot:connection.THING.attributes[Hall]}"):
        assert decide([allow(ARN + text)], Request("iot:Publish", ARN + "topic/thing-1/east", context)).allowed
    for key in ("iot:Connection.Thing.Attributes[Hall]", "IOT:connection.thing.attributes[Hall]"):
        rule = allow("*", condition={"StringEquals": {key: "east"}})
        assert decide([rule], Request("iot:Publish", ARN + "topic/a", context)).allowed


@pytest.mark.parametrize("key", ["aws:SourceIP4", "iot:ClientID2", "iot:Connection.Thing.Name", "SourceIp", "",
                                 "iot:Certificate.Subject.Nickname", "iot:Connection.Thing.Attributes[]", "s3:prefix"])
def test_an_unknown_condition_key_is_an_error_when_the_policy_is_made(key: str) -> None:
    with pytest.raises(BrokerError, match="AWS has no condition key"):
        policy(statement("Deny", "iot:Publish", "*", {"StringEquals": {key: "x"}}))
    assert Policy.parse("p", {"Version": "2012-10-17", "Statement": GOOD})


@pytest.mark.parametrize("value", ["*", "th*", "a?c", "a+b", "#", "a$b", "x" * 1025])
@pytest.mark.parametrize("variable", ["iot:Certificate.Subject.CommonName", "iot:Certificate.Issuer.Organization",
                                      "iot:Connection.Thing.Attributes[hall]", "iot:Connection.Thing.ThingTypeName"])
def test_values_with_wildcards_are_not_put_in(variable: str, value: str) -> None:
    """AWS IoT Core, "X.509 Certificate policy variable limitations": the text of the variable stays."""
    rule = allow(ARN + "topic/${" + variable + "}/x")
    for asked in (value, "thing", "th", "abc", ""):
        assert not decide([rule], Request("iot:Publish", f"{ARN}topic/{asked}/x", {variable: value})).allowed
    assert decide([rule], Request("iot:Publish", ARN + "topic/${" + variable + "}/x", {variable: value})).allowed
    assert decide([rule], Request("iot:Publish", ARN + "topic/thing/x", {variable: "thing"})).allowed


def test_variables_of_a_real_certificate() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "first"),
                      x509.NameAttribute(NameOID.COMMON_NAME, "second"), x509.NameAttribute(NameOID.COUNTRY_NAME, "AT"),
                      *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"o{number}") for number in range(7))])
    key = Authority(1).root.key
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(0xAB12).not_valid_before(datetime(2024, 1, 1)).not_valid_after(datetime(2030, 1, 1))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("lamp.example"),
                                                               x509.IPAddress(ip_address("192.0.2.7"))]), False)
                   .sign(key, hashes.SHA256()))
    found = certificate_variables(certificate)
    subject = "iot:Certificate.Subject"
    assert found[f"{subject}.CommonName"] == "first" and found[f"{subject}.CommonName.1"] == "second"
    assert found[f"{subject}.CommonName.List"] == ["first", "second"] and found[f"{subject}.Country"] == "AT"
    assert f"{subject}.Country.0" not in found and len(found[f"{subject}.Organization.List"]) == 5
    assert found[f"{subject}.AlternativeName.DNSName"] == "lamp.example"
    assert found[f"{subject}.AlternativeName.IPAddress"] == "192.0.2.7"
    assert found["iot:Certificate.SerialNumber"] == "AB12" and found["iot:Certificate.Issuer.Country"] == "AT"
    assert "iot:Certificate.Subject.Country" in found["iot:Certificate.AvailableKeys"]


def test_a_right_that_ends_by_the_clock() -> None:
    """Conditions on aws:CurrentTime, aws:EpochTime and aws:SecureTransport, asked of a broker whose time passes."""
    lab = Lab(policy=WIDE)
    lab.world.registry.update_policy(WIDE, {"Version": "2012-10-17", "Statement": [
        statement("Allow", "iot:*", "*", {"DateLessThan": {"aws:CurrentTime": "2026-06-01T00:01:00Z"},
                                          "Bool": {"aws:SecureTransport": "true"}}),
        statement("Allow", "iot:Connect", "*")]})
    device = lab.client()
    assert device.publish("a/b", b"x") and device.publish("a/b", b"x")
    lab.clock.advance(60)
    assert not device.publish("a/b", b"x") and lab.new(events.PublishForbidden)


@pytest.mark.parametrize("variable", ["${aws:EpochTime}", "${AWS:epochtime, 'never'}", "${aws\\u003aEpochTime}"])
def test_a_right_that_names_the_clock_in_a_variable(variable: str) -> None:
    """What was decided a second ago does not hold for the same topic now."""
    lab = Lab(policy=WIDE)
    document = {"Version": "2012-10-17", "Statement": [
        statement("Allow", "iot:Connect", "*"), statement("Allow", "iot:Publish", f"{ARN}topic/at/VARIABLE")]}
    lab.world.registry.update_policy(WIDE, json.dumps(document).replace("VARIABLE", variable))
    topic = f"at/{int(lab.clock.now.timestamp())}"
    device = lab.client()
    assert device.publish(topic, b"x")
    lab.clock.advance(1)
    assert not device.publish(topic, b"x") and lab.new(events.PublishForbidden)


@pytest.mark.parametrize(("kind", "most", "plain", "more"), [
    ("thing", 128, "aZ09:_-", "."), ("thing group", 128, "aZ09:_-", "+"), ("policy", 128, "aZ09_+=,.@-", ":"),
    ("provisioning template", 36, "aZ09_-", ":"), ("job", 64, "aZ09_-", ".")])
def test_names(kind: str, most: int, plain: str, more: str) -> None:
    """AWS IoT API reference, the pattern and length of each."""
    for good in (plain, "x", "x" * most):
        check_name(kind, good, ())
        find_name(kind, good, (good,))
    for bad in ("", "x" * (most + 1), f"a{more}b", "a b", "a\n", "\na", "a/b", "ä", "a٣", "a\0", "*", "${x}"):
        with pytest.raises(BrokerError, match=f"^{kind} '"):
            check_name(kind, bad, ())
    with pytest.raises(BrokerError, match="exists already"):
        check_name(kind, plain, (plain,))
    with pytest.raises(BrokerError, match="does not exist"):
        find_name(kind, plain, ("x",))
