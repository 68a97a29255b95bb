"""Labels are compared with folders that are called as classes."""

import pytest

from hubtune.data.label_folders import compare_folders, split_path
from hubtune.errors import DataError

NAMES = ["cat", "Red Fox", "dog"]


def _compare(*rows, names=NAMES):
    return compare_folders(
        [(f"l:{n}", path, label) for n, (path, label) in enumerate(rows, 1)], names, "cure"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [("x/CAT/1.jpg", 0), ("dog\\1.jpg", 2)],
        [("red/1.jpg", 1)],  # the folder begins the name of one class only
        [("images/1.jpg", 0), ("images/2.jpg", 2)],
        [("cat/dog/1.jpg", 0)],
        [("001.cat/1.jpg", 0), ("red_fox/1.jpg", 1), ("3 dog/1.jpg", 2)],
    ],
)
def test_folders_that_agree_or_name_no_class_say_nothing(rows):
    assert _compare(*rows) == []


def test_single_contradictions_are_named_and_contradictions_in_one_folder():
    assert _compare(("cat/1.jpg", 0), ("cat/2.jpg", 2)) == [
        "1 label contradicts the picture's folder, such as l:2: the label is 'dog', but the picture lies in "
        "'cat'."
    ]
    assert "2 labels contradict" in _compare(("cat/1.jpg", 2), ("cat/2.jpg", 2))[0]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [("cat/1.jpg", 2), ("dog/2.jpg", 0)],
            "l:1: the label is 'dog', but the picture lies in 'cat'; so do",
        ),
        ([("1-cat/1.jpg", 2), ("2-dog/2.jpg", 0)], "the picture lies in '1-cat'; so do all others: cure"),
        ([("Red_Fox/1.jpg", 1), ("cat/1.jpg", 2), ("dog/2.jpg", 0)], "so do all others in 2 folders: cure"),
    ],
)
def test_labels_against_whole_folders_are_refused(rows, sentence):
    with pytest.raises(DataError, match=sentence):
        _compare(*rows)


def test_folders_with_other_numbers_than_the_labels_are_named_in_order_and_refused_otherwise():
    numbers = ["0", "1", "2"]
    [remark] = _compare(("1/1.jpg", 0), ("02/1.jpg", 1), ("3/1.jpg", 2), names=numbers)
    assert "the pictures in '1' are the class '0'" in remark
    with pytest.raises(DataError, match="the label is '2', but the picture lies in '0'"):
        _compare(("0/1.jpg", 2), ("1/1.jpg", 1), ("2/1.jpg", 0), names=numbers)


def test_paths_of_both_systems_are_split():
    assert split_path("a\\b/c.jpg") == ["a", "b", "c.jpg"]
