"""Files that lists name are found where exactly one fits; otherwise it is said what would fit."""

import unicodedata

import pytest

from hubtune.data import listed_paths
from hubtune.data.listed_paths import find_files
from hubtune.errors import MachineError

NFD = unicodedata.normalize("NFD", "ä")


@pytest.fixture
def base(tmp_path):
    names = (
        "a/1.jpg",
        "a/2.jpg",
        "b/1.JPG",
        f"{NFD}/x.png",
        "both/A.jpg",
        "both/a.jpg",
        "stem/s.png",
        "stem/s.jpg",
    )
    for name in (*names, "../pics/1.jpg", "../pics/2.jpg"):
        file = tmp_path / "data" / "galaxy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return tmp_path / "data" / "galaxy"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a/1.jpg", "a/1.jpg"),
        (r"a\1.jpg", "a/1.jpg"),
        ("a/1.jpg ", "a/1.jpg"),
        ("A/1.JPG", "a/1.jpg"),
        ("a/1", "a/1.jpg"),
        ("ä/x.png", f"{NFD}/x.png"),
        ("both/A.JPG", None),
        ("both/a.jpg", "both/a.jpg"),
        ("stem/s", None),
        ("a/3.jpg", None),
        ("./a/../a/1.jpg", "./a/../a/1.jpg"),
    ],
)
def test_a_path_is_found_in_another_spelling_if_one_file_fits(written, found, base):
    assert find_files([written, "a/2.jpg"], base).paths == [found, "a/2.jpg"]


@pytest.mark.parametrize(
    ("written", "found", "remark"),
    [
        ("/Users/x/galaxy/a/1.jpg /Users/x/galaxy/b/1.jpg", "a/1.jpg b/1.JPG", "without '/Users/x/galaxy/'"),
        (r"C:\x\a\1.jpg C:\x\a\2.jpg", "a/1.jpg a/2.jpg", "without 'C:/x/'"),
        ("data/galaxy/a/1.jpg data/galaxy/a/2.jpg", "a/1.jpg a/2.jpg", "without 'data/galaxy/'"),
        ("pics/1.jpg pics/2.jpg", "../pics/1.jpg ../pics/2.jpg", "data"),
        ("s.png s.jpg", "stem/s.png stem/s.jpg", "galaxy/stem"),
    ],
)
def test_paths_of_another_folder_are_found_if_one_root_explains_all(written, found, remark, base):
    files = find_files(written.split(), base)
    assert files.paths == found.split()
    assert remark in files.remarks[0]


def test_a_root_that_explains_only_some_paths_is_named_but_not_taken(base):
    files = find_files(["/x/a/1.jpg", "/x/a/9.jpg"], base)
    assert files.paths == [None, None]
    assert files.hint == " 1 of 2 would be there without '/x/'."


def test_two_roots_that_fit_are_refused(base):
    (base.parent / "a").mkdir()
    (base.parent / "a" / "1.jpg").write_bytes(b"")
    files = find_files(["/x/a/1.jpg"], base)
    assert files.paths == [None]
    assert "without '/x/' and also without '/x/' in " in files.hint


def test_files_that_a_dropped_folder_told_apart_are_not_mixed_up(base):
    assert find_files(["/x/cat/1.jpg", "/x/dog/1.jpg"], base / "a").paths == [None, None]


def test_a_closed_list_names_no_files_elsewhere(base):
    assert find_files(["pics/1.jpg"], base, closed=True).paths == [None]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("a/1.png", " There is '1.jpg'."),
        ("both/A.JPG", " There are 'A.jpg' and 'a.jpg'."),
        ("q/1.jpg", " There is no folder 'q'."),
        ("a/9.jpg", ""),
    ],
)
def test_what_would_fit_is_said(written, hint, base):
    assert find_files(["a/1.jpg", written], base).hint == hint


def test_another_spelling_is_said(base):
    assert find_files(["a/1.jpg", "A/2"], base).remarks == [
        "1 path found in another spelling, such as 'A/2' as 'a/2.jpg'."
    ]


def test_paths_on_another_drive_of_windows_are_complete(base, monkeypatch):
    """A folder stands for the drive."""
    file = base.parent / "D:" / "pics" / "A.jpg"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.chdir(base.parent)
    monkeypatch.setattr(listed_paths, "_HAS_DRIVES", True)
    found = find_files(["D:/pics/A.jpg", "D:\\pics\\a.JPG"], base)
    assert [path.replace("//", "/") for path in found.paths] == ["D:/pics/A.jpg", "D:/pics/A.jpg"]


def test_paths_that_the_encoding_of_file_names_lacks_are_refused_with_the_cure(base, monkeypatch):
    monkeypatch.setattr(listed_paths.sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setattr(listed_paths.os, "fsencode", lambda path: path.encode("ascii"))
    assert find_files(["a/1.jpg"], base).paths == ["a/1.jpg"]
    with pytest.raises(
        MachineError, match=r"No file can be named 猫.jpg where the encoding of file names is ascii"
    ):
        find_files(["a/1.jpg", "猫.jpg"], base)
