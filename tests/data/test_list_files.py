"""List files as hubtune, PaddleHub, PaddleClas and people write them."""

import os
from pathlib import Path

import pytest

from hubtune.data.list_files import (
    encode,
    labels_text,
    list_text,
    read_labels,
    read_list,
    read_paths,
    relative_to,
)
from hubtune.data.listing import ImageEntry
from hubtune.errors import DataError

NAMES = ["plain.jpg", "two  spaces.jpg", "tab\there.jpg", "线.jpg", "🌸.jpg", "-dash.jpg", "trailing "]
NAMES += ["line\u2028next\x85vertical\x0bform\x0c.jpg", " leading.jpg", "#hash.jpg", "broken\udcff.jpg"]
NAMES += ["x" * 251 + ".jpg"]


@pytest.fixture
def write(tmp_path):
    def write(content, name="list.txt"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else encode(content))
        return file

    return write


def refusal(call, *arguments):
    with pytest.raises(DataError) as caught:
        call(*arguments)
    return str(caught.value)


def test_every_name_survives_a_list(write, tmp_path):
    file = write(list_text((f"pics/a b/{name}", 1) for name in NAMES))
    expected = [ImageEntry(tmp_path / "pics/a b" / name, 1) for name in NAMES]
    assert read_list(file, tmp_path, ["a", "b"]) == expected
    path = (tmp_path / "elsewhere" / "a.jpg").absolute()
    assert read_list(write(f"{path} 0\n"), Path("base"), ["a"])[0].path == path


def test_forms_that_programs_write_are_read(write, tmp_path):
    file = write(b"\xef\xbb\xbfa.jpg 0\r\n\r\n \t\nb c.jpg\t1 \r\n")
    expected = [ImageEntry(tmp_path / "a.jpg", 0), ImageEntry(tmp_path / "b c.jpg", 1)]
    assert read_list(file, tmp_path, ["x", "y"]) == expected
    file = write("a.jpg cat\nb.jpg 0\n")  # labels may be names, but a number is an id
    assert [example.label for example in read_list(file, tmp_path, ["dog", "cat"])] == [1, 0]
    assert [example.label for example in read_list(write("a.jpg 0\n"), tmp_path, ["1", "0"])] == [0]
    for name in ("with space.jpg", "a.jpg"):
        (tmp_path / name).touch()
    file = write("with space.jpg\na.jpg 0\na.jpg\ngone.jpg\n")  # a prediction list may have labels or none
    expected = [tmp_path / name for name in ("with space.jpg", "a.jpg", "a.jpg", "gone.jpg")]
    assert read_paths(file, tmp_path) == expected


@pytest.mark.skipif(os.sep == "\\", reason="the separator is a backslash here anyway")
def test_windows_separators_and_several_spaces_are_read_but_a_backslash_in_a_name_stays(write, tmp_path):
    (tmp_path / "a").mkdir()
    paths = [tmp_path / "a" / "b.jpg", tmp_path / "real\\name.jpg", tmp_path / "a.jpg"]
    for path in paths:
        path.touch()
    file = write("a\\b.jpg 0\nreal\\name.jpg 0\na.jpg   0\n")
    assert [entry.path for entry in read_list(file, tmp_path, ["x"])] == paths


LABELS = "{}: the classes' numbers are not 0 to 2, each once: correct them"
MISTAKES = [
    ("alone.jpg\n", "{}:1: no label in 'alone.jpg': write `path label`"),
    ("a.jpg 0\nb.jpg cst\n", "{}:2: unknown label 'cst'. Did you mean 'cat'?"),
    ("a.jpg 2\n", "{}:1: label 2, but the 2 classes are 0 to 1"),
    ("a.jpg -1\n", "{}:1: unknown label '-1'."),
    ("a.jpg " + "9" * 5000 + "\n", "{}:1: unknown label '" + "9" * 5000 + "'."),
]
LABEL_MISTAKES = [
    ("\n \n", "{} names no class: write one class name a line"),
    ("cat\ndog\ncat\n", "{} has class 'cat' twice: every class needs a name of its own"),
    ("0 a\n2 b\n3 c\n", LABELS),
    ("0 a\n0 b\n1 c\n", LABELS),
]


def test_mistakes_are_named(write, tmp_path):
    for content, message in MISTAKES:
        assert refusal(read_list, write(content), tmp_path, ["cat", "dog"]) == message.format(write(content))
    for content, message in LABEL_MISTAKES:
        assert refusal(read_labels, write(content)) == message.format(write(content))
    write("", "train_list.txt")
    assert refusal(read_list, tmp_path / "trian_list.txt", tmp_path, []) == (
        f"There is no {tmp_path / 'trian_list.txt'}. Did you mean 'train_list.txt'? "
        "`hubtune split` makes the lists from folders of pictures."
    )
    assert refusal(read_labels, tmp_path).startswith(f"{tmp_path} cannot be read: ")


def test_class_names_survive_a_label_list_and_numbers_before_all_are_those_of_paddleclas(write):
    for names in (
        ["0", "1", "no"],
        ["0 cat", "1 dog"],  # looks like PaddleClas' form, and is not
        ["1 dog", "0 cat"],
        ["虞书欣", "tabby cat", "trailing ", "u\u2028x", "broken\udcff"],
    ):
        assert read_labels(write(labels_text(names))) == names
    assert read_labels(write("0 tabby cat\n1 dog\n")) == ["tabby cat", "dog"]
    assert read_labels(write("2 doors\n4 doors\n")) == ["2 doors", "4 doors"]


def test_paths_in_a_list_are_relative_with_slashes(tmp_path, monkeypatch):
    (tmp_path / "pics").mkdir()
    monkeypatch.chdir(tmp_path)
    assert relative_to(Path("pics/a/1.jpg"), Path()) == "pics/a/1.jpg"
    assert relative_to(tmp_path / "pics" / "1.jpg", tmp_path / "lists" / "x") == "../../pics/1.jpg"
    monkeypatch.chdir(tmp_path / "pics")
    assert relative_to(Path("1.jpg"), Path("..")) == "pics/1.jpg"
