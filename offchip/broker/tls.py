# SPDX-License-Identifier: Apache-2.0
"""TLS over memory buffers: contexts for broker and clients, and one stream that never touches a socket.

Validity of certificates is not judged here: Python's ssl knows only the host's date, and nothing in the laboratory may
depend on it. Who has a clock (the broker) checks validity itself.
"""

from __future__ import annotations

import _ssl
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from offchip.broker.entropy import Entropy
from offchip.broker.profile import Profile
from offchip.errors import BrokerError
from offchip.pki import Identity

#: X509_V_FLAG_NO_CHECK_TIME (OpenSSL, x509_vfy.h); the ssl module has no name for it
_NO_CHECK_TIME = 0x200000

#: called with (direction, number, name) of each alert record; direction is "sent" or "received"
AlertSink = Callable[[str, int, str], None]

#: RFC 8446 section 6 and, below TLS 1.3, RFC 5246 section 7.2
_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
    115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}
_UNRECOGNIZED_NAME = 112
#: content types of records and the type of a message (RFC 8446, 5.1 and 4)
_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1
#: NSS key log of every context made meanwhile, whoever makes it
_key_log: ContextVar[Path | None] = ContextVar("key_log", default=None)


@contextmanager
def key_log(path: Path) -> Iterator[None]:
    """Contexts made within, of servers and clients, write the secrets of their sessions to ``path`` (NSS key log)."""
    before = _key_log.set(path)
    try:
        yield
    finally:
        _key_log.reset(before)


class _TracedObject(ssl.SSLObject):
    """Carries the stream it belongs to into the context's callbacks."""

    stream: TlsStream


class _Spent:
    """In the place of a connection's OpenSSL object when TCP is gone."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name in ("version", "cipher", "getpeercert", "selected_alpn_protocol"):
            return lambda *arguments, **options: None

        def refuse(*arguments: object) -> object:
            raise ssl.SSLError(1, "the connection is gone")
        return refuse


def server_context(identity: Identity, authorities: Iterable[x509.Certificate], profile: Profile,
                   keylog_file: Path | None = None) -> ssl.SSLContext:
    """Mutual TLS as ``profile`` has it. Raises BrokerError for unusable certificates, ciphers or key log."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    # a certificate registered without a CA is trusted itself
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    versions = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
    if not profile.tls_versions or not set(profile.tls_versions) <= set(versions):
        raise BrokerError(f"profile {profile.name}: tls_versions must be of {', '.join(versions)}")
    context.minimum_version = min(versions[each] for each in profile.tls_versions)
    context.maximum_version = max(versions[each] for each in profile.tls_versions)
    try:
        context.set_ciphers(":".join(profile.tls12_ciphers))
    except ssl.SSLError as error:
        raise BrokerError(f"profile {profile.name}: none of tls12_ciphers is known to {ssl.OPENSSL_VERSION}") from error
    # the server's preference decides; a client that names none of these gets none and is served, as without ALPN
    context.set_alpn_protocols(list(profile.alpn_protocols))
    _finish(context, identity, authorities)
    if keylog_file is not None:
        try:
            context.keylog_filename = str(keylog_file)
        except OSError as error:
            raise BrokerError(f"{keylog_file}: the TLS key log cannot be written: {error.strerror}") from error
    return context


def trust(context: ssl.SSLContext, certificate: x509.Certificate) -> None:
    """From now on connections of this context may be vouched for by one more certificate."""
    context.load_verify_locations(cadata=certificate.public_bytes(Encoding.PEM).decode())


def anonymous_server_context(identity: Identity) -> ssl.SSLContext:
    """A server that takes any client and asks for no certificate. Raises BrokerError for an unusable identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # tickets carry the host's time
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _finish(context, identity, ())
    return context


def client_context(identity: Identity | None, authorities: Iterable[x509.Certificate]) -> ssl.SSLContext:
    """A client that trusts ``authorities`` alone and checks the host name. Raises BrokerError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _finish(context, identity, authorities)
    return context


