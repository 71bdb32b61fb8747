# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 8259 has it: no NaN, no number beyond a double, UTF-8; what comes in may go out again."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any


def json_object(payload: bytes) -> dict[str, Any]:
    """The object a payload is. Raises ValueError: it is none, or no JSON; one sentence."""
    try:
        content = json.loads(payload.decode("utf-8"), parse_constant=no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    return content


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``object_pairs_hook``: of two fields with one name the first would be lost without a word."""
    content = dict(pairs)
    if len(content) != len(pairs):
        (twice, _), = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"'{twice[:100]}' occurs twice in one object")
    return content


def no_constant(name: str) -> None:
    """For ``parse_constant``: NaN and the infinities."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value
