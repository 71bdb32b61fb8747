# SPDX-License-Identifier: Apache-2.0
"""An identity's life in the registry: claims, requests, just-in-time registration, exclusive things, groups, a file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from offchip.broker import events, store
from offchip.broker.profile import load_profile
from offchip.broker.registry import Registry, Status
from offchip.broker.world import CLAIM, NARROW, TEMPLATE, WIDE, issue_claim, temporary_claim
from offchip.errors import BrokerError
from offchip.pki import Authority, Identity
from tests.broker_lab import OWN, START, THING, Lab, telemetry

CREATE, FROM_CSR = "$aws/certificates/create/json", "$aws/certificates/create-from-csr/json"
REGISTER = f"$aws/provisioning-templates/{TEMPLATE}/provision/json"


@pytest.fixture
def lab() -> Lab:
    return Lab()


class Claimant:
    """A device that has nothing but the fleet's claim."""

    def __init__(self, lab: Lab, identity: Identity | None = None, client_id: str = "newcomer") -> None:
        self.client = lab.client(client_id, identity=identity or issue_claim(lab.world))
        if self.client.connected:
            for topic in (CREATE, FROM_CSR, REGISTER):
                assert self.client.subscribe(f"{topic}/accepted", f"{topic}/rejected")

    def ask(self, topic: str, content: dict | bytes = b"") -> tuple[str, dict]:
        """Whether it was accepted, and the answer."""
        count = len(self.client.messages)
        assert self.client.publish(topic, content if isinstance(content, bytes) else json.dumps(content).encode())
        answer, = self.client.messages[count:]
        return answer.topic.removeprefix(topic + "/"), json.loads(answer.payload)

    def own(self, lab: Lab, thing: str, **parameters: str) -> Identity:
        """An identity as its own thing."""
        kind, made = self.ask(CREATE)
        assert kind == "accepted", made
        kind, told = self.ask(REGISTER, {"certificateOwnershipToken": made["certificateOwnershipToken"],
                                         "parameters": {"ThingName": thing, **parameters}})
        assert kind == "accepted" and told["thingName"] == thing, told
        key = serialization.load_pem_private_key(made["privateKey"].encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        identity = Identity(x509.load_pem_x509_certificate(made["certificatePem"].encode()), key)
        assert identity.certificate_id == made["certificateId"]
        return identity


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "my device") -> str:
    request = (x509.CertificateSigningRequestBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).sign(key, hashes.SHA256()))
    return request.public_bytes(serialization.Encoding.PEM).decode()


# fleet provisioning ------------------------------------------------------------------------------------------------
def test_a_device_comes_back_with_a_claim(lab: Lab) -> None:
    """After a factory reset: a claim, a new key set, the old one out of use; then work as before."""
    old, claimant = lab.client(), Claimant(lab)
    identity = claimant.own(lab, THING, SerialNumber="s-1")
    assert not old.connected  # its certificate was retired
    assert lab.world.registry.certificate(lab.world.devices[THING].certificate_id).status is Status.INACTIVE
    assert lab.world.registry.things[THING].attributes == {"serial": "s-1"}
    claimant.client.disconnect()
    device = lab.client(identity=identity)
    assert device.connected and device.publish(OWN, telemetry(1, START))
    assert [each.topic for each in lab.world.processor.accepted] == [OWN]
    assert events.ThingProvisioned(THING, identity.certificate_id, TEMPLATE) in lab.broker.events
    again = Lab()
    assert Claimant(again).own(again, THING).certificate_id == identity.certificate_id  # same seed, same keys


def test_a_new_thing_is_made_with_narrow_rights(lab: Lab) -> None:
    identity = Claimant(lab).own(lab, "thing-7")
    device = lab.client("thing-7", identity=identity)
    assert device.publish("offchip/things/thing-7", b"{}") and not device.publish(OWN, b"{}")
    assert lab.world.registry.principals_of("thing-7") == [identity.certificate_id]


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
                         ids=["EC", "RSA"])
