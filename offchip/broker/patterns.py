# SPDX-License-Identifier: Apache-2.0
"""Texts of a policy with wildcards and variables: ``*`` and ``?`` stand for characters, ``${key}`` for a value.

What a variable brings in is plain text. The value of a certificate or thing that has one of ``* $ + ? #`` in it, or
more than 1024 characters, is not put in: the variable stays in the text as it was written (AWS IoT Core developer
guide, "X.509 Certificate policy variable limitations"). ``${key, 'text'}`` names what is put in where the key has no
value (IAM user guide, "Specifying default values").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_STAR, _ANY = object(), object()
#: characters and the two wildcards
Pattern = list[object]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]*?)\s*,\s*'([^']*)'\s*")
#: whose values come from outside the account's policies, and may not widen a pattern
_GUARDED = ("iot:certificate.", "iot:connection.thing.", "iot:thing.")
_UNSAFE = re.compile(r"[*$+?#]")
_LONGEST_VALUE = 1024


def canonical(key: str) -> str:
    """A key or variable in lower case, but for what stands in brackets: the name of a thing's attribute."""
    head, bracket, attribute = key.partition("[")
    return head.lower() + bracket + attribute


def has_variable(text: str) -> bool:
    """Whether a value decides what the text means."""
    return _VARIABLE.search(text) is not None


def unclosed_variable(text: str) -> bool:
    """``${`` without its ``}``."""
    return "${" in _VARIABLE.sub("", text)


@lru_cache(maxsize=4096)
def literal(pattern: str) -> Pattern:
    """Compile a text without variables; not to be changed."""
    return [_STAR if each == "*" else _ANY if each == "?" else each for each in pattern]


def expand(text: str, context: Mapping[str, object]) -> Pattern | None:
    """Compile a text with its variables filled in; None when a variable has no single value."""
    if "${" not in text:
        return literal(text)
    tokens: Pattern = []
    position = 0
    for variable in _VARIABLE.finditer(text):
        tokens += literal(text[position:variable.start()])
        value = _value(variable, context)
        if value is None:
            return None
        tokens += value
        position = variable.end()
    return tokens + literal(text[position:])


def _value(variable: re.Match[str], context: Mapping[str, object]) -> str | None:
    name, default = variable.group(1), None
    if with_default := _DEFAULT.fullmatch(name):
        name, default = with_default.groups()
    value = name if name in ("*", "?", "$") else context.get(canonical(name), default)
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str):
        return None
    guarded = name.lower().startswith(_GUARDED)
    return variable.group() if guarded and (_UNSAFE.search(value) or len(value) > _LONGEST_VALUE) else value


def glob(pattern: Pattern, text: str) -> bool:
    """Wildcard match in at most len(pattern) * len(text) steps, whatever the pattern."""
    if pattern == [_STAR]:
        return True
    at = position = 0
    star = mark = -1
    while position < len(text):
        if at < len(pattern) and pattern[at] is _STAR:
            star, mark = at, position
            at += 1
        elif at < len(pattern) and (pattern[at] is _ANY or pattern[at] == text[position]):
            at += 1
            position += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(each is _STAR for each in pattern[at:])


def plain(pattern: Pattern) -> str:
    """The text again, where wildcards mean nothing."""
    return "".join("*" if each is _STAR else "?" if each is _ANY else str(each) for each in pattern)
