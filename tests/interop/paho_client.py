# SPDX-License-Identifier: Apache-2.0
"""paho-mqtt 1.x and 2.x; argument: 3 or 5, the protocol's version."""

from __future__ import annotations

import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from steps import SECONDS, Inbox, run


class Client:
    def __init__(self, host: str, port: int, ca: str, certificate: str, key: str, name: str, version: str,
                 clean: bool = True, will: tuple[str, bytes] | None = None) -> None:
        self.inbox, self._host, self._port, self._clean = Inbox(), host, port, clean
        self._five = version == "5"
        options: dict[str, Any] = {"client_id": name, "protocol": paho.MQTTv5 if self._five else paho.MQTTv311}
        if not self._five:
            options["clean_session"] = clean
        if hasattr(paho, "CallbackAPIVersion"):
            options["callback_api_version"] = paho.CallbackAPIVersion.VERSION1
        self._client = paho.Client(**options)
        self._client.tls_set(ca, certificate, key)
        if will:
            self._client.will_set(*will, qos=1)
        self._done: dict[str, threading.Event] = {each: threading.Event() for each in ("on", "sub", "pub", "off")}
        self._client.on_connect = lambda *a: self._done["on"].set() if not int(getattr(a[3], "value", a[3])) else None
        self._client.on_subscribe = lambda *a: self._done["sub"].set()
        self._client.on_publish = lambda *a: self._done["pub"].set()
        self._client.on_disconnect = lambda *a: self._done["off"].set()
        self._client.on_message = lambda client, data, message: self.inbox.put(message.topic, message.payload)

    def connect(self) -> None:
        more: dict[str, Any] = {}
        if self._five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self._clean else 600
            more = {"clean_start": self._clean, "properties": properties}
        self._client.connect(self._host, self._port, 60, **more)
        self._client.loop_start()
        self._await("on")

    def subscribe(self, topic: str) -> None:
        self._done["sub"].clear()
        self._client.subscribe(topic, 1)
        self._await("sub")

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self._done["pub"].clear()
        self._client.publish(topic, payload, qos)
        self._await("pub")

    def disconnect(self) -> None:
        self._client.disconnect()
        self._await("off")
        self._client.loop_stop()

    def abandon(self) -> None:
        self._client.loop_stop()

    def _await(self, what: str) -> None:
        if not self._done[what].wait(SECONDS):
            raise TimeoutError(what)


run(Client)