def test_a_key_may_stay_in_the_device(lab: Lab, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    claimant = Claimant(lab)
    kind, made = claimant.ask(FROM_CSR, {"certificateSigningRequest": csr(key)})
    assert kind == "accepted" and "privateKey" not in made
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "my device"
    assert lab.world.registry.certificate(made["certificateId"]).status is Status.PENDING_ACTIVATION
    identity = Identity(certificate, key)
    assert not lab.client("thing-8", identity=identity).connected
    claimant.ask(REGISTER, {"certificateOwnershipToken": made["certificateOwnershipToken"],
                            "parameters": {"ThingName": "thing-8"}})
    assert lab.client("thing-8", identity=identity).connected


def test_requests_that_are_rejected(lab: Lab) -> None:
    claimant, key = Claimant(lab), ec.generate_private_key(ec.SECP256R1())
    _, made = claimant.ask(CREATE)
    token = made["certificateOwnershipToken"]
    other = csr(key).replace("A", "B", 3)
    for topic, content, code in (
            (FROM_CSR, {"certificateSigningRequest": "x"}, "InvalidCsr"), (FROM_CSR, {}, "InvalidPayload"),
            (FROM_CSR, {"certificateSigningRequest": other}, "InvalidCsr"), (FROM_CSR, b"{", "InvalidPayload"),
            (REGISTER, b"[]", "InvalidPayload"), (REGISTER, {"certificateOwnershipToken": "x"},
                                                  "InvalidCertificateOwnershipToken"),
            (REGISTER, {"certificateOwnershipToken": token}, "InvalidParameters"),
            (REGISTER, {"certificateOwnershipToken": token, "parameters": {"ThingName": "no such name"}},
             "InvalidRequest"),
            (REGISTER, {"certificateOwnershipToken": token, "parameters": {"ThingName": 7}}, "InvalidPayload")):
        kind, told = claimant.ask(topic, content)
        assert (kind, told["errorCode"]) == ("rejected", code) and told["statusCode"] == 400 and told["errorMessage"]
    lab.world.provisioning.hook = lambda template, parameters, claim: parameters["ThingName"] == "thing-9"
    assert claimant.ask(REGISTER, {"certificateOwnershipToken": token, "parameters": {"ThingName": THING}})[1][
        "errorCode"] == "AccessDenied"
    assert claimant.ask(REGISTER, {"certificateOwnershipToken": token, "parameters": {"ThingName": "thing-9"}})[0] \
        == "accepted"
    assert {each.code for each in lab.new(events.ProvisioningRefused)} >= {"AccessDenied", "InvalidCsr"}


def test_tokens_are_used_once_and_expire(lab: Lab) -> None:
    claimant, thief = Claimant(lab), Claimant(lab, client_id="thief")
    _, made = claimant.ask(CREATE)
    request = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"ThingName": "thing-9"}}
    assert thief.ask(REGISTER, request)[0] == "rejected"  # another claim's token
    assert claimant.ask(REGISTER, request)[0] == "accepted" and claimant.ask(REGISTER, request)[0] == "rejected"
    _, late = claimant.ask(CREATE)
    lab.clock.advance(3600)
    request["certificateOwnershipToken"] = late["certificateOwnershipToken"]
    assert claimant.ask(REGISTER, request)[1]["errorCode"] == "InvalidCertificateOwnershipToken"
    assert late["certificateId"] not in lab.world.registry.certificates


def test_answers_are_for_who_asked(lab: Lab) -> None:
    """Private keys travel on a topic that every claimant subscribes to."""
    one, two = Claimant(lab), Claimant(lab, client_id="other")
    one.ask(CREATE)
    assert two.client.messages == []


def test_a_claim_can_do_nothing_else(lab: Lab) -> None:
    for act in (lambda c: c.publish(OWN, b"x"), lambda c: c.subscribe("offchip/#"),
                lambda c: c.publish("$aws/provisioning-templates/other/provision/json", b"{}"),
                lambda c: c.publish("$aws/things/thing-1/shadow/update", b"{}")):
        assert not act(Claimant(lab).client)
    assert len(lab.new(events.PublishForbidden)) == 3


