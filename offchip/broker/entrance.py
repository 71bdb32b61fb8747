# SPDX-License-Identifier: Apache-2.0
"""Whose certificate may be used: the registry's word, the clock's, and just-in-time registration."""

from __future__ import annotations

import json

from cryptography import x509

from offchip.broker import events
from offchip.broker.hub import Hub
from offchip.broker.provisioning import apply
from offchip.broker.registry import AuthorityRecord, Status
from offchip.broker.session import Message
from offchip.errors import BrokerError


class Entrance:
    """Stands between TLS, which knows who signed a certificate, and MQTT."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def fault(self, identifier: str) -> str | None:
        """Why this certificate may not be used now, or None."""
        hub = self._hub
        record = hub.registry.certificates.get(identifier)
        if record is None:
            return "not registered"
        if record.status is not Status.ACTIVE:
            return f"status {record.status}"
        if not hub.profile.certificate_validity_checked:
            return None
        now = hub.now()
        if now < record.certificate.not_valid_before_utc:
            return "not yet valid"
        return "expired" if now > record.certificate.not_valid_after_utc else None

    def present(self, identifier: str, der: bytes, connection: int) -> bool:
        """A certificate was shown: one of a CA with auto registration comes into the registry, not active yet.

        True when it did; this connection is of no use then (developer guide, "Just-in-time registration").
        """
        hub = self._hub
        if identifier in hub.registry.certificates or not hub.profile.just_in_time_registration:
            return False
        certificate = x509.load_der_x509_certificate(der)
        authority = hub.registry.registering_authority(certificate)
        if authority is None:
            return False
        hub.registry.register_certificate(certificate, Status.PENDING_ACTIVATION)
        hub.log(events.CertificateRegistered(identifier, "just in time"), connection)
        content = {"certificateId": identifier, "caCertificateId": authority,
                   "timestamp": int(hub.now().timestamp() * 1000), "certificateStatus": "PENDING_ACTIVATION",
                   "awsAccountId": hub.registry.account, "certificateRegistrationTimestamp": None}
        hub.route(Message(f"$aws/events/certificates/registered/{authority}", json.dumps(content).encode(), 1))
        self._provision(identifier, hub.registry.authorities[authority])
        return True

    def _provision(self, identifier: str, authority: AuthorityRecord) -> None:
        """Just-in-time provisioning: the CA's template at work; the device connects again and is let in."""
        hub = self._hub
        if not authority.template:
            return
        template = hub.registry.templates[authority.template]
        try:
            plan = template.plan(_parameters(identifier, hub.registry.certificates[identifier].variables))
            apply(hub.registry, plan, identifier)
            hub.registry.update_certificate(identifier, plan.status)
        except BrokerError as error:
            hub.log(events.ProvisioningRefused("", "", "JustInTimeProvisioning", str(error)))
        else:
            hub.log(events.ThingProvisioned(plan.thing, identifier, template.name))


def _parameters(identifier: str, variables: dict[str, str | list[str]]) -> dict[str, str]:
    """What a template of just-in-time provisioning may refer to (developer guide, "Just-in-time provisioning")."""
    subject = "iot:Certificate.Subject."
    found = {f"AWS::IoT::Certificate::{name.removeprefix(subject)}": value for name, value in variables.items()
             if name.startswith(subject) and isinstance(value, str)}
    return found | {"AWS::IoT::Certificate::Id": identifier,
                    "AWS::IoT::Certificate::SerialNumber": str(variables["iot:Certificate.SerialNumber"])}
