"""Names and files made to break something go through the whole pipeline: none is lost or swapped."""

import csv
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import json_of, options
from support.waiting import HANG_SECONDS, hang_guard

from hubtune.data.dataset import ListDataset
from hubtune.text import escape_cell, unescape_cell

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names")

CLASSES = [
    "花 🌸",
    "<script>alert(1)<script>",
    '=cmd()|"; rm -rf ~ #%20',
    "-leading, trailing. ",
    os.fsdecode(b"1 not utf-8 \xff"),
]
FILES = [
    *("花.png", "🌸.png", "two  spaces .png", " leading.png", "trailing .png", "dot..png", "1.png 2.png"),
    *("0.png 1", "<img src=x onerror=alert(1)>.png", '"; rm -rf ~; echo ".png', "=cmd().png", "+1.png"),
    *("@SUM(A1).png", "-dash.png", "#hash.png", "%20.png", "e\u0301.png", "\u00e9.png", "\x1b[31mred.png"),
    *("tab\t0.png", "a\\b.png", "*?[x].png", "\u202egnp.exe.png", "x" * 251 + ".png"),
    *(os.fsdecode(b"\xff.png"), "new\nline.png", "carriage\rreturn.png"),
]
ENGINE = ("--engine", "paddle")  # the quickest to start
FROZEN = (*options("module=digitnet", "strategy=frozen"), "--views", 1)
UNLISTED = {"new\nline.png", "carriage\rreturn.png"}


