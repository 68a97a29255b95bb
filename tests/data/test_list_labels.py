"""Labels of lists mean what exactly one reading of all of them allows."""

from pathlib import Path

import pytest

from hubtune.data.list_labels import class_labels
from hubtune.errors import DataError

FILE = Path("data/label_list.txt")


def _labels(written, lines, **options):
    return class_labels(
        {label: f"train_list.txt:{n}" for n, label in enumerate(written.split(), 1)}, lines, FILE, **options
    )


@pytest.mark.parametrize(
    ("written", "lines", "names", "numbers"),
    [
        ("0 1 2", ["a", "b", "c"], "a b c", [0, 1, 2]),
        ("a c", ["a", "b", "c"], "a b c", [0, 2]),
        ("1 2 3", ["a", "b", "c"], "a b c", [0, 1, 2]),
        ("0 1 2", ["1 a", "2 b", "3 c"], "a b c", [0, 1, 2]),
        ("1 2 3", ["1 a", "2 b", "3 c"], "a b c", [0, 1, 2]),
        ("1 2", ["1 a", "2 b", "3 c"], "a b c", [0, 1]),
        ("0 1 2", ["c 2", "a 0", "b 1"], "a b c", [0, 1, 2]),
        ("1 2", ["0:[default]", "2:b", "1:a"], "[default] a b", [1, 2]),
        ("0 2 5", ["5,c", "0,a", "2,b"], "a b c", [0, 1, 2]),
        ("0 1", ["50 Cent", "7 Up"], None, [0, 1]),
        ("0 1", ["type 1", "type 2"], None, [0, 1]),
        ("0 1", ["Boeing 737", "Airbus 320"], None, [0, 1]),
        ("0 2 5", None, "0 2 5", [0, 1, 2]),
        ("1 2 10", None, "1 2 10", [0, 1, 2]),
        ("dog cat", None, "cat dog", [1, 0]),
        ("1 10", ["1", "2", "10"], "1 2 10", [0, 2]),
    ],
)
def test_labels_are_read_as_the_one_thing_that_fits(written, lines, names, numbers):
    found = _labels(written, lines)
    assert found.names == (lines if names is None else names.split())
    assert [found.number_of[label] for label in written.split()] == numbers


@pytest.mark.parametrize(
    ("written", "lines", "sentence"),
    [
        ("2 1", ["0", "1", "10", "2"], "the label 2 may be the class '2' or '10'"),
        ("2", ["a", "b"], "the 2 classes are 0 to 1; if they count from 1: --labels-are numbers-from-1"),
        ("0 5", ["a", "b"], "train_list.txt:2: label 5, but the 2 classes are 0 to 1"),
        ("0 cow", ["cat", "cow2"], "train_list.txt:2: unknown label 'cow'. Did you mean 'cow2'?"),
        ("1 3", ["1 a", "3 b", "5 c", "7 d"], "may be the class's number or a part of its name"),
        ("0 -1", None, "train_list.txt:2: the label -1 is not a class"),
        ("1 2", ["1 a 2", "2 b 1"], "before and behind its name"),
    ],
)
def test_what_fits_no_or_two_readings_is_refused(written, lines, sentence):
    with pytest.raises(DataError) as error:
        _labels(written, lines)
    assert sentence in str(error.value)


def test_a_person_settles_names_that_are_numbers():
    lines = ["0", "1", "10", "2"]
    assert _labels("2 1", lines, labels_are="names").number_of == {"2": 3, "1": 1}
    assert _labels("2 1", lines, labels_are="numbers").number_of == {"2": 2, "1": 1}
    assert _labels("2 1", lines, lines_are_names=True, own_lists=True).number_of == {"2": 2, "1": 1}


def test_what_was_guessed_is_said():
    assert _labels("1 2", ["a", "b"]).remarks == ["The labels count from 1: 1 is 'a'."]
    assert _labels("1", ["a", "b"]).remarks == [
        "No picture has the label 0, 'a'; if the labels count from 1: --labels-are numbers-from-1."
    ]
    assert _labels("0 1", ["1 a", "2 b"]).remarks == [
        "label_list.txt: each line has the number of its class (1 to 2)."
    ]
    assert _labels("0 1", ["a", "b"]).remarks == []


def test_labels_are_found_in_another_case_or_unicode_form_if_one_class_fits():
    assert _labels("cat Ka\u0308se", ["Cat", "K\u00e4se"]).number_of == {"cat": 0, "Ka\u0308se": 1}
    with pytest.raises(DataError, match="unknown label 'CAT'"):
        _labels("CAT", ["Cat", "cat"])
