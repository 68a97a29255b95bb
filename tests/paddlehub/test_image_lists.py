"""PaddleHub's data sets are described by files, and give examples as pairs of text."""

import os

import pytest
from support.paddlehub_task import Lists
from support.split_folder import draw_split

import hubtune.paddlehub as hub
from hubtune.errors import DataError, UsageError
from hubtune.paddlehub.image_lists import listed


@pytest.fixture
def base(tmp_path):
    return draw_split(tmp_path / "data", {"a": 6, "b": 6}, validate=1, test=1)


def test_a_data_set_has_paddlehubs_accessors(base):
    dataset = Lists(str(base))
    assert dataset.base_path + "/x" == f"{base}/x"
    path, label = dataset.get_train_examples()[-1]
    assert (path.startswith(f"{base}/pics/b/"), label) == (True, "1")
    assert len(dataset.train_examples) == 8
    assert dataset.dev_examples == dataset.get_dev_examples() == dataset.get_val_examples()
    assert dataset.get_examples("val") == dataset.get_examples("dev") == [*dataset.validate_data()]
    assert dataset.test_examples == dataset.get_test_examples() == [*dataset.test_data()]
    assert (dataset.get_labels(), dataset.num_labels) == (["a", "b"], 2)
    assert dataset.label_dict() == {0: "a", 1: "b"}
    assert dataset.predict_examples == dataset.get_predict_examples() == []
    assert str(dataset) == "Dataset: Lists with 8 train examples, 2 dev examples and 2 test examples"
    with pytest.raises(UsageError, match="There is no phase 'no'"):
        dataset.get_examples("no")
    with pytest.raises(AttributeError, match="has no 'get_train_records': it belongs to data sets of text"):
        dataset.get_train_records()


def test_given_names_take_precedence_over_a_file_of_names(base):
    dataset = hub.BaseCVDataset(
        base, "train_list.txt", label_list_file="nothing.txt", label_list=["first", "second"]
    )
    assert dataset.label_list == ["first", "second"]


def test_an_old_data_set_sets_its_attributes_in_any_order(base):
    class Old(hub.ImageClassificationDataset):
        def __init__(self):
            super().__init__()
            self.num_labels = 2
            self.label_list = ["x", "y"]
            self.train_list_file = "train_list.txt"
            self.base_path = str(base)

    dataset = Old()
    assert (dataset.num_labels, dataset.label_dict()) == (2, {0: "x", 1: "y"})
    assert len([*dataset.train_data()]) == 8
    dataset.train_list_file = "test_list.txt"
    assert len(dataset.get_train_examples()) == 2


def test_paths_of_windows_are_found(base, monkeypatch):
    (base / "txt").mkdir()
    for name in ("train_list.txt", "label_list.txt"):
        text = (base / name).read_text(encoding="utf-8").replace("/", "\\")
        (base / "txt" / name).write_text(text, encoding="utf-8", newline="\r\n")
    (base / "pics" / "a").mkdir(exist_ok=True)
    monkeypatch.chdir(base / "pics")
    dataset = hub.BaseCVDataset("..\\..\\data", "txt\\train_list.txt", label_list_file="txt\\label_list.txt")
    paths = [path for path, _ in dataset.get_train_examples()]
    assert len(paths) == 8
    assert all(map(os.path.exists, paths))


def test_what_is_no_data_set_is_refused(base):
    for dataset, kind, message in (
        (hub.BaseCVDataset(base), UsageError, "BaseCVDataset names no list: give it a train_list_file"),
        (
            hub.ImageClassificationDataset(),
            UsageError,
            "has no base_path: set the folder that its lists start",
        ),
        (Lists(base / "gone"), DataError, "There is no .*gone"),
    ):
        with pytest.raises(kind, match=message):
            dataset.get_labels()
    with pytest.raises(UsageError, match=r"has no argument 'predict_file'\. Did you mean 'predict_list"):
        hub.BaseCVDataset(base, predict_file="list.txt")
    with pytest.raises(UsageError, match="data must be a BaseCVDataset, not a list"):
        listed([], "data")
    with pytest.raises(UsageError, match="Own reads lists by code of its own, which hubtune does not call"):
        type("Own", (hub.BaseCVDataset,), {"_read_file": lambda self, path: []})


@pytest.mark.parametrize("name", ["get_train_examples", "train_data", "_load_dev_examples", "test_examples"])
def test_examples_of_a_scripts_own_are_refused(base, name):
    with pytest.raises(UsageError, match="Own reads lists by code of its own, which hubtune does not call"):
        type("Own", (Lists,), {name: lambda self: []})
    with pytest.raises(UsageError, match="The examples of a Lists are those of its lists: write lists"):
        Lists(base).train_examples = []
