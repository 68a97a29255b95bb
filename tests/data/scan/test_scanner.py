"""Scanning trees as people have them: oddly named, damaged, linked, nested, mislaid."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from support.waiting import hang_guard

from hubtune.data.scan.scanner import scan_classes, scan_files, walk_images
from hubtune.errors import DataError

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")


@pytest.fixture
def pics(tmp_path, draw_photos):
    return draw_photos(tmp_path / "pics", {"cat": 3, "dog": 2}, size=8)


def names(scan):
    return {name: [image.name for image in images] for name, images in scan.classes.items()}


def left_out(scan):
    return {entry.path.relative_to(scan.root).as_posix(): entry.reason for entry in scan.left_out}


def refusal(root, **options):
    with pytest.raises(DataError) as caught:
        scan_classes(root, **options)
    return str(caught.value)


def test_a_tree_becomes_classes(pics):
    scan = scan_classes(pics)
    assert names(scan) == {
        "cat": ["cat/000.png", "cat/001.png", "cat/002.png"],
        "dog": ["dog/000.png", "dog/001.png"],
    }
    assert scan.left_out == scan.non_images == scan.renamed == scan.animated == scan.remarks() == []


def test_the_order_of_the_file_system_does_not_matter(pics, monkeypatch):
    expected = scan_classes(pics)
    scandir = os.scandir

    @contextmanager
    def backwards(folder):
        with scandir(folder) as entries:
            yield iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    monkeypatch.setattr(os, "scandir", backwards)
    assert scan_classes(pics) == expected


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps one of the two forms only")
def test_unicode_forms_of_a_name_sort_alike(pics):
    for composed in (True, False):
        root = pics.parent / str(composed)
        for name in ("z", "é" if composed else "e\u0301", "ea", "f"):
            shutil.copytree(pics / "cat", root / name)
    place = [[len(name) for name in scan_classes(pics.parent / str(c)).classes] for c in (True, False)]
    assert place == [[2, 1, 1, 1], [2, 1, 1, 2]]


@pytest.mark.parametrize(
    "name",
    [
        "a b.png",
        "线.png",
        "🌸.png",
        "u\u2028x\x85.png",
        "-x.png",
        "#.png",
        "x" * 251 + ".png",
        "NO.PNG",
        "plain",
    ],
)
def test_odd_file_names_are_used(pics, name):
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "x")
    (pics / "cat" / "x").rename(pics / "cat" / name)
    assert f"cat/{name}" in names(scan_classes(pics))["cat"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_names_that_are_not_utf8_are_used_and_names_with_line_breaks_left_out(pics):
    shutil.copy(pics / "cat" / "000.png", os.fsencode(pics / "cat") + b"/\xff.png")
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "a\nb.png")
    scan = scan_classes(pics)
    assert "cat/\udcff.png" in names(scan)["cat"]
    assert left_out(scan) == {"cat/a\nb.png": "the name has a line break, which a list file cannot hold"}


@pytest.mark.parametrize("name", ["0", "1", "no", "tabby cat", "-x", "虞书欣", "😀", "line\u2028"])
def test_odd_class_names_are_used(pics, name):
    (pics / "dog").rename(pics / name)
    assert len(scan_classes(pics).classes[name]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize(("name", "what"), [("a\nb", "has a line break"), (" ", "is blank")])
def test_class_names_that_no_label_list_can_hold_are_refused(pics, name, what):
    (pics / "dog").rename(pics / name)
    expected = f"The folder name {name!r} {what}, which a label list cannot hold: rename it"
    assert refusal(pics) == expected


def test_what_systems_leave_behind_is_passed_over(pics):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "cat/.DS_Store", "cat/._000.png"):
        (pics / name).write_bytes(b"x")
    shutil.copytree(pics / "cat", pics / "__MACOSX")
    shutil.copytree(pics / "cat", pics / "dog" / ".thumbnails")
    scan = scan_classes(pics)
    assert {name: len(images) for name, images in scan.classes.items()} == {"cat": 3, "dog": 2}
    assert scan.left_out == scan.non_images == []


def test_pictures_in_nested_folders_belong_to_the_class(pics):
    shutil.copytree(pics / "cat", pics / "dog" / "deep" / "deeper")
    assert "dog/deep/deeper/000.png" in names(scan_classes(pics))["dog"]


def test_unreadable_files_are_named_with_the_reason(pics):
    for name, content in {
        "zero.jpg": b"",
        "page.jpg": b"<html>",
        "x.heic": b"\0\0\0\x18ftypheic",
        "cut.png": (pics / "cat" / "000.png").read_bytes()[:100],
        "notes.txt": b"notes",
        "clip.mp4": b"\0\0\0\x18ftypisom",
        "all.zip": b"PK\3\4",
    }.items():
        (pics / "cat" / name).write_bytes(content)
    scan = scan_classes(pics)
    assert left_out(scan) == {
        "cat/cut.png": "damaged picture (the file ends too early)",
        "cat/page.jpg": "not a picture, but an HTML page",
        "cat/x.heic": "a HEIC picture, which cannot be read here: convert it to JPEG",
        "cat/zero.jpg": "empty file (0 bytes)",
    }
    assert scan.remarks() == [
        "3 files are not pictures (ignored): cat/all.zip, cat/clip.mp4, cat/notes.txt."
    ]


def test_a_loose_picture_without_extension_is_left_out_and_no_stray(pics):
    shutil.copy(pics / "cat" / "000.png", pics / "IMG_0001")
    (pics / "README").write_text("notes")
    scan = scan_classes(pics)
    assert left_out(scan) == {"IMG_0001": "lies in no class folder"}
    assert scan.non_images == [pics / "README"]


def test_pictures_in_no_class_folder_are_left_out_by_name(pics):
    shutil.copy(pics / "cat" / "000.png", pics / "loose.png")
    (pics / "readme.md").write_text("x")
    scan = scan_classes(pics)
    assert left_out(scan) == {"loose.png": "lies in no class folder"}
    assert scan.non_images == [pics / "readme.md"]


def test_wrong_extensions_and_animations_are_used_and_told(pics):
    (pics / "cat" / "000.png").rename(pics / "cat" / "000.jpg")
    Image.open(pics / "cat" / "001.png").save(pics / "cat" / "ok.jfif", "JPEG")
    frames = [Image.new("L", (4, 4), colour) for colour in (0, 255)]
    frames[0].save(pics / "dog" / "a.gif", save_all=True, append_images=frames[1:])
    scan = scan_classes(pics)
    assert scan.remarks() == [
        "1 file has another format than its name says (used): cat/000.jpg.",
        "1 file has several frames (the first is used): dog/a.gif.",
    ]
    assert (len(scan.classes["cat"]), len(scan.classes["dog"])) == (4, 3)


def test_a_test_folder_among_classes_is_asked_about(pics):
    shutil.copytree(pics / "cat", pics / "test")
    assert scan_classes(pics).remarks() == [
        "The folder 'test' counts as a class; if it holds test pictures of the others: "
        f"--test-dir {pics / 'test'}."
    ]
    assert list(scan_classes(pics, skip=pics / "test").classes) == ["cat", "dog"]


@needs_links
def test_links_within_the_tree_are_left_out_and_circles_do_no_harm(pics):
    (pics / "cat" / "circle").symlink_to(pics)
    (pics / "alias").symlink_to(pics / "cat")
    (pics / "dog" / "same.png").symlink_to(pics / "cat" / "000.png")
    (pics / "dog" / "gone.png").symlink_to("nowhere")
    scan = scan_classes(pics)
    assert {name: len(images) for name, images in scan.classes.items()} == {"cat": 3, "dog": 2}
    assert left_out(scan) == {
        "alias": "link to a place in the same tree",
        "cat/circle": "link to a place in the same tree",
        "dog/same.png": "link to a place in the same tree",
        "dog/gone.png": "link to a file that is not there",
    }


@needs_links
def test_links_out_of_the_tree_and_to_hidden_places_are_followed(pics, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(pics / "cat", store)
    (store / "up").symlink_to(tmp_path)
    (pics / "bird").symlink_to(store)
    hidden = pics / ".git" / "annex"
    hidden.mkdir(parents=True)
    shutil.copy(pics / "cat" / "000.png", hidden / "object")
    (pics / "dog" / "annexed.png").symlink_to(hidden / "object")
    scan = scan_classes(pics)
    assert names(scan)["bird"] == ["bird/000.png", "bird/001.png", "bird/002.png"]
    assert "dog/annexed.png" in names(scan)["dog"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_named_pipe_does_not_hang_the_scan(pics):
    os.mkfifo(pics / "cat" / "pipe.jpg")
    with hang_guard():
        assert left_out(scan_classes(pics)) == {"cat/pipe.jpg": "not a regular file"}


def test_a_folder_that_cannot_be_opened_is_named(pics, monkeypatch):
    # Not by chmod: the tests may run as root, whom it does not stop.
    (pics / "cat" / "locked").mkdir()
    scandir = os.scandir

    def guarded(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert left_out(scan_classes(pics)) == {"cat/locked": "folder cannot be opened (Permission denied)"}
    (pics.parent / "locked").mkdir()
    expected = f"{pics.parent / 'locked'} cannot be opened (Permission denied): allow reading it"
    assert refusal(pics.parent / "locked") == expected


def test_roots_that_are_no_tree_are_refused(pics, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    expected = f"There is no folder {tmp_path / 'gone'}: give a folder of pictures"
    assert refusal(tmp_path / "gone") == expected
    assert refusal(tmp_path / "file") == f"{tmp_path / 'file'} is a file: give a folder of pictures"
    put = "put the pictures of each class into a folder of its own"
    assert refusal(tmp_path / "empty") == f"{tmp_path / 'empty'} has no class folder: {put}"
    expected = f"{pics / 'cat'} has 3 loose pictures, but no class folder: {put}"
    assert refusal(pics / "cat") == expected


def test_one_class_is_refused_with_the_folder_that_was_meant(pics, tmp_path):
    root = tmp_path / "unzipped"
    shutil.copytree(pics, root / "data" / "pics")
    (root / "__MACOSX").mkdir()
    expected = f"{root} has only one class folder, 'data': did you mean {root / 'data' / 'pics'}?"
    assert refusal(root) == expected
    shutil.rmtree(pics / "dog")
    assert refusal(pics) == f"{pics} has only one class folder, 'cat'; a classifier needs two"


def test_a_tree_that_is_divided_already_is_refused_with_what_to_do(pics, tmp_path):
    root = tmp_path / "ready"
    for name in ("train", "val", "test"):
        shutil.copytree(pics, root / name)
    (root / "annotations").mkdir()
    assert refusal(root) == (
        f"{root} is divided into test, train, val already. To split its training pictures: "
        f"hubtune split {root / 'train'} --test-dir {root / 'test'}"
    )


def test_train_may_be_a_class(pics):
    (pics / "dog").rename(pics / "train")
    assert list(scan_classes(pics).classes) == ["cat", "train"]


def test_classes_without_a_picture_are_refused_with_what_lies_there(pics):
    (pics / "cow").mkdir()
    (pics / "eel").mkdir()
    assert refusal(pics) == (
        f"{pics / 'cow'} holds no picture that can be used: fill the folder, or remove it. "
        "The same holds for eel."
    )
    (pics / "eel" / "deep").mkdir()
    (pics / "eel" / "deep" / "bad.jpg").touch()
    (pics / "cow").rmdir()
    assert "(1 file left out, first deep/bad.jpg: empty file (0 bytes))" in refusal(pics)
    shutil.rmtree(pics / "eel")
    (pics / "cow").mkdir()
    (pics / "cow" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert refusal(pics) == (
        f"{pics / 'cow'} holds no picture that can be used (1 file left out, first a.heic: "
        "a HEIC picture, which cannot be read here: convert it to JPEG): fill the folder, or remove it."
    )


def test_progress_counts_up_to_all_files(pics):
    seen = []
    scan_classes(pics, advance=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 5) for number in range(1, 6)]


def test_a_flat_folder_is_scanned_whatever_its_folders_mean(pics):
    scan = scan_files(pics)
    assert [image.name for image in scan.classes[""]] == [
        "cat/000.png",
        "cat/001.png",
        "cat/002.png",
        "dog/000.png",
        "dog/001.png",
    ]


def test_of_what_names_promise_to_be_a_picture_no_file_is_opened(pics, monkeypatch):
    (pics / "cat" / "empty.JPG").touch()
    (pics / ".hidden.jpg").touch()
    monkeypatch.setattr("hubtune.data.images.verify.open_image", None)
    expected = ["cat/000.png", "cat/001.png", "cat/002.png", "cat/empty.JPG", "dog/000.png", "dog/001.png"]
    assert [file.name for file in walk_images(pics).files] == expected


def test_pictures_are_known_by_their_first_bytes_where_names_promise_nothing(pics):
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
        (pics / "dog" / name).write_bytes(content)
    listing = walk_images(pics)
    expected = ["cat/002.png", "cat/IMG_0001", "cat/photo.png_large"]
    expected += ["dog/000.png", "dog/001.png", "dog/cut", "dog/live"]
    assert [file.name for file in listing.files] == expected
    strays = ["all.zip", "clip.mp4", "empty", "notes.txt", "table.csv"]
    assert [path.name for path in listing.non_images] == strays


def test_files_of_one_name_in_many_folders_are_told_apart(pics):
    for folder in (pics / "cat" / "a" / "b", pics / "dog" / "c"):
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("notes")
        shutil.copy(pics / "cat" / "000.png", folder / "photo.jpg")
    assert scan_classes(pics).remarks() == [
        "2 files are not pictures (ignored): cat/a/b/notes.txt, dog/c/notes.txt.",
        "2 files have other formats than their names say (used): cat/a/b/photo.jpg, dog/c/photo.jpg.",
    ]


def test_scanning_writes_nothing(pics):
    before = sorted((path, path.stat().st_mtime_ns) for path in pics.rglob("*"))
    scan_classes(pics)
    assert sorted((path, path.stat().st_mtime_ns) for path in pics.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no paths so long")
def test_folders_may_be_nested_deeper_than_calls(pics):
    deep = pics / "cat"
    for _ in range(1010):
        deep /= "d"
        deep.mkdir()
    shutil.copy(pics / "cat" / "000.png", deep)
    try:
        assert len(scan_classes(pics).classes["cat"]) == 4
    finally:
        # Here, as pytest goes by recursion, too.
        (deep / "000.png").unlink()
        for folder in [deep, *deep.parents][:1010]:
            folder.rmdir()
