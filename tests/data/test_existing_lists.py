"""Lists that exist: found for the images that they name, checked, and divided into folds."""

import os
import shutil
from functools import cached_property
from pathlib import Path

import pytest
from support.archives import zipped
from support.images import draw_tree

import hubtune
from hubtune.data.dataset import BaseCVDataset
from hubtune.data.existing_lists import check_lists, find_lists, folds_of_lists, folds_of_source
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.data.lists import Lists
from hubtune.data.splits.files import write_folds
from hubtune.errors import DataError, UsageError


@pytest.fixture
def pics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pics = draw_tree(tmp_path / "pics", {"cat": 9, "dog": 9}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "copy.png")
    return pics


def test_lists_are_found_beside_their_images_in_the_folder_itself_and_for_an_archive(pics):
    archive = zipped(pics)
    assert find_lists("pics") is find_lists("pics.zip") is None
    hubtune.split("pics").write(".")
    split = hubtune.split("pics.zip")
    split.write("pics-lists")
    assert find_lists("pics") == find_lists(".") == Path()
    assert find_lists(str(pics)) == pics.parent
    draw_tree(Path("others"), {"cat": 2, "dog": 2})
    assert find_lists("others") is None  # the lists beside it name other images
    cached = split.lists["train"][0].path
    shutil.rmtree(next(path for path in cached.parents if path.parent.name == "unpacked"))
    for _ in range(2):
        assert find_lists(archive.name) == Path("pics-lists")
        assert cached.is_file()  # the images are brought back into the cache


def test_an_emptied_training_list_is_named_and_not_made_again(pics):
    hubtune.split("pics", val=2).write(".")
    Path("train_list.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train_list.txt is empty: bring its lines back, or remove it"):
        find_lists("pics")
    draw_tree(Path("others"), {"cat": 2, "dog": 2})
    assert find_lists("others") is None  # the validation list names other images
    Path("train_list.txt").write_bytes("\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"train_list.txt is empty"):
        find_lists("pics")
    Path("train_list.txt").unlink()
    assert find_lists("pics") is None


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode on Windows")
def test_lists_with_names_in_another_encoding_are_not_empty(pics):
    image = next(pics.glob("*/*"))
    shutil.copy(image, image.with_name(os.fsdecode(b"\xff.png")))
    hubtune.split("pics", val=2).write(".")
    assert find_lists("pics") == Path()


def held_out(folds):
    return [sorted("/".join(image.path.parts[-2:]) for image in fold.lists["validate"]) for fold in folds]


def test_folds_hold_out_every_image_once_with_its_copies_and_are_read_back(pics):
    folds, pool = folds_of_source("pics", 3, seed=1)
    names = [image.name for fold in folds for image in fold.lists["validate"]]
    assert sorted(names) == sorted(image.name for image in pool.lists["train"])
    assert all(len({"cat/000.png", "cat/copy.png"} & {*names}) != 1 for names in held_out(folds))
    write_folds(folds, Path(), {"seed": 1})
    again, _ = folds_of_source("pics", 3, seed=7)
    assert held_out(again) == held_out(folds)
    with pytest.raises(UsageError, match="has lists of 3 folds: take --folds 3, or make others"):
        folds_of_source("pics", 2, seed=1)


class LabelledLists(BaseCVDataset):
    """Three sets of labels, of which the lists lack the second."""

    def __init__(self, pics):
        super().__init__(pics.parent, "train_list.txt", "validate_list.txt")
        self._pics = pics

    @cached_property
    def _lists(self):
        sets = LabelSets.of(["red", "round"], [(0,), (1,), (0, 1)])
        train = [("cat", 1), ("dog", 0), ("cat", 0), ("dog", 1)]
        own = {"train": train, "validate": [("cat", 2), ("dog", 2)]}
        numbers = {"cat": 1, "dog": 2}
        examples = {
            name: [ImageEntry(self._pics / folder / f"00{n}.png", numbers[folder]) for folder, n in rows]
            for name, rows in own.items()
        }
        return Lists(sets.names, examples, label_sets=sets)

    def _check_exists(self, file):
        pass


def test_lists_of_several_labels_are_checked_and_divided_into_folds(pics):
    dataset = LabelledLists(pics)
    assert dataset.class_names == ["red", "red + round", "round"]
    shutil.copy(pics / "cat" / "001.png", pics / "dog" / "002.png")
    split = check_lists(dataset)
    assert split.label_sets == LabelSets.of(["red", "round"], [(0, 1), (1,)])
    assert split.labels == ["red + round", "round"]
    assert split.counts() == {
        "red": {"train": 2, "validate": 1, "test": 0, "left_over": 0},
        "round": {"train": 4, "validate": 2, "test": 0, "left_over": 0},
    }
    assert [leak.image.name for leak in split.leaks] == ["pics/dog/002.png"]
    assert any("has different labels" in remark for remark in split.remarks)
    folds, pool = folds_of_lists(dataset, 2, seed=0)
    assert pool.label_sets == split.label_sets
    tested = sorted(image.name for fold in folds for image in fold.lists["validate"])
    assert tested == [f"pics/{name}.png" for name in ("cat/000", "cat/002", "dog/000", "dog/001")]
    assert pool.remarks[-1] == (
        "In training in every fold: 2 pictures, which are copies with different labels."
    )
