# SPDX-License-Identifier: Apache-2.0
"""awsiotsdk (AWS IoT Device SDK v2 for Python); argument: 3 or 5, the protocol's version."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from awscrt import mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder
from steps import SECONDS, Inbox, run


class Three:
    def __init__(self, host: str, port: int, ca: str, certificate: str, key: str, name: str, clean: bool = True,
                 will: tuple[str, bytes] | None = None) -> None:
        self.inbox = Inbox()
        last = mqtt.Will(will[0], mqtt.QoS.AT_LEAST_ONCE, will[1], False) if will else None
        self._client = mqtt_connection_builder.mtls_from_path(
            endpoint=host, port=port, ca_filepath=ca, cert_filepath=certificate, pri_key_filepath=key, client_id=name,
            clean_session=clean, keep_alive_secs=60, will=last)
        self._client.on_message(lambda topic, payload, **more: self.inbox.put(topic, payload))

    def connect(self) -> None:
        self._client.connect().result(SECONDS)

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE)[0].result(SECONDS)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self._client.publish(topic, payload, mqtt.QoS(qos))[0].result(SECONDS)

    def disconnect(self) -> None:
        self._client.disconnect().result(SECONDS)

    abandon = disconnect


class Five:
    def __init__(self, host: str, port: int, ca: str, certificate: str, key: str, name: str, clean: bool = True,
                 will: tuple[str, bytes] | None = None) -> None:
        self.inbox = Inbox()
        self._on: Future[Any] = Future()
        self._off: Future[Any] = Future()
        last = mqtt5.PublishPacket(topic=will[0], payload=will[1], qos=mqtt5.QoS.AT_LEAST_ONCE) if will else None
        connect = mqtt5.ConnectPacket(client_id=name, keep_alive_interval_sec=60, will=last,
                                      session_expiry_interval_sec=None if clean else 600)
        behavior = mqtt5.ClientSessionBehaviorType
        self._client = mqtt5_client_builder.mtls_from_path(
            endpoint=host, port=port, ca_filepath=ca, cert_filepath=certificate, pri_key_filepath=key,
            connect_options=connect, session_behavior=behavior.CLEAN if clean else behavior.REJOIN_ALWAYS,
            on_publish_received=lambda data: self.inbox.put(data.publish_packet.topic,
                                                            data.publish_packet.payload or b""),
            on_lifecycle_connection_success=lambda data: self._on.done() or self._on.set_result(data),
            on_lifecycle_stopped=lambda data: self._off.done() or self._off.set_result(data))

    def connect(self) -> None:
        self._client.start()
        self._on.result(SECONDS)

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(mqtt5.SubscribePacket([mqtt5.Subscription(topic, mqtt5.QoS.AT_LEAST_ONCE)])).result(
            SECONDS)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self._client.publish(mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos))).result(SECONDS)

    def disconnect(self) -> None:
        self._client.stop(mqtt5.DisconnectPacket())
        self._off.result(SECONDS)

    abandon = disconnect


def client(host: str, port: int, ca: str, certificate: str, key: str, name: str, version: str, **options: Any) -> Any:
    return (Five if version == "5" else Three)(host, port, ca, certificate, key, name, **options)


run(client)
