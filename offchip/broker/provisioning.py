# SPDX-License-Identifier: Apache-2.0
"""Fleet provisioning by claim over MQTT (AWS IoT developer guide, "Device provisioning MQTT API"): how a device that
lost everything gets an identity of its own again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from offchip.broker import events
from offchip.broker.payload import json_object
from offchip.broker.registry import Registry, Status
from offchip.broker.services import Reply, Request
from offchip.broker.session import Message
from offchip.broker.templates import MissingParameter, Plan, Template
from offchip.errors import BrokerError, PkiError
from offchip.pki import Authority

#: the owner's word on a request: template, parameters, id of the claim certificate (AWS: pre-provisioning hook)
Hook = Callable[[str, Mapping[str, str], str], bool]
_CREATE, _FROM_CSR = "$aws/certificates/create/", "$aws/certificates/create-from-csr/"
_COMMON_NAME = "AWS IoT Certificate"


class _Rejected(Exception):
    """The request gets an answer on ``rejected``."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.code = status, code


@dataclass(slots=True)
class _Pending:
    """A certificate made over MQTT that no thing has yet."""

    certificate_id: str
    claim_id: str
    until: datetime


def apply(registry: Registry, plan: Plan, identifier: str) -> None:
    """Make what a plan names and tie it to a certificate; what exists already is used. Raises BrokerError."""
    if plan.thing not in registry.things:
        registry.create_thing(plan.thing, plan.type_name, plan.attributes)
    else:
        registry.update_thing(plan.thing, plan.attributes)
    for group in plan.groups:
        registry.add_thing_to_group(plan.thing, group)
    names = list(plan.policies)
    for document in plan.documents:
        name = hashlib.sha256(document.encode()).hexdigest()[:40]
        if name not in registry.versions:
            registry.create_policy(name, document)
        names.append(name)
    for name in names:
        registry.attach_policy(identifier, name)
    registry.attach_thing(identifier, plan.thing)


class OwnersList:
    """A pre-provisioning hook: a claim made for one thing enrols that thing and no other.

    A claim that is not on the list is the fleet's own, or a trusted user's: AWS lets it ask for any name.
    """

    def __init__(self) -> None:
        self._thing_of: dict[str, str] = {}

    def bind(self, claim_id: str, thing: str) -> None:
        """The claim certificate was put into this thing."""
        self._thing_of[claim_id] = thing

    def __call__(self, template: str, parameters: Mapping[str, str], claim_id: str) -> bool:
        return claim_id not in self._thing_of or parameters.get("ThingName") == self._thing_of[claim_id]


