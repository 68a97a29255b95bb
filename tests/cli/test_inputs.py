"""Folders on the command line of `predict`, `classify` and `embed`: every picture, and nothing else."""

import os
from pathlib import Path

import pytest

from hubtune.cli.inputs import expand_images, tidy_path
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, HubtuneError


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
    (tmp_path / "clip").write_bytes(b"FLV\1")
    with pytest.raises(DataError, match="There is no picture in "):
        list(expand_images([str(tmp_path)]))
    excluded, film = capsys.readouterr().err.splitlines()
    assert excluded.endswith(": 2 files that are not pictures: a\\x1b[2J/b.txt, clip")
    assert film.startswith("Among them a film: save single frames of it, for instance with `ffmpeg ")


def test_names_with_brackets_are_names_where_they_exist_and_patterns_otherwise(here, draw_photos):
    for folder in ("pics [2024]/cat", "pics 2/cat", "plain"):
        draw_photos(here / folder / "x", {"": 2}, size=8)
    (here / "a[0].png").write_bytes((here / "plain" / "x" / "000.png").read_bytes())
    (here / "a0.png").touch()
    bracketed = ["pics [2024]/cat/x/000.png", "pics [2024]/cat/x/001.png"]
    cases = {
        "pics [2024]": bracketed,
        "pics [2024]/*": bracketed,
        "pics [2024]/*/x/*.png": bracketed,
        "./pics [2024]/cat/x/?01.png": ["./pics [2024]/cat/x/001.png"],
        f"{here}/pics [2024]/**/*0.png": [f"{here}/{bracketed[0]}"],
        "pics [2024]/**": bracketed,
        "pics [[]2024]/cat/*": bracketed,
        "pics [0-9]/cat/x/*0.png": ["pics 2/cat/x/000.png"],
        "a[0].png": ["a[0].png"],
        "a[01].png": ["a0.png"],
        "pics [2024]/no.png": ["pics [2024]/no.png"],
        "no.png": ["no.png"],
    }
    assert {given: list(expand_images([given])) for given in cases} == cases


TABLES = {
    "path,label\na.jpg,x\nsub\\b.jpg,y\na.jpg,\n": ["a.jpg", "sub/b.jpg", "a.jpg"],
    "id;Image_ID\n1;a.jpg\n2;图.jpg\n": None,
    "Image_ID;score\na.jpg;\n图.jpg;3\n": ["a.jpg", "图.jpg"],
    "id\timage\n1\ta.jpg\n": ["a.jpg"],
    f"image,file,path,{'x' * 300}\nx,y,a.jpg,\n": ["a.jpg"],
    "a.jpg,path\n图.jpg,y\n": ["a.jpg", "图.jpg"],
}


def test_a_table_names_pictures_and_its_labels_do_not_count(here):
    for name in ("a.jpg", "sub/b.jpg", "图.jpg"):
        (here / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "t" / name).touch()
    for text, expected in TABLES.items():
        (here / "t" / "list.csv").write_text(text, encoding="utf-8")
        settings = SourceSettings(columns={"path": "image_id"} if expected is None else {})
        names = [path.removeprefix("t/") for path in expand_images(["t/list.csv"], settings)]
        assert names == (expected or ["a.jpg", "图.jpg"])


def test_what_names_no_picture_is_refused_with_what_to_do(here):
    (here / "two.csv").write_text("filename,file\na.jpg,b.jpg\n")
    (here / "none.csv").write_text("a,b\n1,2\n")
    (here / "gap.csv").write_text("path,b\n,2\n")
    (here / "empty.tsv").write_text("path\n")
    refused = {
        "two.csv": (3, "'filename' and 'file' may be the path: say which, --column path=filename"),
        "none.csv": (
            3,
            "no column 'path' in the first line, which names 'a', 'b': say which with --column path=",
        ),
        "gap.csv": (3, "gap.csv:2: no path: fill the field, or remove the line"),
        "empty.tsv": (3, "empty.tsv names no picture"),
        "*.jpg": (3, "No file fits the pattern *.jpg: check its folder and its suffix"),
        "gone/*.jpg": (3, "No file fits the pattern gone/*.jpg: there is no folder gone"),
        "": (2, "One of the names of pictures is empty"),
        "-": (2, "write their paths into a file, one a line, and name it: paths.txt"),
        "https://host/": (2, "https://host/ is a page or a folder, and web servers do not list files"),
        "gs://bucket/cat.jpg": (5, "gcsfs"),
        "s3://bucket/pics/*.jpg": (
            2,
            "Patterns are for files on this machine: name the folder, s3://bucket/pics/",
        ),
        "ftp2://host/cat.jpg": (2, "ftp2"),
    }
    for given, (code, message) in refused.items():
        with pytest.raises(HubtuneError) as caught:
            list(expand_images([given]))
        assert caught.value.exit_code == code and message in str(caught.value), given
    for column in ("File", "2"):
        settings = SourceSettings(columns={"path": column})
        assert list(expand_images(["two.csv"], settings))[-1] == "b.jpg"


def test_paths_lose_the_way_back_only_if_they_still_name_the_file(here):
    (here / "runs" / "a" / "lists").mkdir(parents=True)
    (here / "pics").mkdir()
    (here / "pics" / "1.png").touch()
    assert tidy_path("runs/a/lists/../../../pics/1.png") == str(Path("pics", "1.png"))
    assert tidy_path("runs/a/lists/../../../pics/gone.png") == "runs/a/lists/../../../pics/gone.png"
    assert tidy_path("pics/1.png") == "pics/1.png"
    (here / "elsewhere" / "inner").mkdir(parents=True)
    (here / "elsewhere" / "1.png").touch()
    (here / "pics" / "link").symlink_to(here / "elsewhere" / "inner")
    # The parent of a link's target is another folder.
    assert tidy_path("pics/link/../1.png") == "pics/link/../1.png"
