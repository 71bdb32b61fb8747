# SPDX-License-Identifier: Apache-2.0
"""Remembering what was made of a whole medium: the same megabytes are looked at again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Made = TypeVar("Made")


def once_per_object(function: Callable[[bytes], Made]) -> Callable[[bytes], Made]:
    """``function``, remembering what it made of the last few *objects*.

    Bytes never change, so the same object has the same answer; to compare contents would cost as much as to look anew.
    What is made must not be changed by whoever gets it.
    """
    known: OrderedDict[int, tuple[bytes, Made]] = OrderedDict()  # holds the objects, so that no number is used twice

    @wraps(function)
    def remembered(data: bytes) -> Made:
        if len(data) < _WORTH_IT or type(data) is not bytes:
            return function(data)
        if (found := known.get(id(data))) is not None:
            known.move_to_end(id(data))
            return found[1]
        made = function(data)
        known[id(data)] = data, made
        if len(known) > _KEPT:
            known.popitem(last=False)
        return made

    return remembered


#: bytes from which on it is worth to remember, and how many objects are
_WORTH_IT, _KEPT = 1 << 15, 16
