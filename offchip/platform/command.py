# SPDX-License-Identifier: Apache-2.0
"""Monitor commands, split into typed words: the part .repl sections, .resc scripts and the prompt share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offchip.platform.model import Location, MonitorLine, Range


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word: a command, the path of a peripheral, the name of a member."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``"""

    name: str


@dataclass(frozen=True, slots=True)
class FileName:
    """``@name`` or ``$ORIGIN/name``: a file, not yet resolved."""

    name: str

    def relative_to(self, folder: Path) -> Path:
        return folder / self.name


@dataclass(frozen=True, slots=True)
class Assignment:
    """``=``, or ``?=`` which leaves a variable that is already set alone."""

    only_if_unset: bool


@dataclass(frozen=True, slots=True)
class Block:
    """The text between triple quotes; ``location`` is that of its first character."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Inner:
    """The text between backticks: a command whose output takes its place."""

    text: str


Value = Word | Variable | FileName | Assignment | Block | Inner | Range | str | int | float | bool


@dataclass(frozen=True, slots=True)
class Argument:
    """One word of a command and its place. Text, number and truth value are plain Python values."""

    value: Value
    location: Location

    @property
    def word(self) -> str:
        """The bare word, or "" when this is something else."""
        return self.value.text if isinstance(self.value, Word) else ""


_GRAMMAR = r"""
    (?P<header>^[ \t]*:[^\n]*)
  | (?P<space>[ \t\r]+|\\\n)
  | (?P<comment>\#[^\n]*)
  | (?P<end>[;\n])
  | (?P<block>'''(?P<single>.*?)''' | \"\"\"(?P<double>.*?)\"\"\")
  | (?P<text>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*')
  | `(?P<inner>[^`\n]*)`
  | <\s*(?P<first>0x[0-9A-Fa-f_]+|\d[\d_]*)\s*(?:(?P<comma>,)\s*|\s+)(?P<plus>\+?)(?P<last>0x[0-9A-Fa-f_]+|\d[\d_]*)\s*>
  | @?(?P<origin>\$ORIGIN(?:/[^\s;]*)?)(?=[\s;]|$)
  | @(?P<path>(?:\\.|[^\s;\\])+)
  | \$(?P<variable>[A-Za-z_][\w.]*)
  | (?P<assign>\??=)
  | (?P<number>-?(?:0x[0-9A-Fa-f_]+|\d[\d_]*(?:\.\d+)?))(?=[\s;]|$)
  | (?P<word>[A-Za-z_/.+\-][^\s;"'`<>$=]*)
"""
_FLAGS = re.VERBOSE | re.DOTALL | re.MULTILINE
_TOKENS = re.compile(_GRAMMAR, _FLAGS)
#: a script is read line by line; what a test or a person gives in one piece may have line ends inside a text
_PIECE = re.compile(_GRAMMAR.replace(r'[^"\\\n]', r'[^"\\]').replace(r"[^'\\\n]", r"[^'\\]"), _FLAGS)


def split_commands(text: str, start: Location, one_piece: bool = False) -> list[list[Argument]]:
    """Split ``text``, whose first character stands at ``start``, into commands and these into words.

    With ``one_piece`` quoted texts may contain line ends.

    Raises:
        PlatformError: a character begins no word.
    """
    commands: list[list[Argument]] = []
    arguments: list[Argument] = []
    position = 0
    while position < len(text):
        at = _place(text, position, start)
        match = (_PIECE if one_piece else _TOKENS).match(text, position)
        if match is None:
            raise at.error("E00", f"{text[position]!r} begins no word of a command; quote texts and close every quote")
        if match["end"] is not None and arguments:
            commands.append(arguments)
            arguments = []
        elif not any(match[kind] is not None for kind in ("header", "space", "comment", "end")):
            arguments.append(Argument(_value(match, text, start, at), at))
        position = match.end()
    if arguments:
        commands.append(arguments)
    return commands


def split_command(line: MonitorLine) -> list[Argument]:
    """Split a line that must be exactly one command. Raises PlatformError."""
    commands = split_commands(line.text, line.location)
    if len(commands) != 1:
        raise line.location.error("E00", f'"{line.text}" is not one command; write one on each line')
    return commands[0]


def _place(text: str, position: int, start: Location) -> Location:
    line_start = text.rfind("\n", 0, position) + 1
    if not line_start:
        return Location(start.file, start.line, start.column + position)
    return Location(start.file, start.line + text.count("\n", 0, position), position - line_start + 1)


def _value(match: re.Match[str], text: str, start: Location, at: Location) -> Value:
    if match["block"] is not None:
        inner = "single" if match["single"] is not None else "double"
        return Block(match[inner], _place(text, match.start(inner), start))
    if match["first"] is not None:
        first, last = _number(match["first"]), _number(match["last"])
        # both ends of a monitor range belong to it, unlike those of a registration
        # and <start size>, without a comma, names a size
        size = last if match["plus"] or not match["comma"] else last - first + 1
        if size <= 0:
            raise at.error("E00", "the range is empty; write <first, last>, <start size> or <first, +size>")
        return Range(int(first), int(size), at)
    kind = next(kind for kind in _PLAIN if match[kind] is not None)
    return _PLAIN[kind](match[kind])


def _word(text: str) -> Word | bool:
    return text.lower() == "true" if text.lower() in ("true", "false") else Word(text)


def _number(text: str) -> int | float:
    text = text.replace("_", "")
    return float(text) if "." in text else int(text, 16 if "x" in text else 10)


#: what a word of each kind becomes, given its text
_PLAIN: dict[str, Callable[[str], Value]] = {
    "text": lambda text: re.sub(r"""\\(["'\\])""", r"\1", text[1:-1]),
    "inner": Inner,
    "origin": FileName,
    "path": lambda text: FileName(re.sub(r"\\(.)", r"\1", text)),
    "variable": Variable,
    "assign": lambda text: Assignment(text == "?="),
    "number": _number,
    "word": _word,
}
