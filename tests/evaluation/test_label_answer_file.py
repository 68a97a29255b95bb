"""Answers for labels survive their file to the last bit, whatever is in names."""

from dataclasses import fields, replace

import numpy as np
import pytest
from support.label_answers import draw_label_scores, label_answers_of

from hubtune.errors import DataError
from hubtune.evaluation.label_answer_file import read_label_answers, write_label_answers

LABELS = ["=1+1", 'x;"y"\r\n\x1b[31m', "猫 \\x41", "path"]
THRESHOLDS = np.array([0.5, 0.3, 0.1, 0.9])


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
    scores, truth = draw_label_scores(20, 4, rarity=0.5)
    truth[5] = False
    scores[6] = np.nan
    drawn = label_answers_of(scores, truth, unreadable=[3], thresholds=THRESHOLDS)
    return replace(drawn, paths=[f"-a\udcff/{n}\n.jpg" for n in range(20)])


def test_what_is_read_equals_what_was_written(answers, tmp_path):
    similarity, nearest = np.linspace(-1, 1, 20) / 3, [None, *(f"{n}.jpg" for n in range(19))]
    similarity[3] = np.nan
    for variant in (answers, replace(answers, similarity=similarity, nearest=nearest)):
        write_label_answers(tmp_path / "a.csv", variant, LABELS)
        _assert_equal(read_label_answers(tmp_path / "a.csv", LABELS, THRESHOLDS), variant)
    text = (tmp_path / "a.csv").read_bytes().decode(errors="replace")
    assert "\x1b" not in text and "\n=" not in text


def test_true_and_given_labels_are_named(tmp_path):
    scores, truth = [[0.9, 0.1, 0.5], [0.2, 0.1, 0.0], [0, 0, 0]], [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    file = tmp_path / "a.csv"
    write_label_answers(file, label_answers_of(scores, truth, unreadable=[2]), ["red", "round", "a;b"])
    assert file.read_text().split("\n")[:-1] == [
        "path,labels,predicted,score: red,score: round,score: a;b,similarity,nearest_image,error",
        '0.jpg,red;round,"red;""a;b""",0.9,0.1,0.5,,,',
        '1.jpg,"""a;b""",,0.2,0.1,0.0,,,',
        "2.jpg,round,,,,,,,it is cut off",
    ]


def test_no_answers_are_read_back_as_none(tmp_path):
    empty = label_answers_of([], np.zeros((0, 4)), thresholds=THRESHOLDS)
    write_label_answers(tmp_path / "a.csv", empty, LABELS)
    _assert_equal(read_label_answers(tmp_path / "a.csv", LABELS, THRESHOLDS), empty)


def test_a_file_that_is_not_one_of_answers_is_refused_with_its_line(tmp_path):
    file = tmp_path / "a.csv"
    with pytest.raises(DataError, match=r"a\.csv cannot be read"):
        read_label_answers(file, ["a"], [0.5])
    header = "path,labels,predicted,score: a,similarity,nearest_image,error\n"
    for text, message in (
        ("", "line 0: the first line has other columns"),
        (header.replace("score: a", "score: b"), "line 1: the first line has other columns"),
        (header + "a.jpg,a\n", "line 2: it has 2 cells, not 7"),
        (header + "a.jpg,b,a,1.0,,,\n", "'b' is not a label"),
        (header + "a.jpg,a,b,1.0,,,\n", "'b' is not a label"),
        (header + "a.jpg,a,a,much,,,\n", "line 2: could not convert"),
        (header + "a.jpg,a,a,0.4,,,\n", "line 2: its predicted labels are not those of its scores"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_label_answers(file, ["a"], [0.5])
