"""Columns of 0 and 1 become classes or rows of labels; mistakes in them are named with their line."""

from pathlib import Path

import pytest

from hubtune.data.sources.binary_columns import join_binary_columns
from hubtune.errors import DataError


def _join(text, **options):
    header, *rows = [line.split(",") for line in text.split()]
    columns = [n for n, name in enumerate(header) if name != "filename"]
    return join_binary_columns(Path("t.csv"), header, list(enumerate(rows, 2)), columns, **options)


def _labels(joined):
    return [row[-1] for _, row in joined.records]


def test_columns_of_0_and_1_are_classes_if_each_row_has_one_1():
    joined = _join("filename,bus,car 1.jpg,0,1 2.jpg,1.0,0.0")
    assert (joined.header[-1], _labels(joined), joined.is_one_hot) == ("label", ["car", "bus"], True)
    several = _join("filename,bus,car 1.jpg,0,1 2.jpg,1,0", multi_label=True)
    assert (_labels(several), several.is_one_hot) == (["0,1", "1,0"], False)


@pytest.mark.parametrize(
    "text",
    [
        "filename,bus,car 1.jpg,1,1 2.jpg,0,1",
        "filename,bus,car 1.jpg,1,1 2.jpg,-1,1",
        "filename,bus,car 1.jpg,True,TRUE 2.jpg,false,True",
        "filename,bus,car,age 1.jpg,1,1,17 2.jpg,0,1,40",
    ],
)
def test_columns_of_several_labels_are_joined_in_order(text):
    joined = _join(text)
    assert (joined.labels, _labels(joined)) == (["bus", "car"], ["1,1", "0,1"])


@pytest.mark.parametrize("text", ["filename,bus 1.jpg,1 2.jpg,0", "filename,age,size 1.jpg,17,3 2.jpg,40,9"])
def test_other_tables_stay_as_they_are(text):
    assert not _join(text).labels


def test_one_column_is_a_label_if_a_person_says_so():
    text = "filename,bus 1.jpg,1 2.jpg,0"
    for options in ({"multi_label": True}, {"are_chosen": True, "multi_label": True}):
        assert (_join(text, **options).labels, _labels(_join(text, **options))) == (["bus"], ["1", "0"])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("", "nothing"), ("2", "'2'"), ("NaN", "'nan'"), ("0.8", "'0.8'"), ("-1", "'-1'"), ("O", "'o'")],
)
def test_a_mistake_in_a_column_is_named_with_its_line_and_the_column_is_not_lost(cell, value):
    rows = "1.jpg,1,1 2.jpg,0,1 3.jpg,1,0 4.jpg,0,0"
    with pytest.raises(DataError, match=f"t.csv:6: the column 'car' has {value} where others have 0 and 1"):
        _join(f"filename,bus,car {rows} 5.jpg,1,{cell}")
    with pytest.raises(DataError, match=f"t.csv:6: the column 'car' has {value}"):
        _join(f"filename,bus,car {rows} 5.jpg,1,{cell}", are_chosen=True)


def test_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="has two columns 'bus': call them differently"):
        _join("filename,bus,bus 1.jpg,1,0 2.jpg,1,1")


def test_a_column_of_few_words_may_be_the_label_and_is_asked_for():
    rows = "1.jpg,flu,0,1 2.jpg,cold,1,1 3.jpg,flu,1,0 4.jpg,cold,0,0"
    with pytest.raises(
        DataError, match=r"the column 'dx' may be the label.*--column label=dx or --column label=night\+dim"
    ):
        _join(f"filename,dx,night,dim {rows}")
    assert _join("filename,note,night,dim 1.jpg,a,0,1 2.jpg,b,1,1").labels == ["night", "dim"]
