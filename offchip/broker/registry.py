# SPDX-License-Identifier: Apache-2.0
"""Certificates, things, groups, policies and who is attached to what: the account as AWS IoT's control plane has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from offchip.broker.names import check_name, find_name
from offchip.broker.policy import Policy, Value
from offchip.broker.profile import Profile, load_profile
from offchip.broker.templates import Template
from offchip.broker.variables import certificate_variables
from offchip.errors import BrokerError
from offchip.pki import Identity, certificate_id

REGION = "us-east-1"
ACCOUNT = "123456789012"


class Status(StrEnum):
    """Status of a certificate; only ACTIVE authenticates (API UpdateCertificate)."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    REVOKED = "REVOKED"
    PENDING_TRANSFER = "PENDING_TRANSFER"
    PENDING_ACTIVATION = "PENDING_ACTIVATION"
    REGISTER_INACTIVE = "REGISTER_INACTIVE"  # deprecated


#: AWS sets these itself, UpdateCertificate refuses them
_INTERNAL = {Status.PENDING_TRANSFER, Status.PENDING_ACTIVATION}


@dataclass(slots=True)
class Thing:
    """``attributes``: what ${iot:Connection.Thing.Attributes[x]} stands for; ``groups``: by name."""

    name: str
    type_name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ThingGroup:
    """A static group; its policies, and its parents', count for its things."""

    name: str
    parent: str = ""
    policies: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PolicyVersions:
    """``default``: the version that decides."""

    versions: dict[int, Policy]
    default: int


@dataclass(slots=True)
class AuthorityRecord:
    """A registered CA. ``template``: provisions what is registered just in time; '' for none."""

    certificate: x509.Certificate
    auto_registration: bool
    template: str = ""


@dataclass
class CertificateRecord:
    """A registered certificate with its attachments. ``exclusive``: the one thing it speaks for, under any client id;
    ``own_authority``: AWS's form without a CA, so TLS must trust the certificate itself."""

    certificate: x509.Certificate
    status: Status
    things: set[str] = field(default_factory=set)
    policies: list[str] = field(default_factory=list)
    exclusive: str = ""
    own_authority: bool = False

    @property
    def certificate_id(self) -> str:
        """SHA-256 of the DER form in hex."""
        return certificate_id(self.certificate)

    @cached_property
    def variables(self) -> dict[str, str | list[str]]:
        """What policies may ask about it."""
        return certificate_variables(self.certificate)


