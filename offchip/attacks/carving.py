# SPDX-License-Identifier: Apache-2.0
"""Finding P-256 keys and certificates in any heap of bytes: PEM blocks, DER structures, bare scalars.

A candidate counts only when it parses; whether a key is *the* key shows when its public half equals that of a
certificate (``Loot.identity``). Sources of the structures: RFC 5915 (ECPrivateKey), RFC 5958 (PKCS#8), RFC 5280.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: order of the group of P-256 (SEC 2, 2.4.2)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: fewer different bytes than this do not occur in 32 random ones (probability below 1e-13)
_FEWEST_DISTINCT = 16

_PEM = re.compile(rb"-----BEGIN (EC PRIVATE KEY|PRIVATE KEY|CERTIFICATE)-----.{16,8192}?-----END \1-----", re.DOTALL)
_PKCS8 = re.compile(rb"\x30(?:[\x40-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]\x30.\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
                    re.DOTALL)
_SEC1 = re.compile(rb"\x30(?:[\x25-\x7f]|\x81.)\x02\x01\x01\x04\x20(?=(.{32}))", re.DOTALL)
_CERTIFICATE = re.compile(rb"\x30(?:\x81.|\x82..)\x30(?:\x81.|\x82..)\xa0\x03\x02\x01\x02\x02", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A P-256 private key. ``form``: ``pem``, ``pkcs8``, ``sec1``, ``scalar`` or ``computed``; ``offset``: bytes into
    ``where``."""

    where: str
    offset: int
    form: str
    key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.key.public_key()

    @property
    def scalar(self) -> int:
        """The private value."""
        return self.key.private_numbers().private_value

    @property
    def pem(self) -> bytes:
        """PKCS#8, unencrypted."""
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())


@dataclass(frozen=True, slots=True)
class FoundCertificate:
    """An X.509 certificate. ``form``: ``pem`` or ``der``."""

    where: str
    offset: int
    form: str
    certificate: x509.Certificate = field(repr=False, compare=False)

    @property
    def public_key(self) -> object:
        return self.certificate.public_key()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def carve(data: bytes, where: str) -> tuple[list[FoundKey], list[FoundCertificate]]:
    """All P-256 keys and all certificates in ``data``; each once, where it was first found."""
    keys: dict[int, FoundKey] = {}
    certificates: dict[bytes, FoundCertificate] = {}

    def add_key(offset: int, form: str, key: object) -> None:
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            keys.setdefault(key.private_numbers().private_value, FoundKey(where, offset, form, key))

    def add_certificate(offset: int, form: str, certificate: x509.Certificate | None) -> None:
        if certificate is not None:
            der = certificate.public_bytes(serialization.Encoding.DER)
            certificates.setdefault(der, FoundCertificate(where, offset, form, certificate))

    for match in _PEM.finditer(data):
        if match[1] == b"CERTIFICATE":
            add_certificate(match.start(), "pem", _certificate_from_pem(match[0]))
        else:
            add_key(match.start(), "pem", _key_from_pem(match[0]))
    for offset, der in _structures(_PKCS8, data):
        add_key(offset, "pkcs8", _key_from_der(der))
    for match in _SEC1.finditer(data):
        add_key(match.start(), "sec1", _key_from_scalar(int.from_bytes(match[1], "big")))
    for offset, der in _structures(_CERTIFICATE, data):
        add_certificate(offset, "der", _certificate_from_der(der))
    return list(keys.values()), list(certificates.values())


def carve_scalars(data: bytes, public_keys: Iterable[ec.EllipticCurvePublicKey], where: str,
                  alignment: int = 4) -> list[FoundKey]:
    """The bare 32-byte private scalars that belong to any of ``public_keys``, in either byte order, at ``alignment``.

    This is how a key lies in RAM once a crypto library has parsed it (little endian: limbs of a big number).
    """
    wanted = {key.public_numbers() for key in public_keys if isinstance(key.curve, ec.SECP256R1)}
    found: dict[int, FoundKey] = {}
    tried: set[bytes] = set()
    for offset in range(0, len(data) - 31 if wanted else 0, alignment):
        window = data[offset:offset + 32]
        if len(set(window)) < _FEWEST_DISTINCT or window in tried:
            continue
        tried.add(window)
        for value in (int.from_bytes(window, "little"), int.from_bytes(window, "big")):
            key = _key_from_scalar(value)
            if key is not None and key.public_key().public_numbers() in wanted:
                found.setdefault(value, FoundKey(where, offset, "scalar", key))
    return list(found.values())


def _structures(pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every place where ``pattern`` starts a DER structure that lies wholly within ``data``."""
    for match in pattern.finditer(data):
        start = match.start()
        first = data[start + 1]
        count = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[start + 2:start + 2 + count], "big") if count else first
        end = start + 2 + count + length
        if end <= len(data):
            yield start, data[start:end]


def _key_from_scalar(value: int) -> ec.EllipticCurvePrivateKey | None:
    return ec.derive_private_key(value, ec.SECP256R1()) if 0 < value < P256_ORDER else None


def _key_from_pem(block: bytes) -> object:
    try:
        return serialization.load_pem_private_key(block, None)
    except (ValueError, TypeError):
        return None


def _key_from_der(der: bytes) -> object:
    try:
        return serialization.load_der_private_key(der, None)
    except (ValueError, TypeError):
        return None


def _certificate_from_pem(block: bytes) -> x509.Certificate | None:
    try:
        return _usable(x509.load_pem_x509_certificate(block))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _certificate_from_der(der: bytes) -> x509.Certificate | None:
    try:
        return _usable(x509.load_der_x509_certificate(der))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _usable(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate, if its public key can be read; the library decodes that part only when asked."""
    certificate.public_key()
    return certificate
