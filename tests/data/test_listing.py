"""The records of a source's files."""

from pathlib import Path

from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import (
    ImageEntry,
    Listing,
    SourceFile,
    count_by_class,
    count_by_label,
    count_unlabelled,
    known_as,
    name_key,
)


def test_files_are_sorted_by_class_and_name_in_any_unicode_form_and_known_by_their_paths():
    names = ["b/z.jpg", "b/e\u0301.jpg", "a/2.jpg", "a/10.jpg"]
    listing = Listing(Path("pics"), ["b", "a"], [SourceFile(Path(name), name, name[0]) for name in names])
    listing.sort()
    assert [file.name for file in listing.files] == ["b/z.jpg", "b/e\u0301.jpg", "a/10.jpg", "a/2.jpg"]
    assert name_key("e\u0301") < name_key("é") < name_key("ê")
    assert known_as(Path("pics/cat/1.jpg"), Path("pics")) == "cat/1.jpg"
    assert known_as(Path("other/1.jpg"), Path("pics")) == str(Path("other/1.jpg"))


def test_images_are_counted_by_class_and_list():
    lists = {"train": [ImageEntry(Path("x"), label) for label in (0, 0, 1)], "test": []}
    assert count_by_class(["a", "b"], lists) == {"a": {"train": 2, "test": 0}, "b": {"train": 1, "test": 0}}


def test_multi_label_images_are_counted_by_label():
    sets = LabelSets.of(["a", "b"], [(), (0,), (0, 1)])
    lists = {"train": [ImageEntry(Path("x"), number) for number in (0, 1, 2, 2)], "test": []}
    assert count_by_label(sets, lists) == {"a": {"train": 3, "test": 0}, "b": {"train": 2, "test": 0}}
    assert count_unlabelled(sets, lists) == {"train": 1, "test": 0}
