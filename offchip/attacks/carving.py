# SPDX-License-Identifier: Apache-2.0
"""Finding device keys (P-256, P-384, RSA) and certificates in any heap of bytes: PEM, DER, bare scalars and primes.

A candidate counts only when it parses; whether a key is *the* key shows when its public half equals that of a
certificate (``Loot.identity``). Sources of the structures: RFC 5915 (ECPrivateKey), RFC 5958 (PKCS#8), RFC 8017 A.1.2
(RSAPrivateKey), RFC 5280.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchip.attacks.blanks import said
from offchip.memo import once_per_object
from offchip.pki.device_key import DeviceKey

#: order of the group of P-256 (SEC 2, 2.4.2)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: length of a private scalar in bytes -> its curve
_CURVES: dict[int, ec.EllipticCurve] = {32: ec.SECP256R1(), 48: ec.SECP384R1()}
#: fewer different bytes than this do not occur in 32 random ones (probability below 1e-13)
_FEWEST_DISTINCT = 16

_PEM = re.compile(rb"-----BEGIN ((?:EC |RSA )?PRIVATE KEY|CERTIFICATE)-----.{16,8192}?-----END \1-----", re.DOTALL)
_EC, _RSA = rb"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
_PKCS8 = re.compile(rb"\x30(?:[\x40-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]\x30.(?:" + _EC + rb"|" + _RSA + rb")",
                    re.DOTALL)
_PKCS1 = re.compile(rb"\x30\x82..\x02\x01\x00\x02\x82..\x00", re.DOTALL)
_SEC1 = re.compile(rb"\x30(?:[\x25-\x7f]|\x81.)\x02\x01\x01\x04(?:\x20(?=(.{32}))|\x30(?=(.{48})))", re.DOTALL)
_CERTIFICATE = re.compile(rb"\x30(?:\x81.|\x82..)\x30(?:\x81.|\x82..)\xa0\x03\x02\x01\x02\x02", re.DOTALL)


#: form of a key that was not found anywhere
COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A private key. ``form``: ``pem``, ``pkcs8``, ``pkcs1``, ``sec1``, ``scalar``, ``prime`` or ``computed``;
    ``offset``: bytes into ``where``."""

    where: str
    offset: int
    form: str
    key: DeviceKey = field(repr=False, compare=False)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        return self.key.public_key()

    @property
    def public(self) -> bytes:
        """SubjectPublicKeyInfo, DER: which key it is."""
        return _public(self.key)

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
    """All keys and all certificates in ``data``; each once, where it was first found."""
    keys: dict[bytes, FoundKey] = {}
    found_keys, found_certificates = _candidates(data)
    for offset, form, key in found_keys:
        if isinstance(key, DeviceKey):
            keys.setdefault(_public(key), FoundKey(where, offset, form, key))
    certificates: dict[bytes, FoundCertificate] = {}
    for offset, form, certificate in found_certificates:
        if certificate is not None:
            der = certificate.public_bytes(serialization.Encoding.DER)
            certificates.setdefault(der, FoundCertificate(where, offset, form, certificate))
    return list(keys.values()), list(certificates.values())


@once_per_object
def _candidates(data: bytes) -> tuple[list[tuple[int, str, object]], list[tuple[int, str, x509.Certificate | None]]]:
    return list(_key_candidates(data)), list(_certificate_candidates(data))


def _key_candidates(data: bytes) -> Iterator[tuple[int, str, object]]:
    for match in _PEM.finditer(data):
        if match[1] != b"CERTIFICATE":
            yield match.start(), "pem", _key_from_pem(match[0])
    for form, pattern in (("pkcs8", _PKCS8), ("pkcs1", _PKCS1)):
        for offset, der in _structures(pattern, data):
            yield offset, form, _key_from_der(der)
    for match in _SEC1.finditer(data):
        scalar = match[1] or match[2]
        yield match.start(), "sec1", _key_from_scalar(int.from_bytes(scalar, "big"), _CURVES[len(scalar)])


def _certificate_candidates(data: bytes) -> Iterator[tuple[int, str, x509.Certificate | None]]:
    for match in _PEM.finditer(data):
        if match[1] == b"CERTIFICATE":
            yield match.start(), "pem", _certificate_from_pem(match[0])
    for offset, der in _structures(_CERTIFICATE, data):
        yield offset, "der", _certificate_from_der(der)


def carve_numbers(data: bytes, public_keys: Iterable[object], where: str, alignment: int = 4) -> list[FoundKey]:
    """The bare numbers that give away the private half of any of ``public_keys``: the scalar of an EC key, or a prime
    factor of an RSA key's modulus (RFC 8017, 3.2); in either byte order, at ``alignment``.

    This is how a key lies in RAM once a crypto library has parsed it (little endian: limbs of a big number).
    """
    found: dict[bytes, FoundKey] = {}
    wanted = list(public_keys)
    for size, curve in _CURVES.items():
        points = {_point(key) for key in wanted if isinstance(key, ec.EllipticCurvePublicKey)
                  and key.curve.name == curve.name}
        for offset, value in _numbers(data, size, alignment) if points else ():
            key = _key_from_scalar(value, curve)
            if key is not None and _point(key.public_key()) in points:
                found.setdefault(_public(key), FoundKey(where, offset, "scalar", key))
    for each in wanted:
        if isinstance(each, rsa.RSAPublicKey):
            _add_prime(found, data, each.public_numbers(), where, alignment)
    return list(found.values())


def _add_prime(found: dict[bytes, FoundKey], data: bytes, public: rsa.RSAPublicNumbers, where: str,
               alignment: int) -> None:
    for offset, value in _numbers(data, public.n.bit_length() // 16, alignment):
        if 1 < value < public.n and public.n % value == 0:
            key = _key_from_prime(public, value)
            found.setdefault(_public(key), FoundKey(where, offset, "prime", key))
            return


def _numbers(data: bytes, size: int, alignment: int) -> Iterator[tuple[int, int]]:
    """Every number of ``size`` bytes that could be random, once."""
    tried: set[bytes] = set()
    for offset in said(data, size, alignment):
        window = data[offset:offset + size]
        if len(set(window)) < _FEWEST_DISTINCT or window in tried:
            continue
        tried.add(window)
        yield offset, int.from_bytes(window, "little")
        yield offset, int.from_bytes(window, "big")


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


def _public(key: DeviceKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _point(key: ec.EllipticCurvePublicKey) -> tuple[int, int]:
    numbers = key.public_numbers()
    return numbers.x, numbers.y


@lru_cache(maxsize=1 << 14)  # two dumps of one memory hold the same numbers
def _key_from_scalar(value: int, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey | None:
    try:
        return ec.derive_private_key(value, curve)
    except ValueError:  # not in 1 .. order - 1
        return None


def _key_from_prime(public: rsa.RSAPublicNumbers, p: int) -> rsa.RSAPrivateKey:
    q = public.n // p
    d = rsa.rsa_recover_private_exponent(public.e, p, q)
    return rsa.RSAPrivateNumbers(p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
                                 public).private_key()


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
