# SPDX-License-Identifier: Apache-2.0
"""Reads Renode's platform descriptions: text -> tree (grammar.lark) -> :mod:`offchip.platform.model`.

The error codes are Renode's own (documentation, "Platform description format"): E00 syntax, E01 update of an unknown
entry, E02 declared twice, E20 undefined reference, E30 cycle, E32 indentation, E36 missing file.
"""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.indenter import Indenter
from lark.visitors import Interpreter

from offchip.errors import PlatformError
from offchip.platform.model import (
    BUS,
    Attribute,
    Empty,
    Entry,
    EnumMember,
    ListValue,
    Literal,
    Location,
    MappingValue,
    MonitorLine,
    ObjectValue,
    PlatformDescription,
    Range,
    Reference,
    Registration,
    Sink,
    Unset,
    Value,
    Wire,
)

INDENT = 4

_WORDS = {
    "NAME": "a name", "QNAME": "a class (Namespace.Class)", "NUMBER": "a number", "INT": "a number",
    "STRING": 'a "text"', "LONG_STRING": "a '''text'''", "_NL": "the end of the line", "_INDENT": "an indented line",
    "_DEDENT": "the next entry", "SECTION": "preinit, init or reset", "ADD": "add", "RAW_LINE": "a monitor command",
    "RAW_ITEM": "a monitor command", "SHORT_MEMBER": ".Member", "NONE": "none", "EMPTY": "empty", "TRUE": "true",
    "FALSE": "false", "$END": "the end of the file",
}


def read_platform(path: Path) -> PlatformDescription:
    """Read ``path`` and everything it uses, later entries overriding earlier ones.

    Raises:
        PlatformError: the text is wrong; the message starts with ``file:line:column:``.
    """
    reader = PlatformReader()
    reader.add_file(path)
    return reader.finish()


def read_platform_text(text: str, path: Path) -> PlatformDescription:
    """Like :func:`read_platform` for a text at hand; ``path`` names it and anchors its relative files."""
    reader = PlatformReader()
    reader.add_text(text, path)
    return reader.finish()


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"


class PlatformReader:
    """Joins any number of descriptions into one: follows ``using`` depth first and merges entries.

    Args:
        folders: where a file named by ``using`` may be besides the folder of the file that uses it; Renode looks for
            names without ``./`` along the monitor's path.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = tuple(folders)
        self._entries: dict[str, Entry] = {}
        self._open: list[Path] = []
        self._done: list[Path] = []

    def add_file(self, path: Path) -> None:
        """Read one more file. Raises PlatformError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Location(path, 1, 1).error(
                "E36", f"the platform description cannot be read ({_reason(error)})") from None
        self.add_text(text, path)

    def add_text(self, text: str, path: Path) -> None:
        """Read one more text; ``path`` names it and anchors its relative files. Raises PlatformError."""
        self._open.append(path.resolve())
        _check_indentation(path, text := _blank_comments(path, text))
        used, entries = _ToModel(path).visit(_parse(path, text))
        for name, location in used:
            self._use(self._find(path.parent, name), name, location)
        for entry in entries:
            self._merge(entry)
        self._done.append(self._open.pop())

    def _find(self, folder: Path, name: str) -> Path:
        """Beside the file, along the path, or from a folder around the file: Renode's own tree names files from its
        root (``using "platforms/cpus/stm32f4.repl"``)."""
        elsewhere = () if name.startswith(("./", "../")) else (*self._folders, *folder.resolve().parents)
        return next((f / name for f in (folder, *elsewhere) if (f / name).is_file()), folder / name)

    def _use(self, path: Path, name: str, location: Location) -> None:
        resolved = path.resolve()
        if resolved in self._open:
            raise location.error("E30", f'using "{name}" leads back to this file; remove one of the two')
        if resolved in self._done:
            return
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise location.error("E36", f'the file "{name}" cannot be read ({_reason(error)}); the name is relative to '
                                        "the folder of this file, or to one of the monitor's path") from None
        self.add_text(text, path)

    def _merge(self, entry: Entry) -> None:
        known = self._entries.get(entry.name)
        if known is None:
            if entry.type is None and entry.name != BUS:
                raise entry.location.error(
                    "E01", f'"{entry.name}" is updated but never declared{_did_you_mean(entry.name, self._entries)}; '
                           f"write {entry.name}: Namespace.Class @ parent to declare it")
            self._entries[entry.name] = entry
            return
        if entry.type is not None:
            raise entry.location.error(
                "E02", f'"{entry.name}" is already declared at {known.location}; drop the class to update that entry')
        known.update(entry)

    def finish(self) -> PlatformDescription:
        """Everything read so far, with its references checked. Raises PlatformError."""
        for entry in self._entries.values():
            entry.attributes = {k: a for k, a in entry.attributes.items() if not isinstance(a.value, Unset)}
            entry.wires = {k: w for k, w in entry.wires.items() if w.sinks}
            for name, location in _references(entry):
                if name not in self._entries and name != BUS:
                    raise location.error("E20", f'"{name}" is not declared anywhere'
                                                f"{_did_you_mean(name, self._entries)}")
        for entry in self._entries.values():
            self._check_parents(entry)
        return PlatformDescription(self._entries, tuple(self._done))

    def _check_parents(self, entry: Entry) -> None:
        for registration in entry.registrations or ():
            seen, parent = {entry.name}, registration.parent
            while parent != BUS:
                if parent in seen:
                    raise registration.location.error(
                        "E30", f'"{entry.name}" is registered at itself by way of "{parent}"; break the circle')
                seen.add(parent)
                above = self._entries[parent].registrations
                if not above:
                    break
                parent = above[0].parent


