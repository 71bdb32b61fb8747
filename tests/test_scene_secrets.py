# SPDX-License-Identifier: Apache-2.0
"""What is found of a secret in a large medium is what would be found without leaving blank parts out."""

from __future__ import annotations

import base64

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
    medium = bytearray(_SIZE)
    medium[4096 - 2:4096] = part[:2]
    medium[2 * 4096:] = b"\x55\xAA" * ((_SIZE - 2 * 4096) // 2)
    assert find([Secret("it", (part,))], bytes(medium))


def test_nothing_is_found_where_nothing_is() -> None:
    for blank in (0x00, 0xFF):
        assert not find([Secret.of_bytes("it", VALUE[7:25])], bytes([blank]) * _SIZE)
