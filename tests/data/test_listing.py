"""The records of a source's files."""

from pathlib import Path

from hubtune.data.listing import Listing, SourceFile, known_as, name_key


def test_files_are_sorted_by_class_and_name_in_any_unicode_form_and_known_by_their_paths():
    names = ["b/z.jpg", "b/e\u0301.jpg", "a/2.jpg", "a/10.jpg"]
    listing = Listing(Path("pics"), ["b", "a"], [SourceFile(Path(name), name, name[0]) for name in names])
    listing.sort()
    assert [file.name for file in listing.files] == ["b/z.jpg", "b/e\u0301.jpg", "a/10.jpg", "a/2.jpg"]
    assert name_key("e\u0301") < name_key("é") < name_key("ê")
    assert known_as(Path("pics/cat/1.jpg"), Path("pics")) == "cat/1.jpg"
    assert known_as(Path("other/1.jpg"), Path("pics")) == str(Path("other/1.jpg"))
