"""A base folder in a bucket: lists from there or from this machine, images from there."""

import shutil

import pytest
from support.images import draw_tree

import hubtune
from hubtune.data.bucket_dataset import BucketDataset
from hubtune.errors import DataError
from hubtune.recipe.load import make_recipe
from hubtune.runs.description import complete_recipe
from hubtune.runs.lists import dataset_of

LISTS = dict.fromkeys(("train", "validate", "test", "labels"))


@pytest.fixture
def base(bucket, tmp_path):
    """Images and their lists in one folder of a bucket; the lists are also on this machine."""
    folder = draw_tree(tmp_path / "pics", {"a": 5, "b": 5})
    hubtune.split(folder, val=1).write(tmp_path / "lists")
    for path in (tmp_path / "lists").iterdir():
        path.write_text(path.read_text().replace("../pics/", ""))
    shutil.copytree(tmp_path / "lists", folder, dirs_exist_ok=True)
    for path in filter(lambda path: path.is_file(), folder.rglob("*")):
        bucket.client.upload_file(str(path), bucket.name, f"base/{path.relative_to(folder).as_posix()}")
    shutil.rmtree(folder)
    return bucket.at("base")


def test_lists_and_images_are_fetched(base):
    dataset = BucketDataset(base, LISTS, complete=False)
    assert dataset.label_list == ["a", "b"] and dataset.address == base
    assert [len(dataset.examples(name)) for name in ("train", "validate", "test")] == [8, 2, 0]
    assert all(entry.path.is_file() for entry in dataset.examples("train"))
    named = BucketDataset(f"{base}/", {**LISTS, "train": "train_list.txt"}, complete=True)
    assert named.list_files["validate"] is None and len(named.examples("train")) == 8


def test_lists_on_this_machine_count_where_they_are_named(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists" / "short.txt").write_text("a/000.png 0\nb/001.png 1\n")
    recipe = make_recipe({"data": {"base": base, "train": "lists/short.txt"}, "module": "smallnet"})
    dataset = dataset_of(recipe, complete=False)
    assert [entry.path.is_file() for entry in dataset.examples("train")] == [True, True]
    assert dataset.lists_folder.samefile(tmp_path / "lists")
    # Another machine finds the same: nothing of this one's cache is in the recipe of the run.
    module = hubtune.Module("smallnet", weights=None)
    written = complete_recipe(tmp_path, module, dataset, hubtune.RunConfig()).data
    assert (written.base, written.train, written.validate_) == (base, "lists/short.txt", "validate_list.txt")


def test_missing_lists_are_named_with_the_address(bucket):
    for place in ("nothing", "base"):
        with pytest.raises(DataError, match=f"There is no list train_list.txt at {bucket.at(place)}"):
            BucketDataset(bucket.at(place), LISTS, complete=False)
