# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Device Defender's audit, with its names and its delay: what an owner finds out hours later (developer guide,
"Audit checks"). Nothing here reacts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchip.broker import events
from offchip.broker.events import DisconnectReason
from offchip.broker.policy import Effect, Policy, Statement
from offchip.broker.registry import Status
from offchip.broker.server import Broker

_EXPIRING = timedelta(days=30)
_WEAK = "its key is none of RSA with at least 2048 or EC with at least 256 bits"
_OPEN = ("iot:publish", "iot:subscribe", "iot:receive")


class Severity(StrEnum):
    """As AWS rates its checks."""

    CRITICAL = "Critical"
    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


@dataclass(frozen=True, slots=True)
class Finding:
    """``resource``: certificate id, client id or policy name."""

    check: str
    severity: Severity
    resource: str
    reason: str


def audit(broker: Broker) -> list[Finding]:
    """Run every check now, on what happened in the profile's ``audit_delay_seconds`` before."""
    return [*_shared(broker), *_conflicting(broker), *_policies(broker), *_certificates(broker), *_retired(broker),
            *_authorities(broker), *_logging(broker)]


def _recent(broker: Broker) -> Iterator[events.Event]:
    since = broker.now() - timedelta(seconds=broker.profile.audit_delay_seconds)
    return (each for each in broker.events if each.time >= since)


def _shared(broker: Broker) -> Iterator[Finding]:
    """Two connections of one certificate at the same time."""
    live: dict[str, set[int]] = defaultdict(set)
    most: dict[str, int] = defaultdict(int)
    owners: dict[int, str] = {}
    for event in _recent(broker):
        if isinstance(event, events.Connected):
            owners[event.connection] = event.certificate_id
            live[event.certificate_id].add(event.connection)
            most[event.certificate_id] = max(most[event.certificate_id], len(live[event.certificate_id]))
        elif isinstance(event, events.Disconnected) and event.connection in owners:
            live[owners.pop(event.connection)].discard(event.connection)
    for identifier, count in most.items():
        if count > 1:
            yield Finding("DEVICE_CERTIFICATE_SHARED_CHECK", Severity.CRITICAL, identifier,
                          f"{count} connections at once used this certificate")


def _conflicting(broker: Broker) -> Iterator[Finding]:
    counts: dict[str, int] = defaultdict(int)
    for event in _recent(broker):
        if isinstance(event, events.Disconnected) and event.reason is DisconnectReason.DUPLICATE_CLIENTID:
            counts[event.client_id] += 1
    for client_id, count in counts.items():
        yield Finding("CONFLICTING_CLIENT_IDS_CHECK", Severity.HIGH, client_id,
                      f"{count} connections were disconnected by another one with the same client id")


def _policies(broker: Broker) -> Iterator[Finding]:
    """Of those that somebody carries."""
    registry = broker.registry
    carried = {name for each in registry.certificates.values() if each.status is Status.ACTIVE
               for name in each.policies}
    carried |= {name for each in registry.groups.values() for name in each.policies}
    for name, policy in registry.policies.items():
        if name in carried and any(map(_is_open, _allowing(policy))):
            yield Finding("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", Severity.CRITICAL, name,
                          "allows broad access, however the thing is called")


def _allowing(policy: Policy) -> list[Statement]:
    return [each for each in policy.statements if each.effect is Effect.ALLOW and not each.conditions]


def _is_open(statement: Statement) -> bool:
    """A data plane action on resources that end in a wildcard and name neither topic nor thing before it."""
    actions = [each.lower() for each in statement.actions]
    if not any(each in ("*", "iot:*") or each in _OPEN for each in actions):
        return False
    return any(each == "*" or each.rsplit(":", 1)[-1] in ("*", "topic/*", "topicfilter/*")
               for each in statement.resources)


def _certificates(broker: Broker) -> Iterator[Finding]:
    now = broker.now()
    for identifier, record in broker.registry.certificates.items():
        if record.status is not Status.ACTIVE:
            continue
        if record.certificate.not_valid_after_utc <= now + _EXPIRING:
            yield Finding("DEVICE_CERTIFICATE_EXPIRING_CHECK", Severity.MEDIUM, identifier,
                          f"expires {record.certificate.not_valid_after_utc:%Y-%m-%d}")
        if not _strong(record.certificate):
            yield Finding("DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", Severity.CRITICAL, identifier, _WEAK)


def _retired(broker: Broker) -> Iterator[Finding]:
    """Certificates out of use that a live session still goes by: deactivation that did not, or not yet, reach it."""
    for session in broker.sessions.values():
        record = broker.registry.certificates.get(session.certificate_id)
        if session.link and record and record.status in (Status.REVOKED, Status.INACTIVE):
            yield Finding("REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", Severity.MEDIUM, session.certificate_id,
                          f"is {record.status}, and '{session.client_id}' is connected with it")


def _authorities(broker: Broker) -> Iterator[Finding]:
    """Of registered CAs, all of them ACTIVE here."""
    now = broker.now()
    for identifier, authority in broker.registry.authorities.items():
        if authority.certificate.not_valid_after_utc <= now + _EXPIRING:
            yield Finding("CA_CERTIFICATE_EXPIRING_CHECK", Severity.MEDIUM, identifier,
                          f"expires {authority.certificate.not_valid_after_utc:%Y-%m-%d}")
        if not _strong(authority.certificate):
            yield Finding("CA_CERTIFICATE_KEY_QUALITY_CHECK", Severity.CRITICAL, identifier, _WEAK)


def _logging(broker: Broker) -> Iterator[Finding]:
    if not broker.profile.lifecycle_events:
        yield Finding("LOGGING_DISABLED_CHECK", Severity.LOW, broker.registry.account, "nobody is told who connects")


def _strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048 \
        or isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256
