"""Rows of a table get their classes or sets of labels; several rows about one image are joined."""

from pathlib import Path

import pytest

from hubtune.data.sources.binary_columns import JoinedTable
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.sources.table_labels import read_table_labels
from hubtune.errors import DataError

FILE, SEVERAL = Path("t.csv"), SourceSettings(labels_are="multi-label")
PLAIN = JoinedTable([], [])


def _cells(*rows, **more):
    return {
        f"t.csv:{n}": {"path": path, "label": label, **{name: values[n - 2] for name, values in more.items()}}
        for n, (path, label) in enumerate(rows, 2)
    }


def _read(cells, settings=AS_FOUND, joined=PLAIN, column="label"):
    return read_table_labels(FILE, settings, cells, joined, column)


def _labels(cells, **options):
    rows, known, _ = _read(cells, **options)
    return {row["path"]: row["label"] for row in rows.values()}, known


def test_rows_about_one_image_are_one_row_with_all_labels():
    cells = _cells(("a.jpg", "red"), ("b.jpg", "big"), ("./a.jpg", "round"), ("a.jpg", "red"), ("c.jpg", ""))
    labels, known = _labels(cells, settings=SEVERAL)
    assert labels == {"a.jpg": "red + round", "b.jpg": "big", "c.jpg": "(no label)"}
    assert known.sets.labels == ("big", "red", "round")
    assert len(cells) == 5 and cells["t.csv:2"]["label"] == "red"  # unchanged


def test_rows_of_confidence_0_say_that_a_label_is_absent():
    cells = _cells(("a.jpg", "red"), ("a.jpg", "big"), ("b.jpg", "red"), confidence=["1", "0", "0"])
    assert _labels(cells, settings=SEVERAL)[0] == {"a.jpg": "red", "b.jpg": "(no label)"}


def test_rows_about_one_image_in_two_lists_are_refused():
    cells = _cells(("a.jpg", "red"), ("a.jpg", "big"), split=["train", "val"])
    with pytest.raises(DataError, match=r"'a\.jpg' has the split 'val', but 'train' at t\.csv:2"):
        _read(cells, SEVERAL)


def test_numbers_in_a_column_are_labels_only_if_they_come_back():
    grades = _cells(("a.jpg", "1,0"), ("b.jpg", "2,3"), ("c.jpg", "1,7"))
    assert _labels(grades)[1] is None
    several = _cells(("a.jpg", "1,2"), ("b.jpg", "2,3"), ("c.jpg", "1,3"), ("d.jpg", "3"))
    _, known, [remark] = _read(several)
    assert known.sets.labels == ("1", "2", "3") and "otherwise: --labels-are names" in remark


def test_a_single_1_a_row_is_said_and_words_for_labels_in_one_column_are_refused():
    joined = JoinedTable([], [], ["red", "big"], is_one_hot=True)
    cells = _cells(("a.jpg", "red"), ("b.jpg", "big"))
    _, known, [remark] = _read(cells, joined=joined)
    assert known is None and "a single 1 in 2 columns" in remark and "--labels-are multi-label" in remark
    with pytest.raises(DataError, match="--labels-are names is for labels in one column"):
        _read(cells, SourceSettings(labels_are="names"), joined)


def test_names_that_may_be_several_labels_are_hinted_at_and_empty_fields_refused():
    cells = _cells(("a.jpg", "red round"), ("b.jpg", "red big"), ("c.jpg", "round big"))
    _, known, [remark] = _read(cells)
    assert known is None and "if they are several labels of a picture: --labels-are multi-label" in remark
    with pytest.raises(DataError, match=r"t.csv:3: no label: fill the field"):
        _read(_cells(("a.jpg", "red"), ("b.jpg", "")))
