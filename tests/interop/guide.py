# SPDX-License-Identifier: Apache-2.0
"""The developer guide's policies (``tests/test_guide_policies.py``), asked over the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from offchip.mqtt import Will
from tests.interop.questions import Asker, Person, Question, allow, publish, subscribe
from tests.interop.wire import Wire
from tests.test_guide_policies import CASES, CONTEXTS

#: asked by address, by private network, or of the control plane: nothing on this machine's wire tells them apart
_NOT_ON_THE_WIRE = ("vpc ", "GetRetainedMessage")


def questions() -> list[Question]:
    """One for each request of each policy that a client can make; what is asked of two policies is numbered."""
    found: list[Question] = []
    said: Counter[str] = Counter()
    for case in CASES:
        for line in case.requests:
            if not any(each in line for each in _NOT_ON_THE_WIRE):
                name = f"guide, {case.page}: {line[2:]}"
                said[name] += 1
                found.append(Question(f"{name} ({said[name]})" if said[name] > 1 else name,
                                      _ask(case.statements, line[2:])))
    return found


def _ask(statements: list[dict[str, Any]], line: str) -> Callable[[Asker], str]:
    who = next(name for name in sorted(CONTEXTS, key=len, reverse=True) if line.startswith(name + " "))
    action, resource = line.removeprefix(who + " ").split(" ")
    kind, _, name = resource.partition("/")

    def ask(asker: Asker) -> str:
        return _request(asker, statements, who, action, name)
    return ask


def _request(asker: Asker, statements: list[dict[str, Any]], who: str, action: str, name: str) -> str:
    context = CONTEXTS[who]
    thing = context.get("iot:Connection.Thing.ThingName", "")
    renamed = asker.thing("Light", hall="east") if thing else ""
    told = _replace(statements, thing, renamed) if thing else statements
    name = _replace(f"/{name}", thing, renamed)[1:] if thing else name
    person = asker.person(*told, things=(renamed,) if thing else (), organization=_organization(context),
                          names=_names(context))
    attributes = context["iot:ConnectAttributes"]
    will = Will(str(context.get("iot:LastWillTopic", "/topic/w")).partition("topic/")[2], b"x") \
        if "LastWill" in attributes else None
    clean = "PersistentConnect" not in attributes
    if action == "Connect":
        if will:
            asker.broker.call("AttachPolicy", policyName=asker.policy(allow("Publish RetainPublish", "*")),
                              target=person.arn)
        return asker.connect(person, name, clean=clean, will=will).connected
    asker.broker.call("AttachPolicy", policyName=asker.policy(allow("Connect", "*")), target=person.arn)
    wire = asker.connect(person, renamed or str(context["iot:ClientId"]))
    if action == "Subscribe":
        return f"{wire.connected}, {wire.ask(subscribe(name))}"
    if action == "Receive":
        return f"{wire.connected}, {_receives(asker, person, wire, name)}"
    return f"{wire.connected}, {wire.ask(publish(name, b'{}', retain=action == 'RetainPublish'))}"


def _receives(asker: Asker, person: Person, wire: Wire, topic: str) -> str:
    rights = asker.policy(allow("Subscribe", "*"), allow("Receive", "topic/sentinel"))
    asker.broker.call("AttachPolicy", policyName=rights, target=person.arn)
    if topic.startswith("$"):
        return wire.ask(subscribe(topic))
    wire.ask(subscribe(topic))
    wire.ask(subscribe("sentinel"))
    asker.watcher().ask(publish(topic))
    return "received" if topic in asker.flush(wire) else "not received"


def _organization(context: dict[str, Any]) -> str:
    return str(context["iot:Certificate.Subject.Organization.List"][0])


def _names(context: dict[str, Any]) -> tuple[str, ...]:
    return tuple(context["iot:Certificate.Subject.CommonName.List"])


def _replace(value: Any, old: str, new: str) -> Any:
    """``lamp`` as a client's name in a policy is the thing of this question."""
    if isinstance(value, dict):
        return {key: _replace(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_replace(each, old, new) for each in value]
    return value.replace(f"/{old}", f"/{new}") if isinstance(value, str) else value
