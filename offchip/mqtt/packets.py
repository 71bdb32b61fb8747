# SPDX-License-Identifier: Apache-2.0
"""MQTT control packets as values (MQTT 3.1.1, chapter 3; MQTT 5.0, chapter 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

#: protocol levels (MQTT 5.0, 3.1.2.2)
V3_1, V3_1_1, V5 = 3, 4, 5


class Reason(IntEnum):
    """MQTT 5.0, 2.4: reason codes this broker or a client of it may say."""

    SUCCESS = 0x00
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    NOT_AUTHORIZED = 0x87
    SERVER_BUSY = 0x89
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    CONNECTION_RATE_EXCEEDED = 0x9F
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1


class Property(IntEnum):
    """MQTT 5.0, table 2-4."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A


#: property -> value; user properties are a list of (name, value), subscription identifiers a list of int
Properties = dict[Property, Any]


class Malformed(Exception):
    """Bytes the specification forbids; one sentence. ``code``: what MQTT 5.0 calls it."""

    def __init__(self, reason: str, code: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(reason)
        self.code = code


class UnsupportedVersion(Exception):
    """A CONNECT of another protocol or level than those of :data:`V3_1`, :data:`V3_1_1` and :data:`V5`."""


@dataclass(slots=True)
class Will:
    """``payload``: the will message; properties of MQTT 5.0 section 3.1.3.2."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connect:
    """``clean``: clean session, in MQTT 5.0 clean start; ``keep_alive`` in seconds, 0 for none."""

    client_id: str
    version: int = V3_1_1
    clean: bool = True
    keep_alive: int = 0
    will: Will | None = None
    user_name: str | None = None
    password: bytes | None = None
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connack:
    """``code``: return code below MQTT 5.0, reason code in it."""

    code: int = 0
    session_present: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Publish:
    """``packet_id``: 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    packet_id: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Puback:
    """Answer to a QoS 1 PUBLISH."""

    packet_id: int
    code: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Qos2Ack:
    """PUBREC, PUBREL or PUBCOMP; ``name`` says which."""

    name: str
    packet_id: int
    code: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options (MQTT 5.0, 3.8.3.1); ``identifier``: of the whole packet, or 0."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int = 0


@dataclass(slots=True)
class Subscribe:
    """At least one filter."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Suback:
    """One code for each filter, in order."""

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsubscribe:
    """At least one filter."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsuback:
    """``codes``: MQTT 5.0 only, one for each filter."""

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Pingreq:
    """Keep-alive."""


@dataclass(slots=True)
class Pingresp:
    """Answer to PINGREQ."""


@dataclass(slots=True)
class Disconnect:
    """From the client, in MQTT 5.0 from the server too."""

    code: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Auth:
    """MQTT 5.0's enhanced authentication."""

    code: int = 0
    properties: Properties = field(default_factory=dict)


Packet = (Connect | Connack | Publish | Puback | Qos2Ack | Subscribe | Suback | Unsubscribe | Unsuback | Pingreq
          | Pingresp | Disconnect | Auth)
