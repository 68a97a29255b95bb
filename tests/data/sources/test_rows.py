"""Rows that contradict each other, repeat or lead out are found when they are added."""

import pytest

from hubtune.data.sources.rows import Rows
from hubtune.errors import DataError


@pytest.fixture
def rows(tmp_path):
    rows = Rows(tmp_path)
    rows.add("t.csv:2", "a.jpg", "a.jpg", "cat", None, None)
    rows.add("t.csv:3", "b.jpg", "b.jpg", "dog", None, None)
    return rows


def test_repeated_rows_count_once_and_absent_files_are_left_out(rows, tmp_path):
    rows.add("t.csv:4", "./a.jpg", "./a.jpg", "cat", None, None)
    rows.absent = {"c.jpg": "too long"}
    rows.add("t.csv:5", "c.jpg", None, "cat", None, None)
    listing = rows.listing(tmp_path / "t.csv")
    assert [(file.name, file.label) for file in listing.files] == [("a.jpg", "cat"), ("b.jpg", "dog")]
    assert listing.remarks == ["1 line of t.csv repeated, and counted once."]
    assert [(entry.path.name, entry.reason) for entry in listing.left_out] == [("c.jpg", "too long")]


def test_a_missing_file_is_named_as_it_is_written(rows, tmp_path):
    rows.add("t.csv:4", "图片\\4.jpg", None, "cat", None, None)
    with pytest.raises(DataError, match=r"1 file that it names is not there: '图片\\4.jpg' \(t.csv:4\)"):
        rows.listing(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a.jpg", "dog", None, None), "t.csv:9: 'a.jpg' has the label 'dog', but 'cat' at t.csv:2"),
        (("a.jpg", "cat", "g", None), "has the group 'g', but None at t.csv:2"),
        (("c.jpg", "ca\nt", None, None), "has a line break"),
    ],
)
def test_contradictions_are_refused(rows, row, message):
    path, label, group, part = row
    with pytest.raises(DataError) as error:
        rows.add("t.csv:9", path, path, label, group, part)
    assert message in str(error.value)
