"""Explains YAML's syntax errors: where they are, and what to do."""

import re
from typing import Any, NamedTuple

import yaml

from hubtune.text import escaped


class Position(NamedTuple):
    """A place in a text; line and column count from 1."""

    line: int
    column: int


def position_of(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


# Patterns in PyYAML's messages, and what a person can do; the first match wins. With "@", the start of the
# construct that the parser could not finish is reported, not the place where it noticed.
_SYNTAX = (
    (r"character '\\t'", "a tab cannot stand here: indent with spaces"),
    (r"found character (?P<what>'.+') that", "text cannot start with {what} here: put it in quotes"),
    (r"@could not find expected ':'", "expected a key, a colon and a space here, as in 'epochs: 5'"),
    (
        r"mapping values are not allowed",
        "this colon cannot stand here: put text with ': ' in quotes, and begin each key on its own line",
    ),
    (r"sequence entries are not allowed", "a list item ('- ') cannot stand here: begin it on its own line"),
    (r"mapping keys are not allowed", "text cannot start with '? ' here: put it in quotes"),
    (
        r"@unexpected end of stream|unexpected document separator",
        "expected a closing quote: this text is never closed",
    ),
    (
        r"unknown escape|escape sequence of|URI escape",
        "in double quotes a backslash begins an escape: take single quotes, or double it",
    ),
    (r"@scanning an? (alias|anchor)", "text cannot start with '*' or '&': put it in quotes, as in '*'"),
    (
        r"@(scanning|parsing) a (tag|directive)|tag handle",
        "text cannot start with '!' or '%': put it in quotes",
    ),
    (r"YAML directive|incompatible YAML", "lines that start with '%' are not allowed here: remove it"),
    (r"@scanning a block scalar", "text cannot start with '|' or '>': put it in quotes"),
    (r"expected ',' or '(?P<what>[\]}])'", "expected ',' or '{what}' here"),
    (r"parsing a block mapping", "expected 'key: value' here, as far in as the keys above it"),
    (r"parsing a block collection", "expected '- ' here, as far in as the items above it"),
    (r"expected the node content", "expected a value here"),
    (r"expected '<document start>'", "expected 'key: value' here, at the start of the line"),
)


def explain_syntax(error: yaml.MarkedYAMLError) -> tuple[Position, str]:
    """Return the place of a syntax error, and a sentence about it."""
    message = f"{error.context} {error.problem}"
    for pattern, sentence in _SYNTAX:
        if match := re.search(pattern.removeprefix("@"), message):
            at_start = pattern.startswith("@") and error.context_mark
            mark = error.context_mark if at_start else error.problem_mark
            return position_of(mark), sentence.format(**match.groupdict())
    return position_of(error.problem_mark), escaped(message)
