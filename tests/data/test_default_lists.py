"""Lists and label files are found by the names of other programs, if they are what the names say."""

import pytest

from hubtune.data.dataset import ListDataset
from hubtune.data.default_lists import find_default, has_lists, label_file_beside


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").touch()
    return tmp_path


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["label_list", "labels", "labellist", "label", "classes"])
def test_class_names_are_found_under_all_names(folder, name):
    write(folder, train_list="images/1.jpg 0\n", **{name: "\n0 cat\n1 dog\n"})
    assert label_file_beside(folder / "train_list.txt") == f"{name}.txt"
    assert ListDataset(folder).label_list == ["cat", "dog"]


def test_paddlex_3_calls_its_lists_so(folder):
    write(folder, train="images/1.jpg 1\n", val="images\\1.jpg 1\n", label="0 cat\n1 dog\n")
    assert has_lists(folder)
    dataset = ListDataset(folder)
    assert [dataset.list_files[name].name for name in ("train", "validate")] == ["train.txt", "val.txt"]
    assert dataset.examples("train")[0].label == 1


def test_a_list_is_known_although_its_first_picture_is_gone(folder):
    write(folder, train="gone.jpg 0\n\nimages/1.jpg 1\n")
    assert find_default(folder, "train").name == "train.txt"


def test_files_of_other_content_are_none(folder):
    write(folder, train="these are my notes\n", classes="images/1.jpg 0\n", label="")
    assert not has_lists(folder)
    assert find_default(folder, "labels").name == "label.txt"  # an empty one is reported when it is read
    write(folder, train_list="gone.jpg 0\n")  # which nothing else is called
    assert find_default(folder, "train").name == "train_list.txt"


def test_a_list_is_not_its_own_label_file(folder):
    write(folder, label="images/1.jpg 0\n", classes="cat\n")
    assert label_file_beside(folder / "label.txt") == "classes.txt"
    (folder / "classes.txt").unlink()
    assert label_file_beside(folder / "label.txt") is None
