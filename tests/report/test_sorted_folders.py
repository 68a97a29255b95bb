"""Images are sorted into a folder for each predicted class, and no file is ever overwritten."""

import os

import pytest

from hubtune.errors import MachineError
from hubtune.inference.prediction import Prediction
from hubtune.report.sorted_folders import folder_names, sort_into_folders


def _row(path, label, *, known=None, error=None):
    return Prediction(str(path), label, None if label is None else 0.9, {}, error, known=known)


def _file(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return folder / name


def _tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_known_unknown_and_unreadable_images_have_their_folders(tmp_path):
    cat = _file(tmp_path / "in", "1.jpg", "cat")
    odd = _file(tmp_path / "in", "2.jpg", "odd")
    rejected = _file(tmp_path / "in", "3.jpg", "rejected")
    broken = _file(tmp_path / "in", "4.jpg", "broken")
    rows = [
        _row(cat, "cat", known=True),
        _row(odd, "dog", known=False),
        _row(rejected, None, known=False),
        _row(broken, None, error="damaged"),
        _row(tmp_path / "gone.jpg", None, error="no such file"),
    ]
    counts = sort_into_folders(tmp_path / "out", rows, ["cat", "dog"])
    assert counts == {"cat": 1, "unknown": 2, "unreadable": 1}
    assert _tree(tmp_path / "out") == {
        "cat/1.jpg": "cat",
        "unknown/2.jpg": "odd",
        "unknown/3.jpg": "rejected",
        "unreadable/4.jpg": "broken",
    }
    assert cat.read_text() == "cat"


def test_files_of_the_same_name_stay_and_the_same_file_is_not_copied_twice(tmp_path):
    one = _file(tmp_path / "one", "a.jpg", "first")
    other = _file(tmp_path / "other", "a.jpg", "second")
    mine = _file(tmp_path / "out" / "cat", "a.jpg", "mine")
    rows = [_row(one, "cat"), _row(other, "cat")]
    for _ in range(2):
        sort_into_folders(tmp_path / "out", rows, ["cat"])
        assert _tree(tmp_path / "out") == {
            "cat/a.jpg": "mine",
            "cat/a-2.jpg": "first",
            "cat/a-3.jpg": "second",
        }
    assert mine.read_text() == "mine"


def test_links_are_further_names_of_the_file(tmp_path, monkeypatch):
    file = _file(tmp_path / "in", "a.jpg", "x")
    sort_into_folders(tmp_path / "out", [_row(file, "cat")], ["cat"], link=True)
    assert (tmp_path / "out" / "cat" / "a.jpg").samefile(file)

    def refuse(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(
        MachineError, match="must be on one file system that has hard links; leave --link out"
    ):
        sort_into_folders(tmp_path / "other", [_row(file, "cat")], ["cat"], link=True)


def test_names_of_folders_stay_inside_and_differ_on_every_system():
    labels = ["..", "a/b", "a\\b", "A_b", "con", "unknown", "猫", "x" * 300]
    names = folder_names(labels)
    folders = list(names.values())
    assert len({name.casefold() for name in folders}) == len(folders) == len(labels) + 2
    assert not any(name in ("", ".", "..") or set(name) & set('/\\:*?"<>|') for name in folders)
    assert names["", "猫"] == "猫"
    assert names["", "con"] == "_con"
    assert names["unknown", None] == "unknown-2"
    assert max(len(name.encode()) for name in folders) <= 130
