# SPDX-License-Identifier: Apache-2.0
"""RSA-2048 keys whose every byte follows from a seed; no library makes them so. For a laboratory only."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PUBLIC_EXPONENT = 65537
_PRIME_BYTES = 128
#: odd primes that sort out most candidates before the expensive test
_SMALL_PRIMES = [n for n in range(3, 4096, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]
#: candidates from one starting point; about one odd number in 355 of this size is prime
_SPAN = 1 << 13
_WITNESSES = 5


@lru_cache(maxsize=64)
def rsa_key(seed: bytes, label: str) -> rsa.RSAPrivateKey:
    """The key of this seed and label."""
    p, q = (_prime(partial(_derive, seed, f"{label}\0{name}")) for name in "pq")
    private = pow(_PUBLIC_EXPONENT, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, private, private % (p - 1), private % (q - 1), pow(q, -1, p),
                                    rsa.RSAPublicNumbers(_PUBLIC_EXPONENT, p * q))
    return numbers.private_key()


def _derive(seed: bytes, label: str, number: int) -> int:
    info = f"{label}\0{number}".encode()
    derived = HKDF(hashes.SHA256(), _PRIME_BYTES, salt=b"offchip rsa", info=info).derive(seed)
    # odd, and both upper bits set, so that the product of two has 2048 bits
    return int.from_bytes(derived, "big") | 3 << (8 * _PRIME_BYTES - 2) | 1


def _prime(starting_point: Callable[[int], int]) -> int:
    """The first prime from one of the starting points on that goes with the public exponent."""
    number = 0
    while True:
        start = starting_point(number)
        remainders = [start % each for each in _SMALL_PRIMES]
        for step in range(0, _SPAN, 2):
            if all((remainder + step) % each for remainder, each in zip(remainders, _SMALL_PRIMES, strict=True)) \
                    and (start + step) % _PUBLIC_EXPONENT != 1 and _is_prime(start + step):
                return start + step
        number += 1


def _is_prime(candidate: int) -> bool:
    """Miller-Rabin (FIPS 186-5, B.3.1). At this size a random composite passes one witness with less than 2^-80."""
    shift = (candidate - 1 & 1 - candidate).bit_length() - 1
    odd = candidate - 1 >> shift
    for witness in _SMALL_PRIMES[:_WITNESSES]:
        power = pow(witness, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(shift - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True
