# SPDX-License-Identifier: Apache-2.0
"""RSA-2048 keys whose every byte follows from a seed; no library makes them so. For a laboratory only."""

from __future__ import annotations

import math
from functools import lru_cache

import gmpy2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PUBLIC_EXPONENT = 65537
_PRIME_BYTES = 128


@lru_cache(maxsize=64)
def rsa_key(seed: bytes, label: str) -> rsa.RSAPrivateKey:
    """The key of this seed and label."""
    p, q = (_prime_from(_derive(seed, f"{label}\0{name}\0000")) for name in "pq")
    private = pow(_PUBLIC_EXPONENT, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, private, private % (p - 1), private % (q - 1), pow(q, -1, p),
                                    rsa.RSAPublicNumbers(_PUBLIC_EXPONENT, p * q))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)  # it would look for what was just looked for


def _derive(seed: bytes, info: str) -> int:
    derived = HKDF(hashes.SHA256(), _PRIME_BYTES, salt=b"offchip rsa", info=info.encode()).derive(seed)
    # odd, and both upper bits set, so that the product of two has 2048 bits
    return int.from_bytes(derived, "big") | 3 << (8 * _PRIME_BYTES - 2) | 1


def _prime_from(start: int) -> int:
    """The first prime from ``start`` on that goes with the public exponent."""
    prime = gmpy2.next_prime(start - 1)
    while prime % _PUBLIC_EXPONENT == 1:
        prime = gmpy2.next_prime(prime)
    return int(prime)
