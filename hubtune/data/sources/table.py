"""Tables of images: CSV or TSV with a path and a label per row, and perhaps a group and a part."""

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType

from hubtune.data.list_labels import check_label, is_number
from hubtune.data.listed_paths import find_files
from hubtune.data.listing import PART_OF_WORD, Excluded, Listing, SourceFile, describe_classes, in_order
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.errors import DataError, suggest
from hubtune.storage.text_file import read_text
from hubtune.text import escaped, first_few, plural

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})

# By meaning, the names that columns have; a later group counts only if none of an earlier one is there.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": (
        "path paths filepath filepaths file_path img_path image_path filename filenames file_name file",
        "image images img image_file image_name img_name image_id imageid picture photo",
        "图片 图像 文件名 路径 name names id",
    ),
    "label": (
        "label labels class classes class_name classname label_name category categories target cats",
        "标签 类别 species breed diagnosis class_id classid label_id category_id lbl",
    ),
    "group": ("group group_id patient patient_id subject subject_id",),
    "split": ("split part set subset partition data_set dataset",),
}
_DELIMITERS = (",", ";", "\t")
NOTHING: Mapping[str, str] = MappingProxyType({})


class ColumnError(DataError):
    """A table has no column of the requested name."""


def read_table(
    file: Path,
    settings: SourceSettings = AS_FOUND,
    *,
    closed: bool = False,
    absent: Mapping[str, str] = NOTHING,
    group_column: str | None = None,
) -> Listing:
    """Read a table whose first line names its columns.

    The columns ``path`` (or ``filename``, ``image``, …) and ``label`` (``class``, ``target``, …) are
    required, ``group`` (``patient_id``, …) and ``split`` (``part``, …) are optional; case does not matter.
    The fields are separated by commas, semicolons or tabs and quoted as the :mod:`csv` module reads them.
    Paths start from the table's folder, or from another that explains all of them. No image is opened. The
    classes are sorted by name, or by number if all are numbers.

    Args:
        settings: the columns and the encoding, where a person named them.
        closed: whether paths must stay in the table's folder, as those of a foreign table must.
        absent: names of files that are missing, and why; they are left out.
        group_column: the column with the groups of images, in any case; in place of ``group``.

    Raises:
        ColumnError: if there is no such column; the message names the existing ones.
        DataError: if the table cannot be read, lacks a column, or a row is wrong; the message has the line.
    """
    header, cells_of = _read_cells(file, settings, group_column)
    found = find_files([cells["path"] for cells in cells_of.values()], file.parent, closed=closed)
    rows = Rows(file.parent, closed=closed, absent=absent, hint=found.hint)
    as_numbers = all(is_number(cells["label"].removeprefix("-")) for cells in cells_of.values())
    for (where, cells), path in zip(cells_of.items(), found.paths, strict=True):
        word = cells.get("split", "")
        part = PART_OF_WORD.get(word.casefold())
        if word and part is None:
            near = suggest(word, PART_OF_WORD)
            raise DataError(f"{where}: unknown split {word!r}: write train, validate or test.{near}")
        if as_numbers:
            check_label(cells["label"], where)
        rows.add(where, cells["path"], path, cells["label"], cells.get("group") or None, part)
    listing = rows.listing(file)
    listing.remarks += found.remarks
    columns = " and ".join(f"{header[meaning]!r} as the {meaning}" for meaning in ("path", "label"))
    listing.taken_for = f"a table with {columns}; {describe_classes(listing)}"
    return listing


def named_files(file: Path, settings: SourceSettings = AS_FOUND) -> list[str]:
    """Return the files that a table names, with ``/``, each once, whether they exist or not."""
    _, cells_of = _read_cells(file, settings)
    return list({posixpath.normpath(cells["path"].replace("\\", "/")): None for cells in cells_of.values()})


def is_table(file: Path, settings: SourceSettings = AS_FOUND) -> bool:
    """Whether a file is a table of images, by its suffix and its first line."""
    if file.suffix.lower() not in TABLE_SUFFIXES:
        return False
    if settings.columns:
        return True
    try:
        _, header = next(_records(file, settings), (1, []))
    except DataError:
        return False
    names = {_plain(name) for name in header}
    return all(names.intersection(" ".join(_COLUMNS[meaning][:2]).split()) for meaning in ("path", "label"))


