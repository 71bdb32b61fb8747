# SPDX-License-Identifier: Apache-2.0
"""Secrets in any heap of bytes, by what they are and not by who wrote them.

Structures: RFC 7468 (PEM), RFC 5915 (ECPrivateKey), RFC 8017 A.1.2 (RSAPrivateKey), RFC 5958 (PKCS#8), RFC 5280
(certificates). A candidate counts only when it parses.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from offchip.judge.image import Part

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

#: so many bare byte strings are tried as EC scalars; each costs a point multiplication
MOST_SCALARS = 40_000
#: so many as RSA primes; each costs a division
MOST_PRIMES = 4_000_000
#: fewer different bytes than this do not occur in 32 random ones (probability below 1e-13)
_FEWEST_DISTINCT = 16

_LABEL = rb"((?:EC |RSA |ENCRYPTED )?PRIVATE KEY|CERTIFICATE|X509 CERTIFICATE|TRUSTED CERTIFICATE)"
#: line ends may be spelled as in a C string or in JSON
_PEM = re.compile(rb"-----BEGIN " + _LABEL + rb"-----(.{16,16384}?)-----END \1-----", re.DOTALL)
_TORN_PEM = re.compile(rb"-----BEGIN (?:EC |RSA |ENCRYPTED )?PRIVATE KEY-----")
_SEQUENCE = rb"\x30(?:[\x10-\x7f]|\x81.|\x82..)"
_DER_KEY = re.compile(_SEQUENCE + rb"\x02\x01[\x00\x01](?=\x30|\x02|\x04)", re.DOTALL)
_DER_ENCRYPTED = re.compile(_SEQUENCE + rb"\x30[\x0b-\x7f]\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05[\x0d\x03]",
                            re.DOTALL)
_DER_CERTIFICATE = re.compile(rb"\x30(?:\x81.|\x82..)\x30(?:\x81.|\x82..)(?:\xa0\x03\x02\x01\x02)?\x02", re.DOTALL)
_SEC1_HEAD = re.compile(rb"\x02\x01\x01\x04([\x20\x30\x42])", re.DOTALL)
_CURVES: dict[int, ec.EllipticCurve] = {32: ec.SECP256R1(), 48: ec.SECP384R1(), 66: ec.SECP521R1()}
#: PROTOCOL.key of OpenSSH; RFC 7517 and 7518, 6.2.2
_OPENSSH = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----.{16,16384}?-----END OPENSSH PRIVATE KEY-----", re.DOTALL)
_JWK = re.compile(rb"[\"']d[\"']\s*:\s*[\"']([A-Za-z0-9_-]{43})[\"']")
_HEX = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")

_ENDPOINT = re.compile(rb"[a-z0-9][a-z0-9-]{5,40}\.(?:credentials\.)?iot\.[a-z]{2}(?:-[a-z]+){1,3}-\d"
                       rb"\.amazonaws\.com(?:\.cn)?")
_ACCESS_KEY = re.compile(rb"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])")
_PASSPHRASE = re.compile(
    rb"(?i)(?<![a-z])(?:wifi[_ -]?|wlan[_ -]?|wpa2?[_ -]?|sta[_ -]?|ap[_ -]?)?"
    rb"(psk|pass(?:phrase|word|wd)?|pwd|wpa_passphrase|security[_ -]?key|key_mgmt_psk)"
    rb"[\"']?\s*[:=,]\s*[\"']?([\x21-\x7e](?:[\x20-\x7e]{6,61})[\x21-\x7e])")
_SSID = re.compile(rb"(?i)ssid[\"']?\s*[:=,]\s*[\"']?([\x20-\x7e]{1,32}?)(?=[\"'\r\n\0,}]|$)")
#: TLV fields of SPEC.md, sections 1 and 3: 16 the network's name, 17 its passphrase
_FIELD = re.compile(rb"\x11\x00(?P<size>[\x08-\x3f])\x00(?P<text>[\x20-\x7e]{8,63})", re.DOTALL)
_SEALED = re.compile(rb"OCV1|OCX1")


@dataclass(frozen=True, slots=True)
class Found:
    """Where something lies. ``form``: how it is spelled; ``offset``: bytes into ``where`` ('': the dump)."""

    where: str
    offset: int
    form: str

    @property
    def place(self) -> str:
        """``/KEYS/DEVICE.PEM`` or ``0x1A400``"""
        if not self.where:
            return f"0x{self.offset:X}"
        return f"{self.where} at 0x{self.offset:X}" if self.offset else self.where


@dataclass(frozen=True, slots=True)
class FoundKey(Found):
    """A private key in clear."""

    key: PrivateKey = field(repr=False, compare=False)

    @property
    def public(self) -> bytes:
        """SubjectPublicKeyInfo, DER: what a certificate has of it."""
        return public_bytes(self.key.public_key())

    @property
    def kind(self) -> str:
        """``P-256 key``, ``RSA-2048 key``"""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return f"RSA-{self.key.key_size} key"
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return f"{_curve_name(self.key.curve)} key"
        return "Ed25519 key"


@dataclass(frozen=True, slots=True)
class FoundCertificate(Found):
    """An X.509 certificate."""

    certificate: x509.Certificate = field(repr=False, compare=False)

    @property
    def public(self) -> bytes:
        return public_bytes(self.certificate.public_key())

    @property
    def name(self) -> str:
        """The subject's common name, else the whole subject."""
        return _name(self.certificate.subject)

    @property
    def issuer(self) -> str:
        return _name(self.certificate.issuer)

    @property
    def authority(self) -> bool:
        """It may sign others."""
        try:
            return bool(self.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        except (x509.ExtensionNotFound, ValueError):
            return self.certificate.issuer == self.certificate.subject


@dataclass(frozen=True, slots=True)
class FoundText(Found):
    """Something readable. ``what``: which kind, in words; ``secret``: nobody else may know it."""

    what: str
    text: str
    secret: bool


@dataclass(slots=True)
class Findings:
    """Everything in a dump, each once, where it was first found.

    Attributes:
        locked: what is there and cannot be read without something that is not (one sentence each).
        limits: what was not looked for, and why.
    """

    keys: list[FoundKey] = field(default_factory=list)
    certificates: list[FoundCertificate] = field(default_factory=list)
    texts: list[FoundText] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> int:
        """How many things nobody else may know."""
        return len(self.keys) + sum(each.secret for each in self.texts)

    def pairs(self) -> list[tuple[FoundKey, FoundCertificate]]:
        """Keys with a certificate of theirs: enough to be somebody."""
        return [(key, certificate) for key in self.keys for certificate in self.certificates
                if key.public == certificate.public]


def search(parts: Iterable[Part]) -> Findings:
    """Look through ``parts``, files of a volume before the dump they lie in."""
    found = Findings()
    parts = [piece for part in parts for piece in part.pieces()]
    parts += [spelled for part in parts for spelled in part.spelled()]
    for part in parts:
        _add_certificates(found, part)
        _add_keys(found, part)
        _add_texts(found, part)
        _add_locked(found, part)
    for part in parts:
        if not part.where:  # the dump has whatever its files have
            _add_bare(found, part)
    return found


def public_bytes(key: object) -> bytes:
    """SubjectPublicKeyInfo, DER; b'' for a kind of key that has none."""
    encode = getattr(key, "public_bytes", None)
    if encode is None:
        return b""
    return bytes(encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


# certificates --------------------------------------------------------------------------------------------------------
def _add_certificates(found: Findings, part: Part) -> None:
    known = {each.certificate.public_bytes(serialization.Encoding.DER) for each in found.certificates}
    for offset, form, der in _certificate_candidates(part.data):
        certificate = _certificate(der)
        if certificate is not None and der not in known:
            known.add(der)
            found.certificates.append(FoundCertificate(part.where, part.at(offset), part.form(form), certificate))


def _certificate_candidates(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    for match in _PEM.finditer(data):
        if match[1].endswith(b"CERTIFICATE") and (der := _from_pem(match[2])):
            yield match.start(), "PEM", der
    for offset, der in _structures(_DER_CERTIFICATE, data):
        yield offset, "DER", der


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # foreign certificates break rules that do not matter here
            certificate = x509.load_der_x509_certificate(der)
            certificate.public_key()
            _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return certificate


# keys ----------------------------------------------------------------------------------------------------------------
def _add_keys(found: Findings, part: Part) -> None:
    known = {each.public for each in found.keys}
    for offset, form, key in _key_candidates(part.data):
        if isinstance(key, PrivateKey) and (public := public_bytes(key.public_key())) not in known:
            known.add(public)
            found.keys.append(FoundKey(part.where, part.at(offset), part.form(form), key))


def _key_candidates(data: bytes) -> Iterator[tuple[int, str, object]]:
    for match in _PEM.finditer(data):
        if match[1].endswith(b"PRIVATE KEY") and (der := _from_pem(match[2])):
            yield match.start(), f"PEM ({match[1].decode()})", _key(der)
    for offset, der in _structures(_DER_KEY, data):
        yield offset, "DER", _key(der)
    for match in _OPENSSH.finditer(data):
        yield match.start(), "OpenSSH", _from_openssh(match[0])
    for match in _JWK.finditer(data):
        yield match.start(), "JWK", _scalar(base64.urlsafe_b64decode(match[1] + b"="), _CURVES[32])
    for match in _SEC1_HEAD.finditer(data):  # also where the structure around it is cut off
        size = match[1][0]
        yield match.start(), "DER (in part)", _scalar(data[match.end():match.end() + size], _CURVES[size])


def _key(der: bytes) -> object:
    try:
        return serialization.load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _scalar(value: bytes, curve: ec.EllipticCurve) -> object:
    if len(value) * 8 < curve.key_size or len(set(value)) < _FEWEST_DISTINCT:
        return None
    try:
        return ec.derive_private_key(int.from_bytes(value, "big"), curve)
    except ValueError:
        return None


# bare numbers, which only a certificate gives away -------------------------------------------------------------------
def _add_bare(found: Findings, part: Part) -> None:
    have = {each.public for each in found.keys}
    wanted = {each.public: each.certificate.public_key() for each in found.certificates if each.public not in have}
    points = {public: key for public, key in wanted.items()
              if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)}
    moduli = [key for key in wanted.values() if isinstance(key, rsa.RSAPublicKey)]
    if points:
        _add_scalars(found, part, set(points))
    for each in moduli:
        _add_prime(found, part, each)


def _add_scalars(found: Findings, part: Part, wanted: set[bytes]) -> None:
    tried: set[bytes] = set()
    for offset, form, value in _scalar_candidates(part.data):
        if value in tried:
            continue
        if len(tried) >= MOST_SCALARS:
            found.limits.append(f"bare P-256 scalars behind 0x{part.base + offset:X} ({MOST_SCALARS} candidates were "
                                "tried)")
            return
        tried.add(value)
        key = _scalar(value, ec.SECP256R1())
        if isinstance(key, ec.EllipticCurvePrivateKey) and public_bytes(key.public_key()) in wanted:
            found.keys.append(FoundKey(part.where, part.at(offset), part.form(form), key))


def _scalar_candidates(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    for match in _HEX.finditer(data):
        yield match.start(), "hexadecimal digits", bytes.fromhex(match[0].decode())
    for begin, end in _dense(data):
        for offset in range(begin, end - 31, 4):
            window = data[offset:offset + 32]
            if len(set(window)) >= _FEWEST_DISTINCT:
                yield offset, "bare scalar", window
                yield offset, "bare scalar, little endian", window[::-1]


def _add_prime(found: Findings, part: Part, key: rsa.RSAPublicKey) -> None:
    """A prime factor of the modulus gives the whole key (RFC 8017, 3.2)."""
    numbers = key.public_numbers()
    for number, (offset, form, prime) in enumerate(_prime_candidates(part.data, key.key_size // 16)):
        if number >= MOST_PRIMES:
            found.limits.append(f"bare RSA primes behind 0x{part.base + offset:X} ({MOST_PRIMES} candidates were "
                                "tried)")
            return
        if 1 < prime < numbers.n and numbers.n % prime == 0:
            found.keys.append(FoundKey(part.where, part.at(offset), part.form(form), _rsa(numbers, prime)))
            return


def _prime_candidates(data: bytes, size: int) -> Iterator[tuple[int, str, int]]:
    """Odd numbers of ``size`` bytes."""
    for begin, end in _dense(data):
        for offset in range(begin, end - size + 1):
            window = data[offset:offset + size]
            if window[-1] & 1:
                yield offset, "bare RSA prime", int.from_bytes(window, "big")
            if window[0] & 1:
                yield offset, "bare RSA prime, little endian", int.from_bytes(window, "little")


def _rsa(public: rsa.RSAPublicNumbers, p: int) -> rsa.RSAPrivateKey:
    q = public.n // p
    d = pow(public.e, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
                                 public).private_key()


def _dense(data: bytes, block: int = 512) -> Iterator[tuple[int, int]]:
    """Where ``data`` is no filler and no plain text: the only places where a bare number can lie."""
    begin: int | None = None
    for at in range(0, len(data), block):
        piece = data[at:at + block]
        dense = len(set(piece)) > 2 * _FEWEST_DISTINCT and not piece.isascii()
        if dense and begin is None:
            begin = at
        elif not dense and begin is not None:
            yield max(0, begin - 32), min(len(data), at + 32)
            begin = None
    if begin is not None:
        yield max(0, begin - 32), len(data)


# texts ---------------------------------------------------------------------------------------------------------------
def _add_texts(found: Findings, part: Part) -> None:
    known = {(each.what, each.text) for each in found.texts}
    for each in _text_candidates(part):
        if (each.what, each.text) not in known:
            known.add((each.what, each.text))
            found.texts.append(each)


def _text_candidates(part: Part) -> Iterator[FoundText]:
    data = part.data

    def text(offset: int, form: str, what: str, value: bytes, secret: bool) -> FoundText:
        spelled = value.decode("utf-8", "backslashreplace").strip()
        return FoundText(part.where, part.at(offset), part.form(form), what, spelled, secret)

    for match in _ENDPOINT.finditer(data):
        yield text(match.start(), "text", "AWS IoT endpoint", match[0], False)
    for match in _ACCESS_KEY.finditer(data):
        yield text(match.start(), "text", "AWS access key id", match[0], True)
    for match in _SSID.finditer(data):
        yield text(match.start(1), "text", "Wi-Fi network", match[1], False)
    for match in _PASSPHRASE.finditer(data):
        value = re.split(rb"[\"'\r\n,}]", match[2])[0]
        if len(value) >= 8 and b"-----BEGIN" not in value:
            yield text(match.start(2), "text", "Wi-Fi passphrase or password", value, True)
    for match in _FIELD.finditer(data):
        size = match["size"][0]
        if len(match["text"]) >= size:
            yield text(match.start("text"), "TLV field", "Wi-Fi passphrase or password", match["text"][:size], True)


def _add_locked(found: Findings, part: Part) -> None:
    if part.where:
        return
    encrypted = [match.start() for match in _PEM.finditer(part.data) if match[1].startswith(b"ENCRYPTED")]
    encrypted += [match.start() for match in _OPENSSH.finditer(part.data) if _is_encrypted(match[0])]
    encrypted += [offset for offset, _ in _structures(_DER_ENCRYPTED, part.data)]
    if part.spelling and (found.locked or found.keys):
        return  # the inside of what was seen in its armour
    found.locked += [f"an encrypted private key at 0x{part.at(offset):X}: as strong as its passphrase, which can be "
                     "guessed at leisure" for offset in sorted(set(encrypted))]
    whole = {match.start() for match in _PEM.finditer(part.data)}
    found.locked += [f"the beginning of a private key in PEM at 0x{part.base + match.start():X}; the rest is torn or "
                     "elsewhere" for match in _TORN_PEM.finditer(part.data) if match.start() not in whole]
    found.locked += [f"a sealed record of offchip at 0x{part.base + match.start():X}: it opens only with the secret "
                     "inside the chip it belongs to" for match in _SEALED.finditer(part.data)]


# helpers -------------------------------------------------------------------------------------------------------------
def _from_pem(body: bytes) -> bytes:
    """The DER in a PEM block; line ends, also spelled ones, and headers (RFC 1421) do not matter."""
    lines = [line.strip() for line in _spelled_ends(body).splitlines() if b":" not in line]
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _from_openssh(block: bytes) -> object:
    """The key; None where it is encrypted, or no key."""
    text = _spelled_ends(block)
    try:
        return serialization.load_ssh_private_key(b"\n".join(line.strip() for line in text.splitlines()) + b"\n", None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _is_encrypted(openssh: bytes) -> bool:
    """The name of its cipher is not ``none``."""
    head, _, rest = _from_pem(openssh.split(b"-----")[2]).partition(b"\0")
    return head == b"openssh-key-v1" and rest[4:8] != b"none"


def _spelled_ends(text: bytes) -> bytes:
    """With line ends that are spelled as in a C string or in JSON made some."""
    return text.replace(b"\\r", b"").replace(b"\\n", b"\n").replace(b'"', b"")


def _structures(pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every place where ``pattern`` starts a DER structure that lies wholly within ``data``."""
    at = 0
    while match := pattern.search(data, at):  # one may begin inside another's beginning
        start = match.start()
        at = start + 1
        first = data[start + 1]
        count = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[start + 2:start + 2 + count], "big") if count else first
        end = start + 2 + count + length
        if end <= len(data):
            yield start, data[start:end]


def _curve_name(curve: ec.EllipticCurve) -> str:
    return {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(curve.name, curve.name)


def _name(subject: x509.Name) -> str:
    common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else subject.rfc4514_string() or "(no name)"
