# SPDX-License-Identifier: Apache-2.0
"""What is left out of a search because it is blank."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchip.attacks.blanks import said

PARTS = st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=80)), min_size=1, max_size=5)


@pytest.mark.parametrize(("size", "step"), [(32, 4), (32, 1), (128, 4), (64, 0), (512, 0)])
@given(parts=PARTS)
def test_every_window_in_which_two_bytes_differ_is_looked_at(size: int, step: int, parts: list[tuple[int, bytes]]
                                                             ) -> None:
    data = b"".join(b"\xFF" * blank + content for blank, content in parts)
    found = list(said(data, size, step))
    windows = range(0, len(data) - size + 1, step or size)
    assert set(found) <= set(windows) and found == sorted(set(found))
    assert not {at for at in windows if len(set(data[at:at + size])) > 1} - set(found)
