"""Walks through folders as people have them: oddly named, linked, nested, mislaid, divided into parts."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.images import draw_tree

from hubtune.data.listing import Listing
from hubtune.data.sources.folder import is_divided, walk_classes, walk_divided, walk_images
from hubtune.errors import DataError

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")


def touch(root: Path, names: str) -> Path:
    """Make empty files; a walk opens no file of a usual name."""
    for name in names.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def pics(tmp_path):
    return touch(tmp_path / "pics", "cat/0.png cat/1.png cat/2.png dog/0.png dog/1.png")


@pytest.fixture
def divided(tmp_path):
    return touch(tmp_path / "parts", "train/cat/1.jpg train/dog/1.jpg val/cat/2.jpg test/dog/3.jpg")


DIVIDED = {
    "train/cat/1.jpg": "train",
    "val/cat/2.jpg": "validate",
    "test/dog/3.jpg": "test",
    "train/dog/1.jpg": "train",
}


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


def left_out(listing: Listing) -> dict[str, str]:
    return {entry.path.relative_to(listing.root).as_posix(): entry.reason for entry in listing.left_out}


def parts(listing: Listing) -> dict[str, str | None]:
    return {file.name: file.part for file in listing.files}


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        (walk_divided if is_divided(root) else walk_classes)(root)
    return str(caught.value)


def test_the_order_of_the_file_system_does_not_matter(pics, monkeypatch):
    expected = walk_classes(pics)
    scandir = os.scandir

    @contextmanager
    def backwards(folder):
        with scandir(folder) as entries:
            yield iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    monkeypatch.setattr(os, "scandir", backwards)
    assert walk_classes(pics) == expected


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps one of the two forms only")
def test_unicode_forms_of_a_name_sort_alike(tmp_path):
    for form in ("é", "e\u0301"):
        root = touch(tmp_path / str(len(form)), f"z/1.png {form}/1.png ea/1.png f/1.png")
        assert walk_classes(root).labels == ["ea", "f", "z", form]


@pytest.mark.parametrize("name", ["0", "no", "tabby cat", "-x", "虞书欣", "😀", "line\u2028", "train"])
def test_odd_class_names_are_used(pics, name):
    (pics / "dog").rename(pics / name)
    listing = walk_classes(pics)
    assert sum(file.label == name for file in listing.files) == 2
    assert listing.remarks == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize(("name", "what"), [("a\nb", "has a line break"), (" ", "is blank")])
def test_class_names_that_no_label_list_can_hold_are_refused(pics, name, what):
    (pics / "dog").rename(pics / name)
    assert refusal(pics) == (f"The folder name {name!r} {what}, which a label list cannot hold: rename it")


def test_files_of_systems_are_ignored_and_nested_folders_belong_to_their_class(pics):
    before = names(walk_classes(pics))
    touch(pics, ".DS_Store Thumbs.db desktop.ini cat/.DS_Store cat/._000.png __MACOSX/1.png dog/.small/1.png")
    listing = walk_classes(pics)
    assert names(listing) == before
    assert listing.left_out == listing.non_images == []
    touch(pics, "dog/deep/deeper/0.png")
    assert names(walk_classes(pics)) == [*before, "dog/deep/deeper/0.png"]


def test_loose_files_are_noted(pics):
    touch(pics, "loose.png README")
    draw_tree(pics.parent / "drawn", {"cat": 1})
    shutil.copy(pics.parent / "drawn" / "cat" / "000.png", pics / "IMG_0001")
    listing = walk_classes(pics)
    assert left_out(listing) == {
        "IMG_0001": "lies in no class folder",
        "loose.png": "lies in no class folder",
    }
    assert listing.non_images == [pics / "README"]


def test_a_test_folder_among_classes_is_asked_about(pics):
    touch(pics, "test/1.png")
    assert walk_classes(pics).remarks == [
        "The folder 'test' counts as a class; if it holds test pictures of the others: "
        f"--test-dir {pics / 'test'}."
    ]
    assert walk_classes(pics, skip=pics / "test").labels == ["cat", "dog"]


@needs_links
def test_links_within_the_tree_are_left_out_and_circles_do_no_harm(pics):
    before = names(walk_classes(pics))
    (pics / "cat" / "circle").symlink_to(pics)
    (pics / "alias").symlink_to(pics / "cat")
    (pics / "dog" / "same.png").symlink_to(pics / "cat" / "0.png")
    (pics / "dog" / "broken.png").symlink_to("nowhere")
    listing = walk_classes(pics)
    assert {*names(listing)} == {*before, "dog/broken.png"}  # it gets its reason when it is opened
    same = "link to a place in the same tree"
    assert left_out(listing) == {"alias": same, "cat/circle": same, "dog/same.png": same}


@needs_links
def test_links_out_of_the_tree_and_to_hidden_places_are_followed(pics, tmp_path):
    store = touch(tmp_path / "store", "0.png 1.png")
    (store / "up").symlink_to(tmp_path)
    (pics / "bird").symlink_to(store)
    touch(pics, ".git/annex/object")
    (pics / "dog" / "annexed.png").symlink_to(pics / ".git" / "annex" / "object")
    found = names(walk_classes(pics))
    assert found[:2] == ["bird/0.png", "bird/1.png"]
    assert "dog/annexed.png" in found


def test_a_folder_that_cannot_be_opened_is_named(pics, monkeypatch):
    # Not by chmod: the tests may run as root, whom it does not stop.
    touch(pics, "cat/locked/1.png")
    scandir = os.scandir

    def guarded(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert left_out(walk_classes(pics)) == {"cat/locked": "folder cannot be opened (Permission denied)"}
    (pics.parent / "locked").mkdir()
    expected = f"{pics.parent / 'locked'} cannot be opened (Permission denied): allow reading it"
    assert refusal(pics.parent / "locked") == expected


def test_folders_that_are_not_a_tree_of_classes_are_refused(pics, tmp_path):
    touch(tmp_path, "file unzipped/data/pics/a/1.png unzipped/data/pics/b/1.png unzipped/__MACOSX/1.png")
    (tmp_path / "empty").mkdir()
    put = "put the pictures of each class into a folder of its own"
    root = tmp_path / "unzipped"
    for folder, message in (
        (tmp_path / "gone", f"There is no folder {tmp_path / 'gone'}: give a folder of pictures"),
        (tmp_path / "file", f"{tmp_path / 'file'} is a file: give a folder of pictures"),
        (tmp_path / "empty", f"{tmp_path / 'empty'} has no class folder: {put}"),
        (pics / "cat", f"{pics / 'cat'} has 3 loose pictures, but no class folder: {put}"),
        (root, f"{root} has only one class folder, 'data': did you mean {root / 'data' / 'pics'}?"),
    ):
        assert refusal(folder) == message
    shutil.rmtree(pics / "dog")
    assert refusal(pics) == f"{pics} has only one class folder, 'cat'; a classifier needs two"


def test_a_divided_tree_is_not_a_tree_of_classes(tmp_path):
    root = touch(tmp_path / "ready", "train/1.png val/1.png test/1.png annotations/1.png")
    with pytest.raises(DataError) as caught:
        walk_classes(root)
    assert str(caught.value) == (
        f"{root} is divided into test, train, val already. To split its training pictures: "
        f"hubtune split {root / 'train'} --test-dir {root / 'test'}"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no paths so long")
def test_folders_may_be_nested_deeper_than_calls(pics):
    deep = pics / "cat"
    for _ in range(1010):
        deep /= "d"
        deep.mkdir()
    (deep / "0.png").touch()
    try:
        assert sum(file.label == "cat" for file in walk_classes(pics).files) == 4
    finally:
        # Here, as pytest goes by recursion, too.
        (deep / "0.png").unlink()
        for folder in [deep, *deep.parents][:1010]:
            folder.rmdir()


def test_images_of_usual_names_are_listed_unopened(pics, monkeypatch):
    touch(pics, "cat/empty.JPG .hidden.jpg")
    monkeypatch.setattr("hubtune.data.images.verify.open_image", None)
    expected = ["cat/0.png", "cat/1.png", "cat/2.png", "cat/empty.JPG", "dog/0.png", "dog/1.png"]
    assert names(walk_images(pics)) == expected


def test_images_of_other_names_are_known_by_their_first_bytes(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"cat": 3}, size=8)
    (pics / "cat" / "000.png").rename(pics / "cat" / "IMG_0001")
    (pics / "cat" / "001.png").rename(pics / "cat" / "photo.png_large")
    for name, content in {
        "cut": (pics / "cat" / "002.png").read_bytes()[:20],
        "live": b"\0\0\0\x18ftypheic",
        "empty": b"",
        "notes.txt": b"notes",
        "table.csv": b"path,label\n",
        "clip.mp4": b"\0\0\0\x18ftypisom",
        "all.zip": b"PK\3\4",
    }.items():
        (pics / name).write_bytes(content)
    listing = walk_images(pics)
    assert names(listing) == ["cat/002.png", "cat/IMG_0001", "cat/photo.png_large", "cut", "live"]
    others = ["all.zip", "clip.mp4", "empty", "notes.txt", "table.csv"]
    assert [path.name for path in listing.non_images] == others


def test_a_divided_folder_has_its_parts(divided):
    listing = walk_divided(divided)
    assert parts(listing) == DIVIDED
    assert listing.labels == ["cat", "dog"]
    assert not listing.left_out


@pytest.mark.parametrize("words", ["Training Validation Testing", "train dev test", "train valid test"])
def test_parts_by_their_other_names(divided, words):
    for old, new in zip(("train", "val", "test"), words.split(), strict=True):
        (divided / old).rename(divided / new)
    listing = walk_divided(divided)
    assert {(name.partition("/")[2], part) for name, part in parts(listing).items()} == {
        (name.partition("/")[2], part) for name, part in DIVIDED.items()
    }


def test_an_unknown_class_in_a_part_is_named(divided):
    touch(divided, "val/catt/1.jpg val/cow/1.jpg")
    assert refusal(divided) == (
        f"{divided / 'val' / 'catt'} is of no class of the training folder: rename it, or add training "
        "pictures of it. Did you mean 'cat'? The same is true of cow."
    )


def test_class_names_in_another_unicode_form_are_the_same_class(tmp_path):
    touch(tmp_path, "train/Käse/1.jpg train/b/1.jpg val/Ka\u0308se/1.jpg")
    assert {file.label for file in walk_divided(tmp_path).files} == {"Käse", "b"}


def test_two_folders_for_one_part_are_refused(divided):
    touch(divided, "valid/cat/1.jpg")
    assert refusal(divided).startswith(f"{divided} holds both val and valid")


def test_files_beside_the_parts_are_noted(divided):
    touch(divided, "masks/cat/1.jpg readme.txt loose.jpg train/loose.png")
    listing = walk_divided(divided)
    assert parts(listing) == DIVIDED
    assert listing.remarks == [f"{divided} is divided into train, val, test; passed over beside them: masks."]
    assert [*left_out(listing)] == ["loose.jpg", "train/loose.png"]
    assert [path.name for path in listing.non_images] == ["readme.txt"]


def test_test_images_without_class_folders_are_left_out_with_advice(divided):
    (divided / "test/dog/3.jpg").rename(divided / "test/3.jpg")
    (divided / "test/dog").rmdir()
    listing = walk_divided(divided)
    assert "test" not in parts(listing).values()
    assert [*left_out(listing)] == ["test/3.jpg"]
    assert f"--test-dir {divided / 'test'}" in listing.remarks[0]
