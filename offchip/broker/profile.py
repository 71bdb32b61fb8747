# SPDX-License-Identifier: Apache-2.0
"""What the broker does where AWS IoT Core differs by date, by document, or from MQTT 3.1.1.

Each behaviour of a profile carries its source, date and confidence: ``documented`` (AWS), ``reported`` (by users in
public issues) or ``assumed`` (ours).
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


class Confidence(StrEnum):
    """How sure we are that AWS behaves so."""

    DOCUMENTED = "documented"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a value comes from. ``source`` is '' only for assumptions."""

    source: str
    date: str
    confidence: Confidence
    note: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of behaviours; times in seconds, sizes in bytes."""

    name: str
    evidence: Mapping[str, Evidence]
    tls_versions: tuple[str, ...]
    tls12_ciphers: tuple[str, ...]
    require_sni: bool
    inactive_drops_sessions: bool
    policy_cache_seconds: int
    forbidden_connect_code: int
    keep_alive_minimum: int
    keep_alive_maximum: int
    session_expiry_seconds: int
    retained_messages: bool
    retained_on_wildcard: bool
    multilevel_wildcard_matches_parent: bool
    payload_bytes: int
    client_id_bytes: int
    topic_bytes: int
    topic_slashes: int
    filters_per_subscribe: int
    subscriptions_per_connection: int
    unacknowledged_messages: int

    def with_changes(self, **changes: Any) -> Profile:
        """A copy with other values, for what-if tests. Raises BrokerError for a behaviour that does not exist."""
        try:
            return replace(self, **changes)
        except TypeError as error:
            raise BrokerError(f"profile {self.name}: {error}") from error


_BEHAVIOURS = {each.name: each.type for each in fields(Profile) if each.name not in ("name", "evidence")}


def load_profile(name: str | Path = DEFAULT_PROFILE) -> Profile:
    """Read a profile by name (``aws-2026``, ``aws-2018``) or by path. Raises BrokerError."""
    path = name if isinstance(name, Path) else _FOLDER / f"{name}.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in _FOLDER.glob("*.toml")))
        raise BrokerError(f"{path}: no such profile; known by name are {known}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrokerError(f"{path}: unreadable profile: {error}") from error
    if set(document) != set(_BEHAVIOURS):
        wrong = min(set(document) ^ set(_BEHAVIOURS))
        raise BrokerError(f"{path}: behaviour '{wrong}' is {'unknown' if wrong in document else 'missing'}")
    read = {key: _behaviour(path, key, entry) for key, entry in document.items()}
    return Profile(name=path.stem, evidence=MappingProxyType({key: each[1] for key, each in read.items()}),
                   **{key: each[0] for key, each in read.items()})


def _behaviour(path: Path, key: str, entry: object) -> tuple[Any, Evidence]:
    required = {"value", "source", "date", "confidence"}
    if not isinstance(entry, dict) or not required <= set(entry) <= required | {"note"}:
        raise BrokerError(f"{path}: [{key}] needs value, source, date and confidence, and may have a note")
    value = tuple(entry["value"]) if isinstance(entry["value"], list) else entry["value"]
    kind = {"bool": bool, "int": int}.get(str(_BEHAVIOURS[key]), tuple)
    if type(value) is not kind or (kind is tuple and not all(isinstance(each, str) for each in value)):
        raise BrokerError(f"{path}: [{key}] value is no {'list of texts' if kind is tuple else kind.__name__}")
    try:
        confidence = Confidence(entry["confidence"])
    except ValueError:
        raise BrokerError(f"{path}: [{key}] confidence is one of {', '.join(Confidence)}") from None
    if not entry["source"] and confidence is not Confidence.ASSUMED:
        raise BrokerError(f"{path}: [{key}] is {confidence} and names no source")
    return value, Evidence(entry["source"], entry["date"], confidence, entry.get("note", ""))
