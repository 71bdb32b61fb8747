# SPDX-License-Identifier: Apache-2.0
"""Reaching members of the Python twins by the names Renode's files use, with every value checked first."""

from __future__ import annotations

import difflib
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from offchip.engines.embedded.clock import Clock
from offchip.engines.embedded.peripheral import Line, Peripheral
from offchip.errors import OffchipError


class Refused(Exception):
    """A member or a value does not fit; the text is one sentence without a place."""


@dataclass(frozen=True, slots=True)
class Member:
    """The member of an enumeration, by name; ``type`` may be empty."""

    type: str
    member: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name in Renode's spelling, what it accepts, and whether it must be given."""

    name: str
    python_name: str
    hint: Any
    required: bool


def snake_case(name: str) -> str:
    """``PerformanceInMips`` -> ``performance_in_mips``, ``IRQ`` -> ``irq``."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def camel_case(name: str) -> str:
    """``page_size`` -> ``pageSize``"""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def pascal_case(name: str) -> str:
    """``use_image`` -> ``UseImage``"""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing."""
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(lower), 1, 0.6)
    return f" (did you mean {lower[close[0]]}?)" if close else ""


def parameters(function: Callable[..., Any], skip: int = 0) -> list[Parameter]:
    """The parameters of ``function`` after the first ``skip``."""
    found = []
    for p in list(inspect.signature(function).parameters.values())[skip:]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        found.append(Parameter(camel_case(p.name), p.name, _hint(function, p.annotation), p.default is p.empty))
    return found


def _hint(function: Callable[..., Any], annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    if isinstance(annotation, str):
        function = inspect.unwrap(function)
        try:
            # annotations are texts in every module here (PEP 563); names imported for type checkers only are unknown
            return eval(annotation, dict(getattr(function, "__globals__", {})))
        except NameError:
            return Any
    return annotation


# values ------------------------------------------------------------------------------------------------------------
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: 'a "text"', Path: "a file name",
          bytes: 'a text of hexadecimal digits ("C0FFEE")',
          type(None): "none"}


#: "does not fit", for None may be a value
_NOTHING = object()


def coerce(value: Any, hint: Any) -> Any:
    """``value`` as ``hint`` wants it. Raises Refused when it does not fit."""
    if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
        return value
    origin = get_origin(hint)
    found = _coerce_generic(value, hint, origin) if origin is not None else _coerce_plain(value, hint)
    if found is _NOTHING:
        raise Refused(f"{describe(value)} does not fit; {expected(hint)} is expected")
    return found


def _coerce_generic(value: Any, hint: Any, origin: Any) -> Any:
    if origin in (Union, types.UnionType):
        for option in get_args(hint):
            try:
                return coerce(value, option)
            except Refused:
                continue
    elif origin is typing.Literal:
        return value if value in get_args(hint) else _NOTHING
    elif origin in (list, tuple, Sequence) and isinstance(value, list):
        inner = next(iter(get_args(hint)), Any)
        items = [coerce(v, inner) for v in value]
        return items if origin is Sequence else origin(items)
    return _NOTHING


def _coerce_plain(value: Any, hint: Any) -> Any:
    if hint in _PLAIN:
        return _PLAIN[hint](value)
    if not isinstance(hint, type):
        return _NOTHING
    if issubclass(hint, Enum):
        return _coerce_member(value, hint)
    # a protocol is structural: only its methods can be looked at
    wanted = Peripheral if getattr(hint, "_is_protocol", False) else hint
    return value if isinstance(value, wanted) else _NOTHING


def _coerce_member(value: Any, hint: type[Enum]) -> Any:
    wanted = value.member if isinstance(value, Member) else value
    for member in hint:
        if isinstance(wanted, str) and snake_case(wanted) in (member.name.lower(), snake_case(member.name)):
            return member
    return _NOTHING


def _coerce_bytes(value: Any) -> Any:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else _NOTHING
    except ValueError:
        return _NOTHING


def _is_number(value: Any, kind: type | types.UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    bool: lambda v: v if isinstance(v, bool) else _NOTHING,
    str: lambda v: str(v) if isinstance(v, str | Path) else _NOTHING,
    bytes: _coerce_bytes,
    int: lambda v: v if _is_number(v, int) else _NOTHING,
    float: lambda v: float(v) if _is_number(v, int | float) else _NOTHING,
    Path: lambda v: Path(v) if isinstance(v, str | Path) else _NOTHING,
    type(None): lambda v: None if v is None else _NOTHING,
    None: lambda v: None if v is None else _NOTHING,
}


