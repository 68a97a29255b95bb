"""What `hubtune split` prints besides the table."""

from dataclasses import replace
from pathlib import Path

from support.scans import fake_label_scan, split_scan

from hubtune.cli.split_output import print_counts, print_fold_counts, print_remarks, quote_path
from hubtune.data.listing import Excluded, ImageEntry
from hubtune.data.splits.files import Split
from hubtune.storage.cache_folder import data_folder


def test_paths_can_be_typed_and_left_out_files_are_named_as_in_their_archive(capsys):
    paths = {"pics/a-b_c.1": "pics/a-b_c.1", "my pics": '"my pics"', "a\x1b[2J": '"a\\x1b[2J"'}
    assert {path: quote_path(path) for path in paths} == paths
    cached = data_folder() / "unpacked" / "a-123" / "files" / "cat" / "1.jpg"
    entries = [Excluded(Path(f"{number}.jpg"), "empty file") for number in range(5)]
    print_remarks(Split([], [], left_out=[*entries, Excluded(cached, "damaged")]), "split.json has them all")
    assert capsys.readouterr().err == (
        "\nLeft out: 6 files; split.json has them all.\n"
        "• empty file: 0.jpg, 1.jpg, 2.jpg and 2 more\n• damaged: cat/1.jpg\n"
    )


def test_folds_are_columns(capsys):
    def fold(*labels):
        images = [ImageEntry(Path("x"), label) for label in labels]
        return Split(["cat", "dog"], ["Cat", "dog"], lists={"train": [], "validate": images, "test": []})

    print_fold_counts([fold(0, 0, 1), fold(1)])
    assert capsys.readouterr().out.splitlines()[2:4] == [
        "cat (Cat)       2       0",
        "dog             1       1",
    ]


def test_rows_are_labels_and_the_total_is_of_pictures(capsys):
    images = {"1.jpg": ["red", "round"], "2.jpg": ["red"], "3.jpg": [], "4.jpg": ["red"]}
    split = split_scan(fake_label_scan(["round", "red"], images))
    print_counts(split)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["label", "train"]
    assert [line.split()[-1] for line in lines[2:5]] == ["1", "3", "1"]
    assert lines[4].startswith("(no label)")
    assert lines[-1].split() == ["total", "4"]
    fold = replace(split, lists={"train": [], "validate": split.lists["train"], "test": []})
    print_fold_counts([fold, fold])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "4", "4"]
