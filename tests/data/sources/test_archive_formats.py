"""What a file is by its first bytes, and the number of entries that a zip really has."""

import tarfile
import zipfile

from hubtune.data.sources.archive_formats import count_zip_entries, packing


def test_archives_are_known_by_their_first_bytes_and_entries_counted_whatever_they_say(tmp_path):
    for content, name, kind in (
        (b"PK\x05\x06" + bytes(18), "a.jpg", "zip"),
        (tarfile.TarInfo("x").tobuf(), "a", "tar"),
        (bytes(512), "old.TAR", "tar"),
        (b"GIF89a", "a.gif", None),
        (b"", "empty.zip", None),
    ):
        (tmp_path / name).write_bytes(content)
        assert packing(tmp_path / name) == kind
    path = tmp_path / "a.zip"
    for comment in (b"", b"PK\x05 a comment"):
        with zipfile.ZipFile(path, "w") as file:
            for number in range(30):
                file.writestr(f"{number}.jpg", b"x")
            file.comment = comment
        content = bytearray(path.read_bytes())
        end = content.rfind(b"PK\x05\x06")
        content[end + 8 : end + 12] = bytes(4)  # "no entries"
        path.write_bytes(content)
        assert [count_zip_entries(path, most=most) for most in (100, 10)] == [30, 11]
