"""A certificate with its private key, in every form somebody asks for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate_id(certificate: x509.Certificate | bytes) -> str:
    """AWS IoT's certificateId: SHA-256 of the DER form, 64 lower case hex digits."""
    der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """What somebody proves itself with. ``chain``: intermediate certificates, leaf's issuer first, without the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

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
        """RFC 5915 ECPrivateKey, unencrypted."""
        return self._key(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL)

    def _key(self, encoding: serialization.Encoding, form: serialization.PrivateFormat) -> bytes:
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())
