# SPDX-License-Identifier: Apache-2.0
"""The broker's decisions as one line each, while they fall: who, what, and which statement of which policy said so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from offchip.broker import events
from offchip.broker.policy import Decision
from offchip.broker.server import Broker
from offchip.lab.advice import advice

_MOST = 2000
_SILENT = (events.ConnectionOpened, events.SubscribeAccepted, events.Unseeded, events.LogTruncated)


@dataclass(frozen=True, slots=True)
class Line:
    """``number`` counts from 1; ``time``: the broker's, ISO 8601; ``mark``: ``allowed``, ``denied``, ``owner`` or
    ``''`` for what happened without a decision; ``why``: the statement or the reason."""

    number: int
    time: str
    who: str
    what: str
    mark: str
    why: str

    def __str__(self) -> str:
        verdict = f" {self.mark}:" if self.mark else ""
        return f"{self.time[11:23]}  {self.who:<12} {self.what}{verdict} {self.why}".rstrip()

    def content(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)


class Decisions:
    """Listens to one broker; the newest ``_MOST`` lines are kept. ``on_line`` is called in the broker's thread."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._seen = len(broker.events)
        self._lines: deque[Line] = deque(maxlen=_MOST)
        self._count = 0
        self._names: dict[str, str] = {}
        self.on_line: Callable[[Line], None] | None = None
        broker.hub.authoriser.witness = self._decided

    def look(self) -> None:
        """Take in what happened without a policy's word; call it as time passes."""
        with self._broker.turns.step():
            self._drain()

    def since(self, number: int) -> list[Line]:
        """Lines after ``number``."""
        with self._broker.turns.step():
            self._drain()
            return [each for each in self._lines if each.number > number]

    # inside --------------------------------------------------------------------------------------------------------
    def _decided(self, certificate: str, client_id: str, action: str, name: str, decision: Decision) -> None:
        self._drain()
        mark = "allowed" if decision.allowed else "denied"
        why = decision.reason.removeprefix("allowed by ").removeprefix("denied by ")
        if action == "iot:Connect" and not decision.allowed and (holder := self._holder(certificate)) != client_id:
            why += f"; the certificate is of '{holder}'"
        self._say(client_id or certificate[:8], f"{action} {name}", mark, why, self._broker.now().isoformat())

    def _drain(self) -> None:
        fresh = self._broker.events.since(self._seen)
        self._seen = len(self._broker.events)
        for event in fresh:
            if not isinstance(event, _SILENT):
                self._tell(event)

    def _tell(self, event: events.Event) -> None:
        time = event.time.isoformat()
        match event:
            case events.Banned():
                self._say(self._holder(event.certificate_id), "keyset out of use", "owner",
                          f"rule {event.rule}: {event.reason}", time)
            case events.CertificateRefused():
                self._say(self._holder(event.certificate_id), "certificate", "denied",
                          self._explained(event, event.reason), time)
            case events.TlsFailed():
                self._say("broker", "TLS", "denied", self._explained(event, event.reason), time)
            case events.PublishAccepted() | events.Delivered() | events.PublishForbidden() \
                    | events.SubscribeForbidden() | events.ReceiveForbidden():
                pass  # the policy's word stands there already
            case _:
                who = str(getattr(event, "client_id", "") or getattr(event, "thing", "") or "broker")
                self._say(who, type(event).__name__, "", self._explained(event, _facts(event)), time)

    def _explained(self, event: events.Event, said: str) -> str:
        meant = advice(event, self._broker.profile)
        return f"{said}: {meant}" if meant else said

    def _holder(self, certificate: str) -> str:
        record = self._broker.registry.certificates.get(certificate)
        return ", ".join(sorted(record.things)) if record and record.things else certificate[:8]

    def _say(self, who: str, what: str, mark: str, why: str, time: str) -> None:
        self._count += 1
        line = Line(self._count, time, who, what, mark, why)
        self._lines.append(line)
        if self.on_line:
            self.on_line(line)


def _facts(event: events.Event) -> str:
    shown = (each.name for each in fields(event) if each.name not in ("time", "connection", "client_id", "payload"))
    return " ".join(f"{name}={str(getattr(event, name))[:160]}" for name in shown)
