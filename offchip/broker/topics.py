# SPDX-License-Identifier: Apache-2.0
"""Topic names and filters: MQTT 3.1.1 section 4.7 with AWS IoT Core's limits."""

from __future__ import annotations

from offchip.broker.profile import Profile

#: what a client may subscribe to under the reserved ``$``
_OPEN_RESERVED = ("$aws/events/",)


def topic_fault(topic: str, profile: Profile) -> str | None:
    """Why nobody may publish there, or None."""
    if "+" in topic or "#" in topic:
        return f"topic '{topic}' contains a wildcard"
    if topic.startswith("$"):
        return f"topic '{topic}' is reserved"
    return _common_fault(topic, profile)


def filter_fault(text: str, profile: Profile) -> str | None:
    """Why nobody may subscribe to it, or None."""
    levels = text.split("/")
    for number, level in enumerate(levels):
        if "+" in level and level != "+" or "#" in level and (level != "#" or number != len(levels) - 1):
            return f"filter '{text}' has a wildcard out of place"
    if text.startswith("$") and not text.startswith(_OPEN_RESERVED):
        return f"filter '{text}' is reserved"
    return _common_fault(text, profile)


def has_wildcard(text: str) -> bool:
    """Whether a filter may match more than one topic."""
    return "+" in text or "#" in text


def matches(text: str, topic: str, with_parent: bool) -> bool:
    """Whether filter ``text`` matches ``topic``. ``with_parent``: ``a/#`` matches ``a`` too, as in MQTT 3.1.1."""
    wanted, levels = text.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for number, level in enumerate(wanted):
        if level == "#":
            return number < len(levels) or with_parent
        if number >= len(levels) or level not in ("+", levels[number]):
            return False
    return len(wanted) == len(levels)


def _common_fault(text: str, profile: Profile) -> str | None:
    size = len(text.encode())
    if not text or "\0" in text:
        return "a topic or filter is empty or contains a zero"
    if size > profile.topic_bytes:
        return f"a topic or filter of {size} bytes; {profile.topic_bytes} are allowed"
    if text.count("/") > profile.topic_slashes:
        return f"'{text}' has {text.count('/')} slashes; {profile.topic_slashes} are allowed"
    return None
