# SPDX-License-Identifier: Apache-2.0
"""The policies AWS's developer guide prints, by page, in a short form: each must parse, and decide as the page says.

A case is: statements, then requests with the right answer. ``+`` allows, ``-`` denies; ``who`` is one of CONTEXTS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from offchip.broker.policy import Policy, Request, decide

ARN = "arn:aws:iot:us-east-1:123456789012:"
THING = "${iot:Connection.Thing.ThingName}"
_KEY = "iot:Certificate.Subject"

CONTEXTS: dict[str, dict[str, Any]] = {
    "thing": {"iot:ClientId": "lamp", "iot:Connection.Thing.ThingName": "lamp", "iot:Thing.ThingName": "lamp",
              "iot:Connection.Thing.IsAttached": True, "iot:Connection.Thing.ThingTypeName": "Light",
              "iot:Connection.Thing.Attributes[hall]": "east", "iot:ConnectAttributes": [],
              "iot:CertificateId": "c0ffee", f"{_KEY}.CommonName": "lamp-cn",
              f"{_KEY}.CommonName.List": ["lamp-cn"], f"{_KEY}.Organization.List": ["Example Corp"],
              "aws:SourceIp": "203.0.113.9"},
    "stranger": {"iot:ClientId": "client1", "iot:Connection.Thing.IsAttached": False, "iot:ConnectAttributes": [],
                 "iot:CertificateId": "bad", f"{_KEY}.CommonName": "x", f"{_KEY}.CommonName.List": ["x"],
                 f"{_KEY}.Organization.List": ["Other"], "aws:SourceIp": "198.51.100.1"},
}
CONTEXTS["admin"] = CONTEXTS["thing"] | {f"{_KEY}.CommonName.2": "Administrator",
                                         f"{_KEY}.CommonName.List": ["a", "b", "Administrator"]}
CONTEXTS["persistent"] = CONTEXTS["thing"] | {"iot:ConnectAttributes": ["PersistentConnect"]}
CONTEXTS["will"] = CONTEXTS["thing"] | {"iot:ConnectAttributes": ["LastWill"],
                                        "iot:LastWillTopic": ARN + "topic/my/lastwill/topicName"}
CONTEXTS["both"] = CONTEXTS["will"] | {"iot:ConnectAttributes": ["PersistentConnect", "LastWill"]}
CONTEXTS["other will"] = CONTEXTS["will"] | {"iot:LastWillTopic": ARN + "topic/elsewhere"}
CONTEXTS["vpc"] = CONTEXTS["thing"] | {"aws:SourceVpce": "vpce-1a2b3c4d"}
CONTEXTS["plus"] = CONTEXTS["stranger"] | {"iot:ClientId": "+"}


@dataclass(frozen=True)
class Case:
    page: str
    statements: list[dict[str, Any]]
    requests: list[str] = field(default_factory=list)


def allow(action: str, *resources: str, **condition: Any) -> dict[str, Any]:
    return _statement("Allow", action, resources, condition)


def deny(action: str, *resources: str, **condition: Any) -> dict[str, Any]:
    return _statement("Deny", action, resources, condition)


def _statement(effect: str, action: str, resources: tuple[str, ...], condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": effect, "Action": [f"iot:{each}" for each in action.split()],
            "Resource": [each if each in "*" or each.startswith("arn:") else ARN + each for each in resources],
            **({"Condition": condition["when"]} if condition else {})}


def attributes(quantifier: str, operator: str, *values: str) -> dict[str, Any]:
    return {f"{quantifier}:{operator}": {"iot:ConnectAttributes": list(values)}}


ALL, ANY = "ForAllValues", "ForAnyValue"
PERSISTENT, WILL = "PersistentConnect", "LastWill"
ANY_WILL = {"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/*my/lastwill/topicName*"}}
CONNECT = allow("Connect", f"client/{THING}")
CLIENTS = allow("Connect", "client/client1", "client/client2", "client/client3")

CASES = [
    # connect-policy
    Case("connect", [allow("Connect", "client/client1")], ["+ stranger Connect client/client1",
                                                           "- thing Connect client/lamp"]),
    Case("connect", [deny("Connect", "client/client1", "client/client2"), CONNECT],
         ["+ thing Connect client/lamp", "- thing Connect client/client1", "- stranger Connect client/client1"]),
    Case("persistent allowed", [allow("Connect", "*", when=attributes(ALL, "StringEquals", PERSISTENT))],
         ["+ persistent Connect client/lamp", "+ thing Connect client/lamp", "- will Connect client/lamp"]),
    Case("persistent not allowed", [allow("Connect", "*", when=attributes(ALL, "StringNotEquals", PERSISTENT))],
         ["- persistent Connect client/lamp", "+ will Connect client/lamp", "- both Connect client/lamp"]),
    Case("the same by a denial", [allow("Connect", "*"), deny("Connect", "*",
                                                              when=attributes(ANY, "StringEquals", PERSISTENT))],
         ["- persistent Connect client/lamp", "- both Connect client/lamp", "+ will Connect client/lamp"]),
    Case("both", [allow("Connect", "*", when=attributes(ALL, "StringEquals", PERSISTENT, WILL))],
         ["+ both Connect client/lamp", "+ thing Connect client/lamp"]),
    Case("will only", [allow("Connect", "*", when=attributes(ALL, "StringEquals", WILL))],
         ["+ will Connect client/lamp", "- both Connect client/lamp", "+ thing Connect client/lamp"]),
    Case("only clean connections", [allow("Connect", "*", when=attributes(ALL, "StringEquals"))],
         ["+ thing Connect client/lamp", "- persistent Connect client/lamp", "- will Connect client/lamp"]),
    Case("at least persistent", [allow("Connect", "*", when=attributes(ANY, "StringEquals", PERSISTENT))],
         ["+ persistent Connect client/lamp", "+ both Connect client/lamp", "- thing Connect client/lamp"]),
    Case("both or nothing", [allow("Connect", "*", when=attributes(ALL, "StringEquals", PERSISTENT, WILL)),
                             deny("Connect", "*", when=attributes(ALL, "StringEquals", PERSISTENT)),
                             deny("Connect", "*", when=attributes(ALL, "StringEquals", WILL)),
                             deny("Connect", "*", when=attributes(ALL, "StringEquals"))],
         ["+ both Connect client/lamp", "- persistent Connect client/lamp", "- will Connect client/lamp",
          "- thing Connect client/lamp"]),
    Case("a will without persistence", [deny("Connect", "*", when=attributes(ANY, "StringEquals", PERSISTENT)),
                                        allow("Connect", "*", when=attributes(ALL, "StringEquals", WILL))],
         ["+ will Connect client/lamp", "- both Connect client/lamp"]),
    Case("a will on one topic", [allow("Connect", "*", when=ANY_WILL)],
         ["+ will Connect client/lamp", "- other will Connect client/lamp", "- thing Connect client/lamp"]),
    Case("a will on one topic, clean", [allow("Connect", "*", when=ANY_WILL),
                                        deny("Connect", "*", when=attributes(ANY, "StringEquals", PERSISTENT))],
         ["+ will Connect client/lamp", "- both Connect client/lamp"]),
    # pub-sub-policy
    Case("publish below the thing's name", [CONNECT, allow("Publish", f"topic/{THING}/*")],
         ["+ thing Publish topic/lamp/x/y", "- thing Publish topic/lamp", "- thing Publish topic/other/x",
          "- stranger Publish topic/client1/x"]),
    Case("publish below the client id", [CLIENTS, allow("Publish", "topic/${iot:ClientId}/*")],
         ["+ stranger Publish topic/client1/x", "- stranger Publish topic/client2/x"]),
    Case("rooms", [CONNECT, allow("Subscribe", f"topicfilter/{THING}/room*"), allow("Receive", f"topic/{THING}/room*")],
         ["+ thing Subscribe topicfilter/lamp/room#", "+ thing Subscribe topicfilter/lamp/room1/+",
          "+ thing Receive topic/lamp/room1/x", "- thing Receive topic/lamp/hall"]),
    Case("subscribe, receive nothing", [allow("Subscribe", "topicfilter/device/update"),
                                        deny("Receive", "topic/device/update")],
         ["+ thing Subscribe topicfilter/device/update", "- thing Receive topic/device/update"]),
    Case("plus is a plain character", [CONNECT, allow("Subscribe", "topicfilter/some/+/topic")],
         ["+ thing Subscribe topicfilter/some/+/topic", "- thing Subscribe topicfilter/some/one/topic"]),
    Case("star is not", [CONNECT, allow("Subscribe", "topicfilter/some/*/topic")],
         ["+ thing Subscribe topicfilter/some/+/topic", "+ thing Subscribe topicfilter/some/a/b/topic"]),
    Case("two topics", [CLIENTS, allow("Subscribe", "topicfilter/my/topic", "topicfilter/my/othertopic")],
         ["+ stranger Subscribe topicfilter/my/othertopic", "- stranger Subscribe topicfilter/my/#"]),
    Case("thing name, spelt as in the examples", [
        CONNECT, allow("Publish", "topic/${iot:Thing.ThingName}/*"),
        deny("Publish", "topic/${iot:Thing.ThingName}/bar")],
         ["+ thing Publish topic/lamp/foo", "- thing Publish topic/lamp/bar", "- stranger Publish topic/client1/foo"]),
    Case("client id, all but one", [CLIENTS, allow("Publish", "topic/${iot:ClientId}/*"),
                                    deny("Publish", "topic/${iot:ClientId}/bar")],
         ["+ stranger Publish topic/client1/foo", "- stranger Publish topic/client1/bar"]),
    Case("provisioning monitor", [allow("Publish Receive", "topic/iotmonitor/provisioning/987654321098"),
                                  allow("Subscribe", "topicfilter/iotmonitor/provisioning/987654321098")],
         ["+ thing Receive topic/iotmonitor/provisioning/987654321098",
          "- thing Receive topic/iotmonitor/provisioning/1"]),
    Case("Cognito", [allow("Publish", "topic/${cognito-identity.amazonaws.com:sub}")], ["- thing Publish topic/lamp"]),
    # variables
    Case("basic variables", [allow("Connect", "client/${iot:ClientId}"),
                             allow("Publish", "topic/my/topic/${iot:ClientId}")],
         ["+ stranger Connect client/client1", "- stranger Publish topic/my/topic/lamp"]),
    Case("the trap of plus", [allow("Subscribe", "topicfilter/my/${iot:ClientId}/topic")],
         ["+ plus Subscribe topicfilter/my/+/topic", "- stranger Subscribe topicfilter/my/+/topic"]),
    Case("attached things only", [allow("Connect", "*", when={"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}})],
         ["+ thing Connect client/lamp", "- stranger Connect client/client1"]),
    Case("type and attribute", [allow("Publish", "topic/device/stats", when={
        "StringEquals": {"iot:Connection.Thing.Attributes[hall]": "east",
                         "iot:Connection.Thing.ThingTypeName": "Light"},
        "Bool": {"iot:Connection.Thing.IsAttached": "true"}})],
         ["+ thing Publish topic/device/stats", "- stranger Publish topic/device/stats"]),
    Case("attribute in the topic", [allow("Publish", "topic/${iot:Connection.Thing.Attributes[hall]}/*")],
         ["+ thing Publish topic/east/1", "- thing Publish topic/west/1", "- stranger Publish topic/east/1"]),
    Case("certificate id", [allow("Publish", "topic/${iot:CertificateId}"), CLIENTS],
         ["+ thing Publish topic/c0ffee", "- stranger Publish topic/c0ffee"]),
    Case("common name", [allow("Publish", "topic/${iot:Certificate.Subject.CommonName}"), CONNECT],
         ["+ thing Publish topic/lamp-cn", "- stranger Publish topic/lamp-cn"]),
    Case("a further common name", [CONNECT, allow("Publish", "topic/admin/*", when={
        "StringEquals": {f"{_KEY}.CommonName.2": "Administrator"}})],
         ["+ admin Publish topic/admin/x", "- thing Publish topic/admin/x"]),
    Case("any common name", [CONNECT, allow("Publish", f"topic/admin/{THING}", when={
        "ForAnyValue:StringEquals": {f"{_KEY}.CommonName.List": "Administrator"}})],
         ["+ admin Publish topic/admin/lamp", "- thing Publish topic/admin/lamp"]),
    Case("all organizations", [CONNECT, allow("Publish", f"topic/my/topic/{THING}", when={
        "ForAllValues:StringEquals": {f"{_KEY}.Organization.List": ["Example Corp", "AnyCompany"]}})],
         ["+ thing Publish topic/my/topic/lamp", "- stranger Publish topic/my/topic/client1"]),
    # retained messages, private networks, services
    Case("retained will", [allow("Connect", "client/*", when=attributes(ALL, "StringEquals", WILL)),
                           allow("Publish RetainPublish", "topic/will")],
         ["+ will Connect client/x", "+ thing RetainPublish topic/will", "- thing RetainPublish topic/a"]),
    Case("control plane", [allow("ListRetainedMessages", "*"), allow("GetRetainedMessage", "topic/foo")],
         ["+ thing GetRetainedMessage topic/foo", "- thing Publish topic/foo"]),
    Case("from one private network", [allow("Connect", f"client/{THING}", when={
        "StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}})],
         ["+ vpc Connect client/lamp", "- thing Connect client/lamp"]),
    Case("file delivery", [allow("Receive Publish", f"topic/$aws/things/{THING}/streams/*"),
                           allow("Subscribe", f"topicfilter/$aws/things/{THING}/streams/*")],
         ["+ thing Publish topic/$aws/things/lamp/streams/s/get/json",
          "- thing Publish topic/$aws/things/x/streams/s"]),
    Case("claim certificates", [
        allow("Connect", "*"), allow("Publish Receive", "topic/$aws/certificates/create/*",
                                     "topic/$aws/provisioning-templates/t/provision/*"),
        allow("Subscribe", "topicfilter/$aws/certificates/create/*",
              "topicfilter/$aws/provisioning-templates/t/provision/*")],
         ["+ stranger Publish topic/$aws/certificates/create/json",
          "- stranger Publish topic/$aws/provisioning-templates/other/provision/json",
          "- stranger Publish topic/offchip/feed"]),
    Case("shadow", [allow("Subscribe", "topicfilter/$aws/things/lamp/shadow/get/accepted"),
                    allow("Receive", "topic/$aws/things/lamp/shadow/get/accepted")],
         ["+ thing Receive topic/$aws/things/lamp/shadow/get/accepted"]),
    Case("tunnels and tags", [
        allow("OpenTunnel", "*", when={"ForAllValues:StringEquals": {"iot:TunnelDestinationService": ["SSH"]},
                                       "ArnEquals": {"iot:ThingGroupArn": ARN + "thinggroup/g"}}),
        allow("CloseTunnel", "*", when={"Bool": {"iot:Delete": "true"}}),
        allow("UpdateThing", "*", when={"StringEquals": {"aws:ResourceTag/env": "prod", "aws:RequestTag/Owner": "x"},
                                        "ForAllValues:StringEquals": {"aws:TagKeys": ["env"]}})]),
]


@pytest.mark.parametrize("case", CASES, ids=[each.page for each in CASES])
def test_the_guides_policies_parse_and_decide(case: Case) -> None:
    policy = Policy.parse("guide", {"Version": "2012-10-17", "Statement": case.statements})
    for line in case.requests:
        sign, rest = line[0], line[2:]
        who = next(name for name in sorted(CONTEXTS, key=len, reverse=True) if rest.startswith(name + " "))
        action, resource = rest.removeprefix(who + " ").split(" ")
        decision = decide([policy], Request(f"iot:{action}", ARN + resource, CONTEXTS[who]))
        assert decision.allowed is (sign == "+"), (line, decision.reason)
