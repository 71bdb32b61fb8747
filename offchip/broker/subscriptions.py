# SPDX-License-Identifier: Apache-2.0
"""Who subscribes to what: an index over all sessions, and whose turn it is in a shared subscription."""

from __future__ import annotations

from collections.abc import Iterator

from offchip.broker.topics import has_wildcard, matches, split_shared
from offchip.mqtt import Subscription

#: topics whose subscriptions are remembered
_MOST = 1024


class Subscriptions:
    """``with_parent``: ``a/#`` matches ``a`` too."""

    def __init__(self, with_parent: bool) -> None:
        self._with_parent = with_parent
        self._exact: dict[str, dict[str, Subscription]] = {}
        self._wild: dict[str, dict[str, Subscription]] = {}
        #: (group, filter) -> members; the first is next
        self._shared: dict[tuple[str, str], dict[str, Subscription]] = {}
        #: topic -> what :meth:`matching` found, until somebody comes or goes
        self._found: dict[str, dict[str, list[Subscription]]] = {}

    def add(self, client_id: str, subscription: Subscription) -> None:
        """A later one of the same filter replaces the earlier one."""
        self._found.clear()
        group, text = split_shared(subscription.filter)
        if group:
            self._shared.setdefault((group, text), {})[client_id] = subscription
        else:
            table = self._wild if has_wildcard(text) else self._exact
            table.setdefault(text, {})[client_id] = subscription

    def remove(self, client_id: str, text: str) -> None:
        """Harmless when there is none."""
        self._found.clear()
        group, inner = split_shared(text)
        table: dict[object, dict[str, Subscription]]
        table = self._shared if group else self._wild if has_wildcard(inner) else self._exact  # type: ignore[assignment]
        key = (group, inner) if group else inner
        members = table.get(key, {})
        members.pop(client_id, None)
        if not members:
            table.pop(key, None)

    def matching(self, topic: str) -> dict[str, list[Subscription]]:
        """Client id -> its subscriptions of this topic, shared ones left out; not to be changed."""
        known = self._found.get(topic)
        if known is None:
            known = self._matching(topic)
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[topic] = known
        return known

    def any(self, topic: str) -> bool:
        """Whether there is anybody, shared subscriptions included."""
        return bool(self.matching(topic)) or any(matches(text, topic, self._with_parent) for _, text in self._shared)

    def _matching(self, topic: str) -> dict[str, list[Subscription]]:
        found: dict[str, list[Subscription]] = {}
        for client_id, subscription in self._exact.get(topic, {}).items():
            found.setdefault(client_id, []).append(subscription)
        for text, members in self._wild.items():
            if matches(text, topic, self._with_parent):
                for client_id, subscription in members.items():
                    found.setdefault(client_id, []).append(subscription)
        return found

    def shared(self, topic: str) -> Iterator[list[tuple[str, Subscription]]]:
        """For each group that matches: its members, in the order in which they are to be asked this time."""
        for (_, text), members in tuple(self._shared.items()) if self._shared else ():
            if matches(text, topic, self._with_parent):
                order = list(members.items())
                yield order
                first = order[0][0]
                if first in members:
                    members[first] = members.pop(first)
