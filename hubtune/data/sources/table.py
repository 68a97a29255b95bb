"""Tables of images: CSV or TSV with a path and a label per row, and perhaps a group and a part."""

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from os.path import isfile
from pathlib import Path
from types import MappingProxyType

from hubtune.data.images.verify import images_beside
from hubtune.data.label_folders import compare_folders
from hubtune.data.list_labels import MULTI_LABEL, SEVERAL_CURE, check_label, is_number
from hubtune.data.listed_paths import find_files
from hubtune.data.listing import PART_OF_WORD, Listing, describe_classes
from hubtune.data.sources.attribute_list import attribute_records, is_attribute_list
from hubtune.data.sources.binary_columns import JoinedTable, Record, join_binary_columns
from hubtune.data.sources.layout import SEPARATE_CURE, check_names
from hubtune.data.sources.rows import Rows
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.sources.table_columns import (
    REQUIRED,
    find_column,
    find_columns,
    find_path_column,
    has_column_names,
    is_column_number,
    unnamed_columns,
)
from hubtune.data.sources.table_labels import Cells, read_table_labels
from hubtune.errors import DataError, suggest
from hubtune.storage.text_file import read_encoded_text
from hubtune.text import escaped, plural

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})

_DELIMITERS = (",", ";", "\t")
_MOST_SAMPLED = 1000
NOTHING: Mapping[str, str] = MappingProxyType({})


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
    header, cells_of, joined = _read_cells(file, settings, group_column)
    column = header["label"].strip("'").lower()
    cells_of, known, remarks = read_table_labels(file, settings, cells_of, joined, column)
    sets = None if known is None else known.sets
    found = find_files([cells["path"] for cells in cells_of.values()], file.parent, closed=closed)
    names = [] if sets is None else [*sets.names]
    several = "" if settings.labels_are == MULTI_LABEL else SEVERAL_CURE
    rows = Rows(file.parent, closed=closed, labels=names, absent=absent, hint=found.hint, several=several)
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
    listing = rows.listing(file, settings.least_classes)
    listing.label_sets, listing.states_each = sets, sets is not None and bool(joined.labels)
    listing.remarks += remarks
    if sets is not None:
        number_of = {name: number for number, name in enumerate(sets.names)}
        listing.remarks.append(sets.describe(number_of[entry.label] for entry in listing.files))
    if not settings.as_classes:
        check_names(sets.labels if sets else listing.labels, file, f"write them alike, {SEPARATE_CURE}")
    if "label" not in settings.columns and sets is None:
        number_of = {label: number for number, label in enumerate(listing.labels)}
        listed = ((where, cells["path"], number_of[cells["label"]]) for where, cells in cells_of.items())
        cure = f"correct the table, or add --column label={header['label']} if it is right"
        listing.remarks += compare_folders(listed, listing.labels, cure)
    listing.remarks += found.remarks
    listing.remarks += _unlisted(listing, file)
    path, label = (header[meaning] for meaning in REQUIRED)
    columns = f"{path} as the path and {label} as the label"
    listing.taken_for = f"a table with {columns}; {describe_classes(listing)}"
    return listing


def _unlisted(listing: Listing, table: Path) -> list[str]:
    """Return a sentence about images in the folders of listed ones that no line names."""
    new = images_beside(entry.path for entry in listing.files)
    others = [folder / name for folder, names in new.items() for name in names]
    if not others:
        return []
    verb = "is" if len(others) == 1 else "are"
    return [
        f"{plural(len(others), 'picture')} beside those of {table.name} {verb} in no line of it, such as "
        f"'{escaped(min(others).name)}'."
    ]


def named_files(file: Path, settings: SourceSettings = AS_FOUND) -> list[str]:
    """Return the files that a table names, with ``/``, each once, whether they exist or not."""
    _, cells_of, _ = _read_cells(file, settings)
    return list({posixpath.normpath(cells["path"].replace("\\", "/")): None for cells in cells_of.values()})


def read_table_paths(file: Path, settings: SourceSettings = AS_FOUND) -> list[Path]:
    """Return the files in a table's column of paths, in the order of the rows; other columns do not count.

    The table is read, and files are found, as by :func:`read_table`. A file that is not there has the path
    that is written. A first line in which one field is an existing file names no columns.

    Raises:
        ColumnError: if there is no such column.
        DataError: if the table cannot be read, it is not clear which column has the paths, or a row has none.
    """
    records = [*_records(file, settings)]
    header = records[0][1] if records else []
    column = settings.columns.get("path")
    # Path.is_file() raises where a field is longer than names may be.
    existing = [str(n) for n, name in enumerate(header, 1) if isfile(file.parent / name)]  # noqa: PTH113
    if column is None and len(existing) == 1:
        [column] = existing
    if column is None or not column.isdecimal() or column in header:
        records = records[1:]
    number = find_path_column(file, header, [record for _, record in records[:_MOST_SAMPLED]], column)
    written = []
    for place, record in records:
        path = record[number].strip(" \t") if number < len(record) else ""
        if not path:
            raise DataError(f"{file}:{place}: no path: fill the field, or remove the line")
        written.append(path)
    found = find_files(written, file.parent).paths
    return [file.parent / (path or name) for path, name in zip(found, written, strict=True)]


