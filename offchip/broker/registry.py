# SPDX-License-Identifier: Apache-2.0
"""Certificates, things, policies and what is attached to what: the account as AWS IoT's control plane sees it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from offchip.broker.policy import Policy
from offchip.broker.variables import certificate_variables
from offchip.errors import BrokerError
from offchip.pki import Identity, certificate_id

#: AWS IoT Core quota
POLICIES_PER_CERTIFICATE = 10
REGION = "us-east-1"
ACCOUNT = "123456789012"

_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_FORMAT = 1

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
    """``attributes``: what ${iot:Connection.Thing.Attributes[x]} stands for."""

    name: str
    type_name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class CertificateRecord:
    """A registered certificate with its attachments."""

    certificate: x509.Certificate
    status: Status
    things: set[str] = field(default_factory=set)
    policies: list[str] = field(default_factory=list)

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

    Names follow AWS IoT's API; ``identifier`` is always a certificate id.
    """

    def __init__(self, region: str = REGION, account: str = ACCOUNT) -> None:
        self.region = region
        self.account = account
        self.certificates: dict[str, CertificateRecord] = {}
        self.things: dict[str, Thing] = {}
        self.policies: dict[str, Policy] = {}
        #: called with the certificate id after a change of status
        self.on_status: list[Callable[[str], None]] = []

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

    def certificate(self, identifier: str) -> CertificateRecord:
        """The record of a registered certificate."""
        if identifier not in self.certificates:
            raise BrokerError(f"certificate {identifier[:8]}: not registered")
        return self.certificates[identifier]

    def registering_authority(self, certificate: x509.Certificate) -> str | None:
        """Id of the registered CA with auto registration that signed a certificate."""
        return None

    # things --------------------------------------------------------------------------------------------------------
    def create_thing(self, name: str, type_name: str = "", attributes: dict[str, str] | None = None) -> Thing:
        """``name`` is also the MQTT client id the thing must use for thing policy variables to have values."""
        self._check_name("thing", name, self.things)
        thing = self.things[name] = Thing(name, type_name, dict(attributes or {}))
        return thing

    def attach_thing(self, identifier: str, thing: str) -> None:
        """AttachThingPrincipal; harmless when attached already."""
        self._find("thing", thing, self.things)
        self.certificate(identifier).things.add(thing)

    def detach_thing(self, identifier: str, thing: str) -> None:
        """DetachThingPrincipal; harmless when not attached."""
        self.certificate(identifier).things.discard(thing)

    # policies ------------------------------------------------------------------------------------------------------
    def create_policy(self, name: str, document: str | dict[str, Any]) -> Policy:
        """A new policy that nobody carries yet."""
        self._check_name("policy", name, self.policies)
        policy = self.policies[name] = Policy.parse(name, document)
        return policy

    def update_policy(self, name: str, document: str | dict[str, Any]) -> Policy:
        """CreatePolicyVersion with setAsDefault."""
        self._find("policy", name, self.policies)
        policy = self.policies[name] = Policy.parse(name, document)
        return policy

    def attach_policy(self, identifier: str, policy: str) -> None:
        """Harmless when attached already."""
        self._find("policy", policy, self.policies)
        record = self.certificate(identifier)
        if policy not in record.policies:
            if len(record.policies) == POLICIES_PER_CERTIFICATE:
                raise BrokerError(f"certificate {identifier[:8]}: AWS allows {POLICIES_PER_CERTIFICATE} policies")
            record.policies.append(policy)

    def detach_policy(self, identifier: str, policy: str) -> None:
        """Harmless when not attached."""
        record = self.certificate(identifier)
        if policy in record.policies:
            record.policies.remove(policy)

    def policies_of(self, identifier: str) -> list[Policy]:
        """The policies that decide for a certificate; none for an unknown one."""
        record = self.certificates.get(identifier)
        return [self.policies[name] for name in record.policies] if record else []

    # what policies may ask -----------------------------------------------------------------------------------------
    def context(self, identifier: str, client_id: str) -> dict[str, str | bool | list[str]]:
        """Policy variables of a session. A thing speaks only under its own name through an attached certificate."""
        record = self.certificates.get(identifier)
        context: dict[str, str | bool | list[str]] = {"iot:ClientId": client_id}
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
        """The thing of this MQTT client id, if the certificate is attached to it."""
        record = self.certificates.get(identifier)
        return self.things.get(client_id) if record and client_id in record.things else None

    # file ----------------------------------------------------------------------------------------------------------
    def save(self, path: Path) -> None:
        """Write everything as JSON, atomically."""
        content = {
            "format": _FORMAT, "region": self.region, "account": self.account,
            "things": [{"name": each.name, "type": each.type_name, "attributes": each.attributes}
                       for each in self.things.values()],
            "policies": [{"name": each.name, "document": json.loads(each.document)} for each in self.policies.values()],
            "certificates": [{"pem": each.certificate.public_bytes(Encoding.PEM).decode(), "status": each.status,
                              "things": sorted(each.things), "policies": each.policies}
                             for each in self.certificates.values()],
        }
        try:
            temporary = path.with_name(path.name + ".new")
            temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise BrokerError(f"{path}: cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Registry:
        """Read what :meth:`save` wrote."""
        try:
            content = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise BrokerError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise BrokerError(f"{path}: no registry: {error}") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise BrokerError(f"{path}: field 'format' must be {_FORMAT}")
        registry = cls(_get(path, content, "region", str), _get(path, content, "account", str))
        try:
            for where, entry in _entries(path, content, "things"):
                registry.create_thing(*(_get(where, entry, key, kind) for key, kind in
                                        (("name", str), ("type", str), ("attributes", dict))))
            for where, entry in _entries(path, content, "policies"):
                registry.create_policy(_get(where, entry, "name", str), _get(where, entry, "document", dict))
            for where, entry in _entries(path, content, "certificates"):
                registry._load_certificate(where, entry)
        except BrokerError as error:
            text = str(error)
            raise error if text.startswith(str(path)) else BrokerError(f"{path}: {text}") from None
        return registry

    def _load_certificate(self, where: object, entry: dict[str, Any]) -> None:
        try:
            certificate = x509.load_pem_x509_certificate(_get(where, entry, "pem", str).encode())
            status = Status(_get(where, entry, "status", str))
        except ValueError as error:
            raise BrokerError(f"{where}: pem or status: {error}") from error
        identifier = self.register_certificate(certificate, status)
        for thing in _get(where, entry, "things", list):
            self.attach_thing(identifier, str(thing))
        for policy in _get(where, entry, "policies", list):
            self.attach_policy(identifier, str(policy))

    @staticmethod
    def _check_name(kind: str, name: str, known: dict[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise BrokerError(f"{kind} '{name}': a name has 1 to 128 of a-z, A-Z, 0-9, colon, _ and -")
        if name in known:
            raise BrokerError(f"{kind} '{name}': exists already")

    @staticmethod
    def _find(kind: str, name: str, known: dict[str, Any]) -> None:
        if name not in known:
            raise BrokerError(f"{kind} '{name}': does not exist")


def _entries(path: Path, content: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    entries = [(f"{path}: {key}[{number}]", each) for number, each in enumerate(_get(path, content, key, list))]
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise BrokerError(f"{where}: not a JSON object")
    return entries


def _get(where: object, entry: dict[str, Any], key: str, kind: type) -> Any:
    if not isinstance(entry.get(key), kind):
        raise BrokerError(f"{where}: field '{key}' is missing or no {kind.__name__}")
    return entry[key]
