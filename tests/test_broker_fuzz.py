# SPDX-License-Identifier: Apache-2.0
"""The broker under inputs of nearly the right form; `python -m tests.fuzz.broker` goes on for 300,000."""

from __future__ import annotations

from tests.fuzz.broker import Fuzz


def test_whatever_comes_is_answered_or_closed_with_an_event() -> None:
    fuzz = Fuzz(seed=7)
    fuzz.run(0, 4000)
    fuzz.forget()
    assert {"Connected", "ConnectRefused", "ProtocolViolated", "PublishAccepted", "Delivered"} <= fuzz.kinds.keys()