def _did_you_mean(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _references(entry: Entry) -> Iterator[tuple[str, Location]]:
    for registration in entry.registrations or ():
        yield registration.parent, registration.location
        if isinstance(registration.point, ObjectValue):
            yield from _referred(registration.point)
    for attribute in entry.attributes.values():
        yield from _referred(attribute.value)
    for wire in entry.wires.values():
        for sink in wire.sinks:
            yield sink.receiver, sink.location


def _referred(value: Value) -> Iterator[tuple[str, Location]]:
    if isinstance(value, Reference):
        yield value.name, value.location
    elif isinstance(value, ListValue):
        for item in value.items:
            yield from _referred(item)
    elif isinstance(value, MappingValue):
        for _, item in value.items:
            yield from _referred(item)
    elif isinstance(value, ObjectValue):
        for attribute in value.attributes.values():
            yield from _referred(attribute.value)


# text ------------------------------------------------------------------------------------------------------------
_TEXT = r"""'''(?:\\'''|[^\\]|\\(?!'))*?'''|"(?:\\.|[^"\\\n])*\""""
_SKIP = re.compile(_TEXT + r"|//[^\n]*|/\*.*?\*/|/\*", re.DOTALL)


def _blank_comments(path: Path, text: str) -> str:
    """Comments become spaces, so every place keeps its line and column."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found == "/*":
            line, column = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
            raise Location(path, line, column).error("E00", "this comment is never closed; end it with */")
        return re.sub(r"[^\n]", " ", found) if found[0] == "/" else found

    return _SKIP.sub(blank, text.replace("\r\n", "\n")).rstrip() + "\n"


def _check_indentation(path: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        margin = line[:len(line) - len(line.lstrip())]
        if "\t" in margin and line.strip():
            raise Location(path, number, margin.index("\t") + 1).error(
                "E32", f"a tab in the indentation; use {INDENT} spaces per level")


class _Indentation(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types = ["LBRACE", "LSQB"]
    CLOSE_PAREN_types = ["RBRACE", "RSQB"]
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = INDENT

    def handle_NL(self, token: Token) -> Iterator[Token]:
        if self.paren_level == 0:
            depth = len(token.rsplit("\n", 1)[1])
            if depth % INDENT or depth > self.indent_level[-1] + INDENT:
                raise _BadIndentation(token.end_line or 1, depth)
        yield from super().handle_NL(token)


class _BadIndentation(Exception):
    def __init__(self, line: int, depth: int) -> None:
        self.line, self.depth = line, depth


@cache
def _parser() -> Lark:
    return Lark.open("grammar.lark", rel_to=__file__, parser="lalr", lexer="contextual", postlex=_Indentation(),
                     maybe_placeholders=True, propagate_positions=True)


@lru_cache(maxsize=32)
def _parse(path: Path, text: str) -> Tree[Token]:
    """The tree of a text. Nobody changes it, so the boards of a process share it."""
    try:
        return _parser().parse(text)
    except _BadIndentation as bad:
        raise Location(path, bad.line, bad.depth + 1).error(
            "E32", f"an indentation of {bad.depth} does not fit here; each level is {INDENT} spaces deeper than the "
                   "one around it") from None
    except UnexpectedInput as error:
        raise _syntax_error(path, text, error) from None


def _syntax_error(path: Path, text: str, error: UnexpectedInput) -> PlatformError:
    line, column = max(error.line, 1), max(error.column, 1)
    if isinstance(error, UnexpectedToken):
        token, expected = error.token, error.accepts or error.expected
        kind, shown = token.type, str(token)
        if kind in ("_INDENT", "_DEDENT"):
            line, column = token.end_line or line, len(shown.rsplit("\n", 1)[-1]) + 1
    else:
        assert isinstance(error, UnexpectedCharacters)
        expected, kind, shown = error.allowed or set(), "", text[error.pos_in_stream:].split("\n", 1)[0]
    found = {"_NL": "the line ends", "_INDENT": "a deeper line begins", "_DEDENT": "the indented block ends",
             "$END": "the file ends"}.get(kind, f"there is {shown.split()[0] if shown.split() else shown!r}")
    if shown.startswith(('"', "'''")) and not re.match(_TEXT, shown, re.DOTALL):
        return Location(path, line, column).error("E00", "a text begins here that is never closed")
    if text.split("\n")[line - 1].startswith("using ") and "COLON" in expected:
        return Location(path, line, 1).error("E00", "a using line stands behind an entry; all of them come first")
    return Location(path, line, column).error("E00", f"{found} where {_in_words(expected)} is expected")


def _in_words(expected: Iterable[str]) -> str:
    names = set(expected)
    if {"NUMBER", "STRING", "QNAME"} <= names:
        return 'a value (a number, "text", true, false, a name, [list], none or empty)'
    words = sorted({_WORDS.get(name) or _literal(name) for name in names})
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _literal(terminal: str) -> str:
    for known in _parser().terminals:
        if known.name == terminal:
            return f"'{known.pattern.value}'"
    return terminal


# tree ------------------------------------------------------------------------------------------------------------
class _ToModel(Interpreter[Token, Any]):
    """Turns the tree of one file into ``([(file, place)], [Entry])``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _at(self, node: Token | Tree[Token]) -> Location:
        if isinstance(node, Token):
            return Location(self._path, node.line or 1, node.column or 1)
        return Location(self._path, getattr(node.meta, "line", 1), getattr(node.meta, "column", 1))

    def start(self, tree: Tree[Token]) -> tuple[builtins.list[tuple[str, Location]], builtins.list[Entry]]:
        used: builtins.list[tuple[str, Location]] = []
        entries: builtins.list[Entry] = []
        for child in tree.children:
            if isinstance(child, Tree):
                (used if child.data == "using" else entries).append(self.visit(child))
        return used, entries

    def using(self, tree: Tree[Token]) -> tuple[str, Location]:
        name = next(c for c in tree.children if isinstance(c, Token) and c.type == "STRING")
        return _unquote(name), self._at(name)

    def entry(self, tree: Tree[Token]) -> Entry:
        tokens = [c for c in tree.children if isinstance(c, Token)]
        name, kind = tokens[0], next((t for t in tokens[1:] if t.type in ("QNAME", "NAME")), None)
        entry = Entry(str(name), self._at(name))
        if kind is not None:
            entry.type, entry.type_location = str(kind), self._at(kind)
        for child in tree.children:
            if not isinstance(child, Tree):
                continue
            if child.data == "nowhere":
                entry.registrations = ()
            elif child.data == "registered":
                entry.registrations = tuple(self.visit(c) for c in _trees(child))
            elif child.data == "alias":
                entry.alias = _unquote(child.children[0])
            elif child.data == "inline":
                for item in _trees(child):
                    self._fill(entry, item)
            else:
                self._fill(entry, child)
        if kind is None and entry.registrations is None and not (entry.attributes or entry.wires or entry.sections):
            raise entry.location.error("E00", f'the entry "{name}" says nothing; give it a class or attributes')
        return entry

    def _fill(self, entry: Entry, item: Tree[Token]) -> None:
        if item.data == "property":
            _add_attribute(entry.attributes, self.visit(item))
        elif item.data == "section":
            kind, lines, location, appended = self.visit(item)
            if appended:
                entry.appended.add(kind)
            if kind in entry.sections:
                raise location.error("E00", f'a second {kind} section in "{entry.name}"; join the two')
            entry.sections[kind] = lines
        else:
            for wire in self.visit(item):
                if wire.source in entry.wires:
                    shown = "the default output" if wire.source is None else f'output "{wire.source}"'
                    raise wire.location.error("E00", f"{shown} is connected twice; fan out with | in one line")
                entry.wires[wire.source] = wire

    def registration(self, tree: Tree[Token]) -> Registration:
        parent, point = tree.children
        assert isinstance(parent, Token)
        return Registration(str(parent), None if point is None else self.visit(_tree(point)), self._at(parent))

    # attributes --------------------------------------------------------------------------------------------------
    def property(self, tree: Tree[Token]) -> Attribute:
        name, value = tree.children
        assert isinstance(name, Token) and isinstance(value, Tree)
        return Attribute(str(name), self.visit(value), self._at(name))

    def string(self, tree: Tree[Token]) -> Literal:
        return Literal(_unquote(tree.children[0]), self._at(tree))

    def number(self, tree: Tree[Token]) -> Literal:
        return Literal(_number(tree.children[0]), self._at(tree))

    def boolean(self, tree: Tree[Token]) -> Literal:
        return Literal(tree.children[0] == "true", self._at(tree))

    def unset(self, tree: Tree[Token]) -> Unset:
        return Unset(self._at(tree))

    def empty(self, tree: Tree[Token]) -> Empty:
        return Empty(self._at(tree))

    def reference(self, tree: Tree[Token]) -> Reference:
        return Reference(str(tree.children[0]), self._at(tree))

    def enum(self, tree: Tree[Token]) -> EnumMember:
        kind, _, member = str(tree.children[0]).rpartition(".")
        return EnumMember(kind, member, self._at(tree))

    def range(self, tree: Tree[Token]) -> Range:
        numbers = [t for t in tree.children if isinstance(t, Token) and t.type == "NUMBER"]
        start, second = (_number(t) for t in numbers)
        if not isinstance(start, int) or not isinstance(second, int):
            raise self._at(tree).error("E00", "a range is made of whole numbers")
        sized = any(isinstance(t, Token) and t.type == "PLUS" for t in tree.children)
        size = second if sized else second - start
        if size <= 0 or start < 0:
            raise self._at(tree).error("E00", "the range is empty; write <start, end> with end > start, or "
                                              "<start, +size>")
        return Range(start, size, self._at(tree))

    def list(self, tree: Tree[Token]) -> ListValue:
        return ListValue(tuple(self.visit(c) for c in _trees(tree)), self._at(tree))

    def mapping(self, tree: Tree[Token]) -> MappingValue:
        items = []
        for name, value in (each.children for each in _trees(tree)):
            items.append((_unquote(name), self.visit(_tree(value))))
        return MappingValue(tuple(items), self._at(tree))

    def object(self, tree: Tree[Token]) -> ObjectValue:
        kind = next(c for c in tree.children if isinstance(c, Token) and c.type in ("QNAME", "NAME"))
        attributes: dict[str, Attribute] = {}
        for child in _trees(tree):
            _add_attribute(attributes, self.visit(child))
        return ObjectValue(str(kind), attributes, self._at(tree))

    # interrupts --------------------------------------------------------------------------------------------------
    def wire(self, tree: Tree[Token]) -> builtins.list[Wire]:
        source, *targets = tree.children
        location = self._at(source) if source is not None else self._at(tree)
        names: builtins.list[str | int | None] = [None] if source is None else self.visit(_tree(source))
        sinks: builtins.list[builtins.list[Sink]] = [[] for _ in names]
        for target in map(_tree, targets):
            if target.data == "disconnected":
                if len(targets) > 1:
                    raise self._at(target).error("E00", "none cannot be one of several targets; leave it out")
                continue
            found: builtins.list[Sink] = self.visit(target)
            if len(found) != len(names):
                raise self._at(target).error("E00", f"{len(names)} output(s) meet {len(found)} input(s); both ranges "
                                                    "must have the same length")
            for row, sink in zip(sinks, found, strict=True):
                row.append(sink)
        return [Wire(name, tuple(row), location) for name, row in zip(names, sinks, strict=True)]

    def named_source(self, tree: Tree[Token]) -> builtins.list[str]:
        return [str(tree.children[0])]

    def numbered_source(self, tree: Tree[Token]) -> builtins.list[int]:
        return [_integer(tree.children[0])]

    def ranged_source(self, tree: Tree[Token]) -> builtins.list[int | str]:
        """``[0-3, 5, IRQ]``"""
        listed: builtins.list[int | str] = []
        for item in tree.children:
            if isinstance(item, Tree):
                listed += self._span(*item.children)
            elif item.type == "NAME":
                listed.append(str(item))
        return listed

    def sink(self, tree: Tree[Token]) -> builtins.list[Sink]:
        receiver, local, number = tree.children
        return [Sink(str(receiver), None if local is None else _integer(local), _integer(number), self._at(receiver))]

    def ranged_sink(self, tree: Tree[Token]) -> builtins.list[Sink]:
        receiver, local, *_ = tree.children
        at = self._at(receiver)
        numbers = [number for span in _trees(tree) for number in self._span(*span.children)]
        return [Sink(str(receiver), None if local is None else _integer(local), number, at) for number in numbers]

    def _span(self, begin: Any, end: Any) -> builtins.range:
        first, last = _integer(begin), _integer(begin if end is None else end)
        if last < first:
            raise self._at(begin).error("E00", f"[{first}-{last}] runs backwards; write [{last}-{first}]")
        return builtins.range(first, last + 1)

    # sections ----------------------------------------------------------------------------------------------------
    def section(self, tree: Tree[Token]) -> tuple[str, tuple[MonitorLine, ...], Location, bool]:
        """(kind, lines, place, whether they go behind those that are there)"""
        kind = next(t for t in tree.children if isinstance(t, Token) and t.type == "SECTION")
        raw = [t for t in tree.children if isinstance(t, Token) and t.type in ("RAW_LINE", "RAW_ITEM")]
        added = any(isinstance(t, Token) and t.type == "ADD" for t in tree.children)
        return str(kind), tuple(MonitorLine(t.rstrip(), self._at(t)) for t in raw), self._at(kind), added


def _tree(node: Token | Tree[Token]) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _integer(node: Token | Tree[Token]) -> int:
    assert isinstance(node, Token)
    return int(node, 16 if node.startswith("0x") else 10)


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [c for c in tree.children if isinstance(c, Tree)]


def _add_attribute(attributes: dict[str, Attribute], attribute: Attribute) -> None:
    if attribute.name in attributes:
        raise attribute.location.error("E00", f'"{attribute.name}" is given twice; keep one')
    attributes[attribute.name] = attribute


def _number(token: Any) -> int | float:
    text = str(token).replace("_", "")
    return float(text) if "." in text else int(text, 0) if "x" in text else int(text)


def _unquote(token: Any) -> str:
    text = str(token)
    if text.startswith("'''"):
        return text[3:-3].replace("\\'''", "'''")
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])
