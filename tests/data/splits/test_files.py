"""The files of a split: written whole, read back, never replaced unasked."""

import json
import shutil
from pathlib import Path

import pytest
from support.images import draw_tree
from support.multi_label import LABELS, draw_label_lists
from support.notebooks import CellHtml
from support.scans import fake_label_scan, fake_scan, near, split_scan

import hubtune
from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.dedup.groups import DuplicateGroup
from hubtune.data.listing import Excluded, ImageEntry
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import Split, read_groups, read_unreadable, write_split
from hubtune.data.splits.leakage import find_leaks
from hubtune.data.splits.quota import SplitSize
from hubtune.errors import MachineError, UsageError

ONE = SplitSize(1)


@pytest.fixture
def drawn(tmp_path):
    return draw_tree(tmp_path / "pics", {"cat": 4, "dog": 4}, size=8)


def split_of(pics, **options):
    return split_scan(scan_classes(pics), **{"validate": ONE, **options})


def test_what_is_written_reads_back(drawn, tmp_path):
    split = split_of(drawn, test=ONE, labels={"dog": "狗", "cat": "猫"}, groups=near((0, 1), (4, 6)))
    names = ["train_list.txt", "validate_list.txt", "test_list.txt", "label_list.txt", "split.json"]
    assert [file.name for file in split.write(tmp_path)] == names
    dataset = ListDataset(tmp_path)
    assert dataset.label_list == ["狗", "猫"]
    for name in LIST_NAMES:
        expected = [(image.path, image.label) for image in split.lists[name]]
        assert [(example.path, example.label) for example in dataset.examples(name)] == expected
    files = [drawn / "cat" / "000.png", drawn / "cat" / "001.png", drawn / "dog" / "000.png"]
    assert read_groups(tmp_path) == dict(zip([*files, drawn / "dog" / "002.png"], (0, 0, 1, 1), strict=True))


def test_split_json_holds_what_was_done_and_may_be_written_again(drawn, tmp_path):
    (drawn / "cat" / "bad.jpg").touch()
    shutil.copy(drawn / "dog" / "000.png", drawn / "dog" / "copy.png")
    for validate in ("25%", "1"):
        options = {"pictures": "pics", "validate": validate, "seed": 3}
        write_split(split_of(drawn, seed=3), tmp_path, options)
    assert json.loads((tmp_path / "split.json").read_text("ascii")) == {
        "schema_version": 1,
        "seed": 3,
        "options": {"pictures": "pics", "validate": "1"},
        "classes": {"cat": "cat", "dog": "dog"},
        "counts": {
            "cat": {"train": 3, "validate": 1, "test": 0, "left_over": 0},
            "dog": {"train": 4, "validate": 1, "test": 0, "left_over": 0},
        },
        "groups": [["pics/dog/000.png", "pics/dog/copy.png"]],
        "group_kinds": ["equal"],
        "conflicts": [],
        "random_split_leaks": {"validate": 0.4, "test": 0.0},
        "left_out": [{"path": "pics/cat/bad.jpg", "reason": "empty file (0 bytes)", "unreadable": True}],
    }
    bad = Excluded(drawn / "cat" / "bad.jpg", "empty file (0 bytes)", unreadable=True)
    assert read_unreadable(tmp_path) == [bad]
    for content in ("", "[]", '{"groups": 3, "left_out": [1]}'):
        (tmp_path / "split.json").write_text(content)
        assert (read_groups(tmp_path), read_unreadable(tmp_path)) == ({}, [])


# A val_list.txt of PaddleClas would be read as the validation list of a split that has none.
@pytest.mark.parametrize(
    ("name", "size"),
    [(f"{name}.txt", 1) for name in ("train_list", "label_list", "test_list")]
    + [("split.json", 1), ("val_list.txt", 0)],
)
def test_other_files_are_kept_unless_forced(drawn, tmp_path, name, size):
    (tmp_path / name).write_text("precious 0\n")
    split = split_of(drawn, validate=SplitSize(size))
    with pytest.raises(UsageError) as caught:
        split.write(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path.resolve()} has {name} with other content already: add --force to replace, "
        "or --out FOLDER to write elsewhere"
    )
    assert {path.name for path in tmp_path.iterdir()} == {name, "pics"}
    split.write(tmp_path, force=True)
    expected = {"label_list.txt", "pics", "split.json", "train_list.txt"}
    assert {path.name for path in tmp_path.iterdir()} == expected | ({"validate_list.txt"} if size else set())