def empty_of(hint: Any) -> Any:
    """The neutral value of a type (``empty`` in a .repl). Raises Refused when there is none."""
    for option in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if option in (int, float, bool, str):
            return option()
        if option is type(None):
            return None
        if (get_origin(option) or option) in (list, tuple):
            return (get_origin(option) or option)()
    raise Refused(f"there is no empty value here; {expected(hint)} is expected")


def describe(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Peripheral):
        return f'"{value.name}" ({value.model_name})'
    if isinstance(value, Member):
        return f"{value.type}.{value.member}"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


def expected(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(expected(h) for h in get_args(hint) if h is not type(None))
    if origin is typing.Literal:
        return " or ".join(describe(v) for v in get_args(hint))
    if origin in (list, tuple, Sequence):
        return "a list"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(pascal_case(m.name.lower()) for m in hint)
    if isinstance(hint, type) and issubclass(hint, Peripheral):
        return f"a {hint.model_name or hint.__name__}"
    return _NAMES.get(hint) or str(getattr(hint, "__name__", hint))


# members -----------------------------------------------------------------------------------------------------------
#: what the machine calls; not for files and prompts
_INTERNAL = {"ahead", "attach", "base", "idle_write", "line", "lines", "on_ahead", "on_gpio", "machine", "model_name",
             "name", "passed", "path", "read", "receiver", "room", "start_clock", "steady", "stop_clock", "take",
             "unmodelled", "violation", "size", "write"}


def members(peripheral: Peripheral) -> list[str]:
    """The names files and prompts may use, in Renode's spelling, sorted."""
    names = {n for n in dir(peripheral) if not n.startswith("_") and n not in _INTERNAL}
    return sorted(pascal_case(n) for n in names if _usable(peripheral, n))


def _usable(peripheral: Peripheral, name: str) -> bool:
    static = inspect.getattr_static(peripheral, name, _NOTHING)
    if static is _NOTHING:
        return False
    if isinstance(static, property) or callable(static) or isinstance(static, staticmethod | classmethod):
        return not isinstance(static, type)
    return not isinstance(static, Line | Peripheral | Clock)


def bind(peripheral: Peripheral, name: str, arguments: Sequence[Any]) -> Callable[[], Any]:
    """``Name args`` on a peripheral, checked but not yet done: a call, or reading or setting a property.

    Raises:
        Refused: no such member, or the arguments do not fit. The returned function raises it for the twin's own
            refusals.
    """
    python_name = snake_case(name)
    if python_name.startswith("_") or python_name in _INTERNAL or not _usable(peripheral, python_name):
        raise Refused(f"{peripheral.path or peripheral.name} ({peripheral.model_name}) has no {name}"
                      f"{suggestion(name, members(peripheral))}")
    static = inspect.getattr_static(peripheral, python_name)
    if isinstance(static, property) or not callable(getattr(peripheral, python_name)):
        action = _bind_property(peripheral, name, python_name, static, arguments)
    else:
        action = _bind_call(getattr(peripheral, python_name), name, arguments)

    def guarded() -> Any:
        try:
            return action()
        except (ValueError, LookupError, OffchipError) as error:
            raise Refused(f"{name}: {error}") from error

    return guarded


def _bind_property(peripheral: Peripheral, name: str, python_name: str, static: Any,
                   arguments: Sequence[Any]) -> Callable[[], Any]:
    if not arguments:
        return lambda: getattr(peripheral, python_name)
    if len(arguments) > 1:
        raise Refused(f"{name} is a property and takes one value")
    if isinstance(static, property):
        if static.fset is None:
            raise Refused(f"{name} can only be read")
        hint = parameters(static.fset, 1)[0].hint
    else:
        present = getattr(peripheral, python_name)
        hint = type(present) if isinstance(present, bool | int | float | str | Enum) else Any
    try:
        value = coerce(arguments[0], hint)
    except Refused as refused:
        raise Refused(f"{name}: {refused}") from None
    return lambda: setattr(peripheral, python_name, value)


def _bind_call(method: Callable[..., Any], name: str, arguments: Sequence[Any]) -> Callable[[], Any]:
    wanted = parameters(method)
    needed = sum(p.required for p in wanted)
    if not needed <= len(arguments) <= len(wanted):
        shown = " ".join(p.name if p.required else f"[{p.name}]" for p in wanted) or "nothing"
        raise Refused(f"{name} was given {len(arguments)} argument(s) and takes {shown}")
    values = []
    for parameter, argument in zip(wanted, arguments, strict=False):
        try:
            values.append(coerce(argument, parameter.hint))
        except Refused as refused:
            raise Refused(f"{name} {parameter.name}: {refused}") from None
    return lambda: method(*values)
