"""A prediction's fields are also read like those of a dict."""

import pytest

from hubtune.inference.prediction import Prediction


def test_fields_are_read_by_their_names():
    row = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25})
    assert row["label"] == row.label == "cat"
    assert (row["known"], row["rejected"]) == (None, False)
    with pytest.raises(KeyError):
        row["colour"]