def test_temporary_claims_expire(lab: Lab) -> None:
    claim = temporary_claim(lab.world)
    assert Claimant(lab, claim).client.connected
    lab.clock.advance(301)
    assert not lab.client("late", identity=claim).connected
    assert lab.new(events.CertificateRefused)[-1].reason == "expired"


# just in time ------------------------------------------------------------------------------------------------------
def test_just_in_time_registration(lab: Lab) -> None:
    foreign = Authority("maker", name="maker CA")
    device, registry = foreign.issue_device("lamp-1"), lab.world.registry
    assert not lab.client("lamp-1", identity=device).connected and lab.new(events.TlsFailed)
    ca = registry.register_ca_certificate(foreign.root.certificate, auto_registration=True)
    watcher = lab.client("watcher", identity=_enrolled(lab, "watcher", WIDE))
    watcher.subscribe("$aws/events/certificates/registered/#")
    assert not lab.client("lamp-1", identity=device).connected
    assert registry.certificate(device.certificate_id).status is Status.PENDING_ACTIVATION
    told = json.loads(watcher.messages[0].payload)
    assert watcher.messages[0].topic.endswith(ca) and told["certificateId"] == device.certificate_id
    registry.create_thing("lamp-1")
    registry.attach_thing(device.certificate_id, "lamp-1")
    registry.attach_policy(device.certificate_id, NARROW)
    registry.update_certificate(device.certificate_id, "ACTIVE")
    assert lab.client("lamp-1", identity=device).connected


