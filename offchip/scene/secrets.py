# SPDX-License-Identifier: Apache-2.0
"""What nobody may see, and finding it in whatever form it leaks, whole or in part.

Raw, in hexadecimal, base64, base32, binary; in a text also as numbers (decimal, octal, words of 32 bits), one to a line
or behind labels, a passphrase also letter by letter and backwards. What is enciphered or masked first is not found.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchip.memo import once_per_object
from offchip.pki import Identity
from offchip.scene import spellings

#: so many consecutive bytes of a secret do not occur by chance
_WINDOW = 8
#: base64 digits that stand for at least _WINDOW bytes, whatever the alignment
_WINDOW64 = 12
#: bytes of a block that is left out when it says nothing, and what stays of it
_BLOCK, _KEPT = 4096, 64
_NOT_HEX = bytes(set(range(256)) - set(b"0123456789abcdef"))
_NOT_BASE64 = bytes(set(range(256)) - set(string.ascii_letters.encode()) - set(b"0123456789+/"))
_NOT_URL_SAFE = _NOT_BASE64.translate(None, b"-_")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


#: by the name of a way of saying it: what is said around each part of a secret
_Places = dict[str, list[bytes]]


class _Said:
    """Bytes that are searched, and what is left of them where only digits count; made once for all secrets."""

    def __init__(self, data: bytes) -> None:
        self.raw = squeezed(data)

    def streams(self, way: str) -> list[bytes]:
        """What is said in one way."""
        said = getattr(self, way)
        return said if isinstance(said, list) else [said]

    @cached_property
    def digits(self) -> bytes:
        return self.raw.lower().replace(b"0x", b"").translate(None, _NOT_HEX)

    @cached_property
    def letters(self) -> list[bytes]:
        """Digits of base64, and of its spelling for addresses and file names (RFC 4648 section 5)."""
        found = [text.translate(_URL_SAFE, _NOT_URL_SAFE) for text in (self._text, *self._unlabelled) if text]
        return [self.raw.translate(None, _NOT_BASE64), *found]

    @cached_property
    def _text(self) -> bytes:
        return spellings.text_in(self.raw)

    @cached_property
    def _unlabelled(self) -> tuple[bytes, ...]:
        return spellings.behind_labels(self._text)

    @cached_property
    def numbers(self) -> list[bytes]:
        return [stream for stream in spellings.numbers(self._text) if len(stream) >= _WINDOW]

    @cached_property
    def words(self) -> list[bytes]:
        return [*map(spellings.bare, (self._text, *self._unlabelled))]

    @cached_property
    def base32(self) -> bytes:
        return spellings.base32_digits(self._text)

    @cached_property
    def binary(self) -> bytes:
        return spellings.binary_digits(self._text)


_said = once_per_object(_Said)


@dataclass(frozen=True, slots=True)
class Secret:
    """``values``: the secret and its other spellings (byte orders), as raw bytes. ``words``: of a passphrase, what is
    left of it where only letters and digits count.
    """

    name: str
    values: tuple[bytes, ...] = field(repr=False)
    words: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of_key(cls, name: str, identity: Identity) -> Secret:
        """A private key: its scalar, or what is secret of an RSA key (RFC 8017, 3.2), in both byte orders.

        Every container (SEC1, PKCS#8, PEM) holds one of them.
        """
        key = identity.key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            numbers = [key.private_numbers().private_value]
        else:
            assert isinstance(key, rsa.RSAPrivateKey)
            private = key.private_numbers()
            numbers = [private.p, private.q, private.d, private.dmp1, private.dmq1, private.iqmp]
        values = []
        for number in numbers:
            size = max(32, -(-number.bit_length() // 8))
            values += [number.to_bytes(size, "big"), number.to_bytes(size, "little")]
        return cls(name, tuple(values))

    @classmethod
    def of_text(cls, name: str, text: str) -> Secret:
        """A passphrase. Raises ValueError when it is too short to be told from chance."""
        if len(text.encode()) < _WINDOW:
            raise ValueError(f"{name}: {len(text.encode())} bytes cannot be told from chance; take {_WINDOW} or more")
        ways = (text.encode(), text[::-1].encode())
        return cls(name, ways, tuple(bare for each in ways if len(bare := spellings.bare(each)) >= _WINDOW))

    @classmethod
    def of_bytes(cls, name: str, value: bytes) -> Secret:
        """A symmetric key, in both byte orders."""
        return cls(name, (value, value[::-1]))

    def form_in(self, data: bytes) -> str:
        """In which form any eight consecutive bytes of it occur in ``data``; '' when they do not."""
        return _forms([self], data).get(self, "")

    def form_near(self, places: _Places) -> str:
        """The same, looked for where a part of it was met."""
        for value in self.values:
            if _any_window([value], places, "raw"):
                return "raw bytes"
            if _any_window([value.hex().encode()], places, "digits"):
                return "hexadecimal digits"
            if _any_window(_in_base64(value), places, "letters"):
                return "base64 digits"
            if _any_window([value], places, "numbers"):
                return "numbers"
            if _any_window(_in_base32(value), places, "base32"):
                return "base32 digits"
            if _any_window([_in_binary(value)], places, "binary"):
                return "binary digits"
        return "letters" if _any_window(self.words, places, "words") else ""


@lru_cache(maxsize=256)
def _in_base32(value: bytes) -> tuple[bytes, ...]:
    return tuple(spellings.in_base32(value))


@lru_cache(maxsize=256)
def _in_binary(value: bytes) -> bytes:
    return spellings.in_binary(value)


@lru_cache(maxsize=256)
def _in_base64(value: bytes) -> tuple[bytes, ...]:
    """As it is spelled at each alignment, without the first and last digits, which depend on the neighbours."""
    return tuple(base64.b64encode(bytes(shift) + value)[4 if shift else 0:].rstrip(b"=")[:-1] for shift in range(3))


@lru_cache(maxsize=8192)
def _parts(needle: bytes, length: int) -> frozenset[bytes]:
    """What occurs at some multiple of half of ``length`` in anything that holds ``length`` bytes of ``needle``."""
    half = (length + 1) // 2
    if len(needle) < length:
        return frozenset()
    return frozenset(needle[at:at + half] for at in range(len(needle) - half + 1))


def _parts_of(needles: Iterable[bytes], length: int) -> frozenset[bytes]:
    return frozenset[bytes]().union(*(_parts(each, length) for each in needles))


@lru_cache(maxsize=1024)
def _parts_by_length(secret: Secret) -> dict[str, frozenset[bytes]]:
    """Of each way it may be spelled, by the name of what is said that way."""
    values = secret.values
    return {"raw": _parts_of(values, _WINDOW), "numbers": _parts_of(values, _WINDOW),
            "digits": _parts_of((value.hex().encode() for value in values), 2 * _WINDOW),
            "letters": _parts_of((each for value in values for each in _in_base64(value)), _WINDOW64),
            "base32": _parts_of((each for value in values for each in _in_base32(value)), spellings.WINDOW32),
            "binary": _parts_of(map(_in_binary, values), spellings.WINDOW2),
            "words": _parts_of(secret.words, _WINDOW)}


_WINDOWS = {"raw": _WINDOW, "numbers": _WINDOW, "digits": 2 * _WINDOW, "letters": _WINDOW64,
            "base32": spellings.WINDOW32, "binary": spellings.WINDOW2, "words": _WINDOW}


@lru_cache(maxsize=64)
def _parts_of_all(secrets: tuple[Secret, ...]) -> dict[str, frozenset[bytes]]:
    each = [_parts_by_length(secret) for secret in secrets]
    return {way: frozenset[bytes]().union(*(parts[way] for parts in each)) for way in _WINDOWS}


def _suspects(secrets: tuple[Secret, ...], said: _Said) -> dict[Secret, _Places]:
    """Which may be in it, and where; nowhere else can there be a window of it. Mostly that is all to be done."""
    found: dict[Secret, _Places] = {}
    for way, wanted in _parts_of_all(secrets).items():
        half = (_WINDOWS[way] + 1) // 2
        for stream in said.streams(way):
            steps = range(0, len(stream) - half + 1, half)
            there = wanted.intersection(stream[at:at + half] for at in steps)
            places = [at for at in steps if stream[at:at + half] in there] if there else []
            for secret in secrets if there else ():
                parts = _parts_by_length(secret)[way]
                if near := _around(stream, [at for at in places if stream[at:at + half] in parts], _WINDOWS[way]):
                    found.setdefault(secret, {}).setdefault(way, []).extend(near)
    return found


def _around(stream: bytes, places: list[int], length: int) -> list[bytes]:
    """All windows of ``length`` bytes that hold what a part occupies at one of ``places``; those that meet in one."""
    half, ranges = (length + 1) // 2, list[list[int]]()
    for at in places:
        start, end = max(0, at + half - length), at + length
        if ranges and start <= ranges[-1][1]:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    return [stream[start:end] for start, end in ranges]


def _any_window(needles: Iterable[bytes], places: _Places, way: str) -> bool:
    """Each window of each needle is tried in what is said in this way."""
    length = _WINDOWS[way]
    return any(needle[at:at + length] in hay for hay in places.get(way, ()) for needle in needles
               for at in range(len(needle) - length + 1))


def squeezed(data: bytes) -> bytes:
    """``data`` with most of what is one byte over and over, block after block, left out: media are all but empty.

    What stays of such blocks is as long as the longest window that is looked for, so none appears or goes.
    """
    if len(data) < 2 * _BLOCK:
        return data
    kept, run = [], -1  # of which byte the blocks just left out are
    for at in range(0, len(data), _BLOCK):
        first = data[at]
        if not data.startswith(_blank(first), at):
            run = -1
            kept.append(data[at:at + _BLOCK])
        elif first != run:
            run = first
            kept.append(data[at:at + _KEPT])
    return b"".join(kept)


@lru_cache(maxsize=256)
def _blank(byte: int) -> bytes:
    return bytes([byte]) * _BLOCK


def find(secrets: list[Secret], data: bytes) -> list[str]:
    """One sentence per secret that is in ``data``."""
    return [f"{secret.name} as {form}" for secret, form in _forms(secrets, data).items()]


def _forms(secrets: list[Secret], data: bytes) -> dict[Secret, str]:
    said = _said(data)
    suspects = _suspects(tuple(secrets), said)
    return {secret: form for secret in secrets
            if secret in suspects and (form := secret.form_near(suspects[secret]))}
