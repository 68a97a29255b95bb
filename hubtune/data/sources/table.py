"""Tables of images: CSV or TSV with a path and a label per row, and perhaps a group and a part."""

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os.path import isfile
from pathlib import Path
from types import MappingProxyType

from hubtune.data.listing import PART_OF_WORD, Excluded, Listing, SourceFile, name_key
from hubtune.errors import DataError, suggest
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular
from hubtune.text import escaped, first_few, plural

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})

# The first name of a column is hubtune's own; in a table that has it, the others mean something else.
_COLUMNS = {
    "path": ("path", "filename", "file_name", "file", "filepath", "file_path", "image", "image_path", "img"),
    "label": ("label", "class", "target", "category", "class_name", "label_name"),
    "group": ("group", "group_id", "patient", "patient_id", "subject", "subject_id"),
    "split": ("split", "part", "set", "subset", "partition"),
}
# Further names of a column of paths, where nothing else in a table is needed.
_OTHER_PATH_COLUMNS = (
    "img_path image_file image_name img_name image_id imageid images name id 图片 文件名 路径"
)
_DELIMITERS = (",", ";", "\t")
NOTHING: Mapping[str, str] = MappingProxyType({})


class ColumnError(DataError):
    """A table has no column of the requested name."""


def read_table(
    file: Path, *, closed: bool = False, absent: Mapping[str, str] = NOTHING, group_column: str | None = None
) -> Listing:
    """Read a table whose first line names its columns.

    The columns ``path`` (or ``filename``, ``image``, …) and ``label`` (``class``, ``target``, …) are
    required, ``group`` (``patient_id``, …) and ``split`` (``part``, …) are optional; case does not matter.
    The fields are separated by commas, semicolons or tabs and quoted as the :mod:`csv` module reads them; the
    text is UTF-8. Paths start from the table's folder. No image is opened. The classes are sorted by name, or
    by number if all are numbers.

    Args:
        closed: whether paths must stay in the table's folder, as those of a foreign table must.
        absent: names of files that are missing, and why; they are left out.
        group_column: the column with the groups of images, in any case; in place of ``group``.

    Raises:
        ColumnError: if there is no such column; the message names the existing ones.
        DataError: if the table cannot be read, lacks a column, or a row is wrong; the message has the line.
    """
    rows = Rows(file.parent, closed=closed, absent=absent)
    for where, cells in _cells(file, group_column):
        word = cells.get("split", "")
        part = PART_OF_WORD.get(word.casefold())
        if word and part is None:
            near = suggest(word, PART_OF_WORD)
            raise DataError(f"{where}: unknown split {word!r}: write train, validate or test.{near}")
        rows.add(where, cells["path"], cells["label"], cells.get("group") or None, part)
    return rows.listing(file)


def named_files(file: Path) -> list[str]:
    """Return the files that a table names, with ``/``, each once, whether they exist or not."""
    return list({posixpath.normpath(cells["path"].replace("\\", "/")): None for _, cells in _cells(file)})


def read_table_paths(file: Path, column: str | None = None) -> list[Path]:
    """Return the files in a table's column of paths, in the order of the rows; other columns are ignored.

    The table is read as by :func:`read_table`; ``image_id``, ``id`` and others may name the column as well.
    A first line in which one field is an existing file names no columns.

    Args:
        column: the column with the paths, in any case.

    Raises:
        ColumnError: if there is no such column, or none or several that may have the paths.
        DataError: if the table cannot be read, or a row has no path.
    """
    records = [*_records(file)]
    header = records[0][1] if records else []
    # Path.is_file() raises where a field is longer than names may be.
    existing = [number for number, name in enumerate(header) if isfile(file.parent / name)]  # noqa: PTH113
    if column is not None:
        number = _find_column(file, header, column)
    elif len(existing) == 1:
        number, records = existing[0], [(1, []), *records]
    else:
        number = _find_path_column(file, header)
    paths = []
    for place, record in records[1:]:
        path = record[number].strip(" \t") if number < len(record) else ""
        if not path:
            raise DataError(f"{file}:{place}: no path: fill the field, or remove the line")
        paths.append(file.parent / _locate(path, file.parent)[0])
    return paths


def _find_path_column(file: Path, header: list[str]) -> int:
    names = [_plain(name) for name in header]
    for words in (("path",), _COLUMNS["path"], _OTHER_PATH_COLUMNS.split()):
        fitting = [number for number, name in enumerate(names) if name in words]
        if len(fitting) > 1:
            both = " and ".join(repr(header[number]) for number in fitting)
            raise ColumnError(
                f"{file}: the columns {both} may both be the path: say which, "
                f"--column path={header[fitting[0]]}"
            )
        if fitting:
            return fitting[0]
    known = first_few([repr(name) for name in header], 10) or "nothing"
    raise ColumnError(
        f"{file}: no column 'path' in the first line, which names {known}: say which with --column path=NAME"
    )


def is_table(file: Path) -> bool:
    if file.suffix.lower() not in TABLE_SUFFIXES:
        return False
    try:
        _, header = next(_records(file), (1, []))
    except DataError:
        return False
    names = {_plain(name) for name in header}
    return all(names.intersection(_COLUMNS[meaning]) for meaning in ("path", "label"))


