"""Data sets of list files, the way PaddleHub scripts use them."""

import pytest

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError

FILES = {
    "train_list.txt": "pics/a/1.jpg 0\npics/b/1.jpg 1\n",
    "validate_list.txt": "pics/a/2.jpg 0\n",
    "test_list.txt": "pics/b/3.jpg 1\n",
    "predict_list.txt": "pics/b/3.jpg\n",
    "label_list.txt": "虞书欣\nb\n",
}


class Idols(BaseCVDataset):
    """As in PaddleHub's tutorial: only ``__init__``."""

    def __init__(self, base):
        self.dataset_dir = base
        super(Idols, self).__init__(  # noqa: UP008  # as old scripts write it
            base_path=self.dataset_dir, **{file.removesuffix(".txt") + "_file": file for file in FILES}
        )


@pytest.fixture
def base(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


def test_a_subclass_with_only_init_gives_all_a_task_needs(base):
    idols = Idols(str(base))
    assert idols.num_labels == 2
    assert idols.label_dict() == {0: "虞书欣", 1: "b"}
    train = [ImageEntry(base / "pics/a/1.jpg", 0), ImageEntry(base / "pics/b/1.jpg", 1)]
    assert idols.get_train_examples() == train
    assert idols.get_dev_examples() == [ImageEntry(base / "pics/a/2.jpg", 0)]
    assert idols.get_test_examples() == [ImageEntry(base / "pics/b/3.jpg", 1)]
    assert idols.get_predict_examples() == [base / "pics/b/3.jpg"]


def test_the_ready_made_data_set_finds_the_lists_of_split_and_paddleclas(base):
    dataset = ListDataset(base)
    assert [len(dataset.examples(name)) for name in LIST_NAMES] == [2, 1, 1]
    assert dataset.label_list == ["虞书欣", "b"]
    (base / "validate_list.txt").rename(base / "val_list.txt")
    (base / "test_list.txt").unlink()
    (base / "label_list.txt").write_text("0 a\n1 b\n", "utf-8")
    dataset = ListDataset(base)
    assert [len(dataset.examples(name)) for name in LIST_NAMES] == [2, 1, 0]
    assert dataset.label_list == ["a", "b"]


def test_lists_that_are_not_given_are_empty_and_missing_ones_named(base):
    dataset = BaseCVDataset(base, train_list_file="train_list.txt", label_list=["x", "y"])
    assert dataset.get_dev_examples() == dataset.get_test_examples() == dataset.get_predict_examples() == []
    (base / "test_list.txt").write_text("c.jpg 4\n", "utf-8")
    (base / "words.txt").write_text("a.jpg cat\n", "utf-8")
    assert BaseCVDataset(base, "words.txt").label_list == ["cat"]
    numbers = BaseCVDataset(base, "train_list.txt", "validate_list.txt", "test_list.txt")
    assert numbers.label_list == ["0", "1", "4"]
    gone = base / "gone"
    for call, message in (
        (lambda: Idols(gone).label_list, f"There is no {gone / 'label_list.txt'}"),
        (Idols(gone).get_predict_examples, f"There is no {gone / 'predict_list.txt'}"),
        (ListDataset(gone, label_list=["a"]).get_train_examples, f"There is no {gone / 'train_list.txt'}"),
        (
            lambda: BaseCVDataset(base, label_list_file="label_list.txt", label_list=["a"]),
            "Give one of label_list and label_list_file",
        ),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value).startswith(message)
