# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a medium is of that medium, whatever is made and let go meanwhile."""

from __future__ import annotations

from offchip.memo import once_per_object

_SIZE = 1 << 16


def test_each_object_has_its_own_answer_and_the_same_one_is_looked_at_once() -> None:
    looked: list[int] = []

    @once_per_object
    def first(data: bytes) -> int:
        looked.append(data[0])
        return data[0]

    for value in range(100):  # objects that die, so that their numbers come back
        assert first(bytes([value]) * _SIZE) == value
    held = bytes([7]) * _SIZE
    assert [first(held), first(held)] == [7, 7] and looked.count(7) == 2
    assert first(b"\x09") == first(b"\x09") == 9 and looked.count(9) == 3  # too short to be worth it
