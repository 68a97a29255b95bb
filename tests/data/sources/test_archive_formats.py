"""What a file is by its first bytes, and the number of entries that a zip really has."""

import tarfile
import zipfile

import pytest

from hubtune.data.sources.archive_formats import count_zip_entries, packing
from hubtune.errors import DataError


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"PK\x05\x06" + bytes(18), "a.jpg", "zip"),
        (tarfile.TarInfo("x").tobuf(), "a", "tar"),
        (bytes(512), "old.TAR", "tar"),
        (b"GIF89a", "a.gif", None),
        (b"", "a.zip", None),
    ],
)
def test_archives_are_known_by_their_first_bytes(tmp_path, content, name, kind):
    (tmp_path / name).write_bytes(content)
    assert packing(tmp_path / name) == kind


def test_other_archives_are_refused_by_name(tmp_path):
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises(DataError, match="is a Zstandard archive, which is not read here"):
        packing(tmp_path / "a")


@pytest.mark.parametrize("comment", [b"", b"PK\x05 a comment"])
def test_entries_are_counted_whatever_the_archive_says(tmp_path, comment):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(30):
            file.writestr(f"{number}.jpg", b"x")
        file.comment = comment
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end + 8 : end + 12] = bytes(4)  # "no entries"
    path.write_bytes(content)
    assert count_zip_entries(path, most=100) == 30
    assert count_zip_entries(path, most=10) == 11
