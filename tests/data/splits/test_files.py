"""The files of a split: written whole, read back, never replaced unasked."""

import json
import os
import shutil

import pytest
from support.images import draw_tree
from support.scans import near, split_scan

from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.listing import Excluded
from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.files import read_groups, read_unreadable, write_split
from hubtune.data.splits.quota import SplitSize
from hubtune.errors import MachineError, UsageError


@pytest.fixture
def drawn(tmp_path):
    return draw_tree(tmp_path / "pics", {"cat": 4, "dog": 4}, size=8)


def split_of(pics, **options):
    return split_scan(scan_classes(pics), **{"validate": SplitSize(1), **options})


def test_what_is_written_reads_back(drawn, tmp_path):
    split = split_of(drawn, test=SplitSize(1), labels={"dog": "狗", "cat": "猫"}, groups=near((0, 1), (4, 6)))
    files = split.write(tmp_path)
    names = ["train_list.txt", "validate_list.txt", "test_list.txt", "label_list.txt", "split.json"]
    assert [file.name for file in files] == names
    dataset = ListDataset(tmp_path)
    assert dataset.label_list == ["狗", "猫"]
    for name in LIST_NAMES:
        expected = [(image.path, image.label) for image in split.lists[name]]
        assert [(example.path, example.label) for example in dataset.examples(name)] == expected
    assert read_groups(tmp_path) == {
        **{drawn / "cat" / f"00{number}.png": 0 for number in (0, 1)},
        **{drawn / "dog" / f"00{number}.png": 1 for number in (0, 2)},
    }


def test_split_json_holds_what_was_done(drawn, tmp_path):
    (drawn / "cat" / "bad.jpg").touch()
    shutil.copy(drawn / "dog" / "000.png", drawn / "dog" / "copy.png")
    write_split(split_of(drawn, seed=3), tmp_path, {"pictures": "pics", "validate": "1", "seed": 3})
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


@pytest.mark.parametrize("content", ["", "[]", '{"groups": 3, "left_out": [1]}'])
def test_a_split_json_that_says_nothing_is_ignored(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    assert read_groups(tmp_path) == {}
    assert read_unreadable(tmp_path) == []


@pytest.mark.parametrize("name", ["train_list.txt", "label_list.txt", "test_list.txt", "split.json"])
def test_other_files_are_kept_unless_forced(drawn, tmp_path, name):
    (tmp_path / name).write_text("precious 0\n")
    split = split_of(drawn)
    with pytest.raises(UsageError) as caught:
        split.write(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path.resolve()} has {name} with other content already: add --force to replace, "
        "or --out FOLDER to write elsewhere"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "pics"])
    split.write(tmp_path, force=True)
    expected = ["label_list.txt", "pics", "split.json", "train_list.txt", "validate_list.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected


def test_a_list_of_paddleclas_does_not_stay_beside_a_split_without_validation(drawn, tmp_path):
    (tmp_path / "val_list.txt").write_text("pics/cat/000.png 0\n")
    split = split_of(drawn, validate=SplitSize(0))
    with pytest.raises(UsageError, match=r"has val_list\.txt with other content"):
        split.write(tmp_path)
    split.write(tmp_path, force=True)
    assert ListDataset(tmp_path).examples("validate") == []


def test_the_same_split_may_be_written_again(drawn, tmp_path):
    write_split(split_of(drawn), tmp_path, {"seed": 0, "validate": "1"})
    write_split(split_of(drawn), tmp_path, {"seed": 0, "validate": "25%"})
    assert json.loads((tmp_path / "split.json").read_text())["options"] == {"validate": "25%"}


def test_a_folder_that_cannot_be_written_is_named(drawn, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError) as caught:
        split_of(drawn).write(tmp_path / "file" / "x")
    assert str(caught.value).startswith(f"The lists cannot be written to {tmp_path / 'file' / 'x'} (")
    assert str(caught.value).endswith("): choose another folder with --out FOLDER")


def test_shuffled_folders_give_the_same_files(drawn, tmp_path, monkeypatch):
    written = []
    listdir = os.listdir
    for turn in (lambda names: names, lambda names: names[::-1], lambda names: names[3:] + names[:3]):
        monkeypatch.setattr(os, "listdir", lambda folder, turn=turn: turn(sorted(listdir(folder))))
        files = split_of(drawn, test=SplitSize(1)).write(tmp_path / "lists")
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1] == written[2]
