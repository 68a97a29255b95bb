"""Reads YAML strictly: plain data only, with the place of every key and value, and all mistakes at once.

Only PyYAML's parser is used, whose events are text and structure. Nothing is ever constructed, so no tag can
run code and no alias can grow; the parser keeps its state in a list, so no nesting can exhaust the stack.
"""

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hubtune.errors import RecipeError
from hubtune.text import escaped, shortened

KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys, and the indices in lists, that lead to it."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 16
MAX_PROBLEMS = 100
MORE = f"there may be more mistakes: these are the first {MAX_PROBLEMS}"

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
# Python reads no integer of many thousand digits; longer ones than here are floats. `012` is octal in YAML
# 1.1 and decimal in 1.2, so it is neither here.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
_OCTAL = re.compile(r"0o[0-7]{1,300}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Position(NamedTuple):
    """A place in a text, counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """A mistake and where it is."""

    position: Position
    text: str


@dataclass
class Document:
    """What a text says, and where.

    Attributes:
        data: dicts with text keys, lists, text, numbers, booleans and None.
        keys: the position of each key.
        values: the position of each value; the whole document's is under ``()``, and missing if it is empty.
        refused: paths of values that were not read, since a problem names them.
        problems: the mistakes, in order of place.
        complete: whether the text was read to its end; if not, `data` is only a part.
    """

    data: Any = None
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)
    refused: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    complete: bool = False


def plain_value(text: str) -> bool | int | float | str | None:
    """Read an unquoted scalar by the core schema of YAML 1.2.

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
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return float("nan") if match[1] is None else float(f"{match[1]}inf")
    return text


def read_text(path: Path) -> str:
    """Read a file that must be text of at most a million bytes, in UTF-8.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        RecipeError: it is no such text, or cannot be read.
    """
    source = escaped(str(path))
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(source)
        if not stat.S_ISREG(status.st_mode):
            raise RecipeError([f"{source}: this is a device or a pipe, and must be a file"])
        if status.st_size > MAX_BYTES:
            raise RecipeError(
                [f"{source}: this file has {status.st_size:,} bytes, and may have at most {MAX_BYTES:,}"]
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
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


def read_yaml(path: Path) -> Document:
    """Read a file that is one YAML document.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        RecipeError: it cannot be read, or has mistakes; all of them are in it.
    """
    document = parse_yaml(read_text(path))
    if document.problems:
        source = escaped(str(path))
        raise RecipeError([f"{source}:{at.line}:{at.column}: {text}" for at, text in document.problems])
    return document


def parse_yaml(text: str) -> Document:
    """Read one YAML document. Mistakes are collected in the result; nothing is raised for them.

    Example:
        >>> parse_yaml("train: {epochs: 5}").data
        {'train': {'epochs': 5}}
    """
    reader = _Reader()
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        lines = _BREAK.split(text[: error.position])
        place = Position(len(lines), len(lines[-1]) + 1)
        reader.refuse(place, f"the character U+{ord(text[error.position]):04X} cannot stand here: remove it")
        return reader.document
    try:
        while loader.check_event():
            reader.take(loader.get_event())
        reader.document.complete = True
    except yaml.MarkedYAMLError as error:
        reader.refuse(*_syntax_mistake(error))
    except (ValueError, OverflowError):  # PyYAML's way with "\UFFFFFFFF" and with %YAML 1.<5,000 digits>
        reader.refuse(_position(loader.get_mark()), "this number or escape has no meaning: remove it")
    except _StopReading:
        pass
    finally:
        loader.dispose()
    reader.document.problems.sort(key=lambda problem: problem.position)
    return reader.document


class _StopReading(Exception):
    """There is no use in reading on."""


@dataclass
class _Open:
    """A list or mapping whose end has not been reached; without a path where its content is not wanted."""

    content: dict[str, Any] | list[Any]
    path: KeyPath | None
    key: str | None = None
    keep: bool = True


class _Reader:
    """Builds the document from the parser's events."""

    def __init__(self) -> None:
        self.document = Document()
        self._open: list[_Open] = []
        self._documents = 0

    def refuse(self, position: Position, text: str) -> None:
        """Note a mistake."""
        self.document.problems.append(Problem(position, text))

    def take(self, event: yaml.Event) -> None:
        """Take the next event in.

        Raises:
            _StopReading: a mistake was noted after which there is no use in reading on.
        """
        position = _position(event.start_mark)
        if len(self.document.problems) >= MAX_PROBLEMS:
            self.refuse(position, MORE)
            raise _StopReading
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.refuse(position, "a second document starts here: remove it, from '---' on")
                raise _StopReading
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            if not self._open:
                self.document.data = closed.content
        elif isinstance(event, yaml.NodeEvent):
            self._check_properties(event, position)
            self._take_node(event, position)

    def _check_properties(self, event: yaml.NodeEvent, position: Position) -> None:
        name = shortened(event.anchor or "")
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                position,
                f"aliases (*{name}) are not allowed here: write the value out, "
                f"or put it in quotes if it is text: '*{name}'",
            )
            return
        if event.anchor is not None:
            self.refuse(position, f"anchors (&{name}) are not allowed here: remove it")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.refuse(position, f"tags ({shortened(tag)}) are not allowed here: remove it")

    def _take_node(self, event: yaml.NodeEvent, position: Position) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.content, dict) and parent.key is None:
            self._take_key(parent, event, position)
            return
        path = self._path_in(parent)
        value: Any = None
        if isinstance(event, yaml.CollectionStartEvent):
            value = self._start(event, position, path)
        elif isinstance(event, yaml.ScalarEvent) and self._is_text(event, position):
            value = plain_value(event.value) if event.style is None else event.value
        elif path is not None:
            self.document.refused.add(path)
        if path is not None:
            self.document.values[path] = position
        if parent is None:
            self.document.data = value
        elif isinstance(parent.content, list):
            parent.content.append(value)
        else:
            if parent.keep and parent.key is not None:
                parent.content[parent.key] = value
            parent.key = None

    def _take_key(self, parent: _Open, event: yaml.NodeEvent, position: Position) -> None:
        parent.key, parent.keep = "", False
        if isinstance(event, yaml.CollectionStartEvent):
            self.refuse(position, "a key is one word, and this is a list or a section: put it in quotes")
            # What it holds is read as a list that nobody wants; the value of the key comes after it.
            self._open.append(_Open([], None))
        elif isinstance(event, yaml.ScalarEvent) and self._is_text(event, position):
            name = event.value
            if name == "<<" and event.style is None:
                self.refuse(position, "merge keys (<<) are not allowed here: write the keys out")
            elif name in parent.content:
                first = self.document.keys.get((*parent.path, name)) if parent.path is not None else None
                line = f" (first on line {first.line})" if first else ""
                self.refuse(position, f"the key '{shortened(name)}' is given twice{line}: keep one")
            else:
                parent.key, parent.keep = name, True
                if parent.path is not None:
                    self.document.keys[(*parent.path, name)] = position

    def _path_in(self, parent: _Open | None) -> KeyPath | None:
        if parent is None:
            return ()
        if parent.path is None or not parent.keep:
            return None
        if isinstance(parent.content, list):
            return (*parent.path, len(parent.content))
        return (*parent.path, parent.key or "")

    def _start(self, event: yaml.NodeEvent, position: Position, path: KeyPath | None) -> Any:
        if len(self._open) >= MAX_DEPTH:
            self.refuse(position, f"lists and sections are nested more than {MAX_DEPTH} deep here")
            raise _StopReading
        content: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Open(content, path))
        return content

    def _is_text(self, event: yaml.ScalarEvent, position: Position) -> bool:
        whole = not any("\ud800" <= character <= "\udfff" for character in event.value)
        if not whole:
            self.refuse(position, "an escape in this text stands for half a character: remove it")
        return whole


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


