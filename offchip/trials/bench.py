# SPDX-License-Identifier: Apache-2.0
"""A broker under a profile, a clock by hand, and clients to try one behaviour with; what was seen is said in words."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from offchip.broker.client import MqttClient
from offchip.broker.profile import Profile
from offchip.broker.tls import TlsStream, client_context
from offchip.broker.world import HOST, WIDE, World, build_world, issue_claim
from offchip.errors import BrokerError, OffchipError
from offchip.mqtt import V3_1_1, Connect, Packet, PacketReader, encode
from offchip.pki import Identity

START = datetime(2026, 6, 1, tzinfo=UTC)
THING, OTHER = "thing-1", "thing-2"
#: no trial waits longer than this
PATIENCE = timedelta(days=30)
#: no trial does a thing more often than this, so a limit above it is said not to have been reached
MOST = 300

#: the trial's clients speak both
BOTH = ("3.1.1", "5.0")
#: tries a behaviour and says what was seen
Trial = Callable[["Bench"], str]


@dataclass(frozen=True, slots=True)
class Registered:
    """``beside``: other behaviours as the trial needs them, so that this one can be seen."""

    trial: Trial
    beside: dict[str, Any]


#: by behaviour
TRIALS: dict[str, Registered] = {}


def trial(**beside: Any) -> Callable[[Trial], Trial]:
    """Register a function as the trial of the behaviour it is named after."""
    def register(function: Trial) -> Trial:
        TRIALS[function.__name__] = Registered(function, beside)
        return function
    return register


class Untried(BrokerError):
    """The rest of the profile does not let a trial get as far as the behaviour."""


def try_behaviour(name: str, profile: Profile) -> str:
    """What a broker of this profile does where the behaviour shows. Raises Untried; KeyError for a behaviour there is
    not."""
    registered = TRIALS[name]
    try:
        bench = Bench(profile.with_changes(**registered.beside))
        seen = registered.trial(bench)
    except (OffchipError, LookupError, ValueError) as error:  # an answer that did not come is missing somewhere
        reason = error if isinstance(error, OffchipError) else "an answer it needs did not come"
        raise Untried(f"{name} cannot be tried under {profile.name}: {reason}") from error
    return f"{seen}; no more were tried" if bench.capped else seen


class Bench:
    """One world with two things that may do everything."""

    def __init__(self, profile: Profile, policy: str = WIDE) -> None:
        self.profile, self.time = profile, START
        self.world: World = build_world(lambda: self.time, things=(THING, OTHER), profile=profile, policy=policy)
        self.broker = self.world.broker
        #: a limit was too high to be reached
        self.capped = False

    def beyond(self, limit: int, most: int = MOST) -> int:
        """One more than allowed, so that the limit shows; of a high limit, no more than a trial may do."""
        self.capped |= limit >= most
        return min(limit + 1, most)

    @cached_property
    def claim(self) -> Identity:
        """Good for nothing but to ask for an identity of one's own."""
        return issue_claim(self.world)

    def again(self, policy: str = WIDE) -> Bench:
        """A fresh one under the same profile."""
        return Bench(self.profile, policy)

    # time ----------------------------------------------------------------------------------------------------------
    def wait(self, seconds: float) -> None:
        """Let time take effect, as often as the broker asks for it."""
        end = self.time + timedelta(seconds=seconds)
        while (due := self.broker.tick()) < end:
            self.time = max(due, self.time + timedelta(milliseconds=10))
        self.time = end
        self.broker.tick()

    def until(self, over: Callable[[], bool]) -> str:
        """How long it takes, in whole seconds."""
        start = self.time
        while not over() and self.time - start < PATIENCE:
            self.time = max(self.broker.tick(), self.time + timedelta(milliseconds=10))
            self.broker.tick()
        if not over():
            return f"not within {PATIENCE.days} days"
        return f"after {round((self.time - start).total_seconds())} s"

    # clients -------------------------------------------------------------------------------------------------------
    def client(self, client_id: str = THING, thing: str = THING, identity: Identity | None = None,
               peer_name: str = "10.0.0.2", **options: Any) -> MqttClient:
        """Connected, whatever came of it; acknowledges what it gets."""
        client = MqttClient(client_id, identity or self.world.devices[thing], self.world.authority.certificates, HOST,
                            **options)
        client.connect(self.broker, peer_name)
        return client

    def raw(self, client_id: str = THING, thing: str = THING, **options: Any) -> Raw:
        """Connected; acknowledges nothing."""
        raw = Raw(self, self.context(thing))
        raw.send(Connect(client_id, **{"keep_alive": 1200, **options}))
        return raw

    def context(self, thing: str = THING) -> ssl.SSLContext:
        """A client's, to be changed at will."""
        return client_context(self.world.devices[thing], self.world.authority.certificates)

    def allow_all_but(self, *denied: tuple[str, str]) -> None:
        """From now on everything is allowed to the things, except actions on topics."""
        statements = [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
                      *({"Effect": "Deny", "Action": action, "Resource": f"arn:aws:iot:*:*:{resource}"}
                        for action, resource in denied)]
        self.world.registry.update_policy(WIDE, {"Version": "2012-10-17", "Statement": statements})


class Raw:
    """A client that says what it is told to, and nothing by itself. ``packets``: what came, oldest first."""

    def __init__(self, bench: Bench, context: ssl.SSLContext, server_name: str | None = HOST) -> None:
        self.alerts: list[str] = []
        self.packets: list[Packet] = []
        self.version = V3_1_1
        self.endpoint = bench.broker.connect("10.0.0.3")
        self.tls = TlsStream(context, lambda direction, number, name: self.alerts.append(name), server_name)
        self._reader = PacketReader(1 << 20)
        self._shake()

    @property
    def closed(self) -> bool:
        """By the broker."""
        return self.endpoint.closed

    def send(self, *packets: Packet) -> list[Packet]:
        """What came in answer."""
        for each in packets:
            if isinstance(each, Connect):
                self.version = each.version
                self._reader = PacketReader(1 << 20, each.version)
            self.tls.write(encode(each, self.version))
        self.endpoint.receive(self.tls.take())
        return self.read()

    def read(self) -> list[Packet]:
        """What came since the last time."""
        before = len(self.packets)
        while encrypted := self.endpoint.take():
            self.tls.feed(encrypted)
            while data := self.tls.read() or b"":
                self._reader.feed(data)
                while packet := self._reader.next():
                    self.packets.append(packet)
        return self.packets[before:]

    def _shake(self) -> None:
        try:
            while not self.tls.handshake() and not self.endpoint.closed:
                self._exchange()
            self._exchange()
            self.read()
        except ssl.SSLError as error:
            self.alerts = self.alerts or [error.reason or type(error).__name__]

    def _exchange(self) -> None:
        self.endpoint.receive(self.tls.take())
        self.tls.feed(self.endpoint.take())


def said(value: bool) -> str:
    """Yes or no."""
    return "yes" if value else "no"
