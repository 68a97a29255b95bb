"""`hubtune.split` and `hubtune.scan`: what the commands do, for programs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.archives import zipped
from support.commands import output_of, refusal
from support.images import draw_tree

import hubtune
from hubtune.cli.scan import command as scan_command
from hubtune.cli.split import command as split_command
from hubtune.data import prepare
from hubtune.data.audit.issues import LabelCheck, LabelIssue
from hubtune.data.dataset import LIST_NAMES
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import Listing, SourceFile
from hubtune.errors import DataError, UsageError


@pytest.fixture
def pics(tmp_path, monkeypatch):
    """Three classes with copies, an unreadable file, and a file of another kind."""
    monkeypatch.chdir(tmp_path)
    pics = draw_tree(tmp_path / "pics", {"cat": 9, "dog": 9, "owl": 4}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "copy.png")
    shutil.copy(pics / "cat" / "001.png", pics / "dog" / "copy.png")
    (pics / "dog" / "bad.jpg").touch()
    (pics / "dog" / "notes.txt").write_text("notes")
    return pics


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize(
    ("source", "options", "arguments"),
    [
        ("pics/", {}, ""),
        ("pics/", {"val": 0.25, "test": "10%", "seed": 3}, "--val 0.25 --test 10% --seed 3"),
        ("pics/", {"val": 3, "group_by": "00([1-3])"}, "--val 3 --group-by 00([1-3])"),
        ("pics/", {"val": 2, "train": 3, "test_dir": "more"}, "--val 2 --train 3 --test-dir more"),
        ("table.csv", {"val": 4, "group_by": "bottle"}, "--val 4 --group-by bottle"),
        ("pics.zip", {"val": 2, "labels": "names.txt"}, "--val 2 --labels names.txt"),
    ],
)
def test_a_split_equals_that_of_the_command(pics, source, options, arguments):
    draw_tree(Path("more"), {"cat": 1, "owl": 1}, seed=9)
    Path("names.txt").write_text("owl Owl\ncat Cat\n")
    zipped(pics)
    images = [(path.as_posix(), path.parent.name, len(path.stem) % 3) for path in Path("pics").rglob("*.png")]
    rows = [f"{path},{label},b{bottle}\n" for path, label, bottle in sorted(images)]
    Path("table.csv").write_text("path,label,bottle\n" + "".join(rows))
    split = hubtune.split(source, **options)
    files = split.write("ours")
    options = [*arguments.split(), "--out", "theirs", "--json"]
    printed = json.loads(output_of(split_command, source, *options).stdout)
    assert contents("ours") == contents("theirs")
    assert [path.name for path in files] == [Path(file).name for file in printed["files"]]
    assert {"schema_version": 1, "files": printed["files"], **split.as_dict()} == printed


def test_a_split_has_what_a_program_needs(pics):
    split = hubtune.split("pics", val=2)
    assert split.labels == ["cat", "dog", "owl"]
    assert [len({image.path for image in split.lists[name]}) for name in LIST_NAMES] == [18, 6, 0]
    assert [[image.name for image in group] for group in split.conflicts] == [["cat/001.png", "dog/copy.png"]]
    assert [entry.path.name for entry in split.left_out] == ["bad.jpg"]
    assert [path.name for path in split.non_images] == ["notes.txt"]
    assert not list(Path().glob("*.txt"))  # nothing is written yet
    named = hubtune.split("pics", labels={"owl": "Owl", "cat": "Cat", "dog": "Dog"})
    assert (named.folders, named.labels) == (["owl", "cat", "dog"], ["Owl", "Cat", "Dog"])
    draw_tree(Path("more"), {"cat": 20, "dog": 20}, size=8)
    rows = np.random.default_rng(0).normal(0, 1, (40, 16)).astype(np.float32)
    rows[7] = rows[2] + 0.01
    split = hubtune.split("more", val=8, features=lambda paths: rows[: len(paths)])
    assert split.group_kinds == ["burst"]  # images of one thing, by their features
    assert [image.name for image in split.groups[0]] == ["cat/002.png", "cat/007.png"]


def test_a_report_equals_that_of_the_command_and_names_the_labels_that_a_check_doubts(pics):
    report = hubtune.scan("pics")
    printed = json.loads(output_of(scan_command, "pics", "--json").stdout)
    assert {"schema_version": 1, **report.as_dict()} == printed
    assert {name: len(images) for name, images in report.classes.items()} == {"cat": 10, "dog": 10, "owl": 4}
    assert [entry.path.name for entry in report.left_out] == ["bad.jpg"]
    assert [issue.kind for issue in report.issues][:2] == ["unreadable", "contradictory"]
    assert [len(group.members) for group in report.groups] == [2, 2]
    check = LabelCheck([LabelIssue(3, 0.1, 1, 0.9)], 0.8)
    issues = hubtune.scan(pics, check_labels=lambda images, groups: check).issues
    [doubted] = [issue for issue in issues if issue.kind == "mislabelled"]
    assert [item.name for item in doubted.files] == ["cat/003.png"]


def test_refusals_have_the_words_of_the_command(pics):
    for error, options, arguments in (
        (UsageError, {"val": "many"}, "--val many"),
        (UsageError, {"test": 5, "test_dir": "pics"}, "--test 5 --test-dir pics"),
        (UsageError, {"group_by": "patient"}, "--group-by patient"),
        (DataError, {"labels": "missing"}, "--labels missing"),
    ):
        with pytest.raises(error) as caught:
            hubtune.split("pics", **options)
        exit_code = caught.value.exit_code
        assert str(caught.value) == refusal(exit_code, split_command, "pics", *arguments.split())
    for call in (hubtune.split, hubtune.scan):
        with pytest.raises(DataError, match="There is no folder missing"):
            call("missing")


def test_pictures_of_several_labels_are_split_from_their_listing_and_have_no_test_folder(pics, monkeypatch):
    sets = LabelSets.of(["red", "round"], [(), (0,), (0, 1)])
    paths = sorted(pics.rglob("*.png"))
    files = [
        SourceFile(path, path.relative_to(pics).as_posix(), sets.names[number % 3])
        for number, path in enumerate(paths)
    ]
    files.sort(key=lambda file: sets.names.index(file.label))
    listing = Listing(pics, sets.names, files, label_sets=sets)
    monkeypatch.setattr(prepare, "open_source", lambda *arguments, **options: listing)
    split = hubtune.split("pics", val=1)
    assert split.label_sets == sets
    assert set(split.counts()) == {"red", "round"}
    assert sum(split.image_counts().values()) == len(paths)
    with pytest.raises(UsageError, match="these pictures have several labels: name the test pictures in the"):
        hubtune.split("pics", test_dir=pics / "cat")
