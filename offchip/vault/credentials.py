# SPDX-License-Identifier: Apache-2.0
"""What a device proves itself with, and what it trusts."""

from __future__ import annotations

import base64
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from offchip.errors import FactoryError
from offchip.pki.device_key import DEVICE_KEYS, DeviceKey, is_device_key
from offchip.vault.records import Entries, Tag


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
        leaf = _certificates(certificate, names[1])
        if len(leaf) != 1:
            raise FactoryError(f"{names[1]}: holds {len(leaf)} certificates; give the device's own one only")
        key = _private_key(private_key, names[2])
        if key.public_key() != leaf[0].public_key():
            raise FactoryError(f"{names[2]}: does not belong to the certificate in {names[1]}")
        return cls(tuple(_der(each) for each in anchor_certificates), _der(leaf[0]),
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
