"""Finds the columns of a table: by the names that people give them, and by what is in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hubtune.data.listed_paths import find_files
from hubtune.data.listing import PART_OF_WORD
from hubtune.errors import DataError, suggest
from hubtune.text import escaped, first_few

# By meaning, the names that columns have, the most certain ones first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": (
        "path paths filepath filepaths file_path img_path image_path filename filenames file_name file",
        "image images img image_file image_name img_name image_id imageid picture photo "
        "图片 图像 文件名 路径",
        "name names id",
    ),
    "label": (
        "label labels class classes class_name classname label_name category categories target cats",
        "标签 类别 species breed diagnosis class_id classid label_id category_id lbl",
        "tags tag attributes attribute",
    ),
    "group": ("group group_id patient patient_id subject subject_id",),
    "split": ("split part set subset partition data_set dataset",),
}
REQUIRED = ("path", "label")
_SAMPLE = 50


class ColumnError(DataError):
    """A table has no column of the requested name."""


def has_column_names(header: Sequence[str]) -> bool:
    """Whether the first line of a table names columns with paths and with labels."""
    names = {_plain(name) for name in header}
    return all(names.intersection(" ".join(_NAMES[meaning][:2]).split()) for meaning in REQUIRED)


def find_columns(
    file: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    named: Mapping[str, str],
) -> dict[str, int]:
    """Return the place of each column by its meaning: ``path``, ``label``, ``group``, ``split``.

    Of columns that may have the paths, the one called so is taken, or the one whose files exist. Columns that
    may have the labels must divide the rows in the same way; names are preferred to numbers then.

    Args:
        file: the table; paths start from its folder.
        header: the names of the columns.
        rows: the other lines, for example the first thousand.
        named: meaning → column, by name or by number from 1, where a person said it.

    Raises:
        ColumnError: if there is no column that a person named.
        DataError: if a required one is missing, or two columns fit.
    """
    found = {meaning: find_column(file, header, column) for meaning, column in named.items()}
    for meaning in _NAMES:
        if meaning not in found and (number := _choose(file, header, rows, meaning)) is not None:
            found[meaning] = number
    for meaning in REQUIRED:
        if meaning not in found:
            raise _missing(file, header, meaning, "path=NAME,label=NAME", "path=1,label=2")
    return found


def find_path_column(
    file: Path, header: Sequence[str], rows: Sequence[Sequence[str]], column: str | None = None
) -> int:
    """Return the place of the column with the paths; arguments and errors are those of :func:`find_columns`.

    ``column`` is the one that a person named.
    """
    if column is not None:
        return find_column(file, header, column)
    if (number := _choose(file, header, rows, "path")) is None:
        raise _missing(file, header, "path", "path=NAME", "path=1")
    return number


def _choose(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]], meaning: str) -> int | None:
    """Return the place of the column of a meaning, ``None`` without any; a DataError if two columns fit."""
    fitting = _fitting(file, header, rows, meaning)
    if len(fitting) > 1:
        both = " and ".join(f"'{escaped(header[number])}'" for number in fitting[:3])
        options = " or ".join(f"--column {meaning}={header[number]}" for number in fitting[:3])
        raise DataError(f"{file}: the columns {both} may be the {meaning}: say which, {options}")
    return fitting[0] if fitting else None


def _missing(file: Path, header: Sequence[str], meaning: str, names: str, numbers: str) -> DataError:
    known = first_few([f"'{escaped(name)}'" for name in header], 10) or "nothing"
    return DataError(
        f"{file}: no column {meaning!r} in the first line, which names {known}: say which with "
        f"--column {names}, or --column {numbers} if the first line is a picture's"
    )


def unnamed_columns(header: Sequence[str]) -> list[int]:
    """Return the columns that have no known name; none if there is a column of labels."""
    names = [_plain(name) for name in header]
    known = {meaning: {*" ".join(groups).split()} for meaning, groups in _NAMES.items()}
    if known["label"].intersection(names):
        return []
    return [n for n, name in enumerate(names) if not any(name in words for words in known.values())]


def is_column_number(column: str, header: Sequence[str]) -> bool:
    """Whether a person named columns by numbers, as of a table without a line of names: ``2`` or ``2+3``."""
    return column not in header and all(part.isdecimal() for part in column.split("+"))


def find_column(file: Path, header: Sequence[str], column: str) -> int:
    """Return the place of the column that a person named, in any case, or counted from 1.

    Raises:
        ColumnError: if there is none.
        DataError: if there are several.
    """
    if column.isdecimal() and column not in header and 0 < int(column) <= len(header):
        return int(column) - 1
    exact = [number for number, name in enumerate(header) if name == column]
    fitting = exact or [number for number, name in enumerate(header) if _plain(name) == _plain(column)]
    if not fitting:
        known = first_few([f"'{escaped(name)}'" for name in header], 10)
        raise ColumnError(f"{file} has no column '{escaped(column)}', but {known}.{suggest(column, header)}")
    if len(fitting) > 1:
        raise DataError(f"{file} has {len(fitting)} columns '{escaped(column)}': call them differently")
    return fitting[0]


def _fitting(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]], meaning: str) -> list[int]:
    """Return the columns that may have a meaning; several if nothing tells which."""
    names = [_plain(name) for name in header]
    groups = [
        [number for number, name in enumerate(names) if name in words.split()] for words in _NAMES[meaning]
    ]
    likely = next(filter(None, groups), [])
    fitting = likely if meaning == "label" else [number for group in groups for number in group]
    exact = [number for number in fitting if names[number] == meaning]
    if exact and meaning != "label":
        return exact
    cells = {number: [row[number].strip(" \t") for row in rows if number < len(row)] for number in fitting}
    if meaning == "path" and len(fitting) > 1:
        return _existing(cells, file.parent) or likely
    if meaning == "label":
        partitions = {_partition(values): number for number, values in reversed(cells.items())}
        words = [number for number, values in cells.items() if not all(map(str.isdecimal, values))]
        return sorted(partitions.values()) if len(partitions) > 1 else (words or fitting)[:1]
    if meaning == "split":
        return [n for n, values in cells.items() if any(cell.casefold() in PART_OF_WORD for cell in values)]
    return fitting


def _existing(cells: Mapping[int, Sequence[str]], folder: Path) -> list[int]:
    """Return the columns that name existing files; of those that name the same ones, the first."""
    first: dict[tuple[str | None, ...], int] = {}
    for number, values in cells.items():
        sample = values[:: max(1, len(values) // _SAMPLE)]
        paths = find_files(sample, folder).paths
        if sample and all(path is not None and (folder / path).is_file() for path in paths):
            first.setdefault(tuple(paths), number)
    return [*first.values()]


def _partition(values: Sequence[str]) -> tuple[int, ...]:
    """Return for each value the place where it first appears: equal for columns that group rows alike."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(value, place) for place, value in enumerate(values))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_")
