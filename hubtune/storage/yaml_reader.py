"""Strict YAML with positions and all mistakes at once: for recipes, module descriptions and configurations.

Only PyYAML's parser is used, whose events are text and structure. Nothing is constructed, so no tag can run
code. Aliases are read only for other programs' files, and cannot grow. ``yaml.compose()`` would not do: it
resolves aliases, stops at the first mistake, and takes longer (5.4 s against 3.3 s for a file of the largest
size that is read).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hubtune.errors import RecipeError
from hubtune.storage.regular_file import read_regular
from hubtune.storage.yaml_syntax import Position, explain_syntax, position_of
from hubtune.text import escaped, shortened

KeyPath = tuple[str | int, ...]
"""The keys, and the indices in lists, that lead to a value."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 16
MAX_PROBLEMS = 100
MAX_VALUES = 100_000
"""Values that a text may have once its aliases are written out."""
MORE = f"there may be more mistakes: these are the first {MAX_PROBLEMS}"

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
# Python refuses integers of many thousand digits; longer ones than here become floats. `012` is octal in YAML
# 1.1 and decimal in 1.2, so here it is text.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Problem(NamedTuple):
    position: Position
    text: str


@dataclass
class YamlDocument:
    """The content of a YAML text, with positions of keys and values, and its mistakes in order of place."""

    data: Any = None  # dicts with text keys, lists, text, numbers, booleans and None
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)  # under (): of the document, if not empty
    refused: set[KeyPath] = field(default_factory=set)  # values that were not read because of a problem
    problems: list[Problem] = field(default_factory=list)
    complete: bool = False  # whether the text was read to its end; if not, data is only a part of it


