"""A prediction's fields are also read like those of a dict."""

from dataclasses import replace

import pytest

from hubtune.inference.prediction import Prediction


def test_fields_are_read_by_their_names():
    row = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert row["label"] == row.label == "cat"
    assert (row["known"], row["rejected"]) == (None, False)
    with pytest.raises(KeyError):
        row["colour"]


def test_a_row_for_json_has_what_is_known_and_asked_for():
    row = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert row.as_dict() == {"path": "a.png", "label": "cat", "score": 0.75, "error": None}
    assert row.as_dict(top=2)["top"] == [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
    judged = replace(row, known=False, similarity=0.1, nearest="dog", nearest_image="d.png")
    document = judged.as_dict(scores=True)
    assert document["scores"] == row.scores and "top" not in document
    assert (document["known"], document["nearest_image"], document["rejected"]) == (False, "d.png", False)
