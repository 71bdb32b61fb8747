# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities whose every byte follows from a seed (RFC 5280 profiles, RFC 6979 signatures).

Devices have P-256 keys. Authorities and servers have them, too, or RSA-2048 ones, as Amazon Root CA 1 and the endpoints
below it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offchip.errors import PkiError
from offchip.pki.identity import Identity
from offchip.pki.rsa_key import rsa_key

Keys = Literal["ec", "rsa"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Validity(NamedTuple):
    """notBefore and notAfter, both with a time zone."""

    not_before: datetime
    not_after: datetime


#: as wide as AWS IoT's own certificates (they end in 2049), so that nobody's clock matters unless a test wants it to
AWS_VALIDITY = Validity(datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))
EXPIRED = Validity(datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
NOT_YET_VALID = Validity(datetime(2048, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))

#: order of P-256 (FIPS 186-4, D.1.2.3)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ORGANISATION = "offchip laboratory"


class Authority:
    """A root CA, and an intermediate that issues in its place if wanted.

    Two authorities of the same seed and name are the same authority, and issue the same certificates in the same order;
    an authority of another seed is the foreign CA of the attack suites.
    """

    def __init__(self, seed: int | str, name: str = "offchip root CA", with_intermediate: bool = False,
                 keys: Keys = "ec") -> None:
        """``keys``: of the authority itself and of servers. Raises PkiError when ``name`` does not fit a common name
        (1..64 characters)."""
        self._seed = str(seed).encode()
        self._keys = keys
        self.name = name
        self._issued: Counter[str] = Counter()
        self._root = self._make("root", name, None, AWS_VALIDITY, _authority_extensions(None))
        self._issuer = self._root
        if with_intermediate:
            self._issuer = self._make("intermediate", f"{name} intermediate", self._root, AWS_VALIDITY,
                                      _authority_extensions(0))

    @property
    def root(self) -> Identity:
        """The trust anchor, with the key an attacker would love to have."""
        return self._root

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The root and, if there is one, the intermediate: what a verifier of this authority's leaves may load."""
        issuer = () if self._issuer is self._root else (self._issuer.certificate,)
        return (self._root.certificate, *issuer)

    def issue_device(self, common_name: str, not_before: datetime = AWS_VALIDITY.not_before,
                     not_after: datetime = AWS_VALIDITY.not_after, keys: Keys = "ec") -> Identity:
        """A TLS client certificate. A name asked for twice gets two different certificates. Raises PkiError."""
        return self._make("device", common_name, self._issuer, Validity(not_before, not_after),
                          _leaf_extensions(ExtendedKeyUsageOID.CLIENT_AUTH, ()), keys)

    def sign_request(self, request: bytes, not_before: datetime = AWS_VALIDITY.not_before,
                     not_after: datetime = AWS_VALIDITY.not_after) -> x509.Certificate:
        """A TLS client certificate for the key and the common name of a certificate signing request (RFC 2986, PEM).

        Raises PkiError when it is none, or its signature is not made with its key.
        """
        try:
            wanted = x509.load_pem_x509_csr(request)
            valid = wanted.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PkiError(f"no certificate signing request in PEM form: {error}") from error
        key = wanted.public_key()
        if not valid or not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise PkiError("the certificate signing request is not signed with its own EC or RSA key")
        names = wanted.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        common_name = str(names[0].value) if names else "AWS IoT Certificate"
        label = f"{self.name}\0request\0{hashlib.sha256(request).hexdigest()}\0{self._count(request.hex())}"
        return _certify(self._seed, label, common_name, key, self._issuer, self._issuer.key,
                        Validity(not_before, not_after), _leaf_extensions(ExtendedKeyUsageOID.CLIENT_AUTH, ()))

    def _count(self, label: str) -> int:
        self._issued[label] += 1
        return self._issued[label]

    def issue_server(self, host_names: Sequence[str], not_before: datetime = AWS_VALIDITY.not_before,
                     not_after: datetime = AWS_VALIDITY.not_after) -> Identity:
        """A TLS server certificate for DNS names or IP addresses (RFC 6125: in subjectAltName). Raises PkiError."""
        names = _general_names(host_names)
        return self._make("server", host_names[0], self._issuer, Validity(not_before, not_after),
                          _leaf_extensions(ExtendedKeyUsageOID.SERVER_AUTH, names))

    def _make(self, role: str, common_name: str, issuer: Identity | None, validity: Validity,
              extensions: Sequence[tuple[x509.ExtensionType, bool]], keys: Keys | None = None) -> Identity:
        label = f"{role}\0{common_name}"
        label = f"{self.name}\0{label}\0{self._count(label)}"
        make = rsa_key if (keys or self._keys) == "rsa" else _key
        return _sign(self._seed, label, common_name, make(self._seed, label), issuer, validity, extensions)


def issue_below(seed: int | str, leaf: Identity, host_names: Sequence[str]) -> Identity:
    """A server certificate signed with the key of a leaf, which may sign none (RFC 5280, 6.1.4). Raises PkiError."""
    names = _general_names(host_names)
    material, label = str(seed).encode(), f"below a leaf\0{host_names[0]}"
    return _sign(material, label, host_names[0], _key(material, label), leaf, AWS_VALIDITY,
                 _leaf_extensions(ExtendedKeyUsageOID.SERVER_AUTH, names))


def self_signed_server(seed: int | str, host_names: Sequence[str], not_before: datetime = AWS_VALIDITY.not_before,
                       not_after: datetime = AWS_VALIDITY.not_after) -> Identity:
    """The certificate of a server nobody vouches for. Raises PkiError."""
    names = _general_names(host_names)
    material, label = str(seed).encode(), f"self-signed\0{host_names[0]}"
    return _sign(material, label, host_names[0], _key(material, label), None, Validity(not_before, not_after),
                 _leaf_extensions(ExtendedKeyUsageOID.SERVER_AUTH, names))


def _derive(seed: bytes, label: str, length: int) -> int:
    derived = HKDF(hashes.SHA256(), length, salt=b"offchip pki", info=label.encode()).derive(seed)
    return int.from_bytes(derived, "big")


def _key(seed: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    # 64 bits more than the order, so that the reduction leaves no measurable bias (FIPS 186-4, B.4.1)
    scalar = _derive(seed, f"key\0{label}", 40) % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _sign(seed: bytes, label: str, common_name: str, key: PrivateKey, issuer: Identity | None, validity: Validity,
          extensions: Sequence[tuple[x509.ExtensionType, bool]]) -> Identity:
    certificate = _certify(seed, label, common_name, key.public_key(), issuer, issuer.key if issuer else key, validity,
                           extensions)
    chain = (issuer.certificate, *issuer.chain) if issuer and issuer.certificate.issuer != issuer.certificate.subject \
        else ()
    return Identity(certificate, key, chain)


def _certify(seed: bytes, label: str, common_name: str, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
             issuer: Identity | None, issuer_key: PrivateKey, validity: Validity,
             extensions: Sequence[tuple[x509.ExtensionType, bool]]) -> x509.Certificate:
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
                             x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise PkiError(f"'{common_name}' is no common name; give 1 to 64 characters") from error
    # positive and at most 20 octets (RFC 5280, 4.1.2.2)
    serial = _derive(seed, f"serial\0{label}", 16) | 1
    try:
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(issuer.certificate.subject if issuer else subject)
                   .public_key(key).serial_number(serial)
                   .not_valid_before(validity.not_before).not_valid_after(validity.not_after)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False))
    except ValueError as error:
        raise PkiError(f"{common_name}: not_before {validity.not_before} and not_after {validity.not_after} make no "
                       "validity; give two dates in order") from error
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    deterministic = True if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=deterministic)


def _general_names(host_names: Sequence[str]) -> list[x509.GeneralName]:
    if not host_names:
        raise PkiError("a server certificate needs at least one host name")
    return [_general_name(each) for each in host_names]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise PkiError(f"'{host}' is neither a DNS name in ASCII nor an IP address") from error


def _key_usage(*names: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in names for name in every})


def _authority_extensions(path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True),
            (_key_usage("key_cert_sign", "crl_sign"), True)]


def _leaf_extensions(purpose: x509.ObjectIdentifier,
                     names: Sequence[x509.GeneralName]) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([purpose]), False),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    return extensions