class TlsStream:
    """One TLS connection. ``sni``: what the client asked for, on the server's side; ``offered``: its ALPN."""

    def __init__(self, context: ssl.SSLContext, on_alert: AlertSink, server_name: str | None = None,
                 entropy: Entropy | None = None, require_sni: bool = False) -> None:
        """``server_name``: what a client asks for; None for a server. ``entropy``: None for real random numbers.
        ``require_sni``: a server's; a client that names nobody is refused.
        """
        self.sni = ""
        self.offered: list[str] = []
        self._require_sni = require_sni
        self._name_fault = False
        self.on_alert = on_alert
        #: told each handshake message, in clear and with its header (RFC 8446, 4), as (direction, message)
        self.on_handshake: Callable[[str, bytes], None] | None = None
        self._seeded = entropy.entered if entropy else nullcontext
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        serving = context.protocol is ssl.PROTOCOL_TLS_SERVER
        with self._seeded():
            self._tls = context.wrap_bio(self._incoming, self._outgoing, serving, server_name)
        self._tls.stream = self  # type: ignore[attr-defined]
        self.established = False

    def feed(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._incoming.write(data)

    def take(self) -> bytes:
        """Bytes for the peer."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is complete. Raises ssl.SSLError when it failed."""
        if not self.established:
            waiting = False
            try:
                with self._seeded():
                    self._tls.do_handshake()
            except ssl.SSLWantReadError:
                waiting = True
            if self._name_fault:
                self._refuse_name()
            self.established = not waiting
        return self.established

    def on_client_hello(self, message: bytes) -> None:
        """What the client's first message asks for; the ssl module's own callback cannot take names beyond ASCII."""
        extensions = _extensions(message)
        name, self.offered = _name(extensions), _protocols(extensions)
        self.sni = (name or b"").decode("ascii", "backslashreplace")
        self._name_fault = self._require_sni if not name else not name.isascii() or b"\0" in name

    def _refuse_name(self) -> None:
        """Instead of what OpenSSL answered, which nobody has taken yet: a fatal alert (RFC 6066, 3)."""
        self._outgoing.read()
        self._outgoing.write(b"\x15\x03\x03\x00\x02\x02" + bytes([_UNRECOGNIZED_NAME]))
        self.on_alert("sent", _UNRECOGNIZED_NAME, _ALERTS[_UNRECOGNIZED_NAME])
        refusal = ssl.SSLError(1, "the client names no server, or none that can be a host name")
        refusal.reason = "UNRECOGNIZED_NAME"
        raise refusal

    @property
    def pending(self) -> int:
        """Bytes that wait to be taken."""
        return self._outgoing.pending

    def read(self) -> bytes | None:
        """Plain text, b"" after the peer's close_notify, None when there is nothing yet. Raises ssl.SSLError."""
        try:
            with self._seeded():
                return self._tls.read(65536)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: bytes | bytearray) -> None:
        """Encrypt. Raises ssl.SSLError on a stream that is over."""
        with self._seeded():
            self._tls.write(data)

    def close(self) -> None:
        """Say close_notify; what the peer still sends does not matter any more."""
        if self.established:
            with suppress(ssl.SSLError), self._seeded():
                self._tls.unwrap()

    def release(self) -> None:
        """Nobody feeds it any more: OpenSSL's part, some 40 KB, need not wait for a garbage collection; what was to be
        sent may still be taken."""
        self._tls, self._incoming = cast(ssl.SSLObject, _Spent()), ssl.MemoryBIO()

    @property
    def version(self) -> str:
        """``TLSv1.2`` or ``TLSv1.3``; '' before the handshake."""
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the suite; '' before the handshake."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else ""

    @property
    def protocol(self) -> str:
        """What ALPN selected; '' when nothing."""
        return self._tls.selected_alpn_protocol() or ""

    @property
    def peer_certificate(self) -> bytes:
        """DER of the peer's certificate; b"" before the handshake."""
        return self._tls.getpeercert(binary_form=True) or b""


