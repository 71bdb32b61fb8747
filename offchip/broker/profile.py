# SPDX-License-Identifier: Apache-2.0
"""What the broker does where AWS IoT Core differs by date, by document, or from MQTT 3.1.1.

Each behaviour of a profile carries its source, date and confidence: ``documented`` (AWS), ``reported`` (by users in
public issues) or ``assumed`` (ours). A profile may name another one that it ``extends``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from offchip.errors import BrokerError

_FOLDER = Path(__file__).parent / "profiles"
DEFAULT_PROFILE = "aws-2026"
#: services of AWS that nobody plays here: a switch that says so and has one position
_NOT_MODELLED = {"device_defender", "file_delivery", "commands", "device_location"}


class Confidence(StrEnum):
    """How sure we are that AWS behaves so."""

    DOCUMENTED = "documented"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a value comes from, and the test that shows it. ``source`` is '' only for assumptions."""

    source: str
    date: str
    confidence: Confidence
    note: str
    test: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of behaviours; times in seconds, sizes in bytes."""

    name: str
    evidence: Mapping[str, Evidence]
    tls_versions: tuple[str, ...]
    tls12_ciphers: tuple[str, ...]
    require_sni: bool
    alpn_protocols: tuple[str, ...]
    inactive_drops_sessions: bool
    deactivation_delay_seconds: int
    certificate_validity_checked: bool
    policies_per_certificate: int
    policy_versions: int
    policy_characters: int
    policy_cache_seconds: int
    receive_asked_on_delivery: bool
    ownership_token_seconds: int
    claim_certificate_seconds: int
    fleet_provisioning: bool
    just_in_time_registration: bool
    exclusive_things: bool
    protocol_levels: tuple[str, ...]
    forbidden_connect_code: int
    connect_timeout_seconds: int
    connections_maximum: int
    keep_alive_minimum: int
    keep_alive_maximum: int
    keep_alive_percent: int
    client_id_bytes: int
    duplicate_client_id_takes_over: bool
    forbidden_will_refuses_connect: bool
    session_expiry_seconds: int
    session_expiry_maximum_seconds: int
    lifecycle_events: bool
    connect_failed_events: bool
    disconnect_reason_in_events: bool
    version_number_reset_seconds: int
    forbidden_publish_closes: bool
    forbidden_subscribe_closes: bool
    mqtt5_forbidden_publish_closes: bool
    mqtt5_forbidden_subscribe_closes: bool
    unsupported_reserved_topics_close: bool
    retained_messages: bool
    retained_on_wildcard: bool
    retained_expiry_seconds: int
    retained_maximum: int
    retained_bytes: int
    multilevel_wildcard_matches_parent: bool
    resend_sets_duplicate: bool
    retry_seconds: int
    retry_for_seconds: int
    unacknowledged_messages: int
    unacknowledged_inbound: int
    queued_messages: int
    queued_bytes: int
    queued_bytes_total: int
    sessions_maximum: int
    write_buffer_bytes: int
    mqtt5_qos2_disconnects: bool
    mqtt5_nobody_there_codes: bool
    mqtt5_disconnect_says_why: bool
    shared_subscriptions: bool
    subscription_identifiers: bool
    topic_alias_maximum: int
    user_property_bytes: int
    payload_bytes: int
    topic_bytes: int
    topic_slashes: int
    filters_per_subscribe: int
    subscriptions_per_connection: int
    rate_limits_enforced: bool
    connects_per_second_per_client: int
    connects_per_second: int
    publishes_per_second: int
    bytes_per_second: int
    replay_per_second: int
    basic_ingest: bool
    shadows: bool
    jobs: bool
    device_defender: bool
    file_delivery: bool
    commands: bool
    device_location: bool
    audit_delay_seconds: int

    def with_changes(self, **changes: Any) -> Profile:
        """A copy with other values, for what-if tests; its name says them. Raises BrokerError for a behaviour that does
        not exist."""
        if absent := sorted(name for name in _NOT_MODELLED if changes.get(name)):
            raise BrokerError(f"profile {self.name}: {_absent(absent[0])}")
        said = "".join(f" {name}={value}" for name, value in changes.items())
        try:
            return replace(self, **{"name": self.name + said, **changes})
        except TypeError as error:
            raise BrokerError(f"profile {self.name}: {error}") from error


_BEHAVIOURS: dict[str, object] = {each.name: each.type for each in fields(Profile)
                                  if each.name not in ("name", "evidence")}


def load_profile(name: str | Path = DEFAULT_PROFILE) -> Profile:
    """Read a profile by name (``aws-2026``, ``aws-2018``) or by path. Raises BrokerError."""
    path = name if isinstance(name, Path) else _FOLDER / f"{name}.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BrokerError(f"{path}: no such profile; known by name are {', '.join(profile_names())}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrokerError(f"{path}: unreadable profile: {error}") from error
    parent = document.pop("extends", None)
    base = _parent(path, parent) if parent is not None else None
    missing = set() if base else set(_BEHAVIOURS) - set(document)
    for wrong in sorted(set(document) - set(_BEHAVIOURS) or missing):
        raise BrokerError(f"{path}: behaviour '{wrong}' is {'unknown' if wrong in document else 'missing'}")
    read = {key: _behaviour(path, key, entry) for key, entry in document.items()}
    values = {key: each[0] for key, each in read.items()}
    evidence = {key: each[1] for key, each in read.items()}
    if base:
        return replace(base, name=path.stem, evidence=MappingProxyType({**base.evidence, **evidence}), **values)
    return Profile(name=path.stem, evidence=MappingProxyType(evidence), **values)


def named_profile(text: str) -> Profile:
    """What a person names on a command line: a profile, or a TOML file of his own. Raises BrokerError."""
    return load_profile(Path(text) if text.endswith(".toml") else text)


def profile_names() -> list[str]:
    """The profiles known by name."""
    return sorted(each.stem for each in _FOLDER.glob("*.toml"))


def _parent(path: Path, name: object) -> Profile:
    if not isinstance(name, str) or name == path.stem or name not in profile_names():
        raise BrokerError(f"{path}: extends must name one of {', '.join(profile_names())}, and not itself")
    return load_profile(name)


def _behaviour(path: Path, key: str, entry: object) -> tuple[Any, Evidence]:
    required = {"value", "source", "date", "confidence", "test"}
    if not isinstance(entry, dict) or not required <= set(entry) <= required | {"note"}:
        raise BrokerError(f"{path}: [{key}] needs value, source, date, confidence and test, and may have a "
                          "note")
    value = tuple(entry["value"]) if isinstance(entry["value"], list) else entry["value"]
    kinds: dict[str, type] = {"bool": bool, "int": int}
    kind = kinds.get(str(_BEHAVIOURS[key]), tuple)
    texts = value if isinstance(value, tuple) else ()
    if type(value) is not kind or not all(isinstance(each, str) for each in texts):
        raise BrokerError(f"{path}: [{key}] value is no {'list of texts' if kind is tuple else kind.__name__}")
    if key in _NOT_MODELLED and value:
        raise BrokerError(f"{path}: {_absent(key)}")
    try:
        confidence = Confidence(entry["confidence"])
    except ValueError:
        raise BrokerError(f"{path}: [{key}] confidence is one of {', '.join(Confidence)}") from None
    if not entry["source"] and confidence is not Confidence.ASSUMED:
        raise BrokerError(f"{path}: [{key}] is {confidence} and names no source")
    return value, Evidence(entry["source"], entry["date"], confidence, entry.get("note", ""),
                           entry["test"])


def _absent(key: str) -> str:
    return f"[{key}] cannot be true: nobody answers there, each request is noted in an event and the connection stays"
