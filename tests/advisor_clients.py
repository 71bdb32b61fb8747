# SPDX-License-Identifier: Apache-2.0
"""A client at the protocol that does everything Device Advisor asks for, and what it can be told to do badly."""

from __future__ import annotations

import json
from contextlib import contextmanager
from ssl import VerifyFlags
from typing import Any

from offchip.advisor.cases import Case
from offchip.advisor.run import Make
from offchip.broker.client import MqttClient
from offchip.broker.registry import Registry
from offchip.broker.tls import _NO_CHECK_TIME
from offchip.broker.world import HOST, NARROW, WIDE, enrol, policies
from offchip.mqtt import Pingresp, Publish
from offchip.pki import Authority

COMMANDS = "offchip/things/thing-1/commands"
DELTA, UPDATE = "$aws/things/thing-1/shadow/update/delta", "$aws/things/thing-1/shadow/update"
JOBS = "$aws/things/thing-1/jobs"


class Client(MqttClient):
    """``bad``: what it does wrongly, by a word."""

    bad = ""

    def _on_publish(self, packet: Publish) -> None:
        if self.bad == "no-puback":
            packet.qos = 0  # nobody answers QoS 0
        super()._on_publish(packet)


class Device:
    """Lives in steps of a quarter of a second."""

    def __init__(self, bad: str = "") -> None:
        """``bad``: '' or one of the words that the tests pair with the tests it fails."""
        self.name, self.bad = f"client {bad}", bad
        self.authority = Authority(1, keys="rsa")
        self.registry = Registry()
        for name, document in policies(self.registry).items():
            self.registry.create_policy(name, document)
        self.identity = enrol(self.authority, self.registry, "thing-1", WIDE if bad == "wildcards" else NARROW)
        self.certificate = self.identity.certificate_id

    @contextmanager
    def at(self, case: Case, make: Make) -> Any:
        self.time, self.server = 0.0, make(self.authority, self.now_s)
        self._due, self._wait, self._tries, self._pinged = 0.0, 1.0, 0, False
        trusted = list(self.authority.certificates)
        if self.bad == "trusts-anybody":
            trusted += Authority("somebody else", "somebody else", keys="rsa").certificates
        self.client = Client("thing-1", self.identity, trusted, HOST, clean=self.bad == "clean", keep_alive=30)
        self.client.bad = self.bad
        if self.bad == "any-host":
            self.client._context.check_hostname = False
        if self.bad != "ignores-dates":
            self.client._context.verify_flags = VerifyFlags(self.client._context.verify_flags & ~_NO_CHECK_TIME)
        yield self

    def now_s(self) -> float:
        return self.time

    def advance(self) -> None:
        self.time += 0.25
        if self.time < self._due or self.bad == "never":
            return
        self._due = self.time + 5
        if self.client.connected:
            self._work()
        else:
            self._connect()

    def _connect(self) -> None:
        self._pinged = False
        if self.client.connect(self.server):
            self._work()
        if not self.client.connected:
            self.client.drop()
            self._tries += 1
            self._wait = self._wait if self.bad == "no-backoff" else min(self._wait * 2, 64)
            self._due = self.time + self._wait + (0 if self.bad == "no-jitter" else self._tries % 3 * 0.25)

    def _work(self) -> None:
        """Each step only while the server is there."""
        steps = (self._subscribe, self._publish, self._report, self._finish, self._ping)
        for step in steps[-1:] if self.bad == "mute" else steps:
            if self.client.connected:
                step()

    def _subscribe(self) -> None:
        if COMMANDS not in self.client.granted:
            self.client.subscribe(COMMANDS, DELTA, f"{JOBS}/notify-next")

    def _publish(self) -> None:
        qos = 0 if self.bad == "qos0" else 1
        if not self.client.publish("offchip/things/thing-1", b"{}", qos=qos):
            self.client.drop()  # and say it again in another connection

    def _report(self) -> None:
        lit = any(each.topic == DELTA for each in self.client.messages)
        self.client.publish(UPDATE, json.dumps({"state": {"reported": {"advisor": "on" if lit else "off"}}}).encode())

    def _finish(self) -> None:
        if any(each.topic == f"{JOBS}/notify-next" for each in self.client.messages):
            self.client.publish(f"{JOBS}/advisor-job/update", b'{"status":"SUCCEEDED"}')

    def _ping(self) -> None:
        answered = any(isinstance(each, Pingresp) for each in self.client.packets)
        if self._pinged and self.bad != "patient" and not answered:
            self.client.drop()
            return
        self.client.ping()
        self._pinged = True
