# SPDX-License-Identifier: Apache-2.0
"""Bytes that a dump spells out in text, as people move keys about: turned back into bytes, to be searched again.

Base64 and base64url (RFC 4648), hexadecimal digits and dumps, C arrays and strings, Intel HEX, Motorola S-records,
UTF-16.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

#: so many bytes at least: the shortest key there is has 32
_LEAST = 32
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}(?:(?:\\r)?\\?\s{1,16}[\"']?[A-Za-z0-9+/_-]{4,}={0,2})*")
_NO_DIGIT = re.compile(rb"[^0-9A-Fa-f]")
_BLANK = re.compile(rb"\\[rn]|[\s\"'\\]")
_HEX = re.compile(rb"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[\s:,-]{0,8}){32,}")
_ARRAY = re.compile(rb"(?:(?:0[xX][0-9A-Fa-f]{1,2}|\d{1,3})[uU]?\s*,\s*){31,}(?:0[xX][0-9A-Fa-f]{1,2}|\d{1,3})")
_ESCAPED = re.compile(rb"(?:\\x[0-9A-Fa-f]{2}(?:\"\s*\")?){32,}")
_NUMBER = re.compile(rb"0[xX][0-9A-Fa-f]{1,2}|\d{1,3}")
#: count, address, type 00, data and checksum, all in digits
_INTEL = re.compile(rb":([0-9A-Fa-f]{2})[0-9A-Fa-f]{4}00([0-9A-Fa-f]*)[0-9A-Fa-f]{2}\s*(?:\r?\n|$)")
#: by the digit behind the S: how many digits the address has
_MOTOROLA = re.compile(rb"S([123])[0-9A-Fa-f]{2}([0-9A-Fa-f]+)[0-9A-Fa-f]{2}\s*(?:\r?\n|$)")
#: xxd, hexdump -C, od -t x1: an address, at most 16 bytes, and what they are in letters
_DUMPED = re.compile(rb"^[ \t]*(?:0x)?[0-9A-Fa-f]{4,16}:?[ \t]+((?:[0-9A-Fa-f]{2}[ \t]{0,2}){1,16})[^\r\n]*\r?$",
                     re.MULTILINE)
_WIDE = re.compile(rb"(?:[\t\r\n -~]\0){40,}")


def spelled_out(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """(offset, how it is spelled, the bytes) of each stretch of ``data`` that spells bytes."""
    for match in _WIDE.finditer(data):
        yield match.start(), "UTF-16", match[0][::2]
    yield from _in_lines(data)
    plain = data
    for each in (_INTEL, _MOTOROLA, _DUMPED):  # addresses and sums between the bytes would make others of them
        plain = each.sub(lambda match: b"|" * len(match[0]), plain)
    for match in _HEX.finditer(plain):
        yield match.start(), "hexadecimal digits", _from_hex(match[0])
    for match in _ESCAPED.finditer(plain):
        yield match.start(), "C string", _from_hex(match[0])
    for match in _ARRAY.finditer(plain):
        values = [int(number, 0 if number[:2].lower() == b"0x" else 10) for number in _NUMBER.findall(match[0])]
        if max(values) <= 0xFF:
            yield match.start(), "C array", bytes(values)
    for match in _BASE64.finditer(plain):
        if len(found := _from_base64(match[0])) >= _LEAST:
            yield match.start(), "base64", found


def _in_lines(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    for form, pattern, read in (("Intel HEX", _INTEL, _intel), ("S-records", _MOTOROLA, _motorola),
                                ("a hex dump", _DUMPED, _dumped)):
        if (first := pattern.search(data)) is not None:
            yield first.start(), form, b"".join(read(data))


def _from_hex(text: bytes) -> bytes:
    digits = _NO_DIGIT.sub(b"", text)
    return bytes.fromhex(digits[:len(digits) // 2 * 2].decode())


def _dumped(data: bytes) -> Iterator[bytes]:
    for match in _DUMPED.finditer(data):
        yield bytes.fromhex(match[1].decode())


def _intel(data: bytes) -> Iterator[bytes]:
    for match in _INTEL.finditer(data):
        content = bytes.fromhex(match[2].decode()) if len(match[2]) % 2 == 0 else b""
        if len(content) == int(match[1], 16):
            yield content


def _motorola(data: bytes) -> Iterator[bytes]:
    for match in _MOTOROLA.finditer(data):
        address = 2 * (int(match[1]) + 1)
        if len(match[2]) % 2 == 0:
            yield bytes.fromhex(match[2][address:].decode())


def _from_base64(text: bytes) -> bytes:
    """What it says; a word that happens to follow may spoil its end, not its beginning."""
    digits = _BLANK.sub(b"", text).translate(bytes.maketrans(b"-_", b"+/"))
    end = digits.find(b"=")
    digits = digits if end < 0 else digits[:end]
    try:
        return base64.b64decode(digits[:len(digits) // 4 * 4] + _rest(digits))
    except (binascii.Error, ValueError):
        return b""


def _rest(digits: bytes) -> bytes:
    left = digits[len(digits) // 4 * 4:]
    return left.ljust(4, b"=") if len(left) > 1 else b""
