"""Walks through folders as people have them: oddly named, linked, nested, mislaid, divided into parts."""

import sys

import pytest
from support.images import noise_image

from hubtune.data.sources.folder import walk_classes, walk_divided
from hubtune.data.sources.layout import read_layout
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")

PLAIN = ["cat/1.jpg", "cat/2.jpg", "dog/sub/1.jpg"]
DIVIDED = {
    "train/cat/1.jpg": "train",
    "val/cat/2.jpg": "validate",
    "test/dog/3.jpg": "test",
    "train/dog/1.jpg": "train",
}


def names(listing):
    return [file.name for file in listing.files]


def left_out(listing):
    return {entry.path.relative_to(listing.root).as_posix(): entry.reason for entry in listing.left_out}


def parts(listing):
    return {file.name: file.part for file in listing.files}


def refusal(root):
    with pytest.raises(DataError) as caught:
        open_source(root)
    return str(caught.value)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps one of the two forms only")
def test_unicode_forms_of_a_name_sort_alike_and_are_one_class(tmp_path, touch):
    for form in ("é", "e\u0301"):
        root = touch(tmp_path / str(len(form)), f"z/1.png {form}/1.png ea/1.png f/1.png")
        assert walk_classes(root).labels == ["ea", "f", "z", form]
    root = touch(tmp_path / "parts", "train/Käse/1.jpg train/b/1.jpg val/Ka\u0308se/1.jpg")
    assert {file.label for file in walk_divided(root, read_layout(root)).files} == {"Käse", "b"}


def test_odd_class_names_are_used_except_those_that_no_label_list_can_hold(pics):
    place = pics / "cat"
    for name in ("0", "no", "tabby cat", "-x", "虞书欣", "😀", "line\u2028", "train"):
        place = place.rename(pics / name)
        listing = walk_classes(pics)
        assert sum(file.label == name for file in listing.files) == 2
        assert listing.remarks == []
    if sys.platform == "win32":  # which has no such names
        return
    for name, what in (("a\nb", "has a line break"), (" ", "is blank")):
        place = place.rename(pics / name)
        assert refusal(pics) == f"The folder name {name!r} {what}, which a label list cannot hold: rename it"


def test_files_of_systems_are_ignored_and_loose_files_and_a_test_folder_noted(pics, touch):
    touch(pics, ".DS_Store Thumbs.db desktop.ini cat/.DS_Store cat/._000.png __MACOSX/1.png dog/.small/1.png")
    listing = walk_classes(pics)
    assert names(listing) == PLAIN
    assert listing.left_out == listing.non_images == listing.remarks == []
    touch(pics, "loose.png README test/1.png")
    noise_image().save(pics / "IMG_0001", "PNG")
    listing = walk_classes(pics)
    assert names(listing) == [*PLAIN, "test/1.png"]
    assert left_out(listing) == dict.fromkeys(("IMG_0001", "loose.png"), "lies in no class folder")
    assert listing.non_images == [pics / "README"]
    assert walk_classes(pics, skip=pics / "test").labels == ["cat", "dog"]


def test_folders_that_are_not_a_tree_of_classes_are_refused(pics, tmp_path, touch):
    touch(tmp_path, "file zip/data/pics/a/1.png zip/data/pics/b/1.png zip/__MACOSX/1.png one/cat/1.png")
    (tmp_path / "empty").mkdir()
    put = "put the pictures of each class into a folder of its own."
    for folder, message in {
        "gone": "There is no folder {}: give a folder of pictures",
        "file": "{} is a file: give a folder of pictures",
        "empty": f"{{}} has no class folder: {put}",
        "pics/cat": f"{{}} has 2 loose pictures, but no class folder: {put}",
        "zip": "{0} has only one class folder, 'data': did you mean {0}/data/pics?",
        "one": "{} has only one class folder, 'cat'; a classifier needs two",
    }.items():
        with pytest.raises(DataError) as caught:
            walk_classes(tmp_path / folder)
        assert str(caught.value).replace("\\", "/") == message.format((tmp_path / folder).as_posix())


def test_a_divided_folder_has_its_parts_by_all_their_names_and_mistakes_in_it_are_refused(divided, touch):
    before = ["train", "val", "test"]
    for words in (["Training", "Validation", "Testing"], ["train", "dev", "test"], ["train", "val", "test"]):
        for old, new in zip(before, words, strict=True):
            (divided / old).rename(divided / new)
        listing, before = walk_divided(divided, read_layout(divided)), words
        inner = {(name.partition("/")[2], part) for name, part in parts(listing).items()}
        assert inner == {(name.partition("/")[2], part) for name, part in DIVIDED.items()}
        assert listing.labels == ["cat", "dog"]
        assert not listing.left_out
    touch(divided, "val/catt/1.jpg val/cow/1.jpg")
    assert refusal(divided) == (
        f"{divided / 'val' / 'catt'} is of no class of the training folder: rename it, or add training "
        "pictures of it. Did you mean 'cat'? The same is true of cow."
    )
    touch(divided, "valid/cat/1.jpg")
    assert refusal(divided).startswith(f"{divided} has both val and valid: say which")


def test_files_beside_the_parts_are_noted(divided, touch):
    touch(divided, "masks/cat/1.jpg readme.txt loose.jpg train/loose.png")
    listing = walk_divided(divided, read_layout(divided))
    assert parts(listing) == DIVIDED
    assert listing.remarks == [f"{divided} is divided into train, val, test; passed over beside them: masks."]
    assert [*left_out(listing)] == ["loose.jpg", "train/loose.png"]
    assert [path.name for path in listing.non_images] == ["readme.txt"]


def test_the_command_for_a_test_folder_without_classes_is_one_that_works(touch, tmp_path):
    root = touch(tmp_path / "set", "train/cat/1.jpg train/dog/1.jpg test/cat.jpg")
    [remark] = open_source(root).remarks
    assert f"hubtune split {root / 'train'} --test-dir {root / 'test'}" in remark
