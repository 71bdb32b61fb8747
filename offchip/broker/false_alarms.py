# SPDX-License-Identifier: Apache-2.0
"""How often the owner's reactions cry wolf: honest devices on a bad network, judged by every rule, harmed by none.

    python -m offchip.broker.false_alarms [intervals]
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from offchip.broker.client import MqttClient
from offchip.broker.processor import THING_TOPIC, telemetry
from offchip.broker.reactions import HOSTILE, Rules
from offchip.broker.world import HOST, World, build_world

_START = datetime(2026, 6, 1, tzinfo=UTC)

#: every rule, as an owner would set it who wants no false alarm a day; nobody is banned
ALL_RULES = Rules(forbidden=True, rogue=HOSTILE, rogue_packets=3, interval_s=5.0, tolerance_s=1.0, uneven_intervals=3,
                  takeovers=3, shared=True, sequences=3, lid=True, owner_signed=True, retired=True, act=False)


@dataclass(frozen=True, slots=True)
class Network:
    """What honest devices suffer.

    Attributes:
        jitter_s: standard deviation of each publish's lateness (Gaussian, independent), in seconds.
        outage: chance, for each interval, that the device is cut off for 1..20 intervals without a word and comes back
            from another address, the broker still holding the old connection.
        reboot: chance of a power cut: the connection stays half open, the device counts from 1 again.
        repeat: chance that a PUBACK is lost, and the device sends the message once more.
    """

    jitter_s: float = 0.2
    outage: float = 0.01
    reboot: float = 0.002
    repeat: float = 0.002


class _Honest:
    """One device, telling the truth over a network that does not always carry it."""

    def __init__(self, world: World, thing: str, number: int) -> None:
        self._world, self._number, self._seq, self._moves = world, number, 0, 0
        self._topic, self._thing = THING_TOPIC + thing, thing
        self._client = MqttClient(thing, world.devices[thing], world.authority.certificates, HOST)

    def reach(self, moved: bool = False) -> None:
        """Connect anew, the old connection left half open."""
        self._moves += moved
        self._client.connect(self._world.broker, f"10.{self._moves % 250}.0.{self._number}")

    def reboot(self) -> None:
        self._seq = 0
        self.reach()

    def publish(self, now: datetime, twice: bool) -> None:
        self._seq += 1
        payload = telemetry(self._thing, self._seq, now)
        for _ in range(1 + twice):
            self._client.publish(self._topic, payload)


def measure(intervals: int, rules: Rules = ALL_RULES, network: Network | None = None, seed: int = 12,
            devices: int = 10) -> Counter[str]:
    """How often each rule would have acted in so many publish intervals of all devices together."""
    network, chance, now = network or Network(), random.Random(seed), _START
    assert rules.interval_s is not None
    things = [f"thing-{number}" for number in range(devices)]
    world = build_world(lambda: now, seed, things, rules=rules)
    fleet = [_Honest(world, thing, number) for number, thing in enumerate(things)]
    for device in fleet:
        device.reach()
    away = [0] * devices
    for step in range(intervals // devices):
        start = _START + timedelta(seconds=rules.interval_s * (step + 1))
        late = sorted((abs(chance.gauss(0, network.jitter_s)), number) for number in range(devices))
        for delay, number in late:
            now = max(now, start + timedelta(seconds=delay + 0.01 * number))
            away[number] = _live(fleet[number], away[number], chance, network, now)
            world.tick()
    return world.reactions.alarms


def _live(device: _Honest, away: int, chance: random.Random, network: Network, now: datetime) -> int:
    """One interval of one device; returns for how many more it is cut off."""
    if away:
        if away == 1:
            device.reach(moved=True)
        return away - 1
    if chance.random() < network.outage:
        return chance.randint(1, 20)
    if chance.random() < network.reboot:
        device.reboot()
    device.publish(now, chance.random() < network.repeat)
    return 0


def main(arguments: Sequence[str]) -> None:
    """Print alarms of each rule, for rising jitter, as the table in docs/reactions.md has them."""
    intervals = int(arguments[0]) if arguments else 20_000
    rules = ("forbidden", "rogue", "intervals", "takeovers", "shared", "sequences", "lid", "owner_signed", "retired")
    print(f"alarms in {intervals} intervals\n\n| jitter | {' | '.join(rules)} |\n|---|{'---|' * len(rules)}")
    for jitter in (0.05, 0.2, 0.5, 1.0):
        alarms = measure(intervals, network=Network(jitter_s=jitter))
        print(f"| {jitter:g} s | {' | '.join(str(alarms[rule]) for rule in rules)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
