# SPDX-License-Identifier: Apache-2.0
"""Rules of the registry and of policies as questions to any broker; each answer is one line of words."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from offchip.mqtt import V3_1_1, V5, Connect, Publish, Subscribe, Subscription, Will
from tests.interop.brokers import Broker, Refused
from tests.interop.wire import Wire

#: stands for the account in policy documents
ARN = "arn:aws:iot:us-east-1:123456789012:"
_ANYTHING = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
_CONNECT = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
_SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class Person:
    """A certificate with its key in one file."""

    identifier: str
    arn: str
    pem: Path

    @property
    def certificate(self) -> str:
        """PEM, without the key."""
        return self.pem.read_text().partition("-----BEGIN PRIVATE")[0]


@dataclass(frozen=True, slots=True)
class Question:
    """``ask``: returns the broker's answer."""

    name: str
    ask: Callable[[Asker], str]


class Asker:
    """One question's own corner of the account: every name in it is used once."""

    def __init__(self, broker: Broker, folder: Path, number: int) -> None:
        self.broker, self._folder, self._prefix = broker, folder, f"q{number}"
        self._names = count()
        self._open: list[Wire] = []

    def close(self) -> None:
        """Whoever is still connected hangs up."""
        for each in self._open:
            each.hang_up()

    # owner ---------------------------------------------------------------------------------------------------------
    def name(self, word: str = "x") -> str:
        """A name nobody has."""
        return f"{self._prefix}-{next(self._names)}-{word}"

    def told(self, operation: str, **arguments: Any) -> str:
        """``done`` or ``refused``."""
        try:
            self.broker.call(operation, **arguments)
        except Refused:
            return "refused"
        return "done"

    def policy(self, *statements: dict[str, Any], name: str = "") -> str:
        """A policy's name. Raises Refused."""
        name = name or self.name("policy")
        self.broker.call("CreatePolicy", policyName=name, policyDocument=document(*statements))
        return name

    def thing(self, kind: str = "", **attributes: str) -> str:
        """A thing's name. ``kind``: its type."""
        name, more = self.name("thing"), {}
        if kind:
            with suppress(Refused):
                self.broker.call("CreateThingType", thingTypeName=kind)
            more["thingTypeName"] = kind
        self.broker.call("CreateThing", thingName=name, **more, **(
            {"attributePayload": {"attributes": attributes}} if attributes else {}))
        return name

    def person(self, *statements: dict[str, Any], status: str = "ACTIVE", things: tuple[str, ...] = (),
               names: tuple[str, ...] = ("someone",), organization: str = "Example Corp") -> Person:
        """A certificate of its own making, registered without a CA, with one policy of ``statements``."""
        person = self.stranger(names, organization)
        told = self.broker.call("RegisterCertificateWithoutCA", certificatePem=person.certificate, status=status)
        person = Person(told["certificateId"], told["certificateArn"], person.pem)
        for thing in things:
            self.broker.call("AttachThingPrincipal", thingName=thing, principal=person.arn)
        if statements:
            self.broker.call("AttachPolicy", policyName=self.policy(*statements), target=person.arn)
        return person

    def stranger(self, names: tuple[str, ...] = ("someone",), organization: str = "Example Corp",
                 issuer: Person | None = None, authority: bool = False) -> Person:
        """A certificate nobody registered; ``issuer``: signed by that one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                             *(x509.NameAttribute(NameOID.COMMON_NAME, each) for each in names)])
        signer, by = key, subject
        if issuer:
            signer = _key(issuer.pem)
            by = x509.load_pem_x509_certificate(issuer.pem.read_bytes()).subject
        now = datetime.now(UTC)
        certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
                       .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
                       .not_valid_after(now + timedelta(days=30))
                       .add_extension(x509.BasicConstraints(authority, None), True)
                       .sign(signer, hashes.SHA256()))
        pem = self._folder / f"{self.name(self.broker.name)}.pem"
        pem.write_bytes(certificate.public_bytes(Encoding.PEM)
                        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Person("", "", pem)

    # wire ----------------------------------------------------------------------------------------------------------
    def connect(self, person: Person, client_id: str = "", version: int = V3_1_1, clean: bool = True,
                will: Will | None = None) -> Wire:
        """As whoever it is."""
        wire = Wire(self.broker.port, self.broker.authority, person.pem,
                    Connect(client_id or self.name("client"), version, clean, 60, will))
        self._open.append(wire)
        return wire

    def watcher(self) -> Wire:
        """Somebody who may do anything."""
        return self.connect(self.person(_ANYTHING))

    def flush(self, receiver: Wire) -> list[str]:
        """Topics the receiver got until a message that was published now; it must be subscribed to ``sentinel``."""
        self.watcher().ask(Publish(_SENTINEL, b"", 1, packet_id=1))
        receiver.wait_for(_SENTINEL)
        return [topic for topic, _ in receiver.delivered if topic != _SENTINEL]


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    """A policy."""
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(action: str, resource: str | list[str], **more: Any) -> dict[str, Any]:
    """A statement; ``resource`` without the account."""
    return {"Effect": "Allow", "Action": _actions(action), "Resource": _arns(resource), **more}


def deny(action: str, resource: str | list[str], **more: Any) -> dict[str, Any]:
    """Likewise."""
    return allow(action, resource, **more) | {"Effect": "Deny"}


def subscribe(text: str, qos: int = 1) -> Subscribe:
    """One filter."""
    return Subscribe(1, (Subscription(text, qos),))


def publish(topic: str, payload: bytes = b"x", qos: int = 1, retain: bool = False) -> Publish:
    """One message."""
    return Publish(topic, payload, qos, retain, packet_id=qos)


def _actions(action: str) -> list[str]:
    return [f"iot:{each}" for each in action.split()]


def _arns(resource: str | list[str]) -> list[str]:
    each = [resource] if isinstance(resource, str) else resource
    return [text if text.startswith(("arn:", "*")) else ARN + text for text in each]


def _key(pem: Path) -> Any:
    return load_pem_private_key(pem.read_bytes(), None)


# the registry ------------------------------------------------------------------------------------------------------
QUESTIONS: list[Question] = []


def question(name: str) -> Callable[[Callable[[Asker], str]], None]:
    """Adds one."""
    return lambda ask: QUESTIONS.append(Question(name, ask))


for _status in ("ACTIVE", "INACTIVE", "REVOKED", "PENDING_ACTIVATION", "PENDING_TRANSFER", "REGISTER_INACTIVE", "x"):
    @question(f"certificate set to {_status}")
    def _(asker: Asker, status: str = _status) -> str:
        person = asker.person(_ANYTHING)
        told = asker.told("UpdateCertificate", certificateId=person.identifier, newStatus=status)
        return f"{told}, {asker.connect(person).connected}"


@question("certificate registered INACTIVE")
def _(asker: Asker) -> str:
    return asker.connect(asker.person(_ANYTHING, status="INACTIVE")).connected


@question("certificate that nobody registered")
def _(asker: Asker) -> str:
    return asker.connect(asker.stranger()).connected


@question("certificate without a policy")
def _(asker: Asker) -> str:
    return asker.connect(asker.person()).connected


@question("certificate registered twice")
def _(asker: Asker) -> str:
    person = asker.person(_ANYTHING)
    return asker.told("RegisterCertificateWithoutCA", certificatePem=person.certificate, status="ACTIVE")


@question("certificate deactivated while connected")
def _(asker: Asker) -> str:
    person = asker.person(_ANYTHING)
    wire = asker.connect(person)
    asker.broker.call("UpdateCertificate", certificateId=person.identifier, newStatus="INACTIVE")
    return f"{wire.ask(publish('a'))}, again {asker.connect(person).connected}"


@question("certificate deactivated and activated again")
def _(asker: Asker) -> str:
    person = asker.person(_ANYTHING)
    for status in ("INACTIVE", "ACTIVE"):
        asker.broker.call("UpdateCertificate", certificateId=person.identifier, newStatus=status)
    return asker.connect(person).connected


@question("certificate deleted: while ACTIVE, with a policy, with a thing, free")
def _(asker: Asker) -> str:
    thing = asker.thing()
    person = asker.person(_ANYTHING, things=(thing,))
    delete = {"certificateId": person.identifier}
    told = [asker.told("DeleteCertificate", **delete)]
    asker.broker.call("UpdateCertificate", certificateId=person.identifier, newStatus="INACTIVE")
    told.append(asker.told("DeleteCertificate", **delete))
    name = asker.policy(_ANYTHING)
    asker.broker.call("AttachPolicy", policyName=name, target=person.arn)
    other = asker.person(status="INACTIVE", things=(thing,))
    told.append(asker.told("DeleteCertificate", certificateId=other.identifier))
    asker.broker.call("DetachThingPrincipal", thingName=thing, principal=other.arn)
    told.append(asker.told("DeleteCertificate", certificateId=other.identifier))
    return ", ".join(told)


@question("certificate of a registered CA, unknown itself: twice")
def _(asker: Asker) -> str:
    return _just_in_time(asker, True)


@question("certificate of a registered CA without auto registration")
def _(asker: Asker) -> str:
    return _just_in_time(asker, False)


def _just_in_time(asker: Asker, automatic: bool) -> str:
    authority = asker.stranger((asker.name("ca"),), authority=True)
    asker.broker.call("RegisterCACertificate", caCertificate=authority.certificate, setAsActive=True,
                      allowAutoRegistration=automatic, certificateMode="SNI_ONLY")
    device = asker.stranger(issuer=authority)
    identifier = x509.load_pem_x509_certificate(device.pem.read_bytes()).fingerprint(hashes.SHA256()).hex()
    words = [asker.connect(device).connected for _ in range(2)]
    try:
        record = asker.broker.call("DescribeCertificate", certificateId=identifier)["certificateDescription"]
    except Refused:
        return f"{', '.join(words)}, not registered"
    words.append(record["status"])
    asker.broker.call("UpdateCertificate", certificateId=identifier, newStatus="ACTIVE")
    asker.broker.call("AttachPolicy", policyName=asker.policy(_ANYTHING),
                      target=f"{asker.broker.arn}cert/{identifier}")
    return f"{', '.join(words)}, activated {asker.connect(device).connected}"


@question("thing created twice: the same, with another attribute")
def _(asker: Asker) -> str:
    thing = asker.thing()
    other = {"attributePayload": {"attributes": {"hall": "east"}}}
    return f"{asker.told('CreateThing', thingName=thing)}, {asker.told('CreateThing', thingName=thing, **other)}"


for _word, _text in {"a space": "a b", "a slash": "a/b", "a dot": "a.b", "a colon": "a:b", "a plus": "a+b",
                     "128 characters": "x" * 128, "129 characters": "x" * 129}.items():
    @question(f"name with {_word}")
    def _(asker: Asker, text: str = _text) -> str:
        text = text if len(text) > 100 else f"{asker.name()}{text}"
        return (f"thing {asker.told('CreateThing', thingName=text)}, policy "
                + asker.told("CreatePolicy", policyName=text, policyDocument=document(_ANYTHING)))


@question("thing that does not exist is attached")
def _(asker: Asker) -> str:
    return asker.told("AttachThingPrincipal", thingName=asker.name(), principal=asker.person().arn)


@question("thing attached twice, detached twice")
def _(asker: Asker) -> str:
    thing = asker.thing()
    call = {"thingName": thing, "principal": asker.person().arn}
    return ", ".join(asker.told(f"{what}ThingPrincipal", **call) for what in ("Attach", "Attach", "Detach", "Detach"))


@question("certificate of two things; thing of two certificates")
def _(asker: Asker) -> str:
    things = asker.thing(), asker.thing()
    rights = allow("Connect", "client/${iot:Connection.Thing.ThingName}")
    first, second = asker.person(rights, things=things), asker.person(rights, things=things[:1])
    words = [asker.connect(first, each).connected for each in things]
    return ", ".join([*words, *(asker.connect(second, each).connected for each in things)])


@question("thing attached exclusively: a second certificate, another client id")
def _(asker: Asker) -> str:
    thing, person = asker.thing(), asker.person(allow("Connect", "*"), allow(
        "Publish", "topic/${iot:Connection.Thing.ThingName}"))
    words = [asker.told("AttachThingPrincipal", thingName=thing, principal=person.arn,
                        thingPrincipalType="EXCLUSIVE_THING"),
             asker.told("AttachThingPrincipal", thingName=thing, principal=asker.person().arn)]
    return ", ".join([*words, asker.connect(person).ask(publish(thing))])


# policies and their versions ---------------------------------------------------------------------------------------
@question("policy created twice")
def _(asker: Asker) -> str:
    return asker.told("CreatePolicy", policyName=asker.policy(_ANYTHING), policyDocument=document(_ANYTHING))


@question("policy attached twice, detached twice")
def _(asker: Asker) -> str:
    call = {"policyName": asker.policy(_ANYTHING), "target": asker.person().arn}
    return ", ".join(asker.told(f"{what}Policy", **call) for what in ("Attach", "Attach", "Detach", "Detach"))


@question("policy that does not exist is attached")
def _(asker: Asker) -> str:
    return asker.told("AttachPolicy", policyName=asker.name(), target=asker.person().arn)


@question("policies of a certificate: the tenth, the eleventh")
def _(asker: Asker) -> str:
    person = asker.person()
    told = [asker.told("AttachPolicy", policyName=asker.policy(_ANYTHING), target=person.arn) for _ in range(11)]
    return ", ".join(told[9:])


@question("policy detached while connected: publish")
def _(asker: Asker) -> str:
    person, name = asker.person(_CONNECT), asker.policy(allow("Publish", "topic/a"))
    asker.broker.call("AttachPolicy", policyName=name, target=person.arn)
    wire = asker.connect(person)
    before = wire.ask(publish("a"))
    asker.broker.call("DetachPolicy", policyName=name, target=person.arn)
    return f"{before}, then {wire.ask(publish('a'))}"


@question("policy version: a new default decides, the old one again, versions 5 and 6")
def _(asker: Asker) -> str:
    name, person = asker.policy(_ANYTHING), asker.person()
    asker.broker.call("AttachPolicy", policyName=name, target=person.arn)
    new = {"policyName": name, "policyDocument": document(deny("Connect", "*"))}
    asker.broker.call("CreatePolicyVersion", **new, setAsDefault=True)
    words = [asker.connect(person).connected]
    asker.broker.call("SetDefaultPolicyVersion", policyName=name, policyVersionId="1")
    words.append(asker.connect(person).connected)
    for _ in range(2):
        asker.broker.call("CreatePolicyVersion", **new, setAsDefault=False)
    words += [asker.told("CreatePolicyVersion", **new, setAsDefault=False) for _ in range(2)]
    return ", ".join(words)


@question("policy version: the default one deleted, another one, one that is not there")
def _(asker: Asker) -> str:
    name = asker.policy(_ANYTHING)
    asker.broker.call("CreatePolicyVersion", policyName=name, policyDocument=document(_ANYTHING), setAsDefault=True)
    return ", ".join(asker.told("DeletePolicyVersion", policyName=name, policyVersionId=each) for each in "2199")


@question("policy of a group, and of its parent")
def _(asker: Asker) -> str:
    parent, child, thing = asker.name("parent"), asker.name("child"), asker.thing()
    arn = asker.broker.call("CreateThingGroup", thingGroupName=parent)["thingGroupArn"]
    asker.broker.call("CreateThingGroup", thingGroupName=child, parentGroupName=parent)
    asker.broker.call("AddThingToThingGroup", thingName=thing, thingGroupName=child)
    asker.broker.call("AttachPolicy", policyName=asker.policy(_ANYTHING), target=arn)
    person = asker.person(things=(thing,))
    return f"as thing {asker.connect(person, thing).connected}, as another {asker.connect(person).connected}"


for _word, _text in {
        "2,048 characters and spaces": document(allow("Connect", "a" * 1900)) + " " * 400,
        "2,100 characters": document(allow("Connect", "a" * 2050)), "no JSON": "{",
        "no statement": json.dumps({"Version": "2012-10-17", "Statement": []}),
        "one statement, no list": json.dumps({"Version": "2012-10-17", "Statement": _ANYTHING}),
        "version 2008-10-17": document(_ANYTHING, version="2008-10-17"),
        "version 2020-01-01": document(_ANYTHING, version="2020-01-01"),
        "no version": json.dumps({"Statement": [_ANYTHING]}),
        "no effect": document({"Action": "iot:*", "Resource": "*"}),
        "effect Maybe": document(_ANYTHING | {"Effect": "Maybe"}),
        "no action": document({"Effect": "Allow", "Resource": "*"}),
        "action of another service": document(_ANYTHING | {"Action": "s3:GetObject"}),
        "action without a service": document(_ANYTHING | {"Action": "Connect"}),
        "action nobody knows": document(_ANYTHING | {"Action": "iot:Fly"}),
        "no resource": document({"Effect": "Allow", "Action": "iot:Connect"}),
        "resource that is no ARN": document(_ANYTHING | {"Resource": "topic/a"}),
        "NotAction": document({"Effect": "Deny", "NotAction": "iot:Connect", "Resource": "*"}),
        "NotResource": document({"Effect": "Deny", "Action": "iot:Publish", "NotResource": "*"}),
        "Principal": document(_ANYTHING | {"Principal": "*"}),
        "Sid twice": document(_ANYTHING | {"Sid": "a"}, _ANYTHING | {"Sid": "a"}),
        "unknown element": document(_ANYTHING | {"Colour": "red"}),
        "unknown operator": document(_ANYTHING | {"Condition": {"StringIsh": {"iot:ClientId": "a"}}}),
        "unknown condition key": document(_ANYTHING | {"Condition": {"StringEquals": {"iot:Colour": "a"}}}),
        "condition key in capitals": document(_ANYTHING | {"Condition": {"StringEquals": {"IOT:CLIENTID": "a"}}}),
        "empty list in a condition": document(_ANYTHING | {"Condition": {
            "ForAllValues:StringEquals": {"iot:ConnectAttributes": []}}}),
        "a key twice": '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}',
        "NaN": '{"Version": "2012-10-17", "Statement": [], "x": NaN}'}.items():
    @question(f"policy document: {_word}")
    def _(asker: Asker, text: str = _text) -> str:
        return asker.told("CreatePolicy", policyName=asker.name(), policyDocument=text)


# who may do what ---------------------------------------------------------------------------------------------------
_VERSIONS = ((V3_1_1, "3.1.1"), (V5, "5"))

for _version, _words in _VERSIONS:
    @question(f"MQTT {_words}: CONNECT that no policy allows")
    def _(asker: Asker, version: int = _version) -> str:
        return asker.connect(asker.person(allow("Connect", "client/other")), "me", version).connected

    @question(f"MQTT {_words}: PUBLISH that no policy allows, QoS 0 and 1")
    def _(asker: Asker, version: int = _version) -> str:
        person = asker.person(_CONNECT)
        return ", ".join(asker.connect(person, version=version).ask(publish("a", qos=qos)) for qos in (0, 1))

    @question(f"MQTT {_words}: PUBLISH with RETAIN, allowed to publish only")
    def _(asker: Asker, version: int = _version) -> str:
        wire = asker.connect(asker.person(_CONNECT, allow("Publish", "topic/a")), version=version)
        return f"{wire.ask(publish('a'))}, retained {wire.ask(publish('a', retain=True))}"

    @question(f"MQTT {_words}: SUBSCRIBE that no policy allows")
    def _(asker: Asker, version: int = _version) -> str:
        return asker.connect(asker.person(_CONNECT), version=version).ask(subscribe("a"))

    @question(f"MQTT {_words}: SUBSCRIBE of two filters, one of them allowed")
    def _(asker: Asker, version: int = _version) -> str:
        wire = asker.connect(asker.person(_CONNECT, allow("Subscribe", "topicfilter/a")), version=version)
        return wire.ask(Subscribe(1, (Subscription("a", 1), Subscription("b", 1))))

    @question(f"MQTT {_words}: will on a topic nobody allows; retained will, allowed to publish only")
    def _(asker: Asker, version: int = _version) -> str:
        person = asker.person(_CONNECT, allow("Publish", "topic/a"))
        wills = Will("b", b"x"), Will("a", b"x", 0, True), Will("a", b"x")
        return ", ".join(asker.connect(person, version=version, will=each).connected for each in wills)


@question("iot:Receive missing for one of two live messages")
def _(asker: Asker) -> str:
    wire = asker.connect(asker.person(_CONNECT, allow("Subscribe", "topicfilter/*"),
                                      allow("Receive", ["topic/a", "topic/sentinel"])))
    wire.ask(Subscribe(1, (Subscription("a", 1), Subscription("b", 1), Subscription(_SENTINEL, 1))))
    sender = asker.watcher()
    for topic in ("a", "b"):
        sender.ask(publish(topic))
    return " ".join(asker.flush(wire))


@question("iot:Receive taken away from a live subscription")
def _(asker: Asker) -> str:
    person, name = asker.person(_CONNECT, allow("Subscribe", "topicfilter/*"), allow("Receive", "topic/sentinel")), \
        asker.policy(allow("Receive", "topic/a"))
    asker.broker.call("AttachPolicy", policyName=name, target=person.arn)
    wire, sender = asker.connect(person), asker.watcher()
    wire.ask(Subscribe(1, (Subscription("a", 1), Subscription(_SENTINEL, 1))))
    sender.ask(publish("a"))
    asker.broker.call("DetachPolicy", policyName=name, target=person.arn)
    sender.ask(publish("a"))
    return " ".join(asker.flush(wire))


@question("iot:Receive missing for what was queued while away")
def _(asker: Asker) -> str:
    person, client = asker.person(_CONNECT, allow("Subscribe", "topicfilter/*"), allow("Receive", "topic/sentinel")), \
        asker.name("client")
    wire = asker.connect(person, client, clean=False)
    wire.ask(Subscribe(1, (Subscription("secret", 1), Subscription(_SENTINEL, 1))))
    wire.hang_up()
    asker.watcher().ask(publish("secret"))
    return " ".join(asker.flush(asker.connect(person, client, clean=False))) or "nothing"


@question("iot:Receive missing for a retained message")
def _(asker: Asker) -> str:
    asker.watcher().ask(publish("kept", retain=True))
    person = asker.person(_CONNECT, allow("Subscribe", "topicfilter/*"), allow("Receive", "topic/sentinel"))
    wire = asker.connect(person)
    wire.ask(Subscribe(1, (Subscription("kept", 1), Subscription(_SENTINEL, 1))))
    return " ".join(asker.flush(wire)) or "nothing"


for _text in ("$aws/things/x/shadow/get", "$aws/rules/r/x", "$aws/things/x/jobs/get", "$aws/certificates/create/json",
              "$aws/events/x", "$SYS/x", "$aws/things/x/shadow/get/accepted", "$share/g/x"):
    for _version, _words in _VERSIONS:
        @question(f"MQTT {_words}: PUBLISH to {_text} under iot:*")
        def _(asker: Asker, version: int = _version, text: str = _text) -> str:
            return asker.connect(asker.person(_ANYTHING), version=version).ask(publish(text, b"{}"))

for _text in ("$aws/things/x/shadow/get/accepted", "$aws/events/presence/connected/+", "$SYS/#", "$share/g/x", "#",
              "$aws/#", "$aws/things/x/jobs/notify", "$aws/certificates/create/json/accepted"):
    for _version, _words in _VERSIONS:
        @question(f"MQTT {_words}: SUBSCRIBE to {_text} under iot:*")
        def _(asker: Asker, version: int = _version, text: str = _text) -> str:
            return asker.connect(asker.person(_ANYTHING), version=version).ask(subscribe(text))


@question("variable: a common name with a star")
def _(asker: Asker) -> str:
    person = asker.person(_CONNECT, allow("Publish", "topic/${iot:Certificate.Subject.CommonName}"), names=("a*",))
    return asker.connect(person).ask(publish("a/secret"))


@question("variable: a client id with a plus, as the guide warns")
def _(asker: Asker) -> str:
    person = asker.person(_CONNECT, allow("Subscribe", "topicfilter/my/${iot:ClientId}/topic"))
    return asker.connect(person, "+").ask(subscribe("my/+/topic"))


@question("variable: a client id with a star")
def _(asker: Asker) -> str:
    return asker.connect(asker.person(_CONNECT, allow("Publish", "topic/my/${iot:ClientId}")), "*").ask(publish("my/x"))


@question("variable: thing attribute with a star")
def _(asker: Asker) -> str:
    thing = asker.thing(hall="a")
    person = asker.person(_CONNECT, allow("Publish", "topic/${iot:Connection.Thing.Attributes[hall]}/x"),
                          things=(thing,))
    return f"{asker.connect(person, thing).ask(publish('a/x'))}, {asker.connect(person).ask(publish('a/x'))}"