def _cells(file: Path, group_column: str | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    records = _records(file)
    place, header = next(records, (1, []))
    columns = _find_columns(file, header)
    if group_column is not None:
        columns["group"] = _find_column(file, header, group_column)
    for place, record in records:
        where = f"{file}:{place}"
        if len(record) != len(header):
            raise DataError(
                f"{where}: {plural(len(record), 'field')}, but the first line names {len(header)}: "
                "quote fields that hold the separator"
            )
        cells = {name: record[number].strip(" \t") for name, number in columns.items()}
        for name in ("path", "label"):
            if not cells[name]:
                raise DataError(f"{where}: no {name}: fill the field, or remove the line")
        yield where, cells


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        content = read_regular(file, MOST_LIST_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"There is no {file}: give a table with the columns path and label") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file} is in UTF-16: save it as UTF-8")
    opened = io.StringIO(content.decode("utf-8-sig", errors="surrogateescape"), newline="")
    delimiter = max(_DELIMITERS, key=opened.readline().count)
    opened.seek(0)
    reader = csv.reader(opened, delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if any(cell.strip(" \t") for cell in record):
                yield reader.line_num, record
    except csv.Error as error:
        raise DataError(
            f"{file}:{reader.line_num}: {error}: check the quotes (one inside a field is doubled)"
        ) from error


def _find_columns(file: Path, header: list[str]) -> dict[str, int]:
    names = [_plain(name) for name in header]
    found = {}
    for meaning, words in _COLUMNS.items():
        fitting = [number for number, name in enumerate(names) if name in words]
        exact = [number for number in fitting if names[number] == meaning]
        if len(exact or fitting) > 1:
            both = " and ".join(repr(header[number]) for number in fitting)
            raise DataError(f"{file}: the columns {both} may both be the {meaning}: call one {meaning!r}")
        if fitting:
            found[meaning] = (exact or fitting)[0]
    for meaning in ("path", "label"):
        if meaning not in found:
            known = ", ".join(repr(name) for name in header[:10]) or "nothing"
            raise DataError(
                f"{file}: no column {meaning!r} in the first line, which names {known}: "
                "it must name the columns, for example `path,label`"
            )
    return found


def _find_column(file: Path, header: list[str], column: str) -> int:
    exact = [number for number, name in enumerate(header) if name == column]
    fitting = exact or [number for number, name in enumerate(header) if _plain(name) == _plain(column)]
    if not fitting:
        known = first_few([repr(name) for name in header], 10)
        raise ColumnError(f"{file} has no column {column!r}, but {known}.{suggest(column, header)}")
    if len(fitting) > 1:
        raise DataError(f"{file} has {len(fitting)} columns {column!r}: call them differently")
    return fitting[0]


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_")


@dataclass
class Rows:
    """Collects the files that a table or lists name, and checks them one by one.

    Paths start from ``base``, and stay in it if ``closed``. ``labels`` are the classes in order; if empty,
    those of the rows. ``absent`` has the names of missing files, and why; they are left out.
    """

    base: Path
    closed: bool = False
    labels: list[str] = field(default_factory=list)
    absent: Mapping[str, str] = field(default_factory=dict)
    _files: dict[SourceFile, str] = field(default_factory=dict)
    _first: dict[str, tuple[str, SourceFile]] = field(default_factory=dict)
    _missing: list[str] = field(default_factory=list)
    _repeated: int = 0

    def add(self, where: str, path: str, label: str, group: str | None, part: str | None) -> None:
        """Add a row; ``where`` is its file and line, for messages.

        Raises:
            DataError: if the same file has another label or group in another row, or a path leads out.
        """
        path, exists = _locate(path, self.base)
        name = posixpath.normpath(path)
        if self.closed and (name.startswith(("../", "/")) or name == ".." or Path(name).is_absolute()):
            raise DataError(
                f"{where}: '{escaped(path)}' leads out of the folder of the table, which it must not"
            )
        if "\n" in label or "\r" in label:
            raise DataError(f"{where}: the label {label!r} has a line break, which a label list cannot hold")
        if not exists:
            if name not in self.absent:
                self._missing.append(f"'{escaped(path)}' ({where.rpartition('/')[2]})")
            return
        file = SourceFile(self.base / name, name, label, group, part)
        place, first = self._first.setdefault(name, (where, file))
        for what, one, two in (("label", label, first.label), ("group", group, first.group)):
            if one != two:
                raise DataError(
                    f"{where}: '{escaped(name)}' has the {what} {one!r}, but {two!r} at {place}: "
                    "keep the right line"
                )
        # Two files that pass this check differ by their parts alone.
        self._repeated += file in self._files
        self._files.setdefault(file, where)

    def listing(self, source: Path) -> Listing:
        """Return the files of all rows.

        Raises:
            DataError: if a file is missing, only some rows have a part, or there are fewer than two classes.
        """
        if self._missing:
            verb = "is" if len(self._missing) == 1 else "are"
            raise DataError(
                f"{source}: {plural(len(self._missing), 'file')} that it names {verb} not there: "
                f"{first_few(self._missing)}; paths start from {self.base}"
            )
        files = list(self._files)
        without = [where for file, where in self._files.items() if file.part is None]
        if 0 < len(without) < len(files):
            raise DataError(f"{without[0]}: no split, but other lines have one: fill all of them, or none")
        labels = self.labels or _in_order({file.label for file in files})
        if len(labels) < 2:
            what = f"only one class, {labels[0]!r}" if labels else "no picture"
            raise DataError(f"{source} names {what}; a classifier needs two classes")
        left_out = [Excluded(self.base / name, reason) for name, reason in self.absent.items()]
        listing = Listing(self.base, labels, files, left_out)
        listing.sort()
        if self._repeated:
            listing.remarks.append(
                f"{plural(self._repeated, 'line')} of {source.name} repeated, and counted once."
            )
        return listing


def _locate(path: str, base: Path) -> tuple[str, bool]:
    """Return a path with ``/``, and whether it exists; if not, Windows' separators are tried."""
    if os.path.lexists(base / path):
        return path, True
    posix = path.replace("\\", "/")
    return (posix, True) if posix != path and os.path.lexists(base / posix) else (path, False)


def _in_order(labels: set[str]) -> list[str]:
    if all(label.isascii() and label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels, key=name_key)
