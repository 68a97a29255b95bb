"""Folders on the command line of `predict`, `classify` and `embed`: every picture, and nothing else."""

import os

import pytest

from hubtune.cli.inputs import expand_images
from hubtune.errors import DataError


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return draw_photos(tmp_path / "pics", {"cat": 2, "dog": 1}, size=8)


def expanded(*given):
    return [path.replace(os.sep, "/") for path in expand_images(given)]


def test_pictures_count_whatever_their_extensions_and_other_files_are_named(pics, capsys):
    assert len(expanded("pics", "pics/cat")) == 5
    assert capsys.readouterr().err == ""
    (pics / "cat" / "000.png").rename(pics / "cat" / "IMG_0001")
    (pics / "dog" / "000.png").rename(pics / "dog" / "photo.png_large")
    (pics / "cat" / "notes.txt").write_text("notes")
    (pics / "labels.csv").write_text("path,label")
    assert expanded("pics") == ["pics/cat/001.png", "pics/cat/IMG_0001", "pics/dog/photo.png_large"]
    assert capsys.readouterr() == (
        "",
        "Passed over in pics: 2 files that are not pictures: cat/notes.txt, labels.csv\n",
    )


def test_a_folder_without_any_picture_is_refused_after_what_is_there(tmp_path, capsys):
    (tmp_path / "a\x1b[2J").mkdir()
    (tmp_path / "a\x1b[2J" / "b.txt").write_text("x")
    with pytest.raises(DataError, match="There is no picture in "):
        expanded(str(tmp_path))
    said = capsys.readouterr().err
    assert said.endswith(": 1 file that is not a picture: a\\x1b[2J/b.txt\n")


def test_links_into_the_same_folder_and_locked_folders_are_named(pics, capsys, monkeypatch):
    try:
        (pics / "again").symlink_to(pics / "cat", target_is_directory=True)
    except OSError:
        pytest.skip("no links on this machine")
    assert len(expanded("pics")) == 3
    assert capsys.readouterr().err == "Passed over in pics: link to a place in the same tree: again\n"
    (pics / "again").unlink()
    scandir = os.scandir

    def refusing(folder):
        if os.fspath(folder).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    assert len(expanded("pics")) == 2
    locked = "Passed over in pics: folder cannot be opened (Permission denied): dog\n"
    assert capsys.readouterr().err == locked
