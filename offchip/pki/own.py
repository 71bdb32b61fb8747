# SPDX-License-Identifier: Apache-2.0
"""Credentials a person brings, in the three files AWS IoT hands out for a thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from offchip.errors import PkiError
from offchip.pki.device_key import DEVICE_KEYS, is_device_key
from offchip.pki.identity import Identity

#: what AWS IoT calls them, and what each is
_FILES = (("*-certificate.pem.crt", "the device's certificate"), ("*-private.pem.key", "its private key"),
          ("AmazonRootCA1.pem", "the authority's certificate"))


@dataclass(frozen=True, slots=True)
class OwnCredentials:
    """``anchor``: the authority the device is to trust beside the lab's own, whose broker it meets."""

    identity: Identity
    anchor: x509.Certificate


def load_own_credentials(folder: Path) -> OwnCredentials:
    """Read and check the files in ``folder``.

    Raises:
        PkiError: a file is missing, there is more than one, they do not belong together, or the device cannot hold the
            key; the sentence says what is needed.
    """
    if not folder.is_dir():
        raise PkiError(f"{folder}: there is no such folder; it should hold {_needs()}.")
    certificate, key, authority = (_only(folder, pattern) for pattern, _ in _FILES)
    identity = Identity.load(certificate, key)
    if not is_device_key(identity.key):
        raise PkiError(f"{key}: the device holds keys of {DEVICE_KEYS}; let AWS make one (aws iot "
                       "create-keys-and-certificate) or sign a CSR of yours (aws iot create-certificate-from-csr).")
    try:
        anchor = x509.load_pem_x509_certificate(authority.read_bytes())
    except (OSError, ValueError) as error:
        raise PkiError(f"{authority}: no certificate in PEM form: {error}") from None
    return OwnCredentials(identity, anchor)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise PkiError(f"{folder}: {pattern} is missing; it should hold {_needs()}.")
    if len(found) > 1:
        raise PkiError(f"{folder}: {found[0].name} and {found[1].name} are both there; keep the files of one device.")
    return found[0]


def _needs() -> str:
    return ", ".join(f"{pattern} ({what})" for pattern, what in _FILES)
