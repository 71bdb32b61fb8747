# SPDX-License-Identifier: Apache-2.0
"""Messages on their way to sessions: the right to receive, queues, windows, acknowledgements and retries.

iot:Receive is asked at the moment a message is written to a client, whether it is fresh, was queued, is sent again or
was retained (AWS IoT Core developer guide, "AWS IoT Core policy actions").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from offchip.broker import events
from offchip.broker.authoriser import Authoriser
from offchip.broker.profile import Profile
from offchip.broker.session import Link, Message, Sent, Session

#: writes an event for a connection, 0 for the broker itself
Log = Callable[[events.Event, int], None]
_SECOND = timedelta(seconds=1)


class Delivery:
    """Hands messages to sessions."""

    def __init__(self, profile: Profile, authoriser: Authoriser, now: Callable[[], datetime], log: Log) -> None:
        self._profile, self._authoriser, self._now, self._log = profile, authoriser, now, log
        self._retry = timedelta(seconds=profile.retry_seconds)
        self._give_up = timedelta(seconds=profile.retry_for_seconds)
        #: bytes in the queues of all sessions
        self._queued = 0

    def hand(self, session: Session, message: Message) -> bool:
        """A new message for a session; True when it was written or queued."""
        link = session.link
        if link is None:
            return bool(message.qos) and self._store(session, message)
        if message.qos and (session.queue or not self._has_room(session, link)):
            return self._store(session, message)
        return self._send(session, link, message)

    def resume(self, session: Session) -> None:
        """4.4: the client is back; what was sent and not acknowledged comes again, then what waited."""
        link, now = session.link, self._now()
        assert link is not None
        for packet_id, sent in tuple(session.inflight.items()):
            sent.first = now
            self._resend(session, link, packet_id, sent, now)
        session.stored = len(session.queue) if self._profile.rate_limits_enforced else 0
        session.replay_at = now
        if not session.stored:
            self.pump(session)

    def pump(self, session: Session) -> None:
        """Send queued messages as far as unacknowledged ones may pile up; stored ones wait for their second."""
        link = session.link
        while link and session.queue and not session.stored and self._has_room(session, link):
            self._send(session, link, self._pop(session))
            link = session.link

    def take_over(self, session: Session) -> None:
        """A session of an earlier run, with its queue."""
        self._queued += session.queue_bytes

    def forget(self, session: Session) -> None:
        """The session is over; what waited for it is gone."""
        self._queued -= session.queue_bytes
        session.queue.clear()
        session.queue_bytes = 0

    def acknowledge(self, session: Session, packet_id: int) -> bool:
        """A PUBACK came; False when nothing waited for it."""
        known = session.inflight.pop(packet_id, None) is not None
        self.pump(session)
        return known

    def tick(self, session: Session, now: datetime) -> datetime | None:
        """Retries and the replay of stored messages; returns when to look again."""
        link = session.link
        if link is None:
            return None
        due: datetime | None = None
        if session.stored:
            if now >= session.replay_at:
                self._replay(session, link, now)
            due = session.replay_at
        return _earlier(due, self._tick_inflight(session, link, now))

    # inside --------------------------------------------------------------------------------------------------------
    def _replay(self, session: Session, link: Link, now: datetime) -> None:
        """One second's share of what waited."""
        session.replay_at = now + _SECOND
        for _ in range(min(self._profile.replay_per_second, session.stored)):
            if not self._has_room(session, link):  # MQTT 5.0, 3.3.4: the client's receive maximum holds here, too
                break
            session.stored -= 1
            self._send(session, link, self._pop(session))
        self.pump(session)

    def _tick_inflight(self, session: Session, link: Link, now: datetime) -> datetime | None:
        if not link.resends:
            return None
        due: datetime | None = None
        for packet_id, sent in tuple(session.inflight.items()):
            if now - sent.first >= self._give_up:
                del session.inflight[packet_id]
                self._drop(session, sent.message, f"no PUBACK for {self._profile.retry_for_seconds} s")
            elif now - sent.last >= self._retry and link.backlog <= self._profile.write_buffer_bytes:
                self._resend(session, link, packet_id, sent, now)
            if packet_id in session.inflight:
                due = _earlier(due, sent.last + self._retry)
        return due

    def _has_room(self, session: Session, link: Link) -> bool:
        window = min(self._profile.unacknowledged_messages, session.receive_maximum)
        return len(session.inflight) < window and link.backlog <= self._profile.write_buffer_bytes

    def _store(self, session: Session, message: Message) -> bool:
        profile, size = self._profile, len(message.payload)
        if len(session.queue) >= profile.queued_messages or session.queue_bytes + size > profile.queued_bytes:
            self._drop(session, message, f"its queue is full ({len(session.queue)} messages, {session.queue_bytes} "
                       "bytes)")
            return False
        if self._queued + size > profile.queued_bytes_total:
            self._drop(session, message, f"all queues together are full ({self._queued} bytes)")
            return False
        session.queue.append(message)
        session.queue_bytes += size
        self._queued += size
        return True

    def _pop(self, session: Session) -> Message:
        message = session.queue.popleft()
        session.queue_bytes -= len(message.payload)
        self._queued -= len(message.payload)
        return message

    def _send(self, session: Session, link: Link, message: Message) -> bool:
        if message.expires and self._now() >= message.expires:
            return self._drop(session, message, "its message expiry interval is over")
        if not message.qos and link.backlog > self._profile.write_buffer_bytes:
            return self._drop(session, message, f"the client does not read ({link.backlog} bytes wait)")
        if not self._may_receive(session, link, message):
            return False
        packet_id = 0
        if message.qos:
            packet_id, now = session.next_packet_id(), self._now()
            session.inflight[packet_id] = Sent(message, now, now)
        if not link.deliver(message, packet_id):
            session.inflight.pop(packet_id, None)
            return self._drop(session, message, "it is larger than the client's maximum packet size")
        self._log(events.Delivered(session.client_id, message.topic, message.qos), link.number)
        return True

    def _resend(self, session: Session, link: Link, packet_id: int, sent: Sent, now: datetime) -> None:
        if self._profile.receive_asked_on_delivery and not self._may_receive(session, link, sent.message):
            del session.inflight[packet_id]
            return
        sent.last = now
        link.deliver(sent.message, packet_id, self._profile.resend_sets_duplicate)
        self._log(events.Delivered(session.client_id, sent.message.topic, sent.message.qos), link.number)

    def _may_receive(self, session: Session, link: Link, message: Message) -> bool:
        allowed = self._authoriser.ask(session.certificate_id, session.client_id, link.peer_name, "iot:Receive",
                                       "topic", message.topic).allowed
        if not allowed:
            self._log(events.ReceiveForbidden(session.client_id, message.topic), link.number)
        return allowed

    def _drop(self, session: Session, message: Message, reason: str) -> bool:
        self._log(events.MessageDropped(session.client_id, message.topic, reason),
                  session.link.number if session.link else 0)
        return False


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    return min((each for each in (first, second) if each), default=None)
