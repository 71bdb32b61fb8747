# SPDX-License-Identifier: Apache-2.0
"""What a device proves itself with, and what it trusts."""

from __future__ import annotations

import base64
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

from offchip.errors import FactoryError
from offchip.pki.device_key import DEVICE_KEYS, DeviceKey, is_device_key
from offchip.vault.records import Entries, Tag

#: those Mbed TLS 3.6 reads, by library/oid.c; policies only where none is critical
_KNOWN_EXTENSIONS = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
                     ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
                     ExtensionOID.AUTHORITY_KEY_IDENTIFIER, x509.ObjectIdentifier("2.16.840.1.113730.1.1")}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a device proves itself with, in DER. :meth:`parse` and :meth:`load` check; the constructor does not."""

    anchors: tuple[bytes, ...]
    certificate: bytes
    private_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, anchors: bytes, certificate: bytes, private_key: bytes,
              names: tuple[str, str, str] = ("trust anchors", "device certificate", "device key")) -> Credentials:
        """From PEM (``anchors``: one or more certificates) or DER. Raises FactoryError with the name of the culprit."""
        anchor_certificates = _certificates(anchors, names[0])
        chain = _certificates(certificate, names[1])
        key = _private_key(private_key, names[2])
        # the server has the authority's part of a chain: the device shows its own certificate alone
        leaf = next((each for each in chain if _has_key(each, key)), None)
        if leaf is None:
            raise FactoryError(f"{names[2]}: does not belong to {'the' if len(chain) == 1 else 'any'} certificate in "
                               f"{names[1]}")
        _check_extensions(leaf, names[1])
        vouching = list(filter(can_vouch, anchor_certificates))
        for each in vouching:
            _check_extensions(each, names[0])
        if not vouching:
            raise FactoryError(f"{names[0]}: the device can use none of these trust anchors; it verifies RSA, P-256 "
                               "and P-384 with SHA-224 to SHA-512")
        return cls(tuple(_der(each) for each in anchor_certificates), _der(leaf),
                   key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()))

    @classmethod
    def load(cls, anchors: Path, certificate: Path, private_key: Path) -> Credentials:
        """From files. Raises FactoryError naming the file."""
        contents = []
        for path in (anchors, certificate, private_key):
            try:
                contents.append(path.read_bytes())
            except OSError as error:
                raise FactoryError(f"{path}: cannot be read: {error.strerror}") from error
        return cls.parse(contents[0], contents[1], contents[2], (str(anchors), str(certificate), str(private_key)))

    def entries(self) -> Entries:
        """Tags 9, 10 and 11 of SPEC.md section 1; none without credentials."""
        return [(tag, value) for tag, value in (
            *((Tag.TRUST_ANCHOR, anchor) for anchor in self.anchors),
            (Tag.DEVICE_CERTIFICATE, self.certificate), (Tag.DEVICE_PRIVATE_KEY, self.private_key)) if value]


#: of a device that has none yet and gets them by its claim identity
NO_CREDENTIALS = Credentials((), b"", b"")


def pem(label: str, der: bytes) -> bytes:
    """PEM armour (RFC 7468), with LF line ends."""
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode("ascii")


def _certificates(data: bytes, name: str) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise FactoryError(f"{name}: holds no well-formed X.509 certificate in PEM or DER") from error


def can_vouch(anchor: x509.Certificate) -> bool:
    """Whether the device takes it for a trust anchor; it skips others by name (SPEC.md section 6)."""
    try:
        signed, key = anchor.signature_hash_algorithm, anchor.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
    return isinstance(signed, hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512) and (
        isinstance(key, rsa.RSAPublicKey)
        or isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1))


def _has_key(certificate: x509.Certificate, key: DeviceKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False


def _check_extensions(certificate: x509.Certificate, name: str) -> None:
    """What is critical and unknown makes a certificate useless (RFC 5280, 4.2)."""
    try:
        critical = {each.oid for each in certificate.extensions if each.critical}
    except (ValueError, x509.DuplicateExtension) as error:
        raise FactoryError(f"{name}: an extension of the certificate is malformed") from error
    for oid in sorted(critical - _KNOWN_EXTENSIONS, key=lambda each: each.dotted_string):
        raise FactoryError(f"{name}: the certificate's extension {oid.dotted_string} is critical, and the device does "
                           "not know it")


def _private_key(data: bytes, name: str) -> DeviceKey:
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, password=None)
    except (ValueError, TypeError) as error:
        raise FactoryError(f"{name}: holds no well-formed, unencrypted private key in PEM or DER") from error
    if not is_device_key(key):
        raise FactoryError(f"{name}: the device needs a key of {DEVICE_KEYS}")
    return key


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
