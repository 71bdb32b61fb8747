# SPDX-License-Identifier: Apache-2.0
"""What can be seen at the server: alerts, CONNACK codes, disconnect reasons, and what the data processor made of it."""

from __future__ import annotations

from robot.api.deco import keyword

from offchip.broker import events
from OffchipLibrary.lab import Lab


class ServerOracleKeywords:
    """Judging only."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def _expect(self, wanted: events.Event) -> None:
        if wanted not in self.lab.stage.broker.events:
            seen = [str(e) for e in self.lab.stage.broker.events if type(e) is type(wanted)]
            raise AssertionError(f"the broker did not record {wanted}; of this kind it has {seen or 'nothing'}")
        self.lab.saw(f"broker: {wanted}")

    def _of(self, kind: type[events.Event]) -> list:
        return self.lab.stage.broker.events.of(kind)

    @keyword(tags=("oracle",))
    def broker_should_have_sent_alert(self, number: int, name: str) -> None:
        """A TLS alert (RFC 8446 section 6) left the broker."""
        self._expect(events.TlsAlert("sent", number, name))

    @keyword(tags=("oracle",))
    def broker_should_have_received_alert(self, number: int, name: str) -> None:
        """The client refused the broker with this TLS alert."""
        self._expect(events.TlsAlert("received", number, name))

    @keyword(tags=("oracle",))
    def broker_should_have_refused_the_certificate(self, reason: str) -> None:
        """TLS was complete, the registry said no; ``reason`` is a word of the refusal."""
        found = [e for e in self._of(events.CertificateRefused) if reason in e.reason]
        if not found:
            raise AssertionError(f"no certificate was refused with '{reason}': {self._of(events.CertificateRefused)}")
        self.lab.saw(f"broker: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_refused_the_connect(self, client_id: str) -> None:
        """A CONNECT of this client id was turned down by policy."""
        found = [e for e in self._of(events.ConnectRefused) if e.client_id == client_id]
        if not found:
            raise AssertionError(f"no CONNECT of {client_id} was refused: {self._of(events.ConnectRefused)}")
        self.lab.saw(f"broker: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_disconnected(self, client_id: str, reason: events.DisconnectReason) -> None:
        """The session of ``client_id`` ended with AWS's ``disconnectReason``."""
        self._expect(events.Disconnected(reason, client_id))

    @keyword(tags=("oracle",))
    def broker_should_have_forbidden_publishing(self, topic: str) -> None:
        """A publish on ``topic`` met no policy that allows it."""
        found = [e for e in self._of(events.PublishForbidden) if e.topic == topic]
        if not found:
            raise AssertionError(f"no publish on {topic} was forbidden: {self._of(events.PublishForbidden)}")
        self.lab.saw(f"broker: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_have_forbidden_subscribing(self, topic_filter: str) -> None:
        """A subscription to ``topic_filter`` met no policy that allows it."""
        found = [e for e in self._of(events.SubscribeForbidden) if e.topic_filter == topic_filter]
        if not found:
            seen = self._of(events.SubscribeForbidden)
            raise AssertionError(f"no subscription to {topic_filter} was forbidden: {seen}")
        self.lab.saw(f"broker: {found[-1]}")

    @keyword(tags=("oracle",))
    def broker_should_never_have_connected(self, client_id: str) -> None:
        """No session of this client id ever came about."""
        found = [e for e in self._of(events.Connected) if e.client_id == client_id]
        if found:
            raise AssertionError(f"the broker accepted a session: {found[0]}")
        self.lab.saw(f"broker: no session of {client_id}")

    @keyword(tags=("oracle",))
    def broker_should_have_sessions(self, client_id: str, count: int) -> None:
        """Exactly ``count`` sessions of this client id came about so far."""
        found = [e for e in self._of(events.Connected) if e.client_id == client_id]
        if len(found) != count:
            raise AssertionError(f"{len(found)} sessions of {client_id}, not {count}")
        self.lab.saw(f"broker: {count} sessions of {client_id}")

    @keyword(tags=("oracle",))
    def processor_should_have_accepted(self, thing: str, at_least: int = 1) -> None:
        """The data processor took at least so many packets of this thing as genuine."""
        accepted = sum(each.thing == thing for each in self.lab.stage.processor.accepted)
        if accepted < at_least:
            raise AssertionError(f"the processor accepted {accepted} packets of {thing}, not {at_least}; "
                                 f"rogue: {self.lab.stage.processor.rogue}")
        self.lab.saw(f"processor accepted {accepted} packets of {thing}")

    @keyword(tags=("oracle",))
    def processor_should_have_counted_rogue_packets(self, at_least: int = 1) -> None:
        """The data processor threw away at least so many packets."""
        rogue = self.lab.stage.processor.rogue
        if len(rogue) < at_least:
            raise AssertionError(f"the processor counted {len(rogue)} rogue packets, not {at_least}")
        self.lab.saw(f"processor counted rogue packets: {[f'{r.topic}: {r.reason}, {r.detail}' for r in rogue[:3]]}")