def is_table(file: Path, settings: SourceSettings = AS_FOUND) -> bool:
    if file.suffix.lower() not in TABLE_SUFFIXES:
        return False
    if settings.columns:
        return True
    try:
        _, header = next(_records(file, settings), (1, []))
    except DataError:
        return False
    return has_column_names(header)


def _read_cells(
    file: Path, settings: SourceSettings, group_column: str | None = None
) -> tuple[dict[str, str], Cells, JoinedTable]:
    """Return the names of the columns by meaning; the rows; and the table, columns of 0 and 1 joined."""
    records = [*_records(file, settings)]
    header = records[0][1] if records else []
    named = settings.columns
    by_number = named and all(is_column_number(column, header) for column in named.values())
    if not by_number:
        records = records[1:]
    written, joined = len(header), _join(file, header, records, settings)
    header, records = joined.header, joined.records
    if group_column is not None:
        named = {**named, "group": group_column}
    if joined.labels:
        named = {**named, "label": str(written + 1)}
    columns = find_columns(file, header, [record for _, record in records[:_MOST_SAMPLED]], named)
    names = {
        name: f"column {number + 1}" if by_number else f"'{escaped(header[number])}'"
        for name, number in columns.items()
    }
    if joined.labels:
        names["label"] = f"{plural(len(joined.labels), 'column')} of 0 and 1"
        if joined.is_one_hot:
            names["label"] = "the column with 1"
    if settings.labels_are == MULTI_LABEL:
        # Of Open Images: whether a person has seen the label in the image.
        words = [name.strip().lower() for name in header]
        columns |= {"confidence": words.index("confidence")} if "confidence" in words else {}
    rows = {}
    for place, record in records:
        where = f"{file}:{place}"
        if len(record) != len(header):
            raise DataError(
                f"{where}: {plural(len(record), 'field')}, but the first line names {len(header)}: "
                "quote fields that hold the separator"
            )
        cells = {name: record[number].strip(" \t") for name, number in columns.items()}
        if not cells["path"]:
            raise DataError(f"{where}: no path: fill the field, or remove the line")
        rows[where] = cells
    return names, rows, joined


def _join(file: Path, header: list[str], records: list[Record], settings: SourceSettings) -> JoinedTable:
    """Join the columns of 0 and 1 that a person named, or those of a table without a column of labels."""
    multi_label = settings.labels_are == MULTI_LABEL
    chosen = settings.columns.get("label")
    if chosen is None:
        columns = unnamed_columns(header)
        return join_binary_columns(file, header, records, columns, multi_label=multi_label)
    is_one = chosen in header or "+" not in chosen
    if is_one and not multi_label:
        return JoinedTable(header, records)
    columns = [find_column(file, header, column) for column in ([chosen] if is_one else chosen.split("+"))]
    if is_one and not {row[columns[0]].strip() for _, row in records if columns[0] < len(row)} <= {"0", "1"}:
        return JoinedTable(header, records)
    return join_binary_columns(
        file, header, records, columns, multi_label=multi_label or is_one, are_chosen=True
    )


def _records(file: Path, settings: SourceSettings) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the number of its last line."""
    try:
        text = read_encoded_text(
            file, encoding=settings.encoding, is_right=lambda text: _names_exist(text, file)
        )
    except FileNotFoundError as error:
        raise DataError(f"There is no {file}: give a table with the columns path and label") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
    yield from _parse(text, file)


def _parse(text: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    if is_attribute_list(text):
        yield from attribute_records(text)
        return
    first, _, rest = text.partition("\n")
    separator = re.fullmatch(r"sep=(.)\r?", first)  # Excel's own line
    delimiter = separator[1] if separator else max(_DELIMITERS, key=first.count)
    reader = csv.reader(
        io.StringIO(rest if separator else text, newline=""), delimiter=delimiter, strict=True
    )
    try:
        for record in reader:
            if any(cell.strip(" \t") for cell in record):
                yield reader.line_num + bool(separator), record
    except csv.Error as error:
        place = reader.line_num + bool(separator)
        raise DataError(
            f"{file}:{place}: {error}: check the quotes (one inside a field is doubled)"
        ) from error


def _names_exist(text: str, file: Path) -> bool:
    """Whether the first paths beyond ASCII exist: proof of a table's encoding."""
    try:
        records = [record for _, record in islice(_parse(text, file), _MOST_SAMPLED)]
        column = find_path_column(file, records[0], records[1:])
        paths = [record[column].strip(" \t") for record in records[1:]]
    except (DataError, IndexError):
        return False
    beyond = [path for path in paths if not path.isascii()]
    return bool(beyond) and None not in find_files(beyond, file.parent).paths
