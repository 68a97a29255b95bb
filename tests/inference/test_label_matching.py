"""Classes of data are matched with those of a model."""

import pytest

from hubtune.errors import ModelError
from hubtune.inference.label_matching import match_labels


def test_classes_are_matched_by_name_only_if_that_is_asked_for():
    assert match_labels(["a", "b"], ["a", "b"], remap_by_name=False) == [0, 1]
    assert match_labels(["a", "b"], ["b", "a"], remap_by_name=True) == [1, 0]
    with pytest.raises(ModelError, match=r"another order \(first: 'b'\): add --remap-by-name"):
        match_labels(["a", "b"], ["b", "a"], remap_by_name=False)
    with pytest.raises(ModelError, match=r"\(only in the data: c; only in the model: b\): use data with"):
        match_labels(["a", "b"], ["a", "c"], remap_by_name=True)
