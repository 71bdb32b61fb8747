# SPDX-License-Identifier: Apache-2.0
"""AWSIoTPythonSDK, the first generation."""

from __future__ import annotations

from AWSIoTPythonSDK.MQTTLib import AWSIoTMQTTClient
from steps import Inbox, run


class Client:
    def __init__(self, host: str, port: int, ca: str, certificate: str, key: str, name: str, clean: bool = True,
                 will: tuple[str, bytes] | None = None) -> None:
        self.inbox = Inbox()
        self._client = AWSIoTMQTTClient(name, cleanSession=clean)
        self._client.configureEndpoint(host, port)
        self._client.configureCredentials(ca, key, certificate)
        self._client.configureOfflinePublishQueueing(0)
        self._client.onMessage = lambda message: self.inbox.put(message.topic, message.payload)
        if will:
            self._client.configureLastWill(will[0], will[1].decode(), 1)

    def connect(self) -> None:
        assert self._client.connect(60)

    def subscribe(self, topic: str) -> None:
        assert self._client.subscribe(topic, 1, None)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        assert self._client.publish(topic, bytearray(payload), qos)

    def disconnect(self) -> None:
        self._client.disconnect()

    def abandon(self) -> None:
        """It comes back by itself until the process ends."""


run(Client)
