"""Reads the lists of a data set together: only all of them show what their labels and paths stand for."""

import gc
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubtune.data.label_folders import compare_folders, split_path
from hubtune.data.label_separators import hint_at_several
from hubtune.data.label_set_texts import read_label_sets
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import read_split_record
from hubtune.data.list_labels import (
    MULTI_LABEL,
    SEVERAL_CURE,
    ClassLabels,
    class_labels,
    is_number,
)
from hubtune.data.list_rows import ListRow, join_rows, read_lines, read_rows
from hubtune.data.listed_paths import FoundFiles, find_files
from hubtune.data.listing import WORDS, ImageEntry
from hubtune.data.shards.members import file_exists
from hubtune.errors import DataError
from hubtune.text import escaped, plural

_ORDER_CURE = (
    "the label list is in another order than the labels. Correct it, or add --labels-are numbers if it is "
    "right"
)
_LABELS_CURE = "correct the labels or the folders, or add --labels-are names if the labels are right"
_MOST_HINTED_BYTES = 2**20  # of a file that may have the names of the classes


@dataclass(frozen=True)
class Lists:
    """The pictures of a data set's lists.

    Attributes:
        labels: names of the classes; of multi-label lists, those of the sets of labels.
        examples: name of each list → its pictures.
        remarks: what was taken for what, one sentence each.
        repeated: a list → a sentence about its pictures that are in an earlier list as well.
        nothing_found: a sentence if no listed file exists.
        label_sets: the labels of multi-label lists, and their sets.
    """

    labels: list[str]
    examples: Mapping[str, list[ImageEntry]]
    remarks: list[str] = field(default_factory=list)
    repeated: Mapping[str, str] = field(default_factory=dict)
    nothing_found: str = ""
    label_sets: LabelSets | None = None


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
    with _without_collector():
        return _read_lists(files, base, label_file, labels, encoding, labels_are)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Switch Python's cycle collector off: with a million rows it takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_lists(
    files: Mapping[str, Path],
    base: Path,
    label_file: Path | None,
    labels: Sequence[str] | None,
    encoding: str | None,
    labels_are: str | None,
) -> Lists:
    rows = {name: read_rows(file, base, encoding) for name, file in files.items()}
    if labels_are == MULTI_LABEL:
        rows = {name: join_rows(part) for name, part in rows.items()}
    known = _class_labels(rows, files, label_file, labels, encoding, labels_are)
    found = find_files([row.path for part in rows.values() for row in part], base)
    nothing_found = _check_form(rows, found, base)
    paths = iter(found.paths)
    examples = {
        name: [ImageEntry(base / (next(paths) or row.path), known.number_of[row.label]) for row in part]
        for name, part in rows.items()
    }
    several = "" if labels_are == MULTI_LABEL else SEVERAL_CURE
    lines = _check_repeated(rows, examples, known.names, several)
    repeated = _overlaps(examples)
    remarks = [*known.remarks, *found.remarks, *lines, *repeated.values()]
    is_unnamed = label_file is None and labels is None
    if known.sets is not None:
        remarks.append(known.sets.describe(entry.label for part in examples.values() for entry in part))
    if is_unnamed:
        names = known.names if known.sets is None else known.sets.labels
        remarks += _hint_at_names(names, base, files.values())
    if labels_are is None and known.sets is None:
        listed = ((row, row.path, known.number_of[row.label]) for part in rows.values() for row in part)
        cure = _LABELS_CURE if is_unnamed else _ORDER_CURE
        remarks += compare_folders(listed, known.names, cure)
    return Lists(known.names, examples, remarks, repeated, nothing_found, known.sets)


def _class_labels(
    rows: Mapping[str, list[ListRow]],
    files: Mapping[str, Path],
    label_file: Path | None,
    labels: Sequence[str] | None,
    encoding: str | None,
    labels_are: str | None,
) -> ClassLabels:
    """Return the classes of all lists together."""
    written: dict[str, str] = {}
    for row in (row for part in rows.values() for row in part):
        if row.label not in written:
            written[row.label] = row.where
    if labels is not None:
        lines: list[str] | None = [str(name) for name in labels]
    else:
        folders = {name for part in rows.values() for row in part for name in split_path(row.path)}
        lines = None if label_file is None else read_label_lines(label_file, encoding, folders)
    file = label_file or next(iter(files.values()), Path())
    record = read_split_record(file.parent)
    own_lists = lines is not None and lines == _own_labels(record)
    is_multi_label = bool(own_lists and record.get("multi_label"))
    are_names = labels is not None or own_lists
    sets = read_label_sets(
        written, lines, file, labels_are=labels_are, lines_are_names=are_names, is_certain=is_multi_label
    )
    if sets is not None:
        return sets
    found = class_labels(
        written, lines, file, labels_are=labels_are, lines_are_names=are_names, own_lists=own_lists
    )
    if lines is None and labels_are is None:
        found.remarks.extend(hint_at_several(written, f"--labels-are {MULTI_LABEL}"))
    return found


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


def _own_labels(record: Mapping[str, Any]) -> list[str] | None:
    """Return the display names that a ``split.json`` records for the lists beside it, in their order."""
    try:
        return [*record["classes"].values()]
    except (LookupError, AttributeError):
        return None


def _check_form(rows: Mapping[str, list[ListRow]], found: FoundFiles, base: Path) -> str:
    """Refuse lines with more than a path and a label; return a sentence if no listed file exists."""
    listed = [row for part in rows.values() for row in part]
    missing = [row for row, path in zip(listed, found.paths, strict=True) if path is None]
    if not missing:
        return ""
    _, _, path, label = missing[0]
    where = missing[0].where
    first, *others = re.split(r"[,;\s]+", f"{path} {label}")
    if others and file_exists(base / first):
        what, advice = (
            ("several labels", "put a tab between path and labels, and commas between the labels")
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
    rows: Mapping[str, list[ListRow]],
    examples: Mapping[str, list[ImageEntry]],
    names: Sequence[str],
    several: str,
) -> list[str]:
    """Refuse a picture with two labels; return a sentence about lines that repeat others of their list."""
    first: dict[str, tuple[ListRow, int]] = {}
    remarks = []
    for name, part in rows.items():
        seen: set[str] = set()
        for row, entry in zip(part, examples[name], strict=True):
            path = _normal(entry.path)
            earlier, label = first.setdefault(path, (row, entry.label))
            if label != entry.label:
                raise DataError(
                    f"{row.where}: '{escaped(row.path)}' has the label {names[entry.label]!r}, but "
                    f"{names[label]!r} at {earlier.where}: keep the right line{several}"
                )
            seen.add(path)
        if times := len(part) - len(seen):
            verb, words = "repeats" if times == 1 else "repeat", WORDS.get(name, name)
            remarks.append(f"{plural(times, 'line')} of the {words} list {verb} earlier ones.")
    return remarks


def _normal(path: Path) -> str:
    """Return a path without ``..``; all else a ``Path`` leaves out by itself, and normalizing is slow."""
    text = str(path)
    return os.path.normpath(text) if ".." in text else text


def _overlaps(examples: Mapping[str, list[ImageEntry]]) -> dict[str, str]:
    """Return a sentence for each list that names pictures of an earlier one."""
    places = {name: {_normal(entry.path) for entry in part} for name, part in examples.items()}
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
