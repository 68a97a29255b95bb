"""All images of a source as the test list of a model."""

import pytest
from support.images import draw_tree
from support.packed import pack, upload

from hubtune.data.source_dataset import SourceDataset
from hubtune.data.sources.settings import SourceSettings
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


def test_a_bucket_with_shards_is_one_test_list(tmp_path, bucket):
    folder = pack(draw_tree(tmp_path / "pics", {"a": 4, "b": 4}), tmp_path / "shards")
    dataset = SourceDataset(upload(folder, bucket, "s"), ["a", "b"])
    assert sorted(entry.label for entry in dataset.examples("test")) == [0] * 4 + [1] * 4


def _labels(dataset):
    sets = dataset.label_sets
    return {
        entry.name: {sets.labels[number] for number in sets.sets[entry.label]}
        for entry in dataset.examples("test")
    }


def test_a_multi_label_table_has_the_labels_of_the_model_in_its_order(tmp_path):
    draw_tree(tmp_path / "pics", {"x": 3})
    table = tmp_path / "table.csv"
    table.write_text("path,round,red\npics/x/000.png,1,1\npics/x/001.png,0,1\npics/x/002.png,0,0\n")
    dataset = SourceDataset(table, ["red", "round"])
    assert dataset.label_list == ["red", "round"]
    assert _labels(dataset) == {
        "pics/x/000.png": {"red", "round"},
        "pics/x/001.png": {"red"},
        "pics/x/002.png": set(),
    }
    with pytest.raises(DataError, match="has the label 'round', which the model does not have"):
        SourceDataset(table, ["red", "big"])
    # Without a column, it is not known which images have the label.
    with pytest.raises(DataError, match="lacks a column for 1 label of the model: big"):
        SourceDataset(table, ["red", "big", "round"])


def test_a_multi_label_table_of_names_may_lack_labels_of_the_model(tmp_path):
    draw_tree(tmp_path / "pics", {"x": 2})
    table = tmp_path / "table.csv"
    table.write_text("path,labels\npics/x/000.png,red;round\npics/x/001.png,red\n")
    said = SourceSettings(labels_are="multi-label")
    dataset = SourceDataset(table, ["red", "big", "round"], settings=said)
    assert _labels(dataset) == {"pics/x/000.png": {"red", "round"}, "pics/x/001.png": {"red"}}
    assert "No picture has 1 label of the model: big." in dataset.remarks


def test_class_folders_are_sets_of_one_label_for_a_multi_label_model(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"b": 2, "a": 1})
    dataset = SourceDataset(pics, ["c", "b", "a"], settings=SourceSettings(labels_are="multi-label"))
    assert _labels(dataset) == {"a/000.png": {"a"}, "b/000.png": {"b"}, "b/001.png": {"b"}}
