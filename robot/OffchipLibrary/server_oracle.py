# SPDX-License-Identifier: Apache-2.0
"""What can be seen at the server: alerts, CONNACK codes, disconnect reasons, and what the data processor made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from robot.api.deco import keyword

from offchip.attacks.reach import ADDRESS
from offchip.broker import events
from OffchipLibrary.lab import Lab

E = TypeVar("E", bound=events.Event)


class ServerOracleKeywords:
    """Judging only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def _of(self, kind: type[E]) -> list[E]:
        return self.lab.scene.broker.events.of(kind)

    def _since(self, kind: type[E]) -> list[E]:
        """Since the attack began."""
        return [each for each in self.lab.scene.broker.events.since(self.lab.begun.events) if isinstance(each, kind)]

    def _wait_for(self, kind: type[E], wanted: Callable[[E], bool], times: int, timeout: float) -> None:
        def seen() -> bool:
            return sum(map(wanted, self._of(kind))) >= times

        if not seen() and self.lab.board.powered:
            self.lab.board.run_until(seen, timeout, f"{times} {kind.__name__} at the broker")

    @keyword(tags=("oracle",))
    def broker_should_have_sent_alert(self, number: int, name: str) -> None:
        """A TLS alert (RFC 8446 section 6) left the broker since the attack began."""
        wanted = events.TlsAlert("sent", number, name)
        seen = self._since(events.TlsAlert)
        if wanted not in seen:
            raise AssertionError(f"the broker did not send alert {number} {name}; since the attack began: {seen}")
        self.lab.saw(f"broker: {wanted}")

    @keyword(tags=("oracle",))
    def broker_should_have_refused_the_certificate(self, reason: str, times: int = 1) -> None:
        """TLS was complete, the registry said no, so many times since the attack began; ``reason``: a word of it."""
        seen = self._since(events.CertificateRefused)
        found = [each for each in seen if reason in each.reason]
        if len(found) < times:
            raise AssertionError(f"{len(found)} certificates were refused with '{reason}', not {times}: {seen}")
        self.lab.saw(f"broker, {len(found)} times: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_refused_the_connect(self, client_id: str, times: int = 1) -> None:
        """A CONNECT of this client id was turned down by policy, so many times since the attack began."""
        seen = self._since(events.ConnectRefused)
        found = [each for each in seen if each.client_id == client_id]
        if len(found) < times:
            raise AssertionError(f"{len(found)} CONNECTs of {client_id} were refused, not {times}: {seen}")
        self.lab.saw(f"broker, {len(found)} times: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_disconnected(self, client_id: str, reason: events.DisconnectReason,
                                        within_ms: int = 100, times: int = 1) -> None:
        """At least so many sessions of ``client_id`` ended with AWS's ``disconnectReason``, each in ``within_ms``.

        The virtual milliseconds count from what caused it: the forbidden request, the owner's action, or the other
        client's connection.
        """
        ended = [each for each in self._of(events.Disconnected)
                 if each.client_id == client_id and each.reason is reason]
        if len(ended) < times:
            raise AssertionError(f"{len(ended)} sessions of {client_id} ended with {reason}, not {times}: "
                                 f"{self._of(events.Disconnected)}")
        took_ms = 0.0
        for each in ended:
            caused = self.lab.cause_ns(each)
            if caused is None:
                raise AssertionError(f"nothing is known that made the broker disconnect {client_id}")
            took_ms = (self.lab.event_ns(each) - caused) / 1e6
            if took_ms > within_ms:
                raise AssertionError(f"the session of {client_id} ended after {took_ms:.1f} ms, not {within_ms}")
        self.lab.saw(f"broker, {len(ended)} times, the last one after {took_ms:.1f} ms: {ended[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_forbidden_publishing(self, topic: str, times: int = 1, timeout: float = 120.0) -> None:
        """Publishes on ``topic`` met no policy that allows them, so many times (waited for); none was accepted."""
        self._wait_for(events.PublishForbidden, lambda each: each.topic == topic, times, timeout)
        found = [each for each in self._of(events.PublishForbidden) if each.topic == topic]
        accepted = [each for each in self._of(events.PublishAccepted) if each.topic == topic]
        if len(found) < times or accepted:
            raise AssertionError(f"publishes on {topic}: {len(found)} forbidden, {len(accepted)} accepted")
        self.lab.saw(f"broker, {len(found)} times: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_forbidden_subscribing(self, topic_filter: str, times: int = 1,
                                                 timeout: float = 120.0) -> None:
        """Subscriptions to ``topic_filter`` met no policy, so many times (waited for); none was granted."""
        self._wait_for(events.SubscribeForbidden, lambda each: each.topic_filter == topic_filter, times, timeout)
        found = [each for each in self._of(events.SubscribeForbidden) if each.topic_filter == topic_filter]
        granted = [each for each in self._of(events.SubscribeAccepted) if each.topic_filter == topic_filter]
        if len(found) < times or granted:
            raise AssertionError(f"subscriptions to {topic_filter}: {len(found)} forbidden, {len(granted)} granted")
        self.lab.saw(f"broker, {len(found)} times: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_refused_to_enrol(self, thing: str) -> None:
        """Somebody with a claim asked to become ``thing`` and was denied it; nobody became it."""
        refused = [each for each in self._of(events.ProvisioningRefused) if each.code == "AccessDenied"]
        became = [each for each in self._of(events.ThingProvisioned) if each.thing == thing]
        if not refused or became:
            raise AssertionError(f"enrolling as {thing}: {len(refused)} denied, {len(became)} granted")
        self.lab.saw(f"broker: {refused[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_never_have_connected(self, client_id: str) -> None:
        """No session of this client id ever came about."""
        found = [each for each in self._of(events.Connected) if each.client_id == client_id]
        if found:
            raise AssertionError(f"the broker accepted a session: {found[0]}")
        self.lab.saw(f"broker: no session of {client_id}")

    @keyword(tags=("oracle",))
    def broker_should_have_sessions(self, client_id: str, count: int) -> None:
        """Exactly ``count`` sessions of this client id came about so far."""
        found = [each for each in self._of(events.Connected) if each.client_id == client_id]
        if len(found) != count:
            raise AssertionError(f"{len(found)} sessions of {client_id}, not {count}")
        self.lab.saw(f"broker: {count} sessions of {client_id}")

    @keyword(tags=("oracle",))
    def processor_should_have_accepted(self, thing: str, at_least: int = 1) -> None:
        """The data processor took at least so many packets of this thing as genuine."""
        processor = self.lab.scene.processor
        accepted = sum(each.thing == thing for each in processor.accepted)
        if accepted < at_least:
            raise AssertionError(f"the processor accepted {accepted} packets of {thing}, not {at_least}; "
                                 f"rogue: {processor.rogue}")
        self.lab.saw(f"processor accepted {accepted} packets of {thing}")

    @keyword(tags=("oracle",))
    def processor_should_have_counted_rogue_packets(self, at_least: int = 1) -> None:
        """The data processor threw away at least so many packets."""
        rogue = self.lab.scene.processor.rogue
        if len(rogue) < at_least:
            raise AssertionError(f"the processor counted {len(rogue)} rogue packets, not {at_least}")
        self.lab.saw(f"processor counted rogue packets: {[f'{r.topic}: {r.reason}, {r.detail}' for r in rogue[:3]]}")

    @keyword(tags=("oracle",))
    def processor_should_have_believed_the_forgery(self) -> None:
        """What came in over the attacker's connection was taken as genuine, and nothing was counted as rogue."""
        processor = self.lab.scene.processor
        outside = {each.connection for each in self._of(events.ConnectionOpened) if each.peer_name == ADDRESS}
        forged = [json.loads(each.payload) for each in self._of(events.PublishAccepted) if each.connection in outside]
        believed = [each for each in processor.accepted
                    if any(each.time == forgery["time"] and each.temperature == forgery["temperature"]
                           for forgery in forged)]
        if not believed or processor.rogue:
            raise AssertionError(f"{len(forged)} forged packets: {len(believed)} believed, rogue: {processor.rogue}")
        self.lab.saw(f"processor believed: {believed[0]}")
