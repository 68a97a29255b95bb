"""List files as hubtune writes them."""

from pathlib import Path

from hubtune.data.list_files import (
    encode,
    label_rows_text,
    list_text,
    read_split_record,
    relative_to,
    split_line,
)

NAMES = ["plain.jpg", "two  spaces.jpg", "tab\there.jpg", "线.jpg", "🌸.jpg", "-dash.jpg", "trailing "]
NAMES += ["line\u2028next\x85vertical\x0bform\x0c.jpg", " leading.jpg", "#hash.jpg", "broken\udcff.jpg"]


def test_every_name_survives_a_line():
    for name in NAMES:
        line = encode(list_text([(f"pics/a b/{name}", 1)])).decode("utf-8", "surrogateescape")
        assert split_line(line.removesuffix("\n")) == (f"pics/a b/{name}", "1")
    assert split_line("alone.jpg") == ("", "alone.jpg")


def test_a_damaged_record_of_a_split_is_an_empty_one(tmp_path):
    assert read_split_record(tmp_path) == {}
    for content in ("[1]", "{", "[" * 100_000, "\0"):
        (tmp_path / "split.json").write_text(content)
        assert read_split_record(tmp_path) == {}
    (tmp_path / "split.json").write_text('{"groups": []}')
    assert read_split_record(tmp_path) == {"groups": []}


def test_paths_in_a_list_are_relative_with_slashes(tmp_path, monkeypatch):
    (tmp_path / "pics").mkdir()
    monkeypatch.chdir(tmp_path)
    assert relative_to(Path("pics/a/1.jpg"), Path()) == "pics/a/1.jpg"
    assert relative_to(tmp_path / "pics" / "1.jpg", tmp_path / "lists" / "x") == "../../pics/1.jpg"
    monkeypatch.chdir(tmp_path / "pics")
    assert relative_to(Path("1.jpg"), Path("..")) == "pics/1.jpg"


def test_rows_of_several_labels_keep_every_name_too():
    for name in NAMES:
        line = encode(label_rows_text([(f"a b/{name}", "0,1,0")])).decode("utf-8", "surrogateescape")
        assert split_line(line.removesuffix("\n")) == (f"a b/{name}", "0,1,0")
        assert line == f"a b/{name}\t0,1,0\n"
