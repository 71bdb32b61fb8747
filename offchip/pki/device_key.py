# SPDX-License-Identifier: Apache-2.0
"""Which private keys the device's firmware can work with (SPEC.md section 1, tag 11)."""

from __future__ import annotations

from typing import TypeGuard

from cryptography.hazmat.primitives.asymmetric import ec, rsa

DeviceKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
#: in words, for whoever brings another one
DEVICE_KEYS = "P-256, P-384 or RSA-2048"
RSA_BITS = 2048


def is_device_key(key: object) -> TypeGuard[DeviceKey]:
    """The device takes it: P-256, P-384, or RSA-2048 as AWS IoT hands out (CreateKeysAndCertificate)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size == RSA_BITS
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
