"""Pictures to predict are found as lists find theirs, and those that are missing are named."""

import numpy as np
import pytest

from hubtune.errors import DataError, UsageError
from hubtune.paddlehub.predicted_images import locate_images


@pytest.fixture
def base(tmp_path, draw_photos):
    return draw_photos(tmp_path / "data" / "pics", {"a": 2, "b": 2}).parent


def test_paths_of_the_current_folder_of_the_base_and_of_windows_are_found(base, monkeypatch):
    monkeypatch.chdir(base / "pics")
    array = np.zeros((4, 4, 3), np.uint8)
    written = ["a/000.png", "pics/a/001.png", "b\\000.png", "pics\\b\\001.png", str(base / "pics/a/000.png")]
    found = locate_images([*written, array], base)
    assert found.pop() is array
    places = [(base / "pics" / path).resolve() for path in map(str, found)]
    expected = ["a/000.png", "a/001.png", "b/000.png", "b/001.png", "a/000.png"]
    assert places == [(base / "pics" / name).resolve() for name in expected]


def test_paths_of_another_machine_are_found_below_the_base(base, told):
    [found, _] = locate_images(["D:\\me\\data\\pics\\a\\000.png", "D:\\me\\data\\pics\\b\\000.png"], base)
    assert found.samefile(base / "pics" / "a" / "000.png")
    assert "The paths are those of another folder" in told.text


def test_a_hint_is_about_the_folder_that_exists(base, monkeypatch):
    monkeypatch.chdir(base / "pics")
    with pytest.raises(
        DataError, match=r"do not exist: a/000\.png\\n\. .*, or else from [^.]*\. There is '000\.png'\.$"
    ):
        locate_images(["a/000.png\n"], base)
    with pytest.raises(DataError, match=r"There is no folder 'no'\.$"):
        locate_images(["no/000.png"], base)


def test_missing_pictures_folders_and_pairs_are_refused(base):
    with pytest.raises(
        DataError, match=r"1 of the 2 pictures to predict do not exist: no/x\.png\. Relative paths"
    ):
        locate_images(["no/x.png", "pics/a/000.png"], base)
    with pytest.raises(
        DataError, match=r"1 of the 2 pictures to predict are folders: pics/a\. Give the paths"
    ):
        locate_images(["pics/a/000.png", "pics/a"], base)
    with pytest.raises(
        UsageError, match=r"Give the paths alone, \[path for path, label in …\], not \('a', '0'\)"
    ):
        locate_images([("a", "0")], base)
