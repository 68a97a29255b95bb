"""Scans: which files are images, which are left out, and what is reported."""

import shutil
import sys

import pytest
from PIL import Image

from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import Listing, SourceFile
from hubtune.data.scan.scanner import scan_classes, scan_files, scan_listing
from hubtune.errors import DataError

NAMES = [f"cat/00{number}.png" for number in range(3)] + ["dog/000.png", "dog/001.png"]


def names(scan):
    return {name: [image.name for image in images] for name, images in scan.classes.items()}


def refusal(root):
    with pytest.raises(DataError) as caught:
        scan_classes(root)
    return str(caught.value)


def test_a_tree_becomes_classes_and_nothing_is_written_into_it(pics):
    before = sorted((path, path.stat().st_mtime_ns) for path in pics.rglob("*"))
    steps = []
    scan = scan_classes(pics, advance=lambda *step: steps.append(step))
    assert names(scan) == {"cat": NAMES[:3], "dog": NAMES[3:]}
    assert scan.left_out == scan.non_images == scan.renamed == scan.animated == scan.remarks() == []
    assert steps == [(number, 5) for number in range(1, 6)]
    assert names(scan_files(pics)) == {"": NAMES}
    assert sorted((path, path.stat().st_mtime_ns) for path in pics.rglob("*")) == before


def test_odd_file_names_are_used(pics):
    for name in ("a b.png", "线.png", "🌸.png", "u\u2028x\x85.png", "-x.png", "#.png", "NO.PNG", "x" * 255):
        shutil.copy(pics / "cat" / "000.png", pics / "cat" / name)
        assert f"cat/{name}" in names(scan_classes(pics))["cat"], name


def test_unreadable_files_are_named_with_the_reason(pics):
    for name, content in {
        "zero.jpg": b"",
        "page.jpg": b"<html>",
        "x.dcm": b"\0" * 128 + b"DICM",
        "cut.png": (pics / "cat" / "000.png").read_bytes()[:100],
        "notes.txt": b"notes",
        "clip.flv": b"FLV\1",
        "all.zip": b"PK\3\4",
    }.items():
        (pics / "cat" / name).write_bytes(content)
    expected = {
        "cat/cut.png": "damaged picture (the file ends too early)",
        "cat/page.jpg": "not a picture, but an HTML page",
        "cat/clip.flv": (
            "not a picture, but a film: save single frames of it, for instance with "
            "`ffmpeg -i FILM -vf fps=1 %05d.png`"
        ),
        "cat/x.dcm": "a DICOM file: convert it to PNG, for instance with `dcm2img` of DCMTK",
        "cat/zero.jpg": "empty file (0 bytes)",
    }
    if sys.platform != "win32":  # which refuses such names
        (pics / "cat" / "000.png").rename(pics / "cat" / "a\nb.png")
        expected["cat/a\nb.png"] = "the name has a line break, which a list file cannot hold"
    scan = scan_classes(pics)
    assert {entry.path.relative_to(pics).as_posix(): entry.reason for entry in scan.left_out} == expected
    assert scan.remarks() == ["2 files are not pictures (ignored): cat/all.zip, cat/notes.txt."]


def test_unusual_files_are_reported_by_their_path_in_the_source(pics):
    for folder in (pics / "cat" / "a" / "b", pics / "dog" / "c"):
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("notes")
        shutil.copy(pics / "cat" / "000.png", folder / "photo.jpg")
    Image.open(pics / "cat" / "001.png").save(pics / "cat" / "ok.jfif", "JPEG")
    frames = [Image.new("L", (4, 4), colour) for colour in (0, 255)]
    frames[0].save(pics / "dog" / "a.gif", save_all=True, append_images=frames[1:])
    scan = scan_classes(pics)
    assert scan.remarks() == [
        "2 files are not pictures (ignored): cat/a/b/notes.txt, dog/c/notes.txt.",
        "2 files have other formats than their names say (used): cat/a/b/photo.jpg, dog/c/photo.jpg.",
        "1 file has several frames (the first is used): dog/a.gif.",
    ]
    assert (len(scan.classes["cat"]), len(scan.classes["dog"])) == (5, 4)


def test_empty_classes_are_refused_with_the_files_left_out(pics):
    (pics / "cow" / "deep").mkdir(parents=True)
    (pics / "eel").mkdir()
    empty = f"{pics / 'cow'} has no picture that can be used"
    assert refusal(pics) == f"{empty}: fill the folder, or remove it. The same is true of eel."
    (pics / "eel").rmdir()
    for name in ("a.dcm", "b"):
        (pics / "cow" / "deep" / name).write_bytes(b"\0" * 128 + b"DICM")
    dicom = "2 DICOM files: convert them to PNG, for instance with `dcm2img` of DCMTK"
    assert refusal(pics) == f"{empty}: {dicom}."
    (pics / "cow" / "zero.jpg").touch()
    assert refusal(pics) == f"{empty} (1 file left out, first zero.jpg: empty file (0 bytes)): {dicom}."


def test_sets_of_labels_without_a_usable_image_are_removed(pics):
    (pics / "cat" / "000.png").write_bytes(b"damaged")
    sets = LabelSets.of(["red", "round"], [(), (0,), (0, 1)])
    rows = zip(["dog/000", "cat/000", "cat/001"], sets.names, strict=True)
    files = [SourceFile(pics / f"{name}.png", f"{name}.png", own) for name, own in rows]
    scan = scan_listing(Listing(pics, sets.names, files, label_sets=sets))
    assert names(scan) == {"(no label)": ["dog/000.png"], "red + round": ["cat/001.png"]}
    assert scan.label_sets == LabelSets.of(["red", "round"], [(), (0, 1)])
    assert [image.label for own in scan.classes.values() for image in own] == [0, 1]
    with pytest.raises(DataError, match="has no picture that can be used"):
        scan_listing(Listing(pics, sets.names, files[1:2], label_sets=sets))