def _finish(context: ssl.SSLContext, identity: Identity | None, authorities: Iterable[x509.Certificate]) -> None:
    authorities = tuple(authorities)
    context.sslobject_class = _TracedObject
    if log := _key_log.get():
        context.keylog_filename = str(log)
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    # the ssl module offers no public view of alert records; this hook shows them decrypted, with their exact numbers.
    # Its own wrapper makes three enumeration members of each of forty records a connection, a tenth of a handshake.
    _ssl._SSLContext._msg_callback.__set__(context, _on_message)  # type: ignore[attr-defined]
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in authorities)
    if pem:
        context.load_verify_locations(cadata=pem.decode())
    elif context.verify_mode is not ssl.CERT_NONE:
        raise BrokerError("TLS needs at least one certificate authority to trust")
    if identity is not None:
        with tempfile.TemporaryDirectory(prefix="offchip-") as folder:
            # the ssl module takes key material from files only
            chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
            chain.write_bytes(identity.chain_pem + _issuer_pem(identity, authorities))
            key.touch(mode=0o600)
            key.write_bytes(identity.key_pem)
            try:
                context.load_cert_chain(chain, key)
            except ssl.SSLError as error:
                raise BrokerError(f"certificate {identity.certificate_id[:8]}: OpenSSL refuses it: "
                                  f"{error.reason}") from error


def _issuer_pem(identity: Identity, authorities: Sequence[x509.Certificate]) -> bytes:
    """What stands behind a leaf that comes alone: OpenSSL would send it too, after it has looked for it and verified it
    anew in each handshake (SSL_MODE_NO_AUTO_CHAIN)."""
    issuer = next((each for each in authorities if each.subject == identity.certificate.issuer), None)
    if identity.chain or issuer is None or issuer.subject != issuer.issuer or issuer == identity.certificate:
        return b""
    return issuer.public_bytes(Encoding.PEM)


def server_name_of(hello: bytes) -> bytes | None:
    """The host name a ClientHello asks for (RFC 6066, 3); None without one. ``hello``: the handshake message with its
    header."""
    return _name(_extensions(hello))


def _name(extensions: dict[int, bytes]) -> bytes | None:
    entry = extensions.get(0)
    return None if entry is None else entry[5:5 + int.from_bytes(entry[3:5], "big")]


def _protocols(extensions: dict[int, bytes]) -> list[str]:
    """What it offers to speak (RFC 7301, 3.1)."""
    rest, names = extensions.get(16, b"")[2:], []
    while rest:
        names.append(rest[1:1 + rest[0]].decode("ascii", "backslashreplace"))
        rest = rest[1 + rest[0]:]
    return names


def _extensions(hello: bytes) -> dict[int, bytes]:
    """RFC 8446, 4.1.2 and 4.2."""
    found: dict[int, bytes] = {}
    try:
        at = 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at:at + 2], "big")
        at += 1 + hello[at]
    except IndexError:
        return found  # OpenSSL refuses what is not whole
    end = min(at + 2 + int.from_bytes(hello[at:at + 2], "big"), len(hello))
    at += 2
    while at + 4 <= end:
        size = hello[at + 2] << 8 | hello[at + 3]
        found.setdefault(hello[at] << 8 | hello[at + 1], hello[at + 4:at + 4 + size])
        at += 4 + size
    return found


def _on_message(tls: _TracedObject, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    if content == _ALERT and len(data) == 2:
        number = data[1]
        tls.stream.on_alert("sent" if direction == "write" else "received", number, _ALERTS.get(number, "unknown"))
    elif content == _HANDSHAKE:
        if message == _CLIENT_HELLO and direction == "read":
            tls.stream.on_client_hello(data)
        if tls.stream.on_handshake is not None:
            tls.stream.on_handshake("sent" if direction == "write" else "received", data)
