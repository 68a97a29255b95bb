"""Reads the lists of a data set together: only all of them show what their labels and paths stand for."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from os.path import lexists
from pathlib import Path
from typing import NamedTuple

from hubtune.data.label_folders import compare_folders, split_path
from hubtune.data.list_files import read_split_record, split_line
from hubtune.data.list_labels import ClassLabels, class_labels, is_number
from hubtune.data.listed_paths import FoundFiles, find_files
from hubtune.data.listing import WORDS, ImageEntry
from hubtune.errors import DataError, suggest
from hubtune.storage.text_file import read_encoded_text
from hubtune.text import escaped, plural

_ORDER_CURE = (
    "the label list is in another order than the labels. Correct it, or add --labels-are numbers if it is "
    "right"
)
_LABELS_CURE = "correct the labels or the folders, or add --labels-are names if the labels are right"
_MOST_HINTED_BYTES = 2**20  # of a file that may have the names of the classes
_SAMPLE = 50
_SEVERAL_LABELS = re.compile(r"-?\d+(?:[,;]-?\d+)+")


@dataclass(frozen=True)
class Lists:
    """The pictures of a data set's lists.

    Attributes:
        labels: names of the classes.
        examples: name of each list → its pictures.
        remarks: what was taken for what, one sentence each.
        repeated: a list → a sentence about its pictures that are in an earlier list as well.
        nothing_found: a sentence if no listed file exists.
    """

    labels: list[str]
    examples: Mapping[str, list[ImageEntry]]
    remarks: list[str] = field(default_factory=list)
    repeated: Mapping[str, str] = field(default_factory=dict)
    nothing_found: str = ""


class _Row(NamedTuple):
    where: str
    path: str
    label: str


def read_lists(
    files: Mapping[str, Path],
    base: Path,
    *,
    label_file: Path | None = None,
    labels: Sequence[str] | None = None,
    encoding: str | None = None,
    labels_are: str | None = None,
) -> Lists:
    """Read lists, ``path label`` per line, and the names of their classes.

    Args:
        files: name of each list → file; ``train``, ``validate`` and ``test`` are compared with one another.
        base: the folder that relative paths start from.
        label_file: names of the classes, one per line; the number of a line, from 0, is the class's label.
        labels: the names in place of a file. Without names, the labels are the names.
        encoding: of the files, where it is not UTF-8.
        labels_are: see :func:`~hubtune.data.list_labels.class_labels`.

    Returns:
        The pictures in the order of the lines. Files that do not exist keep their written path.

    Raises:
        DataError: if a file cannot be read or understood, or the labels contradict each other or the folders,
            or a picture has two; the message names the line.
    """
    rows = {name: _read_rows(file, base, encoding) for name, file in files.items()}
    known = _class_labels(rows, files, label_file, labels, encoding, labels_are)
    found = find_files([row.path for part in rows.values() for row in part], base)
    nothing_found = _check_form(rows, found, base)
    paths = iter(found.paths)
    examples = {
        name: [ImageEntry(base / (next(paths) or row.path), known.number_of[row.label]) for row in part]
        for name, part in rows.items()
    }
    lines = _check_repeated(rows, examples, known.names)
    repeated = _overlaps(examples)
    remarks = [*known.remarks, *found.remarks, *lines, *repeated.values()]
    is_unnamed = label_file is None and labels is None
    if is_unnamed:
        remarks += _hint_at_names(known.names, base, files.values())
    if labels_are is None:
        listed = ((row.where, row.path, known.number_of[row.label]) for part in rows.values() for row in part)
        cure = _LABELS_CURE if is_unnamed else _ORDER_CURE
        remarks += compare_folders(listed, known.names, cure)
    return Lists(known.names, examples, remarks, repeated, nothing_found)


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
    return bool(lines) and all(lexists(base / (split_line(line)[0] or line)) for line in lines)


def _read_rows(file: Path, base: Path, encoding: str | None) -> list[_Row]:
    rows = []
    lines = read_lines(file, encoding, lambda text: _names_exist(text, base))
    # A label with blanks is separated by a tab; a path with a tab, in hubtune's own lists, by a blank.
    by_tab = (
        all("\t" in line for _, line in lines) and lexists(base / lines[0][1].rpartition("\t")[0])
        if lines
        else False
    )
    label_first = not by_tab and _starts_with_label([line for _, line in lines[:_SAMPLE]], base)
    for place, line in lines:
        where = f"{file}:{place}"
        path, label = line.rsplit("\t", 1) if by_tab else split_line(line)
        if label_first:
            label, _, path = line.replace("\t", " ").partition(" ")
        if not path:
            comma = " The separator is a space or a tab, not a comma." if "," in line else ""
            raise DataError(f"{where}: no label in '{escaped(line[:80])}': write `path label`.{comma}")
        if _SEVERAL_LABELS.fullmatch(label):
            raise DataError(f"{where}: several labels, {label!r}: hubtune learns one class per picture")
        rows.append(_Row(where, path, label))
    return rows


def _starts_with_label(lines: Sequence[str], base: Path) -> bool:
    """Whether labels stand before the paths: only that way do the lines name files."""
    swapped = [line.replace("\t", " ").partition(" ")[2] for line in lines]
    return (
        bool(lines)
        and all(path and lexists(base / path) for path in swapped)
        and not any(lexists(base / split_line(line)[0]) for line in lines)
    )


def _class_labels(
    rows: Mapping[str, list[_Row]],
    files: Mapping[str, Path],
    label_file: Path | None,
    labels: Sequence[str] | None,
    encoding: str | None,
    labels_are: str | None,
) -> ClassLabels:
    """Return the classes of all lists together."""
    written: dict[str, str] = {}
    for row in (row for part in rows.values() for row in part):
        written.setdefault(row.label, row.where)
    if labels is not None:
        lines: list[str] | None = [str(name) for name in labels]
    else:
        folders = {name for part in rows.values() for row in part for name in split_path(row.path)}
        lines = None if label_file is None else read_label_lines(label_file, encoding, folders)
    file = label_file or next(iter(files.values()), Path())
    own_lists = lines is not None and lines == _own_labels(file.parent)
    return class_labels(
        written,
        lines,
        file,
        labels_are=labels_are,
        lines_are_names=labels is not None or own_lists,
        own_lists=own_lists,
    )


def read_label_lines(
    file: Path, encoding: str | None = None, folders: AbstractSet[str] = frozenset()
) -> list[str]:
    """Return the lines of a label file that are not blank; names of class folders prove its encoding.

    Raises:
        DataError: if the file cannot be read, or has no line.
    """

    def is_right(text: str) -> bool:
        beyond = [line.strip() for line in text.split("\n") if not line.isascii()]
        return all(line in folders or folders & {*re.split(r"[\s:,=]+", line)} for line in beyond)

    lines = [line for _, line in read_lines(file, encoding, is_right)]
    if not lines:
        raise DataError(f"{file} names no class: write one class name a line")
    return lines


def _own_labels(folder: Path) -> list[str] | None:
    """Return the display names that ``split.json`` records for the lists beside it, in their order."""
    try:
        return [*read_split_record(folder)["classes"].values()]
    except (LookupError, AttributeError):
        return None


def _check_form(rows: Mapping[str, list[_Row]], found: FoundFiles, base: Path) -> str:
    """Refuse lines with more than a path and a label; return a sentence if no listed file exists."""
    listed = [row for part in rows.values() for row in part]
    missing = [row for row, path in zip(listed, found.paths, strict=True) if path is None]
    if not missing:
        return ""
    where, path, label = missing[0]
    first, *others = re.split(r"[,;\s]+", f"{path} {label}")
    if others and lexists(base / first):
        what, advice = (
            ("several labels", "hubtune learns one class per picture")
            if len(others) > 1
            else ("a comma between path and label", "write `path label`")
        )
        raise DataError(f"{where}: {what} ('{escaped(' '.join(others))}'): {advice}")
    if len(missing) < len(listed):
        return ""
    return (
        f"None of the {plural(len(listed), 'file')} that the lists name is there, such as '{escaped(path)}' "
        f"({Path(where).name}); paths start from {base}.{found.hint}"
    )


def _check_repeated(
    rows: Mapping[str, list[_Row]], examples: Mapping[str, list[ImageEntry]], names: Sequence[str]
) -> list[str]:
    """Refuse a picture with two labels; return a sentence about lines that repeat others of their list."""
    first: dict[str, tuple[str, int]] = {}
    remarks = []
    for name, part in rows.items():
        seen: set[str] = set()
        for row, entry in zip(part, examples[name], strict=True):
            path = os.path.normpath(entry.path)
            where, label = first.setdefault(path, (row.where, entry.label))
            if label != entry.label:
                raise DataError(
                    f"{row.where}: '{escaped(row.path)}' has the label {names[entry.label]!r}, but "
                    f"{names[label]!r} at {where}: keep the right line"
                )
            seen.add(path)
        if times := len(part) - len(seen):
            verb = "repeats" if times == 1 else "repeat"
            remarks.append(
                f"{plural(times, 'line')} of the {WORDS.get(name, name)} list {verb} earlier ones."
            )
    return remarks


def _overlaps(examples: Mapping[str, list[ImageEntry]]) -> dict[str, str]:
    """Return a sentence for each list that names pictures of an earlier one."""
    places = {name: {os.path.normpath(entry.path) for entry in part} for name, part in examples.items()}
    sentences: dict[str, str] = {}
    for later, earlier in (("validate", "train"), ("test", "train"), ("test", "validate")):
        common = places.get(later, set()) & places.get(earlier, set())
        if common and later not in sentences:
            verb = "is" if len(common) == 1 else "are"
            sentences[later] = (
                f"{len(common):,} of the {plural(len(places[later]), f'{WORDS[later]} picture')} {verb} in "
                f"the {WORDS[earlier]} list as well, such as '{escaped(Path(min(common)).name)}': the "
                f"{WORDS[later]} accuracy is not independent."
            )
    return sentences


def _hint_at_names(names: Sequence[str], base: Path, lists: Iterable[Path]) -> list[str]:
    """Name a file that may have the names of classes which are only numbers so far."""
    if not all(map(is_number, names)):
        return []
    needed, known = max(map(int, names), default=0) + 1, {*lists}
    for file in sorted(base.glob("*.txt")):
        if file not in known and file.is_file() and file.stat().st_size <= _MOST_HINTED_BYTES:
            count = sum(1 for line in file.read_bytes().splitlines() if line.strip())
            if needed <= count <= needed + 1:
                return [
                    f"The classes have numbers only. {file.name} has {plural(count, 'line')}: if these are "
                    "their names, call it label_list.txt."
                ]
    return []
