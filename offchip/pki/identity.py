# SPDX-License-Identifier: Apache-2.0
"""A certificate with its private key, in every form somebody asks for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchip.errors import PkiError


def certificate_id(certificate: x509.Certificate | bytes) -> str:
    """AWS IoT's certificateId: SHA-256 of the DER form, 64 lower case hex digits."""
    der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """What somebody proves itself with. ``chain``: intermediate certificates, leaf's issuer first, without the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Identity:
        """From PEM files: the leaf first, then its intermediates; the key unencrypted. Raises PkiError."""
        try:
            leaf, *chain = x509.load_pem_x509_certificates(_read(certificate))
        except ValueError as error:
            raise PkiError(f"{certificate}: no certificate in PEM form: {error}") from error
        try:
            private = serialization.load_pem_private_key(_read(key), None)
        except (ValueError, TypeError) as error:
            raise PkiError(f"{key}: no unencrypted private key in PEM form: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise PkiError(f"{key}: neither an EC nor an RSA key")
        if private.public_key() != leaf.public_key():
            raise PkiError(f"{key}: does not belong to the certificate in {certificate}")
        return cls(leaf, private, tuple(chain))

    @property
    def certificate_id(self) -> str:
        """SHA-256 of the certificate's DER form in hex."""
        return certificate_id(self.certificate)

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """The leaf alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """The leaf and the intermediates, in the order TLS sends them."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (self.certificate, *self.chain))

    @property
    def key_der(self) -> bytes:
        """PKCS#8, unencrypted."""
        return self._key(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8)

    @property
    def key_pem(self) -> bytes:
        """PKCS#8, unencrypted."""
        return self._key(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)

    @property
    def key_sec1_der(self) -> bytes:
        """RFC 5915 ECPrivateKey (RSA: PKCS#1), unencrypted."""
        return self._key(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL)

    def _key(self, encoding: serialization.Encoding, form: serialization.PrivateFormat) -> bytes:
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError(f"{path}: cannot be read: {error.strerror}") from error
