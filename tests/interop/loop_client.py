# SPDX-License-Identifier: Apache-2.0
"""aiomqtt and gmqtt, each in an event loop of a thread of its own; arguments: which, and 3 or 5."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from typing import Any

from steps import SECONDS, Inbox, run

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def wait(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, _loop).result(SECONDS)


def context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ca)
    made.load_cert_chain(certificate, key)
    return made


class Aiomqtt:
    def __init__(self, host: str, port: int, tls: ssl.SSLContext, name: str, five: bool, clean: bool,
                 will: tuple[str, bytes] | None) -> None:
        import aiomqtt

        self.inbox = Inbox()
        version = aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311
        options: dict[str, Any] = {"clean_start": clean} if five else {"clean_session": clean}
        if five and not clean:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            options["properties"] = Properties(PacketTypes.CONNECT)
            options["properties"].SessionExpiryInterval = 600

        async def make() -> Any:
            return aiomqtt.Client(host, port, identifier=name, tls_context=tls, protocol=version,
                                  will=aiomqtt.Will(will[0], will[1], 1) if will else None, **options)
        self._client = wait(make())
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        async def work() -> None:
            await self._client.__aenter__()
            self._task = asyncio.create_task(self._listen())
        wait(work())

    async def _listen(self) -> None:
        with contextlib.suppress(Exception):  # thrown out by another connection: that is what was asked for
            async for message in self._client.messages:
                self.inbox.put(message.topic.value, message.payload)

    def subscribe(self, topic: str) -> None:
        wait(self._client.subscribe(topic, 1))

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        wait(self._client.publish(topic, payload, qos))

    def disconnect(self) -> None:
        wait(self._client.__aexit__(None, None, None))

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self.disconnect()


class Gmqtt:
    def __init__(self, host: str, port: int, tls: ssl.SSLContext, name: str, five: bool, clean: bool,
                 will: tuple[str, bytes] | None) -> None:
        import gmqtt
        from gmqtt.mqtt.constants import MQTTv50, MQTTv311

        self.inbox, self._where = Inbox(), (host, port, tls, MQTTv50 if five else MQTTv311)
        last = gmqtt.Message(will[0], will[1], qos=1) if will else None
        more = {"session_expiry_interval": 600} if five and not clean else {}

        async def make() -> Any:
            return gmqtt.Client(name, clean_session=clean, will_message=last, **more)
        self._client = wait(make())
        self._client.set_config({"reconnect_retries": 0})
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *a, **k: self._subscribed.set()

        async def on_message(client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
            self.inbox.put(topic, payload)
            return 0
        self._client.on_message = on_message

    def connect(self) -> None:
        host, port, tls, version = self._where
        wait(self._client.connect(host, port, ssl=tls, keepalive=60, version=version))

    def subscribe(self, topic: str) -> None:
        self._subscribed.clear()
        _loop.call_soon_threadsafe(self._client.subscribe, topic, 1)
        if not self._subscribed.wait(SECONDS):
            raise TimeoutError("SUBACK")

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        async def work() -> None:
            self._client.publish(topic, payload, qos=qos)
            await asyncio.sleep(0.2)
        wait(work())

    def disconnect(self) -> None:
        wait(self._client.disconnect())

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self.disconnect()


def client(host: str, port: int, ca: str, certificate: str, key: str, name: str, which: str, version: str,
           clean: bool = True, will: tuple[str, bytes] | None = None) -> Any:
    return {"aiomqtt": Aiomqtt, "gmqtt": Gmqtt}[which](host, port, context(ca, certificate, key), name, version == "5",
                                                       clean, will)


run(client)
