"""`hubtune scan`: what is wrong with a folder of pictures, on one screen, as JSON and as a page."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from support.commands import json_of
from support.multi_label import LABELS, draw_labelled, write_label_table


@pytest.fixture
def pics(here):
    random = np.random.default_rng(0)
    for name, shade in (("cat", 90), ("dog", 160)):
        (here / "pics" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((60, 80, 3), shade, np.float64)
            for _ in range(12):
                top, left = random.integers(0, 50), random.integers(0, 70)
                pixels[top : top + 15, left : left + 15] = random.integers(0, 256, 3)
            Image.fromarray(pixels.astype(np.uint8)).save(here / "pics" / name / f"{number}.png")
    return here / "pics"


@pytest.fixture
def planted(pics):
    cat, dog = pics / "cat", pics / "dog"
    Image.open(cat / "0.png").filter(ImageFilter.GaussianBlur(4)).save(cat / "blurred.png")
    ImageEnhance.Brightness(Image.open(cat / "1.png")).enhance(0.08).save(cat / "dark.png")
    Image.new("RGB", (80, 60), (90, 120, 150)).save(cat / "blank.png")
    Image.open(dog / "3.png").resize((20, 15)).save(dog / "tiny.png")
    shutil.copy(dog / "4.png", dog / "copy.png")
    shutil.copy(cat / "5.png", dog / "both.png")
    (dog / "6.png").rename(dog / "6.jpg")
    (cat / "cut.png").write_bytes((cat / "0.png").read_bytes()[:200])
    (cat / "notes.txt").write_text("notes")
    return pics


@pytest.fixture
def scanned(run_here):
    """The report as JSON, and in it the kinds of findings with the names of the files."""

    def scanned(*arguments):
        document = json_of(run_here("scan", *arguments, "--json"))
        return document, {
            each["kind"]: sorted(item["name"] for group in each["groups"] for item in group)
            for each in document["findings"]
        }

    return scanned


def test_good_pictures_have_no_issues_and_small_and_unbalanced_classes_are_some(pics, run_here, scanned):
    answer = run_here("scan", "pics")
    assert "\ncat          10\ndog          10\n" in answer.stdout
    assert answer.stdout.endswith("\n\nPNG 20; RGB 20; 80 × 60 pixels\n\nNo issues found.\n")
    assert scanned("pics")[1] == {}
    for number in range(1, 10):
        (pics / "cat" / f"{number}.png").unlink()
    assert [finding["title"] for finding in scanned("pics")[0]["findings"]] == [
        "1 class has fewer than 10 pictures: cat (1)",
        "Class dog has 10 times the pictures of class cat (10 and 1)",
    ]
    (pics / "cat" / "0.png").write_bytes(b"")
    document, kinds = scanned("pics")
    assert document["classes"] == {"cat": 0, "dog": 10} and "small_classes" in kinds
    for file in (pics / "dog").iterdir():
        file.write_bytes(b"")
    answer = run_here("scan", "pics")
    assert answer.returncode == 3 and "11 files cannot be used" in answer.stdout
    assert answer.stderr.endswith("pics has no picture that can be read\n")


def test_json_has_everything_that_was_planted_and_the_facts_of_each_file(planted, scanned):
    document, kinds = scanned(planted)
    # What a blurred or dark picture was made from may count as its original or not.
    kinds.pop("near_copies", None)
    assert kinds == {
        "unreadable": ["cat/cut.png"],
        "contradictory": ["cat/5.png", "dog/both.png"],
        "blank": ["cat/blank.png"],
        "dark": ["cat/dark.png"],
        "tiny": ["dog/tiny.png"],
        "blurred": ["cat/blurred.png"],
        "equal_copies": ["dog/4.png", "dog/copy.png"],
        "renamed": ["dog/6.jpg"],
        "strays": ["cat/notes.txt"],
    }
    assert document["classes"] == {"cat": 13, "dog": 13}
    files = {Path(file["path"]).relative_to(planted).as_posix(): file for file in document["files"]}
    assert files["cat/cut.png"]["unreadable"] == "damaged picture (the file ends too early)"
    facts = [files["dog/tiny.png"][name] for name in ("format", "mode", "width", "height", "label")]
    assert facts == ["PNG", "RGB", 20, 15, "dog"]


def test_the_screen_has_issues_in_order_and_quarantine_copies_files(planted, run_here, here):
    before = sorted((path, path.stat().st_mtime_ns) for path in planted.rglob("*"))
    answer = run_here("scan", "pics", "--page", "page.html", "--quarantine", "suspect")
    assert sorted((path, path.stat().st_mtime_ns) for path in planted.rglob("*")) == before
    shown = answer.stdout
    assert re.search(r"(?s)1 file cannot be used.*1 picture lies.*1 picture is blank", shown)
    assert "    cat/cut.png: damaged picture (the file ends too early)\n" in shown
    assert "    cat/5.png = dog/both.png\n  → One of the labels must be wrong" in shown
    assert answer.stderr.endswith("7 files copied to suspect\nTo look at: page.html\n")
    assert sorted(path.relative_to(here / "suspect").as_posix() for path in here.glob("suspect/*/*/*")) == [
        *("blank/cat/blank.png", "blurred/cat/blurred.png", "contradictory/cat/5.png"),
        *("contradictory/dog/both.png", "dark/cat/dark.png", "tiny/dog/tiny.png", "unreadable/cat/cut.png"),
    ]
    assert "To look at them: hubtune scan pics --page scan.html" in run_here("scan", "pics").stderr


def test_nothing_is_written_elsewhere_or_into_the_data(pics, here, run_here, assert_refused):
    (here / "used").mkdir()
    (here / "used" / "file").touch()
    before = {*here.rglob("*")}
    in_data, in_use = "lies in the data itself: name another place", "is in use already: name a new folder"
    assert_refused(
        ("scan pics --page pics/cat/x", 2, in_data),
        ("scan pics --quarantine pics/x", 2, in_data),
        ("scan pics --quarantine used", 2, in_use),
        ("scan pics --quarantine gone/new", 2, "Error: There is no folder gone to write into"),
    )
    assert {*here.rglob("*")} == before
    lines = [f"../pics/{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(10)]
    Image.new("RGB", (80, 60)).save(pics / "cat" / "0.png")
    (here / "in").mkdir()
    (here / "in" / "table.csv").write_text("\n".join(["path,label", *lines]))
    assert run_here("scan", "in/table.csv", "--quarantine", "new").returncode == 0
    assert list((here / "new").rglob("*.png")) and not (pics / "blank").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_hostile_names_reach_neither_terminal_nor_page(pics, here, run_here, scanned):
    for name in (b"\xff\x1b[31m.png", b"<img src=x onerror=alert(1)>.png"):
        Image.new("RGB", (40, 40)).save(here / "blank.png")
        shutil.copy(here / "blank.png", os.fsencode(pics / "cat") + b"/" + name)
    answer = run_here("scan", "pics", "--page", "page.html", "--quarantine", "suspect")
    page = (here / "page.html").read_text(encoding="utf-8")
    assert answer.returncode == 0 and "<img src=x" not in page
    assert "\x1b" not in page + answer.stdout + answer.stderr
    assert (here / "suspect" / "blank" / "cat" / os.fsdecode(b"\xff\x1b[31m.png")).exists()
    assert scanned("pics")[0]["pictures"] == 22


def test_a_module_finds_wrong_labels_and_is_checked_first(here, draw_photos, scanned, assert_refused):
    pics = draw_photos(here / "pics", {"cat": 14, "dog": 14}, size=40, noise=20.0)
    (pics / "cat" / "003.png").rename(pics / "dog" / "wrong.png")
    paddle.seed(0)  # the network's random values, as in a process of its own
    document, kinds = scanned("pics", "--module", "smallnet", "--weights", "none")
    assert kinds["mislabelled"] == ["dog/wrong.png"]
    [finding] = [each for each in document["findings"] if each["kind"] == "mislabelled"]
    assert finding["groups"][0][0]["note"].startswith("probably cat (")
    assert_refused(
        ("scan gone --module nonsense", 4, "There is no module 'nonsense'"), ("scan gone", 3, "gone")
    )


def test_multi_label_pictures_are_counted_by_label(here, run_here, scanned, assert_refused):
    paths, truth = draw_labelled(here / "data", 30)
    write_label_table(here / "data" / "t.csv", paths, truth)
    lines = run_here("scan", "data/t.csv").stdout.splitlines()
    assert lines[0].split() == ["label", "pictures"]
    assert lines[2].split() == ["red", str(truth[:, 0].sum())]
    assert "all pictures        30" in lines
    document = json_of(run_here("scan", "data/t.csv", "--json"))
    assert document["classes"] == dict(zip(LABELS, truth.sum(axis=0).tolist(), strict=True))
    assert_refused(("scan data/t.csv --module digitnet", 2, "data/t.csv is multi-label"))
