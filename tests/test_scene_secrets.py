# SPDX-License-Identifier: Apache-2.0
"""What is found of a secret in a large medium is what would be found without leaving blank parts out."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchip.scene.secrets import Secret, find, squeezed

_SIZE = 64 << 10
VALUE = bytes(7) + bytes(range(101, 119)) + bytes(7)  # its ends look like an empty medium
SPELLINGS = {"raw bytes": VALUE, "hexadecimal digits": VALUE.hex().encode(), "base64 digits": base64.b64encode(VALUE)}


@given(st.sampled_from(sorted(SPELLINGS)), st.integers(0, _SIZE - 64),
       st.sampled_from([0x00, 0xFF, ord("0"), ord("A")]))
def test_blank_parts_hide_nothing(form: str, offset: int, blank: int) -> None:
    text = SPELLINGS[form]
    medium = (bytes([blank]) * offset + text).ljust(_SIZE, bytes([blank]))
    assert len(squeezed(medium)) < len(medium) // 4
    assert find([Secret.of_bytes("it", VALUE)], medium), (form, offset, blank)


def test_a_part_at_the_edge_of_a_blank_block_is_found() -> None:
    """The eight bytes that give it away lie half in a block that is left out: zeros of the secret among zeros."""
    part = bytes([101, 7]) + bytes(6)
    for before in (0, 3):  # blank blocks of the same kind
        start = 4096 * (before + 1)
        medium = bytearray(_SIZE)
        medium[start - 2:start] = part[:2]
        medium[start + 4096:] = b"\x55\xAA" * ((_SIZE - start - 4096) // 2)
        assert find([Secret("it", (part,))], bytes(medium)), before


def test_nothing_is_found_where_nothing_is() -> None:
    for blank in (0x00, 0xFF):
        assert not find([Secret.of_bytes("it", VALUE[7:25])], bytes([blank]) * _SIZE)


def _lines(label: str, parts: list[str]) -> str:
    return "\r\n".join(f"{label.replace('#', str(number))}{part}" for number, part in enumerate(parts))


def _words(value: bytes, order: str) -> tuple[int, ...]:
    return struct.unpack(f"{order}{len(value) // 4}I", value)


#: how firmware may well print bytes while somebody looks for a fault, and forgets it
PRINTED: dict[str, Callable[[bytes], str]] = {
    "decimal": lambda value: " ".join(map(str, value)),
    "signed decimal": lambda value: ", ".join(str(each - 256 * (each > 127)) for each in value),
    "hexadecimal, spaced": lambda value: value.hex(" ").upper(),
    "octal": lambda value: "".join(f"\\{each:03o}" for each in value),
    "decimal words": lambda value: _lines("word # = ", [f"{each}UL" for each in _words(value, "<")]),
    "decimal words, the other way": lambda value: " ".join(map(str, _words(value, ">"))),
    "signed words": lambda value: _lines("d: ", [str(each - (each >> 31 << 32)) for each in _words(value, "<")]),
    "limbs": lambda value: _lines("debug: ", [f"{each:08x}" for each in _words(value, "<")]),
    "four bytes a line": lambda value: _lines("debug: ", [value[at:at + 4].hex() for at in range(0, len(value), 4)]),
    "a byte a line": lambda value: _lines("key[#]: ", [f"0x{each:02X}" for each in value]),
    "a decimal byte a line": lambda value: _lines("byte # ", [str(each) for each in value]),
    "base32": lambda value: base64.b32encode(b"abc" + value).decode(),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(b"a" + value).decode(),
    "base64, four a line": lambda value: _lines("debug: ", [base64.b64encode(value[at:at + 3]).decode()
                                                          for at in range(0, len(value), 3)]),
    "binary": lambda value: " ".join(f"{each:08b}" for each in value),
}
PASSPHRASES: dict[str, Callable[[str], str]] = {
    "a letter a line": lambda text: _lines("wifi: ", [*text]), "backwards": lambda text: text[::-1],
    "spaced": lambda text: " ".join(text), "capitals": str.upper, "codes": lambda text: _lines("# ", [
        str(ord(each)) for each in text]),
}
BEFORE, BEHIND = "boot: offchip 0.1.0 reset=power-on\r\n", "\r\nstate: waiting reason=tls retry_ms=812\r\n"


@pytest.mark.parametrize("form", PRINTED)
@given(value=st.binary(min_size=32, max_size=48).filter(lambda value: len(set(value)) > 16))
def test_a_key_is_found_however_it_is_printed(form: str, value: bytes) -> None:
    value = value[:len(value) // 12 * 12]
    text = (BEFORE + PRINTED[form](value) + BEHIND).encode()
    assert find([Secret.of_bytes("it", value)], text), text
    assert not find([Secret.of_bytes("it", bytes(each ^ 0x5A for each in value))], text)


@pytest.mark.parametrize("form", PASSPHRASES)
@pytest.mark.parametrize("passphrase", ["not-a-secret", "correct horse battery", "Gr\u00fc\u00df Gott, tritt ein"])
def test_a_passphrase_is_found_however_it_is_printed(form: str, passphrase: str) -> None:
    text = (BEFORE + PASSPHRASES[form](passphrase) + BEHIND).encode()
    assert find([Secret.of_text("it", passphrase)], text), text
    assert not find([Secret.of_text("it", "another passphrase")], text)
