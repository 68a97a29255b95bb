"""Reads one list: its lines as rows of a path and a label."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hubtune.data.list_files import split_line
from hubtune.data.listed_paths import find_files
from hubtune.data.shards.members import file_exists
from hubtune.errors import DataError, suggest
from hubtune.storage.text_file import read_encoded_text
from hubtune.text import escaped

_SAMPLE = 50


class ListRow(NamedTuple):
    """A line of a list: its file and its number from 1, the path, and the label as it is written."""

    file: Path
    place: int
    path: str
    label: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.place}"

    def __str__(self) -> str:
        return self.where


def read_lines(
    file: Path, encoding: str | None = None, is_right: Callable[[str], bool] | None = None
) -> list[tuple[int, str]]:
    """Return the lines of a file that are not blank, each with its number from 1.

    Args:
        encoding: of the file, where it is not UTF-8.
        is_right: see :func:`~hubtune.storage.text_file.read_encoded_text`.

    Raises:
        DataError: if the file cannot be read, or its encoding is not certain.
    """
    try:
        text = read_encoded_text(file, encoding=encoding, is_right=is_right)
    except FileNotFoundError as error:
        near = suggest(file.name, [other.name for other in file.parent.glob("*.txt")])
        raise DataError(
            f"There is no {file}.{near} `hubtune split` makes the lists from folders of pictures."
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    # Only line feeds separate lines: a file name may contain any other separator of Unicode.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [(place, line) for place, line in enumerate(lines, start=1) if line.strip(" \t")]


def read_paths(file: Path, base: Path, encoding: str | None = None) -> list[Path]:
    """Return the paths of a list, whose lines may have labels; those that do not exist as they are written.

    Raises:
        DataError: if the file cannot be read.
    """
    lines = [line for _, line in read_lines(file, encoding, lambda text: _names_exist(text, base))]
    unlabelled = find_files(lines, base).paths
    written = [
        line if path else split_line(line)[0] or line for line, path in zip(lines, unlabelled, strict=True)
    ]
    found = find_files(written, base).paths
    return [base / (path or line) for path, line in zip(found, written, strict=True)]


def _names_exist(text: str, base: Path) -> bool:
    """Whether the first hundred lines beyond ASCII name existing files: proof of a list's encoding."""
    lines = [line.rstrip("\r") for line in text.split("\n") if not line.isascii()][:100]
    return bool(lines) and all(file_exists(base / (split_line(line)[0] or line)) for line in lines)


def read_rows(file: Path, base: Path, encoding: str | None) -> list[ListRow]:
    """Return the rows of a list; a DataError names a line without a path or a label.

    The label stands behind the path, or before it if only that names files.
    """
    rows = []
    lines = read_lines(file, encoding, lambda text: _names_exist(text, base))
    # A label with blanks is separated by a tab; a path with a tab, in hubtune's own lists, by a blank.
    by_tab = (
        all("\t" in line for _, line in lines) and file_exists(base / lines[0][1].rpartition("\t")[0])
        if lines
        else False
    )
    label_first = not by_tab and _starts_with_label([line for _, line in lines[:_SAMPLE]], base)
    for place, line in lines:
        path, label = line.rsplit("\t", 1) if by_tab else split_line(line)
        if label_first:
            label, _, path = line.replace("\t", " ").partition(" ")
        if not path:
            comma = " The separator is a space or a tab, not a comma." if "," in line else ""
            raise DataError(f"{file}:{place}: no label in '{escaped(line[:80])}': write `path label`.{comma}")
        rows.append(ListRow(file, place, path, sys.intern(label)))
    return rows


def join_rows(rows: Sequence[ListRow]) -> list[ListRow]:
    """Join the lines of an image, each of which has other labels, by commas."""
    joined: dict[str, ListRow] = {}
    for row in rows:
        first = joined.setdefault(row.path, row)
        if row.label != first.label:
            joined[row.path] = first._replace(label=sys.intern(f"{first.label},{row.label}"))
    return [*joined.values()]


def _starts_with_label(lines: Sequence[str], base: Path) -> bool:
    """Whether labels stand before the paths: only that way do the lines name files."""
    swapped = [line.replace("\t", " ").partition(" ")[2] for line in lines]
    return (
        bool(lines)
        and all(path and file_exists(base / path) for path in swapped)
        and not any(file_exists(base / split_line(line)[0]) for line in lines)
    )
