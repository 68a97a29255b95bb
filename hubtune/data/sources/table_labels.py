"""The labels of a table's rows: names of classes, or sets of labels."""

import posixpath
from pathlib import Path

from hubtune.data.label_separators import hint_at_several
from hubtune.data.label_set_texts import read_label_sets
from hubtune.data.list_labels import MULTI_LABEL, ClassLabels
from hubtune.data.sources.binary_columns import JoinedTable
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError
from hubtune.text import escaped, plural

Cells = dict[str, dict[str, str]]
"""Place of each row, for messages → its values by meaning."""


def read_table_labels(
    file: Path, settings: SourceSettings, cells_of: Cells, joined: JoinedTable, column: str
) -> tuple[Cells, ClassLabels | None, list[str]]:
    """Return the rows with the names of their classes or sets of labels; these; and sentences about them.

    The classes are ``None`` if the fields are their names. Rows about one image are joined if a person said
    that they are multi-label.

    Args:
        file: the table.
        settings: what a person said.
        cells_of: the rows.
        joined: its columns of 0 and 1, if ``label`` has their values.
        column: name of the column of labels, in lower case.

    Raises:
        DataError: if a field is empty, or wrong.
    """
    multi_label = settings.labels_are == MULTI_LABEL
    if joined.labels and settings.labels_are not in (None, MULTI_LABEL):
        raise DataError(
            f"{file} has columns of 0 and 1, and --labels-are {settings.labels_are} is for labels in one "
            "column: remove it, or name the column by --column label=NAME"
        )
    cells_of = {where: dict(cells) for where, cells in cells_of.items()}
    if multi_label and not joined.labels:
        cells_of = _join_rows(cells_of)
    if joined.is_one_hot:
        remark = (
            f"Each row has a single 1 in {plural(len(joined.labels), 'column')} of 0 and 1, which is taken "
            f"for its class (otherwise: --labels-are {MULTI_LABEL})."
        )
        return cells_of, None, [remark]
    written: dict[str, str] = {}
    for where, cells in cells_of.items():
        written.setdefault(cells["label"], where)
    # A single column of 0 and 1 has values without a comma.
    is_joined = bool(joined.labels)
    known = read_label_sets(
        *(written, joined.labels or None, file),
        labels_are=None if is_joined else settings.labels_are,
        lines_are_names=True,
        is_certain=is_joined,
        column=column,
    )
    if known is None:
        if "" in written:
            raise DataError(
                f"{written['']}: no label: fill the field, or remove the line (--labels-are {MULTI_LABEL} if "
                "a picture may have none)"
            )
        is_open = settings.labels_are is None
        return cells_of, None, hint_at_several(written, f"--labels-are {MULTI_LABEL}") if is_open else []
    for cells in cells_of.values():
        cells["label"] = known.names[known.number_of[cells["label"]]]
    return cells_of, known, known.remarks


def _join_rows(cells_of: Cells) -> Cells:
    """Return a row for each image, with the labels of all its rows but those of confidence 0."""
    rows: dict[str, tuple[str, dict[str, str], list[str]]] = {}
    for where, cells in cells_of.items():
        path = posixpath.normpath(cells["path"].replace("\\", "/"))
        place, first, labels = rows.setdefault(path, (where, cells, []))
        for what in ("split", "group"):
            if cells.get(what, "") != first.get(what, ""):
                raise DataError(
                    f"{where}: '{escaped(cells['path'])}' has the {what} {cells.get(what, '')!r}, but "
                    f"{first.get(what, '')!r} at {place}: keep the right line"
                )
        is_absent = cells.get("confidence", "1") in ("0", "0.0")
        if cells["label"] not in labels and not is_absent:
            labels.append(cells["label"])
    return {where: {**cells, "label": ",".join(labels)} for where, cells, labels in rows.values()}
