"""Lists that exist: found for the images that they name, checked, and divided into folds."""

import shutil
from pathlib import Path

import pytest
from support.archives import zipped
from support.images import draw_tree

import hubtune
from hubtune.data.existing_lists import find_lists, folds_of_source
from hubtune.data.splits.files import write_folds
from hubtune.errors import UsageError


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
