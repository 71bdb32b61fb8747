# SPDX-License-Identifier: Apache-2.0
"""The message broker proper: sessions, routing, retained messages and wills; knows nothing of TLS or packets."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from offchip.broker import events
from offchip.broker.authoriser import Authoriser
from offchip.broker.delivery import Delivery
from offchip.broker.events import DisconnectReason, EventLog
from offchip.broker.lifecycle import Lifecycle
from offchip.broker.policy import Decision, Value
from offchip.broker.profile import Profile
from offchip.broker.rates import Rates
from offchip.broker.registry import Registry
from offchip.broker.reserved import Family, may_publish
from offchip.broker.services import Request, Rule, Service
from offchip.broker.session import Link, Message, Session
from offchip.broker.subscriptions import Subscriptions
from offchip.broker.topics import has_wildcard, matches, split_shared
from offchip.mqtt import Property, Subscription

#: a broker that waits for nothing wants to be told the time this often
LOOK_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _PendingWill:
    session: Session
    certificate_id: str
    peer_name: str
    message: Message
    due: datetime


class Hub:
    """Everything clients have in common. Callers hold the broker's turn."""

    def __init__(self, profile: Profile, registry: Registry, clock: Callable[[], datetime], log: EventLog) -> None:
        self.profile, self.registry = profile, registry
        self.now = clock
        self.events = log
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Message] = {}
        self.services: dict[Family, Service] = {}
        self.rules: list[Rule] = []
        self.rates = Rates(profile, clock)
        self.authoriser = Authoriser(profile, registry, clock)
        self.delivery = Delivery(profile, self.authoriser, clock, self.log)
        self._subscriptions = Subscriptions(profile.multilevel_wildcard_matches_parent)
        self.lifecycle = Lifecycle(profile, clock, self.route, self._subscriptions.any)
        self._retained_since: dict[str, datetime] = {}
        self._retained_bytes = 0
        #: client id -> number of its last connection, and when it went away
        self._versions: dict[str, tuple[int, datetime | None]] = {}
        self._sessions_made = 0
        self._wills: list[_PendingWill] = []

    def log(self, event: events.Event, connection: int = 0) -> None:
        """Append an event with the broker's time."""
        self.events.append(event, self.now(), connection)

    def ask(self, link: Link, client_id: str, action: str, kind: str, name: str,
            extra: dict[str, Value] | None = None) -> Decision:
        """Ask the policies of a connection's certificate."""
        return self.authoriser.ask(link.certificate_id, client_id, link.peer_name, action, kind, name, extra)

    # sessions ------------------------------------------------------------------------------------------------------
    def begin(self, link: Link, client_id: str, clean: bool, keep_seconds: int) -> tuple[Session, bool]:
        """Take over or make the session of a client id; the bool is CONNACK's session present."""
        old = self.sessions.get(client_id)
        if old and old.link:
            old.link.close(DisconnectReason.DUPLICATE_CLIENTID)
            old = self.sessions.get(client_id)
        if old and (clean or old.expires and self.now() >= old.expires):
            self._forget(old)
            old = None
        if old:
            self._wills = [each for each in self._wills if each.session is not old]
        else:
            self._make_room()
        number = self._next_version(client_id)
        session = old or Session(client_id, link.certificate_id, self._identifier(client_id), number)
        thing = self.registry.thing_of(link.certificate_id, client_id)
        session.certificate_id, session.number, session.keep_seconds = link.certificate_id, number, keep_seconds
        session.thing = thing.name if thing else ""
        session.link, session.expires = link, None
        self.sessions[client_id] = session
        return session, old is not None

    def end(self, session: Session, reason: DisconnectReason, will: Message | None, will_delay: int = 0) -> None:
        """The connection of a session is gone: keep or forget it, send its will, tell the world."""
        link, session.link = session.link, None
        now = self.now()
        self._versions[session.client_id] = (session.number, now)
        if session.keep_seconds:
            session.expires = now + timedelta(seconds=session.keep_seconds)
        else:
            self._forget(session)
        if will and link:
            pending = _PendingWill(session, link.certificate_id, link.peer_name, will,
                                   now + timedelta(seconds=min(will_delay, session.keep_seconds)))
            if pending.due > now:
                self._wills.append(pending)
            else:
                self._send_will(pending)
        self.lifecycle.disconnected(session, reason)

    def wake_up(self, session: Session) -> None:
        """A sleeping session of an earlier run, that goes on to sleep here."""
        self.sessions[session.client_id] = session
        self._versions[session.client_id] = (session.number, self.now())
        for each in session.subscriptions.values():
            self._subscriptions.add(session.client_id, each)
        self.delivery.take_over(session)

    def subscribe(self, session: Session, subscription: Subscription) -> bool:
        """True when the session had no subscription of this filter."""
        new = subscription.filter not in session.subscriptions
        session.subscriptions[subscription.filter] = subscription
        self._subscriptions.add(session.client_id, subscription)
        return new

    def unsubscribe(self, session: Session, text: str) -> bool:
        """False when there was no such subscription."""
        if session.subscriptions.pop(text, None) is None:
            return False
        self._subscriptions.remove(session.client_id, text)
        self.log(events.Unsubscribed(session.client_id, text), session.link.number if session.link else 0)
        return True

    # messages ------------------------------------------------------------------------------------------------------
    def route(self, message: Message, publisher: str | None = None) -> int:
        """Keep a retained message and hand a message to every session that subscribes and may receive it.

        ``publisher``: client id, for subscriptions that do not want their own. Returns the number of receivers.
        """
        if message.retain:
            self.retain(message)
        receivers = 0
        # as they are now: who gets the message may subscribe or go because of it
        for client_id, subscriptions in tuple(self._subscriptions.matching(message.topic).items()):
            if client_id == publisher:
                subscriptions = [each for each in subscriptions if not each.no_local]
            if subscriptions and client_id in self.sessions:
                receivers += self._hand(client_id, message, subscriptions)
        for members in self._subscriptions.shared(message.topic):
            # a member that is there comes before one that sleeps
            members.sort(key=lambda member: self.sessions[member[0]].link is None)
            receivers += any(self._hand(client_id, message, [each]) for client_id, each in members)
        return receivers

    def retain(self, message: Message) -> None:
        """Keep for who subscribes later; without a payload nothing is kept any more."""
        self._unretain(message.topic)
        if not message.payload:
            return
        size = len(message.topic) + len(message.payload)
        if len(self.retained) >= self.profile.retained_maximum \
                or self._retained_bytes + size > self.profile.retained_bytes:
            self.log(events.MessageDropped("", message.topic, f"not retained: there are {len(self.retained)} retained "
                                           f"messages of {self._retained_bytes} bytes"))
            return
        self.retained[message.topic] = message
        self._retained_since[message.topic] = self.now()
        self._retained_bytes += size

    def apply_rules(self, link: Link, client_id: str, topic: str, payload: bytes) -> None:
        """After a message was routed: the actions of the rules that look at its topic."""
        for rule in self.rules:
            if matches(rule.topic_filter, topic, self.profile.multilevel_wildcard_matches_parent):
                rule.action(Request(client_id, link.certificate_id, topic, payload))

    def serve(self, family: Family, request: Request) -> int:
        """Let a service answer; returns how many replies somebody got."""
        receivers = 0
        for reply in self.services[family].answer(request):
            if reply.private:
                receivers += self._route_to(request.client_id, reply.message)
            else:
                receivers += self.route(reply.message)
        return receivers

    def send_retained(self, session: Session, subscription: Subscription) -> None:
        """What a new subscription finds."""
        text, exact = subscription.filter, not has_wildcard(subscription.filter)
        if split_shared(text)[0] or not (exact or self.profile.retained_on_wildcard):
            return  # MQTT 5.0, 4.8.2: shared subscriptions get none
        with_parent = self.profile.multilevel_wildcard_matches_parent
        for topic, message in tuple(self.retained.items()):
            if topic == text or not exact and matches(text, topic, with_parent):
                # MQTT 5.0, 3.3.1.3: RETAIN stays, whatever the subscription says
                self._hand(session.client_id, message, [replace(subscription, retain_as_published=True)])

    # time ----------------------------------------------------------------------------------------------------------
    def tick(self, now: datetime) -> datetime:
        """Expiries, retries, delayed wills; returns until when the hub may be left alone."""
        due = now + LOOK_AFTER
        for session in tuple(self.sessions.values()):
            if session.expires and now >= session.expires:
                self._forget(session)
            else:
                due = min(due, session.expires or due, self.delivery.tick(session, now) or due)
        for pending in tuple(self._wills):
            if now >= pending.due:
                self._wills.remove(pending)
                self._send_will(pending)
            else:
                due = min(due, pending.due)
        oldest = now - timedelta(seconds=self.profile.retained_expiry_seconds)
        for topic in [topic for topic, since in self._retained_since.items() if since <= oldest]:
            self._unretain(topic)
        reset = timedelta(seconds=self.profile.version_number_reset_seconds)
        for client_id, (_, away) in tuple(self._versions.items()):
            if away and now - away >= reset and client_id not in self.sessions:
                del self._versions[client_id]
        return due

    # inside --------------------------------------------------------------------------------------------------------
    def _hand(self, client_id: str, message: Message, subscriptions: list[Subscription]) -> bool:
        only = subscriptions[0] if len(subscriptions) == 1 else _together(subscriptions)
        qos = message.qos if message.qos < only.qos else only.qos
        retain = message.retain and only.retain_as_published
        if qos != message.qos or retain != message.retain:
            message = replace(message, qos=qos, retain=retain)
        if identifiers := [each.identifier for each in subscriptions if each.identifier]:
            properties = {**message.properties, Property.SUBSCRIPTION_IDENTIFIER: identifiers}
            message = replace(message, properties=properties)
        return self.delivery.hand(self.sessions[client_id], message)

    def _route_to(self, client_id: str, message: Message) -> bool:
        subscriptions = self._subscriptions.matching(message.topic).get(client_id, [])
        return bool(subscriptions) and self._hand(client_id, message, subscriptions)

    def _unretain(self, topic: str) -> None:
        old = self.retained.pop(topic, None)
        self._retained_since.pop(topic, None)
        self._retained_bytes -= len(topic) + len(old.payload) if old else 0

    def _forget(self, session: Session) -> None:
        for text in session.subscriptions:
            self._subscriptions.remove(session.client_id, text)
        session.subscriptions = {}
        self.delivery.forget(session)
        self.sessions.pop(session.client_id, None)
        for pending in [each for each in self._wills if each.session is session]:  # MQTT 5.0, 3.1.3.2.2
            self._wills.remove(pending)
            self._send_will(pending)

    def _make_room(self) -> None:
        """For one more session: the one that sleeps and would end first is given up."""
        if len(self.sessions) < self.profile.sessions_maximum:
            return
        asleep = [each for each in self.sessions.values() if each.link is None and each.expires]
        if asleep:
            session = min(asleep, key=lambda each: (each.expires, each.client_id))
            self.log(events.SessionGivenUp(session.client_id, f"there are {len(self.sessions)} sessions; of those that "
                                           "sleep this one would have ended first"))
            self._forget(session)

    def _send_will(self, pending: _PendingWill) -> None:
        session, will = pending.session, pending.message
        # subscribers get it, services do not (developer guide, "Using shadows in devices"); nor does it forge AWS's own
        if not may_publish(will.topic):
            self.log(events.NotModelled(session.client_id, will.topic, "a will where nobody may publish"))
            return
        for action in ("iot:Publish", "iot:RetainPublish")[:1 + will.retain]:
            if not self.authoriser.ask(pending.certificate_id, session.client_id, pending.peer_name, action, "topic",
                                       will.topic).allowed:
                self.log(events.PublishForbidden(session.client_id, will.topic, action))
                return
        self.log(events.WillSent(session.client_id, will.topic))
        self.route(will if self.profile.retained_messages else replace(will, retain=False), session.client_id)

    def _next_version(self, client_id: str) -> int:
        number, away = self._versions.get(client_id, (-1, None))
        if away and (self.now() - away).total_seconds() >= self.profile.version_number_reset_seconds \
                and client_id not in self.sessions:
            number = -1
        self._versions[client_id] = (number + 1, None)
        return number + 1

    def _identifier(self, client_id: str) -> str:
        """Unique and the same in every run."""
        self._sessions_made += 1
        digest = hashlib.sha256(f"{client_id}\0{self._sessions_made}".encode()).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4))


def _together(subscriptions: list[Subscription]) -> Subscription:
    """One message for all of a client's subscriptions that match (MQTT 3.1.1, 3.3.5)."""
    return Subscription("", max(each.qos for each in subscriptions),
                        retain_as_published=any(each.retain_as_published for each in subscriptions))
