"""Images and classes that were added after a split are named; everything else is not."""

import json
import os
import shutil

import pytest
from support.images import draw_tree

import hubtune
from hubtune.data.dataset import ListDataset
from hubtune.data.unlisted import find_unlisted


@pytest.fixture
def pics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pics = draw_tree(tmp_path / "pics", {"cat": 4, "dog": 4}, size=24, noise=90)
    (pics / "cat" / "broken.png").touch()
    hubtune.split("pics", val=1, train=2).write("lists")
    return pics


def test_what_the_lists_have_or_left_out_is_not_named(pics):
    assert find_unlisted(ListDataset(pics.parent / "lists")) is None
    (pics / "cat" / "notes.txt").write_text("no image")
    assert find_unlisted(ListDataset(pics.parent / "lists")) is None


def test_new_images_and_classes_are_named_with_the_command(pics):
    shutil.copytree(pics / "dog", pics / "fox")
    shutil.copy(pics / "dog" / "000.png", pics / "cat" / "more.png")
    assert find_unlisted(ListDataset(pics.parent / "lists")) == (
        "pics has 5 pictures, and the class 'fox', that are in no list: hubtune split pics --force makes "
        "lists with them"
    )


def test_a_folder_is_read_as_it_was_for_its_lists(pics):
    draw_tree(pics.parent / "set" / "one", {"a": 3, "b": 3}, seed=1)
    draw_tree(pics.parent / "set" / "two", {"a": 2}, seed=2)
    draw_tree(pics.parent / "set" / "rest", {"x": 2}, seed=3)
    hubtune.split("set", val=1, parts={"train": "one", "test": "two"}).write("divided")
    assert find_unlisted(ListDataset(pics.parent / "divided")) is None
    draw_tree(pics.parent / "set" / "two", {"b": 1}, seed=4)
    assert "set has 1 picture that is in no list" in find_unlisted(ListDataset(pics.parent / "divided"))


def test_another_folder_of_that_name_and_foreign_records_say_nothing(pics, tmp_path):
    shutil.copytree(pics, tmp_path / "elsewhere" / "pics")
    os.chdir(tmp_path / "elsewhere")
    assert find_unlisted(ListDataset(tmp_path / "lists")) is None
    for record in ('{"options": 1}', '{"options": {"pictures": "pics", "parts": 7}, "left_out": [1]}'):
        (tmp_path / "lists" / "split.json").write_text(record)
        assert find_unlisted(ListDataset(tmp_path / "lists"), "pics") is None


def test_images_and_folders_beside_those_of_other_lists_are_named(pics):
    (pics / "train_list.txt").write_text("cat/000.png 0\ncat/001.png 0\ndog/000.png 1\n")
    (pics / "cat" / "broken.png").unlink()
    for path in ("cat/002.png", "cat/003.png", "dog/001.png", "dog/002.png"):
        (pics / path).unlink()
    dataset = ListDataset(pics)
    assert find_unlisted(dataset) == f"{pics} has 1 picture that is in no list."
    shutil.copytree(pics / "dog", pics / "fox")
    (pics / "docs").mkdir()
    assert find_unlisted(dataset) == f"{pics} has 1 picture, and the folder 'fox', that are in no list."


def test_of_several_labels_the_pictures_are_counted(pics):
    record = json.loads((pics.parent / "lists" / "split.json").read_text())
    left = sum(own["left_over"] for own in record["counts"].values())
    record |= {"multi_label": True, "images": {"left_over": left}}
    (pics.parent / "lists" / "split.json").write_text(json.dumps(record))
    assert left and find_unlisted(ListDataset(pics.parent / "lists")) is None
    shutil.copy(pics / "dog" / "000.png", pics / "cat" / "more.png")
    assert find_unlisted(ListDataset(pics.parent / "lists")) == (
        "pics has 1 picture that is in no list: hubtune split pics --force makes lists with them"
    )