@pytest.fixture
def pics(tmp_path):
    """A tree whose own name a spreadsheet would take for a formula."""
    for number, name in enumerate(CLASSES):
        folder, random = tmp_path / "=pics" / name, np.random.default_rng(number)
        colour = [40 * (number % 6), 90 * (number % 3), 200 - 40 * (number % 5)]
        try:
            folder.mkdir(parents=True)
            for file in FILES:
                pixels = np.clip(random.normal(colour, 40, (24, 24, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / file, "PNG")
        except OSError:
            pytest.skip("this file system refuses such names")
    return tmp_path / "=pics"


def everything(folder):
    return {path: path.lstat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def table(file):
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        return list(csv.reader(text))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_name_is_lost_or_swapped_on_the_way(pics, run_here, monkeypatch):
    base = pics.parent
    monkeypatch.chdir(base)
    before = everything(pics)

    def run(*arguments):
        done = run_here(*arguments)
        assert "\x1b" not in done.stderr
        return json_of(done)

    split = run("split", "=pics", "--val", 4, "--test", 4, "--json")
    dataset = ListDataset(Path())
    labels = dataset.label_list
    assert labels == sorted(CLASSES)
    listed = {name: dataset.examples(name) for name in ("train", "validate", "test")}
    counts = [len(examples) // len(CLASSES) for examples in listed.values()]
    assert counts == [len(FILES) - 10, 4, 4]
    examples = [example for some in listed.values() for example in some]
    assert all(example.path.parent.name == labels[example.label] for example in examples)
    left_out = {Path(entry["path"]) for entry in split["left_out"]}
    assert left_out == {Path("=pics", name, file) for name in CLASSES for file in UNLISTED}
    used = Counter([*(example.path for example in examples), *left_out])
    assert used == Counter(Path("=pics", name, file) for name in CLASSES for file in FILES)

    result = run("finetune", "=pics", *FROZEN, "-o", "run=run", *ENGINE, "--json")
    assert result["test"]["count"] == len(listed["test"])
    measured = run("evaluate", "run", "--json", *ENGINE)
    assert measured["accuracy"] == result["test"]["accuracy"]

    answers = run("predict", "test_list.txt", "--model", "run", "--csv", "answers.csv", "--json", *ENGINE)
    paths = [str(example.path) for example in listed["test"]]
    assert [row["path"] for row in answers["rows"]] == paths
    truth = [labels[example.label] for example in listed["test"]]
    right = [row["label"] == label for row, label in zip(answers["rows"], truth, strict=True)]
    assert sum(right) / len(paths) == measured["accuracy"]
    assert "not utf-8 \\udcff" in run_here("predict", "test_list.txt", "--model", "run", *ENGINE).stdout
    rows = table(Path("answers.csv"))
    assert [row[0] for row in rows[1:]] == [escape_cell(path) for path in paths]
    cells = {cell for row in rows for cell in row}
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)

    # A whole folder, with the names that no list can hold.
    files = sorted(str(Path("=pics", name, file)) for name in CLASSES for file in FILES)
    run("predict", "=pics", "--model", "run", "--csv", "all.csv", "--json", *ENGINE)
    rows = table(Path("all.csv"))
    assert {len(row) for row in rows} == {8}  # with the most similar training image
    assert sorted(unescape_cell(row[0]) for row in rows[1:]) == files
    assert not any("\x1b" in row[0] for row in rows)
    embedded = run("embed", "=pics", "--module", "digitnet", "-o", "all-features.csv", "--json", *ENGINE)
    assert embedded["unreadable"] == 0
    featured = table(Path("all-features.csv"))
    assert [row[0] for row in featured] == [row[0] for row in rows]
    assert len({len(row) for row in featured}) == 1
    assert everything(pics) == before


def test_entries_that_are_not_files_hang_nothing_and_are_named(tmp_path, draw_photos, run_here):
    """Pipes, sockets, links in circles and to nowhere; and the same after the split."""
    pics = draw_photos(tmp_path / "pics", {"a": 12, "b": 12}, size=24)
    odd = pics / "a"
    os.mkfifo(odd / "pipe.png")
    (odd / "nowhere.png").symlink_to("gone.png")
    (odd / "itself.png").symlink_to("itself.png")
    (odd / "circle").symlink_to(pics)
    (odd / "folder.png").mkdir()
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(odd)  # a socket's path may have 107 bytes
        server.bind("socket.png")
        os.chdir(here)
        with hang_guard():
            split = json_of(run_here("split", pics, "--val", 3, "--test", 3, "--json"))
        reasons = {Path(e["path"]).name: e["reason"] for e in split["left_out"]}
    assert reasons.pop("itself.png").startswith("cannot be read (")
    assert reasons == {
        "pipe.png": "not a regular file",
        "socket.png": "not a regular file",
        "nowhere.png": "link to a file that is not there",
        "circle": "link to a place in the same tree",
    }
    lines = (tmp_path / "train_list.txt").read_text().splitlines()
    victims = [tmp_path / line.split()[0] for line in lines[:3]]
    for victim in victims:
        victim.unlink()
    os.mkfifo(victims[0])
    victims[1].symlink_to(victims[1])
    more = options(f"run={tmp_path / 'run'}", "data.max_bad=20%")
    with hang_guard():
        done = run_here("finetune", tmp_path, *FROZEN, *more)
    assert done.returncode == 0, done.stderr
    skipped = {row[1]: row[2] for row in table(tmp_path / "run" / "skipped.csv")[1:]}
    assert list(skipped) == sorted(map(str, victims))
    assert skipped[str(victims[0])] == "not a regular file"
    assert skipped[str(victims[1])].startswith("cannot be read (")
    assert skipped[str(victims[2])] == "no such file"


@pytest.mark.slow
def test_a_folder_that_may_only_be_read_is_enough(tmp_path, draw_photos):
    """As a user who may write nothing there, and may not even read all of it."""
    pics = draw_photos(tmp_path / "data" / "pics", {"a": 12, "b": 12}, size=24)
    (pics / "a" / "closed").mkdir()
    Image.new("RGB", (8, 8)).save(pics / "a" / "closed" / "x.png")
    (pics / "a" / "000.png").chmod(0)
    (pics / "a" / "closed").chmod(0)
    for folder in (pics / "a", pics / "b", pics, pics.parent):
        folder.chmod(0o555)
    work = tmp_path / "work"
    work.mkdir()
    powerless = []
    if os.geteuid() == 0:  # who may read and write everything, unless that power is taken away
        if not shutil.which("setpriv"):
            pytest.skip("the tests run as root, and there is no setpriv to take its power away")
        powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

    def run(*arguments):
        command = [*powerless, sys.executable, "-m", "hubtune", *map(str, arguments), "--json"]
        options = {"text": True, "cwd": work, "timeout": HANG_SECONDS, "check": False}
        return json_of(subprocess.run(command, capture_output=True, **options))

    try:
        before = everything(pics)
        split = run("split", pics, "--val", 3, "--out", "lists")
        reasons = {Path(e["path"]).name: e["reason"] for e in split["left_out"]}
        assert reasons == {
            "000.png": "no permission to read it",
            "closed": "folder cannot be opened (Permission denied)",
        }
        result = run("finetune", "lists", *FROZEN, "-o", "run=run", *ENGINE)
        assert result["validate"]["count"] == 6
        assert everything(pics) == before
    finally:
        for folder in (pics.parent, pics, pics / "a", pics / "b", pics / "a" / "closed"):
            folder.chmod(0o755)