def _read_cells(
    file: Path, settings: SourceSettings, group_column: str | None = None
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the names of the columns by meaning; and place of each row → values by meaning."""
    records = _records(file, settings)
    place, header = next(records, (1, []))
    columns = _find_columns(file, header, settings)
    if group_column is not None:
        columns["group"] = _find_column(file, header, group_column)
    if settings.columns and all(column.isdecimal() for column in settings.columns.values()):
        records = chain([(place, header)], records)  # columns by number: there is no line of names
    names = {name: header[number] for name, number in columns.items()}
    rows = {}
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
        rows[where] = cells
    return names, rows


def _records(file: Path, settings: SourceSettings) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the number of its last line."""
    try:
        text = read_text(file, encoding=settings.encoding, is_right=lambda text: _names_exist(text, file))
    except FileNotFoundError as error:
        raise DataError(f"There is no {file}: give a table with the columns path and label") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
    yield from _parse(text, file)


def _parse(text: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    first, _, rest = text.partition("\n")
    said = re.fullmatch(r"sep=(.)\r?", first)  # Excel's own line
    delimiter = said[1] if said else max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(rest if said else text, newline=""), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if any(cell.strip(" \t") for cell in record):
                yield reader.line_num + bool(said), record
    except csv.Error as error:
        place = reader.line_num + bool(said)
        raise DataError(
            f"{file}:{place}: {error}: check the quotes (one inside a field is doubled)"
        ) from error


def _names_exist(text: str, file: Path) -> bool:
    """Whether the first paths beyond ASCII exist: proof of a table's encoding."""
    try:
        records = [record for _, record in islice(_parse(text, file), 1000)]
        column = _find_columns(file, records[0], AS_FOUND)["path"]
        paths = [record[column].strip(" \t") for record in records[1:]]
    except (DataError, IndexError):
        return False
    beyond = [path for path in paths if not path.isascii()]
    return bool(beyond) and None not in find_files(beyond, file.parent).paths


def _find_columns(file: Path, header: list[str], settings: SourceSettings) -> dict[str, int]:
    """Return the place of each column by its meaning."""
    names = [_plain(name) for name in header]
    found = {}
    for meaning, groups in _COLUMNS.items():
        if meaning in settings.columns:
            found[meaning] = _find_column(file, header, settings.columns[meaning])
            continue
        fitting: list[int] = next(
            (
                places
                for words in groups
                if (places := [n for n, name in enumerate(names) if name in words.split()])
            ),
            [],
        )
        exact = [number for number in fitting if names[number] == meaning]
        if len(exact or fitting) > 1:
            both = " and ".join(repr(header[number]) for number in fitting)
            raise DataError(
                f"{file}: the columns {both} may both be the {meaning}: say which, "
                f"--column {meaning}={header[fitting[0]]}"
            )
        if fitting:
            found[meaning] = (exact or fitting)[0]
    for meaning in ("path", "label"):
        if meaning not in found:
            known = first_few([f"'{escaped(name)}'" for name in header], 10) or "nothing"
            raise DataError(
                f"{file}: no column {meaning!r} in the first line, which names {known}: say which with "
                "--column path=NAME,label=NAME, or --column path=1,label=2 if the first line is a picture's"
            )
    return found


def _find_column(file: Path, header: list[str], column: str) -> int:
    """Return the place of the column of a requested name, or of a number from 1."""
    if column.isdecimal() and column not in header and 0 < int(column) <= len(header):
        return int(column) - 1
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
    hint: str = ""
    _files: dict[SourceFile, str] = field(default_factory=dict)
    _first: dict[str, tuple[str, SourceFile]] = field(default_factory=dict)
    _missing: list[str] = field(default_factory=list)
    _repeated: int = 0

    def add(
        self, where: str, written: str, found: str | None, label: str, group: str | None, part: str | None
    ) -> None:
        """Add a row: its file and line for messages, its path as written and as found.

        Raises:
            DataError: if the same file has another label or group in another row, or a path leads out.
        """
        name = posixpath.normpath(written.replace("\\", "/") if found is None else found)
        shown = f"'{escaped(written)}'"
        if self.closed and (name.startswith(("../", "/")) or name == ".." or Path(name).is_absolute()):
            raise DataError(f"{where}: {shown} leads out of the folder of the table, which it must not")
        if "\n" in label or "\r" in label:
            raise DataError(f"{where}: the label {label!r} has a line break, which a label list cannot hold")
        if found is None:
            if name not in self.absent:
                self._missing.append(f"{shown} ({where.rpartition('/')[2]})")
            return
        file = SourceFile(self.base / name, name, label, group, part)
        place, first = self._first.setdefault(name, (where, file))
        for what, one, two in (("label", label, first.label), ("group", group, first.group)):
            if one != two:
                raise DataError(
                    f"{where}: {shown} has the {what} {one!r}, but {two!r} at {place}: keep the right line"
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
                f"{first_few(self._missing)}; paths start from {self.base}.{self.hint}"
            )
        files = list(self._files)
        without = [where for file, where in self._files.items() if file.part is None]
        if 0 < len(without) < len(files):
            raise DataError(f"{without[0]}: no split, but other lines have one: fill all of them, or none")
        labels = self.labels or in_order({file.label for file in files})
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