def plain_value(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted scalar under the core schema of YAML 1.2.

    Example:
        >>> plain_value("1e-3"), plain_value("no"), plain_value("12:30"), plain_value("~")
        (0.001, 'no', '12:30', None)
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return float("nan") if match[1] is None else float(f"{match[1]}inf")
    return text


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 of at most a million bytes.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file, or it is a folder.
        RecipeError: it is not such a text, or cannot be read.
    """
    source = escaped(str(path))
    try:
        content = read_regular(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        raise FileNotFoundError(source) from None
    except IsADirectoryError:
        raise
    except OSError as error:
        raise RecipeError([f"{source}: this file cannot be read: {error.strerror}"]) from error
    if b"\0" in content:
        raise RecipeError([f"{source}: this is not a text file; save it as text in UTF-8"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError([f"{source}:{line}: this line is not UTF-8; save the file as UTF-8"]) from None


def read_yaml(path: Path, *, aliases: bool = False) -> YamlDocument:
    """Read a file that holds one YAML document; ``aliases`` as for :func:`parse_yaml`.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file, or it is a folder.
        RecipeError: it cannot be read, or has mistakes; the error lists all of them.
    """
    document = parse_yaml(read_text(path), aliases=aliases)
    if document.problems:
        source = escaped(str(path))
        raise RecipeError([f"{source}:{at.line}:{at.column}: {text}" for at, text in document.problems])
    return document


def parse_yaml(text: str, *, aliases: bool = False) -> YamlDocument:
    """Read one YAML document. Mistakes are collected in the result and never raised.

    With ``aliases``, ``*name`` stands for the value at ``&name``; otherwise both are mistakes.

    Example:
        >>> parse_yaml("train: {epochs: 5}").data
        {'train': {'epochs': 5}}
    """
    document = YamlDocument()
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        lines = _BREAK.split(text[: error.position])
        reason = f"the character U+{ord(text[error.position]):04X} cannot stand here: remove it"
        document.problems.append(Problem(Position(len(lines), len(lines[-1]) + 1), reason))
        return document
    try:
        _Reader(loader, document, aliases=aliases).read()
        document.complete = True
    except yaml.MarkedYAMLError as error:
        document.problems.append(Problem(*explain_syntax(error)))
    except (ValueError, OverflowError):  # PyYAML raises them for "\UFFFFFFFF" and %YAML 1.<5,000 digits>
        reason = "this number or escape has no meaning: remove it"
        document.problems.append(Problem(position_of(loader.get_mark()), reason))
    except _StopReading:
        pass
    finally:
        loader.dispose()
    document.problems.sort(key=lambda problem: problem.position)
    return document


class _StopReading(Exception):
    """The rest of the text is not worth reading."""


class _Anchored(NamedTuple):
    value: Any
    size: int  # number of values in it, itself included
    levels: int  # of lists and sections


class _Reader:
    """Builds a document from the parser's events, by recursive descent of at most ``MAX_DEPTH`` levels.

    A path of ``None`` marks content that is parsed for its mistakes only. A list or mapping is stored before
    it is filled, so that a document that ends early keeps what was read.
    """

    def __init__(self, loader: yaml.SafeLoader, document: YamlDocument, *, aliases: bool) -> None:
        self._loader = loader
        self._document = document
        self._aliases = aliases
        self._anchored: dict[str, _Anchored] = {}  # complete values by anchor
        self._values = 0

    def read(self) -> None:
        documents = 0
        while self._loader.check_event():
            event = self._next_event()
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document starts here: remove it, from '---' on")
                    raise _StopReading
            elif isinstance(event, yaml.NodeEvent):
                self._document.data = self._begin_value(event, (), 0)
                self._fill(event, self._document.data, (), 1)

    def _next_event(self) -> yaml.Event:
        event = self._loader.get_event()
        if len(self._document.problems) >= MAX_PROBLEMS:
            self._refuse(event, MORE)
            raise _StopReading
        if isinstance(event, yaml.NodeEvent):
            self._check_properties(event)
        return event

    def _refuse(self, event: yaml.Event, text: str) -> None:
        self._document.problems.append(Problem(position_of(event.start_mark), text))

    def _check_properties(self, event: yaml.NodeEvent) -> None:
        name = shortened(event.anchor or "")
        if self._aliases and isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                self._refuse(event, f"there is no complete value with the anchor &{name} before this")
            return
        if isinstance(event, yaml.AliasEvent):
            self._refuse(
                event,
                f"aliases (*{name}) are not allowed here: write the value out, "
                f"or put it in quotes if it is text: '*{name}'",
            )
            return
        if event.anchor is not None and not self._aliases:
            self._refuse(event, f"anchors (&{name}) are not allowed here: remove it")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(event, f"tags ({shortened(tag)}) are not allowed here: remove it")

    def _begin_value(self, event: yaml.Event, path: KeyPath | None, depth: int) -> Any:
        value: Any = None
        size = 1
        if isinstance(event, yaml.AliasEvent) and event.anchor in self._anchored:
            value, size, levels = self._anchored[event.anchor]
            depth += levels
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        elif isinstance(event, yaml.ScalarEvent) and self._is_text(event):
            value = plain_value(event.value) if event.style is None else event.value
        elif path is not None:
            self._document.refused.add(path)
        if path is not None:
            self._document.values[path] = position_of(event.start_mark)
        if depth > MAX_DEPTH:
            self._refuse(event, f"lists and sections are nested more than {MAX_DEPTH} deep here")
            raise _StopReading
        self._values += size
        if self._values > MAX_VALUES:
            self._refuse(event, f"with its aliases, this text has more than {MAX_VALUES:,} values")
            raise _StopReading
        return value

    def _fill(self, start: yaml.Event, value: Any, path: KeyPath | None, depth: int) -> None:
        """Read what belongs to a value that ``start`` began."""
        before = self._values
        if isinstance(start, yaml.CollectionStartEvent):
            self._fill_collection(value, path, depth)
        anchor = getattr(start, "anchor", None)
        if self._aliases and anchor is not None and not isinstance(start, yaml.AliasEvent):
            self._anchored[anchor] = _Anchored(value, 1 + self._values - before, _count_levels(value))

    def _fill_collection(self, value: Any, path: KeyPath | None, depth: int) -> None:
        while not isinstance(event := self._next_event(), yaml.CollectionEndEvent):
            key: str | int | None = len(value)
            if isinstance(value, dict):
                key = self._read_key(event, value, path, depth)
                event = self._next_event()
            inner = None if path is None or key is None else (*path, key)
            item = self._begin_value(event, inner, depth)
            if isinstance(value, list):
                value.append(item)
            elif key is not None:
                value[key] = item
            self._fill(event, item, inner, depth + 1)

    def _read_key(
        self, event: yaml.Event, mapping: dict[str, Any], path: KeyPath | None, depth: int
    ) -> str | None:
        if isinstance(event, yaml.CollectionStartEvent):
            self._refuse(event, "a key is one word, and this is a list or a section: put it in quotes")
            self._fill_collection([], None, depth + 1)
        elif isinstance(event, yaml.ScalarEvent) and self._is_text(event):
            name = event.value
            if name == "<<" and event.style is None:
                self._refuse(event, "merge keys (<<) are not allowed here: write the keys out")
            elif name in mapping:
                first = self._document.keys.get((*path, name)) if path is not None else None
                line = f" (first on line {first.line})" if first else ""
                self._refuse(event, f"the key '{shortened(name)}' is given twice{line}: keep one")
            else:
                if path is not None:
                    self._document.keys[(*path, name)] = position_of(event.start_mark)
                return str(name)
        return None

    def _is_text(self, event: yaml.ScalarEvent) -> bool:
        whole = not any("\ud800" <= character <= "\udfff" for character in event.value)
        if not whole:
            self._refuse(event, "an escape in this text stands for half a character: remove it")
        return whole


def _count_levels(value: Any) -> int:
    """Return how deep lists and sections are nested in a value; 0 for a scalar."""
    if not isinstance(value, dict | list):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_count_levels, items), default=0)
