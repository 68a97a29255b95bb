"""Labels are compared with folders that are called as classes."""

import pytest

from hubtune.data.label_folders import compare_folders, split_path
from hubtune.errors import DataError

NAMES = ["cat", "Red Fox", "dog"]


def _compare(*rows):
    return compare_folders(
        [(f"l:{n}", path, label) for n, (path, label) in enumerate(rows, 1)], NAMES, "cure"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [("x/CAT/1.jpg", 0), ("dog\\1.jpg", 2)],
        [("red/1.jpg", 1)],  # the folder begins the name of one class only
        [("images/1.jpg", 0), ("images/2.jpg", 2)],
        [("cat/dog/1.jpg", 0)],
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


def test_all_labels_against_all_folders_are_refused():
    with pytest.raises(
        DataError, match="l:1: the label is 'dog', but the picture lies in 'cat'; so do all oth"
    ):
        _compare(("cat/1.jpg", 2), ("dog/2.jpg", 0))


def test_paths_of_both_systems_are_split():
    assert split_path("a\\b/c.jpg") == ["a", "b", "c.jpg"]