def test_a_folder_that_cannot_be_written_is_named(drawn, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError) as caught:
        split_of(drawn).write(tmp_path / "file" / "x")
    assert str(caught.value).startswith(f"The lists cannot be written to {tmp_path / 'file' / 'x'} (")
    assert str(caught.value).endswith("): choose another folder with --out FOLDER")


def test_of_thousands_of_copies_a_few_are_reported_with_each_leak():
    images = [ImageEntry(Path(f"{number}.png"), 0, sha256="same") for number in range(400)]
    leaks = find_leaks(images, ["train", "test"] * 200, [DuplicateGroup(tuple(range(400)), "equal")])
    split = Split(["cat"], ["cat"], {"train": images[::2], "validate": [], "test": images[1::2]}, leaks=leaks)
    assert [len(leak["copies"]) for leak in split.as_dict()["leaks"]] == [100] * 200
    assert split.without_leaks().lists["train"] == []


def test_lists_of_several_labels_have_a_value_for_each_and_counts_are_of_labels(tmp_path):
    images = {"1.jpg": ["red"], "2.jpg": ["round", "red"], "3.jpg": [], "4.jpg": ["round"]}
    split = split_scan(fake_label_scan(["red", "round"], images), labels={"round": "rund", "red": "rot"})
    split.left_over = {"(no label)": 2}
    files = split.write(tmp_path)
    assert [file.name for file in files] == ["train_list.txt", "label_list.txt", "split.json"]
    rows = (tmp_path / "train_list.txt").read_text().splitlines()
    assert {row.split("\t")[0][-5:]: row.split("\t")[1] for row in rows} == {
        "1.jpg": "0,1",
        "2.jpg": "1,1",
        "3.jpg": "0,0",
        "4.jpg": "1,0",
    }
    assert (tmp_path / "label_list.txt").read_text() == "rund\nrot\n"
    record, printed = json.loads((tmp_path / "split.json").read_text("ascii")), split.as_dict()
    two = {"train": 2, "validate": 0, "test": 0, "left_over": 0}
    for document in (record, printed):
        assert document["multi_label"] is True
        assert list(document["classes"].items()) == [("rund", "rund"), ("rot", "rot")]
        assert document["counts"] == split.counts() == {"rund": two, "rot": two}
        assert document["images"] == {"train": 4, "validate": 0, "test": 0, "left_over": 2}
    assert split.counts_without_label() == {"train": 1, "validate": 0, "test": 0, "left_over": 2}
    assert "multi_label" not in split_scan(fake_scan({"a": 2, "b": 2})).as_dict()


def test_a_notebook_shows_the_lists_of_each_class_with_images(drawn):
    split = split_of(drawn, test=ONE, train=1, labels={"dog": "<狗>", "cat": "cat"})
    shown = CellHtml(split._repr_html_())
    assert [row[:5] for row in shown.rows] == [
        ["class", "train", "validate", "test", "left over"],
        ["<狗>", "1", "1", "1", "1"],
        ["cat", "1", "1", "1", "1"],
        ["total", "2", "2", "2", "2"],
    ]
    assert [len(row.findall(".//img")) for row in shown.all("tr")] == [0, 3, 3, 0]


def test_a_notebook_shows_the_images_of_each_label(tmp_path):
    split = hubtune.split(draw_label_lists(tmp_path / "several", 30))
    shown = CellHtml(split._repr_html_())
    assert shown.rows[0][0] == "label" and [row[0] for row in shown.rows[1:5]] == [*LABELS]
    assert (shown.rows[5][0], shown.rows[6][:2]) == ("(no label)", ["total", "18"])
    red = [image.get("title") for image in shown.all("tr")[1].iter("img")]
    paths = {image.path.name: image.label for images in split.lists.values() for image in images}
    assert all(split.label_sets.matrix[paths[name], 0] for name in red) and len(red) == 5


def test_a_notebook_shows_what_is_left_out_and_images_that_are_gone(drawn):
    (drawn / "cat" / "bad.png").write_bytes(b"no picture")
    split = hubtune.split(drawn, val=1)
    for path in (drawn / "dog").iterdir():
        path.unlink()
    shown = CellHtml(split._repr_html_())
    assert shown.alerts[0].startswith("1 file left out") and "bad.png" in shown.alerts[0]
    assert [len(row.findall(".//img")) for row in shown.all("tr")][1:3] == [4, 0]
    assert shown.rows[2][-1] == "– – – –"
