# SPDX-License-Identifier: Apache-2.0
"""Bytes that a text spells otherwise than in one run of digits: as numbers, one to a line, in other digits."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

#: a number as C's printf writes it; a word with a digit in it is none
_NUMBER = re.compile(rb"(?<![0-9A-Za-z])(-?)(?:0[xX])?([0-9A-Fa-f]{1,16})(?:[uU]?[lL]{0,2})(?![0-9A-Za-z])")
_WORD = re.compile(rb"[0-9A-Za-z]+")
_NOT_BASE32 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
_NOT_BINARY = bytes(set(range(256)) - set(b"01"))
#: digits of these alphabets that stand for at least eight bytes, whatever the alignment
WINDOW32, WINDOW2 = 14, 64

#: what people read, longer than it is found by chance in what they do not
_TEXT = re.compile(rb"[\t\r\n -~]{16,}")

_Token = tuple[bytes, bytes]  # sign, digits


def text_in(data: bytes) -> bytes:
    """The lines of text in it; all of it where most of it is text."""
    runs = _TEXT.findall(data)
    return data if 2 * sum(map(len, runs)) > len(data) else b"\n".join(runs)


def numbers(text: bytes) -> Iterator[bytes]:
    """What the numbers of a text are, read as bytes, each reading in one stream.

    A column of indices or labels that are numbers themselves must not hide what stands behind it: the numbers are taken
    all together, without the first of each line, and only the last of each line.
    """
    lines = [found for line in text.splitlines() if (found := _NUMBER.findall(line))]
    for column in ([each for line in lines for each in line], [each for line in lines for each in line[1:]],
                   [line[-1] for line in lines]):
        yield from _readings(column)


def _readings(column: list[_Token]) -> Iterator[bytes]:
    plain = [digits for _, digits in column]
    hexadecimal = [bytes.fromhex(each.decode()) for each in plain if len(each) % 2 == 0]
    yield b"".join(hexadecimal)
    yield b"".join(each[::-1] for each in hexadecimal)  # words of a machine whose bytes run the other way
    decimal = [(sign, int(digits)) for sign, digits in column if digits.isdigit()]
    for signed in (False, True) if any(sign for sign, _ in column) else (False,):
        values = [-value if signed and sign else value for sign, value in decimal]
        yield _joined(values, "little")
        yield _joined(values, "big")
    yield bytes(int(each, 8) for each in plain if len(each) == 3 and _is_octal(each))


def _is_octal(digits: bytes) -> bool:
    return digits[:1] in b"0123" and all(each in b"01234567" for each in digits)


def _joined(values: Iterable[int], order: str) -> bytes:
    """Bytes where they are as small as that, else words of 32 bits."""
    found = bytearray()
    for value in values:
        if -128 <= value <= 255:
            found.append(value & 0xFF)
        else:
            found += (value & 0xFFFFFFFF).to_bytes(4, "little" if order == "little" else "big")
    return bytes(found)


def bare(text: bytes) -> bytes:
    """Letters and digits only, in lower case."""
    return b"".join(_WORD.findall(text)).lower()


def behind_labels(text: bytes) -> tuple[bytes, bytes]:
    """What stands behind the first colon of each line, joined; what stands behind the last blank of each."""
    lines = text.splitlines()
    return (b"".join(line.partition(b": ")[2] for line in lines),
            b"".join(words[-1] for line in lines if (words := line.split())))


def base32_digits(text: bytes) -> bytes:
    """What may be digits of base32 (RFC 4648)."""
    return text.upper().translate(None, _NOT_BASE32)


def in_base32(value: bytes) -> Iterator[bytes]:
    """As it is spelled at each alignment, without the digits that depend on the neighbours."""
    for shift in range(5):
        spelled = base64.b32encode(bytes(shift) + value).rstrip(b"=")[:-1]
        yield spelled[-(-8 * shift // 5):]


def binary_digits(text: bytes) -> bytes:
    """Zeros and ones."""
    return text.translate(None, _NOT_BINARY)


def in_binary(value: bytes) -> bytes:
    """Each byte as eight digits, the highest first."""
    return "".join(f"{each:08b}" for each in value).encode()
