# SPDX-License-Identifier: Apache-2.0
"""The owner's reactions: what makes him take a keyset out of use, by itself, at once and logged.

Each rule is a switch. A rule looks at what the broker logged and the data processor disbelieved since it last looked,
and names the certificate behind it; the certificate becomes INACTIVE and its sessions drop as the profile has it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from offchip.broker import events
from offchip.broker.events import DisconnectReason, Event
from offchip.broker.processor import Processor, Rogue, RoguePacket
from offchip.broker.registry import Status, signed_by
from offchip.broker.server import Broker

#: what a thief's or a clone's data look like; time and spacing may be the network's fault
HOSTILE = frozenset({Rogue.NOT_JSON, Rogue.FIELDS, Rogue.TYPE, Rogue.UNKNOWN_THING, Rogue.TOPIC, Rogue.SEQUENCE})


@dataclass(frozen=True, slots=True)
class Rules:
    """What is reacted to; everything off makes an owner who only looks.

    Attributes:
        forbidden: a publish, subscription or will that no policy allows.
        rogue: reasons for which a packet may be disbelieved (schema, range, sequence).
        rogue_packets: how many such packets of one certificate within ``within_s`` are too many.
        interval_s, tolerance_s: publishes of one certificate to one topic that are not ``interval_s`` apart, give or
            take ``tolerance_s``; longer pauses by whole intervals are outages. None: not judged.
        uneven_intervals: how many uneven intervals in a row are too many.
        takeovers, within_s: so many connections that threw each other out, from different addresses, in that time.
        shared: one certificate in two live connections at once.
        sequences: so many packets of one certificate within ``within_s`` whose sequence number had been before: two
            devices count.
        lid: the device's own notice that its lid was opened (SPEC.md, section 10).
        owner_signed: a certificate that none of the owner's authorities signed, though it is registered.
        retired: a certificate that was replaced comes back: a rolled back device, or a copy of its old medium. Every
            certificate of its thing goes, so whoever has an old copy can put the thing out; that is the price.
        act: False only logs what would have been done, each time.
    """

    forbidden: bool = False
    rogue: frozenset[Rogue] = frozenset()
    rogue_packets: int = 1
    interval_s: float | None = None
    tolerance_s: float = 1.0
    uneven_intervals: int = 3
    takeovers: int = 0
    within_s: float = 60.0
    shared: bool = False
    sequences: int = 0
    lid: bool = False
    owner_signed: bool = False
    retired: bool = False
    act: bool = True


class Spacing:
    """Judges the times of one series of publishes.

    A gap is even when it is a whole number of intervals, at least one, give or take the tolerance.
    """

    def __init__(self, interval_s: float, tolerance_s: float) -> None:
        self._interval, self._tolerance = interval_s, tolerance_s
        self._last: datetime | None = None
        #: uneven gaps in a row
        self.uneven = 0

    def see(self, time: datetime) -> bool:
        """True when the gap before this publish is even, or there is none."""
        last, self._last = self._last, time
        if last is None:
            return True
        gap = (time - last).total_seconds()
        even = abs(gap - max(round(gap / self._interval), 1) * self._interval) <= self._tolerance
        self.uneven = 0 if even else self.uneven + 1
        return even


class Reactions:
    """Watches one broker and its data processor.

    ``banned``: certificate id -> why; ``alarms``: how often each rule would have acted.
    """

    def __init__(self, broker: Broker, processor: Processor | None, rules: Rules,
                 authorities: Iterable[x509.Certificate] = ()) -> None:
        """``authorities``: the owner's own, for ``owner_signed``."""
        self.rules = rules
        self.banned: dict[str, str] = {}
        self.alarms: Counter[str] = Counter()
        self._authorities = tuple(authorities)
        self._broker, self._processor = broker, processor
        self._rogues_seen = len(processor.rogue) if processor else 0
        self._certificates: dict[int, str] = {}
        self._peers: dict[int, str] = {}
        self._connected: dict[str, set[int]] = defaultdict(set)
        self._rogues: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        self._retired: dict[str, str] = {}
        self._spacing: dict[tuple[str, str], Spacing] = {}
        self._takeovers: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        #: publishes the processor may complain of, newest last
        self._publishes: deque[tuple[str, bytes, str]] = deque(maxlen=1000)
        for event in broker.events:  # who is there already; nobody is judged for the past
            list(self._judge(event))
        self._seen = len(broker.events)

    def look(self) -> list[str]:
        """React to everything since the last look; returns the certificates banned now. Call it as time passes."""
        if len(self._broker.events) == self._seen:
            return []
        before = set(self.banned)
        fresh = self._broker.events.since(self._seen)
        self._seen = len(self._broker.events)
        for event in fresh:
            for certificate, rule, reason in self._judge(event):
                self._ban(certificate, rule, reason)
        for packet in self._new_rogues():
            self._judge_rogue(packet)
        return [each for each in self.banned if each not in before]

    # rules ---------------------------------------------------------------------------------------------------------
    def _judge(self, event: Event) -> Iterator[tuple[str, str, str]]:
        certificate = self._certificates.get(event.connection, "")
        match event:
            case events.ConnectionOpened():
                self._peers[event.connection] = event.peer_name
            case events.TlsEstablished():
                self._certificates[event.connection] = event.certificate_id
                yield from self._on_shown(event.certificate_id)
            case events.CertificateReplaced():
                self._retired |= dict.fromkeys(event.ended, event.thing)
            case events.CertificateRefused() if self.rules.retired and event.certificate_id in self._retired:
                yield from self._on_retired(event.certificate_id)
            case events.Connected():
                yield from self._on_connected(event)
            case events.Disconnected():
                yield from self._on_disconnected(event, certificate)
            case events.PublishForbidden() | events.SubscribeForbidden() if self.rules.forbidden:
                what = event.topic if isinstance(event, events.PublishForbidden) else event.topic_filter
                yield certificate, "forbidden", f"'{event.client_id}' tried '{what}'"
            case events.PublishAccepted():
                self._publishes.append((event.topic, event.payload, certificate))
                if self.rules.lid and _opened_lid(event.payload):
                    yield certificate, "lid", f"'{event.client_id}' says that its lid was opened"
                yield from self._on_spacing(event, certificate)

    def _on_shown(self, certificate: str) -> Iterator[tuple[str, str, str]]:
        record = self._broker.registry.certificates.get(certificate)
        if self.rules.owner_signed and record and not any(
                signed_by(record.certificate, each) for each in self._authorities):
            yield certificate, "owner_signed", "none of the owner's authorities signed it"

    def _on_retired(self, certificate: str) -> Iterator[tuple[str, str, str]]:
        thing = self._retired[certificate]
        for each in self._broker.registry.principals_of(thing):
            yield each, "retired", f"'{thing}' came with certificate {certificate[:8]}, which it had replaced"

    def _on_connected(self, event: events.Connected) -> Iterator[tuple[str, str, str]]:
        live = self._connected[event.certificate_id]
        live.add(event.connection)
        if self.rules.shared and len(live) > 1:
            peers = sorted({self._peers.get(each, "") for each in live})
            yield event.certificate_id, "shared", f"{len(live)} connections at once, from {', '.join(peers)}"

    def _on_disconnected(self, event: events.Disconnected, certificate: str) -> Iterator[tuple[str, str, str]]:
        self._connected[certificate].discard(event.connection)
        self._certificates.pop(event.connection, None)
        peer = self._peers.pop(event.connection, "")
        if event.reason is not DisconnectReason.DUPLICATE_CLIENTID or not self.rules.takeovers:
            return
        window = event.time - timedelta(seconds=self.rules.within_s)
        seen = [each for each in self._takeovers[event.client_id] if each[0] >= window] + [(event.time, peer)]
        self._takeovers[event.client_id] = seen
        if len(seen) >= self.rules.takeovers and len({each[1] for each in seen}) > 1:
            yield certificate, "takeovers", f"'{event.client_id}' was taken over {len(seen)} times from several places"

    def _on_spacing(self, event: events.PublishAccepted, certificate: str) -> Iterator[tuple[str, str, str]]:
        rules = self.rules
        if rules.interval_s is None:
            return
        key = certificate, event.topic
        spacing = self._spacing.setdefault(key, Spacing(rules.interval_s, rules.tolerance_s))
        if not spacing.see(event.time) and spacing.uneven >= rules.uneven_intervals:
            yield certificate, "intervals", f"{spacing.uneven} uneven intervals in a row on '{event.topic}'"

    def _new_rogues(self) -> list[RoguePacket]:
        if self._processor is None:
            return []
        fresh = self._processor.rogue[self._rogues_seen:]
        self._rogues_seen += len(fresh)
        return fresh

    def _judge_rogue(self, packet: RoguePacket) -> None:
        if _opened_lid(packet.payload):
            return  # no telemetry, and no lie
        rules = self.rules
        wanted = {"rogue": rules.rogue_packets} if packet.reason in rules.rogue else {}
        if rules.sequences and packet.reason is Rogue.SEQUENCE:
            wanted["sequences"] = rules.sequences
        if not wanted:
            return
        # what it says of itself proves nothing: the connection it came over does
        sender = next((certificate for topic, payload, certificate in reversed(self._publishes)
                       if (topic, payload) == (packet.topic, packet.payload[:events.PAYLOAD_KEPT])), "")
        now = self._broker.now()
        for name, most in wanted.items():
            since = now - timedelta(seconds=rules.within_s)
            seen = self._rogues[sender, name] = [*(each for each in self._rogues[sender, name] if each >= since), now]
            if len(seen) >= most:
                self._ban(sender, name, f"{packet.reason}: {packet.detail}")

    def _ban(self, certificate: str, rule: str, reason: str) -> None:
        registry = self._broker.registry
        if not certificate or certificate in self.banned or certificate not in registry.certificates:
            return
        self.alarms[rule] += 1
        self._broker.log(events.Banned(certificate, rule, reason))
        if self.rules.act:
            self.banned[certificate] = reason
            registry.update_certificate(certificate, Status.INACTIVE)


def _opened_lid(payload: bytes) -> bool:
    if b"tamper" not in payload:
        return False
    try:
        content = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("event") == "tamper"