class Registry:
    """One account in one region. Methods raise BrokerError with one sentence.

    Names follow AWS IoT's API; ``identifier`` is always a certificate id. The quotas are the profile's.
    """

    def __init__(self, region: str = REGION, account: str = ACCOUNT, profile: Profile | None = None) -> None:
        self.region = region
        self.account = account
        self.profile = profile or load_profile()
        self.certificates: dict[str, CertificateRecord] = {}
        self.authorities: dict[str, AuthorityRecord] = {}
        self.things: dict[str, Thing] = {}
        self.groups: dict[str, ThingGroup] = {}
        self.templates: dict[str, Template] = {}
        self.versions: dict[str, PolicyVersions] = {}
        #: grows with every change that may make a policy decide otherwise
        self.revision = 0
        #: called with the certificate id after a change of status
        self.on_status: list[Callable[[str], None]] = []
        #: called with a certificate TLS has to trust from now on
        self.on_trust: list[Callable[[x509.Certificate], None]] = []

    def arn(self, kind: str, name: str) -> str:
        """``kind``: client, topic or topicfilter."""
        return f"arn:aws:iot:{self.region}:{self.account}:{kind}/{name}"

    # certificates --------------------------------------------------------------------------------------------------
    def register_certificate(self, certificate: x509.Certificate | Identity, status: Status = Status.ACTIVE) -> str:
        """Returns the certificate id; refuses one that is registered already."""
        leaf = certificate.certificate if isinstance(certificate, Identity) else certificate
        identifier = certificate_id(leaf)
        if identifier in self.certificates:
            raise BrokerError(f"certificate {identifier[:8]}: registered already")
        self.certificates[identifier] = CertificateRecord(leaf, status)
        self.revision += 1
        return identifier

    def register_certificate_without_ca(self, certificate: x509.Certificate | Identity,
                                        status: Status = Status.ACTIVE) -> str:
        """RegisterCertificateWithoutCA: whoever signed it, even itself, need not be known."""
        identifier = self.register_certificate(certificate, status)
        record = self.certificates[identifier]
        record.own_authority = True
        for tell in self.on_trust:
            tell(record.certificate)
        return identifier

    def update_certificate(self, identifier: str, status: Status | str) -> None:
        """UpdateCertificate: setting the present status again changes nothing; PENDING ones are AWS's own."""
        record = self.certificate(identifier)
        try:
            wanted = Status(status)
        except ValueError:
            raise BrokerError(f"'{status}' is no status of a certificate; there are {', '.join(Status)}") from None
        if wanted in _INTERNAL:
            raise BrokerError(f"certificate {identifier[:8]}: {wanted} is set by AWS IoT itself, not by a caller")
        if record.status is not wanted:
            record.status = wanted
            for tell in self.on_status:
                tell(identifier)

    def delete_certificate(self, identifier: str) -> None:
        """DeleteCertificate: it must not be ACTIVE, nor attached to things or policies."""
        record = self.certificate(identifier)
        if record.status is Status.ACTIVE or record.things or record.policies:
            raise BrokerError(f"certificate {identifier[:8]}: is active or attached to things or policies; "
                              "deactivate and detach it first")
        del self.certificates[identifier]
        self.revision += 1

    def certificate(self, identifier: str) -> CertificateRecord:
        """The record of a registered certificate."""
        if identifier not in self.certificates:
            raise BrokerError(f"certificate {identifier[:8]}: not registered")
        return self.certificates[identifier]

    def register_ca_certificate(self, certificate: x509.Certificate, auto_registration: bool = False,
                                template: str = "") -> str:
        """RegisterCACertificate; ``template``: just-in-time provisioning. Returns the CA certificate's id."""
        identifier = certificate_id(certificate)
        if identifier in self.authorities:
            raise BrokerError(f"CA certificate {identifier[:8]}: registered already")
        if template:
            find_name("provisioning template", template, self.templates)
        self.authorities[identifier] = AuthorityRecord(certificate, auto_registration, template)
        for tell in self.on_trust:
            tell(certificate)
        return identifier

    def registering_authority(self, certificate: x509.Certificate) -> str | None:
        """Id of the registered CA with auto registration that signed a certificate."""
        for identifier, record in self.authorities.items():
            if record.auto_registration and signed_by(certificate, record.certificate):
                return identifier
        return None

    def to_trust(self) -> Iterator[x509.Certificate]:
        """What TLS has to trust because of the registry."""
        yield from (each.certificate for each in self.authorities.values())
        yield from (each.certificate for each in self.certificates.values() if each.own_authority)

    # things --------------------------------------------------------------------------------------------------------
    def create_thing(self, name: str, type_name: str = "", attributes: dict[str, str] | None = None) -> Thing:
        """``name`` is also the MQTT client id the thing must use for thing policy variables to have values.

        CreateThing: the same once more is harmless, the name with another type or other attributes is refused.
        """
        present, wanted = self.things.get(name), dict(attributes or {})
        if present and (present.type_name, present.attributes) == (type_name, wanted):
            return present
        check_name("thing", name, self.things)
        thing = self.things[name] = Thing(name, type_name, wanted)
        self.revision += 1
        return thing

    def update_thing(self, name: str, attributes: Mapping[str, str]) -> None:
        """UpdateThing: merges the attributes."""
        find_name("thing", name, self.things)
        self.things[name].attributes = {**self.things[name].attributes, **attributes}
        self.revision += 1

    def create_thing_group(self, name: str, parent: str = "") -> ThingGroup:
        """A static group."""
        check_name("thing group", name, self.groups)
        if parent:
            find_name("thing group", parent, self.groups)
        group = self.groups[name] = ThingGroup(name, parent)
        return group

    def add_thing_to_group(self, thing: str, group: str) -> None:
        """Harmless when it is in there already."""
        find_name("thing", thing, self.things)
        find_name("thing group", group, self.groups)
        self.things[thing].groups.add(group)
        self.revision += 1

    def attach_thing(self, identifier: str, thing: str, exclusive: bool = False) -> None:
        """AttachThingPrincipal; harmless when attached already. ``exclusive``: neither has another partner."""
        find_name("thing", thing, self.things)
        record = self.certificate(identifier)
        others = [each for each in self.certificates.values() if thing in each.things and each is not record]
        if (exclusive and (others or record.things - {thing}) or any(each.exclusive for each in others)
                or record.exclusive and record.exclusive != thing):
            raise BrokerError(f"thing '{thing}' and certificate {identifier[:8]}: one of them has an exclusive "
                              "partner, or would lose another one")
        record.things.add(thing)
        record.exclusive = thing if exclusive else record.exclusive
        self.revision += 1

    def detach_thing(self, identifier: str, thing: str) -> None:
        """DetachThingPrincipal; harmless when not attached."""
        record = self.certificate(identifier)
        record.things.discard(thing)
        self.revision += 1
        if record.exclusive == thing:
            record.exclusive = ""

    def principals_of(self, thing: str) -> list[str]:
        """ListThingPrincipals: ids of the certificates attached to a thing."""
        return [identifier for identifier, record in self.certificates.items() if thing in record.things]

    # policies ------------------------------------------------------------------------------------------------------
    @property
    def policies(self) -> dict[str, Policy]:
        """The default versions by name."""
        return {name: each.versions[each.default] for name, each in self.versions.items()}

    def create_policy(self, name: str, document: str | dict[str, Any]) -> Policy:
        """A new policy that nobody carries yet."""
        check_name("policy", name, self.versions)
        policy = self._parse(name, document)
        self.versions[name] = PolicyVersions({1: policy}, 1)
        self.revision += 1
        return policy

    def create_policy_version(self, name: str, document: str | dict[str, Any], as_default: bool = True) -> int:
        """CreatePolicyVersion; returns its number."""
        find_name("policy", name, self.versions)
        record = self.versions[name]
        if len(record.versions) >= self.profile.policy_versions:
            raise BrokerError(f"policy '{name}': AWS allows {self.profile.policy_versions} versions; delete one first")
        number = max(record.versions) + 1
        record.versions[number] = self._parse(name, document)
        if as_default:
            record.default = number
            self.revision += 1
        return number

    def set_default_policy_version(self, name: str, number: int) -> None:
        """SetDefaultPolicyVersion."""
        find_name("policy", name, self.versions)
        if number not in self.versions[name].versions:
            raise BrokerError(f"policy '{name}': there is no version {number}")
        self.versions[name].default = number
        self.revision += 1

    def delete_policy_version(self, name: str, number: int) -> None:
        """DeletePolicyVersion; not the default one."""
        find_name("policy", name, self.versions)
        record = self.versions[name]
        if number == record.default or number not in record.versions:
            raise BrokerError(f"policy '{name}': version {number} is the default one, or there is none")
        del record.versions[number]

    def update_policy(self, name: str, document: str | dict[str, Any]) -> Policy:
        """A new default version; the oldest other one goes when there are too many."""
        find_name("policy", name, self.versions)
        record = self.versions[name]
        policy = self._parse(name, document)
        if len(record.versions) >= self.profile.policy_versions:
            del record.versions[min(each for each in record.versions if each != record.default)]
        record.default = max(record.versions) + 1
        record.versions[record.default] = policy
        self.revision += 1
        return policy

    def attach_policy(self, identifier: str, policy: str) -> None:
        """Harmless when attached already."""
        find_name("policy", policy, self.versions)
        record, most = self.certificate(identifier), self.profile.policies_per_certificate
        if policy not in record.policies:
            if len(record.policies) >= most:
                raise BrokerError(f"certificate {identifier[:8]}: AWS allows {most} policies")
            record.policies.append(policy)
            self.revision += 1

    def attach_policy_to_group(self, group: str, policy: str) -> None:
        """Harmless when attached already."""
        find_name("thing group", group, self.groups)
        find_name("policy", policy, self.versions)
        if policy not in self.groups[group].policies:
            self.groups[group].policies.append(policy)
            self.revision += 1

    def detach_policy(self, identifier: str, policy: str) -> None:
        """Harmless when not attached."""
        record = self.certificate(identifier)
        if policy in record.policies:
            record.policies.remove(policy)
            self.revision += 1

    def policies_of(self, identifier: str, thing: Thing | None = None) -> list[Policy]:
        """The policies that decide for a certificate as ``thing``, those of its groups included; none for an unknown
        one."""
        record = self.certificates.get(identifier)
        if record is None:
            return []
        names: Iterable[str] = record.policies
        if thing and thing.groups:
            names = dict.fromkeys([*names, *self._group_policies(thing)])
        return [self.versions[name].versions[self.versions[name].default] for name in names]

    def _group_policies(self, thing: Thing) -> Iterator[str]:
        for name in sorted(thing.groups):
            while name:
                yield from self.groups[name].policies
                name = self.groups[name].parent

    def _parse(self, name: str, document: str | dict[str, Any]) -> Policy:
        return Policy.parse(name, document, self.profile.policy_characters)

    # provisioning --------------------------------------------------------------------------------------------------
    def create_provisioning_template(self, name: str, document: str | dict[str, Any]) -> Template:
        """CreateProvisioningTemplate."""
        check_name("provisioning template", name, self.templates)
        template = self.templates[name] = Template.parse(name, document)
        return template

    # what policies may ask -----------------------------------------------------------------------------------------
    def context(self, identifier: str, client_id: str) -> dict[str, Value]:
        """Policy variables of a session. A thing speaks only under its own name through an attached certificate."""
        record = self.certificates.get(identifier)
        context: dict[str, Value] = {"iot:ClientId": client_id}
        thing = self.thing_of(identifier, client_id)
        context["iot:Connection.Thing.IsAttached"] = thing is not None
        if thing:
            # the second spelling stands in examples of the developer guide ("Publish/Subscribe policy examples")
            context["iot:Connection.Thing.ThingName"] = context["iot:Thing.ThingName"] = thing.name
            if thing.type_name:
                context["iot:Connection.Thing.ThingTypeName"] = thing.type_name
            for key, value in thing.attributes.items():
                context[f"iot:Connection.Thing.Attributes[{key}]"] = value
        if record:
            context.update(record.variables)
        return context

    def thing_of(self, identifier: str, client_id: str) -> Thing | None:
        """The thing of this MQTT client id, if the certificate is attached to it; an exclusive one in any case."""
        record = self.certificates.get(identifier)
        if record and record.exclusive and self.profile.exclusive_things:
            return self.things.get(record.exclusive)
        return self.things.get(client_id) if record and client_id in record.things else None


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether ``authority`` issued ``certificate`` directly."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
