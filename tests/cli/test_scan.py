"""`hubtune scan`: what is wrong with a folder of pictures, on one screen, as JSON and as a page."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from support.commands import json_of


@pytest.fixture
def pics(tmp_path):
    """Two classes of ten drawn photos, all different."""
    random = np.random.default_rng(0)
    for name, shade in (("cat", 90), ("dog", 160)):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((60, 80, 3), shade, np.float64)
            for _ in range(12):
                top, left = random.integers(0, 50), random.integers(0, 70)
                pixels[top : top + 15, left : left + 15] = random.integers(0, 256, 3)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pics" / name / f"{number}.png")
    return tmp_path / "pics"


@pytest.fixture
def planted(pics):
    """The same, with one of everything."""
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


def scanned(run_here, *arguments):
    return json_of(run_here("scan", *arguments, "--json"))


def found(document):
    """Kind of finding → names of the files."""
    return {
        each["kind"]: sorted(item["name"] for group in each["groups"] for item in group)
        for each in document["findings"]
    }


def test_good_pictures_have_no_issues(pics, run_here):
    answer = run_here("scan", pics)
    assert answer.returncode == 0
    rule = "─────  ────────\n"
    table = f"class  pictures\n{rule}cat          10\ndog          10\n{rule}total        20\n"
    assert answer.stdout == f"{table}\nPNG 20; RGB 20; 80 × 60 pixels\n\nNo issues found.\n"
    assert found(scanned(run_here, pics)) == {}


def test_json_has_everything_that_was_planted_and_the_facts_of_each_file(planted, run_here):
    document = scanned(run_here, planted)
    kinds = found(document)
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
    assert (document["classes"], document["schema_version"]) == ({"cat": 13, "dog": 13}, 1)
    files = {Path(file["path"]).relative_to(planted).as_posix(): file for file in document["files"]}
    assert len(files) == document["pictures"] + 1
    assert files["cat/cut.png"]["unreadable"] == "damaged picture (the file ends too early)"
    facts = [files["dog/tiny.png"][name] for name in ("format", "mode", "width", "height", "orientation")]
    assert (facts, files["dog/tiny.png"]["label"]) == (["PNG", "RGB", 20, 15, 1], "dog")


def test_the_screen_has_issues_in_order_and_quarantine_copies_files_without_a_change_to_the_data(
    planted, run_here, tmp_path
):
    before = sorted((path, path.stat().st_mtime_ns) for path in planted.rglob("*"))
    page, suspect = tmp_path / "page.html", tmp_path / "suspect"
    answer = run_here("scan", planted, "--page", page, "--quarantine", suspect)
    assert sorted((path, path.stat().st_mtime_ns) for path in planted.rglob("*")) == before
    shown = answer.stdout
    places = [shown.index(text) for text in ("1 file cannot be used", "1 picture lies", "1 picture is blank")]
    assert places == sorted(places)
    assert "    cat/cut.png: damaged picture (the file ends too early)\n" in shown
    assert "    cat/5.png = dog/both.png\n  → One of the labels must be wrong" in shown
    assert answer.stderr.endswith(f"7 files copied to {suspect}\nTo look at: {page}\n")
    assert sorted(path.relative_to(suspect).as_posix() for path in suspect.rglob("*.*")) == [
        "blank/cat/blank.png",
        "blurred/cat/blurred.png",
        "contradictory/cat/5.png",
        "contradictory/dog/both.png",
        "dark/cat/dark.png",
        "tiny/dog/tiny.png",
        "unreadable/cat/cut.png",
    ]
    copy = suspect / "unreadable" / "cat" / "cut.png"
    assert copy.read_bytes() == (planted / "cat" / "cut.png").read_bytes()
    hint = run_here("scan", planted).stderr
    assert f"To look at them: hubtune scan {planted} --page scan.html" in hint


def test_names_of_a_table_lead_nowhere_else(pics, run_here, tmp_path):
    lines = [f"../pics/{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(10)]
    Image.new("RGB", (80, 60)).save(pics / "cat" / "0.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "table.csv").write_text("\n".join(["path,label", *lines]))
    answer = run_here("scan", tmp_path / "in" / "table.csv", "--quarantine", tmp_path / "new")
    assert answer.returncode == 0, answer.stderr
    assert list((tmp_path / "new").rglob("*.png"))
    assert not (tmp_path / "pics" / "blank").exists()


@pytest.mark.parametrize(
    ("option", "place", "message"),
    [
        ("--page", "pics/x", "lies in the data itself: name another place"),
        ("--page", "pics/cat/x", "lies in the data itself: name another place"),
        ("--quarantine", "pics/x", "lies in the data itself: name another place"),
        ("--quarantine", "used", "is in use already: name a new folder, or an empty one"),
        ("--quarantine", "used/file", "is in use already"),
        ("--quarantine", "gone/new", "Error: There is no folder gone to write into"),
    ],
)
def test_places_in_the_data_or_in_use_are_refused(pics, run_here, tmp_path, option, place, message):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    before = {*tmp_path.rglob("*")}
    answer = run_here("scan", "pics", option, place, cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert {*tmp_path.rglob("*")} == before


def test_where_nothing_can_be_read_the_exit_code_is_that_of_data(pics, run_here):
    for file in pics.rglob("*.png"):
        file.write_bytes(b"")
    answer = run_here("scan", pics)
    assert answer.returncode == 3
    assert "20 files cannot be used" in answer.stdout
    assert answer.stderr.endswith(f"{pics} has no picture that can be read\n")
    assert json.loads(run_here("scan", pics, "--json").stdout)["pictures"] == 0


def test_small_unreadable_and_unbalanced_classes_are_issues(pics, run_here):
    for number in range(1, 10):
        (pics / "cat" / f"{number}.png").unlink()
    titles = [finding["title"] for finding in scanned(run_here, pics)["findings"]]
    assert titles == [
        "1 class has fewer than 10 pictures: cat (1)",
        "Class dog has 10 times the pictures of class cat (10 and 1)",
    ]
    (pics / "cat" / "0.png").write_bytes(b"")
    document = scanned(run_here, pics)
    assert document["classes"] == {"cat": 0, "dog": 10}
    assert "small_classes" in found(document)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_hostile_names_reach_neither_terminal_nor_page(pics, run_here, tmp_path):
    for name in (b"\xff\x1b[31m.png", b"<img src=x onerror=alert(1)>.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / "blank.png")
        shutil.copy(tmp_path / "blank.png", os.fsencode(pics / "cat") + b"/" + name)
    answer = run_here("scan", pics, "--page", tmp_path / "page.html", "--quarantine", tmp_path / "suspect")
    assert answer.returncode == 0
    assert "\x1b" not in answer.stdout + answer.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "<img src=x" not in page
    assert (tmp_path / "suspect" / "blank" / "cat" / os.fsdecode(b"\xff\x1b[31m.png")).exists()
    assert json.loads(run_here("scan", pics, "--json").stdout)["pictures"] == 22


def test_a_module_finds_wrong_labels_and_is_checked_before_the_scan(tmp_path, draw_photos, run_here):
    pics = draw_photos(tmp_path / "pics", {"cat": 14, "dog": 14}, size=40, noise=20.0)
    (pics / "cat" / "003.png").rename(pics / "dog" / "wrong.png")
    module = ["--module", "smallnet", "--weights", "none"]
    document = scanned(run_here, pics, *module)
    assert found(document)["mislabelled"] == ["dog/wrong.png"]
    [finding] = [each for each in document["findings"] if each["kind"] == "mislabelled"]
    assert finding["groups"][0][0]["note"].startswith("probably cat (")
    answer = run_here("scan", tmp_path / "gone", "--module", "nonsense")
    assert "There is no module 'nonsense'" in answer.stderr
    answer = run_here("scan", tmp_path / "gone")
    assert answer.returncode == 3 and str(tmp_path / "gone") in answer.stderr
