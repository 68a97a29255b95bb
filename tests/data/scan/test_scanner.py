"""Scans: which files are images, which are left out, and what is reported."""

import os
import shutil
import sys

import pytest
from PIL import Image
from support.waiting import hang_guard

from hubtune.data.scan.scanner import scan_classes, scan_files
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


@pytest.mark.parametrize(
    "name",
    ["a b.png", "线.png", "🌸.png", "u\u2028x\x85.png", "-x.png", "#.png", "x" * 251 + ".png", "NO.PNG", "x"],
)
def test_odd_file_names_are_used(pics, name):
    (pics / "cat" / "000.png").rename(pics / "cat" / name)
    assert f"cat/{name}" in names(scan_classes(pics))["cat"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_names_that_are_not_utf8_are_used_and_names_with_line_breaks_left_out(pics):
    shutil.copy(pics / "cat" / "000.png", os.fsencode(pics / "cat") + b"/\xff.png")
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "a\nb.png")
    scan = scan_classes(pics)
    assert "cat/\udcff.png" in names(scan)["cat"]
    assert left_out(scan) == {"cat/a\nb.png": "the name has a line break, which a list file cannot hold"}


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
    assert scan.remarks() == ["3 files are not pictures (ignored): cat/all.zip, cat/clip.mp4, cat/notes.txt."]


def test_wrong_extensions_and_animations_are_used_and_reported(pics):
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_named_pipe_does_not_hang_the_scan(pics):
    os.mkfifo(pics / "cat" / "pipe.jpg")
    with hang_guard():
        assert left_out(scan_classes(pics)) == {"cat/pipe.jpg": "not a regular file"}


def test_empty_classes_are_refused_with_the_files_left_out(pics):
    (pics / "cow").mkdir()
    (pics / "eel").mkdir()
    assert refusal(pics) == (
        f"{pics / 'cow'} has no picture that can be used: fill the folder, or remove it. "
        "The same is true of eel."
    )
    (pics / "eel" / "deep").mkdir()
    (pics / "eel" / "deep" / "bad.jpg").touch()
    (pics / "cow").rmdir()
    assert "(1 file left out, first deep/bad.jpg: empty file (0 bytes))" in refusal(pics)
    shutil.rmtree(pics / "eel")
    (pics / "cow").mkdir()
    (pics / "cow" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert refusal(pics) == (
        f"{pics / 'cow'} has no picture that can be used (1 file left out, first a.heic: "
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


def test_files_are_reported_by_their_path_in_the_source(pics):
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
