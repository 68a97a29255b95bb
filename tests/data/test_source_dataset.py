"""All images of a source as the test list of a model."""

import pytest
from support.images import draw_tree

from hubtune.data.source_dataset import SourceDataset
from hubtune.errors import DataError


def test_a_folder_is_one_test_list_in_the_order_of_the_models_classes(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"b": 2, "a": 1})
    (pics / "a" / "notes.txt").write_text("no image")
    dataset = SourceDataset(pics, ["b", "c", "a"])
    assert dataset.label_list == ["b", "c", "a"]
    assert [(entry.path.parent.name, entry.label) for entry in dataset.examples("test")] == [
        ("a", 2),
        ("b", 0),
        ("b", 0),
    ]
    assert dataset.examples("train") == []


def test_a_class_that_the_model_lacks_is_refused(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"cats": 1, "dog": 1})
    with pytest.raises(DataError, match=r"the class 'cats', which the model does not have\. Did you"):
        SourceDataset(pics, ["cat", "dog"])
