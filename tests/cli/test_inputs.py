"""Folders on the command line of `predict`, `classify` and `embed`: every picture, and nothing else."""

import os

import pytest

from hubtune.cli.inputs import expand_images
from hubtune.errors import DataError


def test_every_picture_counts_and_all_else_is_named(here, draw_photos, capsys, monkeypatch):
    def expanded(*given):
        paths = [path.replace(os.sep, "/") for path in expand_images(given)]
        return paths, capsys.readouterr().err

    pics = draw_photos(here / "pics", {"cat": 2, "dog": 1}, size=8)
    paths, notes = expanded("pics", "pics/cat")
    assert (len(paths), notes) == (5, "")
    (pics / "cat" / "000.png").rename(pics / "cat" / "IMG_0001")
    (pics / "dog" / "000.png").rename(pics / "dog" / "photo.png_large")
    (pics / "cat" / "notes.txt").write_text("notes")
    (pics / "labels.csv").write_text("path,label")
    assert expanded("pics") == (
        ["pics/cat/001.png", "pics/cat/IMG_0001", "pics/dog/photo.png_large"],
        "Passed over in pics: 2 files that are not pictures: cat/notes.txt, labels.csv\n",
    )
    for file in (pics / "cat" / "notes.txt", pics / "labels.csv"):
        file.unlink()
    (pics / "again").symlink_to(pics / "cat", target_is_directory=True)
    scandir = os.scandir

    def refusing(folder):
        if os.fspath(folder).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    paths, notes = expanded("pics")
    assert len(paths) == 2 and set(notes.splitlines()) == {
        "Passed over in pics: link to a place in the same tree: again",
        "Passed over in pics: folder cannot be opened (Permission denied): dog",
    }


def test_a_folder_without_any_picture_is_refused_after_what_is_there(tmp_path, capsys):
    (tmp_path / "a\x1b[2J").mkdir()
    (tmp_path / "a\x1b[2J" / "b.txt").write_text("x")
    with pytest.raises(DataError, match="There is no picture in "):
        list(expand_images([str(tmp_path)]))
    assert capsys.readouterr().err.endswith(": 1 file that is not a picture: a\\x1b[2J/b.txt\n")
