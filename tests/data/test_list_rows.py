"""Lines of a list become rows: labels behind or before paths, tabs and blanks, and lines of paths alone."""

import pytest

from hubtune.data.list_rows import join_rows, read_lines, read_paths, read_rows
from hubtune.errors import DataError


@pytest.fixture
def base(tmp_path):
    for name in ("a.jpg", "b.jpg", "with space.jpg", "tab\there.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def _rows(base, text):
    (base / "list.txt").write_text(text)
    return [(row.place, row.path, row.label) for row in read_rows(base / "list.txt", base, None)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a.jpg 0\n\nb.jpg\t1\r\n", [(1, "a.jpg", "0"), (3, "b.jpg", "1")]),
        ("0 a.jpg\n1 with space.jpg\n", [(1, "a.jpg", "0"), (2, "with space.jpg", "1")]),
        ("a.jpg\tred, round\nb.jpg\tred fox\n", [(1, "a.jpg", "red, round"), (2, "b.jpg", "red fox")]),
        ("tab\there.jpg 0\nwith space.jpg 1\n", [(1, "tab\there.jpg", "0"), (2, "with space.jpg", "1")]),
        ("a.jpg 0,1,1\n", [(1, "a.jpg", "0,1,1")]),
    ],
)
def test_a_line_is_a_path_and_a_label(base, text, rows):
    assert _rows(base, text) == rows


def test_a_line_without_a_label_is_refused_by_its_number(base):
    with pytest.raises(DataError, match=r"list.txt:2: no label in 'b.jpg'"):
        _rows(base, "a.jpg 0\nb.jpg\n")


def test_lines_of_one_image_are_joined_in_their_order(base):
    (base / "list.txt").write_text("a.jpg red\nb.jpg big\na.jpg round\nb.jpg big\n")
    joined = join_rows(read_rows(base / "list.txt", base, None))
    assert [(str(row).rpartition(":")[2], row.path, row.label) for row in joined] == [
        ("1", "a.jpg", "red,round"),
        ("2", "b.jpg", "big"),
    ]


def test_paths_are_read_with_and_without_labels(base):
    (base / "new.txt").write_text("with space.jpg\na.jpg 0\na.jpg\ngone.jpg\n")
    expected = [base / name for name in ("with space.jpg", "a.jpg", "a.jpg", "gone.jpg")]
    assert read_paths(base / "new.txt", base) == expected


def test_lines_have_their_numbers_and_a_missing_file_names_its_neighbour(base):
    (base / "train_list.txt").write_text("\n a \nb\u2028c\n")
    assert read_lines(base / "train_list.txt") == [(2, " a "), (3, "b\u2028c")]
    with pytest.raises(DataError, match="Did you mean 'train_list"):
        read_lines(base / "trian_list.txt")
