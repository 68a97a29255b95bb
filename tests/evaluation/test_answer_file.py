"""Answers survive their file to the last bit, whatever is in names."""

from dataclasses import fields, replace

import numpy as np
import pytest
from support.answers import answers_of, draw_scores

from hubtune.errors import DataError
from hubtune.evaluation.answer_file import read_answers, write_answers

LABELS = ["=1+1", 'x,"y"\r\n\x1b[31m', "猫 \\x41"]


def _assert_equal(first, second):
    for field in fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, field.name


@pytest.fixture
def answers():
    scores, truth = draw_scores(20, 3)
    return replace(
        answers_of(scores, truth, unreadable=[3]), paths=[f"-a\udcff/{n}\n.jpg" for n in range(20)]
    )


def test_what_is_read_equals_what_was_written(answers, tmp_path):
    similarity, nearest = np.linspace(-1, 1, 20) / 3, [None, *(f"{n}.jpg" for n in range(19))]
    similarity[3] = np.nan
    for variant in (answers, replace(answers, similarity=similarity, nearest=nearest)):
        write_answers(tmp_path / "a.csv", variant, LABELS)
        _assert_equal(read_answers(tmp_path / "a.csv", LABELS), variant)
    text = (tmp_path / "a.csv").read_bytes().decode(errors="replace")
    assert "\x1b" not in text and "\n=" not in text and ",'=1+1," in text


def test_no_answers_are_read_back_as_none(answers, tmp_path):
    empty = answers_of([], [])
    write_answers(tmp_path / "a.csv", empty, LABELS)
    _assert_equal(read_answers(tmp_path / "a.csv", LABELS), empty)


def test_a_file_that_is_not_one_of_answers_is_refused_with_its_line(answers, tmp_path):
    file = tmp_path / "a.csv"
    with pytest.raises(DataError, match=r"a\.csv cannot be read"):
        read_answers(file, LABELS)
    header = "path,label,predicted,score,score_of_label,rank,second,similarity,nearest_image,error\n"
    for text, message in (
        ("", "line 0: the first line has other columns"),
        ("path,label\n", "line 1: the first line has other columns"),
        (header + "a.jpg,a\n", "line 2: it has 2 cells, not 10"),
        (header + "a.jpg,b,a,1.0,1.0,0,,,,\n", "'b' is not a class"),
        (header + "a.jpg,,a,1.0,1.0,0,,,,\n", "line 2: '' is not a class"),
        (header + "a.jpg,a,a,much,1.0,0,,,,\n", "line 2: could not convert"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_answers(file, ["a"])
