"""Texts in the place of a label: rows of 0 and 1, numbers and names of several labels."""

from pathlib import Path

import pytest

from hubtune.data.label_set_texts import read_label_sets
from hubtune.errors import DataError


def _read(texts, lines=None, **options):
    return read_label_sets(
        {text: f"list:{n}" for n, text in enumerate(texts)}, lines, Path("labels.txt"), **options
    )


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (["cat", "dog"], None),
        (["0", "1"], ["cat", "dog"]),
        (["tench, Tinca tinca", "goldfish, Carassius"], None),
        (["a,b", "c"], None),
        ([], None),
    ],
)
def test_texts_of_one_class_each_are_not_several_labels(texts, lines):
    assert _read(texts, lines) is None


def test_0_and_1_of_another_number_of_labels_are_numbers_of_labels():
    found = _read(["0,1", "1,0", "0"], ["a", "b", "c"])
    assert [found.sets.sets[found.number_of[text]] for text in ("0,1", "1,0", "0")] == [(0, 1), (0, 1), (0,)]


def test_columns_called_like_numbered_names_keep_their_names():
    found = _read(["1,1", "0,1"], ["2 b", "1 a"], lines_are_names=True, is_certain=True)
    assert found.sets.labels == ("2 b", "1 a")


def test_words_are_labels_where_several_are_certain():
    found = _read(["red round", "red", "round", "round big", "big", ""], labels_are="multi-label")
    assert found.sets.labels == ("big", "red", "round")
    assert found.sets.sets == ((), (0,), (0, 2), (1,), (1, 2), (2,))


@pytest.mark.parametrize(
    ("texts", "text", "value"),
    [
        (["0,1,0", "0,0.5,1"], "0,0.5,1", "0.5"),  # a probability
        (["0,1,0", "2,0,0"], "2,0,0", "2"),
        (["0,-1,2"], "0,-1,2", "-1"),
    ],
)
def test_a_row_with_another_value_than_0_and_1_is_refused(texts, text, value):
    with pytest.raises(DataError) as caught:
        _read(texts, labels_are="multi-label")
    assert str(caught.value).startswith(f"list:{texts.index(text)}: '{text}' has the value {value}")
    assert str(caught.value).endswith(
        ": write 1 for a label that a picture has, and 0 for one that it does not have"
    )


def test_a_separator_at_the_end_of_a_row_adds_no_label():
    found = _read(["0,0,1,", "1,0,1,"])
    assert (found.sets.labels, found.sets.sets) == (("0", "1", "2"), ((0, 2), (2,)))


def test_values_separated_by_blanks_are_rows_too():
    found = _read(["0 1 1", "1 0 0"], ["a", "b", "c"])
    assert [found.sets.sets[found.number_of[text]] for text in ("0 1 1", "1 0 0")] == [(1, 2), (0,)]


def test_blanks_separate_tags_that_come_back_and_stay_in_names_that_do_not():
    tags = ["haze primary", "agriculture clear primary", "clear primary", "clear haze"]
    assert _read(tags) is None
    found = _read(tags, column="tags")
    assert found.sets.labels == ("agriculture", "clear", "haze", "primary")
    assert "'haze primary' are taken for several labels" in found.remarks[0]
    breeds = ["golden retriever", "labrador retriever", "german shepherd"]
    assert _read(breeds, column="tags") is None
    assert _read(breeds, labels_are="multi-label").sets.labels == tuple(sorted(breeds))


def test_a_single_label_is_read_where_a_split_says_that_it_is_one():
    found = _read(["0", "1"], ["red"], lines_are_names=True, is_certain=True)
    assert [found.sets.sets[found.number_of[text]] for text in "01"] == [(), (0,)]


@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("1", "list:2: 1 values of 0 and 1 .'1'., unlike the 3 labels of labels.txt"),
        ("", "list:2: '' has no value, where other lines have 0 and 1"),
        ("1,0,2", "list:2: '1,0,2' has the value 2"),
        ("1,0", "list:2: 2 values of 0 and 1"),
        ("red", "list:2: 'red' has the value red"),
    ],
)
def test_one_wrong_line_does_not_turn_rows_of_0_and_1_into_numbers(stray, message):
    for options in ({}, {"labels_are": "multi-label"}):
        with pytest.raises(DataError, match=message):
            _read(["0,0,1", "1,1,0", stray], ["a", "b", "c"], **options)


def test_numbers_may_count_from_1_and_those_of_a_column_have_to_come_back():
    found = _read(["1,3", "2"], ["a", "b", "c"], labels_are="numbers-from-1")
    assert [found.sets.sets[found.number_of[text]] for text in ("1,3", "2")] == [(0, 2), (1,)]
    assert _read(["1920;1080", "1280;720"], column="label") is None
    assert _read(["1,0", "2,3"], labels_are="names") is None
