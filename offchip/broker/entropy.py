# SPDX-License-Identifier: Apache-2.0
"""Random numbers of TLS inside the laboratory, from a seed: the same scene exchanges the same bytes.

Python's ssl has no seed. OpenSSL asks the method set by ``RAND_set_rand_method`` for every random byte before its own
generators (RAND_bytes_ex and RAND_priv_bytes_ex, 1.1.1 to 3.5; ephemeral keys, hello randoms, session ids and ECDSA
nonces all come from these). The method installed here serves the calling thread from the seeded source it has entered
(:meth:`Entropy.entered`); everybody else in the process, real TCP clients and servers among them, still gets OpenSSL's
own randomness.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_BLOCK = 64

_BYTES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _RandMethod(ctypes.Structure):
    """RAND_METHOD of OpenSSL's rand.h."""

    _fields_ = [("seed", ctypes.c_void_p), ("bytes", _BYTES), ("cleanup", ctypes.c_void_p), ("add", ctypes.c_void_p),
                ("pseudorand", _BYTES), ("status", ctypes.c_void_p)]


class Entropy:
    """One endless stream of bytes that follows from ``seed`` and ``labels``: keyed BLAKE2b in counter mode."""

    def __init__(self, seed: int | str, *labels: object) -> None:
        text = "\0".join(map(str, (seed, *labels)))
        self._key = hashlib.blake2b(text.encode(), person=b"offchip entropy").digest()
        self._counter = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; a new block for each request, so that requests never share one."""
        blocks = []
        for _ in range(-(-count // _BLOCK)):
            blocks.append(hashlib.blake2b(self._counter.to_bytes(16, "big"), key=self._key).digest())
            self._counter += 1
        return b"".join(blocks)[:count]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within, OpenSSL's random numbers in this thread are this stream's (where :func:`seeding_fault` is '')."""
        seeding_fault()
        before = getattr(_current, "source", None)
        _current.source = self
        try:
            yield
        finally:
            _current.source = before


_current = threading.local()
#: what C points to must live as long as the process
_kept: list[object] = []


@cache
def seeding_fault() -> str:
    """Why this Python's OpenSSL cannot be seeded, in one sentence; '' when it can. The first call installs the method.

    Where it cannot, TLS works with real randomness: verdicts stay the same, bytes and instruction counts do not.
    """
    try:
        import _ssl

        # a lookup through the extension finds the very libcrypto it is linked to, and no other copy in the process
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        current, replace = library.RAND_get_rand_method, library.RAND_set_rand_method
    except (ImportError, OSError, AttributeError) as error:
        return f"{ssl.OPENSSL_VERSION}: RAND_set_rand_method cannot be reached ({error})"
    current.restype, replace.argtypes = ctypes.POINTER(_RandMethod), [ctypes.POINTER(_RandMethod)]
    original: _RandMethod = current().contents
    genuine = original.bytes

    def random_bytes(buffer: int, count: int) -> int:
        source: Entropy | None = getattr(_current, "source", None)
        if source is None:
            return int(genuine(buffer, count))
        ctypes.memmove(buffer, source.take(count), count)
        return 1

    callback = _BYTES(random_bytes)
    method = _RandMethod(original.seed, callback, original.cleanup, original.add, callback, original.status)
    _kept.extend((callback, method, original))
    replace(ctypes.byref(method))
    # OpenSSL outlives the interpreter; a callback into Python must not
    atexit.register(replace, ctypes.byref(original))
    return _self_test()


def _self_test() -> str:
    drawn = []
    for _ in range(2):
        _current.source = Entropy("self test")
        drawn.append(ssl.RAND_bytes(32))
    _current.source = None
    if drawn[0] != drawn[1] or drawn[0] == ssl.RAND_bytes(32):
        return f"{ssl.OPENSSL_VERSION}: does not use the method set by RAND_set_rand_method"
    return ""
