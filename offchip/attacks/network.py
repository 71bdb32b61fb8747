# SPDX-License-Identifier: Apache-2.0
"""Attacks from the network: being the device with stolen credentials, and being its server by spoofed names."""

from __future__ import annotations

import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt

from offchip.attacks.evidence import AttackFailed, Evidence
from offchip.network.internet import Internet, Service


@dataclass(slots=True)
class Impersonation:
    """What happened to a client that claimed to be the device.

    ``connack``: the CONNACK return code as the broker named it, None when there was none; ``error``: why there was no
    session; ``acknowledged``: topics whose QoS 1 publish got a PUBACK; ``granted``: filter -> SUBACK code;
    ``received``: (topic, payload); ``hung_up``: the server ended the session.
    """

    connack: str | None = None
    error: str | None = None
    acknowledged: list[str] = field(default_factory=list)
    granted: dict[str, int] = field(default_factory=dict)
    received: list[tuple[str, bytes]] = field(default_factory=list)
    hung_up: bool = False

    @property
    def connected(self) -> bool:
        """A session came about."""
        return self.connack == "Success"


def impersonate(host: str, port: int, ca_pem: bytes | None, client_id: str, certificate_pem: bytes | None = None,
                key_pem: bytes | None = None, publish: list[tuple[str, bytes]] | None = None,
                subscribe: list[str] | None = None, server_name: str | None = None,
                timeout_s: float = 5.0) -> Impersonation:
    """Connect to a real TCP broker (``host:port``) with an ordinary MQTT client, subscribe, publish with QoS 1, leave.

    ``ca_pem`` None: the attacker does not care who the server is. ``server_name``: the name to ask for (SNI) and to
    check, when it is not ``host``. ``timeout_s``: wall time for each step; this is the host's network, not the board's.
    Raises AttackFailed when certificate, key or CA are unusable.
    """
    try:
        context = _context(ca_pem, certificate_pem, key_pem, server_name or host)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise AttackFailed(f"certificate, key or CA of '{client_id}' are unusable: {error}") from error
    return _Session(context, host, port, client_id, timeout_s).run(publish or [], subscribe or [])


def spoof_name(internet: Internet, host: str, port: int, rogue: Service, time_ns: int) -> Evidence:
    """From now on the device reaches ``rogue`` under the genuine server's name."""
    internet.redirect(host, port, rogue)
    return Evidence("spoof name", f"{host}:{port}", time_ns, f"the name now leads to a {type(rogue).__name__}")


class _SniContext(ssl.SSLContext):
    """A context that asks for one fixed server name, whatever address the client dials."""

    server_name = ""

    def wrap_socket(self, sock, *arguments, **options):  # type: ignore[no-untyped-def, override]
        options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *arguments, **options)


def _context(ca_pem: bytes | None, certificate_pem: bytes | None, key_pem: bytes | None, name: str) -> ssl.SSLContext:
    context = _SniContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = name
    if ca_pem is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    if certificate_pem and key_pem:
        with tempfile.TemporaryDirectory(prefix="offchip-") as folder:
            # the ssl module takes key material from files only
            certificate_file, key_file = Path(folder, "certificate.pem"), Path(folder, "key.pem")
            certificate_file.write_bytes(certificate_pem)
            key_file.touch(mode=0o600)
            key_file.write_bytes(key_pem)
            context.load_cert_chain(certificate_file, key_file)
    return context


class _Session:
    """One run of a paho client; its callbacks come from paho's own thread."""

    def __init__(self, context: ssl.SSLContext, host: str, port: int, client_id: str, timeout_s: float) -> None:
        self._address = host, port
        self._timeout_s = timeout_s
        self._result = Impersonation()
        self._changed = threading.Condition()
        self._topics: dict[int, str] = {}
        self._filters: dict[int, str] = {}
        self._acknowledged: set[int] = set()
        self._over = False
        self._leaving = False
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv311,
                                   reconnect_on_failure=False)
        self._client.tls_set_context(context)
        self._client.tls_insecure_set(not context.check_hostname)
        self._client.connect_timeout = timeout_s
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_end
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def run(self, publish: list[tuple[str, bytes]], subscribe: list[str]) -> Impersonation:
        result = self._result
        try:
            self._client.connect(*self._address)
        except (OSError, ValueError) as error:
            result.error = str(error) or type(error).__name__
            return result
        self._client.loop_start()
        try:
            if not self._wait(lambda: result.connack is not None):
                result.error = result.error or "no CONNACK"
            elif result.connected:
                self._use(publish, subscribe)
        finally:
            self._leaving = True
            self._client.disconnect()
            self._client.loop_stop()
        return result

    def _use(self, publish: list[tuple[str, bytes]], subscribe: list[str]) -> None:
        result = self._result
        for text in subscribe:
            with self._changed:
                number = self._client.subscribe(text, 1)[1]
                self._filters[number or 0] = text
            if not self._wait(lambda text=text: text in result.granted):  # type: ignore[misc]
                return
        for topic, payload in publish:
            with self._changed:
                number = self._client.publish(topic, payload, 1).mid
                self._topics[number] = topic
            if not self._wait(lambda number=number: number in self._acknowledged):  # type: ignore[misc]
                return

    def _wait(self, reached) -> bool:  # type: ignore[no-untyped-def]
        with self._changed:
            self._changed.wait_for(lambda: reached() or self._over, self._timeout_s)
            return reached()

    def _on_connect(self, client, userdata, flags, reason, properties) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._result.connack = str(reason)
            self._changed.notify_all()

    def _on_end(self, client, userdata) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _on_disconnect(self, client, userdata, flags, reason, properties) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._over = True
            if not self._leaving:
                self._result.hung_up = True
                self._result.error = self._result.error or str(reason)
            self._changed.notify_all()

    def _on_publish(self, client, userdata, number, reason, properties) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._acknowledged.add(number)
            self._result.acknowledged.append(self._topics[number])
            self._changed.notify_all()

    def _on_subscribe(self, client, userdata, number, reasons, properties) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._result.granted[self._filters[number]] = reasons[0].value
            self._changed.notify_all()

    def _on_message(self, client, userdata, message) -> None:  # type: ignore[no-untyped-def]
        with self._changed:
            self._result.received.append((message.topic, message.payload))
            self._changed.notify_all()