# What PyYAML says, and what a person can do about it; the first that fits either of its two sentences. True:
# the mistake is where the thing began that the parser could not finish, not where it noticed.
_SYNTAX = (
    (r"character '\\t'", False, "a tab cannot stand here: indent with spaces"),
    (
        r"found character (?P<what>'.+') that cannot start",
        False,
        "text cannot start with {what} here: put it in quotes",
    ),
    (r"could not find expected ':'", True, "expected a key, a colon and a space here, as in 'epochs: 5'"),
    (
        r"mapping values are not allowed",
        False,
        "this colon cannot stand here: put text with ': ' in quotes, and begin each key on its own line",
    ),
    (
        r"sequence entries are not allowed",
        False,
        "a list item ('- ') cannot stand here: begin it on its own line",
    ),
    (r"mapping keys are not allowed", False, "text cannot start with '? ' here: put it in quotes"),
    (
        r"unexpected end of stream|unexpected document separator",
        True,
        "expected a closing quote: this text is never closed",
    ),
    (
        r"unknown escape|escape sequence of|URI escape",
        False,
        "in double quotes a backslash begins an escape: take single quotes, or double it",
    ),
    (r"scanning an? (alias|anchor)", True, "text cannot start with '*' or '&': put it in quotes, as in '*'"),
    (
        r"(scanning|parsing) a (tag|directive)|tag handle",
        True,
        "text cannot start with '!' or '%': put it in quotes",
    ),
    (
        r"YAML directive|incompatible YAML",
        False,
        "lines that start with '%' are not allowed here: remove it",
    ),
    (r"scanning a block scalar", True, "text cannot start with '|' or '>': put it in quotes"),
    (r"expected ',' or '(?P<what>[\]}])'", False, "expected ',' or '{what}' here"),
    (r"parsing a block mapping", False, "expected 'key: value' here, as far in as the keys above it"),
    (r"parsing a block collection", False, "expected '- ' here, as far in as the items above it"),
    (r"expected the node content", False, "expected a value here"),
    (r"expected '<document start>'", False, "expected 'key: value' here, at the start of the line"),
)


def _syntax_mistake(error: yaml.MarkedYAMLError) -> tuple[Position, str]:
    said = f"{error.context} {error.problem}"
    for pattern, at_start, sentence in _SYNTAX:
        if match := re.search(pattern, said):
            mark = error.context_mark if at_start and error.context_mark else error.problem_mark
            return _position(mark), sentence.format(**match.groupdict())
    return _position(error.problem_mark), escaped(said)
