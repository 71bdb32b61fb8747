# SPDX-License-Identifier: Apache-2.0
"""Topic names and filters: MQTT 3.1.1 section 4.7 with AWS IoT Core's limits."""

from __future__ import annotations

from functools import lru_cache

from offchip.broker.profile import Profile

_SHARE = "$share/"
_UNCOUNTED = (("$aws/rules/", 3), ("$aws/commands/", 1))


def topic_fault(topic: str, profile: Profile) -> str | None:
    """Why nobody may publish there, or None. What a client may do under ``$`` is :mod:`offchip.broker.reserved`'s."""
    if "+" in topic or "#" in topic:
        return f"topic '{topic}' contains a wildcard"
    return _common_fault(topic, profile)


def filter_fault(text: str, profile: Profile) -> str | None:
    """Why nobody may subscribe to it, or None."""
    group, inner = split_shared(text)
    if text.startswith(_SHARE):
        if not profile.shared_subscriptions:
            return f"filter '{text}': there are no shared subscriptions"
        if not group or not inner or has_wildcard(group):
            return f"filter '{text}' is no shared subscription; $share/<group>/<filter> is"
    levels = inner.split("/")
    for number, level in enumerate(levels):
        if "+" in level and level != "+" or "#" in level and (level != "#" or number != len(levels) - 1):
            return f"filter '{text}' has a wildcard out of place"
    return _common_fault(inner, profile)


def split_shared(text: str) -> tuple[str, str]:
    """Group and filter of ``$share/<group>/<filter>`` (MQTT 5.0, 4.8.2); an empty group for every other filter."""
    if not text.startswith(_SHARE):
        return "", text
    group, _, inner = text[len(_SHARE):].partition("/")
    return group, inner


def has_wildcard(text: str) -> bool:
    """Whether a filter may match more than one topic."""
    return "+" in text or "#" in text


@lru_cache(maxsize=4096)
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
    # the prefix of basic ingest, $aws/rules/<rule>/, is not counted; AWS's own answers to commands have eight
    slashes = text.count("/") - next((n for prefix, n in _UNCOUNTED if text.startswith(prefix)), 0)
    if slashes > profile.topic_slashes:
        return f"'{text}' has {slashes} slashes; {profile.topic_slashes} are allowed"
    return None
