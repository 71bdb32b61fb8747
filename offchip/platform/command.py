"""One monitor command, split into typed words: the part .repl sections, .resc scripts and the prompt share."""

from __future__ import annotations

import re
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
    """``@name``: a file, not yet resolved."""

    name: str

    def relative_to(self, folder: Path) -> Path:
        return folder / self.name


@dataclass(frozen=True, slots=True)
class Argument:
    """One word of a command and its place. Text, number and truth value are plain Python values."""

    value: Word | Variable | FileName | Range | str | int | float | bool
    location: Location

    @property
    def word(self) -> str:
        """The bare word, or "" when this is something else."""
        return self.value.text if isinstance(self.value, Word) else ""


_TOKENS = re.compile(r"""
    (?P<space>[ \t]+)
  | (?P<long>'''(?:(?!''').)*''' | \"\"\"(?:(?!\"\"\").)*\"\"\")
  | (?P<text>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
  | <\s*(?P<start>0x[0-9A-Fa-f_]+|\d[\d_]*)\s*(?:,\s*|\s+)(?P<plus>\+?)(?P<end>0x[0-9A-Fa-f_]+|\d[\d_]*)\s*>
  | @(?P<path>(?:\\.|[^\s;\\])+)
  | \$(?P<variable>[A-Za-z_][\w.]*)
  | (?P<number>-?(?:0x[0-9A-Fa-f_]+|\d[\d_]*(?:\.\d+)?))(?=[\s;]|$)
  | (?P<word>[A-Za-z_/.:+\-\\][^\s;"'<>$]*)
""", re.VERBOSE | re.DOTALL)


def split_command(line: MonitorLine) -> list[Argument]:
    """Split ``line`` into its words. Raises PlatformError at a character that starts none."""
    arguments, position, text = [], 0, line.text
    while position < len(text):
        at = Location(line.location.file, line.location.line, line.location.column + position)
        match = _TOKENS.match(text, position)
        if match is None:
            raise at.error("E00", f"{text[position]!r} starts no word of a command; quote texts and close every quote")
        position = match.end()
        if match["space"] is None:
            arguments.append(Argument(_value(match, at), at))
    return arguments


def _value(match: re.Match[str], at: Location) -> Word | Variable | FileName | Range | str | int | float | bool:
    kind = match.lastgroup
    if match["long"] is not None:
        return match["long"][3:-3]
    if match["text"] is not None:
        return re.sub(r"""\\(["'\\])""", r"\1", match["text"][1:-1])
    if match["start"] is not None:
        start, end = number(match["start"]), number(match["end"])
        # both ends of a monitor range belong to it, unlike those of a registration
        size = end if match["plus"] else end - start + 1
        if size <= 0:
            raise at.error("E00", "the range is empty; write <first, last> or <first, +size>")
        return Range(int(start), int(size), at)
    if match["path"] is not None:
        return FileName(re.sub(r"\\(.)", r"\1", match["path"]))
    if match["variable"] is not None:
        return Variable(match["variable"])
    if match["number"] is not None:
        return number(match["number"])
    assert kind == "word"
    word = match["word"]
    return word.lower() == "true" if word.lower() in ("true", "false") else Word(word)


def number(text: str) -> int | float:
    """The value of a number as scripts write it: decimal or 0x, underscores allowed."""
    text = text.replace("_", "")
    return float(text) if "." in text else int(text, 16 if "x" in text else 10)