def test_just_in_time_provisioning(lab: Lab) -> None:
    foreign = Authority("maker", name="maker CA")
    registry = lab.world.registry
    registry.create_provisioning_template("jit", {
        "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
        "Resources": {
            "t": {"Type": "AWS::IoT::Thing", "Properties": {
                "ThingName": {"Fn::Join": ["-", ["lamp", {"Ref": "AWS::IoT::Certificate::CommonName"}]]}}},
            "p": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {
                "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}}}}})
    registry.register_ca_certificate(foreign.root.certificate, True, "jit")
    device = foreign.issue_device("7")
    assert not lab.client("lamp-7", identity=device).connected and lab.client("lamp-7", identity=device).connected
    assert "lamp-7" in registry.things


def test_a_certificate_without_a_ca(lab: Lab) -> None:
    foreign = Authority("nobody knows me", name="nobody")
    device, stranger = foreign.issue_device("x"), foreign.issue_device("y")
    identifier = lab.world.registry.register_certificate_without_ca(device)
    lab.world.registry.attach_policy(identifier, WIDE)
    assert lab.client("x", identity=device).connected and not lab.client("y", identity=stranger).connected
    assert lab.new(events.TlsFailed)


def test_rsa_clients(lab: Lab) -> None:
    key = rsa.generate_private_key(65537, 2048)
    certificate = lab.world.authority.sign_request(csr(key).encode())
    identifier = lab.world.registry.register_certificate(certificate)
    lab.world.registry.attach_policy(identifier, WIDE)
    assert lab.client("x", identity=Identity(certificate, key)).connected


# things and policies -----------------------------------------------------------------------------------------------
def _enrolled(lab: Lab, name: str, policy: str) -> Identity:
    identity = lab.world.authority.issue_device(name)
    identifier = lab.world.registry.register_certificate(identity)
    lab.world.registry.attach_policy(identifier, policy)
    return identity


def test_exclusive_things(lab: Lab) -> None:
    registry = lab.world.registry
    registry.create_thing("gate")
    identity = _enrolled(lab, "gate", NARROW)
    registry.attach_thing(identity.certificate_id, "gate", exclusive=True)
    with pytest.raises(BrokerError, match="exclusive"):
        registry.attach_thing(lab.world.devices[THING].certificate_id, "gate")
    with pytest.raises(BrokerError, match="exclusive"):
        registry.attach_thing(identity.certificate_id, THING)
    with pytest.raises(BrokerError, match="exclusive"):
        registry.attach_thing(lab.world.devices[THING].certificate_id, "gate", True)
    assert lab.client("gate", identity=identity).connected
    assert lab.new(events.Connected)[-1].thing == "gate"
    old = Registry(profile=load_profile().with_changes(exclusive_things=False))
    old.create_thing("gate")
    old.attach_thing(old.register_certificate(identity), "gate", exclusive=True)
    assert old.thing_of(identity.certificate_id, "any") is None
    assert registry.thing_of(identity.certificate_id, "any") is registry.things["gate"]


def test_policies_of_groups_and_their_parents_count(lab: Lab) -> None:
    registry = lab.world.registry
    registry.create_thing_group("all")
    registry.create_thing_group("doors", "all")
    registry.add_thing_to_group(THING, "doors")
    registry.attach_policy_to_group("all", WIDE)
    assert lab.client().publish("anywhere", b"") and not lab.client("thing-2", "thing-2").publish("anywhere", b"")


def test_a_certificate_is_deleted_when_nothing_holds_it(lab: Lab) -> None:
    registry, identifier = lab.world.registry, lab.world.devices[THING].certificate_id
    for step in (lambda: registry.update_certificate(identifier, "INACTIVE"),
                 lambda: registry.detach_thing(identifier, THING), lambda: registry.detach_policy(identifier, NARROW)):
        with pytest.raises(BrokerError, match="deactivate and detach"):
            registry.delete_certificate(identifier)
        step()
    registry.delete_certificate(identifier)
    assert identifier not in registry.certificates


def test_versions_of_a_policy(lab: Lab) -> None:
    registry = lab.world.registry
    nothing = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "iot:*", "Resource": "*"}}
    number = registry.create_policy_version(NARROW, nothing)
    assert not lab.client().connected
    registry.set_default_policy_version(NARROW, 1)
    assert lab.client().connected
    with pytest.raises(BrokerError, match="default"):
        registry.delete_policy_version(NARROW, 1)
    registry.delete_policy_version(NARROW, number)
    with pytest.raises(BrokerError, match="no version"):
        registry.set_default_policy_version(NARROW, number)


# shadows -----------------------------------------------------------------------------------------------------------
def test_a_shadow_of_an_ordinary_device() -> None:
    lab = Lab(policy=WIDE)
    device, prefix = lab.client(), "$aws/things/thing-1/shadow"

    def ask(operation: str, content: dict | bytes = b"") -> list[tuple[str, dict]]:
        count = len(device.messages)
        device.publish(f"{prefix}/{operation}", content if isinstance(content, bytes) else json.dumps(content).encode())
        return [(each.topic.removeprefix(f"{prefix}/{operation}/"), json.loads(each.payload))
                for each in device.messages[count:]]

    device.subscribe(f"{prefix}/+/accepted", f"{prefix}/+/rejected", f"{prefix}/update/delta",
                     f"{prefix}/update/documents")
    assert ask("get")[0][1]["code"] == 404
    assert [each[0] for each in ask("update", {"state": {"reported": {"on": False}}})] == ["accepted", "documents"]
    answers = dict(ask("update", {"state": {"desired": {"on": True}}, "clientToken": "t"}))
    assert answers["delta"]["state"] == {"on": True} and answers["accepted"]["clientToken"] == "t"
    assert answers["documents"]["previous"]["version"] == 1 and answers["documents"]["current"]["version"] == 2
    state = ask("get")[0][1]
    assert state["state"] == {"desired": {"on": True}, "reported": {"on": False}, "delta": {"on": True}}
    assert state["metadata"]["reported"]["on"]["timestamp"] == int(START.timestamp()) and state["version"] == 2
    assert ask("update", {"state": {"reported": {"on": True}}, "version": 1})[0][1]["code"] == 409
    assert dict(ask("update", {"state": {"reported": {"on": True}, "desired": {"on": None}}})).keys() == {
        "accepted", "documents"}
    assert lab.world.shadows.state(THING) == {"reported": {"on": True}}
    assert "delta" not in ask("get")[0][1]["state"]
    for bad, code in ((b"{", 400), ({"state": 7}, 400), ({"state": {"else": {}}}, 400), (bytes(9000), 413),
                      ({"state": {"desired": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}}}, 400)):
        (kind, told), = ask("update", bad)
        assert (kind, told["code"]) == ("rejected", code)
    assert ask("delete")[0][1]["version"] == 3 and ask("get")[0][1]["code"] == 404
    assert ask("update", {"state": {"reported": {}}})[0][1]["version"] == 4
    assert device.publish(f"{prefix}/name/lights/update", b'{"state":{"desired":{"x":1}}}')
    assert lab.world.shadows.state(THING, "lights") == {"desired": {"x": 1}}


def test_a_delta_comes_as_long_as_there_is_a_difference() -> None:
    """All of it, with the times at which it was desired, whoever changed what (developer guide, "Interacting with
    shadows", UPDATE)."""
    lab = Lab(policy=WIDE)
    device, topic = lab.client(keep_alive=1200), "$aws/things/thing-1/shadow/update"
    device.subscribe(f"{topic}/delta")

    def update(**state: object) -> dict | None:
        device.messages.clear()
        lab.clock.advance(10)
        device.publish(topic, json.dumps({"state": state}).encode())
        return json.loads(device.messages[0].payload) if device.messages else None

    start = int(START.timestamp())
    assert update(reported={"a": 1, "b": {"c": 1}}) is None
    assert update(desired={"a": 2})["state"] == {"a": 2}  # type: ignore[index]
    told = update(desired={"b": {"c": 3}})
    assert told is not None and told["state"] == {"a": 2, "b": {"c": 3}}
    assert told["metadata"] == {"a": {"timestamp": start + 20}, "b": {"c": {"timestamp": start + 30}}}
    told = update(reported={"a": 7})  # not what was wanted
    assert told is not None and told["state"] == {"a": 2, "b": {"c": 3}} and told["version"] == 4
    assert told["metadata"]["a"] == {"timestamp": start + 20}
    assert update(reported={"a": 2})["state"] == {"b": {"c": 3}}  # type: ignore[index]
    assert update(reported={"b": {"c": 3}}) is None
    assert update(desired=None) is None


def test_a_shadow_s_number_is_remembered_for_two_days() -> None:
    for hours, version in ((47, 3), (48, 1)):
        lab = Lab(policy=WIDE)
        shadow = "$aws/things/thing-1/shadow"
        for step in (b'{"state":{"reported":{"a":1}}}', b'{"state":{"reported":{"a":2}}}'):
            lab.client().publish(f"{shadow}/update", step)
        lab.client().publish(f"{shadow}/delete", b"")
        kept = json.loads(json.dumps(lab.world.shadows.dump()))
        lab.world.shadows.restore({})
        lab.world.shadows.restore(kept)
        lab.clock.advance(hours * 3600)
        device = lab.client()
        device.subscribe(f"{shadow}/update/accepted")
        device.publish(f"{shadow}/update", b'{"state":{"reported":{"a":1}}}')
        assert json.loads(device.messages[0].payload)["version"] == version


def test_a_refused_update_of_a_shadow_leaves_nothing_behind() -> None:
    lab = Lab(policy=WIDE)
    device, topic = lab.client(), "$aws/things/thing-1/shadow/update"
    device.subscribe(f"{topic}/rejected")
    assert device.publish(topic, b'{"state": {"desired": {"a": 1}}}')
    for bad, code in ((b'{"state": {"desired": {"a": 2}, "reported": 7}}', 400),
                      (b'{"state": {"desired": {"a": NaN}}}', 400), (b'{"state": {"desired": {"a": 1e999}}}', 400),
                      (b'{"state": {"desired": {"a": 2}}, "clientToken": 7}', 400),
                      (b'{"state": {"desired": {"a": 2}}, "clientToken": "%s"}' % (b"x" * 65), 400),
                      (b'{"state": {"desired": {"a": 2}}, "version": true}', 400),
                      (b'{"state": {"desired": {"a": 2}}, "version": 7}', 409), (b"\xff", 400)):
        device.publish(topic, bad)
        assert json.loads(device.messages[-1].payload)["code"] == code
        assert lab.world.shadows.state(THING) == {"desired": {"a": 1}}
    for number in range(3):  # each within the limit of a message, together beyond that of a document
        device.publish(topic, json.dumps({"state": {"reported": {str(number): "x" * 4000}}}).encode())
    assert json.loads(device.messages[-1].payload)["code"] == 413
    assert lab.world.shadows.state(THING)["reported"].keys() == {"0", "1"}


# the file ----------------------------------------------------------------------------------------------------------
def test_the_registry_goes_on_where_it_was(tmp_path: Path) -> None:
    lab, path = Lab(), tmp_path / "registry.sqlite"
    registry = lab.world.registry
    registry.create_thing_group("all")
    registry.create_thing_group("doors", "all")
    registry.add_thing_to_group(THING, "doors")
    registry.attach_policy_to_group("doors", CLAIM)
    registry.create_policy_version(NARROW, registry.policies[WIDE].document, as_default=False)
    registry.register_ca_certificate(Authority("maker", name="m").root.certificate, True, TEMPLATE)
    registry.register_certificate_without_ca(Authority("self", name="s").issue_device("s"))
    registry.update_certificate(lab.world.devices["thing-2"].certificate_id, "REVOKED")
    registry.update_thing(THING, {"hall": "east"})
    store.save(registry, path)
    store.save(registry, path)
    again = store.load(path)
    for (table, rows), saved in zip(store._rows(again).items(), store._rows(registry).values(), strict=True):
        assert sorted(rows, key=repr) == sorted(saved, key=repr), table
    assert again.policies_of(lab.world.devices[THING].certificate_id, again.things[THING])[0].name == NARROW
    assert again.certificate(lab.world.devices["thing-2"].certificate_id).status is Status.REVOKED
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_registries_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with pytest.raises(BrokerError, match="no such file"):
        store.load(path)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 10)
    with pytest.raises(BrokerError, match="registry.sqlite: no registry"):
        store.load(path)
    for damage in ("UPDATE account SET format = 1", "UPDATE certificate SET status = 'WELL'", "DROP TABLE thing",
                   "UPDATE certificate SET pem = 'x'", "UPDATE thing SET attributes = '{'",
                   "INSERT INTO attached_policy VALUES (NULL, 'none', 'none')",
                   "UPDATE certificate SET id = 'x' WHERE rowid = 1",
                   "INSERT INTO policy VALUES ('p', 1, 1, '{}')", "DELETE FROM account"):
        path.unlink(missing_ok=True)
        store.save(Lab().world.registry, path)
        with sqlite3.connect(path) as database:
            database.execute(damage)
        database.close()
        with pytest.raises(BrokerError) as refusal:
            store.load(path)
        assert "registry.sqlite" in str(refusal.value) and "\n" not in str(refusal.value)
    with pytest.raises(BrokerError, match="cannot be written"):
        store.save(Registry(), tmp_path / "absent" / "x")


def test_templates_name_what_is_wrong() -> None:
    registry = Registry()
    for document, part in (("{", "not JSON"), ({}, "Resources"), ({"Resources": {"x": {"Type": "AWS::S3"}}}, "'x'"),
                           ({"Resources": {"c": {"Type": "AWS::IoT::Certificate"}}}, "AWS::IoT::Thing"),
                           ({"Resources": {"p": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {}}}}},
                            "Version")):
        with pytest.raises(BrokerError, match=part):
            registry.create_provisioning_template("t", document)
