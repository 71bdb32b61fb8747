# SPDX-License-Identifier: Apache-2.0
"""One TCP connection to the broker: TLS, the registry's word on the certificate, and the MQTT inside."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

from offchip.broker import events
from offchip.broker.conversation import Conversation
from offchip.broker.entrance import Entrance
from offchip.broker.entropy import Entropy
from offchip.broker.events import DisconnectReason, Event
from offchip.broker.hub import Hub
from offchip.broker.tls import TlsStream
from offchip.broker.turns import Turns
from offchip.pki import certificate_id


class Connection:
    """The broker's end of one connection; made by :meth:`offchip.broker.server.Broker.connect`.

    ``closed``: nothing more comes than what :meth:`take` still returns. ``on_output``: called when there is something
    to take that no :meth:`receive` asked for.
    """

    def __init__(self, hub: Hub, entrance: Entrance, turns: Turns, number: int, peer_name: str,
                 context: ssl.SSLContext, entropy: Entropy | None, on_closed: Callable[[int], object]) -> None:
        """``entropy``: None for real random numbers; ``on_closed``: told the number when it is over."""
        self.number = number
        self.peer_name = peer_name
        self.certificate_id = ""
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self._hub, self._entrance, self._turns, self._on_closed = hub, entrance, turns, on_closed
        self._tls = TlsStream(context, lambda *alert: self._log(events.TlsAlert(*alert)), entropy=entropy,
                              require_sni=hub.profile.require_sni)
        self._mqtt = Conversation(hub, self)
        #: packets that go into the next records together: one record a packet costs more than the packet
        self._plain = bytearray()
        self._until = hub.now() + timedelta(seconds=hub.profile.connect_timeout_seconds)

    # the stream ----------------------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> None:
        """Bytes from the peer; whatever follows from them is done on return. Ignored on a closed connection."""
        with self._turns.step(self):
            if not self.closed:
                self._tls.feed(data)
                self._advance()

    def take(self) -> bytes:
        """Everything to send."""
        with self._turns.step(self):
            self._encrypt()
            data = self._tls.take()
            if data and not self.closed:
                self._mqtt.drained()
            return data

    def peer_closed(self) -> None:
        """TCP is gone."""
        with self._turns.step(self):
            if not self.closed and self._tls.established:
                self._mqtt.close(DisconnectReason.CONNECTION_LOST)
            elif not self.closed:
                self._fail("the peer hung up during the handshake")
            self._tls.release()

    # for the conversation ------------------------------------------------------------------------------------------
    @property
    def backlog(self) -> int:
        """Bytes that wait to be taken."""
        return self._tls.pending + len(self._plain)

    def send(self, data: bytes) -> None:
        """Queue; encrypted when it is taken. The connection's owner is woken when the step ends."""
        self._plain += data
        self._turns.wake(self)

    def hang_up(self) -> None:
        """Say close_notify."""
        self._encrypt()
        self._tls.close()
        self._over()

    # for the broker ------------------------------------------------------------------------------------------------
    @property
    def connected(self) -> bool:
        """CONNACK 0 went out and nobody hung up."""
        return self._mqtt.session is not None

    def tick(self, now: datetime) -> datetime | None:
        """Time passes: limits on silence. Returns when to look again."""
        if not self.connected:
            if now > self._until:
                self._time_out()
            return None if self.closed else self._until
        until = self._mqtt.silent_until
        if until and now > until:
            self._mqtt.close(DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT)
        return self._mqtt.silent_until

    def check_certificate(self) -> None:
        """The registry changed: an established connection needs an ACTIVE certificate."""
        if self.certificate_id and not self.closed:
            if fault := self._entrance.fault(self.certificate_id):
                self._refuse_certificate(fault)

    def drop(self, reason: DisconnectReason) -> None:
        """The broker wants to be rid of it."""
        if self._tls.established:
            self._mqtt.close(reason)
        elif not self.closed:
            self._fail(f"hung up: {reason}")

    def _encrypt(self) -> None:
        data, self._plain = self._plain, bytearray()
        if data:
            try:
                self._tls.write(data)
            except ssl.SSLError:
                self._mqtt.close(DisconnectReason.CONNECTION_LOST)

    # TLS -----------------------------------------------------------------------------------------------------------
    def _advance(self) -> None:
        try:
            if not self._tls.established:
                if not self._tls.handshake():
                    return
                self._on_established()
            while not self.closed:
                data = self._tls.read()
                if data is None:
                    return
                if not data:
                    self._mqtt.close(DisconnectReason.CONNECTION_LOST)
                    return
                self._mqtt.receive(data)
        except ssl.SSLError as error:
            self._fail(error.reason or type(error).__name__)

    def _time_out(self) -> None:
        seconds = self._hub.profile.connect_timeout_seconds
        self._log(events.ConnectTimedOut(seconds))
        if self._tls.established:
            self._mqtt.close(DisconnectReason.CLIENT_ERROR)
        else:
            self._fail(f"no handshake within {seconds} s")

    def _fail(self, reason: str) -> None:
        self._log(events.TlsFailed(reason))
        if self._tls.established:
            self._mqtt.close(DisconnectReason.CONNECTION_LOST)
        else:
            self._over()

    def _over(self) -> None:
        self.closed = True
        self._turns.wake(self)
        self._on_closed(self.number)

    def _on_established(self) -> None:
        tls = self._tls
        self.certificate_id = certificate_id(tls.peer_certificate)
        self._log(events.TlsEstablished(tls.version, tls.cipher, tls.sni, self.certificate_id))
        if tls.offered and not tls.protocol:
            self._log(events.NotModelled("", "", f"ALPN offers {', '.join(tls.offered)} and nothing that is spoken "
                                         "here; MQTT with certificates is spoken all the same"))
        if self._entrance.present(self.certificate_id, tls.peer_certificate, self.number):
            self._refuse_certificate("registered just now; connect again")
        else:
            self.check_certificate()

    def _refuse_certificate(self, fault: str) -> None:
        self._log(events.CertificateRefused(fault, self.certificate_id))
        self._mqtt.close(DisconnectReason.AUTH_ERROR)

    def _log(self, event: Event) -> None:
        self._hub.log(event, self.number)
