# SPDX-License-Identifier: Apache-2.0
"""A device without a chip: the same identity, words and times at the broker, over the same TLS and MQTT."""

from __future__ import annotations

import random
from datetime import datetime

from offchip.broker.client import MqttClient
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC, telemetry
from offchip.broker.server import Broker
from offchip.broker.world import HOST
from offchip.pki import Authority, Identity

_JITTER_S = 0.05


class Peer:
    """Publishes like the firmware: one packet to its own topic and one to the feed, each interval, late by a little."""

    def __init__(self, thing: str, identity: Identity, authority: Authority, address: str, interval_s: float,
                 chance: random.Random) -> None:
        self.thing, self.seq = thing, 0
        self.client = MqttClient(thing, identity, authority.certificates, HOST, seed=address)
        self._address, self._interval_s, self._chance = address, interval_s, chance
        self._due_s = 0.0

    def start(self, broker: Broker, now_s: float) -> None:
        """Connect; the first packet follows within an interval."""
        self.client.connect(broker, self._address)
        self._due_s = now_s + self._chance.uniform(0, self._interval_s)

    def advance(self, now_s: float, utc: datetime) -> None:
        """Publish if it is time; who was thrown out stays out."""
        if now_s < self._due_s or not self.client.connected:
            return
        self._due_s += self._interval_s + self._chance.uniform(0, _JITTER_S)
        self.seq += 1
        payload = telemetry(self.thing, self.seq, utc)
        for topic in (THING_TOPIC + self.thing, FEED_TOPIC):
            if self.client.connected:
                self.client.publish(topic, payload)
