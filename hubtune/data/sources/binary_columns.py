"""Columns of 0 and 1 in a table, one for each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubtune.errors import DataError
from hubtune.text import escaped, first_few

# Values of a column that says whether a row has a label, in lower case → whether it has.
_BINARY: tuple[Mapping[str, bool], ...] = (
    {"0": False, "1": True, "0.0": False, "1.0": True},
    {"-1": False, "1": True},
    {"false": False, "true": True},
)

Record = tuple[int, list[str]]
"""The number of a row's line, and its fields."""


@dataclass(frozen=True)
class JoinedTable:
    """A table with a column ``label`` after columns of 0 and 1, or as it is without such columns.

    Attributes:
        header: the names of the columns.
        records: the rows.
        labels: names of the columns of 0 and 1; empty without them.
        is_one_hot: whether each row has a single 1, whose column is its ``label``; otherwise ``label`` has
            the values, as in ``0,1,1``.
    """

    header: list[str]
    records: list[Record]
    labels: list[str] = field(default_factory=list)
    is_one_hot: bool = False


def join_binary_columns(
    file: Path,
    header: list[str],
    records: list[Record],
    columns: Sequence[int],
    *,
    multi_label: bool = False,
    are_chosen: bool = False,
) -> JoinedTable:
    """Join the columns of 0 and 1 (or of -1 and 1, false and true) of a table without a column of labels.

    Args:
        file: the table.
        header: the names of the columns.
        records: the rows.
        columns: places of the columns that may be such.
        multi_label: whether a row with a single 1 has one of several labels, and not a class.
        are_chosen: whether a person named the columns, so that all of them are such.

    Raises:
        DataError: if such a column has another value, two have one name, or another column may be the label.
    """
    cells = {n: [row[n].strip(" \t").lower() if n < len(row) else "" for _, row in records] for n in columns}
    marks = {n: _marks_of(own) for n, own in cells.items()}
    binary = [n for n in columns if are_chosen or _is_nearly(cells[n], marks[n])]
    if not records or len(binary) < 2 - (multi_label or are_chosen):
        return JoinedTable(header, records)
    names = {n: header[n].strip(" \t") for n in columns}
    if not are_chosen:
        _refuse_other_labels(file, names, cells, binary)
    for n in binary:
        if (odd := next((m for m, cell in enumerate(cells[n]) if cell not in marks[n]), None)) is not None:
            value = f"'{escaped(cells[n][odd])}'" if cells[n][odd] else "nothing"
            raise DataError(
                f"{file}:{records[odd][0]}: the column '{escaped(names[n])}' has {value} where others have "
                f"{' and '.join([*marks[n]][:2])}: write 1 for a label that a picture has, and 0 for one "
                "that it does not have, or name the columns of labels by --column label=A+B"
            )
    labels = [names[n] for n in binary]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise DataError(f"{file} has two columns '{escaped(twice[0])}': call them differently")
    rows = [[marks[n][cells[n][place]] for n in binary] for place in range(len(records))]
    is_one_hot = not multi_label and len(binary) > 1 and all(sum(row) == 1 for row in rows)
    joined = [
        (place, [*row, labels[marked.index(True)] if is_one_hot else ",".join("01"[mark] for mark in marked)])
        for (place, row), marked in zip(records, rows, strict=True)
    ]
    return JoinedTable([*header, "label"], joined, labels, is_one_hot)


def _marks_of(cells: Sequence[str]) -> Mapping[str, bool]:
    """Return the values of the kind that most fields are of."""
    return max(_BINARY, key=lambda marks: sum(map(marks.__contains__, cells)))


def _is_nearly(cells: Sequence[str], marks: Mapping[str, bool]) -> bool:
    """Whether most fields that are not empty are 0 or 1: others are likely mistakes."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and 2 * sum(map(marks.__contains__, filled)) > len(filled)


def _refuse_other_labels(
    file: Path, names: Mapping[int, str], cells: Mapping[int, Sequence[str]], binary: Sequence[int]
) -> None:
    """Refuse a table in which a column of few different words may be the label as well."""
    for n, values in cells.items():
        distinct = {*values} - {""}
        if n in binary or not 1 < len(distinct) <= len(values) / 2 or any(map(_is_numeric, distinct)):
            continue
        all_names = [names[other] for other in binary]
        raise DataError(
            f"{file}: the column '{escaped(names[n])}' may be the label, or the columns of 0 and 1 "
            f"({first_few(all_names)}): say which, --column label={names[n]} or "
            f"--column label={'+'.join(all_names)}"
        )


def _is_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
