# SPDX-License-Identifier: Apache-2.0
"""AWS IoT's lifecycle events: messages on $aws/events/... (developer guide, "Lifecycle events")."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from offchip.broker.events import DisconnectReason
from offchip.broker.profile import Profile
from offchip.broker.session import Message, Session
from offchip.broker.topics import has_wildcard


class Lifecycle:
    """Tells subscribers who comes and goes. Client ids with wildcards get no events."""

    def __init__(self, profile: Profile, now: Callable[[], datetime], publish: Callable[[Message], object],
                 wanted: Callable[[str], bool]) -> None:
        """``wanted``: whether anybody subscribes to a topic."""
        self._profile, self._now, self._publish, self._wanted = profile, now, publish, wanted

    def connected(self, session: Session, address: str) -> None:
        """After CONNACK."""
        self._tell(session.client_id, "presence", "connected", session.certificate_id,
                   sessionIdentifier=session.identifier, ipAddress=address, versionNumber=session.number)

    def disconnected(self, session: Session, reason: DisconnectReason) -> None:
        """After the connection of a session is gone."""
        why = {"disconnectReason": reason} if self._profile.disconnect_reason_in_events else {}
        self._tell(session.client_id, "presence", "disconnected", session.certificate_id,
                   sessionIdentifier=session.identifier, versionNumber=session.number, **why,
                   clientInitiatedDisconnect=reason is DisconnectReason.CLIENT_INITIATED_DISCONNECT)

    def connect_failed(self, client_id: str, certificate_id: str) -> None:
        """The client may not connect, or may not publish its last will."""
        if self._profile.connect_failed_events and client_id:
            self._tell(client_id, "presence", "connect_failed", certificate_id,
                       connectFailureReason="AUTHORIZATION_FAILED")

    def subscribed(self, session: Session, what: str, filters: Sequence[str]) -> None:
        """``what``: subscribed or unsubscribed."""
        self._tell(session.client_id, "subscriptions", what, session.certificate_id,
                   sessionIdentifier=session.identifier, topics=list(filters))

    def _tell(self, client_id: str, family: str, event_type: str, certificate_id: str, **fields: object) -> None:
        topic = f"$aws/events/{family}/{event_type}/{client_id}"
        if has_wildcard(client_id) or not self._profile.lifecycle_events or not self._wanted(topic):
            return
        content = {"clientId": client_id, "timestamp": int(self._now().timestamp() * 1000), "eventType": event_type,
                   "principalIdentifier": certificate_id, **fields}
        self._publish(Message(topic, json.dumps(content).encode(), 1))