class FleetProvisioning:
    """CreateKeysAndCertificate, CreateCertificateFromCsr and RegisterThing.

    ``authority`` signs; ``hook`` None allows everybody with a claim. ``retire``: certificates a thing had before become
    INACTIVE when it is provisioned again, so that a device that comes back has one identity.
    """

    def __init__(self, registry: Registry, authority: Authority, now: Callable[[], datetime],
                 log: Callable[[events.Event], None], seed: int | str = 1, hook: Hook | None = None,
                 retire: bool = True) -> None:
        self.hook, self.retire = hook, retire
        self._registry, self._authority, self._now, self._log = registry, authority, now, log
        self._seed = f"{seed}".encode()
        self._pending: dict[str, _Pending] = {}

    def answer(self, request: Request) -> Sequence[Reply]:
        """Replies go to the client that asked, and to nobody else who subscribes to their topic."""
        try:
            result = self._do(request)
        except _Rejected as error:
            self._log(events.ProvisioningRefused(request.client_id, request.topic, error.code, str(error)))
            kind, result = "rejected", {"statusCode": error.status, "errorCode": error.code,
                                        "errorMessage": str(error)}
        else:
            kind = "accepted"
        return [Reply(Message(f"{request.topic}/{kind}", json.dumps(result).encode(), 1), private=True)]

    def expire(self) -> None:
        """Certificates nobody registered a thing with in time are deleted."""
        now = self._now()
        for token, pending in tuple(self._pending.items()):
            if now >= pending.until:
                del self._pending[token]
                record = self._registry.certificates.get(pending.certificate_id)
                if record and record.status is Status.PENDING_ACTIVATION:
                    self._registry.delete_certificate(pending.certificate_id)

    # the three operations ------------------------------------------------------------------------------------------
    def _do(self, request: Request) -> dict[str, Any]:
        self.expire()
        if not request.topic.endswith("/json"):
            raise _Rejected(400, "InvalidTopicOperation", "payloads in CBOR are not modelled; use JSON")
        if request.topic.startswith(_CREATE):
            identity = self._authority.issue_device(_COMMON_NAME)
            answer = self._own(identity.certificate, request)
            return answer | {"privateKey": identity.key_pem.decode()}
        content = _content(request.payload)
        if request.topic.startswith(_FROM_CSR):
            return self._own(self._sign(content), request)
        return self._register_thing(request, content)

    def _sign(self, content: Mapping[str, Any]) -> x509.Certificate:
        text = content.get("certificateSigningRequest")
        if not isinstance(text, str):
            raise _Rejected(400, "InvalidPayload", "certificateSigningRequest is missing")
        try:
            return self._authority.sign_request(text.encode())
        except PkiError as error:
            raise _Rejected(400, "InvalidCsr", str(error)) from error

    def _own(self, certificate: x509.Certificate, request: Request) -> dict[str, Any]:
        try:
            identifier = self._registry.register_certificate(certificate, Status.PENDING_ACTIVATION)
        except BrokerError as error:
            raise _Rejected(400, "InvalidCsr", str(error)) from error
        token = hmac.new(self._seed, f"{identifier}\0{request.client_id}".encode(), "sha512").hexdigest()
        until = self._now() + timedelta(seconds=self._registry.profile.ownership_token_seconds)
        self._pending[token] = _Pending(identifier, request.certificate_id, until)
        self._log(events.CertificateRegistered(identifier, "fleet provisioning"))
        return {"certificateId": identifier, "certificatePem": certificate.public_bytes(Encoding.PEM).decode(),
                "certificateOwnershipToken": token}

    def _register_thing(self, request: Request, content: Mapping[str, Any]) -> dict[str, Any]:
        template = self._template(request.topic)
        parameters = content.get("parameters", {})
        if not isinstance(parameters, dict) or not all(isinstance(each, str) for each in parameters.values()):
            raise _Rejected(400, "InvalidPayload", "parameters must be an object of texts")
        token = content.get("certificateOwnershipToken")
        pending = self._pending.get(token) if isinstance(token, str) else None
        if not pending or pending.claim_id != request.certificate_id:
            raise _Rejected(400, "InvalidCertificateOwnershipToken", "the token is unknown, used, expired or another's")
        if self.hook and not self.hook(template.name, parameters, request.certificate_id):
            raise _Rejected(403, "AccessDenied", "the pre-provisioning hook does not allow it")
        identifier = pending.certificate_id
        before = self._provision(template, parameters, identifier)
        del self._pending[str(token)]
        plan = template.plan(parameters)
        self._registry.update_certificate(identifier, plan.status)
        self._log(events.ThingProvisioned(plan.thing, identifier, template.name))
        if self.retire:
            for each in before:
                self._registry.update_certificate(each, Status.INACTIVE)
        return {"deviceConfiguration": plan.device_configuration, "thingName": plan.thing}

    def _template(self, topic: str) -> Template:
        name = topic.split("/")[2]
        template = self._registry.templates.get(name)
        if template is None or not template.enabled:
            raise _Rejected(404, "ResourceNotFoundException", f"there is no provisioning template '{name}'")
        return template

    def _provision(self, template: Template, parameters: Mapping[str, str], identifier: str) -> list[str]:
        """Returns the certificates the thing had before."""
        try:
            plan = template.plan(parameters)
            before = [each for each in self._registry.principals_of(plan.thing) if each != identifier]
            apply(self._registry, plan, identifier)
        except MissingParameter as error:
            raise _Rejected(400, "InvalidParameters", str(error)) from error
        except BrokerError as error:
            raise _Rejected(400, "InvalidRequest", str(error)) from error
        return before


def _content(payload: bytes) -> dict[str, Any]:
    try:
        return json_object(payload)
    except ValueError as error:
        raise _Rejected(400, "InvalidPayload", f"no JSON object: {error}") from error
